"""Two views of a scene for SpatialEvo's pair tasks.

two_views    cameras drawn for the aim, then objects where both see some
amid_views   objects that one camera sees, then another camera between them
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from ...geometry import Size
from ..layout import distance_to, enclose, place, tidy
from ..model import Camera, Floats, Scene, turn
from ..render import render
from ..stages import Stage
from ..task import MakeWorld
from ..views import Planner, Views
from .dge_rules import SCENES, indoors

if TYPE_CHECKING:
    from ..generate import SceneConfig

Cameras = tuple[Camera, ...]
Draw = Callable[[Generator, Stage, str], Cameras]
"""(rng, stage, aim) -> cameras in order."""

POSES = 200
"""Poses of cameras to draw for an aim."""
FRAMES = 5
"""Cameras of a path."""
SHARED = 2
"""Least number of objects that both views of a pair show, so that one view can be fitted to the other."""
AMID_GAP_M = 0.6
"""Least distance from an object to a camera between objects, metres."""
MOVES = {"left": (-1, 0, 0), "right": (1, 0, 0), "up": (0, -1, 0), "down": (0, 1, 0), "forward": (0, 0, 1),
         "backward": (0, 0, -1)}  # fmt: skip
"""Ways of a camera in its own axes."""


def two_views(
    draw: Draw,
    poses: Callable[[Cameras, str], bool] | None = None,
    at_least: int = SHARED,
    plan: Planner = indoors,
) -> MakeWorld:
    """Worlds (`Views`) of the first and the last camera drawn, with `SHARED` objects or more in frame of both.

    The cameras between them are the path. poses: whether cameras serve an aim; unless told otherwise all do.
    """

    def make(rng: Generator, aim: str, config: SceneConfig) -> Views | str:
        wanted = plan(rng, aim, *(max(n, at_least) for n in config.objects))
        reason = "no pose of the cameras serves the aim"
        for _ in range(SCENES):
            drawn = (draw(rng, wanted.stage, aim) for _ in range(POSES))
            cameras = next((c for c in drawn if poses is None or not aim or poses(c, aim)), None)
            if cameras is None:
                return reason
            scene = place(rng, wanted, cameras, config.size, SHARED)
            if isinstance(scene, str):
                reason = scene
            else:
                return Views(tuple(render(scene, config.size, number) for number in (0, len(cameras) - 1)))
        return reason

    return make


def amid_views(fits: Callable[[Camera, Scene, str], bool], at_least: int) -> MakeWorld:
    """Worlds (`Views`) of a camera between the objects and one that sees all of them from outside, in any order.

    fits: whether the camera between the objects serves an aim.
    """

    def make(rng: Generator, aim: str, config: SceneConfig) -> Views | str:
        plan = indoors(rng, aim, *(max(n, at_least) for n in config.objects))
        for _ in range(SCENES):
            outside = _looking(rng, plan.stage)
            scene = place(rng, plan, (outside,), config.size)
            if isinstance(scene, str):
                continue
            for camera in _amid(rng, plan.stage, scene, config.size):
                if aim and not fits(camera, scene, aim):
                    continue
                if min(distance_to(o, camera.position) for o in scene.objects) < AMID_GAP_M:
                    continue
                cameras = (camera, outside) if rng.random() < 0.5 else (outside, camera)
                scene = enclose(rng, scene.objects, cameras, plan.stage)
                return Views(tuple(render(scene, config.size, number) for number in (0, 1)))
        return "no place for a camera between the objects serves the aim"

    return make


def _amid(rng: Generator, stage: Stage, scene: Scene, size: Size) -> Iterator[Camera]:
    """Cameras that stand anywhere and have `SHARED` objects wholly in frame.

    They look nearly level: in the axes of a camera that looks down, everything behind it is below.
    """
    bearing, away = rng.uniform(0, 2 * np.pi, POSES), stage.reach * rng.uniform(0.0, 0.9, POSES)
    height, drop = rng.uniform(0.35, 0.8, POSES) * stage.eye[1], rng.uniform(0.0, 0.3, POSES)
    spots = np.stack([away * np.cos(bearing), away * np.sin(bearing), height], axis=1)
    things = np.array([o.position for o in scene.objects])
    seen = rng.permuted(np.tile(np.arange(len(things)), (POSES, 1)), axis=1)[:, :SHARED]
    ahead = things[seen].mean(axis=1) - spots
    ahead[:, 2] = -drop * np.hypot(ahead[:, 0], ahead[:, 1])
    lens = rng.uniform(60, 80, POSES)
    forward = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    right = np.stack([forward[:, 1], -forward[:, 0], np.zeros(POSES)], axis=1)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    axes = np.stack([right, np.cross(forward, right), forward], axis=1)
    corners = np.concatenate([o.corners() for o in scene.objects])
    # All poses at once: most of them fail.
    x, y, z = np.moveaxis(np.einsum("pij,pcj->pci", axes, corners - spots[:, None]), -1, 0)
    reach = z * np.tan(np.radians(lens) / 2)[:, None] * 0.97
    inside = (z > 0.1) & (np.abs(x) < reach) & (np.abs(y) < reach * size[1] / size[0])
    seen_whole = inside.reshape(POSES, -1, 8).all(axis=2).sum(axis=1)
    for pose in np.flatnonzero(seen_whole >= SHARED):
        yield tidy(Camera.look_at(spots[pose], spots[pose] + ahead[pose], round(lens[pose], 2)))


def two_looking(rng: Generator, stage: Stage, aim: str) -> Cameras:
    """Two cameras anywhere around the middle, at any height, that look at it."""
    return _looking(rng, stage), _looking(rng, stage)


def path(rng: Generator, stage: Stage, aim: str) -> Cameras:
    """A short path that turns, or goes along one or two of the camera's axes."""
    start = _looking(rng, stage)
    words = aim.split("-") if aim and not aim.startswith("turn") else [str(rng.choice(list(MOVES)))]
    way = sum(np.array(MOVES[word]) * rng.uniform(0.6, 1.0) for word in words) + rng.uniform(-0.12, 0.12, 3)
    way = 0.25 * stage.reach * rng.uniform(0.8, 1.6) * way / np.linalg.norm(way)
    turned = rng.uniform(-5, 5)
    if aim.startswith("turn"):
        turned = rng.uniform(11, 35) * (-1 if aim == "turn right" else 1)
        way *= rng.uniform(0.1, 0.7)
    return tuple(_moved(start, way * share, turned * share) for share in np.linspace(0, 1, FRAMES))


def _moved(start: Camera, way: Floats, turned_deg: float) -> Camera:
    """A camera that went along its own axes, then turned about the vertical, counter-clockwise."""
    axes = np.asarray(start.rotation)
    rotation = axes @ turn(turned_deg).T
    rows = tuple(tuple(row) for row in rotation.tolist())
    position = tuple(np.round(np.asarray(start.position) + way @ axes, 4).tolist())
    return tidy(replace(start, position=position, rotation=rows))  # type: ignore[arg-type]


def _looking(rng: Generator, stage: Stage) -> Camera:
    bearing, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.8 * stage.distance[0], stage.distance[1])
    height = rng.uniform(0.6, max(stage.eye[1], 0.75 * distance))
    target = np.array([*(0.15 * stage.reach * rng.uniform(-1, 1, 2)), stage.look])
    spot = np.round((distance * np.cos(bearing), distance * np.sin(bearing), height), 4)
    return tidy(Camera.look_at(spot, target, round(rng.uniform(45, 65), 2)))
