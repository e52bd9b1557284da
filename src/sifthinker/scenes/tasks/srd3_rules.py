"""Rules of 3DSRBench's twelve types: (scene, camera, the objects' indices in the question's order) -> outcome.

Directions around an object are seen from above and count from its front. Margins are ours.
"""

from __future__ import annotations

import math

import numpy as np

from ..layout import clearance
from ..model import Camera, Floats, Scene, SceneObject
from ..shapes import FURNITURE
from ..words import metres, the
from .basics import DEPTH_MARGIN_M

HEIGHT_M = 0.3
"""Higher: middles differ by at least this."""
ROW = 0.05
"""Not above, though it looks so: at least this share of the picture higher in it."""
NEXT_M, APART_M = 0.3, 1.2
"""Next to each other: gap between footprints at most this; far apart: at least this."""
RATIO, GAP_M = 1.25, 0.3
"""Closer to: the other distance is at least so many times as long, and longer by so much."""
HALF_DEG = 60.0
"""In front, behind, left and right, of two: directions up to this from the axis."""
SIDE_DEG = 30.0
"""One of four sides: directions up to this from the axis."""
FACING_DEG, AWAY_DEG = 20.0, 50.0
"""Facing: up to this from its front; the other object is at least this far from it."""
PARALLEL_DEG = 10.0
"""Parallel, perpendicular: up to this from it."""
SAME_DEG, DIFFERENT_DEG = 20.0, 90.0
"""Same direction: up to this between the fronts; very different: this or more."""

NEXT = "next to each other"
SIDES = ("front", "left", "back", "right")

Found = tuple[str, str] | None
"""(outcome, the fact it rests on), or None within the margins."""


def _bearing(thing: SceneObject, point: tuple[float, float, float]) -> float:
    """Direction of a point from an object, degrees from its front, positive to its left, in (-180, 180]."""
    x, y = (np.subtract(point, thing.position) @ thing.rotation)[:2]
    return math.degrees(math.atan2(y, x))


def _found(word: str | None, fact: str) -> Found:
    return None if word is None else (word, fact)


def _said(scene: Scene, index: int) -> str:
    return the(scene, index).capitalize()


def _two(first: float, second: float, margin: float) -> str | None:
    """Which of two values is smaller by a margin."""
    return None if abs(first - second) < margin else "first" if first < second else "second"


def higher(scene: Scene, camera: Camera, things: tuple[int, ...]) -> Found:
    """Which of two small things has its middle higher above the floor."""
    a, b = things
    if not all(FURNITURE[scene.objects[i].shape].small for i in things):
        return None
    heights = [scene.objects[i].position[2] for i in things]
    word = _two(-heights[0], -heights[1], HEIGHT_M)
    fact = f"{_said(scene, a)} is {metres(heights[0])} above the floor, {the(scene, b)} {metres(heights[1])}."
    return _found(word, fact)


def above(scene: Scene, camera: Camera, things: tuple[int, ...]) -> Found:
    """Whether a small thing is over a table's footprint and top."""
    a, b = things
    upper, lower = scene.objects[a], scene.objects[b]
    if not (FURNITURE[upper.shape].small and FURNITURE[lower.shape].holds):
        return None
    bottom, top = upper.position[2] - upper.size[2] / 2, lower.position[2] + lower.size[2] / 2
    inside = np.abs((np.subtract(upper.position, lower.position) @ lower.rotation)[:2]) <= np.array(lower.size[:2]) / 2
    if bottom >= top - 0.01 and inside.all():
        return "yes", f"{_said(scene, a)} stands over {the(scene, b)}, whose top is {metres(top)} high."
    rows = camera.project([upper.position, lower.position], (1, 1))[:, 1]
    if footprint_gap(upper, lower) >= GAP_M and rows[1] - rows[0] >= ROW:
        return "no", f"The gap between them is {metres(footprint_gap(upper, lower))}, seen from above."
    return None


def nearer(scene: Scene, camera: Camera, things: tuple[int, ...]) -> Found:
    """Which of two is closer to the camera, in depth and in distance."""
    a, b = things
    local = camera.to_camera([scene.objects[i].position for i in things])
    reaches = np.linalg.norm(local, axis=1)
    word = _two(float(reaches[0]), float(reaches[1]), DEPTH_MARGIN_M)
    if word != _two(float(local[0, 2]), float(local[1, 2]), DEPTH_MARGIN_M):
        return None
    fact = f"{_said(scene, a)} is {metres(reaches[0])} from the camera, {the(scene, b)} {metres(reaches[1])}."
    return _found(word, fact)


def footprint_gap(a: SceneObject, b: SceneObject) -> float:
    """Distance between the footprints of two objects, metres; 0.0 where they overlap."""
    corners = [thing.corners()[::2, :2] for thing in (a, b)]
    if clearance(a, b) <= 0:
        return 0.0
    # Of two rectangles that do not overlap, the nearest two points include a corner.
    return min(float(_outside(a, corners[1]).min()), float(_outside(b, corners[0]).min()))


