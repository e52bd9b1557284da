"""Random scenes: a camera somewhere in a room, and objects on the floor where it can see them.

Objects are drawn where they appear in the picture (a pixel, then the floor under it), so that few draws are lost. A
draw that breaks a rule is repeated a bounded number of times; `sample_scene` then says why it gave up.
What is hidden behind what is known only after rendering: `too_hidden` is asked then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from ..geometry import Size
from .model import Camera, Light, Room, Scene, SceneObject, Vector
from .render import TEXTURES, View
from .shapes import SHAPES

COLORS: dict[str, Vector] = {
    "red": (0.80, 0.10, 0.10),
    "green": (0.12, 0.58, 0.18),
    "blue": (0.12, 0.25, 0.82),
    "yellow": (1.0, 0.90, 0.12),
    "purple": (0.52, 0.16, 0.66),
    "cyan": (0.15, 0.78, 0.85),
    "orange": (1.0, 0.50, 0.08),
    "black": (0.09, 0.09, 0.10),
}
"""Colors of objects in sRGB; the key is the word used in questions."""

FLOORS: tuple[Vector, ...] = ((0.78, 0.76, 0.72), (0.72, 0.66, 0.58), (0.66, 0.69, 0.72), (0.80, 0.77, 0.80))
WALLS: tuple[Vector, ...] = ((0.86, 0.85, 0.82), (0.80, 0.84, 0.86), (0.87, 0.82, 0.78), (0.82, 0.86, 0.80))

SIZE_M = (0.4, 1.05)
"""Range of the widths of objects."""
GAP_M = 0.08
"""Least clearance between the footprints of two objects."""
CAMERA_GAP_M = 1.0
"""Least distance from the camera to the surface of an object's bounding sphere."""
BORDER = 0.015
"""Share of the picture at each border into which no object reaches."""
REACH_M = 2.75
"""Farthest that an object reaches from the origin; walls are farther away."""
MIN_SIDE = 0.12
"""Least width and height of an object in the picture, as a share of it."""
MAX_AREA = 0.5
"""Largest box of an object, as a share of the picture."""
OVERLAP = 0.35
"""Boxes of two objects may share at most this part of the smaller one."""
MIN_VISIBLE = 0.6
"""Least visible fraction of every object."""
TRIES = 60


@dataclass(frozen=True, slots=True)
class Plan:
    """What a question needs of a scene.

    count: number of objects. same_shape, same_color: True: the first two objects share it; False: all differ;
    None: as it comes. No two objects are equal in both shape and color.
    kinds: shape and color of every object instead, `count` of them; here equal ones are allowed.
    """

    count: int
    same_shape: bool | None = None
    same_color: bool | None = None
    kinds: tuple[tuple[str, str], ...] | None = None


def sample_scene(rng: Generator, plan: Plan, size: Size) -> Scene | str:
    """A random scene for pictures of `size` (width, height), or the reason why none was found.

    Objects stand on the floor, do not touch, are wholly in frame, neither tiny nor filling the picture, and overlap
    little in the picture; the camera stands inside of the room. All numbers have at most four decimals.
    """
    kinds = _kinds(rng, plan)
    if isinstance(kinds, str):
        return kinds
    camera = _camera(rng)
    objects: list[SceneObject] = []
    spans: list[np.ndarray] = []
    for kind in kinds:
        for _ in range(TRIES):
            thing = _object(rng, *kind, camera, size)
            if thing is None or not _clear(thing, objects, camera):
                continue
            span = _span(thing, camera, size)
            if span is not None and all(_overlap(span, other) <= OVERLAP for other in spans):
                objects.append(thing)
                spans.append(span)
                break
        else:
            return f"no room for object {len(objects) + 1} of {plan.count}"
    order = rng.permutation(len(objects))
    return Scene(tuple(objects[i] for i in order), _room(rng, camera), _light(rng, camera), (camera,))


def too_hidden(view: View) -> str | None:
    """Why a rendered scene is not fit for questions (an object is hidden behind another), or None."""
    for thing, share in zip(view.scene.objects, view.visible, strict=True):
        if share < MIN_VISIBLE:
            return f"the {thing.label} is visible by {share:.0%}, need {MIN_VISIBLE:.0%}"
    return None


def _kinds(rng: Generator, plan: Plan) -> list[tuple[str, str]] | str:
    """Shape and color of each object, as the plan says."""
    if plan.kinds is not None:
        return list(plan.kinds)
    for _ in range(TRIES):
        shapes = _draw(rng, list(SHAPES), plan.count, plan.same_shape)
        colors = _draw(rng, list(COLORS), plan.count, plan.same_color)
        kinds = list(zip(shapes, colors, strict=True))
        if len(set(kinds)) == plan.count:
            return kinds
    return f"no {plan.count} different pairs of shape and color with {plan}"


def _draw(rng: Generator, words: Sequence[str], count: int, same: bool | None) -> list[str]:
    if same is None:
        return [str(w) for w in rng.choice(words, count)]
    drawn = [str(w) for w in rng.choice(words, count, replace=count > len(words))]
    if same and count > 1:
        drawn[1] = drawn[0]
    return drawn


def _rounded(values: Sequence[float] | np.ndarray) -> Vector:
    x, y, z = (round(float(v), 4) for v in values)
    return x, y, z


