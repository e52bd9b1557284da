"""What compound shapes are put together from: parts in metres, each with its tone.

A shape's parts are built the way the thing stands: +x is its front, z up, the floor at 0. Every shape is its own mirror
image in y, so that `model.mirrored` is exact for scenes of any shapes. The lists stand in `furniture` and `street`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from trimesh import Trimesh


class Tone(NamedTuple):
    """The color of a part: share `keep` of the object's own sRGB color, plus a fixed color."""

    keep: float = 1.0
    red: float = 0.0
    green: float = 0.0
    blue: float = 0.0


class Part(NamedTuple):
    """A mesh and its tone."""

    mesh: Trimesh
    tone: Tone = Tone()


OWN = Tone()
SHADED = Tone(0.72)
PALE = Tone(0.55, 0.42, 0.42, 0.42)
WOOD = Tone(0.0, 0.50, 0.34, 0.20)
DARK = Tone(0.0, 0.11, 0.11, 0.12)
GLASS = Tone(0.0, 0.16, 0.20, 0.25)
WHITE = Tone(0.0, 0.93, 0.92, 0.90)
STEEL = Tone(0.0, 0.62, 0.63, 0.66)
LEAF = Tone(0.0, 0.16, 0.45, 0.17)


def block(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], tone: Tone = OWN) -> Part:
    """A box from its ranges along x, y and z."""
    from trimesh.creation import box

    return Part(box(bounds=np.array([x, y, z]).T), tone)


def both(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], tone: Tone = OWN) -> list[Part]:
    """A box and its mirror image in y."""
    return [block(x, y, z, tone), block(x, (-y[1], -y[0]), z, tone)]


def legs(x: float, y: float, height: float, side: float = 0.05, tone: Tone = OWN) -> list[Part]:
    """Four legs whose outer edges are at +-x and +-y."""
    return [part for a in ((x - side, x), (-x, side - x)) for part in both(a, (y - side, y), (0.0, height), tone)]


def hull(points: Sequence[tuple[float, float, float]], tone: Tone = OWN) -> Part:
    """The convex hull of points and their mirror images in y."""
    from trimesh.convex import convex_hull

    half = np.array(points, dtype=float)
    return Part(convex_hull(np.concatenate([half, half * (1, -1, 1)])), tone)


def lathe(profile: Sequence[tuple[float, float]], tone: Tone = OWN, at: tuple[float, float] = (0.0, 0.0)) -> Part:
    """A profile of (radius, height), bottom to top, turned about the vertical axis through `at`."""
    from trimesh.creation import revolve

    mesh = revolve(np.array(profile, dtype=float), sections=48)
    mesh.apply_translation((*at, 0.0))
    return Part(mesh, tone)


def wheel(x: float, y: float, radius: float, width: float) -> list[Part]:
    """A wheel on the ground whose outer side is at +y, its hub, and the same at -y."""
    return [
        *(_disk(x, radius, radius, (a, b), DARK) for a, b in ((y - width, y), (-y, width - y))),
        *(_disk(x, radius, radius * 0.55, (a, b), STEEL) for a, b in ((y - width, y + 0.01), (-y - 0.01, width - y))),
    ]


def _disk(x: float, z: float, radius: float, y: tuple[float, float], tone: Tone) -> Part:
    from trimesh.creation import cylinder

    return Part(cylinder(radius=radius, segment=[(x, y[0], z), (x, y[1], z)], sections=32), tone)


def ball(center: tuple[float, float, float], radii: tuple[float, float, float], tone: Tone = OWN) -> Part:
    """An ellipsoid."""
    from trimesh.creation import icosphere

    mesh = icosphere(subdivisions=3)
    mesh.apply_scale(radii)
    mesh.apply_translation(center)
    return Part(mesh, tone)
