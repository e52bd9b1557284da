"""A square sheet of paper that is folded, punched and unfolded.

The sheet is the unit square, y down. A fold keeps the paper on one side of a line and lays the rest upon it. Every fold
halves the paper, so the folded paper is one convex polygon; each fold keeps its own line, and unfolding takes the lines
in reverse. Folds that leave paper over the edge are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import dist, hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...geometry import Box, Size
from .canvas import INK, LETTERS, PAPER, RULE, Canvas, Color, Point

SQUARE: tuple[Point, ...] = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
HOLE = 0.05
"""Radius of a hole, as a share of the sheet's side."""
SHEET: Color = (255, 246, 214)
FOLDED: Color = (226, 196, 130)
"""Color of the part that a fold moves."""


@dataclass(frozen=True)
class Fold:
    """A line through `point` across the unit vector `normal`; paper on the side that it points to is laid over."""

    point: Point
    normal: Point

    def beyond(self, place: Point) -> float:
        """How far a place is on the side that moves; negative on the side that stays."""
        return (place[0] - self.point[0]) * self.normal[0] + (place[1] - self.point[1]) * self.normal[1]

    def reflect(self, place: Point) -> Point:
        """The mirror image of a place in the line."""
        far = 2 * self.beyond(place)
        return place[0] - far * self.normal[0], place[1] - far * self.normal[1]


def fold_onto(polygon: Sequence[Point], a: Point, b: Point) -> Fold | None:
    """The fold that lays `a` upon `b`, if it halves the polygon: the laid half covers the half that stays, exactly."""
    away = hypot(a[0] - b[0], a[1] - b[1])
    fold = Fold(((a[0] + b[0]) / 2, (a[1] + b[1]) / 2), ((a[0] - b[0]) / away, (a[1] - b[1]) / away))
    whole = all(min(dist(fold.reflect(p), q) for q in polygon) < 1e-9 for p in polygon)
    return fold if whole else None


def folds_of(polygon: Sequence[Point]) -> list[Fold]:
    """Every fold that halves a polygon, both ways."""
    found: list[Fold] = []
    for a in polygon:
        for b in polygon:
            fold = None if a == b else fold_onto(polygon, a, b)
            if fold is not None and not any(_same(fold, other) for other in found):
                found.append(fold)
    return found


def _same(a: Fold, b: Fold) -> bool:
    return dist(a.normal, b.normal) < 1e-9 and abs(a.beyond(b.point)) < 1e-9


def kept(polygon: Sequence[Point], fold: Fold) -> tuple[Point, ...]:
    """The part of a convex polygon that stays where it is."""
    return _cut(polygon, fold, 1.0)


def laid(polygon: Sequence[Point], fold: Fold) -> tuple[Point, ...]:
    """The part of a convex polygon that is laid over, where it was before."""
    return _cut(polygon, fold, -1.0)


def _cut(polygon: Sequence[Point], fold: Fold, sign: float) -> tuple[Point, ...]:
    found: list[Point] = []
    for a, b in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        u, v = sign * fold.beyond(a), sign * fold.beyond(b)
        if u <= 1e-9:
            found.append(a)
        if min(u, v) < -1e-9 and max(u, v) > 1e-9:
            t = u / (u - v)
            found.append((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])))
    return tuple(found)


def unfolded(holes: Iterable[Point], folds: Sequence[Fold]) -> tuple[Point, ...]:
    """Holes in the flat sheet for holes punched through all layers of the folded one, sorted."""
    found = list(holes)
    for fold in reversed(folds):
        found += [fold.reflect(place) for place in found]
    return tuple(sorted((round(x, 6), round(y, 6)) for x, y in found))


def differ(a: Sequence[Point], b: Sequence[Point]) -> float:
    """How different two sets of holes are: the farthest that a hole of either is from the nearest of the other."""
    ways = ((a, b), (b, a))
    return max(min(dist(p, q) for q in second) for first, second in ways for p in first)


