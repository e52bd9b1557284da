"""Video2Layout: the map of a room from 1, 4, 8, 12 or 16 frames, and what can be computed from it.

Questions are answered from the scene; `from_map` answers them from a map alone, so that a map and an answer can be held
against each other. The same question can be asked over fewer frames (`topdown.fewer`) as long as they show its objects.

Source: Video2Layout / QVS-Bench (ybrrraway/Video2Layout): metric maps with axis-aligned extents, numbers graded by mean
relative accuracy, the numbers of frames. Wording and margins are ours; room sizes and routes are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
from numpy.random import Generator

from ...floormap import Extent, FloorMap, format_map
from .. import around
from ..covisible import SEEN, best, place_of, seen, title
from ..directions import facing
from ..layout import Plan
from ..task import Question, Roles, Task
from ..topdown import FRAMES, map_of, room_frames
from ..views import Views
from ..words import metres, the
from .multiview import any_pool, listed

SYSTEM = "Video2Layout (ours)"

APART_M = 0.5
"""Centers of two objects that a distance or a direction is asked for are at least so far apart on the floor."""
GAP_M = 0.2
"""Least gap between two rectangles that is asked for."""
LONGEST_M = (0.5, 2.0)
"""Longest sides of things whose extent is asked for, whatever they are."""
FAR_M, WIDE_M = 1.5, 0.8
"""From here on a distance counts as far, a gap or a side as wide; only for the balance of answers."""
MARGIN_M = 0.05
"""Answers are not that near to the border between near and far."""
WELL_SEEN = 0.6
"""Least visible fraction, in one frame, of what a question names: less may not look like what it is called."""

SIDES = {"from left to right": 0, "from near to far": 1}


def _hidden(views: Views, things: tuple[int, ...]) -> str | None:
    """Why things may not be named: all frames hide one, or it has no name of its own."""
    clear = all(max(view.visible[thing] for view in views.views) >= WELL_SEEN for thing in things)
    if clear and set(things) <= set(seen(views)):
        return None
    return f"an object is visible by less than {WELL_SEEN:.0%} everywhere, or unnamed"


def _meta(views: Views) -> dict[str, Any]:
    return {"frames": len(views.views), "map": format_map(map_of(views))}


def _known(views: Views) -> dict[int, Extent]:
    return dict(zip(seen(views), map_of(views), strict=True))


def _stated(thing: Extent) -> str:
    return f"The {thing.label} covers x {thing.x0:.2f} to {thing.x1:.2f} and y {thing.y0:.2f} to {thing.y1:.2f} m."


def _centered(thing: Extent) -> str:
    return f"The center of the {thing.label} is ({thing.center[0]:.2f}, {thing.center[1]:.2f})."


def _aim(views: Views, word: str) -> str:
    return f"{len(views.views)} {word}"


def _banded(value: float, border: float) -> str | None:
    """ "near" or "far", None close to the border."""
    return None if abs(value - border) < MARGIN_M else "far" if value > border else "near"


# --- the map -----------------------------------------------------------------------------------------------------


def _whole(views: Views) -> Iterator[Roles]:
    yield {}


def _map(views: Views, roles: Roles) -> Question | str:
    things = seen(views)
    if len(things) < 2:
        return "the frames show less than two objects"
    floor = map_of(views)
    camera, names = f"the camera of {title(views, 0)}", listed([f"the {e.label}" for e in floor])
    return Question(
        f"Draw a map of the floor, in metres: the origin is below {camera}, x is to its right, y is the way it looks. "
        f'Give [{{"label": ..., "x": [from, to], "y": [from, to]}}, ...] for {names}.',
        format_map(floor),
        tuple(best(views, i) for i in things),
        names,
        " ".join(_stated(e) for e in floor),
        facts=tuple(_stated(e) for e in floor),
        grader="floor_map",
        aim=_aim(views, "map"),
        meta=_meta(views),
    )


# --- from the map ------------------------------------------------------------------------------------------------


def _pairs(views: Views) -> Iterator[Roles]:
    return ({"a": a, "b": b} for a, b in permutations(seen(views), 2))


def _distance(views: Views, roles: Roles) -> Question | str:
    a, b = roles["a"], roles["b"]
    if why := _hidden(views, (a, b)):
        return why
    away = float(np.hypot(*(place_of(views, a) - place_of(views, b))[:2]))
    word = _banded(away, FAR_M)
    if away < APART_M or word is None:
        return f"they are less than {APART_M} m apart, or about {FAR_M} m"
    one, other = _known(views)[a], _known(views)[b]
    return Question(
        f"How far is {the(views.scene, a)} from {the(views.scene, b)}, between centers along the floor, in metres?",
        metres(away),
        (best(views, a), best(views, b)),
        f"{the(views.scene, a)} and {the(views.scene, b)}",
        f"{_centered(one)} {_centered(other)} They are {metres(away)} apart.",
        facts=(_stated(one), _stated(other), _centered(one), _centered(other), f"They are {metres(away)} apart."),
        unit="m",
        aim=_aim(views, word),
        meta=_meta(views),
    )


def _apart(a: Extent, b: Extent) -> tuple[float, float]:
    """Gaps of two rectangles along x and y, 0 where they overlap."""
    across, along = max(a.x0, b.x0) - min(a.x1, b.x1), max(a.y0, b.y0) - min(a.y1, b.y1)
    return max(across, 0.0), max(along, 0.0)


def _gap(views: Views, roles: Roles) -> Question | str:
    a, b = roles["a"], roles["b"]
    if why := _hidden(views, (a, b)):
        return why
    one, other = _known(views)[a], _known(views)[b]
    across, along = _apart(one, other)
    gap = math.hypot(across, along)
    word = _banded(gap, WIDE_M)
    if gap < GAP_M or word is None:
        return f"the gap is less than {GAP_M} m, or about {WIDE_M} m"
    return Question(
        f"Seen from above, put a rectangle around each object, with sides along and across the way that the camera of "
        f"{title(views, 0)} looks. How wide is the gap between the rectangles of {the(views.scene, a)} and "
        f"{the(views.scene, b)}, in metres?",
        metres(gap),
        (best(views, a), best(views, b)),
        f"{the(views.scene, a)} and {the(views.scene, b)}",
        f"{_stated(one)} {_stated(other)} The gap is {metres(gap)}.",
        facts=(
            _stated(one),
            _stated(other),
            f"They are {metres(across)} apart along x and {metres(along)} along y, so the gap is {metres(gap)}.",
        ),
        unit="m",
        aim=_aim(views, word),
        meta=_meta(views),
    )


def _sides(views: Views) -> Iterator[Roles]:
    return ({"target": i, "side": side} for i in seen(views) for side in SIDES)


def _size(views: Views, roles: Roles) -> Question | str:
    thing, side = roles["target"], roles["side"]
    if why := _hidden(views, (thing,)):
        return why
    known = _known(views)[thing]
    long = known.size[SIDES[side]]
    word = _banded(long, WIDE_M)
    if word is None:
        return f"the side is about {WIDE_M} m"
    what = the(views.scene, thing)
    return Question(
        f"Seen from above, how far does {what} reach {side}, as the camera of {title(views, 0)} looks, in metres?",
        metres(long),
        (best(views, thing),),
        what,
        f"{_stated(known)} That is {metres(long)} {side}.",
        facts=(_stated(known), f"That is {metres(long)} {side}."),
        unit="m",
        aim=_aim(views, word),
        meta=_meta(views),
    )


def _threes(views: Views) -> Iterator[Roles]:
    for a, b, c in permutations(seen(views), 3):
        yield from ({"stand": a, "facing": b, "target": c, "place": k} for k in range(4))


def _direction(views: Views, roles: Roles) -> Question | str:
    things = roles["stand"], roles["facing"], roles["target"]
    if why := _hidden(views, things):
        return why
    places = [place_of(views, i) for i in things]
    if min(np.hypot(*(p - places[0])[:2]) for p in places[1:]) < APART_M:
        return f"they are less than {APART_M} m apart"
    offset = facing(*places)
    answer = around.direction(offset)
    if answer is None:
        return around.TOO_NEAR
    known, names = _known(views), [the(views.scene, i) for i in things]
    lies = f"{names[2].capitalize()} is {around.steps(offset)} then"
    return Question(
        f"You stand at {names[0]} and face {names[1]}. In which direction is {names[2]}?",
        answer,
        tuple(best(views, i) for i in things),
        listed(names),
        f"{lies}: {answer}.",
        facts=(*(_centered(known[i]) for i in things), f"{lies}.", f"So the direction is {answer}."),
        choices=around.quarters(answer, roles["place"]),
        aim=_aim(views, answer),
        meta=_meta(views) | {"scheme": around.SCHEME},
    )


def from_map(task: str, names: Mapping[str, str], floor: FloorMap) -> str | None:
    """The answer to a question of this file by arithmetic on a map alone; None where the map lacks an object.

    task: its name. names: its roles, with the labels of things in place of their numbers, and `side`.
    """
    on = {e.label: e for e in floor}
    if not {v for k, v in names.items() if k != "side"} <= set(on):
        return None
    if task == "layout_distance":
        return metres(math.dist(on[names["a"]].center, on[names["b"]].center))
    if task == "layout_gap":
        return metres(math.hypot(*_apart(on[names["a"]], on[names["b"]])))
    if task == "layout_size":
        return metres(on[names["target"]].size[SIDES[names["side"]]])
    places = [(*on[names[role]].center, 0.0) for role in ("stand", "facing", "target")]
    # Without a margin: rounding can carry a place that far.
    return around.AROUND[round(around.bearing_deg(facing(*places)) / 45) % 8]


def _sizes(rng: Generator, aim: str, low: int, high: int) -> Plan:
    """Things of any size, so that nobody can tell from its name how large one is."""
    return replace(any_pool(rng, aim, low, high), extent=LONGEST_M)


def _over(*words: str) -> tuple[str, ...]:
    """Every word over every number of frames. Both go on at each step, so that few questions are mixed well; this meets
    every pair because the number of words (1, 2 or 8) and that of `FRAMES` (5) have no common factor."""
    return tuple(f"{FRAMES[k % len(FRAMES)]} {words[k % len(words)]}" for k in range(len(FRAMES) * len(words)))


_CLEAR = f"A frame shows {WELL_SEEN:.0%} or more of each."
_RECTANGLES = "Rectangles around oriented boxes (ellipses of round things), along the axes of the first camera. "

TASKS: dict[str, Task] = {
    "layout_map": Task(
        "a metric map of the floor from several frames",
        f"{_RECTANGLES}Objects count where a frame shows {SEEN:.0%} of them.",
        "map",
        SYSTEM,
        "text",
        room_frames(any_pool, 3),
        _whole,
        _map,
        aims=lambda most: _over("map"),
        least=2,
    ),
    "layout_distance": Task(
        "the distance of two objects along the floor, from several frames",
        f"Between centers, {APART_M} m or more, and not within {MARGIN_M} m of {FAR_M} m. {_CLEAR}",
        "distance",
        SYSTEM,
        "number",
        room_frames(any_pool, 3),
        _pairs,
        _distance,
        aims=lambda most: _over("near", "far"),
        least=2,
    ),
    "layout_gap": Task(
        "the gap between the rectangles of two objects on the map, from several frames",
        f"{_RECTANGLES}{GAP_M} m or more, and not within {MARGIN_M} m of {WIDE_M} m. {_CLEAR}",
        "distance",
        SYSTEM,
        "number",
        room_frames(any_pool, 3),
        _pairs,
        _gap,
        aims=lambda most: _over("near", "far"),
        least=2,
    ),
    "layout_size": Task(
        "how far an object reaches on the map, across or along, from several frames",
        f"{_RECTANGLES}Not within {MARGIN_M} m of {WIDE_M} m. A frame shows {WELL_SEEN:.0%} or more of it.",
        "size",
        SYSTEM,
        "number",
        room_frames(_sizes, 3),
        _sides,
        _size,
        aims=lambda most: _over("near", "far"),
    ),
    "layout_direction": Task(
        "where an object is for somebody who stands at another and faces a third, from several frames",
        f"Eight sectors on the floor, none within {around.MARGIN_DEG} degrees of a border; {APART_M} m or more apart. "
        f"The options are a quarter of a turn apart. {_CLEAR}",
        "direction",
        SYSTEM,
        "choice",
        room_frames(any_pool, 4),
        _threes,
        _direction,
        aims=lambda most: _over(*around.AROUND),
        least=3,
    ),
}
"""One entry a task."""
