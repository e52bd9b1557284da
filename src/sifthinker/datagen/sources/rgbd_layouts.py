"""How folders of photos with true depth are laid out: which files belong together, and what the depth numbers mean.

`LAYOUTS` lists what can be told from file names. Four things are read from files instead: `rgbd.json` (yours: declares
pairs and encodings), `cameras.json` (units a metre, beside rgb_N / depth_N), `rgb.txt` and `depth.txt` of a TUM RGB-D
sequence (times), and `infos.json` of SUN RGB-D in mmdetection3d's form (points to be projected, labelled boxes). An
encoding is never guessed from magnitudes.

Sources: ScanNet's SensReader (color/N.jpg, depth/N.png in mm, of different sizes);
https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats; the development kit of KITTI's depth set
(drive/proj_depth/groundtruth, val_selection_cropped); NYU Depth V2 as prepared for monocular depth (rgb_N.jpg,
sync_depth_N.png in mm).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...depth import DepthMap, project_points
from ...errors import BoxError
from ...geometry import Box, Frame, to_box
from ...scenes.frames.sun import CLASSES as SUN_CLASSES
from ..depths import load_depth
from ..files import DEPTH_SUFFIXES, PHOTO_SUFFIXES, RowError, photo_size
from ..outcome import Reject

DECLARED = "rgbd.json"


@dataclass(frozen=True, slots=True)
class Pair:
    """A photo with its depth map, which is read when asked for, and labelled boxes where the data set has them.

    name: path of the photo in the source's folder. files: what the pair is read from.
    """

    name: str
    photo: Path
    depth: Callable[[], DepthMap]
    files: tuple[Path, ...]
    objects: tuple[tuple[str, Box], ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """photo: pattern of photo paths in a folder. depth: their depth file, with the pattern's groups; `*` for any.

    encoding: key of `depth.ENCODINGS`; None: what --depth-encoding says. beside: a file that must be in the folder.
    resized: the depth map has another size than the photo, of the same view; the nearest pixel is taken.
    """

    name: str
    photo: re.Pattern[str]
    depth: str
    encoding: str | None
    beside: str | None = None
    resized: bool = False


LAYOUTS = (
    Layout(
        "ScanNet",
        re.compile(r"color/(?P<key>\d+)\.(?:jpg|png)"),
        "depth/{key}.png",
        "mm",
        "intrinsic/intrinsic_color.txt",
        resized=True,
    ),
    Layout("NYU, prepared", re.compile(r"rgb_(?P<key>\d+)\.jpg"), "sync_depth_{key}.png", "mm"),
    Layout(
        "KITTI drive",
        re.compile(r"(?P<camera>image_0\d)/data/(?P<key>\d+)\.png"),
        "proj_depth/groundtruth/{camera}/{key}.png",
        "kitti",
    ),
    Layout(
        "KITTI selection",
        re.compile(r"image/(?P<drive>.+)_image_(?P<key>\d+)_(?P<camera>image_0\d)\.png"),
        "groundtruth_depth/{drive}_groundtruth_depth_{key}_{camera}.png",
        "kitti",
    ),
    Layout("SUN RGB-D scene", re.compile(r"image/(?P<key>[^/]+)\.jpg"), "depth_bfx/*.png", "sun", "intrinsics.txt"),
    Layout("slambook2 office", re.compile(r"color/(?P<key>[^/]+)\.png"), "depth/{key}.pgm", "mm"),
    Layout("Redwood / Open3D", re.compile(r"color/(?P<key>[^/]+)\.jpg"), "depth/{key}.png", "mm"),
    Layout("Open3D SUN sample", re.compile(r"(?P<key>SUN)_color\.jpg"), "{key}_depth.png", "sun"),
    Layout("Open3D TUM sample", re.compile(r"(?P<key>TUM)_color\.png"), "{key}_depth.png", "tum"),
    Layout("plain", re.compile(r"(?:color|rgb|image|images)/(?P<key>[^/]+)\.(?:jpe?g|png)"), "depth/{key}.*", None),
    Layout("plain, one folder", re.compile(r"rgb_(?P<key>[^/]+)\.(?:jpe?g|png)"), "depth_{key}.*", None),
)
"""First match wins. The last two say nothing about the encoding."""

DEEPEST = 3
"""Folders above a photo that can be the one of which a layout speaks."""
PICTURES = PHOTO_SUFFIXES | DEPTH_SUFFIXES

CAMERAS, SCALE = "cameras.json", "depth_scale_units_per_metre"
PER_METRE = {1000.0: "mm", 256.0: "kitti", 5000.0: "tum"}
"""What `SCALE` of cameras.json may be, as an encoding."""


def find_pairs(root: Path, encoding: str | None) -> Iterator[Pair | Reject]:
    """Every photo below `root` with its depth map; a photo without one is a `Reject`. Folders in sorted order."""
    claimed: set[Path] = set()
    files = _Files(root)
    for folder in files.folders:
        for outcome in _in_folder(folder, root, files, encoding, claimed):
            if isinstance(outcome, Pair):
                claimed.update(outcome.files)
            yield outcome
    for path in files.photos:
        if path not in claimed and not _is_depth(path):
            claimed.add(path)
            yield Reject(_id(path, root), "no_depth_pair", "no known layout gives this photo a depth map")


class _Files:
    """What lies below a folder, listed once: folders and photos in order, files by where they lie."""

    def __init__(self, root: Path) -> None:
        self.folders, self.photos = [root], list[Path]()
        self._by_stem: dict[Path, list[Path]] = {}
        self._below: dict[Path, list[Path]] = {}
        for where, folders, names in os.walk(root):
            self.folders.extend(Path(where, name) for name in folders)
            paths = [path for name in names if (path := Path(where, name)).suffix.lower() in PICTURES]
            for path in filter(Path.is_file, paths):
                self._by_stem.setdefault(path.with_suffix(""), []).append(path)
                if path.suffix.lower() in PHOTO_SUFFIXES:
                    self.photos.append(path)
        self.folders.sort()
        self.photos.sort()
        for photo in self.photos:
            for folder in photo.parents[:DEEPEST]:
                self._below.setdefault(folder, []).append(photo)

    def photos_in(self, folder: Path) -> list[Path]:
        """Photos in the folder, or as far below it as any layout has them."""
        return self._below.get(folder, [])

    def matching(self, pattern: Path) -> list[Path]:
        """Files of this name; `*` stands for any stem or any suffix."""
        if pattern.stem == "*":
            return list(pattern.parent.glob(pattern.name))
        same = self._by_stem.get(pattern.with_suffix(""), [])
        return same if pattern.suffix == ".*" else [path for path in same if path.suffix == pattern.suffix]


def _in_folder(
    folder: Path, root: Path, files: _Files, encoding: str | None, claimed: set[Path]
) -> Iterator[Pair | Reject]:
    if (folder / DECLARED).is_file():
        yield from _declared(folder, root, claimed)
        return
    infos = folder / "infos.json"
    if infos.is_file():
        yield from _sunrgbd(infos, root)
        return
    if (folder / "rgb.txt").is_file() and (folder / "depth.txt").is_file():
        yield from _tum(folder, root, claimed)
        return
    cameras = _read(folder / CAMERAS) if (folder / CAMERAS).is_file() else {}
    scale = cameras.get(SCALE) if isinstance(cameras, dict) else None
    for path in [p for p in files.photos_in(folder) if p not in claimed]:
        name = path.relative_to(folder).as_posix()
        for layout in LAYOUTS:
            match = layout.photo.fullmatch(name)
            if match is None or (layout.beside and not (folder / layout.beside).is_file()):
                continue
            found = files.matching(folder / layout.depth.format(**match.groupdict()))
            if len(found) != 1:
                continue
            claimed.add(path)
            if layout.encoding is None and scale is not None:
                loader = partial(_load_by_scale, found[0], scale)
            else:
                loader = _loader(found[0], layout.encoding or encoding, path if layout.resized else None)
            yield Pair(path.relative_to(root).as_posix(), path, loader, (path, found[0]))
            break


def _loader(path: Path, encoding: str | None, photo: Path | None = None) -> Callable[[], DepthMap]:
    """photo: whose size the depth map is to have."""
    if photo is None:
        return lambda: load_depth(path, encoding)
    return lambda: load_depth(path, encoding).resized(photo_size(photo))


def _load_by_scale(path: Path, scale: Any) -> DepthMap:
    """A depth map in the units of cameras.json, or as it says itself."""
    known = [name for units, name in PER_METRE.items() if scale == units]
    try:
        return load_depth(path, known[0] if known else None)
    except RowError as error:
        if error.reason != "depth_encoding_unknown":
            raise
        raise RowError(
            error.reason,
            f"{path}: {SCALE} {scale!r} of {CAMERAS} is none of {', '.join(f'{units:g}' for units in PER_METRE)}; "
            f"put a sidecar {path.name}.json beside it, or take it out for --depth-encoding",
        ) from error


def _id(path: Path, root: Path) -> str:
    return f"rgbd-{path.relative_to(root).as_posix()}"


def _is_depth(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.mode.startswith(("I", "F"))
    except (OSError, SyntaxError, ValueError):
        return False


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _declared(folder: Path, root: Path, claimed: set[Path]) -> Iterator[Pair | Reject]:
    """`rgbd.json`: {"pairs": [{"image": path, "depth": path, "encoding": name}, ...]}, paths relative to it."""
    data = _read(folder / DECLARED)
    pairs = data.get("pairs") if isinstance(data, dict) else None
    if not isinstance(pairs, list):
        yield Reject(
            _id(folder / DECLARED, root), "malformed_row", 'expected {"pairs": [{"image", "depth", "encoding"}]}'
        )
        return
    for number, entry in enumerate(pairs, 1):
        try:
            photo, depth = folder / entry["image"], folder / entry["depth"]
            encoding = entry.get("encoding")
        except (KeyError, TypeError, AttributeError) as error:
            yield Reject(
                f"{_id(folder / DECLARED, root)}:{number}", "malformed_row", f"{type(error).__name__}: {error}"
            )
            continue
        claimed.update((photo, depth))
        if not photo.is_file():
            yield Reject(_id(photo, root), "image_missing", f"{photo}, named in {folder / DECLARED}, does not exist")
            continue
        yield Pair(photo.relative_to(root).as_posix(), photo, _loader(depth, encoding), (photo, depth))


# --- TUM RGB-D sequences -------------------------------------------------------------------------------------------

APART_S = 0.02
"""Seconds between a photo and its depth map at most, as in the set's own `associate.py`."""


