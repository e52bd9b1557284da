"""SUN RGB-D as mmdetection3d stores it: `infos.json` beside the photos and point clouds.

Points and boxes: x right, y ahead, z up, origin at the camera, turned so that z is against gravity. `depth2img` is
K @ rotation. Boxes: center, full extents, yaw counter-clockwise from above (checked by the points inside and by the
2D boxes, `tests/scenes/test_frames.py`). The floor is where VoteNet puts it: the 0.99th percentile of the points'
heights. Fronts are left out: the yaw of a table or a night stand says nothing about its front.

SUN RGB-D's own folders (`depth_bfx`, `annotation3Dfinal`) are left out; for their depth see `datagen.sources.rgbd`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from .assemble import frame, lowered, only_file, photo_size, pinhole, read_json, rows, split_projection, vector
from .frame import Frame, PointsFile, Thing

CLASSES = ("bed", "table", "sofa", "chair", "toilet", "desk", "dresser", "night_stand", "bookshelf", "bathtub")
"""In the order of mmdetection3d's labels."""
FLOOR_PERCENTILE = 0.99


def read_sun(path: Path) -> Iterator[Frame | str]:
    """Frames of `path/infos.json`. Raises `InputError` where it is missing or another data set's."""
    infos = read_json(path / "infos.json")
    if not isinstance(infos, dict) or str(infos.get("metainfo", {}).get("DATASET", "")).upper() != "SUNRGBD":
        raise InputError(f"{path / 'infos.json'}: its metainfo does not say DATASET SUNRGBD")
    for number, info in enumerate(infos.get("data_list", []), 1):
        try:
            yield _frame(path, info)
        except InputError as error:
            yield f"infos.json:{number}: {error}"
        except (KeyError, IndexError, TypeError, ValueError) as error:
            yield f"infos.json:{number}: malformed ({error!r})"


def _frame(folder: Path, info: dict[str, Any]) -> Frame | str:
    view = info["images"]["CAM0"]
    photo, points = folder / view["img_path"], info["lidar_points"]
    size = photo_size(photo)
    k, rotation, position = split_projection(view["depth2img"])
    # The matrix of the points is scaled such that its last row gives metres.
    exact = np.hstack([k @ rotation, np.zeros((3, 1))])
    sensor = PointsFile(str(only_file(folder, points["lidar_path"], ".bin")), int(points["num_pts_feats"]), rows(exact))
    floor = float(np.percentile(sensor.points()[:, 2], FLOOR_PERCENTILE))
    camera, things = lowered(
        pinhole(k, size, rotation, position), [_thing(o) for o in info.get("instances", [])], floor
    )
    boxes = [o.get("bbox") for o in info.get("instances", [])]
    return frame(f"sun-{photo.stem}", photo, size, sensor, camera, list(zip(things, boxes, strict=True)))


def _thing(instance: dict[str, Any]) -> Thing:
    x, y, z, length, width, height, yaw = instance["bbox_3d"]
    label = CLASSES[instance["bbox_label_3d"]].replace("_", " ")
    return Thing(label, vector((length, width, height)), vector((x, y, z)), float(np.degrees(yaw)))
