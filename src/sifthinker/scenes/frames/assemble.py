"""What the readers of frames share: cameras from matrices, and labelled boxes checked against photo and sensor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from ...errors import InputError
from ...geometry import Box, Size, to_box
from ...geometry import Frame as BoxFrame
from ..model import Camera, Floats, Matrix, Vector
from .frame import DepthFile, Frame, Place, PointsFile, Thing

MIN_IOU = 0.5
"""Least IoU of the box given in the picture and the projected 3D box; below, one of them is wrong."""
MIN_SIDE = 0.01
"""Least width and height of a thing's box, as a share of the picture."""

ORIENTATION = 0x0112
"""EXIF tag; intrinsics of a photo that is to be turned would mean nothing."""


def read_json(path: Path) -> Any:
    """Raises `InputError` for a missing file and for one that is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from error


def read_numbers(path: Path, shape: tuple[int, ...]) -> Floats:
    """Numbers of a text file, separated by white space. Raises `InputError` for another number of them."""
    try:
        values = np.array(path.read_text().split(), dtype=np.float64)
        return values.reshape(shape)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except ValueError as error:
        raise InputError(f"{path}: expected {shape[0]}x{shape[1]} numbers ({error})") from error


def photo_size(path: Path) -> Size:
    """(width, height). Raises `InputError` for missing and damaged photos, and for those that EXIF turns."""
    try:
        with Image.open(path) as image:
            if image.getexif().get(ORIENTATION, 1) != 1:
                raise InputError(f"{path}: is turned by EXIF, so its intrinsics do not hold; store it upright")
            return image.size
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such photo") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as a photo ({error})") from error


def only_file(folder: Path, name: str, suffix: str) -> Path:
    """`folder/name`, or the one file with this suffix there. Raises `InputError` where neither is."""
    if (folder / name).is_file():
        return folder / name
    found = sorted(folder.glob(f"*{suffix}"))
    if len(found) != 1:
        raise InputError(f"{folder}: no {name}, and {len(found)} other files *{suffix}")
    return found[0]


def frame(
    name: str,
    photo: Path,
    size: Size,
    sensor: DepthFile | PointsFile,
    camera: Camera,
    things: Sequence[tuple[Thing, Sequence[float] | None]],
) -> Frame | str:
    """A frame of the things that reach into the picture, or why there is none.

    things: each with its box in pixel xyxy as the source gives it, or None. A thing whose given box and projected 3D
    box disagree (`MIN_IOU`), whose center is not in the picture, or that is tiny, gets no box; it still counts as one
    that its class may mean.
    """
    kept: list[Thing] = []
    boxes: list[Box | None] = []
    for thing, box_px in things:
        projected = project_box(thing, camera, size)
        if projected is None and not _around(thing, camera, size):
            continue
        kept.append(thing)
        boxes.append(_trusted(thing, camera, size, projected, box_px))
    if not kept:
        return f"{name}: no labelled thing is in the picture"
    found = Frame(name, str(photo), size, sensor, Place(tuple(kept), (camera,)), tuple(boxes))
    try:
        seen = any(found.visible)
    except InputError as error:
        return f"{name}: {error}"
    return found if seen else f"{name}: sensor and photo confirm none of the {len(kept)} labelled things"


def project_box(thing: Thing, camera: Camera, size: Size) -> Box | None:
    """The box around the projected corners, cut off at the picture's edges; None where nothing of it is inside, or
    where a part of the thing is behind the camera."""
    corners = camera.project(thing.corners(), size)
    if np.isnan(corners).any():
        return None
    (x0, y0), (x1, y1) = (corners / size).min(axis=0).clip(0, 1), (corners / size).max(axis=0).clip(0, 1)
    return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _around(thing: Thing, camera: Camera, size: Size) -> bool:
    """Whether a thing with corners on both sides of the camera's plane may reach into the picture."""
    ahead = camera.to_camera(thing.corners())[:, 2] > 0
    return bool(ahead.any() and not ahead.all())


def _trusted(
    thing: Thing, camera: Camera, size: Size, projected: Box | None, box_px: Sequence[float] | None
) -> Box | None:
    middle = camera.project([thing.position], size)[0] / size
    if projected is None or not ((middle >= 0) & (middle <= 1)).all():
        return None
    box = projected
    if box_px is not None:
        try:
            box = to_box(box_px, BoxFrame.PIXEL_XYXY, size, slack_px=max(size))
        except InputError:
            return None
    large = min(box.width, box.height) >= MIN_SIDE
    return box if large and box.iou(projected) >= MIN_IOU else None


def split_projection(matrix: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """A projection matrix, shape (3, 3) or (3, 4), as intrinsics K (K[2, 2] = 1), rotation and camera position, such
    that matrix ~ K @ rotation @ [1 | -position]."""
    projection = np.asarray(matrix, dtype=np.float64)
    # RQ by QR of the matrix with its rows turned around.
    flip = np.eye(3)[::-1]
    q, r = np.linalg.qr((flip @ projection[:, :3]).T)
    signs = np.diag(np.where(np.diag(r) < 0, -1.0, 1.0))
    k, rotation = flip @ (r.T @ signs) @ flip, flip @ signs @ q.T
    position = np.zeros(3)
    if projection.shape[1] == 4:
        position -= np.linalg.solve(projection[:, :3], projection[:, 3])
    return k / k[2, 2], rotation, position


def pinhole(k: ArrayLike, size: Size, rotation: ArrayLike, position: ArrayLike) -> Camera:
    """The camera of intrinsics K, in pixels of a picture of `size`; rows of `rotation` are its axes in the world."""
    intrinsics = np.asarray(k, dtype=np.float64)
    fx, fy = float(intrinsics[0, 0]), float(intrinsics[1, 1])
    center = (float(intrinsics[0, 2]) / size[0], float(intrinsics[1, 2]) / size[1])
    fov_deg = float(np.degrees(2 * np.arctan(size[0] / 2 / fx)))
    return Camera(vector(position), matrix(rotation), fov_deg, center, fy / fx)


def vector(values: ArrayLike) -> Vector:
    """Three plain numbers."""
    x, y, z = np.asarray(values, dtype=np.float64).tolist()
    return x, y, z


def matrix(values: ArrayLike) -> Matrix:
    """Three rows of plain numbers."""
    a, b, c = np.asarray(values, dtype=np.float64)
    return vector(a), vector(b), vector(c)


def rows(values: ArrayLike) -> tuple[tuple[float, ...], ...]:
    """A matrix of plain numbers."""
    return tuple(tuple(row) for row in np.asarray(values, dtype=np.float64).tolist())


def lowered(found: Camera, things: Sequence[Thing], floor: float) -> tuple[Camera, list[Thing]]:
    """Camera and things in a world whose floor, so far at height `floor`, is at z = 0."""
    down = np.array([0.0, 0.0, floor])
    moved = [replace(thing, position=vector(np.asarray(thing.position) - down)) for thing in things]
    return replace(found, position=vector(np.asarray(found.position) - down)), moved
