"""How two shapes on a map stand to each other: the names of the OGC, from shapely, with margins in pixels.

    equals  disjoint  touches  contains  within  overlaps  crosses      and intersects, which all but disjoint are

Within its margin a relation is clear in the picture; a pair that is not clearly one of them has none.
"""

from __future__ import annotations

from itertools import product
from typing import Any

RELATIONS = ("disjoint", "touches", "overlaps", "within", "contains", "equals", "crosses")
"""Each pair of shapes has one of these at most; `intersects` is true of all but the first."""

APART_PX = 6.0
"""Disjoint: the shortest distance between them."""
SHARED_PX = 10.0
"""Touches: length of the border that they share."""
INNER_PX = 4.0
"""Within, contains: the shortest distance between their borders."""
SHARE = (0.15, 0.85)
"""Overlaps: what they share, as a part of the smaller one."""
PIECE_PX = 12.0
"""Crosses: length of a line inside of a polygon, and outside; distance of a crossing of two lines from their ends."""


def relation(a: Any, b: Any) -> str | None:
    """How shapely geometry `a` stands to `b`: one of `RELATIONS`, or None within the margins."""
    if a.disjoint(b):
        return "disjoint" if a.distance(b) >= APART_PX else None
    if a.equals(b):
        return "equals"
    if a.touches(b):
        return "touches" if a.intersection(b).length >= SHARED_PX else None
    for name, outer, inner in (("contains", a, b), ("within", b, a)):
        if outer.contains(inner):
            border = inner.boundary if inner.area else inner
            return name if outer.boundary.distance(border) >= INNER_PX else None
    if a.area and b.area:
        share = a.intersection(b).area / min(a.area, b.area)
        return "overlaps" if SHARE[0] <= share <= SHARE[1] else None
    return "crosses" if a.crosses(b) and _crosses_clearly(a, b) else None


def _crosses_clearly(a: Any, b: Any) -> bool:
    if a.area or b.area:
        line, area = (b, a) if a.area else (a, b)
        return min(line.intersection(area).length, line.difference(area).length) >= PIECE_PX
    place = a.intersection(b)
    ends = product((a, b), (0, -1))
    return place.geom_type == "Point" and all(_end(line, which).distance(place) >= PIECE_PX for line, which in ends)


def _end(line: Any, which: int) -> Any:
    from shapely import Point

    return Point(line.coords[which])
