"""Random scenes: cameras somewhere in a room or on a road, and objects where they can be seen.

Objects are drawn where they appear in a picture (a pixel, then the floor under it), so that few draws are lost. A
draw that breaks a rule is repeated a bounded number of times; the caller is then told why it gave up.
What is hidden behind what is known only after rendering: `too_hidden` is asked then.

`sample_scene` draws for one camera that stands anywhere, `place` for given cameras; what else scenes of a pool have in
common (extents of the place, colors, distances) stands in `stages`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from ..geometry import Size
from ..lookup import pick
from .model import Camera, Floats, Light, Room, Scene, SceneObject, Vector, standing_on, turn
from .render import FADE_M, View
from .shapes import POOLS, SHAPES, SOLIDS, Range
from .stages import DIFFICULTIES, MIN_VISIBLE, STAGES, Difficulty, Stage

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
"""Colors of solids in sRGB; the key is the word used in questions."""

PAINTS: dict[str, Vector] = COLORS | {
    "white": (0.94, 0.93, 0.90),
    "gray": (0.47, 0.48, 0.50),
    "brown": (0.42, 0.25, 0.12),
    "pink": (0.96, 0.55, 0.70),
}
"""Colors of all objects."""

SIZE_M = (0.4, 1.05)
"""Range of the widths of solids."""
BORDER = 0.015
"""Share of the picture at each border into which no object reaches."""
MAX_AREA = 0.5
"""Largest box of an object, as a share of the picture."""
PANORAMA_SIDE = (0.25, 0.5)
"""In a panorama, which shows about six times as much across and three times as much down, objects may be smaller."""
SMALL_SIDE = 0.5
"""So may things that stand on others."""
HEAD_M = 0.5
"""Least distance from the top of what stands on the floor to the ceiling."""
EDGE_M = 0.02
"""Least distance from what stands on a table to the table's edges."""
TRIES = 60


GAP_M, CAMERA_GAP_M, REACH_M = STAGES["solids"].gap, STAGES["solids"].camera_gap, STAGES["solids"].reach


MEASURES: dict[str, Callable[[Sequence[float]], float]] = {
    "longest": max,
    "width": lambda sides: max(sides[:2]),
    "height": lambda sides: sides[2],
}
"""Sides of an object by name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a question needs of a scene.

    count: number of objects. same_shape, same_color: True: the first two objects share it; False: all differ;
    None: as it comes. No two objects are equal in both shape and color.
    kinds: shape and color of every object instead, `count` of them; here equal ones are allowed.
    pool: a key of `shapes.POOLS`. fronts: at least two objects (all, if there are fewer) have a front.
    on_top: at least one object is a small one, which stands on another (furniture).
    materials: keys of `render.MATERIALS` that objects are made of, each as likely. difficulty: a key of `DIFFICULTIES`.
    extent: range of a side of every object in metres, instead of what is usual, so that names do not tell sizes.
    side: which side that is, a key of `MEASURES`.
    avoid, need: kinds that no object, and that one object at least, has. camera: fields of the stage to change.
    """

    count: int
    same_shape: bool | None = None
    same_color: bool | None = None
    pool: str = "solids"
    fronts: bool = False
    on_top: bool = False
    materials: tuple[str, ...] = ("matte",)
    difficulty: str = "normal"
    kinds: tuple[tuple[str, str], ...] | None = None
    extent: Range | None = None
    side: str = "longest"
    avoid: frozenset[tuple[str, str]] = frozenset()
    need: frozenset[tuple[str, str]] = frozenset()
    camera: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stage(self) -> Stage:
        """Where the scene takes place. Raises `InputError` for an unknown pool or difficulty."""
        stage = replace(pick("pool", self.pool, STAGES), **self.camera)
        factor = self.limits.side
        return (
            stage
            if factor == 1.0
            else replace(stage, min_side=(stage.min_side[0] * factor, stage.min_side[1] * factor))
        )

    @property
    def limits(self) -> Difficulty:
        """How small and how hidden objects may be. Raises `InputError` for an unknown difficulty."""
        return pick("difficulty", self.difficulty, DIFFICULTIES)


