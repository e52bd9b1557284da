"""Real places: RGB-D frames with oriented 3D boxes, read as worlds that the tasks ask about.

    frame       Frame, Thing, Place: photo, sensor depth, boxes; JSON round trip
    assemble    what the readers share: cameras from matrices, boxes checked against photo and sensor
    sun, kitti, nuscenes, scannet     one reader a source
    ask         every task that a frame can serve -> samples with gold traces

A source is named KIND:FOLDER (`open_frames`). To add one: a file with a reader, a line in `FRAMES`, a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from ...lookup import lookup
from .frame import Frame, Place, Thing
from .kitti import read_kitti
from .nuscenes import read_nuscenes
from .scannet import read_scannet
from .sun import read_sun

__all__ = ["FRAMES", "Format", "Frame", "Place", "Thing", "open_frames", "read_frames"]


@dataclass(frozen=True, slots=True)
class Format:
    """read(folder): each frame, or the reason why one cannot be used. about: one line. licence: of the data."""

    read: Callable[[Path], Iterator[Frame | str]]
    about: str
    licence: str


FRAMES: dict[str, Format] = {
    "sun": Format(read_sun, "SUN RGB-D in mmdetection3d's form: infos.json, photos, points", "research use"),
    "kitti": Format(
        read_kitti, "KITTI: image_2, label_2, calib, velodyne; or rgb_N, depth_N, label_2", "CC BY-NC-SA 3.0"
    ),
    "nuscenes": Format(
        read_nuscenes, "nuScenes in mmdetection3d's form: infos.json, photos, a lidar sweep", "CC BY-NC-SA 4.0"
    ),
    "scannet": Format(
        read_scannet, "ScanNet's layout: color, depth, pose, intrinsic, and boxes.json", "ScanNet terms of use"
    ),
}
"""Sources of real frames, by the name that KIND:FOLDER uses."""


def read_frames(kind: str, path: str | Path) -> Iterator[Frame | str]:
    """Every frame of a folder, in a fixed order, or the reason why one cannot be used.

    kind: a key of `FRAMES` or `module:attribute` (of a `Format`). Raises `InputError` at once for unknown kinds and
    folders that are not there, and on the first frame for folders in another form.
    """
    form = lookup("kind of frames", kind, FRAMES)
    if not isinstance(form, Format):
        raise InputError(f"frames {kind}: expected a Format of sifthinker.scenes.frames, got {type(form).__name__}")
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected {kind}: {form.about}")
    return form.read(folder)


def open_frames(spec: str) -> Iterator[Frame | str]:
    """The frames that KIND:FOLDER names, for example `sun:data/sunrgbd`; see `read_frames`."""
    kind, _, path = spec.rpartition(":")
    if not kind or not path:
        raise InputError(f"frames {spec!r}: expected KIND:FOLDER with KIND one of {', '.join(FRAMES)}")
    return read_frames(kind, path)
