"""SpatialEvo's seven tasks about two views: how cameras stand to each other and to things, what each view shows.

Rules are in `dge_rules`, where the cameras stand in `dge_views`. Objects are called by names that are unique in the
scene; where only one view matters, the question says which.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations, pairwise, permutations

import numpy as np

from ..directions import Offset, steady
from ..model import Camera, Floats, Scene
from ..render import View
from ..task import Question, Roles, Task
from ..views import Views
from ..words import metres, nameable, the, view_name
from .dge_image import DIRECTIONS
from .dge_rules import (
    CAMERA_WORDS,
    CLEAR_DEG,
    LEAST_VISIBLE,
    OURS,
    SAME_M,
    SAME_MARGIN_M,
    UNCLEAR,
    any_size,
    camera_direction,
    distractors,
    point,
    same_or,
    toward,
    unfit,
    why_camera,
)  # fmt: skip
from .dge_views import SHARED, Cameras, amid_views, path, two_looking, two_views

TURN_DEG, TURN_MARGIN_DEG = 8.0, 2.0
"""A camera that turns by this much in all turns; within the margin the question is refused."""
SECOND, SECOND_OF_LENGTH = 0.35, 0.25
"""A second axis of motion is named from these shares of the first one and of the whole way on."""
MOVED_M = 0.3
"""A camera that does not turn moves at least this far, metres."""
SCORE_TIE, SCORE_MARGIN = 0.05, 0.02
"""Visibility scores that differ by no more than the first are equal; refused within the second of that."""
OCCLUDED = 0.95
"""An object that is visible by less is occluded."""
LONGER = 1.2
"""Least ratio of two longest sides."""
REGION_M = 2.5
"""The anchors of a region are at most this far apart, metres."""
BELOW = ("down-front", "down-left", "down-right", "down-back")
"""Directions that samples take in turn for things on the floor, besides those that are level."""
REGIONS = ("left", "right", "front-left", "front", "front-right", *BELOW)
"""The same for regions; few scenes have two things level behind a camera and two before it."""


def _views(views: Views) -> tuple[str, str]:
    first, second = (view_name(number, views.grid) for number in (0, 1))
    return first, second


def _shared(views: Views) -> list[int]:
    """Objects that both views show, the clearest first."""
    named = [i for i in range(len(views.scene.objects)) if nameable(views.scene, i)]
    least = {i: min(view.visible[i] for view in views.views) for i in named}
    return [i for i, share in sorted(least.items(), key=lambda item: -item[1]) if share >= LEAST_VISIBLE]


def _both(views: Views, things: list[int]) -> tuple[int, ...]:
    """Where both views show things."""
    return tuple(number * len(views.scene.objects) + i for i in things for number in (0, 1))


def _unlinked(views: Views, roles: Roles) -> str | None:
    """Why a question about the cameras of views cannot be asked, or None."""
    if any(roles[role] not in (0, 1) for role in ("of", "to") if role in roles):
        return "there are two views, 0 and 1"
    if len(set(roles.values()) & {0, 1}) < len([r for r in ("of", "to") if r in roles]):
        return "one view stands in two roles"
    shared = len(_shared(views))
    return f"both views show {shared} objects, need {SHARED}" if shared < SHARED else None


LINKS = "Both views show {}."


def _links(views: Views) -> tuple[tuple[int, ...], str]:
    """Two objects that both views show: their places, and their names."""
    things = _shared(views)[:SHARED]
    return _both(views, things), " and ".join(the(views.scene, i) for i in things)


def _ways(views: Views) -> Iterator[Roles]:
    yield {"of": 1, "to": 0}
    yield {"of": 0, "to": 1}


# --- camera and camera -------------------------------------------------------------------------------------------


def _offset(cameras: Cameras, of: int, to: int) -> Floats:
    return cameras[to].to_camera([cameras[of].position])[0]


def _cam_cam(views: Views, roles: Roles) -> Question | str:
    if reason := _unlinked(views, roles):
        return reason
    of, to = (view_name(roles[role], views.grid) for role in ("of", "to"))
    offset = _offset(tuple(v.camera for v in views.views), roles["of"], roles["to"])
    if (answer := camera_direction(offset)) is None:
        return UNCLEAR
    evidence, names = _links(views)
    facts = (
        LINKS.format(names),
        f"In the axes of the camera of {to} (right, down, forward) the camera of {of} is at {point(offset)} m.",
        *why_camera(offset, answer),
    )
    return Question(
        f"Where is the camera of {of} relative to the camera of {to}? {CAMERA_WORDS}".replace(
            "those of the camera", f"those of the camera of {to}"
        ),
        answer, evidence, f"{names} in both views", f"From {to}, the other camera is {answer}.",
        facts=facts, distractors=distractors("dge_camera", answer), meta={"scheme": "dge_camera"},
    )  # fmt: skip


def _elevation(views: Views, roles: Roles) -> Question | str:
    if reason := _unlinked(views, roles):
        return reason
    of, to = (view_name(roles[role], views.grid) for role in ("of", "to"))
    heights = [float(views.views[roles[role]].camera.position[2]) for role in ("of", "to")]
    answer = same_or(heights[0] - heights[1], *LEVELS)
    if answer is None:
        return f"the cameras' heights differ by {SAME_M} m, up to {SAME_MARGIN_M} m"
    evidence, names = _links(views)
    facts = (
        LINKS.format(names),
        f"The camera of {of} is {metres(heights[0])} above the floor, that of {to} {metres(heights[1])}.",
        f"They differ by {metres(abs(heights[0] - heights[1]))}; up to {SAME_M} m is the same level: {answer}.",
    )
    says = "Both are at the same level." if answer == LEVELS[2] else f"{of.capitalize()} is from {answer}."
    return Question(
        f"Was {of} taken from lower or higher than {to}, or from the same level, up to {100 * SAME_M:.0f} cm?",
        answer, evidence, f"{names} in both views", says,
        facts=facts, choices=LEVELS,
    )  # fmt: skip


LEVELS = ("lower", "higher", "same level")


def _has_height(cameras: Cameras, aim: str) -> bool:
    first, second = (c.position[2] for c in (cameras[0], cameras[-1]))
    return aim in (same_or(second - first, *LEVELS), same_or(first - second, *LEVELS))


def _has_camera(cameras: Cameras, aim: str) -> bool:
    return any(toward(_offset(cameras, of, to), aim) for of, to in ((1, 0), (0, 1)))


def turned_deg(cameras: Cameras) -> float:
    """How far a camera turned along its path: the sum over its steps, degrees, clockwise seen from above."""
    headings = [np.degrees(np.arctan2(c.rotation[2][0], c.rotation[2][1])) for c in cameras]
    return float(sum((b - a + 180) % 360 - 180 for a, b in pairwise(headings)))


def motion(way: Offset) -> str | None:
    """Words for a way in a camera's axes (right, down, forward): its largest axis, and a second one if it is large."""
    first, second, _ = sorted(range(3), key=lambda axis: -abs(way[axis]))
    if way[first] == 0:
        return None
    least = max(SECOND * abs(way[first]), SECOND_OF_LENGTH * math.hypot(*way))
    named = {first, second} if abs(way[second]) >= least else {first}
    words = {2: ("backward", "forward"), 0: ("left", "right"), 1: ("up", "down")}
    return "-".join(pair[int(way[axis] > 0)] for axis, pair in words.items() if axis in named)


