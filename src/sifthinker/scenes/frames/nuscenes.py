"""nuScenes as mmdetection3d stores it: `infos.json`, the photos of a ring of cameras, one lidar sweep a frame.

Boxes are in lidar axes: gravity center, full extents (length along the heading), yaw. The world is the ego vehicle's:
x ahead, y left, z up, the ground under it at z = 0. `lidar2cam` accounts for the way driven between sweep and photo.
Depth is the sweep projected into the photo, so it is sparse; the lidar stands above the cameras and looks over edges.

Velocities, attributes and sweeps of other moments are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from .assemble import frame, only_file, photo_size, pinhole, read_json, rows, vector
from .frame import Frame, PointsFile, Thing

NO_FRONT = frozenset({"traffic_cone", "barrier"})
"""Classes whose yaw is that of a line, or says nothing."""
UNNAMED = -1
"""Label of things of none of the ten classes."""


def read_nuscenes(path: Path) -> Iterator[Frame | str]:
    """A frame for each camera of each entry of `path/infos.json` whose photo is there. Raises `InputError` where the
    file is missing or another data set's."""
    infos = read_json(path / "infos.json")
    about = infos.get("metainfo", {}) if isinstance(infos, dict) else {}
    if str(about.get("dataset", "")).lower() != "nuscenes":
        raise InputError(f"{path / 'infos.json'}: its metainfo does not say dataset nuscenes")
    classes = {number: name for name, number in about["categories"].items()}
    for number, info in enumerate(infos.get("data_list", []), 1):
        for camera in sorted(info.get("images", {})):
            try:
                yield _frame(path, info, camera, classes)
            except InputError as error:
                yield f"infos.json:{number} {camera}: {error}"
            except (KeyError, IndexError, TypeError, ValueError) as error:
                yield f"infos.json:{number} {camera}: malformed ({error!r})"


def _frame(folder: Path, info: dict[str, Any], name: str, classes: dict[int, str]) -> Frame | str:
    view, lidar = info["images"][name], info["lidar_points"]
    photo = _photo(folder, name, view["img_path"])
    size = photo_size(photo)
    to_camera, to_ego = np.array(view["lidar2cam"]), np.array(lidar["lidar2ego"])
    from_ego = to_camera @ np.linalg.inv(to_ego)
    rotation = from_ego[:3, :3]
    camera = pinhole(view["cam2img"], size, rotation, -rotation.T @ from_ego[:3, 3])
    projection = np.array(view["cam2img"])[:3, :3] @ to_camera[:3]
    sweep = only_file(folder, lidar["lidar_path"], ".bin")
    sensor = PointsFile(str(sweep), int(lidar["num_pts_feats"]), rows(projection))
    things = [(_thing(o, to_ego, classes), None) for o in info["instances"] if o["bbox_label_3d"] != UNNAMED]
    return frame(f"nuscenes-{info['sample_idx']:06d}-{name}", photo, size, sensor, camera, things)


def _photo(folder: Path, camera: str, name: str) -> Path:
    places = (folder / name, folder / "samples" / camera / name, folder / f"{camera}.jpg")
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InputError(f"no photo {name} or {camera}.jpg in {folder}")
    return found


def _thing(instance: dict[str, Any], to_ego: np.ndarray, classes: dict[int, str]) -> Thing:
    x, y, z, length, width, height, yaw = instance["bbox_3d"]
    center = to_ego[:3, :3] @ (x, y, z) + to_ego[:3, 3]
    ahead = to_ego[:3, :3] @ (np.cos(yaw), np.sin(yaw), 0.0)
    name = classes[instance["bbox_label_3d"]]
    yaw_deg = float(np.degrees(np.arctan2(ahead[1], ahead[0])))
    return Thing(name.replace("_", " "), vector((length, width, height)), vector(center), yaw_deg, name not in NO_FRONT)
