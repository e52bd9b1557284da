"""The same scene with light that bounces: path tracing by mitsuba (`pip install 'sifthinker[photoreal]'`).

A photo is slow (seconds rather than milliseconds), and noise in it is smoothed. Depth, masks and boxes stay those of
`render`, which the meshes and cameras here agree with (a test holds this). The lamp is as bright at the objects as
`render` has it; light from everywhere comes from a ceiling (or sky) that glows, and from bounces.

Patterns of wood and fabric are laid over the picture, so they are seen but do not color what bounces off them.

Left out: cameras with unequal focal lengths across and down.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..geometry import Size
from ..lookup import pick
from .model import FULL_TURN, Camera, Floats, Room, Scene, SceneObject, turn
from .render import FADE_M, GAMMA, MATERIALS, TEXTURES
from .shapes import unit_mesh

VARIANT = "scalar_rgb"
"""The variant of mitsuba: no compiler and no GPU."""
SAMPLES = 36
"""Light paths for each pixel."""
BOUNCES = 4
EXPOSURE, GLOW = 1.0, 1.5
"""Factors on the lamp and on the light from everywhere, which leave room for what bounces add."""
ROUGH = {"matte": None, "rubber": None, "wood": None, "fabric": None, "glossy": 0.08, "metal": 0.18}
"""Roughness of the reflecting layer of each material; None: no such layer."""
LAYERS = "albedo:albedo,normal:sh_normal,position:position,shape:shape_index"
KERNEL = (1.0, 4.0, 6.0, 4.0, 1.0)
SPREADS = (1, 2, 4)
"""Smoothing: distances in pixels of the neighbors that are averaged, pass by pass."""
PLANE_SHARE = 0.01
"""Smoothing: neighbors count if they are this close to the pixel's plane, as a share of their distance."""
NEAR_M = 1e-3
"""What is nearer to the camera is cut off, and the distances of `photo_layers` start here."""
FLOOR_PX, FLOOR_PX_PER_M = 2048, 64
"""The picture of the floor: its longest side, and its pixels for each metre, at most."""


def render_photo(scene: Scene, size: Size, camera: int = 0, samples: int = SAMPLES, seed: int = 0) -> NDArray[np.uint8]:
    """The photo of a scene as one of its cameras sees it, uint8 of shape (height, width, 3).

    size: (width, height) in pixels. samples: light paths for each pixel; noise falls with their square root. The same
    seed gives the same photo. Panoramas are put together from six square photos.
    Raises `InputError` when mitsuba is missing, and for what the module leaves out.
    """
    mi = _mitsuba()
    eye = scene.cameras[camera]
    made = _scene(mi, scene, {"type": "aov", "aovs": LAYERS, "photo": {"type": "path", "max_depth": BOUNCES}})
    photo = _around if eye.panorama else _photo
    light = photo(mi, made, scene, eye, size, samples, seed)
    return np.rint(light.clip(0, 1) ** (1 / GAMMA) * 255).astype(np.uint8)


def photo_layers(scene: Scene, size: Size, camera: int = 0, samples: int = 16) -> tuple[Floats, Floats]:
    """What mitsuba sees behind each pixel of a pinhole camera, two arrays of shape (height, width).

    The distance in metres along the ray (not z-depth), a mean over the pixel; the index of the object there, -1 the
    room, nan where several surfaces share the pixel.
    """
    mi = _mitsuba()
    sensor = _sensor(mi, scene.cameras[camera], size, samples)
    made = _scene(mi, scene, {"type": "aov", "aovs": "depth:depth,shape:shape_index"})
    layers = np.array(mi.render(made, sensor=mi.load_dict(sensor)), dtype=float)
    return layers[..., -2], _objects(made, layers[..., -1])


def _objects(made: Any, shape: Floats) -> Floats:
    """The index of the object behind each pixel; -1 the room, nan where several surfaces share the pixel."""
    # Shapes are numbered in an order of mitsuba's own, from 1; 0 is nothing at all.
    names = ["", *(str(shape.id()) for shape in made.shapes())]
    table = np.array([int(name.split("_")[1]) if name.startswith("object_") else -1 for name in names])
    whole = np.isclose(shape, np.rint(shape), atol=1e-4)
    return np.where(whole, table[np.rint(shape).astype(int).clip(0, len(table) - 1)], np.nan)


