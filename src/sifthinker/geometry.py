"""Boxes, box arithmetic, and the frames in which boxes come.

Inside the package a box is a `Box`: unit xyxy of the unpadded image after EXIF rotation. Every source
declares its `Frame`, and `to_box` converts once, at the edge; a frame is never guessed from magnitudes.
Sizes are (width, height) in pixels. Coordinates are edges: there is no "+1".

Rotated boxes and polygons are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import BoxError, unknown_name

Size = tuple[int, int]

WHOLE_AREA = 0.95
"""A box of at least this share of the image counts as the whole image: it focuses on nothing."""

MIN_SIDE = 0.01
"""Shortest side of a gold box as a share of the image's side: ten steps of the grid of traces."""
MIN_PIXELS = 6
"""Shortest side of a gold box in pixels of the image."""

GRID = 1000
"""Boxes in traces have three decimals, so their edges lie on multiples of 1 / GRID."""


class Frame(StrEnum):
    """How four numbers describe a box. `docs/design/frames.md` has a worked example of each."""

    PIXEL_XYXY = "pixel_xyxy"
    """Left, top, right, bottom in pixels of the image."""
    PIXEL_XYWH = "pixel_xywh"
    """Left, top, width, height in pixels (COCO)."""
    UNIT_XYXY = "unit_xyxy"
    """Left, top, right, bottom as shares of width and height (SIFThinker's traces)."""
    K1000_XYXY = "k1000_xyxy"
    """The same in thousandths (Qwen2-VL, Qwen3-VL)."""
    PADDED_UNIT_XYXY = "padded_unit_xyxy"
    """Shares of the square to which the image is padded, centered (Visual-CoT)."""
    UNIT_CXCYWH = "cxcywh_unit"
    """Center and size as shares of width and height (YOLO)."""

    @classmethod
    def _missing_(cls, value: object) -> Frame:
        raise unknown_name("frame of boxes", str(value)[:80], cls)


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """An axis-aligned box in unit coordinates: origin top left, x right, y down.

    Raises `BoxError` unless 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1.

    >>> Box(0.0, 0.0, 0.5, 0.5).iou(Box(0.25, 0.0, 0.75, 0.5))
    0.3333333333333333
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        for name, value in zip(("x0", "y0", "x1", "y1"), self, strict=True):
            if type(value) is not float:
                object.__setattr__(self, name, float(value))
        if 0.0 <= self.x0 < self.x1 <= 1.0 and 0.0 <= self.y0 < self.y1 <= 1.0:
            return
        if problem := _problem(tuple(self), (1.0, 1.0), slack=0.0):
            raise BoxError(problem, f"box {list(self)}: {_EXPLAIN[problem]}; need 0 <= x0 < x1 <= 1, same for y")

    def __iter__(self) -> Iterator[float]:
        return iter((self.x0, self.y0, self.x1, self.y1))

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        """Share of the image that the box covers, in (0, 1]."""
        return self.width * self.height

    @property
    def center(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def is_whole(self) -> bool:
        """Whether the box covers (nearly) the whole image; see `WHOLE_AREA`."""
        return self.area >= WHOLE_AREA

    def too_small(self, size: Size) -> bool:
        """Whether a side is below `MIN_SIDE`, or below `MIN_PIXELS` in an image of `size`: nobody could point at it."""
        short = min(self.width * size[0], self.height * size[1])
        return short < MIN_PIXELS or min(self.width, self.height) < MIN_SIDE

    def iou(self, other: Box) -> float:
        """Intersection over union, in [0, 1]."""
        return float(iou_matrix([self], [other])[0, 0])

    def quantized(self) -> Box:
        """The box on the grid of traces (three decimals), widened to one step where it would vanish.

        >>> Box(0.10001, 0.2, 0.10002, 0.7).quantized()
        Box(x0=0.1, y0=0.2, x1=0.101, y1=0.7)
        """
        x0, x1 = _snap(self.x0, self.x1)
        y0, y1 = _snap(self.y0, self.y1)
        return Box(x0, y0, x1, y1)

    def pixel_bounds(self, size: Size) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of the pixels the box touches: floor of the first, ceiling of the last edge."""
        width, height = size
        # Rounding first keeps 0.3 * 10 = 3.0000000000000004 from touching a fourth pixel.
        left, top = math.floor(round(self.x0 * width, 9)), math.floor(round(self.y0 * height, 9))
        right, bottom = math.ceil(round(self.x1 * width, 9)), math.ceil(round(self.y1 * height, 9))
        left, top = min(left, width - 1), min(top, height - 1)
        return left, top, max(right, left + 1), max(bottom, top + 1)


_EXPLAIN = {
    "box_malformed": "not four numbers",
    "box_not_finite": "has a number that is not finite",
    "box_inverted": "right edge left of left edge, or bottom above top",
    "box_empty": "has no area",
    "box_outside": "leaves the image",
}


def _problem(xyxy: Sequence[float], size: tuple[float, float], slack: float) -> str | None:
    x0, y0, x1, y1 = xyxy
    if not all(map(math.isfinite, xyxy)):
        return "box_not_finite"
    if x1 < x0 or y1 < y0:
        return "box_inverted"
    if x1 == x0 or y1 == y0:
        return "box_empty"
    if min(x0, y0) < -slack or x1 > size[0] + slack or y1 > size[1] + slack:
        return "box_outside"
    return None


def _snap(low: float, high: float) -> tuple[float, float]:
    a, b = round(low * GRID), round(high * GRID)
    if a == b:
        a, b = (a, a + 1) if a < GRID else (a - 1, a)
    return a / GRID, b / GRID


