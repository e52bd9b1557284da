"""The scene model: what stands where, how it is lit, who looks at it.

World frame: metres, right-handed, +z up, the floor at z = 0. Camera frame: OpenCV axes, +x right, +y down,
+z forward. Angles are degrees. Everything is a frozen value; `Scene.to_json` and `Scene.from_json` are exact inverses.

Where objects are placed is `layout`'s business, what they look like `render`'s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..geometry import Size

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]
Floats = NDArray[np.float64]

SCHEMA = 2

TOUCH_M = 1e-3
"""Surfaces that are no farther apart touch."""
FULL_TURN = 360.0
"""Field of view of a panorama, degrees."""


@dataclass(frozen=True, slots=True)
class SceneObject:
    """A solid in the scene.

    shape: a key of `shapes.SHAPES`, or the class of a real object. color: its name in words, "" where it has none.
    rgb: the sRGB color it is painted in, each in [0, 1].
    size: full extents along its own x, y, z axes, metres. position: center of its oriented box, metres.
    yaw_deg: turn about the vertical axis, counter-clockwise seen from above.
    has_front: whether its own +x axis is its front. material: a key of `render.MATERIALS`.
    """

    shape: str
    color: str
    rgb: Vector
    size: Vector
    position: Vector
    yaw_deg: float = 0.0
    has_front: bool = False
    material: str = "matte"

    @property
    def label(self) -> str:
        """Color and shape, for example "red cube"; people wear theirs: "person in red"."""
        if self.shape == "person" and self.color:
            return f"person in {self.color}"
        return f"{self.color} {self.shape}".strip()

    @property
    def front(self) -> Floats | None:
        """Unit vector in the world in which the object faces, shape (3,); None for objects without a front."""
        return self.rotation[:, 0] if self.has_front else None

    @property
    def rotation(self) -> Floats:
        """Own axes -> world axes, shape (3, 3)."""
        return turn(self.yaw_deg)

    def corners(self) -> Floats:
        """The eight corners of the oriented box in the world, shape (8, 3)."""
        signs = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
        return signs * self.size @ self.rotation.T + self.position


@dataclass(frozen=True, slots=True)
class Room:
    """A rectangular room that closes the scene, so that every ray of a camera inside of it ends on something.

    center: middle of the floor (x, y). size: width, depth, height in metres. yaw_deg: turn about the vertical axis.
    floor_rgb, wall_rgb: sRGB. texture: pattern of the floor, a key of `render.TEXTURES`; mirrored: drawn with its own y
    reversed.
    """

    center: tuple[float, float]
    size: Vector
    yaw_deg: float
    floor_rgb: Vector
    wall_rgb: Vector
    texture: str = "plain"
    mirrored: bool = False


@dataclass(frozen=True, slots=True)
class Light:
    """A small round lamp. position in metres; power: light on a surface that faces it; ambient: light from everywhere;
    radius in metres: how soft shadows are."""

    position: Vector
    power: float = 0.8
    ambient: float = 0.3
    radius: float = 0.12


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera: pinhole, or an equirectangular panorama.

    position: metres. rotation: rows are the camera's right, down and forward axes in the world, so that
    p_camera = rotation @ (p_world - position). fov_deg: horizontal field of view; 360 makes it a panorama,
    whose picture is twice as wide as high, forward in the middle, the seam behind.
    center: principal point, in shares of the picture. aspect: focal length down / focal length across, in pixels.
    """

    position: Vector
    rotation: Matrix
    fov_deg: float
    center: tuple[float, float] = (0.5, 0.5)
    aspect: float = 1.0

    @classmethod
    def look_at(cls, position: ArrayLike, target: ArrayLike, fov_deg: float, roll_deg: float = 0.0) -> Camera:
        """A camera at `position` that looks at `target`, upright, then rolled about its forward axis.

        Raises `ValueError` when it would look straight up or down, where "upright" means nothing.
        """
        forward = np.asarray(target, dtype=float) - np.asarray(position, dtype=float)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        if np.linalg.norm(right) < 1e-9:
            raise ValueError("look_at: position and target are on one vertical line")
        forward, right = forward / np.linalg.norm(forward), right / np.linalg.norm(right)
        down = np.cross(forward, right)
        c, s = math.cos(math.radians(roll_deg)), math.sin(math.radians(roll_deg))
        axes = np.stack([c * right + s * down, c * down - s * right, forward])
        return cls(_vector(position), tuple(_vector(axis) for axis in axes), float(fov_deg))  # type: ignore[arg-type]

    @property
    def panorama(self) -> bool:
        """Whether the picture shows all directions."""
        return self.fov_deg == FULL_TURN

    def focal_px(self, size: Size) -> tuple[float, float]:
        """Focal lengths across and down in pixels of a picture of `size` (width, height); pinhole only."""
        across = size[0] / 2 / math.tan(math.radians(self.fov_deg) / 2)
        return across, across * self.aspect

    def to_camera(self, points: ArrayLike) -> Floats:
        """World points, shape (n, 3), in camera axes; column 2 is z-depth."""
        return (np.asarray(points, dtype=float) - self.position) @ np.asarray(self.rotation).T

    def project(self, points: ArrayLike, size: Size) -> Floats:
        """Pixel coordinates (x right, y down, origin at the top left corner), shape (n, 2).

        Pinhole: nan behind the camera. Panorama: longitude and latitude, linear across and down.
        """
        x, y, z = self.to_camera(points).T
        if self.panorama:
            turn, lift = np.arctan2(x, z), np.arctan2(-y, np.hypot(x, z))
            return np.stack([(turn / (2 * np.pi) + 0.5) * size[0], (0.5 - lift / np.pi) * size[1]], axis=1)
        z = np.where(z > 1e-9, z, np.nan)
        middle, focal = np.array(self.center) * size, self.focal_px(size)
        return np.stack([middle[0] + focal[0] * x / z, middle[1] + focal[1] * y / z], axis=1)

    def rays(self, pixels: ArrayLike, size: Size) -> Floats:
        """Directions in camera axes through pixel coordinates, shape (n, 3), such that depth is a ray's multiple.

        Pinhole: z = 1, so depth is z-depth. Panorama: of unit length, so depth is distance.
        """
        p = np.asarray(pixels, dtype=float)
        if self.panorama:
            turn, lift = (p[:, 0] / size[0] - 0.5) * 2 * np.pi, (0.5 - p[:, 1] / size[1]) * np.pi
            return np.stack([np.cos(lift) * np.sin(turn), -np.sin(lift), np.cos(lift) * np.cos(turn)], axis=1)
        flat = (p - np.array(self.center) * size) / self.focal_px(size)
        return np.concatenate([flat, np.ones((len(flat), 1))], axis=1)

    def depths(self, points: ArrayLike) -> Floats:
        """Depth of world points as this camera's depth map counts it (see `rays`), shape (n,)."""
        local = self.to_camera(points)
        return np.linalg.norm(local, axis=1) if self.panorama else local[:, 2]


