"""Random maps of land: shapes that stand apart, two in a given relation, a place with buildings around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .canvas import LETTERS, Point
from .land import AREAS, LINES, Corner, Land, Shape, geometry
from .topology import relation

SCALES = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Metres of a pixel."""
LEAST_EDGE = 6
"""Least length of an edge, in pixels."""
BORDER = 3
"""Polygons stay so many pixels away from the picture's borders."""
TRIES = 60

Gap = tuple[float, float]
INSIDE: Gap = (0.0, 0.0)
OUTSIDE: Gap = (0.0, float("inf"))
"""How far a building may be from the polygon that it is put beside, in pixels: from, to."""

Corners = tuple[Corner, ...]
Plain = tuple[str, Corners]
"""A shape without its letter: what it is, and its corners."""


# --- maps ----------------------------------------------------------------------------------------------------------


def apart(rng: Generator, side: int, count: int, lines: bool = False) -> Land | str:
    """Polygons of different kinds, clearly disjoint; with `lines` one of the shapes may be a line."""
    kinds = [str(w) for w in rng.permutation(list(AREAS))[:count]]
    shapes: list[Plain] = []
    if lines and rng.random() < 0.5:
        shapes.append((str(rng.choice(list(LINES))), strip(rng, side)))
    for what in kinds[len(shapes) :]:
        if not _add(rng, side, shapes, what, blob, (0.09, 0.17)):
            return f"no room for {count} shapes"
    return finished(rng, side, shapes)


def paired(rng: Generator, side: int, kinds: str, wanted: str) -> Land | str:
    """Two shapes of which one stands to the other as wanted, and perhaps a third that is apart.

    kinds, wanted: keys of `PAIRS`.
    """
    base = blob(rng, _place(rng, side, 0.35), float(rng.uniform(0.2, 0.28)) * side)
    corners = None if base is None else PAIRS[kinds][wanted](rng, side, base)
    if corners is None:
        return f"no pair for {wanted}"
    areas, lines = (iter([str(w) for w in rng.permutation(list(names))]) for names in (AREAS, LINES))
    shapes: list[Plain] = [
        (next(areas if closed else lines), c) for closed, c in zip(CLOSED[kinds], corners, strict=True)
    ]
    if relation(*(geometry(*shape) for shape in shapes)) != wanted:
        return f"not clearly {wanted}"
    if rng.random() < 0.5:
        _add(rng, side, shapes, next(areas), blob, (0.07, 0.12))
    return finished(rng, side, shapes)


def gathered(rng: Generator, side: int, gaps: Sequence[Gap]) -> Land | str:
    """A large polygon, and a building within each of the given distances of it."""
    what = str(rng.choice([w for w in AREAS if w != "building"]))
    base = blob(rng, _place(rng, side, 0.35), float(rng.uniform(0.22, 0.32)) * side)
    if base is None or not _framed(base, side):
        return "a spoiled polygon"
    shapes: list[Plain] = [(what, base)]
    for gap in gaps:
        if not _add(rng, side, shapes, "building", block, (0.05, 0.075), gap):
            return "no room for the buildings"
    return finished(rng, side, shapes)


def _add(
    rng: Generator,
    side: int,
    shapes: list[Plain],
    what: str,
    form: Callable[[Generator, Point, float], Corners | None],
    radii: tuple[float, float],
    gap: Gap = OUTSIDE,
) -> bool:
    """Put a random polygon among shapes, clearly disjoint from all but the first one, of which it is as far as said."""
    others = [geometry(*shape) for shape in shapes]
    wanted = ["within" if gap == INSIDE and k == 0 else "disjoint" for k in range(len(others))]
    for _ in range(TRIES):
        corners = form(rng, _place(rng, side, 0.08), float(rng.uniform(*radii)) * side)
        if corners is None or not _framed(corners, side):
            continue
        own = geometry(what, corners)
        if others and not gap[0] <= own.distance(others[0]) <= gap[1]:
            continue
        if all(relation(own, other) == way for other, way in zip(others, wanted, strict=True)):
            shapes.append((what, corners))
            return True
    return False


def finished(rng: Generator, side: int, shapes: Sequence[Plain]) -> Land:
    """A map of shapes, large ones drawn first, with letters in random order."""
    order = sorted(shapes, key=lambda shape: -geometry(*shape).area)
    return Land(side, float(rng.choice(SCALES)), marked(rng, side, order))


# --- shapes --------------------------------------------------------------------------------------------------------