def sample_scene(rng: Generator, plan: Plan, size: Size) -> Scene | str:
    """A random scene for pictures of `size` (width, height), or the reason why none was found.

    Objects stand on the floor, do not touch, are wholly in frame, neither tiny nor filling the picture, and overlap
    little in the picture; the camera stands inside of the room. All numbers have at most four decimals.
    Raises `InputError` for an unknown pool.
    """
    stage, kinds = plan.stage, _kinds(rng, plan)
    if isinstance(kinds, str):
        return kinds
    camera = _camera(rng, stage)
    objects: list[SceneObject] = []
    spans: list[np.ndarray] = []
    for kind in kinds:
        for _ in range(TRIES):
            thing = _draw_object(rng, kind, camera, size, plan, stage, objects)
            if thing is None or not _clear(thing, objects, (camera,), stage):
                continue
            span = _span(thing, camera, size, stage)
            # What a thing stands on is behind it in any case.
            below = standing_on(thing, objects) if SHAPES[kind[0]].small else None
            rivals = (other for other, it in zip(spans, objects, strict=True) if it is not below)
            if span is not None and all(_overlap(span, other) <= plan.limits.overlap for other in rivals):
                objects.append(thing)
                spans.append(span)
                break
        else:
            return f"no room for object {len(objects) + 1} of {plan.count}"
    order = rng.permutation(len(objects))
    return Scene(tuple(objects[i] for i in order), _room(rng, camera, stage), _light(rng, camera, stage), (camera,))


def place(
    rng: Generator, plan: Plan, cameras: Sequence[Camera], size: Size, shared: int = 0, wide: float = 1.0
) -> Scene | str:
    """A random scene for cameras that are given, or the reason why none was found.

    Objects stand on the floor, do not touch, and keep their distance from all cameras. Cameras get objects in turn,
    each wholly in frame of its camera (in a panorama: away from the seam). shared: so many are in frame of all.
    wide: objects may be as many times the stage's reach away from the middle. What hides what is not looked at.
    """
    kinds, stage = _kinds(rng, plan), replace(plan.stage, reach=wide * plan.stage.reach)
    if isinstance(kinds, str):
        return kinds
    objects: list[SceneObject] = []
    first = int(rng.integers(len(cameras)))
    for number, kind in enumerate(kinds):
        chosen = cameras[(first + number) % len(cameras)]
        wanted = cameras if number < shared else [chosen]
        for _ in range(TRIES):
            thing = _draw_object(rng, kind, chosen, size, plan, stage, objects)
            if thing is None or not _clear(thing, objects, cameras, stage):
                continue
            if all(_span(thing, camera, size, stage) is not None for camera in wanted):
                objects.append(thing)
                break
        else:
            return f"no room for object {len(objects) + 1} of {plan.count}"
    order = rng.permutation(len(objects))
    return enclose(rng, tuple(objects[i] for i in order), tuple(cameras), stage)


def enclose(rng: Generator, objects: tuple[SceneObject, ...], cameras: tuple[Camera, ...], stage: Stage) -> Scene:
    """A room and a lamp around objects and cameras."""
    points = np.array([*(p for o in objects for p in o.corners()), *(c.position for c in cameras)])
    yaw = round(rng.uniform(-90, 90), 2)
    own = points @ turn(yaw)
    low = own[:, :2].min(axis=0) - rng.uniform(*stage.margin, 2)
    high = own[:, :2].max(axis=0) + rng.uniform(*stage.margin, 2)
    x, y, _ = turn(yaw) @ [*(low + high) / 2, 0.0]
    extent = _rounded([*(high - low), max(stage.high, own[:, 2].max() + 0.6)])
    floor, wall = stage.floors[int(rng.integers(len(stage.floors)))], stage.walls[int(rng.integers(len(stage.walls)))]
    texture = stage.textures[int(rng.integers(len(stage.textures)))]
    room = Room((round(float(x), 4), round(float(y), 4)), extent, yaw, floor, wall, texture)
    # The lamp hangs over the scene's middle, not over the origin, which may be anywhere in the room.
    middle = points[:, :2].mean(axis=0)
    heading, reach = rng.uniform(0, 2 * np.pi), rng.uniform(*stage.lamp[0]) / 2
    lamp = np.array([*(middle + reach * np.array([np.cos(heading), np.sin(heading)])), rng.uniform(*stage.lamp[1])])
    return Scene(objects, room, _shining(rng, lamp, stage), cameras)


def too_hidden(view: View, least: float = MIN_VISIBLE) -> str | None:
    """Why a rendered scene is not fit for questions (an object is hidden behind another), or None."""
    for thing, share in zip(view.scene.objects, view.visible, strict=True):
        if share < least:
            return f"the {thing.label} is visible by {share:.0%}, need {least:.0%}"
    return None


