"""Two posts whose feet are out of frame, and a second world that looks the same: worlds of kind `Doubt`.

A near short post and a far tall one end at the same height in the picture. The second world has the far one scaled
about the eye until it is the nearer: nothing is seen of that. The lamp is so far away that shading tells nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..geometry import Size
from .doubt import Doubt
from .layout import (
    COLORS,
    STAGES,
)
from .model import Camera, Light, Room, Scene, SceneObject, turn

FAR_M = 1000.0
"""Distance of the lamp."""


def ambiguous(rng: Generator, shows: str, size: Size) -> Doubt | str:
    """Two posts that end at the same height in the picture, one near, one far, their feet out of frame."""
    heading, eye_height = rng.uniform(0, 2 * math.pi), rng.uniform(0.3, 0.7)
    forward = np.array([math.cos(heading), math.sin(heading), 0.0])
    right = np.array([forward[1], -forward[0], 0.0])
    across = math.radians(rng.uniform(28, 34))
    lens = _lens(across, size)
    # The lower edge of the picture is just above the horizon, so no floor and no foot is seen.
    pitch = across / 2 + math.radians(rng.uniform(0.5, 2.0))
    eye = np.array([0.0, 0.0, round(eye_height, 4)])
    camera = Camera.look_at(eye, eye + forward * math.cos(pitch) + (0, 0, math.sin(pitch)), lens)
    near = rng.uniform(2.6, 4.0)
    far, top, first = near * rng.uniform(1.6, 2.0), math.tan(math.radians(rng.uniform(12, 20))), rng.choice([-1, 1])
    colors = [str(c) for c in rng.choice(list(COLORS), 2, replace=False)]
    posts = []
    for color, distance, side in zip(colors, (near, far), (first, -first), strict=True):
        column = side * math.tan(math.radians(lens) / 2) * rng.uniform(0.4, 0.65)
        place = distance * forward + distance * column * right
        wide = round(distance * math.tan(across / 2) * rng.uniform(0.4, 0.55), 4)
        posts.append(_post(color, place, wide, eye_height + distance * top))
    # The far one, scaled about the camera until it is nearer than the near one.
    scale = (near / far) ** 2 * rng.uniform(0.9, 1.1)
    lying = eye + scale * (np.array(posts[1].position) - eye)
    twin = _post(colors[1], lying, scale * posts[1].size[0], eye[2] + scale * (posts[1].size[2] - eye[2]))
    stage = STAGES["solids"]
    floor, wall = (paints[rng.integers(len(paints))] for paints in (stage.floors, stage.walls))
    room = Room((0.0, 0.0), (40.0, 40.0, 16.0), 0.0, floor, wall)
    lamp = FAR_M * (-forward * 0.5 + right * rng.uniform(-0.3, 0.3) + (0, 0, 0.85))
    light = Light((float(lamp[0]), float(lamp[1]), float(lamp[2])), 1.4e4, 0.4, 12.0)
    order = rng.permutation(2)
    objects = tuple(posts[i] for i in order)
    others = tuple((posts[0], twin)[i] for i in order)
    behind = eye * (1, 1, 0) - forward * rng.uniform(1.0, 2.5) + (0, 0, rng.uniform(2.6, 3.6))
    middle = (np.array(posts[0].position) + posts[1].position) / 2
    over = Camera.look_at(behind, middle * (1, 1, 0) + (0, 0, 0.7), max(_lens(math.radians(58), size), 58.0))
    cameras = (camera, *_side_views(rng, camera, objects, size)) if shows == "views" else (camera,)
    challenged = Scene(objects, room, light, cameras)
    clean, other = replace(challenged, cameras=(over,)), replace(challenged, objects=others)
    return Doubt("ambiguous", clean, challenged, other, shows, size)


def _lens(across: float, size: Size) -> float:
    """Horizontal field of view in degrees of a picture whose vertical one is `across` (radians)."""
    return math.degrees(2 * math.atan(math.tan(across / 2) * size[0] / size[1]))


def _post(color: str, place: NDArray[np.float64], wide: float, tall: float) -> SceneObject:
    """A cylinder on the floor."""
    return SceneObject(
        "cylinder",
        color,
        COLORS[color],
        (float(wide), float(wide), float(tall)),
        (float(place[0]), float(place[1]), float(tall) / 2),
    )


def _side_views(rng: Generator, camera: Camera, posts: Sequence[SceneObject], size: Size) -> tuple[Camera, ...]:
    """Three more cameras: one as far from both posts, with their feet in frame; two that stay where the first is."""
    one, two = (np.array([*p.position[:2], 1.2]) for p in posts)
    gap = two - one
    aside = rng.choice([-1, 1]) * np.array([-gap[1], gap[0], 0.0]) / np.hypot(gap[0], gap[1])
    lens = max(_lens(math.radians(52), size), 52.0)
    half = math.tan(math.radians(lens) / 2)
    need = max((np.hypot(gap[0], gap[1]) / 2 + 0.8) / half, max(o.size[2] for o in posts) / half * size[0] / size[1])
    settles = Camera.look_at((one + two) / 2 + 1.1 * need * aside, (one + two) / 2, lens)
    forward, position = np.array(camera.rotation[2]), np.array(camera.position)
    pan = rng.choice([-1, 1]) * rng.uniform(2.0, 4.0)
    stays = [
        Camera.look_at(position, position + turn(float(angle)) @ forward, camera.fov_deg * float(lens))
        for angle, lens in ((0.0, rng.uniform(0.72, 0.85)), (pan, rng.uniform(0.9, 0.97)))
    ]
    return settles, *stays
