"""A scene and a camera -> a `View`: RGB, metric depth, instance masks, boxes, visible fractions.

Rays are cast by Embree against each object's unit mesh in the object's own axes, only where its oriented box
projects; the nearest hit of each pixel wins. So the same rays give what each object would show alone, and
with it the visible fraction. Shading: a small lamp (Lambert, a soft highlight on objects, shadow rays to points
on the lamp), light from everywhere, painted in linear light; pixels on edges are sampled four times.

Reflections show the room's colors, not other objects. Lenses with distortion are left out; `photoreal` renders the same
scenes with light that bounces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..depth import DepthMap
from ..geometry import Box, Size
from ..lookup import pick
from .model import Camera, Floats, Light, Room, Scene, SceneObject, turn
from .parts import OWN
from .shapes import unit_mesh

GAMMA = 2.2
SHADOW_RAYS = 4
"""Shadow rays of each sample, to points on the lamp."""
EDGE = 0.1
"""Pixels that differ from a neighbor by more than this (in any sRGB channel, of 1) are sampled four times."""
FADE_M = 5.0
"""At this distance the lamp is half as bright."""
LIFT_M = 1e-4
"""Shadow rays start this far above the surface, so that it does not shadow itself."""


@dataclass(frozen=True, slots=True)
class Material:
    """How a surface takes light.

    highlight, sharpness: strength and narrowness of the lamp's reflection. diffuse: share of light scattered in the
    object's color. mirror: share of the surroundings reflected (the room's colors by height; not other objects).
    tinted: reflections take the object's color, as metals' do.
    pattern: how much lighter or darker its color is, from metres along the object's own axes, shape (n, 3).
    """

    highlight: float
    sharpness: float
    diffuse: float = 1.0
    mirror: float = 0.0
    tinted: bool = False
    pattern: Callable[[Floats], Floats] | None = None


def _grain(own: Floats) -> Floats:
    """Growth rings of a board that was cut along its x axis, slightly wavy."""
    radius = np.hypot(own[:, 1] + 0.02 * np.sin(9 * own[:, 0]), own[:, 2] + 0.31)
    return 1.0 - 0.16 * (0.5 + 0.5 * np.sin(150 * radius)) ** 3


def _weave(own: Floats) -> Floats:
    """Crossing threads of 4 cm."""
    return 1.0 - 0.12 * (np.floor(own / 0.04).sum(axis=1) % 2)


MATERIALS: dict[str, Material] = {
    "matte": Material(0.22, 24.0),
    "rubber": Material(0.04, 6.0),
    "glossy": Material(0.7, 120.0, mirror=0.10),
    "metal": Material(0.9, 60.0, diffuse=0.45, mirror=0.55, tinted=True),
    "wood": Material(0.12, 16.0, pattern=_grain),
    "fabric": Material(0.0, 1.0, pattern=_weave),
}
"""What objects can be made of."""

TEXTURE_SHADE = 0.9


def _road(x: Floats, y: Floats) -> Floats:
    """Lanes of 3.5 m along y with dashed lines between them, and a pale pavement from 7 m on."""
    lane = np.abs(np.abs(x) - 3.5)
    dashed = (lane < 0.08) & (np.floor(y / 3.0) % 2 > 0)
    solid = (np.abs(np.abs(x) - 6.8) < 0.08) | (np.abs(np.abs(x) - 0.14) < 0.06)
    return np.where(dashed | solid, 2.2, np.where(np.abs(x) > 7.0, 1.6, 1.0))


TEXTURES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "plain": lambda x, y: np.ones(x.shape),
    "checker": lambda x, y: np.where((np.floor(x / 0.6) + np.floor(y / 0.6)) % 2 > 0, TEXTURE_SHADE, 1.0),
    "planks": lambda x, y: np.where(np.floor(x / 0.35) % 2 > 0, TEXTURE_SHADE, 1.0),
    "road": _road,
}
"""How much lighter or darker the floor is, from the metres along the room's own axes."""


