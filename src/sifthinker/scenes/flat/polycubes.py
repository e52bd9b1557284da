"""Solids of unit cubes in a row of panels: one to compare with, and options A, B, C, ...

A solid is a set of cells of the integer grid; it is looked at along one oblique direction, without perspective, and
drawn cube by cube from the far to the near. Axes of panels: x right, y up, z toward the viewer, before the view's tilt.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import permutations, product
from operator import mul
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ...geometry import Box, Size
from .canvas import INK, LETTERS, PAPER, RULE, Canvas, Color, Point

Cube = tuple[int, int, int]
Cubes = tuple[Cube, ...]
Matrix = tuple[tuple[float, float, float], ...]
Floats = NDArray[np.float64]

LOOK_DEG = (28.0, -34.0)
"""The view: solids are turned by the second angle about the vertical, then tilted by the first toward the viewer."""
DARK, BRIGHT = np.array((66, 108, 160)), np.array((240, 246, 252))
"""Colors of faces that look away from the light, and toward it."""
LIGHT = np.array((-0.6, 0.75, 0.3))
"""Toward the light, in view axes: the same for every panel, so that shades tell nothing about how a solid is turned."""
FILL = 0.7
"""Largest extent of a solid in its panel, as a share of the panel."""


@dataclass(frozen=True)
class Solid:
    """Cubes, and how they are turned: rows of a rotation matrix that maps the solid's axes to those of the panel."""

    cubes: Cubes
    turn: Matrix

    @property
    def matrix(self) -> Floats:
        return np.asarray(self.turn, dtype=float)


@dataclass(frozen=True)
class Polycubes:
    """A picture of solids.

    panel: side of each panel in pixels. solids: the one to compare with, then the options. grid: whether the lines
    between cubes are drawn.
    """

    panel: int
    solids: tuple[Solid, ...]
    grid: bool = True

    @property
    def depth(self) -> None:
        """A drawing has none."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The reference, then the options by letter."""
        return ("solid on the left", *(f"picture labelled {LETTERS[i]}" for i in range(len(self.solids) - 1)))

    @property
    def size(self) -> Size:
        """(width, height) in pixels: the reference in a column of its own, options in two rows."""
        return (1 + self._columns) * self.panel, 2 * self.panel

    @property
    def _columns(self) -> int:
        return math.ceil((len(self.solids) - 1) / 2)

    def _corner(self, number: int) -> Point:
        """Top left pixel of a panel."""
        if number == 0:
            return 0.0, self.panel / 2
        row, column = divmod(number - 1, self._columns)
        return (1.0 + column) * self.panel, float(row * self.panel)

    @property
    def boxes(self) -> tuple[Box | None, ...]:
        """Around each panel."""
        width, height = self.size
        corners = [self._corner(i) for i in range(len(self.solids))]
        return tuple(
            Box(x / width, y / height, (x + self.panel) / width, (y + self.panel) / height) for x, y in corners
        )

    @property
    def image(self) -> NDArray[np.uint8]:
        """The picture, shape (height, width, 3)."""
        return self._picture

    @cached_property
    def _picture(self) -> NDArray[np.uint8]:
        (width, height), p = self.size, self.panel
        canvas = Canvas((width, height))
        canvas.path([(p, 0), (p, height)], INK, 1.5)
        canvas.path([(p, p), (width, p)], RULE)
        for column in range(2, self._columns + 1):
            canvas.path([(column * p, 0), (column * p, height)], RULE)
        for number, solid in enumerate(self.solids):
            left, top = self._corner(number)
            place, scale = fitted(solid, p)
            for face in faces(solid, self.grid):
                corners = [(left + x, top + y) for x, y in place(face.corners)]
                canvas.polygon(corners, _shade(face.normal))
                for a, b in face.edges:
                    canvas.path([corners[a], corners[b]], INK, max(0.8, 0.07 * scale))
            if number:
                canvas.letter((left + 0.08 * p, top + 0.1 * p), LETTERS[number - 1], max(10.0, 0.16 * p), INK, PAPER)
        return canvas.pixels()

    def to_json(self) -> dict[str, Any]:
        """Inverse: `Polycubes.from_json`."""
        solids = [{"cubes": [list(c) for c in s.cubes], "turn": [list(row) for row in s.turn]} for s in self.solids]
        return {"kind": "polycubes", "panel": self.panel, "solids": solids, "grid": self.grid}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Polycubes:
        """Solids as they were stored."""
        solids = tuple(
            Solid(tuple((int(x), int(y), int(z)) for x, y, z in s["cubes"]), as_matrix(s["turn"]))
            for s in data["solids"]
        )
        return cls(int(data["panel"]), solids, bool(data["grid"]))


def _shade(normal: Floats) -> Color:
    share = (1 + normal @ LIGHT / np.linalg.norm(LIGHT)) / 2
    red, green, blue = np.rint(DARK + share * (BRIGHT - DARK))
    return int(red), int(green), int(blue)


# --- drawing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Face:
    """A face that the viewer sees: its cube's index, its normal and four corners in view axes, edges to draw."""

    cube: int
    normal: Floats
    corners: Floats
    edges: tuple[tuple[int, int], ...]


def view_matrix() -> Floats:
    """Panel axes -> view axes (x right, y up, z toward the viewer)."""
    tilt, turn = np.radians(LOOK_DEG)
    down = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    around = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    return down @ around


VIEW = view_matrix()


