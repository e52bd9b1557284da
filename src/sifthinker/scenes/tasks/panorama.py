"""PanoSpace: where things are all around a camera, in an equirectangular picture whose edges meet behind.

Five of its eight tasks: relative direction, camera rotation, reorientation toward an object, distance to the observer,
relative place in 3D. Those that look at the seam are in `panorama_seam`. The middle of the picture is straight ahead;
directions are those of objects' centers.

Source: PanoSpace-Bench (arXiv 2605.13169): names of the tasks, its specification of questions (distance by the median
depth, depths that differ by 15 %), choices and the overlap of fields. Wording, bands and all other margins are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise, permutations

import numpy as np

from ...bfov import wrapped
from .. import around
from ..render import View
from ..task import Question, Roles, Task
from ..views import panorama
from ..words import metres, nameable, the
from .multiview import any_pool

SYSTEM = "PanoSpace (ours)"

VISIBLE = 0.1
"""Least visible fraction of what is asked about."""
TURN_DEG = (15.0, 165.0)
"""The way from one object to another is clearly to one side: so many degrees, at least and at most."""
STEADY = (0.4, 0.6)
"""What is said of a median distance also holds for these quantiles: a few pixels more or less change nothing."""
NEARER = 0.15
"""Distances of two objects differ by at least this share of the smaller one (the source's filter)."""
BANDS_M, BAND_MARGIN_M = (1.6, 2.0, 2.6), 0.08
"""Borders of the bands of distance, near the quartiles of these scenes; and how far from them an object must be."""

BANDS = (
    f"less than {BANDS_M[0]} m",
    *(f"{a} to {b} m" for a, b in pairwise(BANDS_M)),
    f"more than {BANDS_M[-1]} m",
)
TURNS = {
    f"{deg} degrees to the {side}": sign * deg for deg in (45, 90, 135) for side, sign in (("right", 1), ("left", -1))
} | {"180 degrees": 180}
"""What a camera does, in degrees to the right."""
AHEAD = "The middle of this panorama is straight ahead of you."


# --- what a panorama shows ---------------------------------------------------------------------------------------


LEAST_PX = 25
"""Visible pixels of an object, at least, whose distance is asked for: the middle one of few tells little."""

FEW = f"fewer than {LEAST_PX} pixels show it"


def _refused(view: View, *things: int) -> str | None:
    if not view.camera.panorama:
        return "it is no panorama"
    for i in things:
        if not nameable(view.scene, i):
            return f"several things are called {view.labels[i]}"
        if view.visible[i] < VISIBLE or view.boxes[i] is None:
            return f"{the(view.scene, i)} is hidden, or cut by the seam"
    return None


def yaw_of(view: View, thing: int) -> float:
    """Degrees to the right of straight ahead, of an object's center."""
    return around.bearing_deg(view.centers[thing])


def level(yaw_deg: float) -> tuple[float, float, float]:
    """A unit offset (right, down, forward) in a direction on the floor."""
    return float(np.sin(np.radians(yaw_deg))), 0.0, float(np.cos(np.radians(yaw_deg)))


def said(yaw_deg: float) -> str:
    """ "32 degrees to the left"."""
    return f"{abs(yaw_deg):.0f} degrees to the {'right' if yaw_deg >= 0 else 'left'}"


def _reach(view: View, thing: int) -> tuple[float, float, float] | None:
    """Median distance from the camera of the object's visible pixels, metres, between the quantiles of `STEADY`; None
    for fewer than `LEAST_PX` pixels."""
    if (view.instances == thing).sum() < LEAST_PX:
        return None
    low, middle, high = np.quantile(view.depth.values[view.instances == thing], (STEADY[0], 0.5, STEADY[1]))
    return float(low), float(middle), float(high)


def _each(view: View) -> Iterator[Roles]:
    return ({"target": i} for i in range(len(view.labels)))


def _pairs(view: View) -> Iterator[Roles]:
    return ({"a": a, "b": b} for a, b in permutations(range(len(view.labels)), 2))


def compass(text: str, word: str | None, things: tuple[int, ...], about: str, facts: tuple[str, ...]) -> Question | str:
    """A question whose options are all eight directions."""
    if word is None:
        return around.TOO_NEAR
    conclusion = f"So the direction is {word}."
    return Question(
        text,
        word,
        things,
        about,
        " ".join((*facts, conclusion)),
        facts=(*facts, conclusion),
        choices=around.AROUND,
        meta={"scheme": around.SCHEME},
    )


# --- tasks -------------------------------------------------------------------------------------------------------


def _camera_turns(view: View) -> Iterator[Roles]:
    return ({"target": i, "turn": turn} for i in range(len(view.labels)) for turn in TURNS)


def _camera_rotation(view: View, roles: Roles) -> Question | str:
    thing, turn = roles["target"], roles["turn"]
    if why := _refused(view, thing):
        return why
    what, yaw = the(view.scene, thing), yaw_of(view, thing)
    after = wrapped(yaw - TURNS[turn])
    return compass(
        f"{AHEAD} You turn {turn}. In which direction is {what} then?",
        around.direction(level(after)),
        (thing,),
        what,
        (f"{what.capitalize()} is {said(yaw)}.", f"After the turn it is {said(after)}."),
    )


def _object_reorientation(view: View, roles: Roles) -> Question | str:
    a, b = roles["a"], roles["b"]
    if why := _refused(view, a, b):
        return why
    first, second = the(view.scene, a), the(view.scene, b)
    ahead, yaw = yaw_of(view, a), yaw_of(view, b)
    after = wrapped(yaw - ahead)
    return compass(
        f"{AHEAD} You turn until you face {first}. In which direction is {second} then?",
        around.direction(level(after)),
        (a, b),
        f"{first} and {second}",
        (
            f"{first.capitalize()} is {said(ahead)}.",
            f"{second.capitalize()} is {said(yaw)}.",
            f"Facing {first}, {second} is {said(after)}.",
        ),
    )


def _relative_direction(view: View, roles: Roles) -> Question | str:
    a, b = roles["a"], roles["b"]
    if why := _refused(view, a, b):
        return why
    first, second = the(view.scene, a), the(view.scene, b)
    yaws = yaw_of(view, a), yaw_of(view, b)
    way = wrapped(yaws[1] - yaws[0])
    if not TURN_DEG[0] <= abs(way) <= TURN_DEG[1]:
        return f"they are not {TURN_DEG[0]} to {TURN_DEG[1]} degrees apart"
    answer = "right" if way > 0 else "left"
    across = abs(yaws[1] - yaws[0]) > 180
    return Question(
        f"You face {first} and turn the shorter way to {second}. Do you turn left or right?",
        answer,
        (a, b),
        f"{first} and {second}",
        f"From {first} it is {said(way)}{', across the edges of the picture' if across else ''}.",
        facts=(
            f"{first.capitalize()} is {said(yaws[0])}.",
            f"{second.capitalize()} is {said(yaws[1])}.",
            f"The shorter way is {said(way)}.",
        ),
        distractors=("left" if answer == "right" else "right",),
        aim=f"{answer} {'across' if across else 'inside'}",
        meta={"across_seam": across},
    )


def _observer_distance(view: View, roles: Roles) -> Question | str:
    thing = roles["target"]
    if why := _refused(view, thing):
        return why
    reach, what = _reach(view, thing), the(view.scene, thing)
    if reach is None:
        return FEW
    low, away, high = reach
    bands = {int(np.searchsorted(BANDS_M, d)) for d in (low - BAND_MARGIN_M, high + BAND_MARGIN_M)}
    if len(bands) > 1:
        return f"the distance is within {BAND_MARGIN_M} m of the border of a band"
    answer = BANDS[bands.pop()]
    return Question(
        f"How far is {what} from the camera?",
        answer,
        (thing,),
        what,
        f"{what.capitalize()} is {metres(away)} away: {answer}.",
        facts=(f"Half of what is seen of {what} is nearer than {metres(away)}.", f"That is {answer}."),
        choices=BANDS,
    )


RELATIONS = ("left and nearer", "left and farther", "right and nearer", "right and farther")


def _relative_3d(view: View, roles: Roles) -> Question | str:
    a, b = roles["a"], roles["b"]
    if why := _refused(view, a, b):
        return why
    first, second = the(view.scene, a), the(view.scene, b)
    way, one, other = wrapped(yaw_of(view, b) - yaw_of(view, a)), _reach(view, a), _reach(view, b)
    if one is None or other is None:
        return FEW
    near, far = one[1], other[1]
    if not TURN_DEG[0] <= abs(way) <= TURN_DEG[1]:
        return f"they are not {TURN_DEG[0]} to {TURN_DEG[1]} degrees apart"
    if max(near, far) < (1 + NEARER) * min(near, far) or max(one[0], other[0]) <= min(one[2], other[2]):
        return f"their distances differ by less than {NEARER:.0%}"
    side, depth = "right" if way > 0 else "left", "farther" if far > near else "nearer"
    answer = f"{side} and {depth}"
    return Question(
        f"You face {first}. Where is {second}, the shorter way round: to the left or right of {first}, and nearer to "
        "you or farther?",
        answer,
        (a, b),
        f"{first} and {second}",
        f"From {first} it is {said(way)}; it is {metres(far)} away, {first} {metres(near)}: {answer}.",
        facts=(
            f"From {first} to {second} it is {said(way)}.",
            f"{first.capitalize()} is {metres(near)} away, {second} {metres(far)}.",
            f"So it is {answer}.",
        ),
        choices=RELATIONS,
    )


# --- worlds ------------------------------------------------------------------------------------------------------

_CLEAR = f"Objects are visible by {VISIBLE:.0%} or more, and none is cut by the seam. "
_SIDES = f"Centers are {TURN_DEG[0]:.0f} to {TURN_DEG[1]:.0f} degrees apart, the shorter way. "
_EIGHT = f"{_CLEAR}Eight sectors of the center's yaw, none within {around.MARGIN_DEG} degrees of a border."


def aims_of(*words: str) -> Callable[[int], tuple[str, ...]]:
    """The same aims whatever the number of objects."""
    return lambda most: words


TASKS: dict[str, Task] = {
    "pano_camera_rotation": Task(
        "in which of eight directions an object is after the camera turns",
        f"{_EIGHT} Turns by multiples of 45 degrees.",
        "direction",
        SYSTEM,
        "choice",
        panorama(any_pool),
        _camera_turns,
        _camera_rotation,
        aims=aims_of(*around.AROUND),
    ),
    "pano_object_reorientation": Task(
        "in which of eight directions an object is for somebody who turns to face another",
        _EIGHT,
        "direction",
        SYSTEM,
        "choice",
        panorama(any_pool, 3),
        _pairs,
        _object_reorientation,
        aims=aims_of(*around.AROUND),
        least=2,
    ),
    "pano_relative_direction": Task(
        "whether one turns left or right from one object to another, also across the edges of the picture",
        f"{_CLEAR}{_SIDES}",
        "direction",
        SYSTEM,
        "direction",
        panorama(any_pool, 2),
        _pairs,
        _relative_direction,
        aims=aims_of("left inside", "right inside", "left across", "right across"),
        least=2,
    ),
    "pano_observer_distance": Task(
        "in which of four bands of distance an object is",
        f"{_CLEAR}Median distance of its visible pixels; the middle fifth is {BAND_MARGIN_M} m or more from a border.",
        "distance",
        SYSTEM,
        "choice",
        panorama(any_pool),
        _each,
        _observer_distance,
        aims=aims_of(*BANDS),
    ),
    "pano_relative_3d": Task(
        "whether an object is left or right of another, and nearer or farther",
        f"{_CLEAR}{_SIDES}Median distances of visible pixels differ by {NEARER:.0%} or more, the middle fifths do not "
        "overlap.",
        "relation",
        SYSTEM,
        "choice",
        panorama(any_pool, 2),
        _pairs,
        _relative_3d,
        aims=aims_of(*RELATIONS),
        least=2,
    ),
}
"""Five of the eight tasks of PanoSpace-Bench."""
