"""Worlds of one scene seen from one or several cameras.

`one_view`, `several_views` and `panorama` make the `world` of a task. Several views come as one picture, a mosaic, so
that one set of boxes, one depth map and one trace grammar serve them too: view v shows object i in `boxes[v * n + i]`.
Where the cameras stand is said in `patterns`.
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
from ..lookup import pick
from .layout import MIN_VISIBLE, Plan, place, sample_scene, too_hidden
from .model import Scene
from .patterns import AROUND, PATTERNS, around
from .render import View, render
from .splits import SPLITS
from .task import MakeWorld

if TYPE_CHECKING:
    from .generate import SceneConfig

Planner = Callable[[Generator, str, int, int], Plan]
"""(rng, aim, fewest, most objects) -> what the question needs of the scene."""

SEEN = 0.1
"""Every object of several views is visible by this fraction in one of them at least."""
GAP = 2
"""Pixels of white between the views of a mosaic, without depth."""


def any_number(rng: Generator, aim: str, low: int, high: int) -> Plan:
    """A scene of `low` to `high` objects, whatever they are."""
    return Plan(int(rng.integers(low, high + 1)))


def one_view(plan: Planner = any_number, at_least: int = 1) -> MakeWorld:
    """Worlds of objects on the floor, seen by one camera, every object well visible.

    at_least: fewest objects of a scene, even where the configuration asks for less.
    """

    def make(rng: Generator, aim: str, config: SceneConfig) -> View | str:
        wanted = plan(rng, aim, *_range(config, at_least))
        if config.split:
            wanted = SPLITS[config.split].plan(wanted, rng)
        scene = sample_scene(rng, wanted, config.size)
        if isinstance(scene, str):
            return scene
        view = render(scene, config.size)
        return too_hidden(view, wanted.limits.visible) or view

    return make


def several_views(pattern: str, count: int, plan: Planner = any_number, at_least: int = 1) -> MakeWorld:
    """Worlds (`Views`) of objects on the floor, seen by `count` cameras.

    pattern: a key of `patterns.PATTERNS`. Every object is wholly in frame of one camera at least and visible there by
    `SEEN` or more; patterns that share have an object that all cameras see well. at_least: as in `one_view`.
    Views are numbered at random: their numbers must not tell where they were taken.
    """
    chosen = pick("pattern", pattern, PATTERNS)

    def make(rng: Generator, aim: str, config: SceneConfig) -> Views | str:
        wanted = plan(rng, aim, *_range(config, at_least))
        drawn = chosen.cameras(rng, wanted.stage, count, aim)
        eyes = [drawn[i] for i in rng.permutation(count)]
        scene = place(rng, wanted, eyes, config.size, chosen.shared, chosen.wide)
        if isinstance(scene, str):
            return scene
        views = Views(tuple(render(scene, config.size, number) for number in range(count)))
        return views.unseen(SEEN) or (views.apart(MIN_VISIBLE) if chosen.shared else None) or views

    return make


def panorama(plan: Planner = any_number, at_least: int = 1) -> MakeWorld:
    """Worlds (`View`) of objects all around a camera, in an equirectangular picture twice as wide as high.

    Its height is that of the configuration's pictures. Objects are well visible, and none crosses the seam behind.
    """

    def make(rng: Generator, aim: str, config: SceneConfig) -> View | str:
        wanted = plan(rng, aim, *_range(config, at_least))
        size = (2 * config.size[1], config.size[1])
        scene = place(rng, wanted, around(rng, wanted.stage), size, wide=AROUND)
        if isinstance(scene, str):
            return scene
        view = render(scene, size)
        return too_hidden(view, wanted.limits.visible) or view

    return make


def _range(config: SceneConfig, at_least: int) -> tuple[int, int]:
    low, high = config.objects
    return max(low, at_least), max(high, at_least)


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

    def unseen(self, least: float) -> str | None:
        """Why the views do not show the whole scene (no view shows an object by `least`), or None."""
        for index, label in enumerate(self.views[0].labels):
            share = max(view.visible[index] for view in self.views)
            if share < least:
                return f"the {label} is visible by {share:.0%} at most, need {least:.0%}"
        return None

    def apart(self, least: float) -> str | None:
        """Why the views have nothing in common (no object is visible by `least` in all of them), or None."""
        shares = np.array([view.visible for view in self.views]).min(axis=0)
        return None if shares.max() >= least else f"no object is visible by {least:.0%} in all views"

    def to_json(self) -> dict[str, Any]:
        """Inverse: `Views.from_json`."""
        cameras = [self.scene.cameras.index(view.camera) for view in self.views]
        return {"kind": "views", "scene": self.scene.to_json(), "size": list(self.views[0].size), "cameras": cameras}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Views:
        """Render the views of a stored world again."""
        scene, size = Scene.from_json(data["scene"]), (int(data["size"][0]), int(data["size"][1]))
        return cls(tuple(render(scene, size, camera) for camera in data["cameras"]))


def changed(world: View | Views, change: Callable[[Scene], Scene]) -> View | Views:
    """The same views of a changed scene, for example of its mirror image: `changed(view, mirrored)`."""
    scene = change(world.scene)
    if isinstance(world, View):
        return render(scene, world.size, world.scene.cameras.index(world.camera), world.smooth)
    return Views(tuple(render(scene, v.size, v.scene.cameras.index(v.camera), v.smooth) for v in world.views))