def _moves(views: Views) -> Iterator[Roles]:
    yield {}


def _motion(views: Views, roles: Roles) -> Question | str:
    if reason := _unlinked(views, roles):
        return reason
    cameras, (first, last) = views.scene.cameras, _views(views)
    turned = turned_deg(cameras)
    way = cameras[0].to_camera([cameras[-1].position])[0]
    if abs(abs(turned) - TURN_DEG) < TURN_MARGIN_DEG:
        return f"the camera turns by about {TURN_DEG:g} degrees"
    side = "right" if turned > 0 else "left"
    facts = [f"Over the path the camera turns by {abs(turned):.0f} degrees to the {side}."]
    if abs(turned) >= TURN_DEG:
        answer = f"turn {side}"
        facts.append(f"That is {TURN_DEG:g} degrees or more: {answer}.")
    else:
        if np.linalg.norm(way) < MOVED_M:
            return f"the camera neither turns nor moves by {MOVED_M} m"
        answer = motion(way)
        if answer is None or not steady(motion, way, range(3), CLEAR_DEG):
            return UNCLEAR
        facts += [
            f"That is less than {TURN_DEG:g} degrees.",
            f"In its axes at the start (right, down, forward) it goes {point(way)} m.",
            f"The largest part, and a second one from {SECOND} of it on, give {answer}.",
        ]
    evidence, names = _links(views)
    return Question(
        f"How did the camera move from {first} to {last}? Answer with turn left or turn right if it turned by "
        f"{TURN_DEG:g} degrees or more; else with forward, backward, left, right, up or down, in the camera's axes at "
        "the start, or with two of them such as forward-left.",
        answer, evidence, f"{names} in both views", f"By how they shift, the camera moved: {answer}.",
        facts=(LINKS.format(names), *facts),
        distractors=tuple(a for a in MOTIONS if a != answer and {*a.split("-")} & {*answer.split("-")})[:3],
    )  # fmt: skip


