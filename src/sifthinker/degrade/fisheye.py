"""The fisheye: photos, points, boxes and depth maps, bent alike."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..depth import DepthMap
from ..geometry import Box, Size
from .light import Bytes, Floats, Parameters, sampled, to_light, to_photo


def fisheye(image: Bytes, metres: Floats, rng: Generator, p: Parameters) -> Bytes:
    """Equidistant lens (radius ~ angle), as if the photo showed `fov_deg` from corner to corner. The middle grows, the
    long edges stay at their middles, nothing leaves the picture; what the photo does not show is black."""
    x, y, inside = _unbent((image.shape[1], image.shape[0]), p["fov_deg"])
    return to_photo(sampled(to_light(image), x - 0.5, y - 0.5) * inside[..., None])


def _bend(size: Size, fov_deg: float) -> tuple[float, float]:
    """Focal length (pixels) of the photo and of the fisheye; see `fisheye`."""
    focal, half = float(np.hypot(*size) / 2 / np.tan(np.radians(fov_deg) / 2)), min(size) / 2
    return focal, half / float(np.arctan(half / focal))


def _unbent(size: Size, fov_deg: float) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """For each pixel of the bent picture: where it comes from (pixel coordinates, edges at 0), and whether it does."""
    (width, height), (focal, bent) = size, _bend(size, fov_deg)
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    r = np.hypot(x, y).clip(1e-9)
    grow = focal * np.tan(np.minimum(r / bent, 1.55)) / r
    x, y = x * grow + width / 2, y * grow + height / 2
    return x, y, (r / bent < 1.55) & (x >= 0) & (x <= width) & (y >= 0) & (y <= height)


def bent_points(points: Floats, size: Size, fov_deg: float) -> Floats:
    """Where a fisheye of `fov_deg` draws points of the picture; pixel coordinates, shape (n, 2)."""
    focal, bent = _bend(size, fov_deg)
    off = points - np.array(size) / 2
    r = np.hypot(off[:, 0], off[:, 1])[:, None].clip(1e-9)
    return np.array(size) / 2 + off * np.arctan(r / focal) * bent / r


def bent_box(box: Box, size: Size, fov_deg: float) -> Box:
    """The box around a box after the bend."""
    steps = np.linspace(0, 1, 33)
    x, y = box.x0 + steps * box.width, box.y0 + steps * box.height
    ring = [(x, np.full(33, e)) for e in (box.y0, box.y1)] + [(np.full(33, e), y) for e in (box.x0, box.x1)]
    points = bent_points(np.concatenate([np.stack(side, axis=1) for side in ring]) * size, size, fov_deg) / size
    (x0, y0), (x1, y1) = points.min(axis=0).clip(0, 1), points.max(axis=0).clip(0, 1)
    return Box(x0, y0, x1, y1)


def bent_depth(depth: DepthMap, fov_deg: float) -> DepthMap:
    """The depth map after the bend, nearest pixels; corners without a picture are not valid."""
    x, y, inside = _unbent(depth.size, fov_deg)
    columns, rows = x.astype(int).clip(0, depth.size[0] - 1), y.astype(int).clip(0, depth.size[1] - 1)
    return DepthMap(depth.values[rows, columns], depth.valid[rows, columns] & inside, depth.metric)
