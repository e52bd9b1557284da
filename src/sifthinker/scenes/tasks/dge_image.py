"""SpatialEvo's three tasks about one picture: directions as the camera sees them, its distance, the order in depth.

Rules are in `dge_rules`.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

from ..directions import SCHEMES
from ..layout import distance_to
from ..model import Camera, Scene, SceneObject
from ..render import View
from ..task import Question, Roles, Task
from ..words import metres, the
from .basics import each, pairs
from .dge_rules import (
    CAMERA_WORDS,
    CLEAR_DEG,
    MRA,
    OURS,
    SAME_M,
    SAME_MARGIN_M,
    UNCLEAR,
    bin_of,
    bins,
    camera_direction,
    distractors,
    indoors,
    point,
    same_or,
    suited_view,
    toward,
    unfit,
    why_camera,
)

BOXES_AGREE = 1.05
"""The nearest points of the box along the room's axes and of the object's own box are equally far, up to this ratio."""
NEAREST_M = (2.5, 3.3, 4.2)
"""Borders of the distances that samples take in turn."""
DIRECTIONS = (*(w for w in SCHEMES["dge_camera"].words if "up" not in w and "down" not in w), "up-front", "down-back")
"""Directions that samples take in turn; the camera looks down, so other steep ones are rare on a floor."""


def _direction(view: View, roles: Roles) -> Question | str:
    pair = roles["a"], roles["b"]
    if reason := unfit(view, *pair):
        return reason
    target, anchor = (the(view.scene, i) for i in pair)
    offset = view.centers[pair[0]] - view.centers[pair[1]]
    if (answer := camera_direction(offset)) is None:
        return UNCLEAR
    facts = (
        f"In the camera's axes (right, down, forward) the center of {anchor} is at {point(view.centers[pair[1]])} m, "
        f"that of {target} at {point(view.centers[pair[0]])} m.",
        f"From {anchor} to {target} that is {point(offset)} m.",
        *why_camera(offset, answer),
    )
    return Question(
        f"Where is {target} relative to {anchor}, from center to center? {CAMERA_WORDS}",
        answer, pair, f"{target} and {anchor}", f"From {anchor} it is {answer}.",
        facts=facts, distractors=distractors("dge_camera", answer), meta={"scheme": "dge_camera"},
    )  # fmt: skip


def _has_direction(scene: Scene, aim: str) -> bool:
    points = scene.cameras[0].to_camera([o.position for o in scene.objects])
    return any(toward(a - b, aim) for a, b in permutations(points, 2))


def _to_box(camera: Camera, thing: SceneObject) -> float:
    """Distance from a camera to the nearest point of an object's box along the world's axes, metres."""
    eye, corners = np.asarray(camera.position), thing.corners()
    return float(np.linalg.norm(eye - eye.clip(corners.min(axis=0), corners.max(axis=0))))


def _camera_distance(view: View, roles: Roles) -> Question | str:
    target = roles["target"]
    if reason := unfit(view, target):
        return reason
    thing, who = view.scene.objects[target], the(view.scene, target)
    value, other = _to_box(view.camera, thing), distance_to(thing, view.camera.position)
    if max(value, other) > BOXES_AGREE * min(value, other):
        return f"its two boxes are {metres(value)} and {metres(other)} away"
    facts = (
        f"In the camera's axes (right, down, forward) the center of {who} is at {point(view.centers[target])} m.",
        f"Its box measures {' x '.join(metres(s) for s in thing.size)}; its nearest point is {metres(value)} away.",
    )
    return Question(
        f"How far is the camera from the nearest point of the box around {who}, in meters?",
        metres(value), (target,), who, f"Its nearest point is {metres(value)} away.",
        facts=facts, unit="m", grader="mra", given=MRA, aim=bin_of(value, NEAREST_M),
    )  # fmt: skip


def _has_distance(scene: Scene, aim: str) -> bool:
    return any(bin_of(_to_box(scene.cameras[0], o), NEAREST_M) == aim for o in scene.objects)


SAME = "same depth"


def _order(view: View, a: int, b: int) -> str | None:
    """Which of two objects has less depth: "first", "second" or "same"; None near a border."""
    return same_or(float(view.centers[a, 2] - view.centers[b, 2]), "first", "second", "same")


def _depth_order(view: View, roles: Roles) -> Question | str:
    pair = roles["a"], roles["b"]
    if reason := unfit(view, *pair):
        return reason
    aim = _order(view, *pair)
    if aim is None:
        return f"their depths differ by {SAME_M} m, up to {SAME_MARGIN_M} m"
    names = tuple(the(view.scene, i) for i in pair)
    options = (*names, SAME)
    answer = options[("first", "second", "same").index(aim)]
    depths = [float(view.centers[i, 2]) for i in pair]
    facts = (
        *(f"The center of {n} has a depth of {metres(d)}." for n, d in zip(names, depths, strict=True)),
        f"They differ by {metres(abs(depths[0] - depths[1]))}; up to {SAME_M} m is the same: {answer}.",
    )
    says = "They are at the same depth." if aim == "same" else f"{answer.capitalize()} has less depth."
    return Question(
        f"Which has less depth (distance along the line of sight), {names[0]} or {names[1]}, or are their centers at "
        f"the same depth, up to {100 * SAME_M:.0f} cm?",
        answer, pair, f"{names[0]} and {names[1]}", says, facts=facts, choices=options, aim=aim,
    )  # fmt: skip


def _has_order(scene: Scene, aim: str) -> bool:
    depths = scene.cameras[0].to_camera([o.position for o in scene.objects])[:, 2]
    return any(same_or(float(a - b), "first", "second", "same") == aim for a, b in permutations(depths, 2))


TASKS: dict[str, Task] = {
    "dge_single_image_relative_direction": Task(
        "where an object is relative to another, in the camera's axes",
        "Eight directions by the angle in the plane of right and forward; up or down where they exceed half of the "
        f"rest. The name must hold when turned by {CLEAR_DEG:g} degrees (ours).",
        "direction", OURS, "direction", suited_view(_has_direction, indoors, 2), pairs, _direction,
        aims=lambda most: DIRECTIONS,
    ),
    "dge_distance_cam_obj": Task(
        "how far the camera is from the nearest point of an object's box",
        f"Box along the world's axes; the object's own box gives the same up to {BOXES_AGREE} times (ours).",
        "distance", OURS, "number", suited_view(_has_distance, indoors, 1), each, _camera_distance,
        aims=lambda most: bins(NEAREST_M),
    ),
    "dge_depth_order_obj_obj": Task(
        "which of two objects has less depth, or whether it is the same",
        f"Depths of centers; the same up to {SAME_M} m. Refused within {SAME_MARGIN_M} m of that (ours).",
        "depth", OURS, "choice", suited_view(_has_order, indoors, 2), pairs, _depth_order,
        aims=lambda most: ("first", "second", "same"),
    ),
}  # fmt: skip
