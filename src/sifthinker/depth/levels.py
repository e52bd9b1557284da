"""Depth maps whose pixels are numbers of a table of depths, as 16-bit files have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .map import CLIP, DepthMap, between


@dataclass(frozen=True, eq=False, init=False)
class LevelsMap(DepthMap):
    """A map whose pixels are numbers of a table of 65,536 depths: what is done to depths is done to the table alone.

    numbers: uint16, shape (height, width). table: float32, shape (65536,), rising, valid depths. invalid: the number
    of no depth.
    """

    numbers: NDArray[np.uint16]
    table: NDArray[np.float32]
    invalid: int

    def __init__(self, numbers: NDArray[np.uint16], table: NDArray[np.float32], invalid: int, metric: bool) -> None:
        self.__dict__.update(numbers=numbers, table=table, invalid=invalid, valid=numbers != invalid, metric=metric)

    @cached_property
    def values(self) -> NDArray[np.float32]:  # pyright: ignore[reportIncompatibleVariableOverride] - a field, too
        # Made when they are first asked for: often only relative ones are.
        return self.map_values(lambda depths: depths)

    def map_values(self, function: Callable[[NDArray[np.float32]], NDArray[Any]]) -> NDArray[Any]:
        table = function(self.table).copy()
        table[self.invalid] = 0
        return table.take(self.numbers)

    @cached_property
    def _relative(self) -> DepthMap:
        counts = np.bincount(self.numbers.ravel(), minlength=self.table.size)
        counts[self.invalid] = 0
        ends = _clip_ends(self.table, counts)
        relative = between(self.table, *ends) if ends else np.zeros_like(self.table)
        return LevelsMap(self.numbers, relative, self.invalid, metric=False)


def _clip_ends(table: NDArray[np.float32], counts: NDArray[np.int64]) -> tuple[Any, Any] | None:
    """The ends of `_unit_range` of values that are as often in a rising table as `counts` says; None for no value.

    The quantiles are those of np.quantile, bit by bit.
    """
    until = counts.cumsum()
    total = int(until[-1])
    if total == 0:
        return None
    ends = []
    for place in np.array([CLIP, 1 - CLIP]) * (total - 1):
        first = int(place)
        a, b = table[np.searchsorted(until, [first, min(first + 1, total - 1)], side="right")]
        share = place - first
        # From the nearer of both, as numpy does.
        ends.append(a + (b - a) * share if share < 0.5 else b - (b - a) * (1 - share))
    low, high = ends
    if high <= low:
        used = np.flatnonzero(counts)
        low, high = table[used[0]], table[used[-1]]
    return low, high
