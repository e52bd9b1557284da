"""Mean relative accuracy in the forms that benchmarks use: the table `FORMS`.

A value earns the share of thresholds t with |value - truth| / |truth| <= 1 - t. The forms differ in how many thresholds
there are and whether `<=` is `<`; on a border they also differ by how floats round, so each is pinned to the floats of
its source. `grading.mean_relative_accuracy` is exact in decimals and is what questions without a form are graded by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RelativeAccuracy:
    """A form. thresholds: in float64. strict: `<` in place of `<=`. zero_exact: whether a truth of zero is matched by
    zero only; if not, the absolute error stands for the relative one. source: who grades so."""

    thresholds: tuple[float, ...]
    strict: bool
    zero_exact: bool
    source: str

    def __call__(self, value: float, truth: float) -> float:
        """The accuracy, in [0, 1].

        >>> [round(FORMS[form](7.5, 10), 3) for form in FORMS]
        [0.6, 0.545, 0.5, 0.5]
        """
        if truth == 0 and self.zero_exact:
            return float(value == 0)
        error = abs(value - truth) / (abs(truth) or 1.0)
        allowed = [1 - t for t in self.thresholds]
        return sum(error < a if self.strict else error <= a for a in allowed) / len(allowed)


def _spaced(count: int) -> tuple[float, ...]:
    return tuple(np.linspace(0.5, 0.95, count).tolist())


FORMS: dict[str, RelativeAccuracy] = {
    "vsi": RelativeAccuracy(_spaced(10), False, False, "VSI-Bench, VLMEvalKit, SpatialLadder, SpaceVista"),
    "dge": RelativeAccuracy(_spaced(11), False, False, "SpatialEvo"),
    "strict": RelativeAccuracy(_spaced(10), True, True, "the text of the VSI-Bench paper; SIBench, SpatialBench"),
    "strict_arange": RelativeAccuracy(
        tuple(np.arange(0.5, 1.0, 0.05).tolist()), True, True, "the same with thresholds by addition"
    ),
}
"""Forms by name; a sample names one in `meta["given"]["form"]` (`graders.mra`)."""
