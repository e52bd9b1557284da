"""Roads as a driver's camera sees them: vehicles and people at 3 to 24 m, seen from the height of a windscreen.

Objects are drawn by depth and column, so that depths, headings and ties can be aimed for. Lanes, and vehicles that keep
to them, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from ..geometry import MIN_PIXELS, Size
from .layout import PAINTS, clearance, distance_to, enclose, tidy, too_hidden
from .model import Camera, Floats, SceneObject, turn
from .render import View, render
from .shapes import VEHICLES
from .stages import STAGES

if TYPE_CHECKING:
    from .generate import SceneConfig

WINDS = ("North", "Northeast", "East", "Southeast", "South", "Southwest", "West", "Northwest")
"""Headings that can be aimed for, clockwise; the camera looks north."""
TIE = "almost the same"
"""The aim of two objects with nearly the same distance, column or depth."""
ANYWHERE = (3.0, 24.0)
ANY: tuple[tuple[str, ...], ...] = (tuple(VEHICLES),)
MIDDLING = ("person", "motorcycle", "barrier")
"""Kinds that are wholly in frame, and not too small, at any depth: their name does not tell it."""
ALIKE = (MIDDLING, ("car",), ("truck", "bus"), ("traffic cone",))
"""Kinds of about the same size: none of them has to be farther away than another to fit into the picture."""
LENS_DEG = (40.0, 56.0)
FINER = 2
"""Pictures of roads are as many times larger than others, across and down: far things are small."""
GAP_M, CAMERA_GAP_M = 0.4, 2.0
"""Least clearance between two footprints, and to the camera."""
LEAST_PX = MIN_PIXELS + 1
"""Least width and height of an object in the picture, pixels."""
OVERLAP = 0.4
"""Boxes of two objects share at most this part of the smaller one."""
TRIES = 40


def road(
    front: bool = False,
    tie: str = "",
    kinds: tuple[tuple[str, ...], ...] = ANY,
    depths: Callable[[Generator, str], tuple[float, float]] = lambda rng, aim: ANYWHERE,
) -> Callable[[Generator, str, SceneConfig], View | str]:
    """Worlds of vehicles and people, seen from the height of a car's windscreen, in pictures of `FINER` size.

    front: one has a front, and heads for the wind that is aimed at. tie: what two of them have in common where a tie is
    aimed at: "distance", "column" or "depth". kinds: groups of keys of `shapes.VEHICLES`; a scene is of one group.
    depths: between which depths the first object is, given the aim, metres.
    """

    def make(rng: Generator, aim: str, config: SceneConfig) -> View | str:
        count, size = (
            int(rng.integers(config.objects[0], config.objects[1] + 1)),
            (FINER * config.size[0], FINER * config.size[1]),
        )
        eye = (0.0, 0.0, round(rng.uniform(1.5, 2.1), 4))
        heading, dip = rng.uniform(0, 2 * math.pi), rng.uniform(-0.02, 0.14)
        ahead = (math.cos(heading), math.sin(heading), eye[2] - dip)
        camera = tidy(Camera.look_at(eye, ahead, round(rng.uniform(*LENS_DEG), 2)))
        things: list[SceneObject] = []
        group = kinds[rng.integers(len(kinds))]
        for number in range(count):
            between = depths(rng, aim) if number == 0 else ANYWHERE
            thing = _placed(rng, group, things, camera, between, front and number == 0, size)
            if thing is None:
                return f"no room for object {number + 1} of {count}"
            things.append(thing)
        if aim in WINDS:
            yaw = heading_deg(camera) - 45 * WINDS.index(aim) + rng.uniform(-14, 14)
            things[0] = replace(things[0], yaw_deg=round(float(yaw % 360), 2))
        if aim == TIE:
            things = _tied(rng, things, camera, tie)
        order = rng.permutation(count)
        scene = enclose(rng, tuple(things[i] for i in order), (camera,), STAGES["vehicles"])
        if any(clearance(a, b) < GAP_M for a, b in combinations(things, 2)):
            return "two objects are too near each other"
        view = render(scene, size)
        return _cut_off(view) or too_hidden(view) or view

    return make


def _placed(
    rng: Generator,
    kinds: tuple[str, ...],
    others: list[SceneObject],
    camera: Camera,
    depths: tuple[float, float],
    front: bool,
    size: Size,
) -> SceneObject | None:
    """A random object on the road, wholly in frame, that keeps clear of the others and has a name of its own."""
    shape = str(rng.choice([name for name in kinds if VEHICLES[name].front or not front]))
    right, forward = np.array(camera.rotation[0]), np.array(camera.rotation[2]) * (1, 1, 0)
    spans = [_span(o, camera, size) for o in others]
    for _ in range(TRIES):
        color = str(rng.choice(VEHICLES[shape].colors))
        extent = tuple(round(float(rng.uniform(*limits)), 4) for limits in VEHICLES[shape].size or ())
        depth = rng.uniform(*depths)
        column = rng.uniform(-0.85, 0.85) * math.tan(math.radians(camera.fov_deg) / 2)
        x, y, _ = (depth * (forward + column * right) + camera.position).round(4).tolist()
        tint = (np.array(PAINTS[color]) * rng.uniform(0.92, 1.08)).clip(0, 1).round(4).tolist()
        yaw, front_ = round(float(rng.uniform(0, 360)), 2), VEHICLES[shape].front
        thing = SceneObject(shape, color, tuple(tint), extent, (x, y, extent[2] / 2), yaw, front_)  # type: ignore[arg-type]
        if thing.label in [o.label for o in others] or distance_to(thing, camera.position) < CAMERA_GAP_M:
            continue
        span = _span(thing, camera, size)
        inside = span.min() > 0.01 and span.max() < 0.99 and ((span[2:] - span[:2]) * size > LEAST_PX).all()
        free = all(clearance(thing, o) >= GAP_M for o in others) and all(_share(span, s) <= OVERLAP for s in spans)
        if inside and free:
            return thing
    return None


def _span(thing: SceneObject, camera: Camera, size: Size) -> Floats:
    """The projected oriented box, (x0, y0, x1, y1) in shares of the picture; nan where it reaches behind the camera."""
    corners = camera.project(thing.corners(), size) / size
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def _share(a: Floats, b: Floats) -> float:
    common = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(min=0).prod()
    return float(common / min((s[2:] - s[:2]).prod() for s in (a, b)))


def _tied(rng: Generator, things: list[SceneObject], camera: Camera, what: str) -> list[SceneObject]:
    """The objects, the second one moved so that it has nearly the distance, depth or column of the first."""
    eye, way = np.array(camera.position[:2]), np.array(things[1].position[:2]) - camera.position[:2]
    one, two = camera.to_camera([o.position for o in things[:2]])
    if what == "distance":
        way *= (np.linalg.norm(one) + rng.uniform(-0.75, 0.75)) / np.linalg.norm(two)
    elif what == "depth":
        way *= (one[2] + rng.uniform(-0.38, 0.38)) / two[2]
    else:
        bearing = math.degrees(math.atan2(two[0], two[2]) - math.atan2(one[0], one[2]))
        way = turn(bearing + float(rng.uniform(-0.04, 0.04)) * camera.fov_deg)[:2, :2] @ way
    x, y = (eye + way).round(4).tolist()
    return [things[0], replace(things[1], position=(x, y, things[1].position[2])), *things[2:]]


def heading_deg(camera: Camera) -> float:
    """Where a camera looks, counter-clockwise from +x, seen from above."""
    return math.degrees(math.atan2(camera.rotation[2][1], camera.rotation[2][0]))


def _cut_off(view: View) -> str | None:
    for thing, box in zip(view.scene.objects, view.boxes, strict=True):
        if box is not None and min(box.x0, box.y0, 1 - box.x1, 1 - box.y1) <= 0:
            return f"the {thing.label} is cut off"
    return None
