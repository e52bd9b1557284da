"""Where the cameras of several views stand: the table `PATTERNS`.

    pair    two or more cameras at different bearings and heights that see at least one object together
    orbit   object-centric: cameras around the middle at equal angles, counter-clockwise seen from above
    pan     view-centric: one position, headings at equal angles, counter-clockwise: ahead, left, behind, right for four
    walk    a smooth path, straight or turning: a short video

Objects are placed afterwards, where these cameras see them (`layout.place`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from .layout import tidy
from .model import FULL_TURN, Camera
from .stages import Stage

BEARING_DEG = (25.0, 110.0)
"""Pair: difference of the bearings of two neighboring cameras, seen from the middle."""
HEIGHT_STEP = 0.12
"""Pair: least difference of two cameras' heights, as a share of their mean distance from the middle."""
AROUND = 1.6
"""Around a camera in the middle, objects may be as many times the stage's reach away."""
WALK_TURN_DEG = (20.0, 45.0)
"""Walk: how far the camera turns, in those that turn."""
WALK_SHARE = (0.25, 0.45)
"""Walk: how far the camera goes, in shares of the stage's reach, in those that go."""

WALKS: dict[str, tuple[float, float, float]] = {
    "forward": (1.0, 0.0, 0.0),
    "backward": (-1.0, 0.0, 0.0),
    "left": (0.0, 1.0, 0.0),
    "right": (0.0, -1.0, 0.0),
    "turn left": (0.0, 0.0, 1.0),
    "turn right": (0.0, 0.0, -1.0),
    "forward turning left": (1.0, 0.0, 1.0),
    "forward turning right": (1.0, 0.0, -1.0),
}
"""Kinds of walks: shares of the way ahead, to the left, and of the turn counter-clockwise."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One way to put cameras.

    cameras(rng, stage, count, aim): the cameras in order. shared: whether one object must be seen by all of them.
    wide: how many times the stage's reach objects may be away from the middle.
    """

    about: str
    cameras: Callable[[Generator, Stage, int, str], list[Camera]]
    shared: bool = False
    wide: float = 1.0


def _toward(bearing_deg: float, distance: float, height: float, stage: Stage, fov: float) -> Camera:
    """A camera at a distance from the middle (along the floor), at a bearing, that looks at the middle."""
    bearing = np.radians(bearing_deg)
    position = (distance * np.cos(bearing), distance * np.sin(bearing), height)
    return tidy(Camera.look_at(np.round(position, 4), (0.0, 0.0, stage.look), round(fov, 2)))


def _lens(rng: Generator, stage: Stage) -> tuple[float, float]:
    """A field of view, and the distance at which it covers the stage."""
    fov = rng.uniform(45, 65)
    return fov, float(np.clip(rng.uniform(*stage.spread) / np.tan(np.radians(fov) / 2), *stage.distance))


def _pair(rng: Generator, stage: Stage, count: int, aim: str) -> list[Camera]:
    bearing, (fov, distance) = rng.uniform(0, 360), _lens(rng, stage)
    side, cameras = rng.choice([-1, 1]), []
    low, high = np.tan(np.radians(stage.pitch))
    steps = rng.permutation(count) + rng.uniform(0, 0.4, count)
    for step in steps:
        # Heights are spread over the stage's range, so that no two cameras are at the same one.
        height = distance * max(low + (high - low) * step / count, HEIGHT_STEP * (0.5 + step))
        cameras.append(_toward(bearing, distance * rng.uniform(0.85, 1.1), height, stage, fov))
        bearing += side * rng.uniform(*BEARING_DEG)
    return cameras


def _orbit(rng: Generator, stage: Stage, count: int, aim: str) -> list[Camera]:
    bearing, (fov, distance) = rng.uniform(0, 360), _lens(rng, stage)
    height = distance * float(np.tan(np.radians(rng.uniform(*stage.pitch))))
    return [_toward(bearing + number * FULL_TURN / count, distance, height, stage, fov) for number in range(count)]


def _pan(rng: Generator, stage: Stage, count: int, aim: str) -> list[Camera]:
    heading, fov = rng.uniform(0, 360), rng.uniform(75, 90)
    position = _standing(rng, stage)
    drop = (position[2] - stage.look) / (0.6 * stage.reach)
    return [_looking(position, heading + number * FULL_TURN / count, drop, fov) for number in range(count)]


def _standing(rng: Generator, stage: Stage) -> np.ndarray:
    """A place near the middle, at the height of an eye."""
    return np.round([*(0.1 * stage.reach * rng.uniform(-1, 1, 2)), rng.uniform(*stage.eye)], 4)


def _looking(position: np.ndarray, heading_deg: float, drop: float, fov: float) -> Camera:
    """A camera with a heading, counter-clockwise from +x, that looks down by `drop` metres each metre ahead."""
    ahead = np.array([np.cos(np.radians(heading_deg)), np.sin(np.radians(heading_deg)), -drop])
    return tidy(Camera.look_at(position, position + ahead, round(fov, 2)))


def around(rng: Generator, stage: Stage) -> list[Camera]:
    """One panoramic camera, level, near the middle, with any heading."""
    return [replace(_looking(_standing(rng, stage), rng.uniform(0, 360), 0.0, 90.0), fov_deg=FULL_TURN)]


def _walk(rng: Generator, stage: Stage, count: int, aim: str) -> list[Camera]:
    kind = aim if aim in WALKS else str(rng.choice(list(WALKS)))
    ahead, left, turning = WALKS[kind]
    (fov, distance), heading = _lens(rng, stage), rng.uniform(0, 360)
    length, angle = stage.reach * rng.uniform(*WALK_SHARE), turning * rng.uniform(*WALK_TURN_DEG)
    height = float(np.clip(rng.uniform(*stage.eye), None, 0.6 * distance))
    drop = (height - stage.look) / distance
    middle = -distance * np.array([np.cos(np.radians(heading)), np.sin(np.radians(heading))])
    cameras, place = [], np.zeros(2)
    shares = np.linspace(-0.5, 0.5, count) if count > 1 else np.zeros(1)
    headings = heading + angle * shares
    places = []
    for direction in headings:
        places.append(place.copy())
        forward = np.array([np.cos(np.radians(direction)), np.sin(np.radians(direction))])
        place += length / max(count - 1, 1) * (ahead * forward + left * np.array([-forward[1], forward[0]]))
    # The path is centered where the middle of the scene is well in frame.
    shift = middle - np.mean(places, axis=0)
    for spot, direction in zip(places, headings, strict=True):
        cameras.append(_looking(np.round([*(spot + shift), height], 4), direction, drop, fov))
    return cameras


PATTERNS: dict[str, Pattern] = {
    "pair": Pattern("cameras at different bearings and heights that share an object", _pair, shared=True),
    "orbit": Pattern("cameras around the middle at equal angles", _orbit),
    "pan": Pattern("one position, headings at equal angles", _pan, wide=AROUND),
    "walk": Pattern("a smooth path", _walk, wide=1.2),
}
"""Ways to put cameras; `views.several_views` takes the key."""
