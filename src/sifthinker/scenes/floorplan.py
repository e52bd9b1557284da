"""`FloorPlan`: a room told in words, and every layout that the words allow.

No two things stand at one place. A statement says where one thing is from another: "north" is straight north,
"northeast" is somewhere to the north and to the east. `FloorPlan.directions` goes through all layouts that agree with
the statements, so a relation is known, or it is known that it cannot be known.

Statements and answers speak of order only, so a layout is an order of the things from west to east and one from south
to north, with ties, but never the same two things tied in both. Distances, sizes and heights are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import Box

Step = tuple[int, int]
"""Signs of how far east and how far north."""

COMPASS: dict[str, Step] = {
    "north": (0, 1),
    "northeast": (1, 1),
    "east": (1, 0),
    "southeast": (1, -1),
    "south": (0, -1),
    "southwest": (-1, -1),
    "west": (-1, 0),
    "northwest": (-1, 1),
}
"""Clockwise from north."""
NAMES: dict[Step, str] = {step: name for name, step in COMPASS.items()}

RULES = (
    "Things stand in a room, each at a place of its own. North, east, south and west mean straight in that direction; "
    "northeast means anywhere to the north and to the east, and so on."
)


@dataclass(frozen=True, slots=True)
class Statement:
    """Thing `a` is `direction` of thing `b`, both by their number."""

    a: int
    direction: str
    b: int


@dataclass(frozen=True, eq=False)
class FloorPlan:
    """names: of the things, each with a word of its own. statements: what is told of where they are.

    faces: the compass direction in which each thing faces; "" for those that face nowhere, or of which it is not told.
    """

    names: tuple[str, ...]
    statements: tuple[Statement, ...]
    faces: tuple[str, ...]

    @property
    def image(self) -> None:
        """None: there is no picture."""

    @property
    def depth(self) -> None:
        """None."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names."""
        return self.names

    @property
    def boxes(self) -> tuple[Box | None, ...]:
        """None for every thing."""
        return (None,) * len(self.names)

    @cached_property
    def directions(self) -> dict[tuple[int, int], frozenset[Step]]:
        """For two things (a, b): every direction from b to a that some layout allows; empty if there is no layout."""
        pairs, orders = _orders(len(self.names))
        fitting: list[NDArray[np.int8]] = []
        for axis in (0, 1):
            fits = np.ones(len(orders), dtype=bool)
            for s in self.statements:
                sign, turned = COMPASS[s.direction][axis], s.a > s.b
                fits &= orders[:, pairs.index((s.b, s.a) if turned else (s.a, s.b))] == (-sign if turned else sign)
            fitting.append(orders[fits])
        east, north = fitting
        # Two things are never on one place.
        layouts = (east == 0).astype(np.float32) @ (north == 0).astype(np.float32).T == 0
        # How many layouts have pair k at each direction: sums over the orders of both axes.
        told = {
            (x, y): np.einsum("ik,ik->k", east == x, layouts.astype(np.float32) @ (north == y), dtype=np.float32)
            for x, y in COMPASS.values()
        }
        found: dict[tuple[int, int], frozenset[Step]] = {}
        for k, (a, b) in enumerate(pairs):
            some = {step for step, count in told.items() if count[k]}
            found[a, b] = frozenset(some)
            found[b, a] = frozenset((-x, -y) for x, y in some)
        return found

    def direction(self, a: int, b: int) -> Step | None:
        """The one direction from b to a that all layouts agree on; None if there are several, or no layout at all."""
        some = self.directions[a, b]
        return next(iter(some)) if len(some) == 1 else None

    @cached_property
    def links(self) -> dict[tuple[int, int], int]:
        """How many statements lead from one thing to another; pairs that nothing connects are left out."""
        found = {(s.a, s.b): 1 for s in self.statements} | {(s.b, s.a): 1 for s in self.statements}
        things = range(len(self.names))
        for via in things:
            for a in things:
                for b in things:
                    if a != b and (a, via) in found and (via, b) in found:
                        far = found[a, via] + found[via, b]
                        found[a, b] = min(found.get((a, b), far), far)
        return found

    def told(self) -> str:
        """The description in words."""
        where = [f"The {self.names[s.a]} is {s.direction} of the {self.names[s.b]}." for s in self.statements]
        facing = [f"The {name} faces {way}." for name, way in zip(self.names, self.faces, strict=True) if way]
        return " ".join([RULES, *where, *facing])

    def to_json(self) -> dict[str, Any]:
        """Inverse: `FloorPlan.from_json`."""
        statements = [[s.a, s.direction, s.b] for s in self.statements]
        return {"kind": "floorplan", "names": list(self.names), "statements": statements, "faces": list(self.faces)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FloorPlan:
        """The same room again."""
        statements = tuple(Statement(int(a), str(way), int(b)) for a, way, b in data["statements"])
        return cls(tuple(data["names"]), statements, tuple(data["faces"]))


@cache
def _orders(n: int) -> tuple[list[tuple[int, int]], NDArray[np.int8]]:
    """Pairs of n things, and the signs of their differences in every order along a line, ties included."""
    pairs = list(combinations(range(n), 2))
    rows = np.array(list(product(range(n), repeat=n)), dtype=np.int8)
    signs = np.sign(rows[:, [a for a, _ in pairs]] - rows[:, [b for _, b in pairs]])
    return pairs, np.unique(signs, axis=0)
