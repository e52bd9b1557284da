"""Maps of floors: what stands where, seen from above, as extents along x and y in metres; and how good a map is.

    [{"label": "red cube", "x": [-0.40, 0.31], "y": [2.05, 2.77]}, ...]

Source of the form: Video2Layout (its map block). `map_score` is ours: the source scores answers, not maps.
Rotated footprints and heights are left out; what the axes are is said by the question.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .normalize import normalize

REACH_M = 1.0
"""A center that is this far off earns nothing for its place."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The axis-aligned rectangle that a thing covers on the map, metres. Raises `ValueError` for an empty one."""

    label: str
    x0: float
    x1: float
    y0: float
    y1: float

    def __post_init__(self) -> None:
        numbers = (self.x0, self.x1, self.y0, self.y1)
        if not (all(map(math.isfinite, numbers)) and self.x0 < self.x1 and self.y0 < self.y1):
            raise ValueError(f"extent of {self.label}: {list(numbers)}: need finite x0 < x1 and y0 < y1")

    @property
    def center(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def size(self) -> tuple[float, float]:
        return self.x1 - self.x0, self.y1 - self.y0

    def iou(self, other: Extent) -> float:
        """Intersection over union of the rectangles, in [0, 1]."""
        across = min(self.x1, other.x1) - max(self.x0, other.x0)
        along = min(self.y1, other.y1) - max(self.y0, other.y0)
        shared = max(across, 0.0) * max(along, 0.0)
        return shared / (math.prod(self.size) + math.prod(other.size) - shared)

    def likeness(self, other: Extent) -> float:
        """Mean of the IoU and of how near the centers are (1 at the same place, 0 from `REACH_M` on)."""
        return (self.iou(other) + max(0.0, 1 - math.dist(self.center, other.center) / REACH_M)) / 2


FloorMap = tuple[Extent, ...]


def format_map(floor: Sequence[Extent]) -> str:
    """The map as text, centimetres written out; inverse of `parse_map` up to that."""
    things = (
        f'{{"label": {json.dumps(e.label)}, "x": [{e.x0:.2f}, {e.x1:.2f}], "y": [{e.y0:.2f}, {e.y1:.2f}]}}'
        for e in floor
    )
    return f"[{', '.join(things)}]"


def parse_map(text: str) -> FloorMap | None:
    """The map that a text gives, around which there may be tags or a code fence; None where there is no whole one.

    >>> parse_map('<map>[{"label": "bed", "x": [0, 2], "y": [1, 2.5]}]</map>')
    (Extent(label='bed', x0=0.0, x1=2.0, y0=1.0, y1=2.5),)
    """
    start, end = text.find("["), text.rfind("]")
    try:
        things = json.loads(text[start : end + 1]) if start >= 0 else None
        return tuple(_extent(thing) for thing in things) if isinstance(things, list) else None
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None


def _extent(thing: dict[str, object]) -> Extent:
    label, (x0, x1), (y0, y1) = thing["label"], thing["x"], thing["y"]  # type: ignore[misc]
    numbers = (x0, x1, y0, y1)
    if not isinstance(label, str) or any(type(v) not in (int, float) for v in numbers):
        raise TypeError
    return Extent(label, *(float(v) for v in numbers))


def map_score(found: Sequence[Extent], gold: Sequence[Extent]) -> float:
    """How good a map is, in [0, 1]: likeness of what is matched one to one within each label, over the larger number.

    Missing and surplus things both cost. Two empty maps have 1.0.
    """
    most = max(len(found), len(gold))
    return sum(_matched(f, g) for f, g in _by_label(found, gold)) / most if most else 1.0


def _by_label(found: Sequence[Extent], gold: Sequence[Extent]) -> list[tuple[list[Extent], list[Extent]]]:
    groups: dict[str, tuple[list[Extent], list[Extent]]] = defaultdict(lambda: ([], []))
    for side, things in enumerate((found, gold)):
        for thing in things:
            groups[normalize(thing.label)][side].append(thing)
    return [pair for pair in groups.values() if all(pair)]


def _matched(found: list[Extent], gold: list[Extent]) -> float:
    """The largest sum of likenesses of a one-to-one matching."""
    likeness = np.array([[f.likeness(g) for g in gold] for f in found])
    if 1 in likeness.shape:
        return float(likeness.max())
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-likeness)
    return float(likeness[rows, columns].sum())