def faces(solid: Solid, grid: bool) -> list[Face]:
    """The faces of a solid that look at the viewer, in an order in which later ones may cover earlier ones.

    Of two cubes on one line of sight the nearer has no smaller coordinate along any signed axis, so the sum of signed
    coordinates puts it later. Without a grid, a line between two cubes whose faces lie in one plane is left out.
    """
    whole = VIEW @ solid.matrix
    # Which way along each own axis is toward the viewer.
    signs = [1 if v >= 0 else -1 for v in whole[2]]
    places = np.asarray(solid.cubes) @ whole.T
    taken, found, units = set(solid.cubes), [], np.eye(3)
    order = sorted(range(len(solid.cubes)), key=lambda i: sum(map(mul, solid.cubes[i], signs)))
    sides = []
    for axis in range(3):
        one, two = (a for a in range(3) if a != axis)
        square = [a * units[one] + b * units[two] for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        normal = signs[axis] * units[axis]
        sides.append(
            (axis, (normal @ whole.T), (normal + square) / 2 @ whole.T, ((two, -1), (one, 1), (two, 1), (one, -1)))
        )
    for index in order:
        cube = solid.cubes[index]
        for axis, normal, corners, beside in sides:
            above = _next(cube, axis, signs[axis])
            if above in taken:
                continue
            sharp = [grid or _next(cube, *way) not in taken or _next(above, *way) in taken for way in beside]
            edges = tuple((k, (k + 1) % 4) for k in range(4) if sharp[k])
            found.append(Face(index, normal, corners + places[index], edges))
    return found


def _next(cube: Cube, axis: int, step: int) -> Cube:
    x, y, z = (v + step * (i == axis) for i, v in enumerate(cube))
    return x, y, z


def fitted(solid: Solid, panel: float) -> tuple[Any, float]:
    """A function from view axes to pixels of a panel with the solid in its middle, and the pixels of a cube's side."""
    corners = np.array([c + np.array(d) / 2 for c in np.asarray(solid.cubes) for d in product((-1, 1), repeat=3)])
    flat = (corners @ (VIEW @ solid.matrix).T)[:, :2]
    low, high = flat.min(axis=0), flat.max(axis=0)
    # One scale for every solid of so many cubes, so that size tells nothing; smaller only where one would not fit.
    scale = min(FILL * panel / 4.6, FILL * panel / float((high - low).max()))

    def place(points: Floats) -> list[Point]:
        shifted = (points[:, :2] - (low + high) / 2) * (scale, -scale) + panel / 2
        return [(float(x), float(y)) for x, y in shifted]

    return place, scale


@lru_cache(maxsize=4096)
def least_seen(solid: Solid) -> float:
    """How much of the least visible cube is seen, as a share of what it would show alone; counted in pixels."""
    panel = 128
    place, scale = fitted(solid, panel)
    image = Image.new("L", (panel, panel), 255)
    draw = ImageDraw.Draw(image)
    for face in faces(solid, False):
        draw.polygon(place(face.corners), fill=face.cube)
    seen = np.bincount(np.asarray(image).ravel(), minlength=256)[: len(solid.cubes)]
    # The shadow of a cube with side 1 along the line of sight.
    alone = scale**2 * np.abs((VIEW @ solid.matrix)[2]).sum()
    return float(min(seen) / alone)


def slant(solid: Solid) -> float:
    """How far the most edge-on of its three visible sides is turned to the viewer: 0 not at all, 1 fully."""
    return float(np.abs((VIEW @ solid.matrix)[2]).min())


# --- rotations and mirrors -----------------------------------------------------------------------------------------


def _rotations() -> tuple[NDArray[np.int64], ...]:
    """The 24 rotations of a cube: signed permutations of the axes with determinant 1."""
    found = []
    for order in permutations(range(3)):
        for signs in product((-1, 1), repeat=3):
            matrix = np.zeros((3, 3), dtype=int)
            matrix[range(3), order] = signs
            if round(float(np.linalg.det(matrix))) == 1:
                found.append(matrix)
    return tuple(found)


ROTATIONS = _rotations()


def moved(cubes: Iterable[Cube], matrix: NDArray[Any]) -> Cubes:
    """Cubes under a signed permutation of the axes, shifted to start at 0 and sorted."""
    places = np.asarray(list(cubes)) @ np.asarray(matrix, dtype=int).T
    places = places - places.min(axis=0)
    return tuple(sorted((int(x), int(y), int(z)) for x, y, z in places))


@lru_cache(maxsize=4096)
def turned(cubes: Cubes) -> frozenset[Cubes]:
    """A solid in each of its 24 rotations; fewer where it is symmetric."""
    return frozenset(moved(cubes, matrix) for matrix in ROTATIONS)


def mirrored(cubes: Iterable[Cube]) -> Cubes:
    """The mirror image across x."""
    return moved(cubes, np.diag([-1, 1, 1]))


def grown(rng: Generator, count: int) -> Cubes:
    """A random connected solid of `count` cubes, at most four long each way, grown cube by cube with long arms."""
    cubes: list[Cube] = [(0, 0, 0)]
    while len(cubes) < count:
        # Mostly from the last cube, as arms grow; else from anywhere.
        start = cubes[-1] if rng.random() < 0.75 else cubes[int(rng.integers(len(cubes)))]
        axis, sign = int(rng.integers(3)), int(rng.choice((-1, 1)))
        new = [*start]
        new[axis] += sign
        x, y, z = new
        spread = np.ptp(np.array([*cubes, (x, y, z)]), axis=0)
        touching = sum(sum(abs(a - b) for a, b in zip((x, y, z), c, strict=True)) == 1 for c in cubes)
        if (x, y, z) not in cubes and spread.max() < 4 and touching == 1:
            cubes.append((x, y, z))
        elif rng.random() < 0.05:
            cubes = [(0, 0, 0)]
    return moved(cubes, np.eye(3))


def as_matrix(values: Any) -> Matrix:
    """Rows of a matrix as plain floats with six decimals."""
    rows = [[round(float(v), 6) + 0.0 for v in row] for row in values]
    return tuple((a, b, c) for a, b, c in rows)
