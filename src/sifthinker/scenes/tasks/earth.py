"""EarthSpatialBench on drawn maps: direction and distance of polygons and lines. See `earth_relations` for the rest.

Source: EarthSpatialBench (arXiv 2602.15918), of which the abstract only is known; rules, margins and wording here are
this project's own. Shapes are referred to by their kind, by a letter drawn on them, or by their corners. Its
photographs are left out, and so are polygons with holes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator

from ..directions import SCHEMES, azimuth_deg
from ..flat.canvas import square_side
from ..flat.land import Land
from ..flat.maps import apart
from ..flat.search import until_served
from ..flat.topology import relation
from ..task import Question, Roles, Task
from .dge_rules import bin_of, bins

if TYPE_CHECKING:
    from ..generate import SceneConfig

SYSTEM = "EarthSpatialBench (ours)"

SCHEME = "azimuth8"
BORDER_DEG = 5.0
"""Direction: the azimuth is at least so far from a border between two of the eight sectors."""
BORDERS = {"edges": (0.06, 0.12, 0.25, 0.5), "centers": (0.25, 0.35, 0.5, 0.7)}
"""Distance: as many lie between each two of these shares of the picture's width, so that the width tells less of it."""
CENTERS_PX = 20.0
"""Direction, distance of centers: centers are at least so far apart."""
AZIMUTH_TOLERANCE_DEG = 22.5
LEAST_SIDE = 160
REFERENCES = ("kind", "letter", "corners")


# --- worlds --------------------------------------------------------------------------------------------------------


def side_of(config: SceneConfig) -> int:
    """Side of the picture in pixels."""
    return square_side(config.size, LEAST_SIDE)


def _apart(rng: Generator, aim: str, config: SceneConfig) -> Land | str:
    return apart(rng, side_of(config), int(rng.integers(3, 5)))


def _with_lines(rng: Generator, aim: str, config: SceneConfig) -> Land | str:
    return apart(rng, side_of(config), int(rng.integers(3, 5)), lines=True)


# --- roles, and how shapes are called ------------------------------------------------------------------------------


def pairs(world: Land) -> Iterator[Roles]:
    """Every two shapes, in both orders, referred to in each way."""
    for a, b in permutations(range(len(world.shapes)), 2):
        yield from ({"a": a, "b": b, "by": by} for by in REFERENCES)


def _pairs_measured(world: Land) -> Iterator[Roles]:
    return ({**roles, "from": what} for roles in pairs(world) for what in ("edges", "centers"))


def called(world: Land, index: int, by: str) -> str | None:
    """A shape by its kind ("the lake"), its letter ("lake B") or its corners; None where the kind is not enough."""
    shape = world.shapes[index]
    if by == "kind":
        return f"the {shape.what}" if [s.what for s in world.shapes].count(shape.what) == 1 else None
    if by == "letter":
        return f"{shape.what} {shape.letter}"
    return f"the {'polygon' if shape.closed else 'line'} {' '.join(f'({x}, {y})' for x, y in shape.corners)}"


def legend(world: Land, by: str) -> str:
    """What a question must say before it can use corners."""
    how = f"Corners are (x, y) in pixels from the top left of the picture, {world.side} pixels wide. "
    return how if by == "corners" else ""


def two_names(world: Land, roles: Roles) -> tuple[str, str] | str:
    """What the two shapes of the roles are called, or why they cannot be."""
    names = [called(world, roles[key], roles["by"]) for key in "ab"]
    if names[0] is None or names[1] is None:
        return "several shapes are of that kind"
    return names[0], names[1]


def short(world: Land, *indices: int) -> str:
    """Shapes by their letters: "lake A and road B"."""
    return " and ".join(f"{world.shapes[i].what} {world.shapes[i].letter}" for i in indices)


def _meters(world: Land, pixels: float) -> str:
    """A distance in metres, with one decimal below 100."""
    value = pixels * world.metres
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def sentence(text: str) -> str:
    """A text with a capital letter; letters of shapes stay as they are."""
    return text[0].upper() + text[1:]


def scale(world: Land) -> str:
    """What a question must say before it can ask for metres."""
    return f"The picture is {world.side * world.metres:g} m wide. "


def _center(world: Land, index: int) -> tuple[float, float]:
    place = world.shapes[index].geometry.centroid
    return float(place.x), float(place.y)


# --- direction -----------------------------------------------------------------------------------------------------


def _way(world: Land, roles: Roles) -> tuple[tuple[float, float], tuple[str, ...]] | str:
    """The offset from the center of a to that of b in pixels, and the facts about it."""
    a, b = roles["a"], roles["b"]
    if not (world.shapes[a].closed and world.shapes[b].closed):
        return "directions are between polygons"
    (x0, y0), (x1, y1) = _center(world, a), _center(world, b)
    if np.hypot(x1 - x0, y1 - y0) < CENTERS_PX:
        return f"the centers are less than {CENTERS_PX:g} pixels apart"
    azimuth = azimuth_deg(x1 - x0, y0 - y1)
    centers = (f"The center of {short(world, i)} is at ({x:.1f}, {y:.1f})." for i, x, y in ((a, x0, y0), (b, x1, y1)))
    return (x1 - x0, y1 - y0), (
        *centers,
        f"The azimuth is atan2({x1 - x0:.1f}, {y0 - y1:.1f}) = {azimuth:.0f} degrees.",
    )


