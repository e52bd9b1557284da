"""Point clouds: what a camera sees, as colored points in the world.

`point_cloud` is made of rendered views; `unproject` makes points from any metric depth map and its camera, so that real
RGB-D frames give clouds too. `write_ply` is for looking at them; reading PLY is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..depth import DepthMap
from .model import Camera, Floats
from .render import View


@dataclass(frozen=True, eq=False)
class PointCloud:
    """n points. points: world, metres, shape (n, 3). colors: sRGB, shape (n, 3). instances: index of the object that a
    point belongs to, -1 for the room, shape (n,)."""

    points: Floats
    colors: NDArray[np.uint8]
    instances: NDArray[np.int64]

    def of(self, index: int) -> PointCloud:
        """The points of one object."""
        mine = self.instances == index
        return PointCloud(self.points[mine], self.colors[mine], self.instances[mine])


def point_cloud(*views: View) -> PointCloud:
    """The cloud of all pixels with valid depth, of one or several views of a scene; view by view, row by row."""
    parts = []
    for view in views:
        keep = view.depth.valid.ravel()
        points = unproject(view.depth, view.camera).reshape(-1, 3)[keep]
        parts.append((points, view.image.reshape(-1, 3)[keep], view.instances.ravel()[keep].astype(np.int64)))
    points, colors, instances = (np.concatenate(column) for column in zip(*parts, strict=True))
    return PointCloud(points, colors, instances)


def unproject(depth: DepthMap, camera: Camera) -> Floats:
    """The world point behind each pixel's center, shape (height, width, 3); nan where depth is not valid.

    depth: metric, counted as the camera counts it (`Camera.rays`). Raises `ValueError` for relative depth.
    """
    if not depth.metric:
        raise ValueError("unproject: depth is relative, points need metres")
    width, height = depth.size
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = camera.rays(np.stack([columns.ravel(), rows.ravel()], axis=1), depth.size)
    along = np.where(depth.valid, depth.values, np.nan).reshape(-1, 1)
    return (along * rays @ np.asarray(camera.rotation) + camera.position).reshape(height, width, 3)


def write_ply(cloud: PointCloud, path: str | Path) -> None:
    """Write a cloud as a binary PLY file with the properties x, y, z, red, green, blue, instance."""
    fields = [*((axis, "<f4") for axis in "xyz"), *((c, "u1") for c in ("red", "green", "blue")), ("instance", "<i4")]
    table = np.empty(len(cloud.points), dtype=fields)
    for column, axis in enumerate("xyz"):
        table[axis] = cloud.points[:, column]
    for column, channel in enumerate(("red", "green", "blue")):
        table[channel] = cloud.colors[:, column]
    table["instance"] = cloud.instances
    types = {"<f4": "float", "u1": "uchar", "<i4": "int"}
    properties = "".join(f"property {types[kind]} {name}\n" for name, kind in fields)
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(table)}\n{properties}end_header\n"
    Path(path).write_bytes(head.encode("ascii") + table.tobytes())