def tidy(camera: Camera) -> Camera:
    """The camera with its numbers rounded: metres to 4 decimals, axes to 8."""
    rows = [tuple(round(v, 8) for v in row) for row in camera.rotation]
    return Camera(_rounded(camera.position), tuple(rows), camera.fov_deg)  # type: ignore[arg-type]


# --- kinds -------------------------------------------------------------------------------------------------------


def _kinds(rng: Generator, plan: Plan) -> list[tuple[str, str]] | str:
    """Shape and color of each object, as the plan says; those that stand on others come last."""
    if plan.kinds is not None:
        return list(plan.kinds) if _wanted(plan.kinds, plan) else "shapes and colors that are not wanted together"
    pool = POOLS[plan.pool]
    names = [name for name, shape in pool.items() if plan.on_top or not shape.small]
    if plan.fronts and not any(pool[name].front for name in names):
        return f"none of the {plan.pool} has a front"
    if plan.on_top and (plan.count < 2 or not any(pool[name].small for name in names)):
        return f"no {plan.count} of the {plan.pool} stand on each other"
    for _ in range(TRIES):
        shapes = _draw(rng, names, plan.count, plan.same_shape)
        if plan.fronts and sum(pool[s].front for s in shapes) < min(2, plan.count):
            continue
        if plan.on_top and not (any(pool[s].small for s in shapes) and any(pool[s].holds for s in shapes)):
            continue
        kinds = list(zip(shapes, _colors(rng, shapes, plan), strict=True))
        if len(set(kinds)) == plan.count and _wanted(kinds, plan):
            return sorted(kinds, key=lambda kind: pool[kind[0]].small) if plan.on_top else kinds
    return f"no {plan.count} different pairs of shape and color with {plan}"


def _wanted(kinds: Sequence[tuple[str, str]], plan: Plan) -> bool:
    return plan.avoid.isdisjoint(kinds) and (not plan.need or not plan.need.isdisjoint(kinds))


def _draw(rng: Generator, words: Sequence[str], count: int, same: bool | None) -> list[str]:
    if same is None:
        return [str(w) for w in rng.choice(words, count)]
    drawn = [str(w) for w in rng.choice(words, count, replace=count > len(words))]
    if same and count > 1:
        drawn[1] = drawn[0]
    return drawn


def _colors(rng: Generator, shapes: Sequence[str], plan: Plan) -> list[str]:
    """A color for each shape, out of those that it comes in."""
    if plan.pool == "solids":
        return _draw(rng, list(COLORS), plan.count, plan.same_color)
    drawn: list[str] = []
    for number, shape in enumerate(shapes):
        colors: Sequence[str] = SHAPES[shape].colors
        if plan.same_color and number == 1:
            colors = drawn[:1]
        elif plan.same_color is not None:
            colors = [c for c in colors if c not in drawn] or colors
        drawn.append(str(rng.choice(colors)))
    return drawn


# --- objects -----------------------------------------------------------------------------------------------------


def _rounded(values: Sequence[float] | np.ndarray) -> Vector:
    x, y, z = (round(float(v), 4) for v in values)
    return x, y, z


def _camera(rng: Generator, stage: Stage) -> Camera:
    """A camera that looks down at the origin from anywhere."""
    yaw, pitch = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(*stage.pitch))
    fov, roll = rng.uniform(*stage.fov), rng.uniform(-4, 4)
    # A long lens stands farther away, so that the part of the floor in frame varies less than the perspective does.
    distance = rng.uniform(*stage.spread) / np.tan(np.radians(fov) / 2)
    distance = float(np.clip(distance, *stage.distance))
    position = distance * np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    target = np.array([*rng.uniform(-0.2, 0.2, 2), stage.look])
    return tidy(Camera.look_at(_rounded(position), target, round(fov, 2), roll))


def _draw_object(
    rng: Generator,
    kind: tuple[str, str],
    camera: Camera,
    size: Size,
    plan: Plan,
    stage: Stage,
    others: Sequence[SceneObject],
) -> SceneObject | None:
    """A random object somewhere in the picture, or on top of another if it is small."""
    if SHAPES[kind[0]].small:
        return _on_top(rng, *kind, [o for o in others if SHAPES[o.shape].holds], plan)
    return _object(rng, *kind, camera, size, plan, stage)