def _tum(folder: Path, root: Path, claimed: set[Path]) -> Iterator[Pair | Reject]:
    """Photos of rgb.txt, each with the depth map of depth.txt that is nearest to it in time."""
    photos, depths = _times(folder / "rgb.txt"), _times(folder / "depth.txt")
    for time, name in photos:
        near = min(depths, key=lambda entry: abs(entry[0] - time), default=None)
        photo = folder / name
        claimed.add(photo)
        if near is None or abs(near[0] - time) > APART_S:
            yield Reject(_id(photo, root), "no_depth_pair", f"no depth map within {APART_S} s of {time}")
        elif not photo.is_file():
            yield Reject(_id(photo, root), "image_missing", f"{photo}, named in {folder / 'rgb.txt'}, does not exist")
        else:
            depth = folder / near[1]
            yield Pair(photo.relative_to(root).as_posix(), photo, _loader(depth, "tum"), (photo, depth))


def _times(path: Path) -> list[tuple[float, str]]:
    """Time in seconds and file name of each line that has both; comments begin with #."""
    found = []
    for line in path.read_text(errors="replace").splitlines():
        time, _, name = line.strip().partition(" ")
        try:
            found.append((float(time), name.strip()))
        except ValueError:
            continue
    return [(time, name) for time, name in found if name]


