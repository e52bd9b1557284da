"""EarthSpatialBench on drawn maps: topology of two shapes, and groups of shapes. See `earth` for the source.

Relations have the names of the OGC; the eighth, intersects, has a task of its own, since every other one implies it or
its opposite.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

from numpy.random import Generator

from ..flat.canvas import LETTERS
from ..flat.land import Land
from ..flat.maps import CLOSED, INSIDE, OUTSIDE, PAIRS, gathered, paired
from ..flat.topology import RELATIONS, relation
from ..task import Question, Roles, Task
from .earth import REFERENCES, called, earth_task, legend, pairs, scale, sentence, short, side_of, two_names

if TYPE_CHECKING:
    from ..generate import SceneConfig

NEAREST = 1.15
"""Nearest: every other one is at least this many times as far, and `NEAREST_PX` farther."""
NEAREST_PX = 4.0
WITHIN = 0.1
"""Count within a distance: no distance is nearer than this share to it, nor nearer than `WITHIN_PX`."""
WITHIN_PX = 3.0
REACHES_PX = (15, 20, 30, 40)
"""Distances within which is counted. Each has each number as often, so that it does not tell how many there are."""
COUNTS = ("0", "1", "2", "3", "4")
ASKED = ("polygons", "line and polygon", "polygons", "polygon and line", "polygons", "lines")
"""Kinds of pairs in turn, each with each of its answers. Lines never overlap nor equal here, and polygons cannot cross;
with so many polygons, kinds still tell no more of a relation than that `disjoint` is the most common."""


def _pair(rng: Generator, aim: str, config: SceneConfig) -> Land | str:
    kinds, answer = aim.split(", ") if aim else ("polygons", "yes")
    drawn = {"yes": [how for how in PAIRS[kinds] if how != "disjoint"], "no": ["disjoint"]}.get(answer, [answer])
    return paired(rng, side_of(config), kinds, str(rng.choice(drawn)))


def _around_it(rng: Generator, aim: str, config: SceneConfig) -> Land | str:
    return gathered(rng, side_of(config), [OUTSIDE] * int(rng.integers(3, 6)))


def _in_and_around(rng: Generator, aim: str, config: SceneConfig) -> Land | str:
    """Four or five buildings, as many of them inside or near as the aim says."""
    how, number = aim.split(", ") if aim else ("inside", "1")
    count, mine, other = int(rng.integers(4, 6)), INSIDE, OUTSIDE
    if how != "inside":
        reach = float(how.removesuffix(" px"))
        mine, other = (0.0, reach - _margin(reach)), (reach + _margin(reach), float("inf"))
    return gathered(rng, side_of(config), [mine if k < int(number) else other for k in range(count)])


def _margin(reach: float) -> float:
    return max(WITHIN_PX, WITHIN * reach)


# --- groups --------------------------------------------------------------------------------------------------------


def _around(world: Land) -> Iterator[Roles]:
    """The shape that stands alone in its kind, against all buildings."""
    for a, shape in enumerate(world.shapes):
        if shape.what != "building":
            yield from ({"a": a, "by": by} for by in REFERENCES)


def _countable(world: Land) -> Iterator[Roles]:
    for roles in _around(world):
        yield {**roles, "how": "inside"}
        yield from ({**roles, "how": "near", "reach_px": reach} for reach in REACHES_PX)


def _others(world: Land, index: int) -> dict[int, float]:
    """Pixels from a shape's edge to the nearest edge of each building; 0 for those inside."""
    own = world.shapes[index].geometry
    return {
        i: float(own.distance(s.geometry)) for i, s in enumerate(world.shapes) if i != index and s.what == "building"
    }


