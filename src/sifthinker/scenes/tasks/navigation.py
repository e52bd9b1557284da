"""SRBench's navigation on a drawn map: follow directions from the traveler's point of view, and tell turns of a route.

Source: Mind the Gap (arXiv 2503.19707) names the test; the maps, the wording and the rules here are this project's own.
Left and right are the traveler's, not the picture's.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from numpy.random import Generator

from ..flat.canvas import LETTERS, square_side
from ..flat.gridmap import STEPS, Cell, GridMap, random_rows
from ..flat.search import until_served
from ..task import Question, Roles, Task

if TYPE_CHECKING:
    from ..generate import SceneConfig

SYSTEM = "SRBench (ours)"

SIDES = (5, 6)
"""Cells each way of a map."""
BLOCKED = 0.2
PLACES = 4
"""Marked places on a map with a traveler."""
TURNS = (1, 2)
"""Fewest and most turns of a way that is told."""
LONGEST = 3
"""Most cells that are gone forward in one piece."""
ROUTE = (6, 12)
"""Fewest and most cells of a drawn route."""
CORNERS = 2
"""Fewest turns of a drawn route."""
LEAST_SIDE = 96

HEADINGS = tuple(STEPS)
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def heading_after(heading: str, turn: str) -> str:
    """Where somebody looks after a turn to the left or right.

    >>> heading_after("down", "left")
    'right'
    """
    return HEADINGS[(HEADINGS.index(heading) + (1 if turn == "right" else -1)) % 4]


def _ahead(cell: Cell, heading: str, count: int) -> list[Cell]:
    down, right = STEPS[heading]
    return [(cell[0] + k * down, cell[1] + k * right) for k in range(1, count + 1)]


# --- directions that are told --------------------------------------------------------------------------------------


def _town(rng: Generator, aim: str, config: SceneConfig) -> GridMap | str:
    """A map with four marked places and a traveler."""
    n = int(rng.choice(SIDES))
    rows = random_rows(rng, n, BLOCKED)
    free = [(r, c) for r in range(n) for c in range(n) if rows[r][c] == "."]
    if len(free) <= PLACES:
        return "nearly everything is blocked"
    *places, start = (free[i] for i in rng.choice(len(free), PLACES + 1, replace=False))
    marks = tuple(zip(LETTERS[:PLACES], places, strict=True))
    return GridMap(square_side(config.size, LEAST_SIDE), rows, marks, (start, str(rng.choice(HEADINGS))))


def _ways(world: GridMap) -> Iterator[Roles]:
    """Every way with few turns from the traveler over open cells to a marked place."""
    if world.traveler is None:
        return
    goals = {cell for _, cell in world.marks}

    def go(cell: Cell, heading: str, legs: tuple[int, ...], turns: tuple[str, ...]) -> Iterator[Roles]:
        for count in range(1, LONGEST + 1):
            cells = _ahead(cell, heading, count)
            if not world.is_open(cells[-1]):
                return
            if len(turns) >= TURNS[0] and cells[-1] in goals:
                yield {"legs": [*legs, count], "turns": list(turns)}
            if len(turns) < TURNS[1]:
                for turn in ("left", "right"):
                    yield from go(cells[-1], heading_after(heading, turn), (*legs, count), (*turns, turn))

    yield from go(*world.traveler, (), ())


def _arrive(world: GridMap, roles: Roles) -> Question | str:
    if world.traveler is None:
        return "there is no traveler"
    (cell, heading), facts = world.traveler, []
    facts.append(f"The arrow is in row {cell[0] + 1}, column {cell[1] + 1}, and points {heading}.")
    told: list[str] = []
    for number, count in enumerate(roles["legs"]):
        if number:
            turn = roles["turns"][number - 1]
            heading = heading_after(heading, turn)
            told.append(f"turn {turn}")
        cells = _ahead(cell, heading, count)
        if not all(map(world.is_open, cells)):
            return "the way is blocked"
        cell = cells[-1]
        told.append(f"go {count} {'cell' if count == 1 else 'cells'} forward")
        facts.append(f"{count} {heading}: row {cell[0] + 1}, column {cell[1] + 1}.")
    found = [i for i, (_, place) in enumerate(world.marks) if place == cell]
    if not found:
        return "the way does not end at a marked place"
    name, letters = world.marks[found[0]][0], [name for name, _ in world.marks]
    return Question(
        f"You are the red arrow and look where it points. You {', '.join(told)}. Which place do you reach?",
        name,
        (len(world.marks), found[0]),
        "the red arrow",
        f"From the arrow the way ends at {name}.",
        facts=(*facts, f"That is {name}."),
        distractors=tuple(letter for letter in letters if letter != name)[:1],
        grader="letter",
        given={"letters": letters},
    )


# --- turns of a drawn route ----------------------------------------------------------------------------------------


def _drawn_route(rng: Generator, aim: str, config: SceneConfig) -> GridMap | str:
    """A map with a route from A to B that does not touch itself; cells beside it may be blocked."""
    n = int(rng.choice(SIDES))
    cells = [(int(rng.integers(n)), int(rng.integers(n)))]
    length = int(rng.integers(ROUTE[0], ROUTE[1] + 1))
    while len(cells) < length:
        near = [(cells[-1][0] + down, cells[-1][1] + right) for down, right in STEPS.values()]
        free = [c for c in near if min(c) >= 0 and max(c) < n and not _touches(c, cells)]
        if not free:
            return "the route runs into itself"
        cells.append(free[int(rng.integers(len(free)))])
    blocked = random_rows(rng, n, BLOCKED)
    rows = tuple("".join("." if (r, c) in cells else blocked[r][c] for c in range(n)) for r in range(n))
    marks = (("A", cells[0]), ("B", cells[-1]))
    return GridMap(square_side(config.size, LEAST_SIDE), rows, marks, None, tuple(cells))


def _touches(cell: Cell, route: list[Cell]) -> bool:
    """Whether a cell is on a route, or beside any cell of it but the last."""
    return cell in route or any(abs(cell[0] - r) + abs(cell[1] - c) == 1 for r, c in route[:-1])


def _headings(route: tuple[Cell, ...]) -> list[str]:
    names = {step: name for name, step in STEPS.items()}
    return [names[(b[0] - a[0], b[1] - a[1])] for a, b in pairwise(route)]


def _corners(world: GridMap) -> list[int]:
    """Indices of the cells in which a route turns."""
    return [i for i, (a, b) in enumerate(pairwise(_headings(world.route)), 1) if a != b]


def _each_corner(world: GridMap) -> Iterator[Roles]:
    return ({"turn": number} for number in range(len(_corners(world))))


def _turn(world: GridMap, roles: Roles) -> Question | str:
    corners, number = _corners(world), roles["turn"]
    if len(corners) < CORNERS or not 0 <= number < len(corners):
        return f"the route has {len(corners)} turns"
    before, after = (_headings(world.route)[corners[number] + k] for k in (-1, 0))
    answer = next(turn for turn in ("left", "right") if heading_after(before, turn) == after)
    which = ORDINALS[number]
    first, last = (name for name, _ in world.marks)
    return Question(
        f"Somebody walks along the orange route from {first} to {last}. Is the {which} turn a left or a right turn, as "
        "the walker sees it?",
        answer,
        (0, len(world.marks) + corners[number]),
        f"the {which} turn of the route",
        f"At the {which} turn the walker turns {answer}.",
        facts=(
            f"The route starts at {first}; its {which} turn is in {_row_column(world.route[corners[number]])}.",
            f"Before it the walker goes {before}, after it {after}.",
            f"From {before} to {after} is a turn to the {answer}.",
        ),
        distractors=("right" if answer == "left" else "left",),
    )


def _row_column(cell: Cell) -> str:
    return f"row {cell[0] + 1}, column {cell[1] + 1}"


TASKS: dict[str, Task] = {
    "srbench_navigation": Task(
        "which place on a map somebody reaches who follows directions",
        f"The way is walked cell by cell, {TURNS[0]} or {TURNS[1]} turns, over open cells only. Left and right are the "
        "traveler's.",
        "navigation",
        SYSTEM,
        "text",
        until_served(_town, _ways, _arrive),
        _ways,
        _arrive,
        aims=lambda most: tuple(LETTERS[:PLACES]),
    ),
    "srbench_route_turn": Task(
        "whether a turn of a drawn route is to the left or to the right",
        f"As the walker sees it. The route does not touch itself and has {CORNERS} turns or more.",
        "navigation",
        SYSTEM,
        "direction",
        until_served(_drawn_route, _each_corner, _turn),
        _each_corner,
        _turn,
        aims=lambda most: ("left", "right"),
    ),
}
"""One entry a task."""
