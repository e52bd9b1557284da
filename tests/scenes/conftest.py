"""A stream of generated samples, made once, and scenes built by hand."""

from __future__ import annotations

import os

import pytest

from sifthinker.scenes.generate import generate
from sifthinker.scenes.model import Camera, Light, Room, Scene, SceneObject

COUNT = int(os.environ.get("SIFTHINKER_SCENES", "270"))
"""Samples in the stream; set the variable to some thousands for the long run."""

HALL = Room((0.0, 0.0), (40.0, 40.0, 20.0), 0.0, (0.7, 0.7, 0.7), (0.8, 0.8, 0.8))


@pytest.fixture(scope="session")
def stream():
    """`COUNT` pairs of sample and gold trace over all tasks."""
    return list(generate(COUNT, seed=11))


def thing(shape="cube", color="red", at=(0.0, 0.0), size=(1.0, 1.0, 1.0), yaw=0.0, z=None):
    """An object on the floor, or with its center at height z."""
    rgb = {"red": (0.8, 0.1, 0.1), "green": (0.1, 0.6, 0.1), "blue": (0.1, 0.2, 0.8)}[color]
    return SceneObject(shape, color, rgb, size, (*at, size[2] / 2 if z is None else z), yaw)


def scene(*objects, eye=(0.0, -6.0, 1.5), target=(0.0, 0.0, 0.5), fov=50.0, lamp=(3.0, -3.0, 8.0), room=HALL):
    """A scene in a large hall, seen along +y unless told otherwise."""
    return Scene(tuple(objects), room, Light(lamp), (Camera.look_at(eye, target, fov),))
