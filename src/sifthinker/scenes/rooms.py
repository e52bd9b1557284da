"""A room seen whole: a panorama from inside of it, whose floor is a thing of its own.

`whole_room` makes the world; its sizes are drawn for the question, not for what stands in it. Rooms that are not
rectangles are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..depth import DepthMap
from ..geometry import Box
from .layout import Plan, sample_scene
from .model import FULL_TURN, Camera, Floats, Room, Scene, turn
from .render import View, render

if TYPE_CHECKING:
    from .generate import SceneConfig

WALL_GAP_M = 0.15
"""Least distance between a wall and an object."""
EYE_GAP_M = 0.6
"""Least distance between the camera and a wall, or the bounding circle of an object."""
ASPECT = (0.65, 1.5)
"""Range of depth / width of a room."""
TRIES = 60


@dataclass(frozen=True, eq=False)
class RoomView:
    """What a panorama shows of a room: its objects, and last its floor."""

    view: View

    @property
    def image(self) -> NDArray[np.uint8]:
        """The panorama, twice as wide as high."""
        return self.view.image

    @property
    def depth(self) -> DepthMap:
        """Distances from the camera, metres."""
        return self.view.depth

    @property
    def labels(self) -> tuple[str, ...]:
        """The objects' names, and "floor"."""
        return (*self.view.labels, "floor")

    @cached_property
    def floor(self) -> NDArray[np.bool_]:
        """Pixels that show the floor, shape (height, width)."""
        width, height = self.view.size
        columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        rays = self.view.camera.rays(np.stack([columns.ravel(), rows.ravel()], axis=1), self.view.size)
        up = (rays @ np.asarray(self.view.camera.rotation))[:, 2].reshape(height, width)
        low = self.view.camera.position[2] + up * self.view.depth.values < 1e-3
        return low & (self.view.instances < 0)

    @property
    def boxes(self) -> tuple[Box | None, ...]:
        """Where each object is, and the floor."""
        rows, (width, height) = np.flatnonzero(self.floor.any(axis=1)), self.view.size
        columns = np.flatnonzero(self.floor.any(axis=0))
        if not len(rows):
            return (*self.view.boxes, None)
        box = Box(columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
        return (*self.view.boxes, box)

    def to_json(self) -> dict[str, Any]:
        """Inverse: `RoomView.from_json`."""
        return self.view.to_json() | {"kind": "room"}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RoomView:
        """Render a stored room again."""
        return cls(View.from_json(data))


def whole_room(rng: Generator, area_m2: float, config: SceneConfig) -> RoomView | str:
    """A room of about this floor area around random objects, seen from inside, or why none was found."""
    scene = sample_scene(rng, Plan(int(rng.integers(config.objects[0], config.objects[1] + 1))), config.size)
    if isinstance(scene, str):
        return scene
    room = _room(rng, scene, area_m2)
    if room is None:
        return f"the objects do not fit into {area_m2:.0f} square meters"
    camera = _inside(rng, scene, room)
    if camera is None:
        return "no place for the camera between the objects"
    lamp = replace(scene.light, position=(*room.center, round(room.size[2] - 0.3, 3)))
    height = min(config.size)
    return RoomView(render(replace(scene, room=room, light=lamp, cameras=(camera,)), (2 * height, height)))


def corners(room: Room) -> Floats:
    """The corners of the floor, shape (4, 3)."""
    signs = np.array([(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0)])
    return signs * room.size @ turn(room.yaw_deg).T + (*room.center, 0.0)


def _room(rng: Generator, scene: Scene, area_m2: float) -> Room | None:
    points = np.concatenate([o.corners()[:, :2] for o in scene.objects])
    for _ in range(TRIES):
        yaw, aspect = round(rng.uniform(0, 90), 2), rng.uniform(*ASPECT)
        sides = np.round([(area_m2 / aspect) ** 0.5, (area_m2 * aspect) ** 0.5], 2)
        local = points @ turn(yaw)[:2, :2]
        low, high = local.max(axis=0) + WALL_GAP_M - sides / 2, local.min(axis=0) - WALL_GAP_M + sides / 2
        if (low <= high).all():
            x, y = (turn(yaw)[:2, :2] @ rng.uniform(low, high)).round(4).tolist()
            size = (float(sides[0]), float(sides[1]), round(rng.uniform(2.5, 3.2), 2))
            return replace(scene.room, center=(x, y), size=size, yaw_deg=yaw)
    return None


def _inside(rng: Generator, scene: Scene, room: Room) -> Camera | None:
    """An upright panorama camera with some room around it."""
    half = np.array(room.size[:2]) / 2 - EYE_GAP_M
    for _ in range(TRIES):
        x, y = turn(room.yaw_deg)[:2, :2] @ rng.uniform(-half, half) + room.center
        gaps = [np.hypot(x - o.position[0], y - o.position[1]) - np.hypot(*o.size[:2]) / 2 for o in scene.objects]
        if min(gaps, default=EYE_GAP_M) >= EYE_GAP_M:
            eye, angle = np.round((x, y, rng.uniform(1.4, 1.7)), 4), rng.uniform(0, 2 * np.pi)
            ahead = np.array([np.cos(angle), np.sin(angle), 0.0])
            return Camera.look_at(eye, eye + ahead, FULL_TURN)
    return None