def _body(rng: Generator, shape: str, plan: Plan) -> tuple[Sequence[float], float]:
    """Extents and yaw of a random object."""
    kind = SHAPES[shape]
    if kind.size is not None:
        sides, yaw = [rng.uniform(*limits) for limits in kind.size], rng.uniform(0, 360)
    else:
        width = np.exp(rng.uniform(*np.log(SIZE_M)))
        sides = [width, width, width * rng.uniform(*kind.height)]
        yaw = rng.uniform(0, 90) if not kind.round else 0.0
    # No draw without a range, so that plans without one give the scenes that they always gave.
    if plan.extent is not None:
        factor = np.exp(rng.uniform(*np.log(plan.extent))) / MEASURES[plan.side](sides)
        sides = [factor * side for side in sides]
    return sides, yaw


def _skin(rng: Generator, color: str, plan: Plan) -> tuple[Vector, str]:
    """A tint of a color, and a material."""
    tint = np.clip(np.array(PAINTS[color]) * rng.uniform(0.92, 1.08) + rng.uniform(-0.02, 0.02, 3), 0, 1)
    # One material needs no draw, so plans without materials give the scenes that they always gave.
    several = len(plan.materials) > 1
    return _rounded(tint), plan.materials[int(rng.integers(len(plan.materials))) if several else 0]


def _object(
    rng: Generator, shape: str, color: str, camera: Camera, size: Size, plan: Plan, stage: Stage
) -> SceneObject | None:
    """An object under a random pixel, or None where that pixel shows no floor within reach."""
    pixel = rng.uniform((0.08, 0.18), (0.92, 0.92)) * size
    sides, yaw = _body(rng, shape, plan)
    tint, material = _skin(rng, color, plan)
    direction = (camera.rays(pixel[None], size) @ np.asarray(camera.rotation))[0]
    if direction[2] > -0.05 or sides[2] > stage.high - HEAD_M:
        return None
    # The pixel shows the object's center, which is half its height above the floor.
    along = (sides[2] / 2 - camera.position[2]) / direction[2]
    x, y, _ = np.asarray(camera.position) + along * direction
    extent = _rounded(sides)
    spot = (round(float(x), 4), round(float(y), 4), extent[2] / 2)
    thing = SceneObject(shape, color, tint, extent, spot, round(yaw, 2), SHAPES[shape].front, material)
    return thing if along > 0 and np.hypot(x, y) + _radius(thing) <= stage.reach else None


def _on_top(rng: Generator, shape: str, color: str, holders: Sequence[SceneObject], plan: Plan) -> SceneObject | None:
    """An object on top of one of the holders, wholly on it; None where it would stick out.

    On things with a front it faces as they do, give or take 25 degrees, like a screen on a desk.
    """
    holder = holders[int(rng.integers(len(holders)))]
    sides, yaw = _body(rng, shape, plan)
    tint, material = _skin(rng, color, plan)
    if holder.has_front:
        yaw = (holder.yaw_deg + rng.uniform(-25, 25)) % 360
    extent = _rounded(sides)
    room = np.array(holder.size[:2]) / 2
    x, y, _ = np.array(holder.position) + holder.rotation @ [*(room * rng.uniform(-1, 1, 2)), 0.0]
    top = holder.position[2] + holder.size[2] / 2
    spot = (round(float(x), 4), round(float(y), 4), top + extent[2] / 2)
    thing = SceneObject(shape, color, tint, extent, spot, round(yaw, 2), SHAPES[shape].front, material)
    own = (thing.corners() - holder.position) @ holder.rotation
    return thing if (np.abs(own[:, :2]) <= room - EDGE_M).all() else None


def _radius(thing: SceneObject) -> float:
    """Radius of the circle around the footprint."""
    return thing.size[0] / 2 if SHAPES[thing.shape].round else float(np.hypot(*thing.size[:2])) / 2


def _clear(thing: SceneObject, others: Sequence[SceneObject], cameras: Sequence[Camera], stage: Stage) -> bool:
    """Whether the object touches none of the others and keeps its distance from the cameras."""
    spot = np.asarray(thing.position)
    for camera in cameras:
        # Solids keep it from the sphere around them, which is less exact, but so their scenes have always been.
        away = (
            np.linalg.norm(spot - camera.position) - np.linalg.norm(thing.size) / 2
            if thing.shape in SOLIDS
            else distance_to(thing, camera.position)
        )
        if away < stage.camera_gap:
            return False
    below = standing_on(thing, others) if SHAPES[thing.shape].small else None
    return all(other is below or _apart(thing, other, stage.gap) for other in others)


