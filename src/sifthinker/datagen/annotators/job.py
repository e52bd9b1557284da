"""What an annotator is given and gives back.

An annotator only writes texts for areas that are given. Boxes, depths and the answer are the pipeline's, so no
annotator can change them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...sample import Sample
from ...trace import Step, Trace
from ..expand import Stage
from ..outcome import Reject
from .batch import Batch, Pending


@dataclass(frozen=True, slots=True)
class Job:
    """A sample and the chain of areas for which words are wanted."""

    sample: Sample
    stages: tuple[Stage, ...]

    def trace(self, texts: Sequence[str]) -> Trace:
        """The gold trace with these words, one text a stage."""
        steps = [Step(stage.area, text) for stage, text in zip(self.stages, texts, strict=True)]
        return Trace(tuple(steps), self.sample.answer)


@dataclass(frozen=True, slots=True)
class Words:
    """One text a stage, and the name of who wrote them."""

    texts: tuple[str, ...]
    by: str


Item = Job | Reject
"""What comes from a row; a reject only passes through, so that the order is kept."""

Answer = Words | Reject | Pending


class Annotator(Protocol):
    """name: what the manifest records."""

    name: str

    def annotate(self, items: Iterable[Item]) -> Iterator[tuple[Item, Words | Reject]]:
        """Every item, in order, with its words or with the reason why there are none."""
        ...


def settled(results: Iterable[tuple[Item, Answer]]) -> Iterator[tuple[Item, Words | Reject]]:
    """The results before the first that waits for batch files; from there on, requests are only written.

    Raises `Paused` at the end if there was one.
    """
    batch: Batch | None = None
    for item, answer in results:
        if isinstance(answer, Pending):
            batch = answer.batch
            batch.add(answer)
        elif batch is None:
            yield item, answer
    if batch is not None:
        raise batch.pause()