def _nearest(world: Land, roles: Roles) -> Question | str:
    a, gaps = roles["a"], _others(world, roles["a"])
    if len(gaps) < 2:
        return "there are fewer than two buildings"
    if min(gaps.values()) <= 0:
        return "a building is inside"
    name = called(world, a, roles["by"])
    if name is None:
        return "several shapes are of that kind"
    order = sorted(gaps, key=lambda i: gaps[i])
    near, second = gaps[order[0]], gaps[order[1]]
    if second < NEAREST * near or second < near + NEAREST_PX:
        return f"the second nearest is less than {NEAREST} times or {NEAREST_PX:g} pixels farther"
    letters = {i: world.shapes[i].letter for i in gaps}
    found = letters[order[0]]
    return Question(
        f"{legend(world, roles['by'])}Which building is nearest to {name}, from edge to nearest edge? "
        "Answer with its letter.",
        found,
        (a, order[0]),
        short(world, a),
        f"Building {found} is nearest to it.",
        facts=(
            *(f"From building {letters[i]} it is {gaps[i]:.1f} pixels." for i in sorted(gaps)),
            f"Building {found} is nearest.",
        ),
        distractors=(letters[order[1]],),
        grader="letter",
        given={"letters": sorted(letters.values())},
        meta={"reference": roles["by"]},
    )


def _count(world: Land, roles: Roles) -> Question | str:
    a, gaps, inside = roles["a"], _others(world, roles["a"]), roles["how"] == "inside"
    name = called(world, a, roles["by"])
    if name is None:
        return "several shapes are of that kind"
    own = world.shapes[a].geometry
    ways = {i: relation(world.shapes[i].geometry, own) for i in gaps}
    if not all(way in ("disjoint", "within") for way in ways.values()):
        return "a building is neither clearly inside nor clearly outside"
    if inside:
        found, question, wide = [i for i in gaps if ways[i] == "within"], "inside of", ""
    else:
        reach = roles["reach_px"]
        if "within" in ways.values():
            return "a building is inside"
        if any(abs(gap - reach) < _margin(reach) for gap in gaps.values()):
            return "a distance is close to the limit"
        found = [i for i in gaps if gaps[i] < reach]
        question, wide = f"less than {reach * world.metres:g} m from the edge of", scale(world)
    answer = str(len(found))
    return Question(
        f"{legend(world, roles['by'])}{wide}How many buildings are {question} {name}?",
        answer,
        (a, *found),
        short(world, a),
        f"I count {answer}: {', '.join(world.shapes[i].letter for i in found)}." if found else "There is none.",
        facts=(
            *(
                f"Building {world.shapes[i].letter} is "
                + ("inside." if ways[i] == "within" else f"outside, {gaps[i] * world.metres:.1f} m away.")
                for i in sorted(gaps)
            ),
            f"So the count is {answer}.",
        ),
        aim=f"inside, {answer}" if inside else f"{roles['reach_px']} px, {answer}",
        meta={"reference": roles["by"], "how": roles["how"]},
    )


# --- topology ------------------------------------------------------------------------------------------------------

_SAYS = {
    "disjoint": "have no place in common",
    "touches": "share a border and no more",
    "overlaps": "cover each other in part",
    "within": "lie one in the other",
    "contains": "lie one in the other",
    "equals": "are the same area",
    "crosses": "cross",
}


def _related(world: Land, roles: Roles) -> tuple[str, tuple[str, str]] | str:
    names = two_names(world, roles)
    if isinstance(names, str):
        return names
    how = relation(*(world.shapes[roles[key]].geometry for key in "ab"))
    return (how, names) if how else "their relation is not clear"


def _aim(world: Land, roles: Roles, answer: str) -> str:
    closed = tuple(world.shapes[roles[key]].closed for key in "ab")
    return f"{next(kinds for kinds in CLOSED if CLOSED[kinds] == closed)}, {answer}"


