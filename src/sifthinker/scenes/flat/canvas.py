"""A picture being drawn, in pixels of the finished picture as floats; x right, y down.

Everything is drawn four times as large and averaged, so that edges are smooth. Other looks are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ...geometry import Box, Size

SCALE = 4
"""Pixels drawn for each pixel of the picture, in each direction."""

Color = tuple[int, int, int]
Point = tuple[float, float]

PAPER: Color = (255, 255, 255)
INK: Color = (30, 30, 34)
RULE: Color = (196, 200, 206)

COLORS: dict[str, Color] = {
    "red": (205, 32, 32),
    "green": (24, 130, 44),
    "blue": (34, 66, 214),
    "orange": (214, 112, 0),
    "purple": (134, 40, 166),
    "cyan": (0, 138, 160),
    "brown": (120, 72, 30),
    "black": (30, 30, 34),
}
"""Colors that can be told apart on white paper, dark enough for white letters on them."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Canvas:
    """A picture of `size` (width, height) in pixels."""

    def __init__(self, size: Size, ground: Color = PAPER) -> None:
        self._image = Image.new("RGB", (size[0] * SCALE, size[1] * SCALE), ground)
        self._draw = ImageDraw.Draw(self._image)

    def pixels(self) -> NDArray[np.uint8]:
        """The picture, shape (height, width, 3)."""
        return np.asarray(self._image.reduce(SCALE))

    def polygon(
        self,
        corners: Sequence[Point],
        fill: Color | None = None,
        line: Color | None = None,
        wide: float = 1.0,
        cover: float = 1.0,
    ) -> None:
        """A filled polygon and, if `line` is given, its outline; cover: how much of what is below the fill hides."""
        if fill is not None and cover < 1:
            places = _large(corners)
            left, top = (int(min(values)) for values in zip(*places, strict=True))
            right, bottom = (int(max(values)) + 1 for values in zip(*places, strict=True))
            mask = Image.new("L", (right - left, bottom - top))
            ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in places], fill=round(255 * cover))
            self._image.paste(fill, (left, top, right, bottom), mask)
        elif fill is not None:
            self._draw.polygon(_large(corners), fill=fill)
        if line is not None:
            self.path([*corners, corners[0]], line, wide)

    def path(self, points: Sequence[Point], color: Color = INK, wide: float = 1.0, dash: float = 0.0) -> None:
        """A line from point to point; dash: length of its dashes in pixels, 0 for none."""
        for run in _dashes(points, dash) if dash else [points]:
            self._draw.line(_large(run), fill=color, width=max(1, round(wide * SCALE)), joint="curve")

    def disc(self, center: Point, radius: float, fill: Color, line: Color | None = None) -> None:
        """A filled circle."""
        (x, y), reach = center, radius * SCALE
        box = (x * SCALE - reach, y * SCALE - reach, x * SCALE + reach, y * SCALE + reach)
        self._draw.ellipse(box, fill=fill, outline=line, width=SCALE)

    def arrow(self, start: Point, end: Point, color: Color = INK, wide: float = 1.5, head: float = 5.0) -> None:
        """A line that ends in an arrow head of `head` pixels."""
        a, b = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
        way = (b - a) / np.hypot(*(b - a))
        side, base = np.array([-way[1], way[0]]) * head * 0.55, b - way * head
        self.path([start, _point(base)], color, wide)
        self.polygon([_point(b), _point(base + side), _point(base - side)], color)

    def letter(self, center: Point, text: str, size: float, color: Color = INK, halo: Color | None = None) -> None:
        """Text in the middle of a place; size: height of the font in pixels. halo: color of a border around letters."""
        place = (center[0] * SCALE, center[1] * SCALE)
        edge = 0 if halo is None else round(size * SCALE / 7)
        self._draw.text(place, text, color, _font(round(size * SCALE)), "mm", stroke_width=edge, stroke_fill=halo)


@lru_cache(maxsize=64)
def _font(size: int) -> Any:
    return ImageFont.load_default(size=size)


def _point(values: NDArray[np.float64]) -> Point:
    return float(values[0]), float(values[1])


def _large(points: Sequence[Point]) -> list[Point]:
    return [(x * SCALE, y * SCALE) for x, y in points]


def _dashes(points: Sequence[Point], dash: float) -> list[list[Point]]:
    """Every other piece of a line, so that each side starts and ends with a dash."""
    found: list[list[Point]] = []
    corners = [np.asarray(p, dtype=float) for p in points]
    for a, b in pairwise(corners):
        pieces = 2 * max(1, round(float(np.hypot(*(b - a))) / (2 * dash))) - 1
        at = [_point(a + (b - a) * k / pieces) for k in range(pieces + 1)]
        found += [[at[k], at[k + 1]] for k in range(0, pieces, 2)]
    return found


def box_around(points: Sequence[Point], size: tuple[float, float], pad: float = 0.0) -> Box:
    """The unit box around places in pixels of a picture of `size`, widened by `pad` pixels and cut at its borders."""
    low = (np.min(points, axis=0) - pad) / size
    high = (np.max(points, axis=0) + pad) / size
    (x0, y0), (x1, y1) = np.clip(low, 0, 1), np.clip(high, 0, 1)
    return Box(float(x0), float(y0), float(x1), float(y1))


def square_side(size: Size, least: int) -> int:
    """Side in pixels of a square picture: the shorter side that was asked for, but `least` pixels at least."""
    return max(min(size), least)
