"""Worlds of one scene seen from one or several cameras.

`one_view` and `several_views` make the `world` of a task. Several views come as one picture, a mosaic, so that one set
of boxes, one depth map and one trace grammar serve them too: view v shows object i in `boxes[v * n + i]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..depth import DepthMap
from ..geometry import Box, Size
from .layout import Plan, sample_scene, too_hidden
from .model import Scene
from .render import View, render

if TYPE_CHECKING:
    from .generate import SceneConfig

Planner = Callable[[Generator, str, int, int], Plan]
"""(rng, aim, fewest, most objects) -> what the question needs of the scene."""

GAP = 2
"""Pixels of white between the views of a mosaic, without depth."""


def any_number(rng: Generator, aim: str, low: int, high: int) -> Plan:
    """A scene of `low` to `high` objects, whatever they are."""
    return Plan(int(rng.integers(low, high + 1)))


def one_view(plan: Planner = any_number) -> Callable[[Generator, str, SceneConfig], View | str]:
    """Worlds of objects on the floor, seen by one camera, every object well visible."""

    def make(rng: Generator, aim: str, config: SceneConfig) -> View | str:
        scene = sample_scene(rng, plan(rng, aim, *config.objects), config.size)
        if isinstance(scene, str):
            return scene
        view = render(scene, config.size)
        return too_hidden(view) or view

    return make


@dataclass(frozen=True, eq=False)
class Views:
    """One scene from several cameras, in one picture: left to right, then the next row, numbered from 1."""

    views: tuple[View, ...]

    @property
    def scene(self) -> Scene:
        """The scene that all views show."""
        return self.views[0].scene

    @property
    def labels(self) -> tuple[str, ...]:
        """The objects' names, once for each view."""
        return self.views[0].labels * len(self.views)

    @cached_property
    def grid(self) -> tuple[int, int]:
        """(columns, rows) of the mosaic."""
        columns = math.ceil(math.sqrt(len(self.views)))
        return columns, math.ceil(len(self.views) / columns)

    @property
    def size(self) -> Size:
        """(width, height) of the mosaic in pixels."""
        (width, height), (columns, rows) = self.views[0].size, self.grid
        return columns * (width + GAP) - GAP, rows * (height + GAP) - GAP

    def _place(self, number: int) -> tuple[int, int]:
        """Left and top pixel of view `number`."""
        (width, height), columns = self.views[0].size, self.grid[0]
        return number % columns * (width + GAP), number // columns * (height + GAP)

    def _tiled(self, tiles: Sequence[NDArray[Any]], fill: Any) -> NDArray[Any]:
        width, height = self.size
        mosaic = np.full((height, width, *tiles[0].shape[2:]), fill, dtype=tiles[0].dtype)
        for number, tile in enumerate(tiles):
            left, top = self._place(number)
            mosaic[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
        return mosaic

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The mosaic, shape (height, width, 3)."""
        return self._tiled([view.image for view in self.views], 255)

    @cached_property
    def depth(self) -> DepthMap:
        """Metric depth of every view, none between them."""
        values = self._tiled([view.depth.values for view in self.views], 0)
        valid = self._tiled([view.depth.valid for view in self.views], False)
        return DepthMap(values, valid, metric=True)

    @cached_property
    def boxes(self) -> tuple[Box | None, ...]:
        """Where each view shows each object, in shares of the mosaic."""
        return tuple(self._box(n, box) for n, view in enumerate(self.views) for box in view.boxes)

    def _box(self, number: int, box: Box | None) -> Box | None:
        if box is None:
            return None
        (width, height), (whole_width, whole_height) = self.views[number].size, self.size
        left, top = self._place(number)
        x0, x1 = ((left + x * width) / whole_width for x in (box.x0, box.x1))
        y0, y1 = ((top + y * height) / whole_height for y in (box.y0, box.y1))
        return Box(x0, y0, x1, y1)

    def frame(self, number: int) -> Box:
        """The place of a whole view in the mosaic."""
        return self._box(number, Box(0.0, 0.0, 1.0, 1.0))  # type: ignore[return-value]

    def to_json(self) -> dict[str, Any]:
        """Inverse: `Views.from_json`."""
        cameras = [self.scene.cameras.index(view.camera) for view in self.views]
        return {"kind": "views", "scene": self.scene.to_json(), "size": list(self.views[0].size), "cameras": cameras}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Views:
        """Render the views of a stored world again."""
        scene, size = Scene.from_json(data["scene"]), (int(data["size"][0]), int(data["size"][1]))
        return cls(tuple(render(scene, size, camera) for camera in data["cameras"]))
