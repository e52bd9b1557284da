"""Worlds that leave a question open, and what would close it: something hidden, or a picture that two worlds share.

`Doubt` holds three scenes: `clean` answers the question; `challenged` does not, because `other`, in which the answer is
another, gives the same picture. Nothing is called open without that second world (`same_picture`).

    occluded    a big block stands before an object; in the clean scene it stands aside
    ambiguous   two posts whose feet are out of frame: a near short one and a far tall one end at the same height in the
                picture. Scaled about the camera's center, one of them is near instead of far, and nothing is seen of it

Which questions are asked is `tasks.uncertain`'s business. Source: SpatialUncertain (arXiv 2605.30557); how scenes are
built is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..depth import DepthMap
from ..geometry import Box, Size
from .model import Scene
from .render import View, render
from .views import Views

HIDDEN = 0.05
"""A hidden object has at most this visible fraction."""
SAME_LEVELS, SAME_SHARE = 4, 0.0005
"""Two pictures are the same where at most this share of pixels differs by more than so many of 255 levels."""


@dataclass(frozen=True, eq=False)
class Doubt:
    """A question's scenes, seen by their first cameras, and which of the pictures is shown.

    why: "occluded" or "ambiguous". shows: "clean", "challenged", or "views": a mosaic of all views of `challenged`, of
    which the first one is that of its first camera. size: of one view.
    """

    why: str
    clean: Scene
    challenged: Scene
    other: Scene
    shows: str
    size: Size

    @property
    def target(self) -> int | None:
        """The one object in which the two worlds of the same picture differ."""
        return _only_change(self.challenged, self.other)

    @property
    def occluder(self) -> int | None:
        """The one object that is moved between the clean and the challenged scene."""
        return _only_change(self.clean, self.challenged)

    @cached_property
    def clean_view(self) -> View:
        """What the clean scene's camera sees."""
        return render(self.clean, self.size)

    @cached_property
    def open_views(self) -> tuple[View, ...]:
        """What the cameras of the challenged scene see; the first leaves the question open."""
        return tuple(render(self.challenged, self.size, c) for c in self._cameras)

    @cached_property
    def other_views(self) -> tuple[View, ...]:
        """The same in the other world."""
        return tuple(render(self.other, self.size, c) for c in self._cameras)

    @cached_property
    def same(self) -> tuple[bool, ...]:
        """For each camera, whether the two worlds give the same picture."""
        return tuple(same_picture(*views) for views in zip(self.open_views, self.other_views, strict=True))

    @property
    def _cameras(self) -> range:
        return range(len(self.challenged.cameras) if self.shows == "views" else 1)

    @cached_property
    def shown(self) -> View | Views:
        """What the picture shows."""
        if self.shows == "views":
            return Views(self.open_views)
        return self.clean_view if self.shows == "clean" else self.open_views[0]

    @property
    def image(self) -> NDArray[np.uint8]:
        """RGB, shape (height, width, 3)."""
        return self.shown.image

    @property
    def depth(self) -> DepthMap | None:
        """None for ambiguous scenes, clean or not: a depth map tells near from far."""
        return None if self.why == "ambiguous" else self.shown.depth

    @property
    def labels(self) -> tuple[str, ...]:
        """The objects' names, once for each view."""
        return self.shown.labels

    @property
    def boxes(self) -> tuple[Box | None, ...]:
        """Where each view shows each object."""
        return self.shown.boxes

    def to_json(self) -> dict[str, Any]:
        """Inverse: `Doubt.from_json`."""
        scenes = {key: getattr(self, key).to_json() for key in ("clean", "challenged", "other")}
        return {"kind": "doubt", "why": self.why, **scenes, "shows": self.shows, "size": list(self.size)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Doubt:
        """The world that `to_json` described."""
        clean, challenged, other = (Scene.from_json(data[key]) for key in ("clean", "challenged", "other"))
        return cls(data["why"], clean, challenged, other, data["shows"], (int(data["size"][0]), int(data["size"][1])))


def _only_change(one: Scene, two: Scene) -> int | None:
    changed = [i for i, (a, b) in enumerate(zip(one.objects, two.objects, strict=True)) if a != b]
    return changed[0] if len(changed) == 1 else None


def same_picture(one: View, two: View) -> bool:
    """Whether two views cannot be told apart by their photos."""
    off = np.abs(one.image.astype(int) - two.image).max(axis=2) > SAME_LEVELS
    return float(off.mean()) <= SAME_SHARE


def shuffled(world: Doubt, first: int) -> Doubt:
    """The same world whose camera 1 (the one that settles the question) is camera `first`, 1 to 3."""

    def moved(scene: Scene) -> Scene:
        fixed, settles, *stays = scene.cameras
        stays.insert(first - 1, settles)
        return replace(scene, cameras=(fixed, *stays))

    return replace(world, challenged=moved(world.challenged), other=moved(world.other))
