"""Depth of every pixel, as an array, and the protocol of what estimates it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from ..geometry import Box, Size

if TYPE_CHECKING:
    from .stored import StoredDepth

CLIP = 0.005
"""Share of pixels at either end that may leave the range of relative depth, so that no noisy pixel sets it."""


@dataclass(frozen=True, eq=False, init=False)
class DepthMap:
    """Depth of every pixel of a photo; larger is farther.

    values: float32, shape (height, width). Metres if `metric`, else relative: 0 nearest, 1 farthest.
    valid: bool, same shape; where False, `values` means nothing (stored as 0).
    metric: whether values are metres.

    Raises `ValueError` for other shapes, for valid values that are not finite, and for relative values
    outside of [0, 1].
    """

    values: NDArray[np.float32]
    valid: NDArray[np.bool_]
    metric: bool = False

    def __init__(self, values: ArrayLike, valid: ArrayLike | None = None, metric: bool = False) -> None:
        array = np.asarray(values, dtype=np.float32)
        mask = np.isfinite(array) if valid is None else np.asarray(valid, dtype=bool)
        if array.ndim != 2 or array.shape != mask.shape:
            raise ValueError(
                f"depth needs shape (height, width) and a mask of that shape, got {array.shape}, {mask.shape}"
            )
        array = np.where(mask, array, np.float32(0))
        if not np.isfinite(array).all():
            raise ValueError("depth has valid pixels that are not finite")
        if not metric and array.size and not (array.min() >= 0 and array.max() <= 1):
            raise ValueError(f"relative depth lies in [0, 1], got [{array.min()}, {array.max()}]; is it metric?")
        self.__dict__.update(values=array, valid=mask, metric=metric)

    @classmethod
    def from_disparity(cls, disparity: ArrayLike, valid: ArrayLike | None = None) -> DepthMap:
        """Relative depth from disparity or inverse depth of unknown scale (large = near), as most estimators give.

        Linear in disparity, as in the released code: depth = (max - d) / (max - min).
        """
        d = np.asarray(disparity, dtype=np.float32)
        mask = np.isfinite(d) if valid is None else np.asarray(valid, dtype=bool)
        return cls(_unit_range(-np.where(mask, d, 0), mask), mask)

    @property
    def size(self) -> Size:
        """(width, height) in pixels."""
        return self.valid.shape[1], self.valid.shape[0]

    def relative(self) -> DepthMap:
        """Relative depth, linear in metres between the nearest and the farthest valid pixels (see `CLIP`)."""
        return self._relative if self.metric else self

    @cached_property
    def _relative(self) -> DepthMap:
        return DepthMap(_unit_range(self.values, self.valid), self.valid)

    @cached_property
    def is_flat(self) -> bool:
        """Whether all valid pixels have the same depth."""
        first = self.values.flat[self.valid.argmax()]
        return not np.any(self.valid & (self.values != first))

    def map_values(self, function: Callable[[NDArray[np.float32]], NDArray[Any]]) -> NDArray[Any]:
        """`function` of all values, 0 where there is none.

        function: gives each depth of an array of any shape a number.
        """
        return np.where(self.valid, function(self.values), 0)

    @cached_property
    def _integral(self) -> tuple[NDArray[np.int64], NDArray[np.int32] | None, float]:
        """Summed-area tables of values and of validity (None where all pixels are), shape (height + 1, width + 1).

        Values are whole numbers of the last item, at most 2^30 of it, so finer than float32 is at the largest of them:
        then sums are exact, and made in a third of the time.
        """
        largest = float(abs(self.values).max(initial=0)) if self.metric else 1.0
        unit = float(np.spacing(np.float32(largest))) / 2**6

        def numbers(depths: NDArray[np.float32]) -> NDArray[np.int32]:
            return np.rint(depths.clip(-largest, largest).astype(np.float64) / unit).astype(np.int32)

        sums = _summed(self.map_values(numbers), np.int64)
        return sums, None if self.valid.all() else _summed(self.valid, np.int32), unit

    @cached_property
    def stored(self) -> StoredDepth:
        """The map as data sets keep it. Opened, it is this map to half a level of 65534 (see `encode_depth`)."""
        from .stored import store

        return store(self)

    def box_mean(self, box: Box) -> float | None:
        """Mean over the valid pixels that `box` touches, in O(1); None when there is none."""
        left, top, right, bottom = box.pixel_bounds(self.size)
        sums, counts, unit = self._integral
        count = (right - left) * (bottom - top)
        if counts is not None:
            count = int(counts[bottom, right] - counts[top, right] - counts[bottom, left] + counts[top, left])
        if count == 0:
            return None
        total = unit * int(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])
        low, high = (0.0, 1.0) if not self.metric else (float(self.values.min()), float(self.values.max()))
        return min(max(total / count, low), high)

    def resized(self, size: Size) -> DepthMap:
        """The map at another size (nearest pixel: depths are never blended across edges)."""
        if size == self.size:
            return self
        rows = ((np.arange(size[1]) + 0.5) * self.size[1] / size[1]).astype(int)
        columns = ((np.arange(size[0]) + 0.5) * self.size[0] / size[0]).astype(int)
        pick = np.ix_(rows, columns)
        return DepthMap(self.values[pick], self.valid[pick], self.metric)


def _summed(values: NDArray[Any], kind: type) -> NDArray[Any]:
    height, width = values.shape
    sums = np.zeros((height + 1, width + 1), kind)
    sums[1:, 1:] = values
    # Row by row: numpy's accumulate along the first axis, and one that changes the type, take thrice the time.
    for above, row in pairwise(sums):
        row += above
    return sums.cumsum(axis=1, out=sums)


def _unit_range(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    if not valid.any():
        return np.zeros_like(values, dtype=np.float32)
    low, high = np.quantile(values[valid], [CLIP, 1 - CLIP])
    if high <= low:
        low, high = values[valid].min(), values[valid].max()
    return np.where(valid, between(values, low, high), 0).astype(np.float32)


def between(values: NDArray[np.float32], low: Any, high: Any) -> NDArray[np.float32]:
    """Where values lie from `low` to `high`, in [0, 1]."""
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return scaled.clip(0, 1).astype(np.float32)


class DepthEstimator(Protocol):
    """Photo -> relative depth map of the photo's size."""

    def __call__(self, photo: Image.Image, /) -> DepthMap: ...
