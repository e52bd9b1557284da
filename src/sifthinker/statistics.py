"""Intervals and comparisons for scores: Wilson, percentile bootstrap, exact McNemar.

Every function takes plain numbers. What the numbers mean and which items enter is `metrics`' business.
A unit is what was drawn independently: a photo, a scene, a group of questions. Rows of one unit are resampled
together, since ten questions about one photo are not ten independent observations.

Sources: Wilson (1927), score interval; Efron (1979), percentile bootstrap; McNemar (1947), exact binomial form; Owen
(2007), The pigeonhole bootstrap (both ways of a table, here seeds and units).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

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


def bootstrap_seeds(
    runs: Sequence[Sequence[float]],
    units: Sequence[Sequence[Hashable]],
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean over runs of the mean of each; runs and units are resampled.

    runs: the values of each run of one thing, made from different seeds. units: the unit of each value; runs share
    them, and a resample takes the same units in all. One run has the interval of `bootstrap`. Of few runs that differ
    much the interval is too narrow: it knows no more of seeds than it was given.
    """
    order = {unit: i for i, unit in enumerate(dict.fromkeys(unit for one in units for unit in one))}
    tables = [_table(values, own, order) for values, own in zip(runs, units, strict=True)]
    sums, counts = np.stack([t[0] for t in tables], axis=1), np.stack([t[1] for t in tables], axis=1)
    drawn_seeds = np.random.default_rng([seed, 1]).integers(0, len(runs), size=(resamples, len(runs)))
    drawn_units = _draws(len(order), resamples, seed)
    rows = max(1, _BLOCK // len(order))
    means = []
    for start in range(0, resamples, rows):
        times, picked = drawn_units[start : start + rows].astype(np.float64), drawn_seeds[start : start + rows]
        n = times @ counts
        # A run that measured few units may have none of those that were drawn.
        mean = np.divide(times @ sums, n, out=np.zeros_like(n), where=n > 0)
        there = np.take_along_axis(n > 0, picked, 1).sum(axis=1)
        means.append((np.take_along_axis(mean, picked, 1).sum(axis=1) / np.maximum(there, 1))[there > 0])
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def estimate_seeds(
    runs: Sequence[Sequence[float]], units: Sequence[Sequence[Hashable]], difference: bool = False
) -> Estimate:
    """The mean over runs (of different seeds) of their means, with its 95 % interval by `bootstrap_seeds`.

    runs, units: as there; runs without values do not enter. difference: of scores in [0, 1], item by item; otherwise
    they are such scores, and if all are 0 or all are 1, the interval is Wilson's for as many units (see `estimate`).
    A single unit has the interval of everything that is possible.

    >>> estimate_seeds([[1, 0], [1, 1]], [["a", "b"], ["a", "b"]]).value
    0.75
    """
    kept = [(np.asarray(values, dtype=np.float64), own) for values, own in zip(runs, units, strict=True) if len(values)]
    if not kept:
        return Estimate(None, None, None)
    mean = float(np.mean([values.mean() for values, _ in kept]))
    n_units = len({unit for _, own in kept for unit in own})
    if not difference and mean in (0.0, 1.0):
        low, high = wilson(mean * n_units, n_units)
    elif n_units == 1:
        low, high = -1.0 if difference else 0.0, 1.0
    else:
        low, high = bootstrap_seeds([values.tolist() for values, _ in kept], [own for _, own in kept])
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
    return Comparison(difference, wins, losses, mcnemar(wins, losses) if binary and len(a) else None)


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
    return _table(array, units, {unit: i for i, unit in enumerate(dict.fromkeys(units))})


def _table(
    values: Sequence[float] | NDArray[np.float64], units: Sequence[Hashable], order: dict[Hashable, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and number of the values of each unit, in the given order of units."""
    if len(units) != len(values):
        raise ValueError(f"{len(values)} values with {len(units)} units")
    index = np.fromiter((order[unit] for unit in units), dtype=np.int64, count=len(units))
    sums, counts = np.zeros(len(order)), np.zeros(len(order))
    np.add.at(sums, index, np.asarray(values, dtype=np.float64))
    np.add.at(counts, index, 1.0)
    return sums, counts


@lru_cache(maxsize=2)
def _draws(n: int, resamples: int, seed: int) -> NDArray[np.uint16]:
    """How often each of n units is in each resample, shape (resamples, n): the resamples of `bootstrap`.

    Kept, since a study asks for the same ones for each of its numbers.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // n)
    times = np.empty((resamples, n), dtype=np.uint16)
    for start in range(0, resamples, rows):
        drawn = rng.integers(0, n, size=(min(rows, resamples - start), n))
        flat = drawn + n * np.arange(len(drawn))[:, None]
        times[start : start + len(drawn)] = np.bincount(flat.ravel(), minlength=drawn.size).reshape(drawn.shape)
    return times
