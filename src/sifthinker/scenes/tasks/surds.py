"""SURDS: questions about a road as a driver's camera sees it, three about one object, three about two.

Four of them come as pairs of complementary prompts (closer and farther, a camera that faces north or south, ...), which
count when both are right: `meta["pair"]` is the pair's key beside the group, `meta["twin"]` what the other prompt
changes (`twins.twin`), `consistency.paired` the score. A tie is an answer of its own; its border is refused.
Source: SURDS (arXiv 2411.13112), with its thresholds. Its older metrics, errors in metres and pixels, are left out, and
so are its ranges of depth, of which the widest is always right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.random import Generator

from ..render import View
from ..road import ALIKE, MIDDLING, TIE, WINDS, heading_deg, road
from ..task import Question, Roles, Task
from ..words import metres, name, the

SYSTEM = "SURDS"

TIE_M, TIE_WIDTH, TIE_DEPTH_M = 1.0, 100 / 1600, 0.5
"""Almost the same: distances differ by no more metres, columns by less than this share of the width, depths by less."""
EDGE_M, EDGE_WIDTH, EDGE_DEPTH_M = 0.2, 0.015, 0.1
"""Differences that are this near to the border of a tie are refused."""
YAW_MARGIN_DEG = 7.5
"""Headings that are this near to a border between two of eight winds are refused."""
STARTS_M, WIDTHS_M, GAPS_M = range(2, 5), (4, 5), (1, 2)
"""Ranges of depth: where the nearest one begins, how wide they are, how far apart."""
INSIDE_M = 1.2
"""An asked depth is at least this far within its range."""
PLACES = ("nearest", "middle", "farthest")
AXES, BETWEEN = WINDS[::2], WINDS[1::2]


# --- one object --------------------------------------------------------------------------------------------------


def _yaw_roles(view: View) -> Iterator[Roles]:
    things = range(len(view.boxes))
    return ({"target": i, "camera": c, "turn": k} for i in things for c in ("North", "South") for k in range(4))


def _yaw(view: View, roles: Roles) -> Question | str:
    index, camera = roles["target"], roles["camera"]
    thing = view.scene.objects[index]
    if not thing.has_front:
        return f"{the(view.scene, index)} has no front"
    # Clockwise from where the camera looks; a camera that looks south sees the same car head the other way.
    bearing = heading_deg(view.camera) - thing.yaw_deg + (180 if camera == "South" else 0)
    sector = round(bearing / 45)
    if abs(bearing - 45 * sector) > 22.5 - YAW_MARGIN_DEG:
        return f"its heading is within {YAW_MARGIN_DEG} degrees of a border between two winds"
    answer = WINDS[sector % 8]
    winds = AXES if answer in AXES else BETWEEN
    noun = the(view.scene, index)
    facts = (
        f"The camera faces {camera}.",
        f"{noun.capitalize()} faces {bearing % 360:.0f} degrees clockwise of north.",
        f"The nearest of eight winds is {answer}.",
    )
    return Question(
        f"The camera faces {camera}. Which way does {noun} face?",
        answer,
        (index,),
        noun,
        f"{noun.capitalize()} faces {answer}.",
        facts=facts,
        choices=_turned(winds, roles["turn"]),
        meta=_pair(f"yaw {index}", camera="South" if camera == "North" else "North"),
    )


def _turned(options: tuple[str, ...], turn: int) -> tuple[str, ...]:
    return options[turn:] + options[:turn]


def _pair(key: str, **changes: Any) -> dict[str, Any]:
    """The key of a pair of prompts, and what the other one changes."""
    return {"pair": key, "twin": {"roles": changes}}


def _each(view: View) -> Iterator[Roles]:
    return ({"target": i} for i in range(len(view.boxes)))


def _pixel(view: View, roles: Roles) -> Question | str:
    index = roles["target"]
    box = view.boxes[index]
    if box is None:
        return "it is not in the picture"
    x, y = box.center
    noun, answer = the(view.scene, index), f"({x:.3f}, {y:.3f})"
    third = ("left", "middle", "right")[min(int(3 * x), 2)]
    facts = (
        f"Its box goes from ({box.x0:.3f}, {box.y0:.3f}) to ({box.x1:.3f}, {box.y1:.3f}).",
        f"Its middle: {answer}.",
    )
    return Question(
        f"Where is {noun}? Give a point (x, y) as shares of the picture's width and height, from the top left.",
        answer,
        (index,),
        noun,
        f"The middle of {noun} is {answer}.",
        facts=facts,
        grader="centerness",
        given={"box": list(box)},
        aim=third,
    )


def _range_roles(view: View) -> Iterator[Roles]:
    ranges = product(range(len(view.boxes)), STARTS_M, WIDTHS_M, GAPS_M, range(3))
    return ({"target": i, "start": s, "width": w, "gap": g, "turn": k} for i, s, w, g, k in ranges)


def _depth_range(view: View, roles: Roles) -> Question | str:
    index, start, width, gap = (roles[key] for key in ("target", "start", "width", "gap"))
    depth = float(view.centers[index, 2])
    lows = [start + k * (width + gap) for k in range(3)]
    place = next((k for k, low in enumerate(lows) if low + INSIDE_M <= depth <= low + width - INSIDE_M), None)
    if place is None:
        return f"it is in none of the ranges, or within {INSIDE_M} m of a border"
    options = tuple(f"between {low} and {low + width} metres" for low in lows)
    noun = the(view.scene, index)
    says = f"{noun.capitalize()} is {metres(depth)} ahead."
    return Question(
        f"How far ahead of the camera is {noun}?",
        options[place],
        (index,),
        noun,
        says,
        facts=(says, f"That is {options[place]}."),
        choices=_turned(options, roles["turn"]),
        aim=f"{PLACES[place]} from {start} m",
    )


def _in_range(rng: Generator, aim: str) -> tuple[float, float]:
    """Depths near the middle of the range that is aimed at."""
    place, start = aim.removesuffix(" m").split(" from ")
    width, gap = int(rng.choice(WIDTHS_M)), int(rng.choice(GAPS_M))
    middle = int(start) + PLACES.index(place) * (width + gap) + width / 2
    return middle - 0.5, middle + 0.5


# --- two objects -------------------------------------------------------------------------------------------------


def _pairs(*words: str) -> Any:
    def roles(view: View) -> Iterator[Roles]:
        things = permutations(range(len(view.boxes)), 2)
        return ({"a": a, "b": b, "asks": w, "turn": k} for a, b in things for w in words for k in range(3))

    return roles


def _other(asks: str, words: tuple[str, str]) -> str:
    return words[1 - words.index(asks)]


def _sign(gaps: list[float], tie: float, edge: float) -> int | None:
    """-1, 0 (a tie), 1: what all differences say; None where they disagree or are near the border of a tie."""
    signs = {0 if abs(g) <= tie - edge else int(math.copysign(1, g)) if abs(g) >= tie + edge else None for g in gaps}
    return signs.pop() if len(signs) == 1 else None


def _which(view: View, roles: Roles, sign: int | None, words: tuple[str, str], text: str, fact: str) -> Question | str:
    """Which of two objects is more so; sign: -1 where the first of `words` is true of the first object."""
    pair, asks = (roles["a"], roles["b"]), roles["asks"]
    if sign is None:
        return "the difference is near the border of a tie"
    names = [name(view.scene, i) for i in pair]
    winner = None if sign == 0 else (sign > 0) ^ (asks == words[1])
    answer, aim = (TIE, TIE) if winner is None else (names[winner], ("first", "second")[winner])
    says = f"They are {TIE}." if winner is None else f"The {answer} is {asks}."
    return Question(
        text.format(asks=asks, first=names[0], second=names[1]),
        answer,
        pair,
        f"the {names[0]} and the {names[1]}",
        says,
        facts=(fact, says),
        choices=_turned((*names, TIE), roles["turn"]),
        aim=aim,
        meta=_pair(f"{'-'.join(words)} {pair[0]} {pair[1]}", asks=_other(asks, words)),
    )


CLOSER = ("closer", "farther")
LEFT = ("farther left", "farther right")
FRONT = ("in front of", "behind")


def _distance(view: View, roles: Roles) -> Question | str:
    a, b = roles["a"], roles["b"]
    first, second = (float(np.linalg.norm(view.centers[i])) for i in (a, b))
    sign = _sign([first - second], TIE_M, EDGE_M)
    fact = f"{_The(view, a)} is {metres(first)} from the camera, {the(view.scene, b)} {metres(second)}."
    text = f"Which is {{asks}} to the camera, the {{first}} or the {{second}}, or are they {TIE} (up to {TIE_M:g} m)?"
    text = text if roles["asks"] == "closer" else text.replace(" to the", " from the")
    return _which(view, roles, sign, CLOSER, text, fact)


def _left_right(view: View, roles: Roles) -> Question | str:
    a, b = roles["a"], roles["b"]
    one, two = view.boxes[a], view.boxes[b]
    if one is None or two is None:
        return "one of them is not in the picture"
    columns = [float(view.columns[i]) for i in (a, b)]
    sign = _sign([columns[0] - columns[1], one.center[0] - two.center[0]], TIE_WIDTH, EDGE_WIDTH)
    fact = (
        f"The middle of {the(view.scene, a)} is at x = {columns[0]:.3f}, of {the(view.scene, b)} at {columns[1]:.3f}."
    )
    text = (
        f"Which is {{asks}} in the picture, the {{first}} or the {{second}}, or are they {TIE} (up to "
        f"1/{1 / TIE_WIDTH:g} of its width)?"
    )
    return _which(view, roles, sign, LEFT, text, fact)


def _front_behind(view: View, roles: Roles) -> Question | str:
    a, b, asks = roles["a"], roles["b"], roles["asks"]
    first, second = (float(view.centers[i, 2]) for i in (a, b))
    sign = _sign([first - second], TIE_DEPTH_M, EDGE_DEPTH_M)
    if sign is None:
        return "the difference is near the border of a tie"
    nouns = [the(view.scene, i) for i in (a, b)]
    answer = TIE if sign == 0 else "yes" if (sign > 0) ^ (asks == "behind") else "no"
    fact = f"{_The(view, a)} is {metres(first)} ahead, {nouns[1]} {metres(second)}."
    says = (
        f"They are {TIE} far ahead."
        if sign == 0
        else f"{_The(view, a)} is {'farther' if sign > 0 else 'less far'} ahead."
    )
    return Question(
        f"In front means farther ahead of the camera. Is {nouns[0]} {asks} {nouns[1]}, or are they {TIE} "
        f"(up to {TIE_DEPTH_M:g} m)?",
        answer,
        (a, b),
        f"{nouns[0]} and {nouns[1]}",
        says,
        facts=(fact, says, f"So the answer is: {answer}."),
        choices=_turned(("yes", "no", TIE), roles["turn"]),
        meta=_pair(f"front-behind {a} {b}", asks=_other(asks, FRONT)),
    )


def _The(view: View, index: int) -> str:
    return the(view.scene, index).capitalize()


THREE = ("first", "second", TIE)

TASKS: dict[str, Task] = {
    "surds_yaw": Task(
        "which way a vehicle or a person faces, if the camera faces north or south",
        "Bearing of its front against the camera's, seen from above, as the nearest of eight winds; headings within "
        f"{YAW_MARGIN_DEG} degrees of a border are refused. Options: the four main winds, or the "
        "four between. Pairs: both cameras.",
        "orientation",
        SYSTEM,
        "choice",
        road(front=True),
        _yaw_roles,
        _yaw,
        aims=lambda most: WINDS,
    ),
    "surds_pixel": Task(
        "at which point of the picture an object is",
        "Centerness of the point in the object's box: 1 in its middle, 0 on its border and outside.",
        "localization",
        SYSTEM,
        "text",
        road(),
        _each,
        _pixel,
        aims=lambda most: ("left", "middle", "right"),
    ),
    "surds_depth_range": Task(
        "in which of three ranges of depth an object is",
        f"Depth of its center along the camera's axis, {INSIDE_M} m or more within its range. The ranges are equally "
        f"wide, {WIDTHS_M[0]} to {WIDTHS_M[-1]} m, {GAPS_M[0]} or {GAPS_M[-1]} m apart, and begin at {STARTS_M[0]} to "
        f"{STARTS_M[-1]} m, wherever the right one is (ours; in the source width and place of the ranges tell). Of "
        "things that can be seen at any depth.",
        "depth",
        SYSTEM,
        "choice",
        road(kinds=(MIDDLING,), depths=_in_range),
        _range_roles,
        _depth_range,
        aims=lambda most: tuple(f"{place} from {start} m" for start in STARTS_M for place in PLACES),
    ),
    "surds_distance": Task(
        "which of two objects is closer to the camera, or farther",
        f"Distances of centers; almost the same up to {TIE_M} m, refused within {EDGE_M} m of that. "
        "Pairs: closer, farther. Scenes are of things of about one size, since small ones are not seen far away.",
        "distance",
        SYSTEM,
        "choice",
        road(tie="distance", kinds=ALIKE),
        _pairs(*CLOSER),
        _distance,
        aims=lambda most: THREE,
        least=2,
    ),
    "surds_left_right": Task(
        "which of two objects is farther left in the picture, or right",
        "Projected centers and middles of boxes; almost the same below 100 of 1600 pixels, refused within "
        f"{EDGE_WIDTH} of the width of that. Pairs: left, right.",
        "direction",
        SYSTEM,
        "choice",
        road(tie="column"),
        _pairs(*LEFT),
        _left_right,
        aims=lambda most: THREE,
        least=2,
    ),
    "surds_front_behind": Task(
        "whether an object is in front of another, or behind it, as one drives",
        f"In front is larger depth; almost the same below {TIE_DEPTH_M} m, refused within {EDGE_DEPTH_M} m of that. "
        "Pairs: in front, behind. Scenes are of things of about the same size.",
        "depth",
        SYSTEM,
        "choice",
        road(tie="depth", kinds=ALIKE),
        _pairs(*FRONT),
        _front_behind,
        aims=lambda most: ("yes", "no", TIE),
        least=2,
    ),
}