def _mitsuba() -> Any:
    try:
        import mitsuba
    except ImportError as error:
        raise InputError(f"photos need mitsuba ({error}): pip install 'sifthinker[photoreal]'") from error
    if mitsuba.variant() != VARIANT:
        mitsuba.set_variant(VARIANT)
        mitsuba.set_log_level(mitsuba.LogLevel.Error)
    return mitsuba


def _scene(mi: Any, scene: Scene, integrator: dict[str, Any]) -> Any:
    """mitsuba's scene, without a camera."""
    parts: dict[str, Any] = {"type": "scene", "integrator": integrator, "lamp": _lamp(scene)}
    for index, thing in enumerate(scene.objects):
        parts |= {f"object_{index}_{n}": mesh for n, mesh in enumerate(_meshes(mi, thing, index))}
    return mi.load_dict(parts | _room(mi, scene.room, GLOW * scene.light.ambient))


def _photo(mi: Any, made: Any, scene: Scene, eye: Camera, size: Size, samples: int, seed: int) -> Floats:
    """Linear light without most of its noise, shape (height, width, 3)."""
    sensor = mi.load_dict(_sensor(mi, eye, size, samples))
    layers = np.array(mi.render(made, sensor=sensor, seed=seed), dtype=float)
    light, albedo, normals, points = (layers[..., 3 * n : 3 * n + 3] for n in range(4))
    light = _smoothed(light, albedo, normals, points, np.asarray(eye.position))
    return light * _patterns(scene, _objects(made, layers[..., 12]), points)[..., None]


def _patterns(scene: Scene, owner: Floats, points: Floats) -> Floats:
    """How much lighter or darker the patterns of materials make each pixel, in linear light, shape (height, width)."""
    factors = np.ones(owner.shape)
    for index, thing in enumerate(scene.objects):
        if (pattern := MATERIALS[thing.material].pattern) is not None:
            mine = owner == index
            factors[mine] = pattern((points[mine] - thing.position) @ thing.rotation) ** GAMMA
    return factors


def _smoothed(light: Floats, albedo: Floats, normals: Floats, points: Floats, eye: Floats) -> Floats:
    """Light averaged over neighbors on the same surface that are lit alike; colors and edges stay sharp.

    The edge-avoiding wavelet filter of Dammertz et al., "Edge-Avoiding A-Trous Wavelet Transform for fast Global
    Illumination Filtering" (2010), on light divided by the surface's color.
    """
    from scipy.ndimage import median_filter, uniform_filter

    # What glows has no color of its own to divide by, pixels on edges have several; they are left as they are.
    tint = albedo + 0.02
    left = (albedo.mean(axis=-1) < 0.02) | (np.linalg.norm(normals, axis=-1) < 0.97)
    falls = np.where(left[..., None], 0.0, light / tint)
    # A path that found the lamp by chance is no brighter than thrice what is usual around it.
    falls = np.minimum(falls, 3 * median_filter(falls, (3, 3, 1)) + 0.05)
    reach = PLANE_SHARE * np.linalg.norm(points - eye, axis=-1) + 1e-6
    height, width = light.shape[:2]
    rows, columns = np.indices((height, width))
    for spread in SPREADS:
        level = np.log(uniform_filter(falls.mean(axis=-1), 3) + 0.05)
        total, weights = np.zeros_like(falls), np.zeros(falls.shape[:2])
        for down, right in np.ndindex(5, 5):
            at = (
                (rows + (down - 2) * spread).clip(0, height - 1),
                (columns + (right - 2) * spread).clip(0, width - 1),
            )
            off = np.abs(((points[at] - points) * normals).sum(axis=-1)) / (reach * spread)
            turned = ((normals[at] - normals) ** 2).sum(axis=-1) / 0.02
            weight = np.exp(-off - turned - ((level[at] - level) / 0.25) ** 2) * KERNEL[down] * KERNEL[right]
            weight *= ~left[at]
            total += weight[..., None] * falls[at]
            weights += weight
        falls = total / np.maximum(weights, 1e-12)[..., None]
    return np.where(left[..., None], light, falls * tint)


# --- cameras -----------------------------------------------------------------------------------------------------