def _place(rng: Generator, side: int, margin: float) -> Point:
    x, y = rng.uniform(margin, 1 - margin, 2) * side
    return float(x), float(y)


def _framed(corners: Corners, side: int) -> bool:
    return bool(np.min(corners) >= BORDER and np.max(corners) <= side - BORDER)


def _sound(points: NDArray[np.float64]) -> Corners | None:
    """Corners on whole pixels, if they make a simple polygon without short edges."""
    corners = tuple((int(x), int(y)) for x, y in np.rint(points))
    edges = zip(corners, [*corners[1:], corners[0]], strict=True)
    if any(np.hypot(a[0] - b[0], a[1] - b[1]) < LEAST_EDGE for a, b in edges):
        return None
    return corners if geometry("lake", corners).is_valid else None


def _around(middle: Point, angles: NDArray[np.float64], reach: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.stack([middle[0] + reach * np.cos(angles), middle[1] + reach * np.sin(angles)], axis=1)


def blob(rng: Generator, middle: Point, radius: float) -> Corners | None:
    """A random simple polygon with 4 to 7 corners, all seen from the middle; None where rounding spoils it."""
    count = int(rng.integers(4, 8))
    angles = 2 * np.pi * (np.arange(count) + rng.uniform(-0.3, 0.3, count) + rng.random()) / count
    return _sound(_around(middle, angles, radius * rng.uniform(0.6, 1.0, count)))


def block(rng: Generator, middle: Point, radius: float) -> Corners | None:
    """A random rectangle, turned at random; None where rounding spoils it."""
    wide, turn = rng.uniform(1.0, 2.1), rng.random() * np.pi
    angles = turn + np.array([-wide / 2, wide / 2, np.pi - wide / 2, np.pi + wide / 2])
    return _sound(_around(middle, angles, radius))


def strip(rng: Generator, side: int) -> Corners:
    """A random line from near one border to near the opposite one, with one bend."""
    start, end = (int(v) for v in rng.integers(4, side - 4, 2))
    x, y = (int(v) for v in rng.integers(side // 3, 2 * side // 3, 2))
    left, right = (int(v) for v in rng.integers(4, side // 8, 2))
    corners = ((left, start), (x, y), (side - right, end))
    return corners if rng.random() < 0.5 else tuple((y, x) for x, y in corners)


# --- pairs: (rng, side, polygon) -> corners of the subject and of the other ------------------------------------------

Pair = tuple[Corners, Corners]
MakePair = Callable[[Generator, int, Corners], Pair | None]


def _disjoint(rng: Generator, side: int, base: Corners) -> Pair | None:
    small = _shrunk(base, 0.6)
    other = blob(rng, _place(rng, side, 0.15), 0.14 * side)
    return (small, other) if small and other else None


def _touches(rng: Generator, side: int, base: Corners) -> Pair | None:
    """The other polygon lies on the outer side of one edge and has that edge too."""
    own = _shrunk(base, 0.8)
    if own is None:
        return None
    index = int(rng.integers(len(own)))
    p, q = np.array(own[index], float), np.array(own[(index + 1) % len(own)], float)
    along, middle = q - p, np.mean(own, axis=0)
    out = np.array([along[1], -along[0]]) / np.hypot(*along)
    out *= np.sign(out @ (p - middle)) * rng.uniform(0.12, 0.22) * side
    other = _sound(np.array([p, q, q + out + along * rng.uniform(-0.2, 0.2), p + out + along * rng.uniform(-0.2, 0.2)]))
    return (own, other) if other else None


def _overlaps(rng: Generator, side: int, base: Corners) -> Pair | None:
    angle, reach = rng.random() * 2 * np.pi, rng.uniform(0.12, 0.3) * side
    x, y = np.mean(base, axis=0) + reach * np.array([np.cos(angle), np.sin(angle)])
    other = blob(rng, (float(x), float(y)), float(rng.uniform(0.14, 0.24)) * side)
    return (base, other) if other else None


def _contains(rng: Generator, side: int, base: Corners) -> Pair | None:
    x, y = np.mean(base, axis=0) + rng.uniform(-0.05, 0.05, 2) * side
    inner = blob(rng, (float(x), float(y)), float(rng.uniform(0.08, 0.12)) * side)
    return (base, inner) if inner else None


def _equals(rng: Generator, side: int, base: Corners) -> Pair | None:
    """The same corners from another one on, so that lists of corners do not give it away."""
    start = int(rng.integers(1, len(base)))
    return base, base[start:] + base[:start]


def _line_apart(rng: Generator, side: int, base: Corners) -> Pair | None:
    small = _shrunk(base, 0.6)
    return (strip(rng, side), small) if small else None


def _line_along(rng: Generator, side: int, base: Corners) -> Pair | None:
    """The line comes from near the picture's border, straight enough not to graze, and ends with one of the edges."""
    index = int(rng.integers(len(base)))
    edge = [base[index - 1], base[index]]
    p, q = edge if rng.random() < 0.5 else edge[::-1]
    line = (strip(rng, side)[0], p, q)
    way, out = np.subtract(line[0], p), np.subtract(p, np.mean(base, axis=0))
    if way @ out < 0.5 * np.hypot(*way) * np.hypot(*out):
        return None
    return line if rng.random() < 0.5 else line[::-1], base


def _line_inside(rng: Generator, side: int, base: Corners) -> Pair | None:
    pair = _contains(rng, side, base)
    return pair and (pair[1][:3], base)


def _line_across(rng: Generator, side: int, base: Corners) -> Pair | None:
    return strip(rng, side), base


def _lines(rng: Generator, side: int, base: Corners) -> Pair | None:
    return strip(rng, side), strip(rng, side)


def _swapped(pair: MakePair) -> MakePair:
    def make(rng: Generator, side: int, base: Corners) -> Pair | None:
        made = pair(rng, side, base)
        return made and (made[1], made[0])

    return make


def _shrunk(corners: Corners, share: float) -> Corners | None:
    middle = np.mean(corners, axis=0)
    return _sound(middle + share * (np.array(corners, float) - middle))


PAIRS: dict[str, dict[str, MakePair]] = {
    "polygons": {
        "disjoint": _disjoint,
        "touches": _touches,
        "overlaps": _overlaps,
        "within": _swapped(_contains),
        "contains": _contains,
        "equals": _equals,
    },
    "line and polygon": {
        "disjoint": _line_apart,
        "touches": _line_along,
        "within": _line_inside,
        "crosses": _line_across,
    },
    "polygon and line": {
        "disjoint": _swapped(_line_apart),
        "touches": _swapped(_line_along),
        "contains": _swapped(_line_inside),
        "crosses": _swapped(_line_across),
    },
    "lines": {"disjoint": _lines, "crosses": _lines},
}
"""How two shapes in a relation are drawn, by their kinds; what comes out is checked."""
CLOSED = {
    "polygons": (True, True),
    "line and polygon": (False, True),
    "polygon and line": (True, False),
    "lines": (False, False),
}
"""Which of the two are polygons."""


# --- letters -------------------------------------------------------------------------------------------------------


def marked(rng: Generator, side: int, shapes: Sequence[Plain]) -> tuple[Shape, ...]:
    """Shapes with letters in random order, each letter where it is on nothing else, if there is such a place."""
    forms = [geometry(*shape) for shape in shapes]
    letters = [LETTERS[i] for i in rng.permutation(len(shapes))]
    found: list[Shape] = []
    for number, (what, corners) in enumerate(shapes):
        spots = _spots(rng, forms[number], side)
        room = _room(spots, forms[number], forms[:number] + forms[number + 1 :], [s.mark for s in found])
        x, y = spots[int(np.argmax(room))]
        found.append(Shape(what, corners, letters[number], (int(x), int(y))))
    return tuple(found)


def _spots(rng: Generator, form: Any, side: int) -> NDArray[np.float64]:
    """Some places on a line or inside of a polygon, away from the picture's borders; whole pixels, shape (n, 2)."""
    import shapely

    if form.area:
        x0, y0, x1, y1 = form.bounds
        drawn = rng.uniform((x0, y0), (x1, y1), (60, 2))
        drawn = drawn[shapely.contains_xy(form, drawn)]
    else:
        drawn = shapely.get_coordinates(shapely.line_interpolate_point(form, np.linspace(0.1, 0.9, 25), True))
    return np.rint(np.clip(drawn, 8, side - 8))


def _room(spots: NDArray[np.float64], own: Any, others: list[Any], marks: list[Corner]) -> NDArray[np.float64]:
    """How free a letter is at each of some places, in pixels: from its own border, other shapes and other letters."""
    import shapely

    points = shapely.points(spots)
    room = np.full(len(spots), 8.0)
    if own.area:
        room = np.minimum(room, shapely.distance(own.boundary, points))
    for other in others:
        if not other.covers(own):
            room = np.minimum(room, shapely.distance(other, points))
    for mark in marks:
        room = np.minimum(room, np.hypot(*(spots - mark).T) / 2 - 4)
    return room