def _outside(thing: SceneObject, points: Floats) -> Floats:
    own = np.abs((points - thing.position[:2]) @ thing.rotation[:2, :2])
    return np.linalg.norm((own - np.array(thing.size[:2]) / 2).clip(min=0), axis=1)


def next_to(scene: Scene, camera: Camera, things: tuple[int, ...]) -> Found:
    """How far the footprints of two are apart."""
    a, b = (scene.objects[i] for i in things)
    gap = footprint_gap(a, b)
    word = NEXT if gap <= NEXT_M else "far apart" if gap >= APART_M else None
    return _found(word, f"The gap between them is {metres(gap)}.")


def front_of(scene: Scene, camera: Camera, things: tuple[int, ...]) -> Found:
    """Whether the first is before or behind the second, as that one faces."""
    a, b = things
    off = _bearing(scene.objects[b], scene.objects[a].position)
    word = "in front" if abs(off) <= HALF_DEG else "behind" if abs(off) >= 180 - HALF_DEG else None
    return _found(word, _off(scene, b, the(scene, a), off))


def left_of(scene: Scene, camera: Camera, things: tuple[int, ...]) -> Found:
    """On which hand of the second the first is, as that one faces."""
    a, b = things
    off = _bearing(scene.objects[b], scene.objects[a].position)
    word = ("left" if off > 0 else "right") if abs(abs(off) - 90) <= HALF_DEG else None
    return _found(word, _off(scene, b, the(scene, a), off))


def _off(scene: Scene, index: int, what: str, off: float) -> str:
    side = "left" if off > 0 else "right"
    return f"From where {the(scene, index)} faces, {what} is {abs(off):.0f} degrees to the {side}."


def _side(off: float) -> str | None:
    """The side of an object that a direction from it meets."""
    quarter = round(off / 90)
    return SIDES[quarter % 4] if abs(off - 90 * quarter) <= SIDE_DEG else None


def side_to_camera(scene: Scene, camera: Camera, things: tuple[int, ...]) -> Found:
    """Which side of an object faces the camera."""
    off = _bearing(scene.objects[things[0]], camera.position)
    word = _side(off)
    return _found(word, _off(scene, things[0], "the camera", off))


def side_to_object(scene: Scene, camera: Camera, things: tuple[int, ...]) -> Found:
    """Which side of the first faces the second."""
    a, b = things
    off = _bearing(scene.objects[a], scene.objects[b].position)
    word = _side(off)
    return _found(word, _off(scene, a, the(scene, b), off))


def closer_to(scene: Scene, camera: Camera, things: tuple[int, ...]) -> Found:
    """Which of the last two the first is closer to."""
    a, b, c = things
    first, second = (math.dist(scene.objects[a].position, scene.objects[i].position) for i in (b, c))
    word = _two(first, second, GAP_M) if max(first, second) >= RATIO * min(first, second) else None
    fact = f"{_said(scene, a)} is {metres(first)} from {the(scene, b)}, {metres(second)} from {the(scene, c)}."
    return _found(word, fact)


def facing(scene: Scene, camera: Camera, things: tuple[int, ...]) -> Found:
    """Which of the last two the first faces."""
    a, b, c = things
    offs = [_bearing(scene.objects[a], scene.objects[i].position) for i in (b, c)]
    first, second = map(abs, offs)
    facts = f"{_off(scene, a, the(scene, b), offs[0])} {_off(scene, a, the(scene, c), offs[1])}"
    if min(first, second) > FACING_DEG or max(first, second) < AWAY_DEG:
        return None
    return "first" if first < second else "second", facts


def _between(scene: Scene, things: tuple[int, ...]) -> tuple[float, str]:
    """Angle between the fronts of two objects, in [0, 180], and a sentence that says it."""
    a, b = things
    angle = abs((scene.objects[a].yaw_deg - scene.objects[b].yaw_deg + 180) % 360 - 180)
    return angle, f"{_said(scene, a)} and {the(scene, b)} face directions {angle:.0f} degrees apart."


def parallel(scene: Scene, camera: Camera, things: tuple[int, ...]) -> Found:
    """Whether two face along the same line, or across."""
    angle, fact = _between(scene, things)
    word = "perpendicular" if abs(angle - 90) <= PARALLEL_DEG else None
    word = "parallel" if min(angle, 180 - angle) <= PARALLEL_DEG else word
    return _found(word, fact)


def same_direction(scene: Scene, camera: Camera, things: tuple[int, ...]) -> Found:
    """Whether two face the same way."""
    angle, fact = _between(scene, things)
    word = (
        "the same direction" if angle <= SAME_DEG else "very different directions" if angle >= DIFFERENT_DEG else None
    )
    return _found(word, fact)
