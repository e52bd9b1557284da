"""Q-Spatial: sizes and distances in a given unit; an answer counts if it is within a factor of two.

Five kinds of question, as in Q-Spatial Bench (arXiv 2409.09788): width, height, horizontal, vertical and direct
distance. Sizes are those of the box around an object. Its prompts, which ask for a reference object, are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
from numpy.random import Generator

from ...normalize import METRES
from ..layout import Plan
from ..model import Floats, Scene
from ..render import View
from ..task import Question, Roles, Task
from ..words import metres, the
from .dge_rules import LONGEST_M, bin_of, bins, indoors, suited_view, unfit

SYSTEM = "Q-Spatial Bench (ours)"
DELTA = 2.0
"""max(p / t, t / p) must be less than this."""
LEAST_M = 0.15
"""Shorter lengths are not asked for, metres: a small error would be a large ratio."""

CLOSE_M = (0.2, 1.4)
"""Longest sides of things whose distance is asked for."""
BORDERS_M = {
    "width": (0.36, 1.2),
    "height": (0.35, 1.1),
    "horizontal": (0.8, 2.7),
    "vertical": (0.26, 0.85),
    "direct": (0.8, 2.7),
}
"""Borders of the lengths that samples take in turn."""
UNITS = {"m": ("meters", 2), "cm": ("centimeters", 0), "ft": ("feet", 2), "in": ("inches", 1)}
"""Each unit in words, and the decimals of answers."""


def in_unit(value_m: float, unit: str) -> str:
    """A length as an answer.

    >>> in_unit(0.5, "ft"), in_unit(0.5, "cm")
    ('1.64 ft', '50 cm')
    """
    return f"{value_m / METRES[unit]:.{UNITS[unit][1]}f} {unit}"


def _top(scene: Scene, index: int) -> float:
    return float(scene.objects[index].corners()[:, 2].max())


def _gap(scene: Scene, index: int, other: int) -> Floats:
    return np.subtract(scene.objects[other].position, scene.objects[index].position)


Length = Callable[[Scene, tuple[int, ...]], float]

LENGTHS: dict[str, tuple[int, Length, str, str]] = {
    "width": (
        1,
        lambda s, t: max(s.objects[t[0]].size[:2]),
        "How wide is {} (the longer level side of its box)",
        "width",
    ),
    "height": (1, lambda s, t: s.objects[t[0]].size[2], "How tall is {}", "height"),
    "horizontal": (
        2,
        lambda s, t: float(np.hypot(*_gap(s, *t)[:2])),
        "What is the horizontal distance between the centers of {} and {}",
        "horizontal distance",
    ),
    "vertical": (
        2,
        lambda s, t: abs(_top(s, t[0]) - _top(s, t[1])),
        "What is the vertical distance between the tops of {} and {}",
        "vertical distance",
    ),
    "direct": (
        2,
        lambda s, t: float(np.linalg.norm(_gap(s, *t))),
        "What is the direct distance between the centers of {} and {}",
        "direct distance",
    ),
}
"""For each kind: how many things it is about, its length in metres, how it is asked for and called."""


def _task(kind: str) -> Task:
    count, length, text, called = LENGTHS[kind]

    def roles(view: View) -> Iterator[Roles]:
        things = combinations(range(len(view.scene.objects)), count)
        return ({"things": list(t), "unit": unit} for t in things for unit in UNITS)

    def ask(view: View, roles: Roles) -> Question | str:
        things, unit = tuple(roles["things"]), roles["unit"]
        if len(things) != count:
            return f"a {called} is asked of {count} things, not of {len(things)}"
        if unit not in UNITS:
            return f"unit {unit!r} is not one of {', '.join(UNITS)}"
        if reason := unfit(view, *things):
            return reason
        value = length(view.scene, things)
        if value < LEAST_M:
            return f"the {called} is {metres(value)}, less than {LEAST_M} m"
        names = [the(view.scene, i) for i in things]
        answer, both = in_unit(value, unit), " and ".join(names)
        of = "between" if count == 2 else "of"
        facts = (
            *(_known(view.scene, kind, n, i) for n, i in zip(names, things, strict=True)),
            f"The {called} {of} {both} is {metres(value)}.",
            f"In {UNITS[unit][0]} that is {answer}.",
        )
        return Question(
            f"{text.format(*names)}, in {UNITS[unit][0]}?",
            answer, things, both, f"The {called} is about {answer}.",
            facts=facts, unit=unit, aim=_aim(kind, unit, value), grader="ratio", given={"delta": DELTA},
        )  # fmt: skip

    def fits(scene: Scene, aim: str) -> bool:
        lengths = (length(scene, t) for t in combinations(range(len(scene.objects)), count))
        return any(value >= LEAST_M and aim.endswith(_aim(kind, "", value)) for value in lengths)

    return Task(
        f"the {called} {'of an object' if count == 1 else 'between two objects'}, in a given unit",
        f"{'Between the tops' if kind == 'vertical' else 'Between the centers' if count == 2 else 'A side'} of boxes; "
        f"right within a factor of {DELTA:g}. At least {LEAST_M} m.",
        "size" if count == 1 else "distance",
        SYSTEM,
        "number",
        suited_view(fits, partial(_sized, kind) if count == 1 else _near, max(count, 2)),
        roles,
        ask,
        aims=lambda most: tuple(f"{unit}, {part}" for part in bins(BORDERS_M[kind]) for unit in UNITS),
    )


def _aim(kind: str, unit: str, value: float) -> str:
    return f"{unit}, {bin_of(value, BORDERS_M[kind])}"


def _sized(kind: str, rng: Generator, aim: str, low: int, high: int) -> Plan:
    """Solids or furniture whose width or height, whichever is asked for, is any."""
    return replace(indoors(rng, aim, low, high), extent=LONGEST_M, side=kind)


def _near(rng: Generator, aim: str, low: int, high: int) -> Plan:
    """Things of any size, small enough to stand close together, so that names do not tell how far apart they are."""
    return replace(indoors(rng, aim, low, high), extent=CLOSE_M)


def _known(scene: Scene, kind: str, who: str, index: int) -> str:
    """What a kind of question rests on, as a sentence about one thing."""
    x, y, z = scene.objects[index].size
    if kind in ("width", "height"):
        return f"{who.capitalize()} measures {metres(max(x, y))} by {metres(min(x, y))}, and is {metres(z)} tall."
    if kind == "vertical":
        return f"The top of {who} is {metres(_top(scene, index))} above the floor."
    x, y, z = scene.objects[index].position
    return f"The center of {who} is above ({x:.2f}, {y:.2f}) m on the floor, {metres(z)} high."


TASKS: dict[str, Task] = {f"qspatial_{kind}": _task(kind) for kind in LENGTHS}
