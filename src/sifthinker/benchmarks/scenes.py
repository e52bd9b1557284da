"""`scenes`: generated scenes with exact answers that no training set holds.

Held out by construction: a scene follows from (seed, number) alone, and evaluation draws from seeds at `HELD_OUT`
and above, while `sifthinker scenes` is for seeds below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..errors import InputError
from ..sample import Sample
from ..trace import Trace
from .protocol import Options, Score
from .words import score_words

HELD_OUT = 1 << 64
"""Seeds from here on make scenes for evaluation; seeds below make scenes for training.

Not 1 << 32: numpy cuts seeds into words of 32 bits and fills up with zeros, so that (2**32 + s, 0) and (s, 1) start the
same stream. The third word of (seed, number) is 1 here and 0 for all seeds and numbers below 2**32.
"""


@dataclass(frozen=True)
class Scenes:
    """Generated scenes, as simple as those of `sifthinker scenes` by default: one to three objects, 96 x 96 pixels."""

    n: int
    seed: int
    size: tuple[int, int] = (96, 96)
    objects: tuple[int, int] = (1, 3)
    name: str = "scenes"

    @property
    def version(self) -> str:
        return f"1-seed{self.seed}-{self.size[0]}x{self.size[1]}-{self.objects[0]}to{self.objects[1]}"

    def load(self) -> Iterator[Sample]:
        """One sample at a time; the first k of n are the k of a smaller set."""
        from ..scenes.generate import generate

        seed = HELD_OUT + self.seed
        for sample, _ in generate(self.n, seed, size=self.size, objects=self.objects):
            yield replace(sample, id=sample.id.replace(str(seed), f"heldout{self.seed}"))

    def score(self, trace: Trace, sample: Sample) -> Score:
        """The exact answer against the trace's."""
        return score_words(trace, sample)


def open_scenes(path: str | None, options: Options) -> Scenes:
    """Raises `InputError` for a path, which generated scenes have none of, and for a negative seed."""
    if path:
        raise InputError(
            f"benchmark scenes takes no path, got {path!r}; a folder that `scenes` wrote is dataset:{path}"
        )
    if options.seed < 0 or options.n < 1:
        raise InputError(f"benchmark scenes needs n >= 1 and seed >= 0, got n {options.n}, seed {options.seed}")
    return Scenes(options.n, options.seed)
