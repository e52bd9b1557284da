"""Intervals and comparisons for scores: Wilson, percentile bootstrap, exact McNemar.

Every function takes plain numbers. What the numbers mean and which items enter is `metrics`' business.
A unit is what was drawn independently: a photo, a scene, a group of questions. Rows of one unit are resampled
together, since ten questions about one photo are not ten independent observations.

Sources: Wilson (1927), score interval; Efron (1979), percentile bootstrap; McNemar (1947), exact binomial form.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
"""97.5 % point of the normal distribution."""

RESAMPLES = 10_000
"""Bootstrap resamples."""

SEED = 20250806
"""Fixed, so that the same scores always give the same interval."""

_BLOCK = 2_000_000
"""Drawn indices held in memory at a time."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval. All three are None when nothing could be measured (never nan)."""

    value: float | None
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, float | None]:
        """{"value", "low", "high"}."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs on the same items: second minus first.

    difference: mean difference with its interval.
    wins, losses: items on which the second run scores higher, lower.
    p: exact McNemar p-value of wins against losses; None for graded scores, where it does not apply.
    """

    difference: Estimate
    wins: int
    losses: int
    p: float | None


def wilson(successes: float, n: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share.

    >>> [round(v, 6) for v in wilson(8, 10)]
    [0.490162, 0.943318]
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"need 0 <= successes <= n and n > 0, got {successes} of {n}")
    share, z2 = successes / n, Z95 * Z95
    center = share + z2 / (2 * n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low, high = (center - half) / (1 + z2 / n), (center + half) / (1 + z2 / n)
    # At the ends the formula gives exactly 0 and 1 but for rounding.
    return (0.0 if successes == 0 else low), (1.0 if successes == n else high)


def bootstrap(
    values: Sequence[float], units: Sequence[Hashable] | None = None, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean of `values`; whole units are resampled.

    units: the unit of each value; None: each value is its own unit.
    """
    sums, counts = _by_unit(values, units)
    n = len(sums)
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // n)
    means = np.empty(resamples)
    for start in range(0, resamples, rows):
        drawn = rng.integers(0, n, size=(min(rows, resamples - start), n))
        means[start : start + len(drawn)] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def estimate(
    values: Sequence[float], units: Sequence[Hashable] | None = None, bounds: tuple[float, float] = (0.0, 1.0)
) -> Estimate:
    """The mean with its 95 % interval: Wilson for 0/1 scores with one value a unit, else the bootstrap over units.

    bounds: the range of the score. It is the interval where there is a single unit, which says nothing about
    others. Units that all agree on 0 or all on 1 get the Wilson interval of as many units, as a bootstrap of
    equal values would claim certainty.

    >>> {name: round(v, 4) for name, v in estimate([1, 1, 0, 1]).to_json().items()}
    {'value': 0.75, 'low': 0.3006, 'high': 0.9544}
    >>> estimate([]).to_json()
    {'value': None, 'low': None, 'high': None}
    """
    if not len(values):
        return Estimate(None, None, None)
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("scores must be finite")
    mean = float(array.mean())
    n_units = len(values) if units is None else len(set(units))
    binary = bool(np.isin(array, (0.0, 1.0)).all())
    if binary and (n_units == len(values) or mean in (0.0, 1.0)):
        low, high = wilson(mean * n_units, n_units)
    elif n_units == 1:
        low, high = min(bounds[0], mean), max(bounds[1], mean)
    else:
        low, high = bootstrap(array.tolist(), units)
    # The mean of a float array and the quantiles of resampled means may differ in the last digit.
    return Estimate(mean, min(low, mean), max(high, mean))


def compare_paired(
    first: Sequence[float], second: Sequence[float], units: Sequence[Hashable] | None = None
) -> Comparison:
    """Second minus first on the same items, in the same order: difference, bootstrap interval, wins, losses, McNemar.

    >>> compare_paired([0, 0, 1], [1, 1, 1]).wins
    2
    """
    if len(first) != len(second):
        raise ValueError(f"paired scores differ in number: {len(first)} and {len(second)}")
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    wins, losses = int((b > a).sum()), int((b < a).sum())
    binary = bool(np.isin(np.concatenate([a, b]), (0.0, 1.0)).all())
    difference = Estimate(None, None, None)
    if len(a):
        mean = float((b - a).mean())
        low, high = bootstrap((b - a).tolist(), units)
        difference = Estimate(mean, min(low, mean), max(high, mean))
    return Comparison(difference, wins, losses, mcnemar(wins, losses) if binary else None)


def mcnemar(b: int, c: int) -> float:
    """Exact two-sided McNemar p-value of b wins against c losses: min(1, 2 P[Bin(b + c, 1/2) <= min(b, c)]).

    >>> mcnemar(6, 0)
    0.03125
    """
    if b < 0 or c < 0:
        raise ValueError(f"counts cannot be negative: {b}, {c}")
    n = b + c
    # Whole numbers to the end: no tail is too small.
    tail = sum(math.comb(n, i) for i in range(min(b, c) + 1))
    return min(1.0, 2 * tail / 2**n)


def _by_unit(
    values: Sequence[float], units: Sequence[Hashable] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and number of the values of each unit."""
    if not len(values):
        raise ValueError("no values")
    array = np.asarray(values, dtype=np.float64)
    if units is None:
        return array, np.ones(len(array))
    if len(units) != len(array):
        raise ValueError(f"{len(array)} values with {len(units)} units")
    order = {unit: i for i, unit in enumerate(dict.fromkeys(units))}
    index = np.fromiter((order[unit] for unit in units), dtype=np.int64, count=len(array))
    sums, counts = np.zeros(len(order)), np.zeros(len(order))
    np.add.at(sums, index, array)
    np.add.at(counts, index, 1.0)
    return sums, counts