def _sensor(mi: Any, eye: Camera, size: Size, samples: int) -> dict[str, Any]:
    if eye.aspect != 1.0:
        raise InputError(f"photos need equal focal lengths across and down, this camera has aspect {eye.aspect}")
    pose = np.eye(4)
    right, down, forward = np.asarray(eye.rotation)
    # mitsuba's camera has +x left, +y up, +z forward.
    pose[:3, :3], pose[:3, 3] = np.stack([-right, -down, forward], axis=1), eye.position
    return {
        "type": "perspective",
        "fov": eye.fov_deg,
        "fov_axis": "x",
        "principal_point_offset_x": eye.center[0] - 0.5,
        "principal_point_offset_y": eye.center[1] - 0.5,
        "near_clip": NEAR_M,
        "far_clip": 1000.0,
        "to_world": mi.ScalarTransform4f(pose),
        "film": {
            "type": "hdrfilm",
            "width": size[0],
            "height": size[1],
            "rfilter": {"type": "box"},
            "pixel_format": "rgb",
        },
        "sampler": {"type": "multijitter", "sample_count": samples},
    }


def _around(mi: Any, made: Any, scene: Scene, eye: Camera, size: Size, samples: int, seed: int) -> Floats:
    """A panorama, out of six photos of 90 degrees: the four sides, up and down."""
    side = max(math.ceil(size[0] / FULL_TURN * 90.0 * 1.4), 8)
    right, down, forward = np.asarray(eye.rotation)
    axes = [
        (right, down, forward),
        (-forward, down, right),
        (-right, down, -forward),
        (forward, down, -right),
        (right, forward, -down),
        (right, -forward, down),
    ]
    columns, rows = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    rays = eye.rays(np.stack([columns.ravel(), rows.ravel()], axis=1), size) @ np.asarray(eye.rotation)
    ahead = np.array([rays @ face[2] for face in axes])
    light = np.zeros((len(rays), 3))
    for number, face in enumerate(axes):
        mine = np.flatnonzero(ahead.argmax(axis=0) == number)
        rotation = tuple(tuple(axis.tolist()) for axis in face)
        part = Camera(eye.position, rotation, 90.0)  # type: ignore[arg-type]
        photo = _photo(mi, made, scene, part, (side, side), samples, seed + number)
        places = part.project(np.asarray(eye.position) + rays[mine], (side, side)) - 0.5
        light[mine] = _between(photo, places)
    return light.reshape(size[1], size[0], 3)


def _between(photo: Floats, places: Floats) -> Floats:
    """Bilinear samples of a square photo, shape (n, 3)."""
    places = places.clip(0, len(photo) - 1.001)
    x, y = np.floor(places).astype(int).T
    u, v = (places % 1.0).T[:, :, None]
    above = (1 - u) * photo[y, x] + u * photo[y, x + 1]
    below = (1 - u) * photo[y + 1, x] + u * photo[y + 1, x + 1]
    return (1 - v) * above + v * below


# --- things ------------------------------------------------------------------------------------------------------


def _tones(thing: SceneObject) -> Floats:
    """The tones that an object's parts come in, shape (n, 4)."""
    tones = unit_mesh(thing.shape).tones
    return np.array([[1.0, 0.0, 0.0, 0.0]]) if tones is None else np.unique(tones, axis=0)


def _meshes(mi: Any, thing: SceneObject, index: int) -> list[Any]:
    """One mesh for each tone of an object, in the world, with the normals that `render` shades with."""
    mesh = unit_mesh(thing.shape)
    corners = mesh.vertices[mesh.faces] * thing.size @ thing.rotation.T + thing.position
    normals = mesh.corner_normals / thing.size @ thing.rotation.T
    made = []
    for tone in _tones(thing):
        mine = slice(None) if mesh.tones is None else (mesh.tones == tone).all(axis=1)
        color = tone[0] * np.array(thing.rgb) + tone[1:]
        made.append(_mesh(mi, f"object_{index}", corners[mine], normals[mine], _surface(thing.material, color)))
    return made


def _mesh(mi: Any, name: str, corners: Floats, normals: Floats, surface: dict[str, Any]) -> Any:
    """A mesh of triangles, shape (f, 3, 3), each with vertices of its own."""
    properties = mi.Properties()
    properties.set_id(name)
    properties["surface"] = mi.load_dict({"type": "twosided", "bsdf": surface})
    count = 3 * len(corners)
    mesh = mi.Mesh(name, count, len(corners), properties, has_vertex_normals=True)
    values = mi.traverse(mesh)
    unit = normals / np.linalg.norm(normals, axis=-1, keepdims=True)
    values["vertex_positions"] = corners.astype(np.float32).ravel()
    values["vertex_normals"] = unit.astype(np.float32).ravel()
    values["faces"] = np.arange(count, dtype=np.uint32)
    values.update()
    return mesh


