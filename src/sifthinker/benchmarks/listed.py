"""A benchmark whose samples are read at once, photos aside: what most files of items need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..sample import Sample
from ..trace import Trace
from .protocol import Score
from .words import score_words


@dataclass(frozen=True)
class Listed:
    """Samples in order, and how a reply to them is scored (by the answer's words, if not said)."""

    name: str
    version: str
    samples: tuple[Sample, ...]
    scorer: Callable[[Trace, Sample], Score] = score_words

    @property
    def n(self) -> int:
        return len(self.samples)

    def load(self) -> Iterator[Sample]:
        """Photos are opened when they are asked for."""
        return iter(self.samples)

    def score(self, trace: Trace, sample: Sample) -> Score:
        """Score a parsed reply."""
        return self.scorer(trace, sample)