# --- SUN RGB-D as mmdetection3d stores it --------------------------------------------------------------------------


def _sunrgbd(infos: Path, root: Path) -> Iterator[Pair | Reject]:
    """Frames of infos.json: depth is the points projected by `depth2img`, objects are the labelled 2D boxes."""
    data = _read(infos)
    if not isinstance(data, dict) or str(data.get("metainfo", {}).get("DATASET", "")).upper() != "SUNRGBD":
        return
    for number, frame in enumerate(data.get("data_list", []), 1):
        place = f"{_id(infos, root)}:{number}"
        try:
            camera = frame["images"]["CAM0"]
            photo = infos.parent / camera["img_path"]
            if not photo.is_file():
                raise RowError("image_missing", f"{photo} does not exist")
            points = _points_file(infos.parent, frame["lidar_points"]["lidar_path"])
            size = photo_size(photo)
            objects = tuple(
                (SUN_CLASSES[o["bbox_label"]].replace("_", " "), to_box(o["bbox"], Frame.PIXEL_XYXY, size))
                for o in frame.get("instances", [])
            )
            depth = _projector(points, int(frame["lidar_points"]["num_pts_feats"]), camera["depth2img"], size)
        except (RowError, BoxError) as error:
            yield Reject(place, error.reason, str(error))
            continue
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            yield Reject(place, "malformed_row", f"{type(error).__name__}: {error}")
            continue
        yield Pair(photo.relative_to(root).as_posix(), photo, depth, (photo, points), objects)


def _points_file(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / "points" / name):
        if path.is_file():
            return path
    only = sorted(folder.glob("*.bin"))
    if len(only) != 1:
        raise RowError("depth_missing", f"points {name} are not in {folder}")
    return only[0]


def _projector(path: Path, features: int, depth2img: Any, size: tuple[int, int]) -> Callable[[], DepthMap]:
    def project() -> DepthMap:
        raw = np.fromfile(path, dtype=np.float32)
        if raw.size == 0 or raw.size % features:
            raise RowError("depth_unreadable", f"{path}: {raw.size} numbers are no points of {features} features")
        return project_points(raw.reshape(-1, features)[:, :3], np.asarray(depth2img, dtype=np.float64), size)

    return project
