"""Shapes: one mesh each, in a unit cube, that `render` casts rays against.

A shape is scaled by an object's size, so its mesh fills the unit cube around the origin: x, y, z in [-0.5, 0.5].
Meshes come from trimesh, ray queries from Embree (embreex); both are built once per process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..lookup import lookup

if TYPE_CHECKING:
    from trimesh import Trimesh

Floats = NDArray[np.float64]

CREASE_DEG = 40.0
"""Faces that meet at a smaller angle are shaded as one smooth surface."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a shape is made and in which proportions it comes.

    mesh: makes the mesh; it is scaled to the unit cube afterwards. height: range of height / width of random objects.
    round: whether its footprint is a circle (turning it changes nothing).
    """

    mesh: Callable[[], Trimesh]
    height: tuple[float, float]
    round: bool = True


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


SHAPES: dict[str, Shape] = {
    "cube": Shape(_cube, (1.0, 1.0), round=False),
    "sphere": Shape(_sphere, (1.0, 1.0)),
    "cylinder": Shape(_cylinder, (0.95, 1.5)),
    "cone": Shape(_cone, (1.0, 1.5)),
    "ring": Shape(_ring, (0.28, 0.28)),
}
"""Shapes of random scenes; the key is the word used in questions."""


@dataclass(frozen=True, slots=True)
class Hits:
    """What n rays hit. t: ray parameter, inf where nothing; normals: outward, own axes, not of unit length."""

    t: Floats
    normals: Floats


class UnitMesh:
    """A mesh in the unit cube, ready for ray queries in its own axes."""

    def __init__(self, mesh: Trimesh) -> None:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        low, high = mesh.bounds
        vertices = (np.asarray(mesh.vertices) - (low + high) / 2) / (high - low)
        self._corner_normals = _corner_normals(vertices, np.asarray(mesh.faces))
        self._scene: Any = EmbreeScene()
        TriangleMesh(scene=self._scene, vertices=vertices.astype(np.float32), indices=mesh.faces.astype(np.int32))

    def cast(self, origins: Floats, directions: Floats) -> Hits:
        """The first hit of each ray; both arrays of shape (n, 3), directions of any length."""
        result = self._scene.run(origins.astype(np.float32), directions.astype(np.float32), output=True)
        hit = result["primID"] >= 0
        t = np.where(hit, result["tfar"].astype(float), np.inf)
        u, v = result["u"][:, None], result["v"][:, None]
        corners = self._corner_normals[np.where(hit, result["primID"], 0)]
        return Hits(t, (1 - u - v) * corners[:, 0] + u * corners[:, 1] + v * corners[:, 2])

    def blocks(self, origins: Floats, directions: Floats) -> NDArray[np.bool_]:
        """Whether the mesh lies between origin and origin + direction, shape (n,)."""
        ends = np.ones(len(origins), dtype=np.float32)
        found = self._scene.run(origins.astype(np.float32), directions.astype(np.float32), dists=ends, query="OCCLUDED")
        return found >= 0


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
    make = _cube if shape == "room" else lookup("shape", shape, SHAPES).mesh
    try:
        return UnitMesh(make())
    except ImportError as error:
        raise InputError(f"scenes need trimesh and embreex ({error}): pip install 'sifthinker[scenes]'") from error
