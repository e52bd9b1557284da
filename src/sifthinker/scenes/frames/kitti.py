"""KITTI: photos of the left color camera with 3D labels, in the official text formats or beside single depth files.

    object benchmark    image_2/ID.png  label_2/ID.txt  calib/ID.txt  and  velodyne/ID.bin or depth_2/ID.png
    single frames       rgb_ID.png  depth_ID.png  cameras.json  label_2/ID.txt

Labels are in rectified camera axes (x right, y down, z ahead), a box by the middle of its bottom and its height, width,
length; `rotation_y` turns its front from x toward -z. The world has x ahead, y left, z up, and the road at z = 0, which
KITTI's cameras watch from 1.65 m. Depth is lidar, 1/256 m in files, sparse. DontCare and Misc name nothing and are
left out; KITTI labels things in front of the camera only, up to about 100 m.

Source: A. Geiger et al., "Are we ready for autonomous driving?", CVPR 2012, and the devkit's readme.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..model import Camera, Floats
from .assemble import frame, photo_size, pinhole, read_json, rows, split_projection, vector
from .frame import DepthFile, Frame, PointsFile, Thing

CAMERA_HEIGHT_M = 1.65
NAMES = {
    "Car": "car",
    "Van": "van",
    "Truck": "truck",
    "Pedestrian": "pedestrian",
    "Person_sitting": "sitting person",
    "Cyclist": "cyclist",
    "Tram": "tram",
}
UNNAMED = ("Misc", "DontCare")
TO_WORLD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Rectified camera axes -> world axes."""


def read_kitti(path: Path) -> Iterator[Frame | str]:
    """A frame for each photo with labels. Raises `InputError` where the folder holds no photos in either layout."""
    photos = sorted((path / "image_2").glob("*.png")) or sorted(path.glob("rgb_*.png"))
    if not photos:
        raise InputError(f"{path}: no image_2/*.png and no rgb_*.png")
    for photo in photos:
        key = photo.stem.removeprefix("rgb_")
        try:
            size = photo_size(photo)
            projection, sensor = _official(path, key) if photo.parent.name == "image_2" else _single(path, key)
            things = _labels(path / "label_2" / f"{key}.txt")
            yield frame(f"kitti-{key}", photo, size, sensor, _camera(projection, size), things)
        except InputError as error:
            yield f"{key}: {error}"


def _camera(projection: Floats, size: tuple[int, int]) -> Camera:
    k, rotation, position = split_projection(projection)
    above = TO_WORLD @ position + (0.0, 0.0, CAMERA_HEIGHT_M)
    return pinhole(k, size, rotation @ TO_WORLD.T, above)


def _official(path: Path, key: str) -> tuple[Floats, DepthFile | PointsFile]:
    """Projection of the photo (P2), and its depth."""
    known = _calibration(path / "calib" / f"{key}.txt")
    sweep, depth = path / "velodyne" / f"{key}.bin", path / "depth_2" / f"{key}.png"
    if not sweep.is_file():
        if not depth.is_file():
            raise InputError(f"no velodyne/{key}.bin and no depth_2/{key}.png in {path}")
        return known["P2"], DepthFile(str(depth), "kitti")
    turn, move = np.eye(4), np.vstack([known["Tr_velo_to_cam"], [0, 0, 0, 1]])
    turn[:3, :3] = known["R0_rect"]
    return known["P2"], PointsFile(str(sweep), 4, rows(known["P2"] @ turn @ move))


def _calibration(path: Path) -> dict[str, Floats]:
    try:
        lines = [line.partition(":") for line in path.read_text().splitlines() if line.strip()]
        found = {name: np.array(numbers.split(), dtype=np.float64) for name, _, numbers in lines}
        return {name: found[name].reshape(3, -1) for name in ("P2", "R0_rect", "Tr_velo_to_cam")}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a calibration ({error})") from error
    except KeyError as error:
        raise InputError(f"{path}: has no line {error}") from error


def _single(path: Path, key: str) -> tuple[Floats, DepthFile]:
    cameras = read_json(path / "cameras.json")
    try:
        fx, fy, cx, cy = cameras["cam_in_fx_fy_cx_cy"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path / 'cameras.json'}: expected cam_in_fx_fy_cx_cy, four numbers") from error
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), DepthFile(str(path / f"depth_{key}.png"), "kitti")


def _labels(path: Path) -> list[tuple[Thing, tuple[float, ...]]]:
    """Things with their boxes in pixels."""
    if not path.is_file():
        raise InputError(f"no label_2/{path.name}: nothing says what is where")
    things = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        kind, *words = line.split()
        if kind in UNNAMED:
            continue
        try:
            values = [float(word) for word in words[:14]]
            box_px, (height, width, length), bottom, turned = values[3:7], values[7:10], values[10:13], values[13]
            name = NAMES[kind]
        except (KeyError, ValueError, IndexError) as error:
            raise InputError(f"{path}:{number}: not a label of 15 fields with a known type ({error!r})") from error
        center = TO_WORLD @ np.subtract(bottom, (0.0, height / 2, 0.0)) + (0.0, 0.0, CAMERA_HEIGHT_M)
        yaw_deg = float(np.degrees(np.arctan2(-np.cos(turned), -np.sin(turned))))
        things.append((Thing(name, vector((length, width, height)), vector(center), yaw_deg, True), tuple(box_px)))
    return things
