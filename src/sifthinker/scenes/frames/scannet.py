"""ScanNet's layout: an RGB-D video with a pose for each frame, and boxes of the scene's objects.

    color/N.jpg  depth/N.png (mm, registered to color)  pose/N.txt (4x4, camera to world)
    intrinsic/intrinsic_color.txt (4x4, or 3x3)
    boxes.json   {"objects": [{"label", "center": [x, y, z], "size": [x, y, z], "yaw_deg": 0, "has_front": false}, ...]}
    *.txt with a line "axisAlignment = 16 numbers", if there is one: the world of the boxes is that of the aligned scan

Source: the exporter of ScanNet's SensReader and its scene files. ScanNet itself labels instances by mesh vertices;
`boxes.json` is ours and holds their boxes, axis-aligned (as VoteNet's preparation writes them) or oriented. Classes are
the labels, in words. Depth has another size than color; the nearest pixel is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..model import Floats
from .assemble import frame, photo_size, pinhole, read_json, read_numbers, vector
from .frame import DepthFile, Frame, Thing


def read_scannet(path: Path) -> Iterator[Frame | str]:
    """A frame for each photo of the video, by number. Raises `InputError` where photos, boxes or intrinsics are
    missing."""
    photos = sorted((p for p in (path / "color").glob("*") if p.stem.isdigit()), key=lambda p: int(p.stem))
    if not photos:
        raise InputError(f"{path}: no photos color/N.jpg or color/N.png")
    things = [(thing, None) for thing in _things(path / "boxes.json")]
    k, align = _intrinsics(path / "intrinsic" / "intrinsic_color.txt"), _alignment(path)
    for photo in photos:
        try:
            scanned = read_numbers(path / "pose" / f"{photo.stem}.txt", (4, 4))
            if not np.isfinite(scanned).all():
                raise InputError(f"pose/{photo.stem}.txt: the pose was lost here")
            pose = align @ scanned
            size = photo_size(photo)
            camera = pinhole(k, size, pose[:3, :3].T, pose[:3, 3])
            sensor = DepthFile(str(path / "depth" / f"{photo.stem}.png"), "mm")
            yield frame(f"scannet-{path.name}-{photo.stem}", photo, size, sensor, camera, things)
        except InputError as error:
            yield f"{photo.stem}: {error}"


def _things(path: Path) -> list[Thing]:
    data: Any = read_json(path)
    try:
        return [
            Thing(
                str(entry["label"]).replace("_", " "),
                vector(entry["size"]),
                vector(entry["center"]),
                float(entry.get("yaw_deg", 0.0)),
                bool(entry.get("has_front", False)),
            )
            for entry in data["objects"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'{path}: expected {{"objects": [{{"label", "center", "size"}}]}} ({error!r})') from error


def _intrinsics(path: Path) -> Floats:
    try:
        return read_numbers(path, (4, 4))[:3, :3]
    except InputError:
        return read_numbers(path, (3, 3))


def _alignment(path: Path) -> Floats:
    for file in sorted(path.glob("*.txt")):
        if found := re.search(r"^axisAlignment\s*=\s*(.+)$", file.read_text(), re.MULTILINE):
            try:
                return np.array(found[1].split(), dtype=np.float64).reshape(4, 4)
            except ValueError as error:
                raise InputError(f"{file}: axisAlignment needs 16 numbers ({error})") from error
    return np.eye(4)