@dataclass(frozen=True)
class Sheet:
    """A picture of a sheet's folds, its holes, and options of the sheet unfolded.

    panel: side of each panel in pixels. folds: in order. punched: holes in the folded sheet. options: holes of each
    option, on the flat sheet.
    """

    panel: int
    folds: tuple[Fold, ...]
    punched: tuple[Point, ...]
    options: tuple[tuple[Point, ...], ...]

    @property
    def depth(self) -> None:
        """A drawing has none."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The steps, the punched sheet, the options."""
        steps = (f"drawing of fold {i}" for i in range(1, len(self.folds) + 1))
        return (
            *steps,
            "drawing of the punched sheet",
            *(f"picture labelled {LETTERS[i]}" for i in range(len(self.options))),
        )

    @property
    def size(self) -> Size:
        """(width, height) in pixels: steps in the first row, options in the second."""
        return max(len(self.folds) + 1, len(self.options)) * self.panel, 2 * self.panel

    def _corner(self, number: int) -> Point:
        steps = len(self.folds) + 1
        row, column = (0, number) if number < steps else (1, number - steps)
        return float(column * self.panel), float(row * self.panel)

    @property
    def boxes(self) -> tuple[Box | None, ...]:
        """Around each panel."""
        (width, height), p = self.size, self.panel
        corners = [self._corner(i) for i in range(len(self.labels))]
        return tuple(Box(x / width, y / height, (x + p) / width, (y + p) / height) for x, y in corners)

    @property
    def shapes(self) -> list[tuple[Point, ...]]:
        """The folded paper before each fold, and at the end."""
        found = [SQUARE]
        for fold in self.folds:
            found.append(kept(found[-1], fold))
        return found

    @property
    def image(self) -> NDArray[np.uint8]:
        """The picture, shape (height, width, 3)."""
        return self._picture

    @cached_property
    def _picture(self) -> NDArray[np.uint8]:
        (width, height), p = self.size, self.panel
        canvas = Canvas((width, height))
        canvas.path([(0, p), (width, p)], INK)
        for number in range(len(self.labels)):
            self._panel(canvas, number)
        for column in range(1, width // p):
            canvas.path([(column * p, 0), (column * p, height)], RULE)
        return canvas.pixels()

    def _panel(self, canvas: Canvas, number: int) -> None:
        (left, top), p = self._corner(number), self.panel
        side, steps = 0.72 * p, len(self.folds)

        def place(points: Iterable[Point]) -> list[Point]:
            return [(left + 0.2 * p + x * side, top + 0.2 * p + y * side) for x, y in points]

        if number <= steps:
            canvas.path(place([*SQUARE, SQUARE[0]]), RULE, 0.8, dash=2.5)
            canvas.polygon(place(self.shapes[number]), SHEET, INK)
        else:
            canvas.polygon(place(SQUARE), SHEET, INK)
        if number < steps:
            fold = self.folds[number]
            moving = laid(self.shapes[number], fold)
            canvas.polygon(place(moving), FOLDED, INK)
            middle = (sum(x for x, _ in moving) / len(moving), sum(y for _, y in moving) / len(moving))
            start, end = place([middle, fold.reflect(middle)])
            canvas.arrow(start, end, INK, 1.2, 5)
        holes = self.punched if number == steps else self.options[number - steps - 1] if number > steps else ()
        for hole in place(holes):
            canvas.disc(hole, HOLE * side, PAPER, INK)
        mark = str(number + 1) if number <= steps else LETTERS[number - steps - 1]
        canvas.letter((left + 0.1 * p, top + 0.11 * p), mark, max(9.0, 0.17 * p))

    def to_json(self) -> dict[str, Any]:
        """Inverse: `Sheet.from_json`."""
        return {
            "kind": "sheet",
            "panel": self.panel,
            "folds": [{"point": list(fold.point), "normal": list(fold.normal)} for fold in self.folds],
            "punched": [list(hole) for hole in self.punched],
            "options": [[list(hole) for hole in option] for option in self.options],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sheet:
        """A sheet as it was stored."""
        folds = tuple(Fold(_point(f["point"]), _point(f["normal"])) for f in data["folds"])
        options = tuple(tuple(map(_point, option)) for option in data["options"])
        return cls(int(data["panel"]), folds, tuple(map(_point, data["punched"])), options)


def _point(values: Sequence[float]) -> Point:
    x, y = values
    return float(x), float(y)
