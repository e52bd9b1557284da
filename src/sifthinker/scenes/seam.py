"""Panoramas turned on purpose: their left and right edges, which meet behind the camera, may cut an object in two.

A thing that is cut has two boxes: `boxes[i]` at the left edge and `boxes[n + i]` at the right edge, of n objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..bfov import Bfov, mask_bfov, wrapped
from ..depth import DepthMap
from ..geometry import Box
from .around import AROUND, MARGIN_DEG
from .layout import tidy, too_hidden
from .model import FULL_TURN, Camera, turn
from .render import View, render
from .task import MakeWorld
from .views import Planner, any_number, panorama

if TYPE_CHECKING:
    from .generate import SceneConfig

SEAM_DEG = 5.0
"""Each part of a cut object is at least so wide; everything else keeps so far from the seam."""
SHIFT = 0.25
"""The seam cuts an object at its middle, give or take this share of its width."""


@dataclass(frozen=True, eq=False)
class SeamView:
    """A panorama; its things are the objects, and once more the objects for the parts at the right edge."""

    view: View

    @property
    def image(self) -> NDArray[np.uint8]:
        """The panorama, twice as wide as high."""
        return self.view.image

    @property
    def depth(self) -> DepthMap:
        """Distances from the camera, metres."""
        return self.view.depth

    @property
    def labels(self) -> tuple[str, ...]:
        """The objects' names, twice."""
        return self.view.labels * 2

    @cached_property
    def fields(self) -> tuple[Bfov | None, ...]:
        """The field around the visible pixels of each object, whether cut or not; None where nothing is seen."""
        return tuple(mask_bfov(self.view.instances == i) for i in range(len(self.view.labels)))

    def reaches(self, thing: int) -> tuple[float, float]:
        """Degrees that an object reaches into the picture from the left edge, and from the right edge, when it is cut.

        The smaller of both is negative for an object that is not cut: how far it stays away from the seam.
        """
        field = self.fields[thing]
        if field is None:
            return -FULL_TURN, -FULL_TURN
        behind = wrapped(field.yaw - FULL_TURN / 2)
        return field.width / 2 + behind, field.width / 2 - behind

    def parts(self, thing: int) -> tuple[int, ...]:
        """Indices in `boxes` of an object: one, or its two parts."""
        return (thing, thing + len(self.view.labels)) if self.cut(thing) else (thing,)

    def cut(self, thing: int) -> bool:
        """Whether the seam goes through an object's pixels."""
        return min(self.reaches(thing)) > 1e-6

    @property
    def boxes(self) -> tuple[Box | None, ...]:
        """Where each object is: all of it, or its part at the left edge; then its part at the right edge."""
        return self._boxes

    @cached_property
    def _boxes(self) -> tuple[Box | None, ...]:
        parts = [self._parts(i) for i in range(len(self.view.labels))]
        return (*(left for left, _ in parts), *(right for _, right in parts))

    def _parts(self, thing: int) -> tuple[Box | None, Box | None]:
        if not self.cut(thing):
            return self.view.boxes[thing], None
        mask = self.view.instances == thing
        middle = mask.shape[1] // 2
        return _box(mask, 0, middle), _box(mask, middle, mask.shape[1])

    def to_json(self) -> dict[str, Any]:
        """Inverse: `SeamView.from_json`."""
        return self.view.to_json() | {"kind": "seam"}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SeamView:
        """Render a stored panorama again."""
        return cls(View.from_json(data))


def _box(mask: NDArray[np.bool_], start: int, end: int) -> Box:
    """The pixels of a mask between two columns, as a unit box of the whole picture."""
    rows, columns = np.nonzero(mask[:, start:end])
    height, width = mask.shape
    left, right = columns.min() + start, columns.max() + 1 + start
    return Box(left / width, rows.min() / height, right / width, (rows.max() + 1) / height)


def turned_panorama(plan: Planner = any_number, at_least: int = 1) -> MakeWorld:
    """Panoramas (`SeamView`) as `views.panorama` makes them, turned as the aim asks for.

    A word of `around.AROUND`: an object is in that direction. Beginning with "cut": the seam goes through an object.
    Any other aim: the seam keeps away from all objects.
    """
    whole = panorama(plan, at_least)

    def make(rng: Generator, aim: str, config: SceneConfig) -> SeamView | str:
        view = whole(rng, aim, config)
        if isinstance(view, str):
            return view
        assert isinstance(view, View)
        world = SeamView(view)
        if aim in AROUND:
            right = _toward(rng, world, aim)
        else:
            seam = _through(rng, world) if aim.startswith("cut") else _between(rng, world.fields)
            right = None if seam is None else seam - FULL_TURN / 2
        if right is None:
            return "no way to turn"
        moved = render(replace(view.scene, cameras=(turned(view.camera, right),)), view.size)
        hidden = too_hidden(moved)
        return hidden if hidden is not None else SeamView(moved)

    return make


def turned(camera: Camera, right_deg: float) -> Camera:
    """A camera turned to the right about the vertical axis."""
    rows = np.asarray(camera.rotation) @ turn(-right_deg).T
    axes = tuple(tuple(float(v) for v in row) for row in rows)
    return tidy(replace(camera, rotation=axes))  # type: ignore[arg-type]


def _toward(rng: Generator, world: SeamView, aim: str) -> float | None:
    """Degrees to turn to the right so that some object is in the direction of the aim."""
    yaws = [field.yaw for field in world.fields if field is not None]
    if not yaws:
        return None
    within = 360 / len(AROUND) / 2 - MARGIN_DEG - 1
    return yaws[rng.integers(len(yaws))] - 45 * AROUND.index(aim) - rng.uniform(-within, within)


def _through(rng: Generator, world: SeamView) -> float | None:
    """A yaw that cuts one object well within."""
    wide = [field for field in world.fields if field is not None and field.width * (0.5 - SHIFT) > SEAM_DEG]
    if not wide:
        return None
    field = wide[rng.integers(len(wide))]
    return field.yaw + rng.uniform(-SHIFT, SHIFT) * field.width


def _between(rng: Generator, fields: Sequence[Bfov | None]) -> float | None:
    """A yaw between two neighbors."""
    known = sorted((f for f in fields if f is not None), key=lambda f: f.yaw)
    gaps = []
    for field, following in zip(known, [*known[1:], *known[:1]], strict=True):
        start = field.yaw + field.width / 2 + SEAM_DEG
        gap = (following.yaw - field.yaw) % FULL_TURN - (field.width + following.width) / 2 - 2 * SEAM_DEG
        if gap > 0 and len(known) > 1:
            gaps.append((start, gap))
    if not gaps:
        return None
    start, gap = gaps[rng.integers(len(gaps))]
    return start + rng.uniform(0, 1) * gap
