"""Depth maps of the points of a sensor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import Size
from .map import DepthMap


def project_points(points: NDArray[Any], matrix: NDArray[Any], size: Size) -> DepthMap:
    """A sparse metric depth map: the nearest of the points that fall on each pixel.

    points: shape (n, 3). matrix: shape (3, 3) or (3, 4), maps a point to (u * d, v * d, d), with d metres from the
    camera along its forward axis.
    """
    linear, offset = matrix[:, :3], matrix[:, 3:].sum(axis=1, keepdims=True)
    u, v, d = linear @ points.T.astype(np.float64) + offset
    front = d > 1e-6
    d = d[front]
    columns, rows = np.floor(u[front] / d).astype(int), np.floor(v[front] / d).astype(int)
    width, height = size
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    values = np.full((height, width), np.inf)
    np.minimum.at(values, (rows[inside], columns[inside]), d[inside])
    return DepthMap(values, np.isfinite(values), metric=True)
