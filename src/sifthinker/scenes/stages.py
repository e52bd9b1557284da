"""Where scenes take place (`STAGES`: the floor of a room, a larger room, a road), and how hard they are."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Vector

OVERLAP = 0.35
"""Boxes of two objects may share at most this part of the smaller one."""
MIN_VISIBLE = 0.6
"""Least visible fraction of every object."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What scenes of a pool have in common. Lengths in metres.

    reach: farthest that an object reaches from the origin; walls are farther away. gap: least clearance between the
    footprints of two objects. camera_gap: least distance from a camera to an object.
    distance, spread: range of the camera's distance, and what it covers there. pitch: how steeply it looks down,
    degrees. fov: width of its view, degrees. eye: heights of a camera that stands upright. look: height that it looks
    at. min_side: least width and height of an object in the picture, as shares of it.
    back, side, front: from the origin to the walls. high: least height of the room. margin: from everything to the
    walls of a room with several cameras.
    lamp: range of the light's distance from the middle, and of its height; radius: its own.
    """

    reach: float = 2.75
    gap: float = 0.08
    camera_gap: float = 1.0
    distance: tuple[float, float] = (2.4, 4.8)
    spread: tuple[float, float] = (1.5, 2.2)
    pitch: tuple[float, float] = (18, 42)
    fov: tuple[float, float] = (40, 65)
    eye: tuple[float, float] = (1.1, 1.9)
    look: float = 0.25
    min_side: tuple[float, float] = (0.12, 0.12)
    back: tuple[float, float] = (2.9, 3.6)
    side: tuple[float, float] = (3.2, 4.2)
    front: float = 1.5
    high: float = 3.2
    margin: tuple[float, float] = (0.5, 1.2)
    lamp: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 2.0), (2.5, 3.0))
    radius: float = 0.12
    floors: tuple[Vector, ...] = ((0.78, 0.76, 0.72), (0.72, 0.66, 0.58), (0.66, 0.69, 0.72), (0.80, 0.77, 0.80))
    walls: tuple[Vector, ...] = ((0.86, 0.85, 0.82), (0.80, 0.84, 0.86), (0.87, 0.82, 0.78), (0.82, 0.86, 0.80))
    textures: tuple[str, ...] = ("checker", "plain", "planks")


STAGES: dict[str, Stage] = {
    "solids": Stage(),
    "furniture": Stage(
        reach=3.3,
        distance=(3.4, 6.5),
        spread=(2.1, 2.8),
        pitch=(16, 36),
        look=0.5,
        min_side=(0.07, 0.08),
        back=(3.5, 4.2),
        side=(3.6, 4.6),
        lamp=((1.0, 2.4), (2.7, 3.1)),
    ),
    "vehicles": Stage(
        reach=9.5,
        gap=0.4,
        camera_gap=3.0,
        distance=(9.0, 18.0),
        spread=(6.5, 8.5),
        pitch=(8, 28),
        eye=(1.4, 2.6),
        look=0.8,
        min_side=(0.035, 0.07),
        back=(28.0, 40.0),
        side=(28.0, 40.0),
        front=20.0,
        high=60.0,
        margin=(20.0, 30.0),
        lamp=((8.0, 24.0), (30.0, 36.0)),
        radius=0.5,
        floors=((0.36, 0.36, 0.37), (0.40, 0.39, 0.38), (0.33, 0.34, 0.36)),
        walls=((0.62, 0.76, 0.92), (0.70, 0.80, 0.92), (0.74, 0.80, 0.86)),
        textures=("road",),
    ),
}
"""One stage for each of `shapes.POOLS`: the floor of a room, a larger room, a road under the sky."""


@dataclass(frozen=True, slots=True)
class Difficulty:
    """How small and how hidden objects may be.

    side: factor on the least width and height in the picture. overlap: part of the smaller box that two boxes may
    share. visible: least visible fraction.
    """

    side: float
    overlap: float
    visible: float


DIFFICULTIES: dict[str, Difficulty] = {
    "easy": Difficulty(1.3, 0.05, 0.95),
    "normal": Difficulty(1.0, OVERLAP, MIN_VISIBLE),
    "hard": Difficulty(0.6, 0.8, 0.3),
}