MOTIONS = (
    "turn left", "turn right", "forward", "backward", "left", "right", "up", "down", "forward-left", "forward-right",
    "backward-left", "backward-right",
)  # fmt: skip


def _has_motion(cameras: Cameras, aim: str) -> bool:
    if any(c.position[2] < 0.4 for c in cameras):
        return False
    way = cameras[0].to_camera([cameras[-1].position])[0]
    return aim.startswith("turn") or (motion(way) == aim and steady(motion, way, range(3), CLEAR_DEG))


# --- camera and things -------------------------------------------------------------------------------------------


def _watched(views: Views) -> Iterator[Roles]:
    yield from ({"to": to, "target": i} for to in (0, 1) for i in range(len(views.scene.objects)))


def _regions(views: Views) -> Iterator[Roles]:
    pairs = combinations(range(len(views.scene.objects)), 2)
    yield from ({"to": to, "anchors": [a, b]} for a, b in pairs for to in (0, 1))


def _cam_obj(views: Views, roles: Roles) -> Question | str:
    return _from_camera(views, roles["to"], (roles["target"],))


def _cam_reg(views: Views, roles: Roles) -> Question | str:
    anchors = tuple(roles["anchors"])
    if not anchors:
        return "a region needs an anchor"
    if len(set(anchors)) == len(anchors) and all(0 <= i < len(views.scene.objects) for i in anchors):
        spots = [np.array(views.scene.objects[i].position) for i in anchors]
        if any(np.linalg.norm(a - b) > REGION_M for a, b in combinations(spots, 2)):
            return f"two anchors are more than {REGION_M} m apart"
    return _from_camera(views, roles["to"], anchors)