def _direction(world: Land, roles: Roles) -> Question | str:
    way, names = _way(world, roles), two_names(world, roles)
    if isinstance(way, str) or isinstance(names, str):
        return way if isinstance(way, str) else str(names)
    offset, facts = way
    wind = SCHEMES[SCHEME].name(offset)
    if wind is None or not SCHEMES[SCHEME].clear(offset, BORDER_DEG):
        return f"the azimuth is within {BORDER_DEG:g} degrees of a border between two directions"
    return Question(
        f"{legend(world, roles['by'])}North is up. In which of the eight compass directions is {names[1]} from "
        f"{names[0]}, center to center?",
        wind,
        (roles["a"], roles["b"]),
        short(world, roles["a"], roles["b"]),
        f"{sentence(short(world, roles['b']))} is {wind} of {short(world, roles['a'])}.",
        facts=(*facts, f"That is {wind}."),
        distractors=(SCHEMES[SCHEME].name((-offset[0], -offset[1])) or "",),
        grader="compass",
        meta={"scheme": SCHEME, "reference": roles["by"]},
    )


def _azimuth(world: Land, roles: Roles) -> Question | str:
    way, names = _way(world, roles), two_names(world, roles)
    if isinstance(way, str) or isinstance(names, str):
        return way if isinstance(way, str) else str(names)
    (right, down), facts = way
    azimuth = round(azimuth_deg(right, -down)) % 360
    return Question(
        f"{legend(world, roles['by'])}North is up. What is the azimuth of {names[1]} from {names[0]}, center to "
        "center, in degrees clockwise from north?",
        str(azimuth),
        (roles["a"], roles["b"]),
        short(world, roles["a"], roles["b"]),
        f"The azimuth is {azimuth} degrees.",
        facts=facts,
        distractors=(str((azimuth + 180) % 360),),
        grader="azimuth",
        given={"tolerance": AZIMUTH_TOLERANCE_DEG},
        aim=SCHEMES[SCHEME].name((right, down)),
        meta={"reference": roles["by"]},
    )


# --- distance ------------------------------------------------------------------------------------------------------


def _distance(world: Land, roles: Roles) -> Question | str:
    a, b, names = roles["a"], roles["b"], two_names(world, roles)
    if isinstance(names, str):
        return names
    one, two = (world.shapes[i] for i in (a, b))
    if roles["from"] == "edges":
        pixels, words = float(one.geometry.distance(two.geometry)), "from edge to nearest edge"
        if relation(one.geometry, two.geometry) != "disjoint":
            return "they are not clearly apart"
    elif one.closed and two.closed:
        (x0, y0), (x1, y1) = _center(world, a), _center(world, b)
        pixels, words = float(np.hypot(x1 - x0, y1 - y0)), "from center to center"
        if pixels < CENTERS_PX:
            return f"the centers are less than {CENTERS_PX:g} pixels apart"
    else:
        return "centers are those of polygons"
    answer = _meters(world, pixels)
    return Question(
        f"{legend(world, roles['by'])}{scale(world)}How far is it from {names[0]} to {names[1]}, {words}, in metres?",
        f"{answer} m",
        (a, b),
        short(world, a, b),
        f"From {short(world, a)} to {short(world, b)} it is {answer} m.",
        facts=(
            f"It is {pixels:.1f} pixels {words}.",
            f"A pixel is {world.metres:g} m wide, so that is {answer} m.",
        ),
        distractors=(f"{_meters(world, 3 * pixels)} m",),
        unit="m",
        aim=f"{roles['from']}, {bin_of(pixels / world.side, BORDERS[roles['from']])}",
        meta={"reference": roles["by"]},
    )


def _listed(what: str) -> str:
    return ", ".join(f"{share:g}" for share in BORDERS[what])


def earth_task(
    about: str,
    rule: str,
    family: str,
    kind: str,
    draw: Any,
    roles: Any,
    ask: Any,
    aims: Callable[[int], tuple[str, ...]],
) -> Task:
    """A task of this system, with worlds that serve its aims."""
    return Task(about, rule, family, SYSTEM, kind, until_served(draw, roles, ask), roles, ask, aims)


TASKS: dict[str, Task] = {
    "earth_direction": earth_task(
        "in which of eight compass directions one polygon on a map is from another",
        f"Azimuth between centers of area, eight sectors, {BORDER_DEG:g} degrees or more from a border; centers "
        f"{CENTERS_PX:g} pixels apart or more.",
        "direction",
        "text",
        _apart,
        pairs,
        _direction,
        lambda most: SCHEMES[SCHEME].words,
    ),
    "earth_azimuth": earth_task(
        "the azimuth of one polygon on a map from another, in degrees",
        f"atan2(dx, -dy) between centers of area; right within {AZIMUTH_TOLERANCE_DEG:g} degrees.",
        "direction",
        "number",
        _apart,
        pairs,
        _azimuth,
        lambda most: SCHEMES[SCHEME].words,
    ),
    "earth_distance": earth_task(
        "how far two shapes on a map are apart, in metres",
        "Shortest distance between edges of shapes that are clearly disjoint, or between centers of area; the width of "
        "the picture in metres is given. Short distances are as common as long ones: as many lie between each two of "
        f"{_listed('edges')} of that width for edges, {_listed('centers')} for centers.",
        "distance",
        "number",
        _with_lines,
        _pairs_measured,
        _distance,
        lambda most: tuple(f"{what}, {part}" for what, shares in BORDERS.items() for part in bins(shares)),
    ),
}
"""One entry a task; see `earth_relations` for the others."""