@dataclass(frozen=True, slots=True)
class _Hits:
    """depth (n,), owner (n,) -1 for the room, points (n, 3) and unit normals (n, 3) in the world, tones (n, 4) as in
    `shapes.Hits`, alone: hits of each object if the others were not there."""

    depth: Floats
    owner: NDArray[np.int64]
    points: Floats
    normals: Floats
    tones: Floats | None
    alone: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class View:
    """What one camera sees. Arrays have shape (height, width); values are those at pixel centers.

    depth: z-depth in metres (distance along the camera's forward axis, not along the ray; but in a panorama, along the
    ray), valid everywhere inside of a room. instances: index into `scene.objects`, -1 for the room.
    visible: for each object, pixels where it is seen / pixels where it would be seen if it were alone; 0.0 if out of
    frame. boxes: the pixels of each object as a unit box, edges on pixel edges; None where nothing of it is seen, and
    in a panorama for objects across the seam.
    smooth: whether edges of the photo are sampled four times.
    """

    scene: Scene
    camera: Camera
    depth: DepthMap
    instances: NDArray[np.int16]
    visible: tuple[float, ...]
    boxes: tuple[Box | None, ...]
    smooth: bool
    _hits: _Hits

    @property
    def size(self) -> Size:
        """(width, height) in pixels."""
        return self.depth.size

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The photo, shape (height, width, 3). Made when first asked for: most of the work is light and edges."""
        width, height = self.size
        color = _shade(self.scene, self.camera, self._hits).reshape(height, width, 3)
        if self.smooth:
            _refine(self.scene, self.camera, self.size, color)
        return np.rint(color * 255).astype(np.uint8)

    @property
    def labels(self) -> tuple[str, ...]:
        """The objects' names, for example "red cube"."""
        return tuple(o.label for o in self.scene.objects)

    def to_json(self) -> dict[str, Any]:
        """Inverse: `View.from_json`."""
        camera = self.scene.cameras.index(self.camera)
        return {"kind": "view", "scene": self.scene.to_json(), "size": list(self.size), "camera": camera}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> View:
        """Render a stored view again."""
        width, height = data["size"]
        return render(Scene.from_json(data["scene"]), (int(width), int(height)), data["camera"])

    @cached_property
    def centers(self) -> Floats:
        """Object centers in camera axes, metres, shape (n, 3)."""
        return self.camera.to_camera([o.position for o in self.scene.objects])

    @property
    def sizes(self) -> tuple[float, ...]:
        """Longest side of each object, metres."""
        return tuple(max(o.size) for o in self.scene.objects)

    @cached_property
    def columns(self) -> Floats:
        """Where the object centers project horizontally: 0 left edge, 1 right edge; shape (n,)."""
        return self.camera.project([o.position for o in self.scene.objects], self.size)[:, 0] / self.size[0]

    @cached_property
    def nearness(self) -> tuple[float | None, ...]:
        """Relative depth of each object's box, as traces give it: mean over the box, 0 nearest, 1 farthest."""
        relative = self.depth.relative()
        return tuple(None if box is None else relative.box_mean(box.quantized()) for box in self.boxes)


def render(scene: Scene, size: Size, camera: int = 0, smooth: bool = True) -> View:
    """Render a scene as one of its cameras sees it, at `size` (width, height) in pixels.

    smooth: sample edges four times (anti-aliasing of the photo; depth, masks and boxes are those of pixel centers
    either way). Raises `InputError` when trimesh or embreex are missing or a shape is unknown.
    """
    eye = scene.cameras[camera]
    width, height = size
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    hits = _cast(scene, eye, pixels, size)
    instances = hits.owner.reshape(height, width)
    weights = _weights(eye, pixels, size)[hits.owner >= 0]
    seen = np.bincount(hits.owner[hits.owner >= 0], weights, minlength=len(scene.objects))
    visible = tuple(float(s / a) if a else 0.0 for s, a in zip(seen, hits.alone, strict=True))
    boxes = tuple(_mask_box(instances == index, eye.panorama) for index in range(len(scene.objects)))
    depth = DepthMap(hits.depth.reshape(height, width), metric=True)
    return View(scene, eye, depth, instances.astype(np.int16), visible, boxes, smooth, hits)


# --- rays --------------------------------------------------------------------------------------------------------


def _own_axes(
    rotation: Floats, position: Floats, size: Floats, points: Floats, directions: Floats
) -> tuple[Floats, Floats]:
    """World points and directions in the axes of a box's unit cube."""
    return (points - position) @ rotation / size, directions @ rotation / size


def _placed(thing: SceneObject | Room) -> tuple[Floats, Floats, Floats]:
    """Rotation (own axes -> world), center and size of the oriented box of an object or a room."""
    if isinstance(thing, Room):
        return turn(thing.yaw_deg), np.array([*thing.center, thing.size[2] / 2]), np.array(thing.size)
    return thing.rotation, np.array(thing.position), np.array(thing.size)