def _topology(world: Land, roles: Roles) -> Question | str:
    found = _related(world, roles)
    if isinstance(found, str):
        return found
    how, (first, second) = found
    both = short(world, roles["a"], roles["b"])
    return Question(
        f"{legend(world, roles['by'])}How does {first} stand to {second}: "
        f"{', '.join(RELATIONS[:-1])} or {RELATIONS[-1]}?",
        how,
        (roles["a"], roles["b"]),
        both,
        f"{sentence(both)} {_SAYS[how]}: {how}.",
        facts=_topology_facts(world, roles, how),
        distractors=tuple(other for other in RELATIONS if other != how),
        aim=_aim(world, roles, how),
        meta={"reference": roles["by"]},
    )


def _topology_facts(world: Land, roles: Roles, how: str) -> tuple[str, ...]:
    a, b = (world.shapes[roles[key]] for key in "ab")
    one, two = a.geometry, b.geometry
    both = one.intersection(two)
    if a.closed != b.closed:
        (line, way), (area, ground) = ((b, two), (a, one)) if a.closed else ((a, one), (b, two))
        along = way.intersection(ground.boundary).length
        return (
            f"Of {line.what} {line.letter}, {both.length - along:.0f} pixels run inside of {area.what} {area.letter}, "
            f"{along:.0f} along its border and {way.difference(ground).length:.0f} outside.",
            f"That is called {how}.",
        )
    return (
        f"{a.what.capitalize()} {a.letter} covers {one.area:.0f} square pixels, {b.what} {b.letter} {two.area:.0f}.",
        f"They share {both.area:.0f} square pixels; the shortest way between them is {one.distance(two):.1f} pixels.",
        f"That is called {how}.",
    )


def _intersects(world: Land, roles: Roles) -> Question | str:
    found = _related(world, roles)
    if isinstance(found, str):
        return found
    how, (first, second) = found
    answer, both = ("no" if how == "disjoint" else "yes"), short(world, roles["a"], roles["b"])
    return Question(
        f"{legend(world, roles['by'])}Do {first} and {second} have any place in common, even if only on their borders?",
        answer,
        (roles["a"], roles["b"]),
        both,
        f"{sentence(both)} {_SAYS[how]}.",
        facts=(*_topology_facts(world, roles, how), f"So the answer is {answer}."),
        aim=_aim(world, roles, answer),
        meta={"reference": roles["by"], "relation": how},
    )


TASKS: dict[str, Task] = {
    "earth_nearest": earth_task(
        "which building on a map is nearest to a shape",
        f"Shortest distance between edges; every other building is {NEAREST} times as far or more, and {NEAREST_PX:g} "
        "pixels farther.",
        "distance",
        "text",
        _around_it,
        _around,
        _nearest,
        lambda most: tuple(LETTERS[:4]),
    ),
    "earth_count": earth_task(
        "how many buildings on a map are inside of a shape, or within a distance of it",
        f"Inside: clearly within; near: shortest distance between edges, none closer to the limit than {WITHIN:.0%} of "
        f"it and {WITHIN_PX:g} pixels. Inside and each distance in pixels have each number as often.",
        "count",
        "number",
        _in_and_around,
        _countable,
        _count,
        lambda most: tuple(f"{how}, {n}" for n, how in product(COUNTS, ("inside", *(f"{px} px" for px in REACHES_PX)))),
    ),
    "earth_topology": earth_task(
        "how one shape on a map stands to another, in the names of the OGC",
        "Interiors, borders and outsides of exact shapes; each relation with its margin in flat/topology.py. "
        "Of two polygons, a line and a polygon or two lines, each relation that they can have here comes as often.",
        "topology",
        "text",
        _pair,
        pairs,
        _topology,
        lambda most: tuple(f"{kinds}, {how}" for kinds in ASKED for how in PAIRS[kinds]),
    ),
    "earth_intersects": earth_task(
        "whether two shapes on a map have any place in common",
        "The OGC's intersects: every relation but disjoint, with the margins of earth_topology. Polygons and lines "
        "have each answer as often.",
        "topology",
        "yesno",
        _pair,
        pairs,
        _intersects,
        lambda most: tuple(f"{kinds}, {answer}" for kinds in ASKED for answer in ("yes", "no")),
    ),
}
"""One entry a task."""