def _camera(rng: Generator) -> Camera:
    """A camera 2 to 4.5 m from the origin, looking down at it by 18 to 42 degrees, with a lens of 40 to 65 degrees."""
    yaw, pitch = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(18, 42))
    fov, roll = rng.uniform(40, 65), rng.uniform(-4, 4)
    # A long lens stands farther away, so that the part of the floor in frame varies less than the perspective does.
    distance = rng.uniform(1.5, 2.2) / np.tan(np.radians(fov) / 2)
    distance = float(np.clip(distance, 2.4, 4.8))
    position = distance * np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    target = np.array([*rng.uniform(-0.2, 0.2, 2), 0.25])
    camera = Camera.look_at(_rounded(position), target, round(fov, 2), roll)
    rows = [tuple(round(v, 8) for v in row) for row in camera.rotation]
    return Camera(camera.position, tuple(rows), camera.fov_deg)  # type: ignore[arg-type]


def _object(rng: Generator, shape: str, color: str, camera: Camera, size: Size) -> SceneObject | None:
    """An object under a random pixel, or None where that pixel shows no floor within reach."""
    pixel = rng.uniform((0.08, 0.18), (0.92, 0.92)) * size
    width = np.exp(rng.uniform(*np.log(SIZE_M)))
    height = width * rng.uniform(*SHAPES[shape].height)
    yaw = rng.uniform(0, 90) if not SHAPES[shape].round else 0.0
    tint = np.clip(np.array(COLORS[color]) * rng.uniform(0.92, 1.08) + rng.uniform(-0.02, 0.02, 3), 0, 1)
    direction = (camera.rays(pixel[None], size) @ np.asarray(camera.rotation))[0]
    if direction[2] > -0.05:
        return None
    # The pixel shows the object's center, which is half its height above the floor.
    along = (height / 2 - camera.position[2]) / direction[2]
    x, y, _ = np.asarray(camera.position) + along * direction
    extent = _rounded((width, width, height))
    place = (round(float(x), 4), round(float(y), 4), extent[2] / 2)
    thing = SceneObject(shape, color, _rounded(tint), extent, place, round(yaw, 2))
    return thing if np.hypot(x, y) + _radius(thing) <= REACH_M else None


def _radius(thing: SceneObject) -> float:
    """Radius of the circle around the footprint."""
    return thing.size[0] / 2 * (1.0 if SHAPES[thing.shape].round else 2**0.5)


def _clear(thing: SceneObject, others: Sequence[SceneObject], camera: Camera) -> bool:
    """Whether the object touches none of the others and keeps its distance from the camera."""
    place = np.asarray(thing.position)
    if np.linalg.norm(place - camera.position) - np.linalg.norm(thing.size) / 2 < CAMERA_GAP_M:
        return False
    return all(np.hypot(*(place - other.position)[:2]) >= _radius(thing) + _radius(other) + GAP_M for other in others)


def _span(thing: SceneObject, camera: Camera, size: Size) -> np.ndarray | None:
    """The projected oriented box as shares (x0, y0, x1, y1) of the picture, or None where it is ill placed."""
    corners = camera.project(thing.corners(), size) / size
    span = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    width, height = span[2:] - span[:2]
    inside = span.min() >= BORDER and span.max() <= 1 - BORDER
    return span if inside and min(width, height) >= MIN_SIDE and width * height <= MAX_AREA else None


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(min=0)
    return float(sides.prod() / min((a[2:] - a[:2]).prod(), (b[2:] - b[:2]).prod()))


def _room(rng: Generator, camera: Camera) -> Room:
    """A room around the origin: its back wall 2.9 to 3.6 m behind it (as the camera looks), the camera inside."""
    back, side = rng.uniform(2.9, 3.6), rng.uniform(3.2, 4.2, 2)
    front = float(np.hypot(*camera.position[:2])) + 1.5
    heading = np.arctan2(-camera.position[1], -camera.position[0]) + np.radians(rng.uniform(-18, 18))
    # Own axes: y toward the back wall, x to its right.
    yaw = heading - np.pi / 2
    middle = np.array([(side[1] - side[0]) / 2, (back - front) / 2])
    x, y = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]) @ middle
    floor, wall = FLOORS[rng.integers(len(FLOORS))], WALLS[rng.integers(len(WALLS))]
    texture = sorted(TEXTURES)[rng.integers(len(TEXTURES))]
    extent = _rounded((side.sum(), back + front, max(3.2, camera.position[2] + 0.6)))
    return Room(
        (round(float(x), 4), round(float(y), 4)), extent, round(float(np.degrees(yaw)), 2), floor, wall, texture
    )


def _light(rng: Generator, camera: Camera) -> Light:
    """A lamp above, to one side of what the camera sees."""
    heading = np.arctan2(camera.position[1], camera.position[0]) + rng.choice([-1, 1]) * rng.uniform(0.3, 1.2)
    reach = rng.uniform(1.0, 2.0)
    place = _rounded((reach * np.cos(heading), reach * np.sin(heading), rng.uniform(2.5, 3.0)))
    return Light(place, round(rng.uniform(0.7, 0.9), 3), round(rng.uniform(0.36, 0.46), 3))