def _cast(scene: Scene, camera: Camera, pixels: NDArray[Any], size: Size) -> _Hits:
    """The first thing behind each pixel coordinate."""
    directions = camera.rays(pixels, size) @ np.asarray(camera.rotation)
    eye = np.asarray(camera.position)
    rotation, center, extent = _placed(scene.room)
    start, along = _own_axes(rotation, center, extent, eye, directions)
    first = unit_mesh("room").cast(np.broadcast_to(start, along.shape), along)
    depth, owner = first.t, np.full(len(pixels), -1)
    weights = _weights(camera, pixels, size)
    normals = -first.normals / extent @ rotation.T
    alone = []
    toned = any(unit_mesh(thing.shape).tones is not None for thing in scene.objects)
    tones = np.tile(np.array(OWN), (len(pixels), 1)) if toned else None
    for index, thing in enumerate(scene.objects):
        near = _may_show(thing, camera, pixels, size)
        rotation, center, extent = _placed(thing)
        start, along = _own_axes(rotation, center, extent, eye, directions[near])
        hits = unit_mesh(thing.shape).cast(np.broadcast_to(start, along.shape), along)
        alone.append(float(weights[near][np.isfinite(hits.t)].sum()))
        wins = hits.t < depth[near]
        pick = near[wins]
        depth[pick], owner[pick] = hits.t[wins], index
        normals[pick] = hits.normals[wins] / extent @ rotation.T
        if tones is not None:
            tones[pick] = OWN if hits.tones is None else hits.tones[wins]
    normals = _unit(normals)
    points = eye + directions * np.where(np.isfinite(depth), depth, 0.0)[:, None]
    return _Hits(depth, owner, points, normals, tones, tuple(alone))


def _weights(camera: Camera, pixels: NDArray[Any], size: Size) -> Floats:
    """How much each pixel counts in visible fractions: in a panorama, by the solid angle that it covers."""
    if not camera.panorama:
        return np.ones(len(pixels))
    return np.cos((0.5 - pixels[:, 1] / size[1]) * np.pi)


def _may_show(thing: SceneObject, camera: Camera, pixels: NDArray[Any], size: Size) -> NDArray[np.int64]:
    """Indices of the pixels in the rectangle around the projected box; all if part of it is behind the camera.

    In a panorama: of the pixels in the cone around the sphere around the box.
    """
    if camera.panorama:
        away = camera.to_camera([thing.position])[0]
        distance, reach = float(np.linalg.norm(away)), float(np.linalg.norm(thing.size)) / 2
        least = np.sqrt(max(1 - (reach / distance) ** 2, 0.0)) if distance > reach else -1.0
        return np.flatnonzero(camera.rays(pixels, size) @ away >= least * distance)
    corners = camera.project(thing.corners(), size)
    if np.isnan(corners).any():
        return np.arange(len(pixels))
    (left, top), (right, bottom), (x, y) = corners.min(axis=0), corners.max(axis=0), pixels.T
    return np.flatnonzero((x >= left) & (x <= right) & (y >= top) & (y <= bottom))


def _mask_box(mask: NDArray[np.bool_], wraps: bool) -> Box | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    if not len(rows) or (wraps and columns[0] == 0 and columns[-1] == width - 1):
        return None
    return Box(columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)


# --- light -------------------------------------------------------------------------------------------------------


def _shade(scene: Scene, camera: Camera, hits: _Hits) -> Floats:
    """sRGB of each hit, shape (n, 3), in [0, 1]."""
    light = scene.light
    to_lamp = np.asarray(light.position) - hits.points
    lit = 1 / (1 + _dot(to_lamp, to_lamp) / FADE_M**2)
    to_lamp = _unit(to_lamp)
    facing = np.maximum(_dot(hits.normals, to_lamp), 0.0)
    lit *= facing * _lamp_share(scene, hits, facing)
    sky = light.ambient * (0.8 + 0.2 * hits.normals[:, 2])
    pigment = _paint(scene, hits) ** GAMMA
    paint = pigment * (sky + 1.6 * light.power * lit)[:, None]
    made = [pick("material", o.material, MATERIALS) for o in scene.objects]
    if any(m.mirror for m in made):
        _reflect(scene, camera, hits, made, pigment, paint)
    on_object = np.flatnonzero((hits.owner >= 0) & (lit > 0))
    half = _unit(to_lamp[on_object] + _unit(np.asarray(camera.position) - hits.points[on_object]))
    whose = hits.owner[on_object]
    highlight, sharpness = (np.array([getattr(m, name) for m in made]) for name in ("highlight", "sharpness"))
    gloss = _dot(hits.normals[on_object], half).clip(min=0) ** sharpness[whose] if made else np.zeros(0)
    # A lamp far away is as much stronger (see `layout`), and its reflection is no weaker.
    shine = np.sqrt(np.minimum(lit[on_object] * max(light.power, 1.0), 1.0))
    paint[on_object] += (highlight[whose] * gloss * shine)[:, None] if made else 0.0
    return paint.clip(0, 1) ** (1 / GAMMA)


