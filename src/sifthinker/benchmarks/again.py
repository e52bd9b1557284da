"""`twins:BENCHMARK` and `variants:BENCHMARK`: items asked again, which count together (`metrics.json`: consistency).

    twins       after every item the other one of its pair: the complementary prompt of SURDS, the clean or the open
                question of SpatialUncertain
    variants    every item with all orders of its options, and its mirror image with them (3DSRBench's FlipEval and
                CircularEval)

For generated questions, for example `twins:scenes:tasks=surds_*`. Items that have no such partner are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..errors import InputError
from ..sample import Sample
from ..trace import Trace
from .protocol import Benchmark, Options, Score

Asked = Callable[[Sample], tuple[Sample, ...]]


@dataclass(frozen=True)
class Again:
    """The benchmark `inner` with its items asked again. kind: a key of `KINDS`."""

    inner: Benchmark
    kind: str

    @property
    def n(self) -> int | None:
        """Unknown before it is loaded: some items may have no partner."""
        return None

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.inner.name}"

    @property
    def version(self) -> str:
        return f"{self.inner.version}+{self.kind}"

    def load(self) -> Iterator[Sample]:
        """One sample at a time, partners one after the other. Raises `InputError` when no item has a partner."""
        reason = "it is empty"
        found = False
        for sample in self.inner.load():
            try:
                partners = KINDS[self.kind](sample)
            except (InputError, KeyError) as error:
                reason = f"missing {error}" if isinstance(error, KeyError) else str(error)
                continue
            found = True
            yield from partners
        if not found:
            raise InputError(
                f"benchmark {self.name}: none of its items can be asked again: {reason}; try {EXAMPLES[self.kind]}"
            )

    def score(self, trace: Trace, sample: Sample) -> Score:
        """As the benchmark inside scores it."""
        return self.inner.score(trace, sample)


def _twins(sample: Sample) -> tuple[Sample, ...]:
    from ..scenes.twins import twin

    return sample, twin(sample)


def _variants(sample: Sample) -> tuple[Sample, ...]:
    from ..scenes.twins import variants

    return variants(sample)


KINDS: dict[str, Asked] = {"twins": _twins, "variants": _variants}
EXAMPLES = {"twins": "twins:scenes:tasks=surds_*", "variants": "variants:scenes:tasks=srd3_*"}


def open_again(kind: str) -> Callable[[str | None, Options], Again]:
    """What opens a benchmark of a kind."""

    def opened(path: str | None, options: Options) -> Again:
        from . import open_benchmark

        if not path:
            raise InputError(f"benchmark {kind}: expected {kind}:BENCHMARK, for example {EXAMPLES[kind]}")
        return Again(open_benchmark(path, options), kind)

    return opened
