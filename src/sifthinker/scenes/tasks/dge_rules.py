"""What SpatialEvo's tasks share: which things may stand in a question, how directions are said, how numbers are graded.

Source: SpatialEvo's deterministic geometric environment (ZJU-REAL/SpatialEvo), rules only. Its confidence in a parsed
question is left out: questions come as roles here, and nothing has to be parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from ..directions import SCHEMES
from ..layout import Plan, sample_scene, too_hidden
from ..model import Floats, Scene
from ..render import View, render
from ..task import MakeWorld
from ..views import Planner
from ..words import nameable

if TYPE_CHECKING:
    from ..generate import SceneConfig

SYSTEM = "SpatialEvo"
OURS = "SpatialEvo (ours)"
"""Where a margin or a choice of places is the project's own."""

LEAST_VISIBLE = 0.1
"""Least visible fraction of everything in a question."""
SAME_M = 0.15
"""Depths and heights that differ by no more than this are the same, metres."""
SAME_MARGIN_M = 0.05
"""Differences this near to `SAME_M` are refused."""
CLEAR_DEG = 5.0
"""A direction must keep its name when it is turned by this much."""

MRA = {"form": "dge"}
"""What the grader `mra` must know: numbers earn their mean relative accuracy over eleven thresholds."""


LONGEST_M = (0.2, 2.5)
"""Longest sides of things whose size is asked for, whatever they are."""
SCENES = 30
"""Scenes to draw for an aim before one is rendered."""


def indoors(rng: Generator, aim: str, low: int, high: int) -> Plan:
    """A scene of solids, or of furniture."""
    return Plan(int(rng.integers(low, high + 1)), pool=str(rng.choice(["solids", "furniture"])))


def any_size(rng: Generator, aim: str, low: int, high: int) -> Plan:
    """Solids or furniture of any size, so that nobody can tell from its name how large a thing is."""
    return replace(indoors(rng, aim, low, high), extent=LONGEST_M)


def suited_view(fits: Callable[[Scene, str], bool], plan: Planner, at_least: int) -> MakeWorld:
    """Worlds of one view, as `views.one_view` makes them, of scenes whose geometry serves the aim."""

    def make(rng: Generator, aim: str, config: SceneConfig) -> View | str:
        low, high = (max(n, at_least) for n in config.objects)
        for _ in range(SCENES):
            scene = sample_scene(rng, plan(rng, aim, low, high), config.size)
            if not isinstance(scene, str) and (not aim or fits(scene, aim)):
                view = render(scene, config.size)
                return too_hidden(view) or view
        return f"no scene in {SCENES} serves {aim}"

    return make


def unfit(view: View, *things: int) -> str | None:
    """Why things may not stand in a question about what a view shows, or None."""
    objects = view.scene.objects
    for thing in things:
        if not 0 <= thing < len(objects):
            return f"there is no object {thing}: the scene has {len(objects)}"
    if len(set(things)) < len(things):
        return "one object stands in two roles"
    for thing in things:
        label = objects[thing].label
        if not nameable(view.scene, thing):
            return f"there are several {label}s"
        if view.visible[thing] < LEAST_VISIBLE or view.boxes[thing] is None:
            return f"the {label} is visible by {view.visible[thing]:.0%}, need {LEAST_VISIBLE:.0%}"
    return None


def same_or(difference: float, below: str, above: str, same: str) -> str | None:
    """Which side of the band of `SAME_M` a difference is on; None too near to its border."""
    if abs(abs(difference) - SAME_M) < SAME_MARGIN_M:
        return None
    if abs(difference) <= SAME_M:
        return same
    return above if difference > 0 else below


def point(values: Sequence[float] | Floats) -> str:
    """ "(0.51, -0.20, 2.31)"."""
    # Adding zero turns -0.0 into 0.0.
    return f"({', '.join(f'{v:.2f}' for v in np.round(np.asarray(values, dtype=float), 2) + 0.0)})"


def camera_direction(offset: Floats) -> str | None:
    """The direction of an offset in a camera's axes, or None near a border."""
    scheme = SCHEMES["dge_camera"]
    return scheme.name(offset) if scheme.clear(offset, CLEAR_DEG) else None


def toward(offset: Floats, aim: str) -> bool:
    """Whether that direction is `aim`."""
    return SCHEMES["dge_camera"].name(offset) == aim == camera_direction(offset)


UNCLEAR = f"the direction changes its name when turned by {CLEAR_DEG:g} degrees"


def why_camera(offset: Floats, answer: str) -> tuple[str, ...]:
    """How `dge_camera` comes to its word, as sentences."""
    right, down, forward = (float(v) for v in offset)
    level = float(np.hypot(right, forward))
    steep = f"Up or down is {abs(down):.2f}, the rest is {level:.2f}"
    if abs(down) > 0.5 * level:
        larger = "right" if abs(right) >= abs(forward) else "forward"
        return (
            f"{steep}: more than half of it, so the height is named, and of the rest the {larger} part.",
            f"So the direction is {answer}.",
        )
    angle = float(np.degrees(np.arctan2(forward, right)))
    return (
        f"{steep}: not more than half of it, so the height is not named.",
        f"From right toward front it is {angle:.0f} degrees; the nearest of the eight directions is {answer}.",
    )


CAMERA_WORDS = (
    "Directions are those of the camera: right and up as in its picture, front along its line of sight. "
    "Answer with one or two of front, back, left, right, up, down."
)


def distractors(scheme: str, answer: str) -> tuple[str, ...]:
    """The other words of a scheme that share a part with the answer, or are its opposite."""
    parts = set(answer.split("-"))
    return tuple(w for w in SCHEMES[scheme].words if w != answer and set(w.split("-")) & parts)[:3]


def bin_of(value: float, bounds: Sequence[float]) -> str:
    """The part of the number line that a value is in, as an aim: "under 1.3", "1.3 to 1.8", "from 2.3"."""
    return bins(bounds)[sum(value >= bound for bound in bounds)]


def bins(bounds: Sequence[float]) -> tuple[str, ...]:
    """The aims that `bin_of` names."""
    inner = (f"{a:g} to {b:g}" for a, b in pairwise(bounds))
    return f"under {bounds[0]:g}", *inner, f"from {bounds[-1]:g}"
