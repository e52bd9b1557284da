"""Sparkle: labelled points and small maps in flat pictures; three basic skills and two that are made of them.

Source: Sparkle (arXiv 2410.16162) trains on direction, distance and localization and tests shortest paths and round
trips; its ranges and prompts are not published, so the generator and all margins are this project's own. Ways are
graded by taking them (`places`): any shortest way and any shortest round trip is right. Its
tests on photos are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, permutations
from math import dist
from typing import TYPE_CHECKING

from numpy.random import Generator

from ..directions import SCHEMES
from ..flat.canvas import square_side
from ..flat.gridmap import GridMap, random_rows, shortest_moves
from ..flat.points import Points, on_crossings, scatter, with_names
from ..flat.search import until_served
from ..task import Question, Roles, Task

if TYPE_CHECKING:
    from ..generate import SceneConfig

SYSTEM = "Sparkle (ours)"

SCHEME = "compass_margin"
CLOSER = 1.15
"""Nearer: the other point is at least this many times as far."""
CELLS = 8
"""Lines of the ruled paper on which distances are asked for divide the picture into so many cells each way."""
REACHES = ("2", "3", "4", "5", "6", "7")
"""Distances to aim for, in cells, rounded."""
DISTANCE_TOLERANCE = 0.3
"""Distances in cells are right within this."""
TABLE = 4
"""Rows and columns of the table in which a point is looked for."""
INSIDE = 0.15
"""Cell: the point is at least this share of a cell away from its borders."""
POINT_TOLERANCE = 0.05
"""Location: both coordinates are right within this share of the side."""
GRIDS = (4, 5)
"""Cells each way of a map."""
BLOCKED = 0.28
"""About this share of a map is blocked."""
LENGTHS = ("2", "3", "4", "5", "6", "7")
"""Lengths of shortest ways to aim for, in moves."""
TOUR_MARGIN = 1.05
"""Round trip: every other one is as long as the shortest, or at least this many times as long."""
LEAST_SIDE = 96
"""Pixels of the smallest picture."""


# --- worlds --------------------------------------------------------------------------------------------------------


def _loose(rng: Generator, aim: str, config: SceneConfig) -> Points | str:
    """Points anywhere, as many as `config.objects` says but three at least."""
    low, high = (max(3, count) for count in config.objects)
    places = scatter(rng, int(rng.integers(low, high + 1)))
    return places if isinstance(places, str) else with_names(rng, square_side(config.size, LEAST_SIDE), places)


def _on_paper(rng: Generator, aim: str, config: SceneConfig) -> Points | str:
    """Points on the crossings of ruled paper."""
    low, high = (max(3, count) for count in config.objects)
    places = on_crossings(rng, int(rng.integers(low, min(high, 6) + 1)), CELLS)
    if isinstance(places, str):
        return places
    return with_names(rng, square_side(config.size, LEAST_SIDE), places, CELLS)


def _in_table(rng: Generator, aim: str, config: SceneConfig) -> Points | str:
    """Points anywhere on paper that is ruled into few cells."""
    low, high = (max(2, count) for count in config.objects)
    places = scatter(rng, int(rng.integers(low, high + 1)))
    if isinstance(places, str):
        return places
    return with_names(rng, square_side(config.size, LEAST_SIDE), places, TABLE)


def _cities(rng: Generator, aim: str, config: SceneConfig) -> Points | str:
    places = scatter(rng, int(aim.split()[0]) if aim else 4)
    return places if isinstance(places, str) else with_names(rng, square_side(config.size, LEAST_SIDE), places)


def _map(rng: Generator, aim: str, config: SceneConfig) -> GridMap | str:
    """A map with the places A and B."""
    n = int(rng.choice(GRIDS))
    rows = random_rows(rng, n, BLOCKED)
    free = [(r, c) for r in range(n) for c in range(n) if rows[r][c] == "."]
    if len(free) < 2:
        return "nearly everything is blocked"
    a, b = (free[i] for i in rng.choice(len(free), 2, replace=False))
    return GridMap(square_side(config.size, LEAST_SIDE), rows, (("A", a), ("B", b)))


# --- roles ---------------------------------------------------------------------------------------------------------


def _each(world: Points) -> Iterator[Roles]:
    return ({"point": i} for i in range(len(world.at)))


def _pairs(world: Points) -> Iterator[Roles]:
    return ({"a": a, "b": b} for a, b in permutations(range(len(world.at)), 2))


def _triples(world: Points) -> Iterator[Roles]:
    return ({"from": a, "b": b, "c": c} for a, b, c in permutations(range(len(world.at)), 3))


def _whole(world: GridMap) -> Iterator[Roles]:
    yield {"from": 0, "to": 1}


# --- points --------------------------------------------------------------------------------------------------------


def _at(world: Points, index: int) -> str:
    x, y = world.at[index]
    return f"{world.names[index]} is at ({x:.3f}, {y:.3f})."


def _direction(world: Points, roles: Roles) -> Question | str:
    a, b = roles["a"], roles["b"]
    (x0, y0), (x1, y1) = world.at[a], world.at[b]
    first, second = world.names[a], world.names[b]
    scheme = SCHEMES[SCHEME]
    wind = scheme.name((x1 - x0, y1 - y0))
    if wind is None:
        return f"{second} is within {scheme.margin_deg:g} degrees of a border between two directions from {first}"
    across = f"{abs(x1 - x0):.3f} {'east' if x1 > x0 else 'west'}"
    upward = f"{abs(y1 - y0):.3f} {'south' if y1 > y0 else 'north'}"
    others = [w for w in scheme.words if w != wind]
    opposite = scheme.name((x0 - x1, y0 - y1)) or others[0]
    return Question(
        f"North is up. In which of the eight compass directions is point {second} from point {first}?",
        wind,
        (a, b),
        f"points {first} and {second}",
        f"{second} is {wind} of {first}.",
        facts=(_at(world, a), _at(world, b), f"{second} is {across} and {upward} of {first}.", f"That is {wind}."),
        distractors=(opposite,),
        grader="compass",
        meta={"scheme": SCHEME},
    )


def _nearer(world: Points, roles: Roles) -> Question | str:
    origin, b, c = roles["from"], roles["b"], roles["c"]
    lengths = [dist(world.at[origin], world.at[i]) for i in (b, c)]
    if max(lengths) < CLOSER * min(lengths):
        return f"neither is {CLOSER} times as far as the other"
    start, *names = (world.names[i] for i in (origin, b, c))
    order = sorted((0, 1), key=lambda i: lengths[i])
    near, far = (names[i] for i in order)
    return Question(
        f"Which point is nearer to point {start}: {names[0]} or {names[1]}?",
        near,
        (origin, b, c),
        f"points {start}, {names[0]} and {names[1]}",
        f"{near} is nearer to {start} than {far}.",
        facts=(
            *(_at(world, i) for i in (origin, b, c)),
            *(f"From {start} to {n} it is {length:.3f}." for n, length in zip(names, lengths, strict=True)),
            f"{near} is nearer.",
        ),
        distractors=(far,),
        grader="letter",
        given={"letters": names},
        aim=("first", "second")[order[0]],
    )


def _distance(world: Points, roles: Roles) -> Question | str:
    a, b = roles["a"], roles["b"]
    if not world.ruled:
        return "the paper is not ruled"
    (x0, y0), (x1, y1) = (tuple(v * world.ruled for v in world.at[i]) for i in (a, b))
    length = dist((x0, y0), (x1, y1))
    first, second = world.names[a], world.names[b]
    answer = f"{length:.1f}"
    return Question(
        f"The lines are one unit apart. How many units is it from point {first} to point {second} in a straight line?",
        answer,
        (a, b),
        f"points {first} and {second}",
        f"From {first} to {second} it is {answer} units.",
        facts=(
            f"{second} is {abs(x1 - x0):g} units beside {first} and {abs(y1 - y0):g} units above or below it.",
            f"The root of {(x1 - x0) ** 2:g} + {(y1 - y0) ** 2:g} is {length:.2f}.",
        ),
        distractors=(f"{length + 1:.1f}",),
        grader="within",
        given={"tolerance": DISTANCE_TOLERANCE},
        aim=str(round(length)),
    )


def _cell(world: Points, roles: Roles) -> Question | str:
    index, n = roles["point"], world.ruled
    if not n:
        return "the paper is not ruled"
    x, y = world.at[index]
    column, row = int(x * n), int(y * n)
    if any(min(v * n % 1, 1 - v * n % 1) < INSIDE for v in (x, y)):
        return f"the point is within {INSIDE} of a cell from a line"
    name, answer = world.names[index], f"row {row + 1}, column {column + 1}"
    return Question(
        f"Lines divide the picture into {n} rows (row 1 at the top) and {n} columns (column 1 at the left). "
        f"In which row and column is point {name}?",
        answer,
        (index,),
        f"point {name}",
        f"{name} is in {answer}.",
        facts=(
            _at(world, index),
            f"{y:.3f} x {n} = {y * n:.2f}: row {row + 1}.",
            f"{x:.3f} x {n} = {x * n:.2f}: {answer}.",
        ),
        distractors=(f"row {row + 1}, column {(column + 1) % n + 1}",),
        grader="cell",
    )


def _location(world: Points, roles: Roles) -> Question | str:
    index = roles["point"]
    x, y = world.at[index]
    name, answer = world.names[index], f"{x:.2f}, {y:.2f}"
    return Question(
        f"Where is the middle of point {name}? Answer with x, y as shares of the width (from the left) "
        "and of the height (from the top).",
        answer,
        (index,),
        f"point {name}",
        f"The middle of {name} is at {answer}.",
        facts=(_at(world, index),),
        distractors=(f"{(x + 0.5) % 1:.2f}, {y:.2f}",),
        grader="near_point",
        given={"tolerance": POINT_TOLERANCE},
        aim=("upper " if y < 0.5 else "lower ") + ("left" if x < 0.5 else "right"),
    )


# --- ways ----------------------------------------------------------------------------------------------------------


def _way(grid: GridMap, roles: Roles) -> tuple[list[str], str, str] | str:
    (first, start), (second, goal) = (grid.marks[roles[key]] for key in ("from", "to"))
    moves = shortest_moves(grid, start, goal)
    return (moves, first, second) if moves else f"there is no way from {first} to {second}"


def _path(grid: GridMap, roles: Roles) -> Question | str:
    found = _way(grid, roles)
    if isinstance(found, str):
        return found
    moves, first, second = found
    (_, start), (_, goal) = (grid.marks[roles[key]] for key in ("from", "to"))
    return Question(
        f"Dark cells are blocked. Give a shortest way from {first} to {second} in moves: up, down, left, right.",
        ", ".join(moves),
        (roles["from"], roles["to"]),
        f"{first} and {second}",
        f"The shortest way takes {len(moves)} {'move' if len(moves) == 1 else 'moves'}.",
        facts=_path_facts(grid, roles, moves),
        distractors=(", ".join([*moves, moves[-1]]),),
        grader="moves",
        given={"rows": list(grid.rows), "start": list(start), "goal": list(goal)},
        aim=str(len(moves)),
    )


def _path_facts(grid: GridMap, roles: Roles, moves: list[str]) -> tuple[str, ...]:
    places = (grid.marks[roles[key]] for key in ("from", "to"))
    where = (f"{name} is in row {r + 1}, column {c + 1}." for name, (r, c) in places)
    return (*where, f"A shortest way around the dark cells: {', '.join(moves)}.", f"It has {len(moves)} moves.")


def _path_length(grid: GridMap, roles: Roles) -> Question | str:
    found = _way(grid, roles)
    if isinstance(found, str):
        return found
    moves, first, second = found
    return Question(
        f"Dark cells are blocked; a move goes up, down, left or right by one cell. How many moves does the shortest "
        f"way from {first} to {second} take?",
        str(len(moves)),
        (roles["from"], roles["to"]),
        f"{first} and {second}",
        f"The shortest way takes {len(moves)} moves.",
        facts=_path_facts(grid, roles, moves),
        distractors=(str(len(moves) + 2),),
    )


def _tour(world: Points, roles: Roles) -> Question | str:
    start = roles["point"]
    rest = [i for i in range(len(world.at)) if i != start]
    if not 3 <= len(rest) <= 4:
        return f"{len(world.at)} points: round trips are asked for with 4 or 5"

    def length(order: tuple[int, ...]) -> float:
        trip = (start, *order, start)
        return sum(dist(world.at[a], world.at[b]) for a, b in pairwise(trip))

    # A round trip and its reverse are one; the lower index of its second and last point says which is kept.
    trips = sorted((length(order), order) for order in permutations(rest) if order[0] < order[-1])
    best, order = trips[0]
    longer = [other for other, _ in trips if other > best * (1 + 1e-9)]
    if longer and longer[0] < TOUR_MARGIN * best:
        return f"another round trip is less than {TOUR_MARGIN} times as long as the shortest"
    names = [world.names[i] for i in (start, *order, start)]
    worst = [world.names[i] for i in (start, *trips[-1][1], start)]
    return Question(
        f"Which is the shortest round trip through all points? Start and end at {names[0]}, and list the "
        "points in order.",
        ", ".join(names),
        (start, *order),
        "all the points",
        f"The shortest round trip goes {', '.join(names)}.",
        facts=(*(_at(world, i) for i in sorted((start, *rest))), *_trip_facts(world, start, trips[:3])),
        distractors=(", ".join(worst),),
        grader="tour",
        given={"cities": {name: list(place) for name, place in zip(world.names, world.at, strict=True)}},
        aim=f"{len(world.at)} points",
    )


def _trip_facts(world: Points, start: int, trips: list[tuple[float, tuple[int, ...]]]) -> tuple[str, ...]:
    return tuple(
        f"The round trip {', '.join(world.names[i] for i in (start, *order, start))} is {length:.2f} long."
        for length, order in trips
    )


TASKS: dict[str, Task] = {
    "sparkle_direction": Task(
        "in which of eight compass directions one point is from another",
        "Eight sectors of 45 degrees, north up; none within 5 degrees of a border.",
        "direction",
        SYSTEM,
        "text",
        until_served(_loose, _pairs, _direction),
        _pairs,
        _direction,
        aims=lambda most: SCHEMES[SCHEME].words,
    ),
    "sparkle_nearer": Task(
        "which of two points is nearer to a third",
        f"Straight distances in the picture; the farther is {CLOSER} times as far or more.",
        "distance",
        SYSTEM,
        "text",
        until_served(_loose, _triples, _nearer),
        _triples,
        _nearer,
        aims=lambda most: ("first", "second"),
    ),
    "sparkle_distance": Task(
        "how far apart two points on ruled paper are",
        f"Straight distance in units of the paper's cells, to one decimal; right within {DISTANCE_TOLERANCE}.",
        "distance",
        SYSTEM,
        "number",
        until_served(_on_paper, _pairs, _distance),
        _pairs,
        _distance,
        aims=lambda most: REACHES,
    ),
    "sparkle_cell": Task(
        "in which row and column of a table a point is",
        f"{TABLE} rows and columns, counted from the top left; the point is {INSIDE} of a cell or more away "
        "from every line.",
        "location",
        SYSTEM,
        "text",
        until_served(_in_table, _each, _cell),
        _each,
        _cell,
        aims=lambda most: tuple(f"row {r}, column {c}" for r in range(1, TABLE + 1) for c in range(1, TABLE + 1)),
    ),
    "sparkle_location": Task(
        "where in the picture a point is, as two numbers",
        f"Shares of width and height from the top left; right within {POINT_TOLERANCE} each.",
        "location",
        SYSTEM,
        "text",
        until_served(_loose, _each, _location),
        _each,
        _location,
        aims=lambda most: ("upper left", "upper right", "lower left", "lower right"),
    ),
    "sparkle_path": Task(
        "a shortest way between two places on a map with blocked cells",
        "Breadth first over the four moves; any way that is as short is right, found by taking it.",
        "path",
        SYSTEM,
        "text",
        until_served(_map, _whole, _path),
        _whole,
        _path,
        aims=lambda most: LENGTHS,
    ),
    "sparkle_path_length": Task(
        "how many moves the shortest way between two places on a map takes",
        "Breadth first over the four moves.",
        "path",
        SYSTEM,
        "number",
        until_served(_map, _whole, _path_length),
        _whole,
        _path_length,
        aims=lambda most: LENGTHS,
    ),
    "sparkle_tour": Task(
        "the shortest round trip through four or five points",
        f"Of all round trips, the others are as long as the shortest, or {TOUR_MARGIN} times as long or more. "
        "Any shortest one is right, from any start and either way around.",
        "path",
        SYSTEM,
        "text",
        until_served(_cities, _each, _tour),
        _each,
        _tour,
        aims=lambda most: ("4 points", "5 points"),
    ),
}
"""One entry a task."""
