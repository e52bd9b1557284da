"""Scenes in which a block hides an object, and a second world that looks the same: worlds of kind `Doubt`.

The block is a cube just large enough, on the line from the camera to the object; in the clean scene it stands aside.
The second world has the object in another color, or in another place behind the block. Further views are all taken from
around the object; cylinders hide it from those that do not tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..geometry import Size
from .doubt import HIDDEN, Doubt, same_picture
from .layout import (
    CAMERA_GAP_M,
    COLORS,
    GAP_M,
    MIN_VISIBLE,
    REACH_M,
    Plan,
    clearance,
    distance_to,
    sample_scene,
)
from .model import Camera, Room, Scene, SceneObject, turn
from .render import View, render

CLEAR_M = 0.32
"""Depths and distances of objects that are compared differ by more than this, metres."""
APART_DEG = 40.0
"""Views from the side differ by more than this in their bearings from the object."""
TRIES, SCENES = 12, 8
FINER = 3
"""Visible fractions are looked at in a picture so many times as wide: small objects have few pixels."""


def hidden(rng: Generator, asks: str, shows: str, size: Size) -> Doubt | str:
    """A block that hides an object whose color ("color") or whose place in depth ("nearer") is asked for."""
    why = ""
    for _ in range(SCENES):
        arranged = _arranged(rng, asks, shows, size)
        if not isinstance(arranged, str):
            return _proven(rng, *arranged, shows, size)
        why = arranged
    return why


Arranged = tuple[Scene, SceneObject, int, SceneObject]
"""A scene with a hidden object, the block before it, the object's index, and its twin in the second world."""


def _arranged(rng: Generator, asks: str, shows: str, size: Size) -> Arranged | str:
    """Objects and a block, by their places alone; or why they do not fit."""
    scene = sample_scene(rng, Plan(int(rng.integers(2, 4)), same_shape=False, same_color=False), size)
    if isinstance(scene, str):
        return scene
    (camera,) = scene.cameras
    if shows == "views":
        # Room for cameras, and for blocks before them, on all sides.
        width, depth, high = scene.room.size
        scene = replace(scene, room=replace(scene.room, size=(1.5 * width, 1.5 * depth, high)))
    # With the lamp at the camera, what is hidden from the camera throws no shadow that it sees.
    scene = replace(scene, light=replace(scene.light, position=camera.position, radius=0.01))
    free = [c for c in COLORS if c not in {o.color for o in scene.objects}]
    colors = [str(c) for c in rng.permutation(free)[:2]]
    for index in rng.permutation(len(scene.objects)):
        target, small = int(index), _shrunk(scene.objects[index], rng.uniform(0.3, 0.45))
        small = small if asks == "color" else _at(small, camera, _farthest(small, camera))
        block = _block_before(rng, scene, small, target, colors[0])
        if block is not None:
            break
    else:
        return "no block fits between the camera and an object"
    things = _with(scene.objects, target, small)
    if asks == "color":
        return replace(scene, objects=things), block, target, replace(small, color=colors[1], rgb=COLORS[colors[1]])
    low = math.dist(camera.position[:2], block.position[:2]) + _radius(block) + _radius(small) + GAP_M
    near = _at(small, camera, low + rng.uniform(0.0, 0.15))
    things = _between(rng, things, target, near, block, camera)
    if things is None:
        return "no place for another object between the two places behind the block"
    if rng.random() < 0.5:
        return replace(scene, objects=_with(things, target, near)), block, target, small
    return replace(scene, objects=things), block, target, near


def _proven(
    rng: Generator, scene: Scene, block: SceneObject, target: int, twin: SceneObject, shows: str, size: Size
) -> Doubt | str:
    """The world, if pictures show what places promise."""
    challenged = replace(scene, objects=(*scene.objects, block))
    other = replace(scene, objects=(*_with(scene.objects, target, twin), block))
    view = render(challenged, size)
    if view.visible[target] > HIDDEN:
        return "the block does not hide the object"
    if not same_picture(view, render(other, size)):
        return "the second world does not give the same picture"
    more: Sequence[SceneObject] = ()
    if shows == "views":
        around = _around(rng, challenged, other, target, size)
        if around is None:
            return "no view from the side shows the object while others do not"
        cameras, more = around
        challenged, other = (
            replace(w, objects=(*w.objects, *more), cameras=(*w.cameras, *cameras)) for w in (challenged, other)
        )
    aside = _set_aside(rng, scene, block, more, size)
    if aside is None:
        return "no place for the block beside the objects"
    return Doubt("occluded", replace(scene, objects=(*scene.objects, aside, *more)), challenged, other, shows, size)


def _with(objects: Sequence[SceneObject], index: int, thing: SceneObject) -> tuple[SceneObject, ...]:
    return (*objects[:index], thing, *objects[index + 1 :])


def _radius(thing: SceneObject) -> float:
    return math.hypot(*thing.size[:2]) / 2


