"""SpatialText: rooms told in words, so that nothing has to be seen; from retrieval to what cannot be known.

Families follow the abstract of SpatialText (arXiv 2603.03002), of which no more is public; generator, wording and rules
are ours. Every answer comes from all layouts that the words allow (`floorplan`), and "cannot be determined" is an
option of every question about a direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, permutations
from typing import TYPE_CHECKING

from numpy.random import Generator

from ..floorplan import COMPASS, NAMES, FloorPlan, Statement, Step
from ..task import Question, Roles, Task

if TYPE_CHECKING:
    from ..generate import SceneConfig

SYSTEM = "SpatialText (ours)"
NOWHERE = "cannot be determined"
THINGS = ("lamp", "table", "plant", "shelf", "rug", "mirror", "stove", "basket", "vase", "clock", "piano", "stool")
FRONTED = ("sofa", "armchair", "television", "desk", "bed", "wardrobe", "fridge", "bookcase")
"""Things with a front."""
SIZES = (4, 5)
"""Things in a room."""
ROOMS = 60
"""Rooms to draw for one that has a question of the kind that is wanted."""
AROUND = ("front", "front-right", "right", "back-right", "back", "back-left", "left", "front-left")
"""Directions seen from somebody who faces somewhere, clockwise; the order is that of `COMPASS`."""


# --- rooms -------------------------------------------------------------------------------------------------------


def _room(rng: Generator) -> FloorPlan:
    """Random places, told by enough statements to connect all things, in a random order, and sometimes one more."""
    n = int(rng.integers(SIZES[0], SIZES[1] + 1))
    fronted = [FRONTED[i] for i in rng.permutation(len(FRONTED))[: n // 2]]
    names = [*fronted, *(THINGS[i] for i in rng.permutation(len(THINGS))[: n - len(fronted)])]
    names = [names[i] for i in rng.permutation(n)]
    cells = [divmod(int(cell), n) for cell in rng.permutation(n * n)[:n]]
    if rng.random() < 0.5:
        cells = _aligned(rng, n)
    # Each thing is told of one before it, so that all hang together; more statements make more known.
    pairs = [(i, int(rng.integers(i))) for i in range(1, n)]
    pairs += [pair for pair in combinations(range(n), 2) if pair[::-1] not in pairs and rng.random() < 0.15]
    pairs = [pair if rng.random() < 0.5 else pair[::-1] for pair in (pairs[i] for i in rng.permutation(len(pairs)))]
    statements = tuple(Statement(a, NAMES[_signs(cells[a], cells[b])], b) for a, b in pairs)
    faces = tuple(list(COMPASS)[2 * int(rng.integers(4))] if name in FRONTED else "" for name in names)
    return FloorPlan(tuple(names), statements, faces)


def _aligned(rng: Generator, n: int) -> list[Step]:
    """Places of which many share a row or a column, as they do in rooms; otherwise nearly all directions slant."""
    cells: list[Step] = [(0, 0)]
    while len(cells) < n:
        x, y = cells[int(rng.integers(len(cells)))]
        way = list(COMPASS.values())[2 * int(rng.integers(4))]
        far = int(rng.integers(1, 3))
        cell = x + far * way[0], y + far * way[1]
        if cell not in cells:
            cells.append(cell)
    return cells


def _signs(a: Step, b: Step) -> Step:
    x, y = ((p > q) - (p < q) for p, q in zip(a, b, strict=True))
    return x, y


Ask = Callable[[FloorPlan, Roles], "Question | str"]
Candidates = Callable[[FloorPlan], Iterator[Roles]]


def _room_for(roles: Candidates, ask: Ask) -> Callable[[Generator, str, SceneConfig], FloorPlan | str]:
    """Rooms that have a question whose answer is the aim."""

    def make(rng: Generator, aim: str, config: SceneConfig) -> FloorPlan | str:
        for _ in range(ROOMS):
            room = _room(rng)
            asked = (ask(room, r) for r in roles(room))
            if any(not isinstance(q, str) and aim in ("", q.serves) for q in asked):
                return room
        return f"none of {ROOMS} rooms has a question whose answer is {aim}"

    return make


# --- questions ---------------------------------------------------------------------------------------------------


def _question(
    room: FloorPlan, ask: str, answer: str, options: tuple[str, ...], facts: list[str], hops: int
) -> Question:
    return Question(
        f"{room.told()} {ask}",
        answer,
        says=facts[-1],
        facts=tuple(facts),
        choices=(*options, NOWHERE),
        meta={"hops": hops},
    )


def _pairs(room: FloorPlan) -> Iterator[Roles]:
    return ({"a": a, "b": b} for a, b in permutations(range(len(room.names)), 2))


def _where(room: FloorPlan, a: int, b: int) -> list[str]:
    """What the layouts say about thing a, seen from b, as facts."""
    one, other = (f"the {room.names[i]}" for i in (a, b))
    told = [
        f"The {room.names[s.a]} is {s.direction} of the {room.names[s.b]}."
        for s in room.statements
        if {s.a, s.b} == {a, b} or room.links.get((a, b), 0) > 1
    ]
    some = sorted((NAMES[step] for step in room.directions[a, b]), key=list(COMPASS).index)
    if len(some) == 1:
        return [*told, f"In every layout that fits, {one} is {some[0]} of {other}."]
    return [*told, f"Layouts fit in which {one} is {' or '.join((some[0], some[-1]))} of {other}."]


def _allocentric(stated: bool) -> Ask:
    """Where is a, seen from b? stated: a statement says just that; otherwise none speaks of both."""

    def ask(room: FloorPlan, roles: Roles) -> Question | str:
        a, b = roles["a"], roles["b"]
        hops = room.links.get((a, b), 0)
        said = any((s.a, s.b) == (a, b) for s in room.statements)
        if stated and not said:
            return "no statement says so in these words"
        if not stated and hops == 1:
            return "a statement speaks of both: nothing has to be inferred"
        if not room.directions[a, b]:
            return "no layout fits all statements"
        step = room.direction(a, b)
        answer = NOWHERE if step is None else NAMES[step]
        text = f"In which direction is the {room.names[a]}, seen from the {room.names[b]}?"
        return _question(room, text, answer, tuple(COMPASS), _where(room, a, b), hops)

    return ask


def around(step: Step, facing: Step) -> str:
    """A compass direction as somebody sees it who faces another: (1, 0), east, is "right" to who faces north."""
    ways = list(COMPASS.values())
    return AROUND[(ways.index(step) - ways.index(facing)) % 8]


def _turned(room: FloorPlan, text: str, facing: Step, a: int, b: int, facts: list[str]) -> Question | str:
    """Thing a as seen from thing b by somebody who faces `facing`."""
    if not room.directions[a, b]:
        return "no layout fits all statements"
    step = room.direction(a, b)
    answer = NOWHERE if step is None else around(step, facing)
    last = f"So the answer is: {answer}." if step is None else f"Who faces {NAMES[facing]} has it on the {answer}."
    return _question(room, text, answer, AROUND, [*facts, *_where(room, a, b), last], room.links.get((a, b), 0))


def _triples(room: FloorPlan) -> Iterator[Roles]:
    return ({"at": at, "to": to, "a": a} for at, to, a in permutations(range(len(room.names)), 3))


def _egocentric(room: FloorPlan, roles: Roles) -> Question | str:
    at, to, a = (roles[key] for key in ("at", "to", "a"))
    facing = room.direction(to, at)
    if facing is None or 0 not in facing:
        return "the direction faced is not known to be north, east, south or west"
    here, there, thing = (room.names[i] for i in (at, to, a))
    text = f"You stand at the {here} and face the {there}. On which side of you is the {thing}?"
    return _turned(room, text, facing, a, at, _where(room, to, at))


def _intrinsic(room: FloorPlan, roles: Roles) -> Question | str:
    a, b = roles["a"], roles["b"]
    if not room.faces[b]:
        return f"the {room.names[b]} has no front"
    text = f"On which side of the {room.names[b]}, as it faces, is the {room.names[a]}?"
    facts = [f"The {room.names[b]} faces {room.faces[b]}."]
    return _turned(room, text, COMPASS[room.faces[b]], a, b, facts)


def _undetermined(room: FloorPlan, roles: Roles) -> Question | str:
    a, b = roles["a"], roles["b"]
    hops = room.links.get((a, b), 0)
    if hops == 1:
        return "a statement speaks of both: nothing has to be inferred"
    if not room.directions[a, b]:
        return "no layout fits all statements"
    known = room.direction(a, b) is not None
    facts = _where(room, a, b)
    text = f"Does this determine the direction of the {room.names[a]}, seen from the {room.names[b]}?"
    return Question(
        f"{room.told()} {text}",
        "yes" if known else "no",
        says=facts[-1],
        facts=tuple(facts),
        meta={"hops": hops},
    )


def _task(
    about: str, rule: str, family: str, roles: Candidates, ask: Ask, aims: tuple[str, ...], kind: str = "choice"
) -> Task:
    return Task(about, rule, family, SYSTEM, kind, _room_for(roles, ask), roles, ask, aims=lambda most: aims)


_EVERYWHERE = (*COMPASS, NOWHERE)
_UNIQUE = "The direction in all layouts that fit the statements; if they differ, it cannot be determined."

TASKS: dict[str, Task] = {
    "spatial_text_stated": _task(
        "where a thing is, as a statement says",
        "A statement says it in these words.",
        "text stated",
        _pairs,
        _allocentric(stated=True),
        tuple(COMPASS),
    ),
    "spatial_text_inferred": _task(
        "where a thing is from another, by what several statements say",
        f"{_UNIQUE} No statement speaks of both things.",
        "text allocentric",
        _pairs,
        _allocentric(stated=False),
        _EVERYWHERE,
    ),
    "spatial_text_egocentric": _task(
        "on which side a thing is of somebody who stands at one thing and faces another",
        f"{_UNIQUE} The direction faced is known to be north, east, south or west.",
        "text egocentric",
        _triples,
        _egocentric,
        (*AROUND, NOWHERE),
    ),
    "spatial_text_intrinsic": _task(
        "on which side of a thing with a front another thing is",
        f"{_UNIQUE} The thing's facing is told.",
        "text intrinsic",
        _pairs,
        _intrinsic,
        (*AROUND, NOWHERE),
    ),
    "spatial_text_undetermined": _task(
        "whether a description determines where a thing is from another",
        "Yes if all layouts that fit agree on one of eight directions. No statement speaks of both things.",
        "text epistemic",
        _pairs,
        _undetermined,
        ("yes", "no"),
        "yesno",
    ),
}