def _apart(a: SceneObject, b: SceneObject, gap: float) -> bool:
    """Whether the footprints of two objects leave a gap between them."""
    if a.shape in SOLIDS and b.shape in SOLIDS:
        return np.hypot(*np.subtract(a.position, b.position)[:2]) >= _radius(a) + _radius(b) + gap
    return clearance(a, b) >= gap


def clearance(a: SceneObject, b: SceneObject) -> float:
    """The widest gap between the footprints along any of their sides, metres; negative: they overlap.

    Never more than the distance between the two rectangles.
    """
    corners = [thing.corners()[::2, :2] for thing in (a, b)]
    axes = np.concatenate([thing.rotation[:2, :2] for thing in (a, b)], axis=1)
    first, second = (points @ axes for points in corners)
    gaps = np.maximum(first.min(axis=0) - second.max(axis=0), second.min(axis=0) - first.max(axis=0))
    return float(gaps.max())


def distance_to(thing: SceneObject, point: Vector | Floats) -> float:
    """Distance of a point from an object's oriented box, metres; 0.0 inside of it."""
    own = np.abs((np.asarray(point) - thing.position) @ thing.rotation)
    return float(np.linalg.norm((own - np.array(thing.size) / 2).clip(min=0)))


def _span(thing: SceneObject, camera: Camera, size: Size, stage: Stage) -> np.ndarray | None:
    """The projected oriented box as shares (x0, y0, x1, y1) of the picture, or None where it is ill placed."""
    corners = camera.project(thing.corners(), size) / size
    span = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    sides = span[2:] - span[:2]
    if camera.panorama and sides[0] > 0.5:
        return None
    least = np.multiply(stage.min_side, PANORAMA_SIDE if camera.panorama else 1.0)
    least = least * (SMALL_SIDE if SHAPES[thing.shape].small else 1.0)
    inside = span.min() >= BORDER and span.max() <= 1 - BORDER
    return span if inside and (sides >= least).all() and sides.prod() <= MAX_AREA else None


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(min=0)
    return float(sides.prod() / min((a[2:] - a[:2]).prod(), (b[2:] - b[:2]).prod()))


# --- surroundings ------------------------------------------------------------------------------------------------


def _room(rng: Generator, camera: Camera, stage: Stage) -> Room:
    """A room around the origin: its back wall behind it (as the camera looks), the camera inside."""
    back, side = rng.uniform(*stage.back), rng.uniform(*stage.side, 2)
    front = float(np.hypot(*camera.position[:2])) + stage.front
    heading = np.arctan2(-camera.position[1], -camera.position[0]) + np.radians(rng.uniform(-18, 18))
    # Own axes: y toward the back wall, x to its right.
    yaw = heading - np.pi / 2
    middle = np.array([(side[1] - side[0]) / 2, (back - front) / 2])
    x, y = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]) @ middle
    floor, wall = stage.floors[int(rng.integers(len(stage.floors)))], stage.walls[int(rng.integers(len(stage.walls)))]
    texture = stage.textures[int(rng.integers(len(stage.textures)))]
    extent = _rounded((side.sum(), back + front, max(stage.high, camera.position[2] + 0.6)))
    return Room(
        (round(float(x), 4), round(float(y), 4)), extent, round(float(np.degrees(yaw)), 2), floor, wall, texture
    )


def _light(rng: Generator, camera: Camera, stage: Stage) -> Light:
    """A lamp above, to one side of what the camera sees."""
    heading = np.arctan2(camera.position[1], camera.position[0]) + rng.choice([-1, 1]) * rng.uniform(0.3, 1.2)
    reach = rng.uniform(*stage.lamp[0])
    return _shining(
        rng, np.array([reach * np.cos(heading), reach * np.sin(heading), rng.uniform(*stage.lamp[1])]), stage
    )


def _shining(rng: Generator, spot: Floats, stage: Stage) -> Light:
    """A lamp at a spot; farther away than in a room, it is as much stronger as distance takes away."""
    far = spot[2] > 2 * FADE_M
    boost = (1 + float(spot @ spot) / FADE_M**2) / 1.4 if far else 1.0
    power, ambient = rng.uniform(0.7, 0.9), rng.uniform(0.36, 0.46)
    return Light(_rounded(spot), round(power * boost, 3), round(ambient, 3), stage.radius)
