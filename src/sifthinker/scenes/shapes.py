"""Shapes: one mesh each, in a unit cube, that `render` casts rays against.

A shape is scaled by an object's size, so its mesh fills the unit cube around the origin: x, y, z in [-0.5, 0.5], and is
its own mirror image in y. Meshes come from trimesh, ray queries from Embree (embreex); both are built once per process.
What compound shapes look like stands in `furniture` and `street`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..lookup import pick
from . import furniture, street
from .parts import Part

if TYPE_CHECKING:
    from trimesh import Trimesh

Floats = NDArray[np.float64]

CREASE_DEG = 40.0
"""Faces that meet at a smaller angle are shaded as one smooth surface."""


Range = tuple[float, float]

BRIGHT = ("red", "green", "blue", "yellow", "purple", "orange")
FABRIC = (*BRIGHT, "white", "gray", "brown", "pink")
TIMBER = ("red", "green", "blue", "yellow", "white", "gray", "brown", "orange")
CASES = ("red", "blue", "white", "gray", "black", "pink")
PAINT = ("red", "green", "blue", "yellow", "white", "gray", "black", "orange")


@dataclass(frozen=True, slots=True)
class Shape:
    """How a shape is made, and in which sizes and colors it comes.

    mesh: makes the mesh, or the parts of a compound shape; it is scaled to the unit cube afterwards.
    height: range of height / width of random objects, for solids, whose width is drawn for all alike.
    size: ranges of the extents along x, y, z in metres, for all others.
    round: whether its footprint is a circle (turning it changes nothing).
    front: whether its +x side is a front. colors: words for colors it comes in; (): all of `layout.COLORS`.
    holds: whether small things may stand on its top. small: whether it stands on others, not on the floor.
    """

    mesh: Callable[[], Trimesh | list[Part]]
    height: Range = (1.0, 1.0)
    round: bool = False
    size: tuple[Range, Range, Range] | None = None
    front: bool = False
    colors: tuple[str, ...] = ()
    holds: bool = False
    small: bool = False


def _cube() -> Trimesh:
    from trimesh.creation import box

    return box()


def _sphere() -> Trimesh:
    from trimesh.creation import icosphere

    return icosphere(subdivisions=4)


def _cylinder() -> Trimesh:
    from trimesh.creation import cylinder

    return cylinder(radius=0.5, height=1.0, sections=96)


def _cone() -> Trimesh:
    from trimesh.creation import cone

    return cone(radius=0.5, height=1.0, sections=96)


def _ring() -> Trimesh:
    from trimesh.creation import torus

    return torus(major_radius=0.36, minor_radius=0.14, major_sections=96, minor_sections=32)


SOLIDS: dict[str, Shape] = {
    "cube": Shape(_cube),
    "sphere": Shape(_sphere, round=True),
    "cylinder": Shape(_cylinder, (0.95, 1.5), round=True),
    "cone": Shape(_cone, (1.0, 1.5), round=True),
    "ring": Shape(_ring, (0.28, 0.28), round=True),
}


def _thing(mesh: Callable[[], list[Part]], x: Range, y: Range, z: Range, front: bool, colors: tuple[str, ...]) -> Shape:
    return Shape(mesh, size=(x, y, z), front=front, colors=colors)


FURNITURE: dict[str, Shape] = {
    "chair": _thing(furniture.chair, (0.42, 0.52), (0.42, 0.50), (0.85, 1.00), True, FABRIC),
    "armchair": _thing(furniture.armchair, (0.80, 0.92), (0.82, 0.98), (0.85, 1.00), True, FABRIC),
    "sofa": _thing(furniture.sofa, (0.85, 1.00), (1.65, 2.20), (0.78, 0.90), True, FABRIC),
    "bed": _thing(furniture.bed, (2.00, 2.15), (1.20, 1.70), (0.90, 1.10), True, FABRIC),
    "desk": replace(_thing(furniture.desk, (0.65, 0.80), (1.30, 1.60), (0.72, 0.77), True, TIMBER), holds=True),
    "bookcase": _thing(furniture.bookcase, (0.28, 0.36), (0.80, 1.10), (1.45, 1.90), True, TIMBER),
    "cabinet": replace(_thing(furniture.cabinet, (0.42, 0.52), (0.80, 1.20), (0.80, 1.05), True, TIMBER), holds=True),
    "television": _thing(furniture.television, (0.30, 0.34), (1.00, 1.35), (0.85, 1.05), True, CASES),
    "table": replace(_thing(furniture.table, (0.80, 1.00), (1.30, 1.70), (0.70, 0.77), False, TIMBER), holds=True),
    "stool": _thing(furniture.stool, (0.36, 0.44), (0.36, 0.44), (0.45, 0.60), False, TIMBER),
    "lamp": _thing(furniture.lamp, (0.40, 0.50), (0.40, 0.50), (1.35, 1.65), False, BRIGHT),
    "plant": _thing(
        furniture.plant, (0.50, 0.65), (0.50, 0.65), (0.80, 1.10), False, ("red", "white", "blue", "brown")
    ),
    "laptop": replace(_thing(furniture.laptop, (0.28, 0.32), (0.32, 0.38), (0.22, 0.26), True, CASES), small=True),
    "monitor": replace(_thing(furniture.monitor, (0.18, 0.22), (0.52, 0.68), (0.42, 0.52), True, CASES), small=True),
    "vase": replace(_thing(furniture.vase, (0.18, 0.24), (0.18, 0.24), (0.28, 0.38), False, BRIGHT), small=True),
}

VEHICLES: dict[str, Shape] = {
    "car": _thing(street.car, (4.0, 4.7), (1.75, 1.90), (1.40, 1.55), True, PAINT),
    "truck": _thing(street.truck, (6.2, 7.4), (2.35, 2.50), (2.90, 3.20), True, PAINT),
    "bus": _thing(street.bus, (8.5, 9.5), (2.45, 2.55), (3.00, 3.20), True, PAINT),
    "motorcycle": _thing(street.motorcycle, (1.95, 2.15), (0.70, 0.80), (1.00, 1.10), True, PAINT),
    "person": _thing(street.person, (0.30, 0.34), (0.60, 0.68), (1.60, 1.90), True, FABRIC),
    "traffic cone": _thing(street.traffic_cone, (0.40, 0.46), (0.40, 0.46), (0.70, 0.80), False, ("orange", "red")),
    "barrier": _thing(street.barrier, (0.55, 0.62), (1.70, 2.00), (0.95, 1.05), False, ("red", "orange", "yellow")),
}

POOLS: dict[str, dict[str, Shape]] = {"solids": SOLIDS, "furniture": FURNITURE, "vehicles": VEHICLES}
"""Shapes that random scenes are drawn from together."""

SHAPES: dict[str, Shape] = SOLIDS | FURNITURE | VEHICLES
"""All shapes; the key is the word used in questions."""


@dataclass(frozen=True, slots=True)
class Hits:
    """What n rays hit. t: ray parameter, inf where nothing; normals: outward, own axes, not of unit length;
    tones: share of the object's own color and fixed color, shape (n, 4); None: the object's color everywhere."""

    t: Floats
    normals: Floats
    tones: Floats | None


class UnitMesh:
    """A mesh in the unit cube, ready for ray queries in its own axes.

    vertices: shape (v, 3). faces: shape (f, 3). corner_normals: of each corner of each face, shape (f, 3, 3).
    tones: of each face, as in `Hits`, or None.
    """

    def __init__(self, mesh: Trimesh | list[Part]) -> None:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        vertices, self.faces, self.tones = _joined(mesh)
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        self.vertices = (vertices - (low + high) / 2) / (high - low)
        self.corner_normals = _corner_normals(self.vertices, self.faces)
        self._scene: Any = EmbreeScene()
        TriangleMesh(scene=self._scene, vertices=self.vertices.astype(np.float32), indices=self.faces.astype(np.int32))

    def cast(self, origins: Floats, directions: Floats) -> Hits:
        """The first hit of each ray; both arrays of shape (n, 3), directions of any length."""
        result = self._scene.run(origins.astype(np.float32), directions.astype(np.float32), output=True)
        hit = result["primID"] >= 0
        t = np.where(hit, result["tfar"].astype(float), np.inf)
        u, v = result["u"][:, None], result["v"][:, None]
        face = np.where(hit, result["primID"], 0)
        corners = self.corner_normals[face]
        normals = (1 - u - v) * corners[:, 0] + u * corners[:, 1] + v * corners[:, 2]
        return Hits(t, normals, None if self.tones is None else self.tones[face])

    def blocks(self, origins: Floats, directions: Floats) -> NDArray[np.bool_]:
        """Whether the mesh lies between origin and origin + direction, shape (n,)."""
        ends = np.ones(len(origins), dtype=np.float32)
        found = self._scene.run(origins.astype(np.float32), directions.astype(np.float32), dists=ends, query="OCCLUDED")
        return found >= 0


def _joined(mesh: Trimesh | list[Part]) -> tuple[Floats, NDArray[np.int64], Floats | None]:
    """Vertices, faces and the tone of each face of a mesh or of all parts together."""
    if not isinstance(mesh, list):
        return np.asarray(mesh.vertices), np.asarray(mesh.faces), None
    first = np.cumsum([0, *(len(part.mesh.vertices) for part in mesh)])
    return (
        np.concatenate([part.mesh.vertices for part in mesh]),
        np.concatenate([part.mesh.faces + start for part, start in zip(mesh, first, strict=False)]),
        np.concatenate([np.tile(part.tone, (len(part.mesh.faces), 1)) for part in mesh]),
    )


def _corner_normals(vertices: Floats, faces: NDArray[Any]) -> Floats:
    """A normal for each corner of each face, shape (f, 3, 3): averaged over the faces there, but not across creases."""
    cross = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    unit = cross / np.linalg.norm(cross, axis=1, keepdims=True)
    corners = faces.ravel()
    order = np.argsort(corners, kind="stable")
    valence = np.bincount(corners, minlength=len(vertices))
    start = np.cumsum(valence) - valence
    # Every pair (corner, face around the same vertex), flat.
    corner = np.repeat(np.arange(len(corners)), valence[corners])
    nth = np.arange(len(corner)) - np.repeat(np.cumsum(valence[corners]) - valence[corners], valence[corners])
    face = order[start[corners[corner]] + nth] // 3
    smooth = (unit[face] * unit[corner // 3]).sum(axis=1) > np.cos(np.radians(CREASE_DEG))
    normals = np.zeros((len(corners), 3))
    np.add.at(normals, corner[smooth], cross[face[smooth]])
    return (normals / np.linalg.norm(normals, axis=1, keepdims=True)).reshape(*faces.shape, 3)


@cache
def unit_mesh(shape: str) -> UnitMesh:
    """The unit mesh of a shape (or of "room", a box), made once per process.

    Raises `InputError` for an unknown shape and when trimesh or embreex are not installed.
    """
    make = _cube if shape == "room" else pick("shape", shape, SHAPES).mesh
    try:
        return UnitMesh(make())
    except ImportError as error:
        raise InputError(f"scenes need trimesh and embreex ({error}): pip install 'sifthinker[scenes]'") from error