def _rgb(color: Floats) -> dict[str, Any]:
    """An sRGB color as linear reflectance."""
    return {"type": "rgb", "value": (np.asarray(color).clip(0, 1) ** GAMMA).tolist()}


def _surface(material: str, color: Floats) -> dict[str, Any]:
    rough = ROUGH[pick("material", material, {name: name for name in MATERIALS})]
    if rough is None:
        return {"type": "diffuse", "reflectance": _rgb(color)}
    if MATERIALS[material].tinted:
        return {"type": "roughconductor", "alpha": rough, "specular_reflectance": _rgb(color), "material": "none"}
    return {"type": "roughplastic", "alpha": rough, "diffuse_reflectance": _rgb(color)}


def _room(mi: Any, room: Room, glow: float) -> dict[str, Any]:
    """The floor with its texture, walls, and a ceiling that glows but takes no light, since a lamp close to it would
    make it so bright that few light paths find it and photos are speckled."""
    ceiling = {
        "type": "rectangle",
        "to_world": _lying(mi, room, room.size[2], down=True),
        "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.0}},
        "emitter": {"type": "area", "radiance": {"type": "rgb", "value": (glow * np.array(room.wall_rgb)).tolist()}},
    }
    floor = {
        "type": "rectangle",
        "to_world": _lying(mi, room, 0.0),
        "bsdf": {"type": "diffuse", "reflectance": {"type": "bitmap", "bitmap": _floor(mi, room), "raw": True}},
    }
    box = unit_mesh("room")
    corners = box.vertices[box.faces]
    sides = ~((corners[:, :, 2] < 0).all(axis=1) | (corners[:, :, 2] > 0).all(axis=1))
    middle = np.array([*room.center, room.size[2] / 2])
    world = corners[sides] * room.size @ turn(room.yaw_deg).T + middle
    normals = np.repeat(np.cross(world[:, 1] - world[:, 0], world[:, 2] - world[:, 0])[:, None], 3, axis=1)
    walls = _mesh(mi, "room", world, normals, _surface("matte", np.array(room.wall_rgb)))
    return {"room_floor": floor, "room_ceiling": ceiling, "room_walls": walls}


def _lying(mi: Any, room: Room, height: float, down: bool = False) -> Any:
    """Where a square of side 2 lies as floor or, face down, as ceiling."""
    pose = np.eye(4)
    side = -1.0 if down else 1.0
    pose[:3, :3] = turn(room.yaw_deg) * (room.size[0] / 2, side * room.size[1] / 2, side)
    pose[:3, 3] = *room.center, height
    return mi.ScalarTransform4f(pose)


def _floor(mi: Any, room: Room) -> Any:
    """The floor's linear reflectance as a bitmap, its first row at the far end of the room's own y."""
    scale = min(FLOOR_PX / max(room.size[:2]), FLOOR_PX_PER_M)
    columns, rows = (max(int(side * scale), 1) for side in room.size[:2])
    x = ((np.arange(columns) + 0.5) / columns - 0.5) * room.size[0]
    y = (0.5 - (np.arange(rows) + 0.5) / rows) * room.size[1]
    along, across = np.meshgrid(x, y)
    shade = TEXTURES[room.texture](along.ravel(), (-across if room.mirrored else across).ravel())
    color = (shade[:, None] * np.array(room.floor_rgb)).clip(0, 1) ** GAMMA
    return mi.Bitmap(color.reshape(rows, columns, 3).astype(np.float32))


def _lamp(scene: Scene) -> dict[str, Any]:
    """A glowing ball, as bright at the middle of the objects as the renderer's lamp."""
    light = scene.light
    middle = (
        np.mean([o.position for o in scene.objects], axis=0) if scene.objects else np.array([*scene.room.center, 0.0])
    )
    square = float(((np.asarray(light.position) - middle) ** 2).sum())
    lit = EXPOSURE * 1.6 * light.power / (1 + square / FADE_M**2)
    return {
        "type": "sphere",
        "center": list(light.position),
        "radius": light.radius,
        "emitter": {"type": "area", "radiance": {"type": "rgb", "value": lit * square / light.radius**2}},
    }
