"""3DSRBench's twelve types of questions about furniture: height, location, orientation, several objects.

Answers follow from oriented boxes, fronts and the camera, not from the picture. Each question may be asked of the
mirror image, where left and right swap, and with its options in any order: `twins.variants`, scored by
`consistency.flip_circular`. Source: the types of 3DSRBench (arXiv 2412.07825), which people label; the rules with their
margins are ours. Uncommon viewpoints are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from ..layout import PAINTS, Plan, clearance, sample_scene, too_hidden
from ..model import Camera, Scene, SceneObject
from ..render import View, render
from ..shapes import FURNITURE
from ..stages import STAGES
from ..task import Question, Roles, Task
from ..words import the
from .basics import DEPTH_MARGIN_M
from .srd3_rules import (
    APART_M,
    AWAY_DEG,
    DIFFERENT_DEG,
    FACING_DEG,
    GAP_M,
    HALF_DEG,
    HEIGHT_M,
    NEXT,
    NEXT_M,
    PARALLEL_DEG,
    RATIO,
    ROW,
    SAME_DEG,
    SIDE_DEG,
    SIDES,
    Found,
    above,
    closer_to,
    facing,
    footprint_gap,
    front_of,
    higher,
    left_of,
    nearer,
    next_to,
    parallel,
    same_direction,
    side_to_camera,
    side_to_object,
)

if TYPE_CHECKING:
    from ..generate import SceneConfig

SYSTEM = "3DSRBench (rules ours)"

TURNS, SCENES = 60, 8

# --- types -------------------------------------------------------------------------------------------------------

NAMES = ("first", "second")
"""Outcomes that stand for the last two objects of a question; their names are the options."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of questions. text: with the objects' names in order. fronts: which of the objects need a front.
    stacked: whether something stands on something."""

    text: str
    rule: Callable[[Scene, Camera, tuple[int, ...]], Found]
    outcomes: tuple[str, ...]
    members: int
    fronts: tuple[int, ...] = ()
    stacked: bool = False


KINDS: dict[str, Kind] = {
    "height_higher": Kind("Whose middle is higher above the floor, {}'s or {}'s?", higher, NAMES, 2, stacked=True),
    "location_above": Kind("Is {} directly above {}?", above, ("yes", "no"), 2, stacked=True),
    "location_closer_to_camera": Kind("Which is closer to the camera, {} or {}?", nearer, NAMES, 2),
    "location_next_to": Kind("Are {} and {} next to each other or far apart?", next_to, (NEXT, "far apart"), 2),
    "orientation_in_front_of": Kind(
        "Is {0} in front of {1} or behind it, as {1} faces?", front_of, ("in front", "behind"), 2, (1,)
    ),
    "orientation_on_the_left": Kind(
        "Somebody stands at {1} and faces where it faces. Is {0} on the left or on the right?",
        left_of,
        ("left", "right"),
        2,
        (1,),
    ),
    "orientation_viewpoint": Kind("Which side of {} faces the camera?", side_to_camera, SIDES, 1, (0,)),
    "multi_object_closer_to": Kind("Is {} closer to {} or to {}?", closer_to, NAMES, 3),
    "multi_object_facing": Kind("Does {} face {} or {}?", facing, NAMES, 3, (0,)),
    "multi_object_viewpoint_towards_object": Kind("Which side of {} faces {}?", side_to_object, SIDES, 2, (0,)),
    "multi_object_parallel": Kind(
        "Do {} and {} stand parallel or perpendicular?", parallel, ("parallel", "perpendicular"), 2, (0, 1)
    ),
    "multi_object_same_direction": Kind(
        "Do {} and {} face the same direction or very different directions?",
        same_direction,
        ("the same direction", "very different directions"),
        2,
        (0, 1),
    ),
}
"""The twelve types by their names in 3DSRBench; the group comes first."""


def _fitting(kind: Kind, scene: Scene) -> Iterator[tuple[int, ...]]:
    for things in permutations(range(len(scene.objects)), kind.members):
        if all(scene.objects[things[i]].has_front for i in kind.fronts):
            yield things


def _world(kind: Kind) -> Callable[[Generator, str, SceneConfig], View | str]:
    """Furnished rooms in which some objects give the outcome that is aimed for."""

    def make(rng: Generator, aim: str, config: SceneConfig) -> View | str:
        for _ in range(SCENES):
            count = int(rng.integers(config.objects[0], config.objects[1] + 1))
            plan = Plan(count, pool="furniture", fronts=bool(kind.fronts), on_top=kind.stacked)
            scene = sample_scene(rng, plan, config.size)
            if isinstance(scene, Scene):
                scene = _one_on_floor(rng, scene) if kind.stacked else _pushed(rng, scene) if aim == NEXT else scene
                scene = _seek(rng, kind, scene, aim)
                if scene is not None:
                    break
        else:
            return f"no objects of which the answer is {aim}"
        view = render(scene, config.size)
        for thing, box in zip(scene.objects, view.boxes, strict=True):
            if box is None or min(box.x0, box.y0, 1 - box.x1, 1 - box.y1) <= 0:
                return f"the {thing.label} is cut off"
        return too_hidden(view) or view

    return make


def _seek(rng: Generator, kind: Kind, scene: Scene, aim: str) -> Scene | None:
    """The scene with its objects turned until the answer about some of them is the one that is aimed for."""
    for _ in range(TURNS if kind.fronts else 1):
        found = (kind.rule(scene, scene.cameras[0], things) for things in _fitting(kind, scene))
        if any(f is not None and f[0] == aim for f in found):
            return scene
        scene = _turned(rng, scene)
    return None


def _one_on_floor(rng: Generator, scene: Scene) -> Scene:
    """The scene with another small thing on the floor, so that its class does not tell what stands high."""
    places = [i for i, o in enumerate(scene.objects) if not (FURNITURE[o.shape].small or FURNITURE[o.shape].holds)]
    if not places:
        return scene
    index = int(rng.choice(places))
    shape = str(rng.choice([n for n, s in FURNITURE.items() if s.small]))
    color = str(rng.choice(FURNITURE[shape].colors))
    x, y, z = (round(float(rng.uniform(*limits)), 4) for limits in FURNITURE[shape].size or ())
    thing, front = scene.objects[index], FURNITURE[shape].front
    place = (*thing.position[:2], z / 2)
    small = SceneObject(shape, color, PAINTS[color], (x, y, z), place, thing.yaw_deg, front)
    return scene if small.label in [o.label for o in scene.objects] else _with(scene, index, small)


def _pushed(rng: Generator, scene: Scene) -> Scene:
    """The scene with one object pushed toward another, if there is room."""
    a, b = (int(i) for i in rng.choice(len(scene.objects), 2, replace=False))
    one, two = scene.objects[a], scene.objects[b]
    way, step = np.subtract(one.position, two.position)[:2], footprint_gap(one, two) - rng.uniform(0.1, 0.25)
    x, y = (two.position[:2] + way * (step / np.hypot(*way))).round(4).tolist()
    pushed = replace(two, position=(x, y, two.position[2]))
    free = all(clearance(pushed, o) >= STAGES["furniture"].gap for i, o in enumerate(scene.objects) if i != b)
    return _with(scene, b, pushed) if free else scene


def _with(scene: Scene, index: int, thing: SceneObject) -> Scene:
    return replace(scene, objects=(*scene.objects[:index], thing, *scene.objects[index + 1 :]))


def _turned(rng: Generator, scene: Scene) -> Scene:
    """The scene with one object that has a front turned some other way, if there is room."""
    fronts = [i for i, o in enumerate(scene.objects) if o.has_front]
    if not fronts:
        return scene
    index = int(rng.choice(fronts))
    turned = replace(scene.objects[index], yaw_deg=round(float(rng.uniform(0, 360)), 2))
    free = all(clearance(turned, o) >= STAGES["furniture"].gap for i, o in enumerate(scene.objects) if i != index)
    return _with(scene, index, turned) if free else scene


def _roles(kind: Kind) -> Callable[[View], Iterator[Roles]]:
    def roles(view: View) -> Iterator[Roles]:
        count = len(kind.outcomes)
        return ({"things": list(t), "turn": k} for t in _fitting(kind, view.scene) for k in range(count))

    return roles


def _ask(kind: Kind) -> Callable[[View, Roles], Question | str]:
    def ask(view: View, roles: Roles) -> Question | str:
        scene, things, turn = view.scene, tuple(roles["things"]), roles["turn"]
        if len(things) != kind.members or len(set(things)) != kind.members:
            return f"it takes {kind.members} different objects"
        if any(not scene.objects[things[i]].has_front for i in kind.fronts):
            return "an object has no front"
        found = kind.rule(scene, view.camera, things)
        if found is None:
            return "it is too close to call"
        names = [the(scene, i) for i in things]
        options = tuple(names[-2:]) if kind.outcomes is NAMES else kind.outcomes
        outcome, fact = found
        answer = options[kind.outcomes.index(outcome)]
        text = kind.text.format(*names)
        return Question(
            text[0].upper() + text[1:],
            answer,
            things,
            " and ".join(names),
            fact,
            facts=(fact, f"So the answer is: {answer}."),
            choices=options[turn:] + options[:turn],
            aim=outcome,
        )

    return ask


ABOUT = {
    "height_higher": (
        "which of two small things is higher above the floor",
        f"Middles differ by {HEIGHT_M} m or more. Small things only: of a lamp and a stool, words alone would tell.",
    ),
    "location_above": (
        "whether an object is directly above another",
        "A small thing over the footprint of a table, and not below its top; or another one beside it, "
        f"{GAP_M} m away or more, though higher in the picture by {ROW}.",
    ),
    "location_closer_to_camera": (
        "which of two objects is closer to the camera",
        f"Centers differ by {DEPTH_MARGIN_M} m or more in depth and in distance.",
    ),
    "location_next_to": (
        "whether two objects are next to each other or far apart",
        f"Gap between footprints: up to {NEXT_M} m, or {APART_M} m and more.",
    ),
    "orientation_in_front_of": (
        "whether an object is in front of another or behind it, as that one faces",
        f"Up to {HALF_DEG} degrees from its front or its back.",
    ),
    "orientation_on_the_left": (
        "whether an object is left or right of another, as that one faces",
        f"Up to {HALF_DEG} degrees from its left or its right.",
    ),
    "orientation_viewpoint": (
        "which side of an object faces the camera",
        f"The camera is up to {SIDE_DEG} degrees from that side's middle, seen from above.",
    ),
    "multi_object_closer_to": (
        "to which of two objects another is closer",
        f"Centers: {RATIO} times as far and {GAP_M} m farther, or more.",
    ),
    "multi_object_facing": (
        "which of two objects another faces",
        f"Up to {FACING_DEG} degrees from its front; the other one {AWAY_DEG} or more.",
    ),
    "multi_object_viewpoint_towards_object": (
        "which side of an object faces another",
        "As orientation_viewpoint, with the other's center for the camera.",
    ),
    "multi_object_parallel": (
        "whether two objects are parallel or perpendicular",
        f"Directions in which they face, up to {PARALLEL_DEG} degrees off.",
    ),
    "multi_object_same_direction": (
        "whether two objects face the same direction",
        f"Up to {SAME_DEG} degrees between their fronts; very different: {DIFFERENT_DEG} or more.",
    ),
}

TASKS: dict[str, Task] = {
    f"srd3_{key}": Task(
        *ABOUT[key],
        key[: key.index("_")] if not key.startswith("multi") else "multi_object",
        SYSTEM,
        "choice",
        _world(kind),
        _roles(kind),
        _ask(kind),
        aims=lambda most, outcomes=kind.outcomes: outcomes,
        least=max(kind.members, 3 if kind.stacked else 1),
    )
    for key, kind in KINDS.items()
}
"""One entry a type; see `docs/scenes.md` for how to add a task."""
