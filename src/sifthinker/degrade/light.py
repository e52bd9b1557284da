"""Photos as linear light, sampled between pixels, and distances in metres for every pixel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..depth import DepthMap
from ..geometry import Size

Floats = NDArray[np.float64]
Light = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Parameters = Mapping[str, float]

GAMMA = 2.2
"""Light is added up in linear values: sRGB ** GAMMA."""
FLAT_M = 3.0
"""Distance of everything in photos without depth, metres."""
RELATIVE_M = (1.0, 6.0)
"""Nearest and farthest, metres, where depth is relative only."""


def in_metres(depth: DepthMap | None, size: Size) -> Floats:
    """Distance of every pixel in metres, shape (height, width); gaps take the value of the nearest valid pixel."""
    if depth is None or not depth.valid.any():
        return np.full((size[1], size[0]), FLAT_M)
    depth = depth.resized(size)
    values = depth.values.astype(np.float64)
    if not depth.valid.all():
        from scipy.ndimage import distance_transform_edt

        rows, columns = np.asarray(distance_transform_edt(~depth.valid, return_distances=False, return_indices=True))
        values = values[rows, columns]
    near, far = RELATIVE_M
    return values.clip(0.05) if depth.metric else near + (far - near) * values


def to_light(image: Bytes) -> Light:
    """Linear light in [0, 1]."""
    return np.asarray((image / np.float32(255)) ** np.float32(GAMMA), dtype=np.float32)


def to_photo(light: Light | Floats) -> Bytes:
    """8-bit sRGB; what is brighter than white is white."""
    return np.rint(light.clip(0, 1) ** (1 / GAMMA) * 255).astype(np.uint8)


def sampled(light: Light, x: Floats, y: Floats) -> Light:
    """Values at pixel coordinates (centers at 0, 1, ...), linear between pixels; the border goes on outside."""
    height, width = light.shape[:2]
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    x0, y0 = np.minimum(x.astype(np.int64), width - 2), np.minimum(y.astype(np.int64), height - 2)
    first, flat = y0 * width + x0, light.reshape(-1, light.shape[2])
    dx, dy = (x - x0).astype(np.float32)[..., None], (y - y0).astype(np.float32)[..., None]
    top, low = (flat[row] + (flat[row + 1] - flat[row]) * dx for row in (first, first + width))
    return np.asarray(top + (low - top) * dy, dtype=np.float32)
