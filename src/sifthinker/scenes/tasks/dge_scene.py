"""SpatialEvo's six tasks about a whole scene: counts, sizes, distances, directions on the floor, the room.

Everything that is asked about is seen in one picture. Rules are in `dge_rules`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from ..directions import SCHEMES, facing
from ..layout import COLORS, Plan
from ..model import Floats, Scene
from ..render import View
from ..rooms import RoomView, corners, whole_room
from ..shapes import POOLS, SHAPES
from ..task import Question, Roles, Task
from ..views import one_view
from ..words import article, metres, the
from .basics import each, pairs
from .dge_rules import (
    CLEAR_DEG,
    MRA,
    OURS,
    SYSTEM,
    UNCLEAR,
    any_size,
    bin_of,
    bins,
    distractors,
    indoors,
    point,
    suited_view,
    unfit,
)

if TYPE_CHECKING:
    from ..generate import SceneConfig

NEAREST_M = 0.25
"""Nearest of three: the next one is farther from the anchor by at least this, metres."""
LEAST_M = 0.3
"""Directions: places are at least this far apart on the floor, metres."""
DISTANCES_M = (1.3, 1.8, 2.4)
LENGTHS_CM = (50, 70, 110)
AREAS_M2 = (16, 25, 36)
"""Borders of the answers that samples take in turn."""
ROOMS_M2 = {"under 16": (8, 16), "16 to 25": (16, 25), "25 to 36": (25, 36), "from 36": (36, 60)}


# --- how many ----------------------------------------------------------------------------------------------------


def _plan_shape(rng: Generator, aim: str, low: int, high: int) -> Plan:
    """So many objects of one shape, in different colors, and some of other shapes."""
    wanted, total = int(aim or 1), int(rng.integers(max(low, int(aim or 1)), high + 1))
    pool = str(rng.choice(["solids", "furniture"]))
    shape, *others = (str(s) for s in rng.permutation([n for n, s in POOLS[pool].items() if not s.small]))
    kinds = [(shape, color) for color in _colors(rng, shape)[:wanted]]
    total += len(kinds) - wanted
    while len(kinds) < total:
        other = others[int(rng.integers(len(others)))]
        if (kind := (other, _colors(rng, other)[0])) not in kinds:
            kinds.append(kind)
    return Plan(total, pool=pool, kinds=tuple(kinds))


def _colors(rng: Generator, shape: str) -> list[str]:
    return [str(c) for c in rng.permutation(SHAPES[shape].colors or list(COLORS))]


def _shapes(view: View) -> Iterator[Roles]:
    return ({"noun": noun} for noun in dict.fromkeys(o.shape for o in view.scene.objects))


def _counting(view: View, roles: Roles) -> Question | str:
    noun, objects = roles["noun"], view.scene.objects
    members = [i for i, o in enumerate(objects) if o.shape == noun]
    if not members:
        return f"there is no {noun}"
    for member in members:
        if (reason := unfit(view, member)) and "several" not in reason:
            return reason
    members.sort(key=lambda i: view.columns[i])
    answer = str(len(members))
    says = f"There is {article(noun)}." if answer == "1" else f"I count {answer} {noun}s."
    facts = (*(f"Number {k}: the {objects[i].label}." for k, i in enumerate(members, 1)), f"That makes {answer}.")
    text = f"How many {noun}s are there in the scene?"
    return Question(text, answer, tuple(members), f"the {noun}s", says, facts=facts)


# --- how long, how far -------------------------------------------------------------------------------------------


def _size(view: View, roles: Roles) -> Question | str:
    target = roles["target"]
    if reason := unfit(view, target):
        return reason
    size, who = view.scene.objects[target].size, the(view.scene, target)
    cm = round(100 * max(size))
    facts = (
        f"The box of {who} measures {' x '.join(f'{100 * s:.0f}' for s in size)} cm.",
        f"Its longest side is {cm} cm.",
    )
    return Question(
        f"How long is the longest side of {who} (of the box around it), in centimeters?",
        f"{cm} cm", (target,), who, f"Its longest side is about {cm} cm.",
        facts=facts, unit="cm", grader="mra", given=MRA, aim=bin_of(cm, LENGTHS_CM),
    )  # fmt: skip


def _has_size(scene: Scene, aim: str) -> bool:
    return any(bin_of(round(100 * max(o.size)), LENGTHS_CM) == aim for o in scene.objects)


def _distance(view: View, roles: Roles) -> Question | str:
    pair = roles["a"], roles["b"]
    if reason := unfit(view, *pair):
        return reason
    first, second = (the(view.scene, i) for i in pair)
    a, b = (view.centers[i] for i in pair)
    value = float(np.linalg.norm(a - b))
    facts = (
        f"In the camera's axes the center of {first} is at {point(a)} m, that of {second} at {point(b)} m.",
        f"They differ by {point(b - a)} m, so they are {metres(value)} apart.",
    )
    return Question(
        f"How far apart are the centers of {first} and {second}, in meters?",
        metres(value), pair, f"{first} and {second}", f"Their centers are {metres(value)} apart.",
        facts=facts, unit="m", grader="mra", given=MRA, aim=bin_of(value, DISTANCES_M),
    )  # fmt: skip


def _has_distance(scene: Scene, aim: str) -> bool:
    places = np.array([o.position for o in scene.objects])
    return any(bin_of(float(np.linalg.norm(a - b)), DISTANCES_M) == aim for a, b in combinations(places, 2))


def _candidates(view: View) -> Iterator[Roles]:
    for anchor in range(len(view.boxes)):
        others = [i for i in range(len(view.boxes)) if i != anchor]
        yield from ({"anchor": anchor, "candidates": list(three)} for three in permutations(others, 3))


def _nearest(view: View, roles: Roles) -> Question | str:
    anchor, candidates = roles["anchor"], list(roles["candidates"])
    if len(candidates) != 3:
        return f"three candidates are compared, not {len(candidates)}"
    if anchor in candidates:
        return "the anchor is among the candidates"
    if reason := unfit(view, anchor, *candidates):
        return reason
    gaps = np.linalg.norm(view.centers[candidates] - view.centers[anchor], axis=1)
    order = np.argsort(gaps)
    if gaps[order[1]] - gaps[order[0]] < NEAREST_M:
        return f"two candidates are within {NEAREST_M} m of being nearest"
    names, landmark = tuple(the(view.scene, i) for i in candidates), the(view.scene, anchor)
    nearest = names[int(order[0])]
    facts = (
        *(f"From {landmark} to {n} it is {metres(g)}." for n, g in zip(names, gaps, strict=True)),
        f"The least is {metres(float(gaps.min()))}: {nearest}.",
    )
    return Question(
        f"Which of these is nearest to {landmark}, from center to center: {names[0]}, {names[1]} or {names[2]}?",
        nearest, (anchor, *candidates), landmark, f"{nearest.capitalize()} is nearest to it.",
        facts=facts, choices=names, aim="ABC"[int(order[0])],
    )  # fmt: skip


# --- where -------------------------------------------------------------------------------------------------------


def _hard(offset: Floats) -> str | None:
    scheme = SCHEMES["dge_hard"]
    return scheme.name(offset) if scheme.clear(offset, CLEAR_DEG) else None


def _has_direction(scene: Scene, aim: str) -> bool:
    return any(_hard(facing(*three)) == aim for three in permutations([o.position for o in scene.objects], 3))


def _triples(view: View) -> Iterator[Roles]:
    triples = permutations(range(len(view.boxes)), 3)
    return ({"stand": a, "face": b, "target": c} for a, b, c in triples)


def _direction(view: View, roles: Roles) -> Question | str:
    three = tuple(roles[role] for role in ("stand", "face", "target"))
    if reason := unfit(view, *three):
        return reason
    places = np.array([view.scene.objects[i].position for i in three])
    if any(np.hypot(*(places[a] - places[b])[:2]) < LEAST_M for a, b in combinations(range(3), 2)):
        return f"two of them are within {LEAST_M} m on the floor"
    offset = facing(*places)
    if (answer := _hard(offset)) is None:
        return UNCLEAR
    stand, face, target = (the(view.scene, i) for i in three)
    right, _, ahead = offset / np.hypot(offset[0], offset[2])
    facts = (
        f"Seen from {stand}, with {face} straight ahead, {target} is {offset[0]:.2f} m to the right and "
        f"{offset[2]:.2f} m ahead.",
        f"As shares of their length that is {right:.2f} right and {ahead:.2f} ahead.",
        f"What is below 0.3 is not named, so the direction is {answer}.",
    )
    return Question(
        f"If I stand at {stand} and face {face}, in which direction is {target}? Answer with front, back, left or "
        "right, or with two of them such as front-left.",
        answer, three, f"{stand}, {face} and {target}", f"Facing {face}, I have {target} at my {answer}.",
        facts=facts, distractors=distractors("dge_hard", answer), meta={"scheme": "dge_hard"},
    )  # fmt: skip


# --- the room ----------------------------------------------------------------------------------------------------


def _room_world(rng: Generator, aim: str, config: SceneConfig) -> RoomView | str:
    low, high = ROOMS_M2[aim] if aim else (8, 60)
    return whole_room(rng, float(rng.uniform(low, high)), config)


def _floor(room: RoomView) -> Iterator[Roles]:
    yield {"floor": len(room.boxes) - 1}


def _room_size(room: RoomView, roles: Roles) -> Question | str:
    view, floor = room.view, roles["floor"]
    if floor != len(room.boxes) - 1:
        return f"thing {floor} is not the floor"
    for x, y in view.camera.project(corners(view.scene.room), view.size).astype(int).clip(0, np.array(view.size) - 1):
        if view.instances[y, x] >= 0:
            return "an object hides a corner of the floor"
    width, depth = view.scene.room.size[:2]
    area = width * depth
    facts = (
        f"The floor is a rectangle of {metres(width)} by {metres(depth)}.",
        f"Its area is {area:.1f} square meters.",
    )
    return Question(
        "This is a panorama of a whole room, all around. How large is its floor, in square meters? Answer with a "
        "number.",
        f"{area:.1f}", (floor,), "the floor", f"The floor covers {area:.1f} square meters.",
        facts=facts, grader="mra", given=MRA, aim=bin_of(area, AREAS_M2),
    )  # fmt: skip


TASKS: dict[str, Task] = {
    "dge_object_counting": Task(
        "how many objects of a shape there are",
        "All of that shape; each visible by 0.1 or more. At least one.",
        "count", SYSTEM, "number", one_view(_plan_shape), _shapes, _counting,
        aims=lambda most: tuple(str(n) for n in range(1, most + 1)),
    ),
    "dge_object_size": Task(
        "how long the longest side of an object is, in centimeters",
        "Longest side of its oriented box.",
        "size", SYSTEM, "number", suited_view(_has_size, any_size, 1), each, _size, aims=lambda most: bins(LENGTHS_CM),
    ),
    "dge_absolute_distance": Task(
        "how far two objects are apart, in meters",
        "Between the centers of their boxes.",
        "distance", SYSTEM, "number", suited_view(_has_distance, indoors, 2), pairs, _distance,
        aims=lambda most: bins(DISTANCES_M),
    ),
    "dge_relative_distance": Task(
        "which of three objects is nearest to another",
        f"Between centers; the next one is farther by {NEAREST_M} m or more (ours).",
        "distance", OURS, "choice", one_view(indoors, 4), _candidates, _nearest, aims=lambda most: ("A", "B", "C"),
    ),
    "dge_relative_direction_hard": Task(
        "where an object is for somebody who stands at a second one and faces a third",
        f"On the floor; parts below 0.3 of the length are not named. The name must hold when turned by {CLEAR_DEG:g} "
        "degrees (ours).",
        "direction", OURS, "direction", suited_view(_has_direction, indoors, 3), _triples, _direction,
        aims=lambda most: SCHEMES["dge_hard"].words,
    ),
    "dge_room_size": Task(
        "how large a room is, in square meters",
        "Width times depth of its floor; every corner of the floor is seen in a panorama (ours).",
        "size", OURS, "number", _room_world, _floor, _room_size, aims=lambda most: bins(AREAS_M2),
    ),
}  # fmt: skip
