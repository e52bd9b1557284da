"""Floors seen from above: the map of what several views show, and nested sets of frames of one room.

Axes of a map: the origin is on the floor below the first camera, y is the way it looks, x is to its right; metres.
Extents are those of each object's oriented box, or of the ellipse of round ones, so a map's centers are the objects'.

Source: Video2Layout, whose benchmark asks the same over 1, 4, 8, 12 and 16 frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from ..floormap import Extent, FloorMap
from .covisible import seen
from .layout import place
from .model import Camera, Floats, SceneObject, turn
from .patterns import PATTERNS
from .render import render
from .shapes import SHAPES
from .task import MakeWorld
from .views import Planner, Views, any_number
from .words import name

if TYPE_CHECKING:
    from .generate import SceneConfig

FRAMES = (1, 4, 8, 12, 16)
"""How many frames of a room questions are asked over."""

ORDER = (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15)
"""Places on a path of 16 cameras in the order in which larger sets take them: each set is spread over the path, and
holds all smaller ones."""

PATHS = ("walk", "orbit", "pan")


def frames(count: int) -> list[int]:
    """The cameras of a set of `count` frames, in the order of the path; sets are nested, and all begin with camera 0.

    >>> frames(1), frames(4), set(frames(8)) <= set(frames(12))
    ([0], [0, 4, 8, 12], True)
    """
    return sorted(ORDER[:count])


def fewer(views: Views, count: int) -> Views:
    """The same room with the first set of `count` of its frames."""
    kept = {views.scene.cameras[k] for k in frames(count)}
    return Views(tuple(view for view in views.views if view.camera in kept))


def axes(camera: Camera) -> Floats:
    """Rows: the camera's right and its way ahead on the floor, unit vectors in the world, shape (2, 2)."""
    x, y = np.asarray(camera.rotation)[2, :2]
    ahead = np.array([x, y]) / np.hypot(x, y)
    return np.array([[ahead[1], -ahead[0]], ahead])


def extent(thing: SceneObject, label: str, camera: Camera) -> Extent:
    """The rectangle around an object on the map of a camera."""
    rows = axes(camera)
    x, y = rows @ (np.asarray(thing.position)[:2] - camera.position[:2])
    # The map's axes in the object's own.
    own = rows @ turn(thing.yaw_deg)[:2, :2] * np.asarray(thing.size)[:2] / 2
    round_ = thing.shape in SHAPES and SHAPES[thing.shape].round
    across, along = np.linalg.norm(own, axis=1) if round_ else np.abs(own).sum(axis=1)
    return Extent(label, float(x - across), float(x + across), float(y - along), float(y + along))


def map_of(views: Views) -> FloorMap:
    """The map of all objects that count in some view, as the first view looks."""
    scene, camera = views.scene, views.views[0].camera
    return tuple(extent(scene.objects[i], name(scene, i), camera) for i in seen(views))


def room_frames(plan: Planner = any_number, at_least: int = 1) -> MakeWorld:
    """Rooms (`Views`) from as many frames of a path of 16 cameras as the aim's first word says."""

    def make(rng: Generator, aim: str, config: SceneConfig) -> Views | str:
        low, high = (max(n, at_least) for n in config.objects)
        wanted, count = plan(rng, aim, low, high), int(aim.split()[0])
        path = PATTERNS[str(rng.choice(PATHS))]
        scene = place(rng, wanted, path.cameras(rng, wanted.stage, len(ORDER), ""), config.size)
        if isinstance(scene, str):
            return scene
        return Views(tuple(render(scene, config.size, number) for number in frames(count)))

    return make
