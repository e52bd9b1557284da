"""What a moving camera does."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from .light import Bytes, Floats, Parameters, sampled, to_light, to_photo

FOV_DEG = 60.0
"""Horizontal field of view for camera motion: photos do not say theirs."""


def motion_blur(image: Bytes, metres: Floats, rng: Generator, p: Parameters) -> Bytes:
    """The mean of what the camera sees on its way: it moves by `move_m` and turns by `turn_rad` about random axes, the
    photo in the middle. Each pose is the photo warped by its depth."""
    way, axis = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    # Moving ahead hardly blurs; turning about the line of sight neither.
    way, axis = (v * (1.0, 1.0, 0.3) / np.linalg.norm(v * (1.0, 1.0, 0.3)) for v in (way, axis))
    move, turn = way * p["move_m"], axis * p["turn_rad"]
    height, width = metres.shape
    focal = width / 2 / np.tan(np.radians(FOV_DEG) / 2)
    shift = focal * (p["turn_rad"] + p["move_m"] / float(np.quantile(metres, 0.05)))
    steps = int(np.clip(np.ceil(shift / 2), 6, 32))
    light, total = to_light(image), np.zeros((height, width, 3), dtype=np.float32)
    for t in (np.arange(steps) + 0.5) / steps - 0.5:
        total += sampled(light, *_from_pose(metres, focal, t * move, t * turn))
    return to_photo(total / steps)


def _from_pose(metres: Floats, focal: float, move: Floats, turn: Floats) -> tuple[Floats, Floats]:
    """Where in the photo each pixel of a camera that moved (metres) and turned (small rotation vector) comes from.

    Found by iteration, since the depth there is what the photo tells. Pixel coordinates, centers at 0, 1, ...
    """
    height, width = metres.shape
    column, row = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    u, v = (column - (width - 1) / 2) / focal, (row - (height - 1) / 2) / focal
    x, y = column, row
    for _ in range(2):
        z = metres[np.rint(y).astype(int).clip(0, height - 1), np.rint(x).astype(int).clip(0, width - 1)]
        # A point of the moved camera's ray at about this depth, in the photo's camera axes.
        px = u + turn[1] - turn[2] * v
        py = v - turn[0] + turn[2] * u
        pz = 1.0 + turn[0] * v - turn[1] * u
        ahead = (pz * z + move[2]).clip(0.05)
        x = (px * z + move[0]) / ahead * focal + (width - 1) / 2
        y = (py * z + move[1]) / ahead * focal + (height - 1) / 2
    return x, y
