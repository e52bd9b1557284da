"""`degraded:KIND:LEVEL:BENCHMARK`: another benchmark with worse photos, for example `degraded:haze:3:scenes`.

Questions and gold answers are those of the benchmark inside, boxes too (a fisheye moves them); kinds and levels are
`degrade.KINDS`'. Items that cannot be degraded are left out (`degrade.why_not`): questions in words only, for the
fisheye those that give places by numbers, for over-exposure those that tell orange from yellow. Ids, groups, name and
version say the degradation, so runs never mix; level 0 leaves out the same items and changes no pixel, which makes it
the run to compare with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..degrade import KINDS, LEVELS, VERSION, degrade_sample, why_not
from ..errors import InputError
from ..lookup import pick
from ..sample import Sample
from ..trace import Trace
from .protocol import Benchmark, Options, Score

FORM = "degraded:KIND:LEVEL:BENCHMARK, for example degraded:haze:3:scenes"


@dataclass(frozen=True)
class Degraded:
    """The benchmark `inner` with every photo degraded."""

    inner: Benchmark
    kind: str
    level: int
    seed: int
    n: int | None = None

    @property
    def name(self) -> str:
        return f"degraded:{self.kind}:{self.level}:{self.inner.name}"

    @property
    def version(self) -> str:
        return f"{self.inner.version}+{self.kind}{self.level}-{VERSION}-seed{self.seed}"

    def load(self) -> Iterator[Sample]:
        """One sample at a time. Raises `InputError` where photos cannot be read, and when no item can be degraded."""
        found, reason = False, "it is empty"
        for sample in self.inner.load():
            if why := why_not(sample, self.kind):
                reason = f"{sample.id} {why}"
                continue
            found = True
            yield degrade_sample(sample, self.kind, self.level, self.seed)
        if not found:
            raise InputError(f"benchmark {self.name}: none of its items can be degraded: {reason}; try another one")

    def score(self, trace: Trace, sample: Sample) -> Score:
        """As the benchmark inside scores it."""
        return self.inner.score(trace, sample)


def open_degraded(path: str | None, options: Options) -> Degraded:
    """Raises `InputError` for unknown kinds, levels outside of 0 to 5, and whatever the benchmark inside refuses."""
    from . import open_benchmark

    kind, _, rest = (path or "").partition(":")
    level, _, spec = rest.partition(":")
    if not spec:
        raise InputError(f"benchmark degraded:{path or ''}: expected {FORM}")
    pick("degradation", kind, KINDS)
    if level not in map(str, range(LEVELS + 1)):
        raise InputError(f"benchmark degraded:{path}: level {level!r} is not one of 0 (nothing) to {LEVELS}")
    return Degraded(open_benchmark(spec, options), kind, int(level), options.seed)