def _apart(thing: SceneObject, others: Sequence[SceneObject], camera: Camera) -> bool:
    """Whether the footprint keeps clear of others and the camera, within reach."""
    return math.hypot(*thing.position[:2]) + _radius(thing) <= REACH_M and _clear(thing, others, [camera])


def _clear(thing: SceneObject, others: Sequence[SceneObject], cameras: Sequence[Camera]) -> bool:
    """Whether the footprint keeps clear of others and of cameras."""
    near = any(distance_to(thing, camera.position) < 0.7 for camera in cameras)
    return not near and all(clearance(thing, other) >= GAP_M for other in others)


def _shrunk(thing: SceneObject, width: float) -> SceneObject:
    """An object on the floor in another size; small things are hidden more easily."""
    x, y, z = (round(v * min(width / thing.size[0], 1.0), 4) for v in thing.size)
    return replace(thing, size=(x, y, z), position=(*thing.position[:2], z / 2))


def _block_before(rng: Generator, scene: Scene, thing: SceneObject, index: int, color: str) -> SceneObject | None:
    """A cube on the line from the camera to an object (number `index`), just large enough to hide it."""
    (camera,), others = scene.cameras, _with(scene.objects, index, thing)
    eye, height = np.array(camera.position[:2]), camera.position[2]
    way = np.array(thing.position[:2]) - eye
    reach, radius = float(np.hypot(*way)), _radius(thing)
    slope = (thing.size[2] - height) / (reach + radius)
    for part in rng.uniform(0.4, 0.85, TRIES):
        middle = float(part) * reach
        for side in np.arange(0.5, 1.7, 0.1):
            front, back = middle - side / 2, middle + side / 2
            lid = min(height + slope * front, height + slope * back)
            if side >= 1.05 * lid + 0.03 and side / 2 >= 1.1 * radius:
                x, y = (eye + way * part).round(4).tolist()
                edge, yaw = round(float(side), 4), round(math.degrees(math.atan2(way[1], way[0])), 2)
                block = SceneObject("cube", color, COLORS[color], (edge, edge, edge), (x, y, edge / 2), yaw)
                if _apart(block, others, camera):
                    return block
    return None


def _set_aside(
    rng: Generator, scene: Scene, block: SceneObject, more: Sequence[SceneObject], size: Size
) -> SceneObject | None:
    """The same block where it hides none of the objects, still in the picture; more: other blocks."""
    others = [*scene.objects, *more]
    for place in rng.uniform(-REACH_M, REACH_M, (4 * TRIES, 2)).round(4).tolist():
        aside = replace(block, position=(*place, block.position[2]))
        column, row = (scene.cameras[0].project([aside.position], size) / size)[0]
        if not (0.1 < column < 0.9 and 0.1 < row < 0.9 and _apart(aside, others, scene.cameras[0])):
            continue
        world = replace(scene, objects=(*scene.objects, aside, *more))
        if _all_visible(world, size, len(scene.objects) + 1):
            return aside
    return None


def _all_visible(scene: Scene, size: Size, count: int) -> bool:
    """Whether the first so many objects of a scene are visible enough, in a finer picture, too."""
    return all(min(render(scene, (n * size[0], n * size[1])).visible[:count]) >= MIN_VISIBLE for n in (1, FINER))


def _at(thing: SceneObject, camera: Camera, reach: float) -> SceneObject:
    """An object in the same direction, `reach` metres from the camera, measured on the floor."""
    eye = np.array(camera.position[:2])
    way = np.array(thing.position[:2]) - eye
    x, y = (eye + way * (reach / np.hypot(*way))).round(4).tolist()
    return replace(thing, position=(x, y, thing.position[2]))


def _farthest(thing: SceneObject, camera: Camera) -> float:
    """How far from the camera an object in its direction can be within reach, metres on the floor."""
    now = math.dist(camera.position[:2], thing.position[:2])
    steps = np.arange(now, now + 4, 0.1).tolist()
    limit = REACH_M - _radius(thing)
    return max((s for s in steps if math.hypot(*_at(thing, camera, s).position[:2]) < limit), default=now)


def _between(
    rng: Generator, things: Sequence[SceneObject], target: int, twin: SceneObject, block: SceneObject, camera: Camera
) -> tuple[SceneObject, ...] | None:
    """The objects, one of them moved to where the target is clearly nearer than it, or farther, from its two places."""
    index = int(rng.choice([i for i in range(len(things)) if i != target]))
    thing, ends = things[index], np.array([twin.position, things[target].position])
    depths, reaches = camera.depths(ends), np.linalg.norm(ends - camera.position, axis=1)
    others = [*(o for i, o in enumerate(things) if i != index), twin, block]
    for place in rng.uniform(-REACH_M, REACH_M, (40 * TRIES, 2)).round(4).tolist():
        moved = replace(thing, position=(*place, thing.position[2]))
        gaps = (camera.depths([moved.position])[0] - depths, math.dist(moved.position, camera.position) - reaches)
        column = camera.project([moved.position], (1, 1))[0, 0]
        between = all(a > CLEAR_M and b < -CLEAR_M for a, b in gaps) and 0.1 < column < 0.9
        if between and _apart(moved, others, camera):
            return _with(things, index, moved)
    return None