@dataclass(frozen=True, slots=True)
class Scene:
    """Objects in a lit room, and the cameras that look at them."""

    objects: tuple[SceneObject, ...]
    room: Room
    light: Light
    cameras: tuple[Camera, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers."""
        return {"schema": SCHEMA, **_plain(asdict(self))}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Scene:
        """Inverse of `to_json`. Raises `InputError` for another schema and for missing or unknown fields."""
        if data.get("schema") != SCHEMA:
            raise InputError(f"scene has schema {data.get('schema')!r}, this version reads {SCHEMA}")
        try:
            return cls(
                tuple(SceneObject(**_frozen(o)) for o in data["objects"]),
                Room(**_frozen(data["room"])),
                Light(**_frozen(data["light"])),
                tuple(Camera(**_frozen(c)) for c in data["cameras"]),
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"not a scene: {error}") from error


def standing_on(thing: SceneObject, others: Sequence[SceneObject]) -> SceneObject | None:
    """Which of the others a thing stands on: its middle is over their box, its bottom on their top; None: on no one."""
    bottom = thing.position[2] - thing.size[2] / 2
    for other in others:
        over = (
            np.abs((np.asarray(thing.position) - other.position) @ other.rotation)[:2] <= np.array(other.size[:2]) / 2
        )
        if other is not thing and over.all() and abs(other.position[2] + other.size[2] / 2 - bottom) < TOUCH_M:
            return other
    return None


def mirrored(scene: Scene) -> Scene:
    """The mirror image of a scene in the vertical plane y = 0; exact, and its own inverse.

    Left and right swap, for cameras and for the fronts of objects; distances, heights and depths stay. Every picture is
    that of the scene itself, flipped.
    """

    def flip(vector: Vector) -> Vector:
        return vector[0], 0.0 - vector[1], vector[2]

    def seen(camera: Camera) -> Camera:
        right, down, forward = (flip(axis) for axis in camera.rotation)
        back = tuple(0.0 - v for v in right)
        middle = (1.0 - camera.center[0], camera.center[1])
        return replace(camera, position=flip(camera.position), rotation=(back, down, forward), center=middle)  # type: ignore[arg-type]

    room = scene.room
    return Scene(
        tuple(replace(o, position=flip(o.position), yaw_deg=0.0 - o.yaw_deg) for o in scene.objects),
        replace(
            room,
            center=(room.center[0], 0.0 - room.center[1]),
            yaw_deg=0.0 - room.yaw_deg,
            mirrored=not room.mirrored,
        ),
        replace(scene.light, position=flip(scene.light.position)),
        tuple(seen(camera) for camera in scene.cameras),
    )


def rotated(scene: Scene, deg: float) -> Scene:
    """The whole scene, cameras and room included, turned about the vertical axis through the origin.

    What the cameras see stays, but for shadows' soft edges.
    """
    rotation = turn(deg)

    def round_about(vector: Vector) -> Vector:
        return _vector(rotation @ vector)

    room = scene.room
    x, y, _ = round_about((*room.center, 0.0))
    return Scene(
        tuple(replace(o, position=round_about(o.position), yaw_deg=o.yaw_deg + deg) for o in scene.objects),
        replace(room, center=(x, y), yaw_deg=room.yaw_deg + deg),
        replace(scene.light, position=round_about(scene.light.position)),
        tuple(
            replace(c, position=round_about(c.position), rotation=tuple(round_about(axis) for axis in c.rotation))  # type: ignore[arg-type]
            for c in scene.cameras
        ),
    )


def scaled(scene: Scene, factor: float) -> Scene:
    """The whole scene larger or smaller about the origin: lengths scale, directions and pictures' outlines stay."""

    def grown(vector: Vector) -> Vector:
        return _vector(np.multiply(vector, factor))

    room, light = scene.room, scene.light
    return Scene(
        tuple(replace(o, position=grown(o.position), size=grown(o.size)) for o in scene.objects),
        replace(room, center=(room.center[0] * factor, room.center[1] * factor), size=grown(room.size)),
        replace(light, position=grown(light.position), radius=light.radius * factor),
        tuple(replace(c, position=grown(c.position)) for c in scene.cameras),
    )


def permuted(scene: Scene, order: Sequence[int]) -> Scene:
    """The same scene with its objects listed in another order: object i is what was object `order[i]`."""
    return replace(scene, objects=tuple(scene.objects[i] for i in order))


def turn(yaw_deg: float) -> Floats:
    """Rotation about the vertical axis, shape (3, 3)."""
    c, s = math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _vector(values: ArrayLike) -> Vector:
    x, y, z = np.asarray(values, dtype=float).tolist()
    return x, y, z


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (tuple, list)) else value


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _frozen(v) for k, v in value.items()}
    return tuple(_frozen(v) for v in value) if isinstance(value, (tuple, list)) else value