def _reflect(scene: Scene, camera: Camera, hits: _Hits, made: list[Material], pigment: Floats, paint: Floats) -> None:
    """Mix the room's reflection into the paint of mirroring objects, in place."""
    room = scene.room
    low, high = np.array(room.floor_rgb) ** GAMMA * 0.5, np.array(room.wall_rgb) ** GAMMA
    for index, material in enumerate(made):
        mine = np.flatnonzero(hits.owner == index)
        if not material.mirror or not len(mine):
            continue
        normals, away = hits.normals[mine], _unit(hits.points[mine] - np.asarray(camera.position))
        up = away[:, 2] - 2 * _dot(away, normals) * normals[:, 2]
        # The horizon is soft: floor below, walls around, light above.
        share = (0.5 + 2.0 * up).clip(0, 1)[:, None]
        seen = (1 - share) * low + share * high * (0.55 + 0.45 * up[:, None].clip(0, 1))
        seen = seen * pigment[mine] * 1.4 if material.tinted else seen
        paint[mine] = material.diffuse * paint[mine] + material.mirror * seen


def _paint(scene: Scene, hits: _Hits) -> Floats:
    """The sRGB color that each hit is painted in, before light."""
    room = scene.room
    table = np.array([o.rgb for o in scene.objects] + [room.wall_rgb])
    paint = table[hits.owner]
    if hits.tones is not None:
        paint = hits.tones[:, :1] * paint + hits.tones[:, 1:]
    for index, thing in enumerate(scene.objects):
        if (pattern := pick("material", thing.material, MATERIALS).pattern) is not None:
            mine = np.flatnonzero(hits.owner == index)
            own = (hits.points[mine] - thing.position) @ thing.rotation
            paint[mine] *= pattern(own)[:, None]
    floor = np.flatnonzero((hits.owner < 0) & (hits.normals[:, 2] > 0.9))
    local = (hits.points[floor] - np.array([*room.center, 0.0])) @ turn(room.yaw_deg)
    shade = TEXTURES[room.texture](local[:, 0], -local[:, 1] if room.mirrored else local[:, 1])
    paint[floor] = (shade[:, None] * np.array(room.floor_rgb)).clip(max=1.0)
    return paint


def _lamp_points(light: Light) -> Floats:
    """Points on the lamp, shape (SHADOW_RAYS, 3)."""
    angle = 2 * np.pi * (np.arange(SHADOW_RAYS) + 0.5) / SHADOW_RAYS
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(SHADOW_RAYS)], axis=1)
    return np.asarray(light.position) + light.radius * ring


def _lamp_share(scene: Scene, hits: _Hits, facing: Floats) -> Floats:
    """Share of the lamp that each hit sees, in [0, 1]."""
    start = hits.points + LIFT_M * hits.normals
    lamps = _lamp_points(scene.light)
    blocked = np.zeros((SHADOW_RAYS, len(start)), dtype=bool)
    for thing in scene.objects:
        rotation, center, extent = _placed(thing)
        reach = float(np.linalg.norm(extent)) / 2 + scene.light.radius
        near = np.flatnonzero((facing > 0) & _passes(start, np.array(scene.light.position), center, reach))
        for lamp, found in zip(lamps, blocked, strict=True):
            own, along = _own_axes(rotation, center, extent, start[near], lamp - start[near])
            found[near] |= unit_mesh(thing.shape).blocks(own, along)
    return 1 - blocked.mean(axis=0)


def _passes(start: Floats, end: Floats, center: Floats, radius: float) -> NDArray[np.bool_]:
    """Whether the way from each start to `end` comes within `radius` of `center`."""
    way, off = end - start, center - start
    t = (_dot(way, off) / _dot(way, way)).clip(0, 1)
    miss = off - t[:, None] * way
    return _dot(miss, miss) < radius**2


def _dot(a: Floats, b: Floats) -> Floats:
    """Row by row, shape (n,). (Sums over a short last axis are slow.)"""
    return np.einsum("ij,ij->i", a, b)


def _unit(vectors: Floats) -> Floats:
    return vectors / np.sqrt(np.maximum(_dot(vectors, vectors), 1e-24))[:, None]


def _refine(scene: Scene, camera: Camera, size: Size, color: Floats) -> None:
    """Sample the pixels on edges of `color` four times, in place."""
    edge = np.zeros(color.shape[:2], dtype=bool)
    down, right = (_differ(color, axis) for axis in (0, 1))
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    rows, columns = np.nonzero(edge)
    offsets = np.array([(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)])
    samples = (np.stack([columns, rows], axis=1)[:, None] + offsets).reshape(-1, 2)
    shades = _shade(scene, camera, _cast(scene, camera, samples, size)).reshape(-1, 4, 3)
    color[rows, columns] = (shades**GAMMA).mean(axis=1) ** (1 / GAMMA)


def _differ(color: Floats, axis: int) -> NDArray[np.bool_]:
    far = np.abs(np.diff(color, axis=axis)) > EDGE
    return far[..., 0] | far[..., 1] | far[..., 2]
