"""`Frame`: a photo of a real place with sensor depth and oriented 3D boxes, as a world that tasks can ask about.

A frame has what tasks use of `render.View`. What is not known of a real place is not there: `Thing` has no color and
no material, `Place` no room and no light, and `instances` is None; a task that needs them has no question to ask.

World frame as in `model`: metres, +z up, the floor (or the ground under the camera) near z = 0. The readers say how
each source is turned into it. Lens distortion is left out: sources give rectified photos.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...depth import DepthMap, project_points, read_depth
from ...errors import InputError
from ...geometry import Box, Size
from ...sample import open_photo
from ..model import Camera, Floats, Vector, turn

SLACK_M, SLACK = 0.05, 0.02
"""A sensor point belongs to a box that it misses by at most this many metres and this share of its depth."""
MIN_POINTS = 5
"""Fewest pixels with sensor depth inside of a box; a thing with fewer counts as unseen."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A real object.

    label: its class, in words. size: full extents along its own x, y, z axes, metres. position: center of its oriented
    box, metres. yaw_deg: turn about the vertical axis, counter-clockwise seen from above. has_front: whether its own
    +x axis is known to be its front.
    """

    label: str
    size: Vector
    position: Vector
    yaw_deg: float = 0.0
    has_front: bool = False

    @property
    def shape(self) -> str:
        """The class, which takes the place of a generated object's shape."""
        return self.label

    @property
    def rotation(self) -> Floats:
        """Own axes -> world axes, shape (3, 3)."""
        return turn(self.yaw_deg)

    @property
    def front(self) -> Floats | None:
        """Unit vector in the world in which the thing faces, shape (3,); None where that is not known."""
        return self.rotation[:, 0] if self.has_front else None

    def corners(self) -> Floats:
        """The eight corners of the oriented box in the world, shape (8, 3)."""
        signs = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
        return signs * self.size @ self.rotation.T + self.position


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of a real place: the labelled things, and the camera. It stands where `model.Scene` does."""

    objects: tuple[Thing, ...]
    cameras: tuple[Camera, ...]


@dataclass(frozen=True, slots=True)
class DepthFile:
    """Depth as a picture that is registered to the photo. encoding: a key of `depth.ENCODINGS`."""

    file: str
    encoding: str

    def read(self, size: Size) -> DepthMap:
        """Metric depth at the photo's size."""
        return read_depth(self.file, self.encoding).resized(size)


@dataclass(frozen=True, slots=True)
class PointsFile:
    """Depth as float32 points, `features` numbers each, x y z first.

    matrix: shape (3, 4), maps a point to (u * d, v * d, d), d metres from the camera; see `depth.project_points`.
    """

    file: str
    features: int
    matrix: tuple[tuple[float, ...], ...]

    def points(self) -> NDArray[np.float32]:
        """Shape (n, 3), in the sensor's own axes."""
        raw = np.fromfile(self.file, dtype=np.float32)
        if raw.size == 0 or raw.size % self.features:
            raise InputError(f"{self.file}: {raw.size} numbers are no points of {self.features} features")
        return raw.reshape(-1, self.features)[:, :3]

    def read(self, size: Size) -> DepthMap:
        """Sparse metric depth at the photo's size."""
        return project_points(self.points(), np.array(self.matrix), size)


