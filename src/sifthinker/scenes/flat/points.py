"""Labelled points in a square picture, on white paper or on a ruled one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...geometry import Box
from .canvas import COLORS, INK, LETTERS, PAPER, RULE, Canvas, Point, box_around

RADIUS = 0.062
"""Of a point's disc, as a share of the picture's side."""
APART = 0.2
"""Least distance between two points, as a share of the side."""
BORDER = 0.09
"""Least distance of a point from the borders."""
TRIES = 200


@dataclass(frozen=True)
class Points:
    """Points in a square picture.

    side: of the picture in pixels. at: (x, y) of each as shares of the side, from the top left corner.
    names: a letter each, drawn on its disc. colors: keys of `canvas.COLORS`.
    ruled: number of cells each way into which lines divide the picture, 0 for none.
    """

    side: int
    at: tuple[Point, ...]
    names: tuple[str, ...]
    colors: tuple[str, ...]
    ruled: int = 0

    @property
    def depth(self) -> None:
        """A drawing has none."""

    @property
    def labels(self) -> tuple[str, ...]:
        """For example "point labelled B"."""
        return tuple(f"point labelled {name}" for name in self.names)

    @property
    def image(self) -> NDArray[np.uint8]:
        """The picture, shape (side, side, 3)."""
        return self._picture

    @cached_property
    def _picture(self) -> NDArray[np.uint8]:
        canvas, side = Canvas((self.side, self.side)), self.side
        for line in range(1, self.ruled):
            place = side * line / self.ruled
            canvas.path([(place, 0), (place, side)], RULE)
            canvas.path([(0, place), (side, place)], RULE)
        for (x, y), name, color in zip(self.at, self.names, self.colors, strict=True):
            canvas.disc((x * side, y * side), RADIUS * side, COLORS[color], INK)
            canvas.letter((x * side, y * side), name, 1.55 * RADIUS * side, PAPER)
        return canvas.pixels()

    @property
    def boxes(self) -> tuple[Box | None, ...]:
        """Around each disc."""
        return tuple(box_around([place], (1, 1), RADIUS) for place in self.at)

    def to_json(self) -> dict[str, Any]:
        """Inverse: `Points.from_json`."""
        places = [list(place) for place in self.at]
        named = {"names": list(self.names), "colors": list(self.colors)}
        return {"kind": "points", "side": self.side, "at": places, **named, "ruled": self.ruled}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Points:
        """Points as they were stored."""
        at = tuple((float(x), float(y)) for x, y in data["at"])
        return cls(int(data["side"]), at, tuple(data["names"]), tuple(data["colors"]), int(data["ruled"]))


def scatter(rng: Generator, count: int) -> list[Point] | str:
    """Random places in the unit square, three decimals, `APART` from each other and `BORDER` from the borders."""
    places: list[Point] = []
    for _ in range(TRIES):
        x, y = np.round(rng.uniform(BORDER, 1 - BORDER, 2), 3)
        if all(np.hypot(x - a, y - b) >= APART for a, b in places):
            places.append((float(x), float(y)))
        if len(places) == count:
            return places
    return f"no room for {count} points that are {APART} apart"


def on_crossings(rng: Generator, count: int, cells: int) -> list[Point] | str:
    """Random inner crossings of lines that divide the unit square into `cells` each way, `APART` from each other."""
    crossings = [(x / cells, y / cells) for y in range(1, cells) for x in range(1, cells)]
    places: list[Point] = []
    for index in rng.permutation(len(crossings)):
        x, y = crossings[index]
        if all(np.hypot(x - a, y - b) >= APART - 1e-9 for a, b in places):
            places.append((x, y))
        if len(places) == count:
            return places
    return f"no room for {count} points on {cells - 1} by {cells - 1} crossings"


def with_names(rng: Generator, side: int, places: Sequence[Point], ruled: int = 0) -> Points:
    """A world of points with the first letters in random order, and colors that all differ."""
    names = tuple(LETTERS[i] for i in rng.permutation(len(places)))
    colors = tuple(str(c) for c in rng.permutation(list(COLORS))[: len(places)])
    return Points(side, tuple(places), names, colors, ruled)
