"""Words for directions: one type, and a table of the schemes that benchmarks use.

Schemes disagree near their borders, so a question that is answered by one stores its name. Two rules cover all:

    components   a coordinate is named where it is large enough: in itself, beside the offset's length, or beside the
                 largest coordinate
    sectors      the plane is cut into equal sectors, each centered on an axis or between two

Offsets are tuples of coordinates; `axes` says what each means. Degrees to a numeric azimuth are not words: see
`azimuth_deg`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Offset = Sequence[float] | Floats
"""A few coordinates."""


@dataclass(frozen=True)
class DirectionScheme:
    """How an offset is put into words.

    axes: for each coordinate of an offset, the words of its negative and its positive end.
    said: the coordinates in the order in which their words stand; one that is left out does not count.
    source: the system that uses it, and where the rule is the project's own.
    ties: components; a coordinate smaller than this is not named, one value a coordinate of `said`.
    of_length, of_largest: components; the same as a share of the length of the named coordinates, or of the largest.
    sectors: 4 or 8 sectors over the last two coordinates of `said` in place of components.
    margin_deg: sectors; directions that are this near to a border, or nearer, have no name.
    steep: sectors; with the first coordinate of `said` larger than this share of the others' length, it is named,
        and with it the largest of the others only.
    joint: what stands between two words. names: other names for what the rule gives ("" for no word at all).
    """

    axes: tuple[tuple[str, str], ...]
    said: tuple[int, ...]
    source: str
    ties: tuple[float, ...] = ()
    of_length: float = 0.0
    of_largest: float = 0.0
    sectors: int = 0
    margin_deg: float = 0.0
    steep: float | None = None
    joint: str = "-"
    names: Mapping[str, str] = field(default_factory=dict, hash=False)

    def name(self, offset: Offset) -> str | None:
        """The direction of an offset; None where the scheme has no word for it (no length, or within the margin).

        >>> SCHEMES["dge_hard"].name((1, 0, 1)), SCHEMES["cardinal8"].name((0.1, 2.0))
        ('front-right', 'north')
        """
        # Few numbers: plain floats are faster than arrays, and many offsets are asked about to find a fitting scene.
        values = [float(offset[axis]) for axis in self.said]
        signs = self._sector(values) if self.sectors else self._components(values)
        return None if signs is None else self._named(signs)

    def clear(self, offset: Offset, by_deg: float) -> bool:
        """Whether an offset has a name, and keeps it when turned by up to `by_deg` degrees toward or from any axis.

        For sectors and shares; ties are lengths, and for them a margin in degrees means little.
        """
        way = [float(value) if axis in self.said else 0.0 for axis, value in enumerate(offset)]
        return steady(self.name, way, self.said, by_deg)

    @property
    def words(self) -> tuple[str, ...]:
        """Every direction of the scheme, each once."""
        flat = [s for s in product((-1, 0, 1), repeat=len(self.said)) if self._possible(s)]
        return tuple(dict.fromkeys(self._named(s) for s in flat))

    def _possible(self, signs: tuple[int, ...]) -> bool:
        if not any(signs):
            return "" in self.names
        if self.sectors:
            steep = len(signs) == 3 and signs[0] != 0
            return int(np.count_nonzero(signs[-2:])) <= (1 if steep or self.sectors == 4 else 2)
        return True

    def _named(self, signs: tuple[int, ...]) -> str:
        found = self.joint.join(self.axes[axis][s > 0] for axis, s in zip(self.said, signs, strict=True) if s)
        return self.names.get(found, found)

    def _components(self, values: list[float]) -> tuple[int, ...] | None:
        sizes = [abs(v) for v in values]
        least = max(self.of_length * math.hypot(*values), self.of_largest * max(sizes))
        ties = self.ties or (0.0,) * len(values)
        named = zip(values, sizes, ties, strict=True)
        signs = tuple(_sign(v) if size >= max(least, tie) else 0 for v, size, tie in named)
        return signs if any(signs) or "" in self.names else None

    def _sector(self, values: list[float]) -> tuple[int, ...] | None:
        (a, b), width = values[-2:], 360.0 / self.sectors
        if self.steep is not None and abs(values[0]) > self.steep * math.hypot(a, b):
            # Of two equal ones the first is named, so that the rule is total; `clear` refuses such offsets.
            first = abs(a) >= abs(b)
            return _sign(values[0]), _sign(a) if first else 0, 0 if first else _sign(b)
        if a == b == 0:
            return None
        # Degrees from the positive end of the last coordinate toward that of the one before.
        angle = math.degrees(math.atan2(a, b))
        nearest = round(angle / width)
        if self.margin_deg and abs(angle - nearest * width) >= width / 2 - self.margin_deg:
            return None
        middle = math.radians(nearest * width)
        return (0,) * (len(values) - 2) + (_sign(round(math.sin(middle), 9)), _sign(round(math.cos(middle), 9)))


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def steady(name: Callable[[Offset], str | None], way: Offset, axes: Sequence[int], by_deg: float) -> bool:
    """Whether a vector has a name, and keeps it when turned by so many degrees toward or from any of the axes."""
    word = name(way)
    turned = (_turned(way, axis, sign * math.radians(by_deg)) for axis in axes for sign in (-1, 1))
    return word is not None and all(name(other) == word for other in turned)


def _turned(way: Offset, axis: int, angle: float) -> Offset:
    """A vector turned by an angle in the plane of itself and an axis; itself if it has no length or lies on the axis
    (then turns toward the other axes leave it, both ways)."""
    square = math.hypot(*way) ** 2
    if square == 0:
        return way
    aside = [(i == axis) - v * way[axis] / square for i, v in enumerate(way)]
    size = math.hypot(*aside)
    if size < 1e-12:
        return way
    along, across = math.cos(angle), math.sin(angle) * math.sqrt(square) / size
    return [along * v + across * a for v, a in zip(way, aside, strict=True)]


def facing(stand: ArrayLike, toward: ArrayLike, target: ArrayLike) -> Floats:
    """Where a target is for somebody who stands at one place and faces another: (right, down, forward) in metres.

    World points with +z up; the gaze is level, whatever the heights. Raises `ValueError` when one place is above the
    other.

    >>> facing((0, 0, 0), (0, 2, 1), (3, 4, 1)).tolist()
    [3.0, -1.0, 4.0]
    """
    start = np.asarray(stand, dtype=float)
    gaze = (np.asarray(toward, dtype=float) - start)[:2]
    size = np.hypot(*gaze)
    if size < 1e-9:
        raise ValueError("facing: both places are on one vertical line")
    x, y = gaze / size
    offset = np.asarray(target, dtype=float) - start
    return np.array([offset[0] * y - offset[1] * x, -offset[2], offset[0] * x + offset[1] * y]) + 0.0


def azimuth_deg(east: float, north: float) -> float:
    """Degrees clockwise from north, in [0, 360).

    >>> azimuth_deg(1, 0), azimuth_deg(-1, -1)
    (90.0, 225.0)
    """
    return float(np.degrees(np.arctan2(east, north)) % 360.0)


_SIDES, _HEIGHT, _AHEAD = ("left", "right"), ("up", "down"), ("back", "front")
_EAST = ("west", "east")
_PICTURE = {"axes": (_EAST, ("north", "south")), "said": (1, 0), "sectors": 8, "joint": ""}

SCHEMES: dict[str, DirectionScheme] = {
    "dge_hard": DirectionScheme(
        (_SIDES, _HEIGHT, _AHEAD),
        (2, 0),
        "SpatialEvo: a coordinate below 0.3 of the length is not named",
        of_length=0.3,
    ),
    "dge_camera": DirectionScheme(
        (_SIDES, _HEIGHT, _AHEAD),
        (1, 2, 0),
        "SpatialEvo: eight sectors; up or down where |y| > 0.5 of the rest, with the larger of the rest",
        sectors=8,
        steep=0.5,
    ),
    "cardinal8": DirectionScheme((_EAST, ("south", "north")), (1, 0), "MSSR: eight sectors", sectors=8, joint=""),
    "offset_sign": DirectionScheme(
        (("left", "right"), ("below", "above")),
        (1, 0),
        "StepGame: the sign of each coordinate",
        names={
            "": "overlap",
            "above-left": "upper-left",
            "above-right": "upper-right",
            "below-left": "lower-left",
            "below-right": "lower-right",
        },
    ),
    "gca": DirectionScheme(
        (_SIDES, _HEIGHT, _AHEAD),
        (1, 2, 0),
        "GCA: a coordinate below 0.1 of the largest is not named",
        of_largest=0.1,
    ),
    "azimuth8": DirectionScheme(**_PICTURE, source="EarthSpatialBench (ours): eight sectors of atan2(dx, -dy)"),
    "compass_margin": DirectionScheme(
        **_PICTURE, source="Sparkle (ours): eight sectors, none within 5 degrees of a border", margin_deg=5.0
    ),
    "around8": DirectionScheme(
        (_SIDES, _HEIGHT, _AHEAD),
        (2, 0),
        "ReMindView, Video2Layout, PanoSpace (ours): eight sectors on the floor, none within 7.5 degrees of a border",
        sectors=8,
        margin_deg=7.5,
    ),
    "surds": DirectionScheme(
        (_SIDES, ("behind", "front")),
        (1, 0),
        "SURDS: ties below 100 px across and below 0.5 m in depth; in front is larger depth",
        ties=(0.5, 100.0),
        names={"": "same"},
    ),
}
"""Offsets are (x right, y down, z forward) for `dge_hard`, `dge_camera`, `gca` and `around8`; (east, north) for
`cardinal8`; (right, up) for `offset_sign`; picture coordinates (x right, y down) for `azimuth8` and `compass_margin`,
north being up; (pixels right, metres of depth) for `surds`."""