@dataclass(frozen=True, eq=False)
class Frame:
    """What one camera sees of a real place.

    name: of the frame, unique in its source. photo: its file. size: (width, height) of the photo in pixels.
    sensor: where its depth comes from. scene: the labelled things that reach into the picture, and the camera.
    given: the box of each thing in the picture, as the source gives it or else as the 3D box projects; None where there
    is none to rely on.
    """

    name: str
    photo: str
    size: Size
    sensor: DepthFile | PointsFile
    scene: Place
    given: tuple[Box | None, ...]

    @property
    def camera(self) -> Camera:
        return self.scene.cameras[0]

    @property
    def instances(self) -> None:
        """Nobody masked the things of a real photo."""
        return

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The photo, shape (height, width, 3). Raises `InputError` where it cannot be read."""
        return np.asarray(open_photo(self.photo))

    @cached_property
    def depth(self) -> DepthMap:
        """The sensor's z-depth in metres; pixels without a measurement are not valid."""
        return self.sensor.read(self.size)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes of the things, which need not differ."""
        return tuple(thing.label for thing in self.scene.objects)

    @cached_property
    def boxes(self) -> tuple[Box | None, ...]:
        """Boxes of the things that the sensor confirms; None for the others."""
        return tuple(box if seen > 0 else None for box, seen in zip(self.given, self.visible, strict=True))

    @cached_property
    def visible(self) -> tuple[float, ...]:
        """For each thing, the share of its measured pixels that lie in its 3D box and not on something in front of it.

        Pixels on something behind the box are left out: there the thing does not fill its box. 0.0 without a box in the
        picture, or with fewer than `MIN_POINTS` pixels inside of the 3D box.
        """
        return tuple(
            0.0 if box is None else self._seen(thing) for thing, box in zip(self.scene.objects, self.given, strict=True)
        )

    def _seen(self, thing: Thing) -> float:
        _, depth, near, far = self.through(thing)
        slack = SLACK_M + SLACK * depth
        inside = int(((depth >= near - slack) & (depth <= far + slack)).sum())
        hidden = int((depth < near - slack).sum())
        return inside / (inside + hidden) if inside >= MIN_POINTS else 0.0

    def through(self, thing: Thing) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
        """The measured pixels whose rays pass through a thing's 3D box: (row, column) of shape (n, 2), their z-depth,
        and the z-depths at which the ray enters and leaves the box, each of shape (n,)."""
        pixels = np.argwhere(self.depth.valid)
        rays = self.camera.rays(pixels[:, ::-1] + 0.5, self.size) @ np.asarray(self.camera.rotation)
        start = (np.asarray(self.camera.position) - thing.position) @ thing.rotation
        along = rays @ thing.rotation
        with np.errstate(divide="ignore"):
            ends = (np.array([[-0.5], [0.5]]) * thing.size - start)[:, None] / along[None]
        near, far = ends.min(axis=0).max(axis=1), ends.max(axis=0).min(axis=1)
        hit = (near < far) & (far > 0)
        depth = self.depth.values[pixels[hit, 0], pixels[hit, 1]].astype(np.float64)
        return pixels[hit], depth, near[hit], far[hit]

    @cached_property
    def centers(self) -> Floats:
        """Centers of the things in camera axes, metres, shape (n, 3)."""
        return self.camera.to_camera([o.position for o in self.scene.objects])

    @property
    def sizes(self) -> tuple[float, ...]:
        """Longest side of each thing, metres."""
        return tuple(max(o.size) for o in self.scene.objects)

    @cached_property
    def columns(self) -> Floats:
        """Where the centers project horizontally: 0 left edge, 1 right edge; shape (n,)."""
        return self.camera.project([o.position for o in self.scene.objects], self.size)[:, 0] / self.size[0]

    @cached_property
    def nearness(self) -> tuple[float | None, ...]:
        """Relative depth of each thing's box, as traces give it; None where the box covers no measured pixel."""
        relative = self.depth.relative()
        return tuple(None if box is None else relative.box_mean(box.quantized()) for box in self.boxes)

    def named(self) -> Frame | str:
        """The same frame with those things only that are seen and whose class no other thing in the picture has; or
        why nothing is left. Sizes and places do not change."""
        names = [thing.label for thing in self.scene.objects]
        kept = [i for i, name in enumerate(names) if names.count(name) == 1 and self.boxes[i] is not None]
        if not kept:
            return f"{self.name}: nothing that is seen has a name of its own, out of {len(names)} labelled things"
        things = tuple(self.scene.objects[i] for i in kept)
        return replace(self, scene=Place(things, self.scene.cameras), given=tuple(self.given[i] for i in kept))

    def crowded(self) -> Frame:
        """The same frame with two more things behind its own, as somebody might have labelled them: a huge one at the
        left, near the camera, and a tiny one at the right, far away; both are taken for seen."""
        right, _, ahead = np.asarray(self.camera.rotation)
        near, far = (
            tuple((self.camera.position + step).tolist()) for step in (ahead - right, 200 * ahead + 90 * right)
        )
        more = Thing("something huge", (30.0, 30.0, 30.0), near), Thing("something tiny", (0.01, 0.01, 0.01), far)
        place = Place((*self.scene.objects, *more), self.scene.cameras)
        found = replace(self, scene=place, given=(*self.given, Box(0, 0, 0.3, 0.3), Box(0.9, 0.9, 1, 1)))
        # What is cached is known: nothing confirms things that are not there, and the files need not be read again.
        vars(found).update(depth=self.depth, visible=(*self.visible, 1.0, 1.0), nearness=(*self.nearness, 0.0, 1.0))
        return found

    def to_json(self) -> dict[str, Any]:
        """Paths and numbers; inverse: `Frame.from_json`. Paths are as the reader was given them."""
        sensor = {"encoding" if isinstance(self.sensor, DepthFile) else "points": asdict(self.sensor)}
        return {
            "kind": "frame",
            "name": self.name,
            "photo": self.photo,
            "size": list(self.size),
            **sensor,
            "objects": [asdict(thing) for thing in self.scene.objects],
            "camera": asdict(self.camera),
            "boxes": [None if box is None else list(box) for box in self.given],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Frame:
        """Read a stored frame again, from the files that it names."""
        things = tuple(Thing(**_frozen(thing)) for thing in data["objects"])
        sensor = PointsFile(**_frozen(data["points"])) if "points" in data else DepthFile(**data["encoding"])
        boxes = tuple(None if box is None else Box(*box) for box in data["boxes"])
        place = Place(things, (Camera(**_frozen(data["camera"])),))
        return cls(data["name"], data["photo"], (data["size"][0], data["size"][1]), sensor, place, boxes)


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(v) for key, v in value.items()}
    return tuple(_frozen(v) for v in value) if isinstance(value, (tuple, list)) else value