WHOLE = Box(0.0, 0.0, 1.0, 1.0)
"""The whole image."""


def to_pixel(values: Sequence[float], frame: Frame, size: Size) -> tuple[float, float, float, float]:
    """Convert four numbers in `frame` to pixel xyxy of an image of `size`; exact, neither rounded nor clipped."""
    a, b, c, d = map(float, values)
    width, height = size
    match frame:
        case Frame.PIXEL_XYXY:
            return a, b, c, d
        case Frame.PIXEL_XYWH:
            return a, b, a + c, b + d
        case Frame.UNIT_XYXY:
            return a * width, b * height, c * width, d * height
        case Frame.K1000_XYXY:
            return a * width / 1000, b * height / 1000, c * width / 1000, d * height / 1000
        case Frame.PADDED_UNIT_XYXY:
            side, left, top = _padding(size)
            return a * side - left, b * side - top, c * side - left, d * side - top
        case Frame.UNIT_CXCYWH:
            return (a - c / 2) * width, (b - d / 2) * height, (a + c / 2) * width, (b + d / 2) * height


def from_pixel(xyxy: Sequence[float], frame: Frame, size: Size) -> tuple[float, float, float, float]:
    """Inverse of `to_pixel`."""
    x0, y0, x1, y1 = map(float, xyxy)
    width, height = size
    match frame:
        case Frame.PIXEL_XYXY:
            return x0, y0, x1, y1
        case Frame.PIXEL_XYWH:
            return x0, y0, x1 - x0, y1 - y0
        case Frame.UNIT_XYXY:
            return x0 / width, y0 / height, x1 / width, y1 / height
        case Frame.K1000_XYXY:
            return 1000 * x0 / width, 1000 * y0 / height, 1000 * x1 / width, 1000 * y1 / height
        case Frame.PADDED_UNIT_XYXY:
            side, left, top = _padding(size)
            return (x0 + left) / side, (y0 + top) / side, (x1 + left) / side, (y1 + top) / side
        case Frame.UNIT_CXCYWH:
            return (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height


def _padding(size: Size) -> tuple[int, int, int]:
    """Side of the padded square and the offsets of the image in it; Visual-CoT rounds the offsets down."""
    side = max(size)
    return side, (side - size[0]) // 2, (side - size[1]) // 2


def to_box(values: Sequence[float], frame: Frame, size: Size, slack_px: float = 1.0) -> Box:
    """Convert four numbers in `frame` to a `Box`.

    Edges up to `slack_px` pixels outside of the image (rounding in the source) are clipped; a box that is
    further outside, inverted, empty, not finite or not four numbers raises `BoxError` with the reason.

    >>> box = to_box([0.209, 0.575, 0.441, 0.823], Frame.PADDED_UNIT_XYXY, (640, 428))
    >>> [round(v, 2) for v in to_pixel(tuple(box), Frame.UNIT_XYXY, (640, 428))]
    [133.76, 262.0, 282.24, 420.72]
    """
    try:
        if len(values) != 4:
            raise ValueError
        xyxy = to_pixel(values, frame, size)
    except (TypeError, ValueError) as error:
        raise BoxError("box_malformed", f"box {values!r} in frame {frame}: not four numbers") from error
    if problem := _problem(xyxy, size, slack_px):
        place = "" if frame is Frame.UNIT_XYXY else f" of a {size[0]}x{size[1]} image"
        raise BoxError(problem, f"box {list(values)} in frame {frame}{place}: {_EXPLAIN[problem]}")
    width, height = size
    x0, x1 = (min(max(v / width, 0.0), 1.0) for v in (xyxy[0], xyxy[2]))
    y0, y1 = (min(max(v / height, 0.0), 1.0) for v in (xyxy[1], xyxy[3]))
    return Box(x0, y0, x1, y1)


def box_array(boxes: ArrayLike | Sequence[Box]) -> NDArray[np.float64]:
    """Boxes as an array of shape (n, 4), xyxy. Accepts `Box`es or any sequence of four numbers each."""
    rows = [tuple(box) for box in boxes]  # type: ignore[union-attr]
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), 4)


def iou_matrix(a: ArrayLike | Sequence[Box], b: ArrayLike | Sequence[Box]) -> NDArray[np.float64]:
    """Pairwise IoU, shape (n, m), of two sets of xyxy boxes in any common frame; touching boxes have 0."""
    intersection, union = _overlap(box_array(a), box_array(b))
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def giou_matrix(a: ArrayLike | Sequence[Box], b: ArrayLike | Sequence[Box]) -> NDArray[np.float64]:
    """Pairwise generalized IoU in (-1, 1], shape (n, m), of two sets of xyxy boxes with an area.

        GIoU = IoU - (area of the hull of both - area of their union) / area of the hull

    Source: Rezatofighi et al., Generalized Intersection over Union (CVPR 2019, arXiv 1902.09630).
    """
    a, b = box_array(a), box_array(b)
    intersection, union = _overlap(a, b)
    sides = np.maximum(a[:, None, 2:], b[None, :, 2:]) - np.minimum(a[:, None, :2], b[None, :, :2])
    around = sides.prod(axis=2)
    return intersection / union - (around - union) / around


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas of the intersection and of the union of each pair."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    intersection = sides.clip(min=0).prod(axis=2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(axis=1), (b[:, 2:] - b[:, :2]).prod(axis=1)
    return intersection, area_a[:, None] + area_b[None, :] - intersection


def hull(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all `boxes`."""
    array = box_array(boxes)
    return Box(*array[:, :2].min(axis=0), *array[:, 2:].max(axis=0))
