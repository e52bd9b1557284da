"""SRBench's psychometric tests: mental rotation with true mirror images, and paper folding. See `navigation` for maps.

Source: Mind the Gap (arXiv 2503.19707). Its generator leaves two things unchecked, and this one does not: a solid here
has no mirror image that is one of its own 24 rotations, and a folded sheet keeps each fold's own line and is unfolded
in reverse. Its scenes made by image generators are left out, and so are more than three folds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from ..flat.canvas import LETTERS, Point
from ..flat.polycubes import (
    Cubes,
    Polycubes,
    Solid,
    as_matrix,
    grown,
    least_seen,
    mirrored,
    moved,
    slant,
    turned,
)
from ..flat.search import until_served
from ..flat.sheet import HOLE, SQUARE, Sheet, differ, folds_of, kept, unfolded
from ..task import MakeWorld, Question, Roles, Task

if TYPE_CHECKING:
    from ..generate import SceneConfig

SYSTEM = "SRBench"

CUBES = (6, 9)
"""Fewest and most cubes of a solid."""
EASY_DEG = (-90, 90, 180)
HARD_DEG = (0, 60, 90, 120)
TURNED_DEG = 50.0
"""Hard: every option is turned by at least this angle from the solid it is compared with."""
SEEN = 0.15
"""Rotation: every cube shows at least this share of what it would show alone."""
SLANT = 0.2
"""Rotation: each of the three visible sides is turned to the viewer by at least this (the cosine of its normal)."""
DIFFERENT = 0.12
"""Folding: a wrong option has a hole, or lacks one, at least this share of the side away from the nearest right one."""
EDGE = 1.7
"""Holes are at least this many of their radii away from the edges of the folded paper."""
PUNCHES_APART = 0.17
SHIFT = (0.16, 0.3)
"""How far a wrong hole is shifted, as a share of the side."""
MOST_HOLES = 8
TRIES = 60


def _only(world: Polycubes | Sheet) -> Iterator[Roles]:
    yield {}


def _letters(count: int) -> Callable[[int], tuple[str, ...]]:
    return lambda most: tuple(LETTERS[:count])


# --- mental rotation -----------------------------------------------------------------------------------------------


def _about(axis: int, degrees: float) -> np.ndarray:
    """Rotation by an angle about one axis, right-handed."""
    one, two = ((1, 2), (2, 0), (0, 1))[axis]
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    matrix[[one, one, two, two], [one, two, one, two]] = c, -s, s, c
    return matrix


def _easy_turn(rng: Generator) -> np.ndarray:
    return _about(int(rng.integers(3)), float(rng.choice(EASY_DEG)))


def _hard_turn(rng: Generator) -> np.ndarray:
    while True:
        x, y, z = (_about(axis, float(rng.choice(HARD_DEG))) for axis in range(3))
        turn = z @ y @ x
        if np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))) >= TURNED_DEG:
            return turn


def asymmetric(cubes: Cubes) -> bool:
    """Whether no rotation but the trivial one maps a solid to itself, and none maps it to its mirror image."""
    return len(turned(cubes)) == 24 and mirrored(cubes) not in turned(cubes)


def clear(solid: Solid) -> bool:
    """Whether a drawing shows every cube and all three of its sides."""
    return slant(solid) >= SLANT and least_seen(solid) >= SEEN


def _solids(turn: Callable[[Generator], np.ndarray], mirrors: int, grid: bool) -> MakeWorld:
    """Worlds of a solid and its options: one turned, `mirrors` mirrored and turned, one other solid turned."""

    def make(rng: Generator, aim: str, config: SceneConfig) -> Polycubes | str:
        count = int(rng.integers(CUBES[0], CUBES[1] + 1))
        cubes = grown(rng, count)
        if not asymmetric(cubes):
            return "the solid is symmetric"
        whole, other = Solid(cubes, as_matrix(np.eye(3))), grown(rng, count)
        if not asymmetric(other) or {other, mirrored(other)} & turned(cubes):
            return "the other solid is symmetric, or the same"
        options: list[Solid] = []
        for kind in (cubes, *(mirrored(cubes),) * mirrors, other):
            option = _clear_turn(rng, kind, turn, options) if clear(whole) else None
            if option is None:
                return "a cube is hidden"
            options.append(option)
        order = list(rng.permutation(np.arange(1, len(options))))
        order.insert(LETTERS.index(aim) if aim else int(rng.integers(len(options))), 0)
        panel = max(64, min(config.size) * 2 // 3)
        return Polycubes(panel, (whole, *(options[i] for i in order)), grid)

    return make


def _clear_turn(
    rng: Generator, cubes: Cubes, turn: Callable[[Generator], np.ndarray], used: list[Solid]
) -> Solid | None:
    """A solid turned so that it is seen clearly, and not as one of the others."""
    for _ in range(8):
        solid = Solid(cubes, as_matrix(turn(rng)))
        if solid not in used and clear(solid):
            return solid
    return None


def _rotation(world: Polycubes, roles: Roles) -> Question | str:
    reference, *options = (s.cubes for s in world.solids)
    if not asymmetric(reference):
        return "the solid is symmetric"
    if not all(clear(solid) for solid in world.solids):
        return "a cube is hidden, or a side"
    same, mirror = turned(reference), turned(mirrored(reference))
    kinds = [("same" if c in same else "mirror" if c in mirror else "other") for c in map(_settled, options)]
    if kinds.count("same") != 1:
        return f"{kinds.count('same')} options are rotations of the solid"
    right = kinds.index("same")
    called = {
        "same": "the solid, turned",
        "mirror": "its mirror image, which no rotation brings back",
        "other": "another solid",
    }
    return Question(
        "Every cube can be seen. Which picture on the right shows the solid on the left, only turned?",
        f"picture {LETTERS[right]}",
        (0, 1 + right),
        "the solid that is only turned",
        f"Picture {LETTERS[right]} is the solid on the left, turned.",
        facts=(
            f"The solid on the left has {len(reference)} cubes.",
            *(f"Picture {LETTERS[i]} shows {called[kind]}." for i, kind in enumerate(kinds)),
        ),
        choices=tuple(f"picture {LETTERS[i]}" for i in range(len(options))),
        aim=LETTERS[right],
    )


def _settled(cubes: Cubes) -> Cubes:
    return moved(cubes, np.eye(3))


# --- paper folding -------------------------------------------------------------------------------------------------


def _folded(rng: Generator, aim: str, config: SceneConfig) -> Sheet | str:
    """A sheet that is folded one to three times, with one or two holes and three options."""
    shape, folds = SQUARE, []
    for _ in range(int(rng.integers(1, 4))):
        ways = folds_of(shape)
        folds.append(ways[int(rng.integers(len(ways)))])
        shape = kept(shape, folds[-1])
    holes: list[Point] = []
    for _ in range(int(rng.integers(1, 3)) if 2 ** len(folds) * 2 <= MOST_HOLES else 1):
        hole = _hole_inside(rng, shape, holes)
        if hole is None:
            return "no room for the holes"
        holes.append(hole)
    right = unfolded(holes, folds)
    options = [right]
    for wrong in (_spoiled(rng, right), tuple(sorted((round(1 - x, 6), round(1 - y, 6)) for x, y in right))):
        for _ in range(TRIES):
            if all(differ(wrong, other) >= DIFFERENT for other in options):
                options.append(wrong)
                break
            wrong = _spoiled(rng, right)
        else:
            return "no wrong option that is clearly different"
    order = list(rng.permutation(np.arange(1, len(options))))
    order.insert(LETTERS.index(aim) if aim else int(rng.integers(len(options))), 0)
    return Sheet(max(56, min(config.size) // 2), tuple(folds), tuple(holes), tuple(options[i] for i in order))


def _hole_inside(rng: Generator, shape: tuple[Point, ...], others: list[Point]) -> Point | None:
    for _ in range(TRIES):
        x, y = np.round(rng.uniform(0, 1, 2), 3)
        hole = (float(x), float(y))
        if _inset(hole, shape) >= EDGE * HOLE and all(differ([hole], [o]) >= PUNCHES_APART for o in others):
            return hole
    return None


def _inset(place: Point, shape: tuple[Point, ...]) -> float:
    """Distance of a place from the nearest edge of a convex polygon; negative outside."""
    middle, found = np.mean(shape, axis=0), []
    for a, b in zip(np.asarray(shape), np.asarray([*shape[1:], shape[0]]), strict=True):
        way = (b - a) / np.hypot(*(b - a))
        normal = np.array([-way[1], way[0]])
        normal *= np.sign((middle - a) @ normal)
        found.append(float((np.asarray(place) - a) @ normal))
    return min(found)


def _spoiled(rng: Generator, right: tuple[Point, ...]) -> tuple[Point, ...]:
    """The right holes, one of them removed or shifted."""
    index = int(rng.integers(len(right)))
    rest = right[:index] + right[index + 1 :]
    if rng.random() < 0.5:
        return rest
    for _ in range(TRIES):
        reach, angle = rng.uniform(*SHIFT), rng.uniform(0, 2 * np.pi)
        x, y = right[index][0] + reach * np.cos(angle), right[index][1] + reach * np.sin(angle)
        hole = (round(float(x), 3), round(float(y), 3))
        if _inset(hole, SQUARE) >= EDGE * HOLE and all(differ([hole], [o]) >= DIFFERENT for o in right):
            return tuple(sorted((*rest, hole)))
    return rest


def _folding(world: Sheet, roles: Roles) -> Question | str:
    right = unfolded(world.punched, world.folds)
    gaps = [differ(right, option) for option in world.options]
    found = [i for i, gap in enumerate(gaps) if gap < 1e-4]
    if len(found) != 1:
        return f"{len(found)} options show the sheet unfolded"
    if sorted(gaps)[1] < DIFFERENT:
        return f"a wrong option differs by less than {DIFFERENT} of the side"
    index, steps = found[0], len(world.folds)
    letter = LETTERS[index]
    times = ("once", "twice", "three times")[steps - 1]
    holes = f"{len(world.punched)} {'hole is' if len(world.punched) == 1 else 'holes are'}"
    return Question(
        f"A sheet is folded {times} as drawn in the first row, and {holes} punched through all of its layers. "
        "Which picture shows the sheet unfolded?",
        f"picture {letter}",
        (steps, steps + 1 + index),
        "the folds and the punched sheet",
        f"Unfolded, the holes are as in picture {letter}.",
        facts=(
            f"The punched sheet has {2**steps} layers, so there are {len(right)} holes.",
            "The folds are undone in reverse: each hole gets its mirror image in the fold's line.",
            f"The holes are at {', '.join(f'({x:.2f}, {y:.2f})' for x, y in right)}, as in picture {letter}.",
        ),
        choices=tuple(f"picture {LETTERS[i]}" for i in range(len(world.options))),
        aim=letter,
    )


def _rotation_task(about: str, rule: str, options: int, world: MakeWorld) -> Task:
    drawn = until_served(world, _only, _rotation)
    return Task(about, rule, "rotation", SYSTEM, "choice", drawn, _only, _rotation, aims=_letters(options))


_TRUE = (
    "Only one option is one of the solid's 24 rotations. The solid has no symmetry, mirrored or not; every cube shows "
    f"at least {SEEN:.0%} of what it would show alone."
)

TASKS: dict[str, Task] = {
    "srbench_rotation_easy": _rotation_task(
        "which of three solids of cubes is the one on the left, turned about one axis",
        f"{_TRUE} The others are its mirror image and another solid. Turned by -90, 90 or 180 degrees.",
        3,
        _solids(_easy_turn, 1, True),
    ),
    "srbench_rotation_hard": _rotation_task(
        "which of four solids of cubes is the one on the left, turned about three axes",
        f"{_TRUE} The others are two mirror images and another solid. Turned by 0, 60, 90 or 120 degrees about each "
        f"axis, {TURNED_DEG:g} at least in all; lines between cubes are not drawn.",
        4,
        _solids(_hard_turn, 2, False),
    ),
    "srbench_folding": Task(
        "which picture shows a folded and punched sheet unfolded",
        "Each fold halves the paper along its own line; holes are mirrored in the lines in reverse. Wrong options lack "
        f"a hole, have one shifted, or are turned by half; they differ by {DIFFERENT} of the side or more.",
        "folding",
        SYSTEM,
        "choice",
        until_served(_folded, _only, _folding),
        _only,
        _folding,
        aims=_letters(3),
    ),
}
"""One entry a task."""
