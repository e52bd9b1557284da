"""A map of square cells, open or blocked, with marked places, a traveler and perhaps a drawn route."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...geometry import Box
from .canvas import COLORS, INK, PAPER, RULE, Canvas, Color, Point

Cell = tuple[int, int]
"""(row, column), from the top left, starting at 0."""

BLOCKED: Color = (92, 96, 104)
STEPS: dict[str, Cell] = {"up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}
"""The four moves, clockwise."""
MARKS = tuple(name for name in COLORS if name not in ("red", "orange"))
"""Colors of marked places; the others are for travelers and routes."""


@dataclass(frozen=True)
class GridMap:
    """A map.

    side: of the picture in pixels. rows: one text a row, "." open and "#" blocked; as many rows as columns.
    marks: name (a letter, drawn on it) and cell of each marked place. traveler: the cell and heading (a key of `STEPS`)
    of an arrow, or None. route: cells that a drawn line goes through, each beside the one before.
    """

    side: int
    rows: tuple[str, ...]
    marks: tuple[tuple[str, Cell], ...]
    traveler: tuple[Cell, str] | None = None
    route: tuple[Cell, ...] = ()

    @property
    def depth(self) -> None:
        """A drawing has none."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The marked places, then the traveler, then each cell of the route."""
        here = ("traveler's arrow",) if self.traveler else ()
        return (
            *(f"place marked {name}" for name, _ in self.marks),
            *here,
            *(("piece of the route",) * len(self.route)),
        )

    @property
    def places(self) -> tuple[Cell, ...]:
        """The cells of `labels`."""
        here = (self.traveler[0],) if self.traveler else ()
        return (*(cell for _, cell in self.marks), *here, *self.route)

    @property
    def boxes(self) -> tuple[Box | None, ...]:
        """Around the cell of each thing."""
        n = len(self.rows)
        return tuple(Box(c / n, r / n, (c + 1) / n, (r + 1) / n) for r, c in self.places)

    def is_open(self, cell: Cell) -> bool:
        """Whether a cell is on the map and not blocked."""
        r, c = cell
        return 0 <= r < len(self.rows) and 0 <= c < len(self.rows) and self.rows[r][c] == "."

    @property
    def image(self) -> NDArray[np.uint8]:
        """The picture, shape (side, side, 3)."""
        return self._picture

    @cached_property
    def _picture(self) -> NDArray[np.uint8]:
        canvas, n = Canvas((self.side, self.side)), len(self.rows)
        cell = self.side / n

        def middle(place: Cell) -> Point:
            return (place[1] + 0.5) * cell, (place[0] + 0.5) * cell

        for r, row in enumerate(self.rows):
            for c, what in enumerate(row):
                (x0, x1), (y0, y1) = (c * cell, (c + 1) * cell), (r * cell, (r + 1) * cell)
                corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
                canvas.polygon(corners, BLOCKED if what == "#" else PAPER, RULE)
        if self.route:
            canvas.path([middle(place) for place in self.route], COLORS["orange"], 0.14 * cell)
        for number, (name, place) in enumerate(self.marks):
            canvas.disc(middle(place), 0.38 * cell, COLORS[MARKS[number % len(MARKS)]], INK)
            canvas.letter(middle(place), name, 0.58 * cell, PAPER)
        if self.traveler:
            (x, y), (down, right) = middle(self.traveler[0]), STEPS[self.traveler[1]]
            reach = 0.42 * cell
            tail, tip = (x - right * reach, y - down * reach), (x + right * reach, y + down * reach)
            canvas.arrow(tail, tip, COLORS["red"], 0.2 * cell, 0.5 * cell)
        return canvas.pixels()

    def to_json(self) -> dict[str, Any]:
        """Inverse: `GridMap.from_json`."""
        return {
            "kind": "gridmap",
            "side": self.side,
            "rows": list(self.rows),
            "marks": [[name, list(cell)] for name, cell in self.marks],
            "traveler": None if self.traveler is None else [list(self.traveler[0]), self.traveler[1]],
            "route": [list(cell) for cell in self.route],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GridMap:
        """A map as it was stored."""
        here = data["traveler"]
        return cls(
            int(data["side"]),
            tuple(data["rows"]),
            tuple((str(name), _cell(cell)) for name, cell in data["marks"]),
            None if here is None else (_cell(here[0]), str(here[1])),
            tuple(_cell(cell) for cell in data["route"]),
        )


def _cell(values: Sequence[int]) -> Cell:
    r, c = values
    return int(r), int(c)


def random_rows(rng: Generator, n: int, share: float) -> tuple[str, ...]:
    """An n by n map of which about `share` is blocked, at random."""
    return tuple("".join("#" if rng.random() < share else "." for _ in range(n)) for _ in range(n))


def shortest_moves(grid: GridMap, start: Cell, goal: Cell) -> list[str] | None:
    """Moves of one shortest way between two cells, or None where there is none (breadth first; ties by `STEPS`)."""
    came: dict[Cell, tuple[Cell, str]] = {}
    waiting = deque([start])
    while waiting and goal not in came:
        here = waiting.popleft()
        for move, (down, right) in STEPS.items():
            there = (here[0] + down, here[1] + right)
            if grid.is_open(there) and there not in came and there != start:
                came[there] = (here, move)
                waiting.append(there)
    if goal not in came:
        return None
    moves: list[str] = []
    while goal != start:
        goal, move = came[goal]
        moves.append(move)
    return moves[::-1]
