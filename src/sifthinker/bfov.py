"""Where something is in a panorama: yaw, pitch, and how far it reaches in both; with the overlap of two such fields.

A field is a rectangle of longitudes and latitudes, so it has no seam: yaw 175 with a width of 20 ends at -175. In the
picture (equirectangular, W x H pixels) yaw = 360 (u / W - 1/2) and pitch = 180 (1/2 - v / H).

Source: PanoSpace-Bench (arXiv 2605.13169), whose overlap is `iou`; `iou(..., sphere=True)`, with areas as they are on
the sphere, is ours. Fields bounded by great circles (tangent planes) and rotated fields are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .normalize import quantities

FULL_DEG, HALF_DEG = 360.0, 180.0


@dataclass(frozen=True, slots=True)
class Bfov:
    """A bounding field of view, all in degrees.

    yaw: of the center, 0 ahead (the middle of the panorama), positive to the right. pitch: of the center, positive up.
    width: extent in yaw, in (0, 360]. height: extent in pitch, in (0, 180]; what leaves the poles is cut off.
    Raises `ValueError` for other numbers.
    """

    yaw: float
    pitch: float
    width: float
    height: float

    def __post_init__(self) -> None:
        numbers = (self.yaw, self.pitch, self.width, self.height)
        if not all(map(math.isfinite, numbers)) or abs(self.pitch) > HALF_DEG / 2:
            raise ValueError(f"field {list(numbers)}: need finite numbers and a pitch from -90 to 90")
        if not (0 < self.width <= FULL_DEG and 0 < self.height <= HALF_DEG):
            raise ValueError(f"field {list(numbers)}: need a width in (0, 360] and a height in (0, 180]")

    @property
    def latitudes(self) -> tuple[float, float]:
        """Lowest and highest pitch."""
        quarter = HALF_DEG / 2
        return max(self.pitch - self.height / 2, -quarter), min(self.pitch + self.height / 2, quarter)

    def iou(self, other: Bfov, sphere: bool = False) -> float:
        """Intersection over union, in [0, 1]: of areas in degrees x degrees, or of areas on the sphere.

        >>> Bfov(175, 0, 20, 10).iou(Bfov(-175, 0, 20, 10))
        0.3333333333333333
        """
        across = _shared_yaw(self, other)
        (a, b), (c, d) = self.latitudes, other.latitudes
        shared = across * _band(max(a, c), min(b, d), sphere)
        union = self.width * _band(a, b, sphere) + other.width * _band(c, d, sphere) - shared
        return min(shared / union, 1.0) if union > 0 else 0.0

    def __str__(self) -> str:
        return f"[{self.yaw:.1f}, {self.pitch:.1f}, {self.width:.1f}, {self.height:.1f}]"


def wrapped(angle_deg: float) -> float:
    """The same direction in [-180, 180).

    >>> wrapped(190.0), wrapped(-180.0), wrapped(180.0)
    (-170.0, -180.0, -180.0)
    """
    return (angle_deg + HALF_DEG) % FULL_DEG - HALF_DEG


def _band(low: float, high: float, sphere: bool) -> float:
    """Extent of a range of pitch, or what it is worth on the sphere; 0 where the range is empty."""
    if high <= low:
        return 0.0
    return math.degrees(math.sin(math.radians(high)) - math.sin(math.radians(low))) if sphere else high - low


def _shared_yaw(a: Bfov, b: Bfov) -> float:
    """Degrees of yaw that both cover; two wide fields can meet on both sides."""
    apart = wrapped(b.yaw - a.yaw)
    ends = ((apart + turn - b.width / 2, apart + turn + b.width / 2) for turn in (-FULL_DEG, 0.0, FULL_DEG))
    return sum(max(min(a.width / 2, high) - max(-a.width / 2, low), 0.0) for low, high in ends)


def parse_bfov(text: str) -> Bfov | None:
    """The field that the only four numbers of a text give (yaw, pitch, width, height); None for anything else.

    >>> parse_bfov("[30, -10.5, 20, 12]")
    Bfov(yaw=30.0, pitch=-10.5, width=20.0, height=12.0)
    """
    numbers = [q.value for q in quantities(text)]
    try:
        return Bfov(*numbers) if len(numbers) == 4 else None
    except ValueError:
        return None


def mask_bfov(mask: NDArray[np.bool_]) -> Bfov | None:
    """The field around the pixels of a mask of a whole panorama, on pixel edges; None for an empty mask.

    mask: shape (height, width). The field goes the short way: it leaves out the widest run of empty columns.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(columns):
        return None
    height, width = mask.shape
    gaps = np.diff(columns, append=columns[0] + width)
    widest = int(gaps.argmax())
    first = int(columns[(widest + 1) % len(columns)])
    count = width - int(gaps[widest]) + 1
    top, tall = int(rows[0]), int(rows[-1] + 1 - rows[0])
    yaw, pitch = FULL_DEG * ((first + count / 2) / width - 0.5), HALF_DEG * (0.5 - (top + tall / 2) / height)
    return Bfov(wrapped(yaw), pitch, FULL_DEG * count / width, HALF_DEG * tall / height)