def _around(
    rng: Generator, scene: Scene, other: Scene, target: int, size: Size
) -> tuple[list[Camera], list[SceneObject]] | None:
    """Three more cameras, and two cylinders that hide the target from the last two of them, in both worlds.

    All three are drawn alike, so that how different their pictures are from the first does not tell which one settles.
    """
    things = [world.objects[target] for world in (scene, other)]
    taken = {o.color for world in (scene, other) for o in world.objects}
    colors = [str(c) for c in rng.permutation([c for c in COLORS if c not in taken])]
    sides = _sides(rng, scene, target)

    def seen(world: Scene, camera: Camera, screens: Sequence[SceneObject]) -> View:
        return render(replace(world, objects=(*world.objects, *screens), cameras=(camera,)), size)

    def tells(camera: Camera, screens: Sequence[SceneObject]) -> bool:
        """Whether it sees the target as a whole, and all else but blocks; the last of the scene's objects is one."""
        view = seen(scene, camera, screens)
        return _whole(view, target) and _all_visible(view.scene, size, len(scene.objects) - 1)

    for settles in sides:
        cameras, screens = [settles], []
        if not tells(settles, screens):
            continue
        for camera in sides:
            if not _separate(camera, cameras, screens, things[0]):
                continue
            objects = (*scene.objects, things[1], *screens)
            full = replace(scene, objects=objects, cameras=(*scene.cameras, *cameras, camera))
            screen = _column_before(rng, full, things, colors[len(screens)])
            if screen is None or any(seen(w, camera, [*screens, screen]).visible[target] > 0 for w in (scene, other)):
                continue
            if tells(settles, [*screens, screen]):
                cameras, screens = [*cameras, camera], [*screens, screen]
            if len(screens) == 2:
                return cameras, screens
    return None


def _column_before(rng: Generator, scene: Scene, things: Sequence[SceneObject], color: str) -> SceneObject | None:
    """A cylinder just large enough to hide things from the last camera, clear of objects and of all cameras."""
    eye, height = np.array(scene.cameras[-1].position[:2]), scene.cameras[-1].position[2]
    ways = np.array([t.position[:2] for t in things]) - eye
    way = ways.mean(axis=0)
    reach = float(np.hypot(*way))
    # Along the way to their middle, and to the side of it.
    along, across = ways @ (way / reach), np.abs(ways @ (np.array([-way[1], way[0]]) / reach))
    radii = np.array([_radius(t) for t in things])
    slope = max((t.size[2] - height) / (a + r) for t, a, r in zip(things, along, radii, strict=True))
    for part in rng.uniform(0.3, 0.85, TRIES).tolist():
        middle = part * reach
        wide = round(2.1 * float(((across + radii) / along).max()) * middle, 4)
        tall = round(1.05 * (height + slope * middle) + 0.03, 4)
        x, y = (eye + way * part).round(4).tolist()
        column = SceneObject("cylinder", color, COLORS[color], (wide, wide, tall), (x, y, tall / 2))
        indoors = _inside(scene.room, np.array(column.position), wide)
        if middle < along.min() and indoors and _clear(column, scene.objects, scene.cameras):
            return column
    return None


def _separate(camera: Camera, cameras: Sequence[Camera], blocks: Sequence[SceneObject], thing: SceneObject) -> bool:
    """Whether a camera looks at a thing from elsewhere than others, and keeps clear of blocks."""
    if any(distance_to(block, camera.position) < 0.7 for block in blocks):
        return False
    ways = [np.subtract(c.position, thing.position)[:2] for c in (camera, *cameras)]
    here, *there = (way / np.hypot(*way) for way in ways)
    return max(float(here @ way) for way in there) < math.cos(math.radians(APART_DEG))


def _sides(rng: Generator, scene: Scene, target: int) -> list[Camera]:
    """Cameras from which the target may be seen from the side, or from behind."""
    eye, place = np.array(scene.cameras[0].position), np.array(scene.objects[target].position)
    found = []
    for angle in rng.choice([-1, 1], 3 * TRIES) * rng.uniform(50, 150, 3 * TRIES):
        side = place + turn(float(angle)) @ (eye - place) * rng.uniform(0.8, 1.1)
        if _inside(scene.room, side) and min(math.dist(side, o.position) for o in scene.objects) >= CAMERA_GAP_M:
            found.append(Camera.look_at(side, place * (0.6, 0.6, 1.0), 65.0))
    return found


def _inside(room: Room, point: NDArray[np.float64], margin: float = 0.25) -> bool:
    local = (point - np.array([*room.center, 0.0])) @ turn(room.yaw_deg)
    return bool((np.abs(local[:2]) < np.array(room.size[:2]) / 2 - margin).all() and 0.2 < local[2] < room.size[2])


def _whole(view: View, index: int) -> bool:
    """Whether an object does not reach the border of the picture."""
    box = view.boxes[index]
    return box is not None and min(box.x0, box.y0, 1 - box.x1, 1 - box.y1) > 0.01