def _from_camera(views: Views, to: int, things: tuple[int, ...]) -> Question | str:
    """Where the middle of things is that one view shows, relative to the camera of the other."""
    if reason := _unlinked(views, {"to": to}):
        return reason
    other = 1 - to
    if reason := unfit(views.views[other], *things):
        return reason
    here, there = (view_name(number, views.grid) for number in (to, other))
    offset = views.views[to].centers[list(things)].mean(axis=0)
    if (answer := camera_direction(offset)) is None:
        return UNCLEAR
    names = " and ".join(the(views.scene, i) for i in things)
    what = f"{names} (see {there})"
    if len(things) > 1:
        what = f"the region of {names} (see {there}; the middle of their centers)"
    links, linking = _links(views)
    evidence = tuple(other * len(views.scene.objects) + i for i in things)
    facts = (
        LINKS.format(linking),
        f"In the axes of the camera of {here} (right, down, forward) the middle of {names} is at {point(offset)} m.",
        *why_camera(offset, answer),
    )
    return Question(
        f"Where is {what} relative to the camera of {here}? {CAMERA_WORDS}".replace(
            "those of the camera", "those of that camera"
        ),
        answer, evidence, names, f"From the camera of {here} it is {answer}.",
        via=tuple(i for i in links if i not in evidence), via_says=LINKS.format(linking),
        facts=facts, distractors=distractors("dge_camera", answer), meta={"scheme": "dge_camera"},
    )  # fmt: skip


def _has_object(camera: Camera, scene: Scene, aim: str) -> bool:
    return any(toward(spot, aim) for spot in camera.to_camera([o.position for o in scene.objects]))


def _has_region(camera: Camera, scene: Scene, aim: str) -> bool:
    twos = combinations(camera.to_camera([o.position for o in scene.objects]), 2)
    return any(toward((a + b) / 2, aim) for a, b in twos if np.linalg.norm(a - b) <= REGION_M)


# --- what each view shows ----------------------------------------------------------------------------------------


def score(view: View, thing: int) -> float:
    """How well a view shows an object: mostly its visible fraction, a little the share of the picture that it takes."""
    box, visible = view.boxes[thing], view.visible[thing]
    if box is None:
        return 0.0
    truncated = min(box.x0, box.y0) <= 0 or max(box.x1, box.y1) >= 1
    return 0.75 * visible + 0.25 * box.area - 0.03 * (visible < OCCLUDED) - 0.02 * truncated


def _targets(views: Views) -> Iterator[Roles]:
    return ({"target": i} for i in range(len(views.scene.objects)))


def _visibility(views: Views, roles: Roles) -> Question | str:
    target = roles["target"]
    for view in views.views:
        if reason := unfit(view, target):
            return reason
    first, second = (score(view, target) for view in views.views)
    gap = first - second
    if abs(abs(gap) - SCORE_TIE) < SCORE_MARGIN:
        return f"the scores differ by {SCORE_TIE}, up to {SCORE_MARGIN}"
    names, who = _views(views), the(views.scene, target)
    options = (*names, "about equally well")
    aim = "equal" if abs(gap) <= SCORE_TIE else ("view 1" if gap > 0 else "view 2")
    answer = options[("view 1", "view 2", "equal").index(aim)]
    facts = (
        *(
            f"In {n} {who} is visible by {view.visible[target]:.0%}, on {box.area:.0%} of the view: score {s:.2f}."
            for n, view, s in zip(names, views.views, (first, second), strict=True)
            if (box := view.boxes[target])
        ),
        f"The scores differ by {abs(gap):.2f}; up to {SCORE_TIE} is equal: {answer}.",
    )
    says = "Both views show it equally well." if aim == "equal" else f"{answer.capitalize()} shows it better."
    return Question(
        f"Which view shows {who} better (less hidden, larger), {names[0]} or {names[1]}, or both about equally well?",
        answer, _both(views, [target]), f"{who} in both views", says, facts=facts, choices=options, aim=aim,
    )  # fmt: skip


def _twosomes(views: Views) -> Iterator[Roles]:
    return ({"a": a, "b": b} for a, b in permutations(range(len(views.scene.objects)), 2))


def _longer(views: Views, roles: Roles) -> Question | str:
    pair = roles["a"], roles["b"]
    if pair[0] == pair[1]:
        return "one object stands in two roles"
    for view, thing in zip(views.views, pair, strict=True):
        if reason := unfit(view, thing):
            return reason
    names = tuple(the(views.scene, i) for i in pair)
    sides = [max(views.scene.objects[i].size) for i in pair]
    if max(sides) < LONGER * min(sides):
        return f"neither longest side is {LONGER} times the other"
    answer = names[sides.index(max(sides))]
    count, where = len(views.scene.objects), _views(views)
    facts = (
        *(f"The longest side of {n} is {metres(s)}." for n, s in zip(names, sides, strict=True)),
        f"{metres(max(sides))} is more: {answer}.",
    )
    return Question(
        f"Whose longest side is longer, that of {names[0]} in {where[0]} or that of {names[1]} in {where[1]}?",
        answer, (pair[0], count + pair[1]), f"{names[0]} and {names[1]}", f"{answer.capitalize()} is longer.",
        facts=facts, choices=names, aim=("first", "second")[sides.index(max(sides))],
    )  # fmt: skip


HOLDS = f"The name must hold when turned by {CLEAR_DEG:g} degrees; both views show {SHARED} objects or more (ours)."

TASKS: dict[str, Task] = {
    "dge_position_cam_cam": Task(
        "where the camera of one view is relative to that of the other",
        f"As in dge_single_image_relative_direction, in the axes of the camera. {HOLDS}",
        "camera", OURS, "direction", two_views(two_looking, _has_camera), _ways, _cam_cam,
        aims=lambda most: (*DIRECTIONS, "up-back"),
    ),
    "dge_elevation_cam_cam": Task(
        "whether one view was taken from higher or lower than the other",
        f"The same level up to {SAME_M} m; refused within {SAME_MARGIN_M} m of that (ours).",
        "camera", OURS, "choice", two_views(two_looking, _has_height), _ways, _elevation, aims=lambda most: LEVELS,
    ),
    "dge_visibility_compare": Task(
        "which of two views shows an object better",
        f"0.75 visible fraction + 0.25 share of the picture - 0.03 if visible by less than {OCCLUDED} - 0.02 if cut by "
        f"the border; equal up to {SCORE_TIE}. Refused within {SCORE_MARGIN} of that (ours).",
        "visibility", OURS, "choice", two_views(two_looking, at_least=4), _targets, _visibility,
        aims=lambda most: ("view 1", "view 2", "equal"),
    ),
    "dge_position_cam_obj": Task(
        "where an object that one view shows is relative to the camera of the other",
        f"As in dge_position_cam_cam, to the object's center. {HOLDS}",
        "camera", OURS, "direction", amid_views(_has_object, 3), _watched, _cam_obj,
        aims=lambda most: (*DIRECTIONS[:8], *BELOW),
    ),
    "dge_position_cam_reg": Task(
        "where a region that one view shows is relative to the camera of the other",
        f"As in dge_position_cam_obj, to the middle of two anchors' centers, {REGION_M} m apart at most. {HOLDS}",
        "camera", OURS, "direction", amid_views(_has_region, 4), _regions, _cam_reg,
        aims=lambda most: REGIONS,
    ),
    "dge_motion_camera": Task(
        "how the camera moved from one view to the other",
        f"It turned if its yaw adds up to {TURN_DEG:g} degrees or more over the frames; else the largest part of its "
        f"way, and a second one from {SECOND} of it and {SECOND_OF_LENGTH} of the whole on. Refused within "
        f"{TURN_MARGIN_DEG:g} degrees of a turn. {HOLDS}",
        "camera", OURS, "text", two_views(path, _has_motion), _moves, _motion, aims=lambda most: MOTIONS,
    ),
    "dge_attribute_measurement": Task(
        "which of two objects in two views has the longer longest side",
        f"Longest sides of their boxes; one is {LONGER} times the other or more (ours).",
        "size", OURS, "choice", two_views(two_looking, plan=any_size), _twosomes, _longer,
        aims=lambda most: ("first", "second"),
    ),
}  # fmt: skip
