"""Shapes on a map of some land: polygons such as lakes and buildings, and lines such as roads; north is up.

Corners are whole pixels of the picture, x right and y down, so that shared edges are shared exactly. Drawing needs no
shapely; `geometry`, random maps (`maps`) and relations (`topology`) do (the `scenes` extra). Holes are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...geometry import Box
from .canvas import INK, PAPER, Canvas, Color, box_around

Corner = tuple[int, int]

LAND: Color = (238, 233, 220)
AREAS: dict[str, Color] = {
    "lake": (110, 168, 226),
    "forest": (84, 142, 84),
    "field": (232, 208, 110),
    "park": (164, 212, 128),
    "quarry": (176, 160, 150),
    "building": (196, 92, 74),
}
"""Kinds of polygons and their colors."""
LINES: dict[str, Color] = {"road": (70, 70, 78), "river": (44, 96, 190)}
"""Kinds of lines and their colors."""
LINE_PX = 3.0
"""Width of a line in the picture; its geometry has none."""


@dataclass(frozen=True)
class Shape:
    """A polygon (its corners in order, the first not repeated) or a line; mark: where its letter is drawn."""

    what: str
    corners: tuple[Corner, ...]
    letter: str
    mark: Corner

    @property
    def closed(self) -> bool:
        """Whether it is a polygon."""
        return self.what in AREAS

    @property
    def geometry(self) -> Any:
        """As shapely's polygon or line, in pixels."""
        return geometry(self.what, self.corners)


@dataclass(frozen=True)
class Land:
    """A map.

    side: of the picture in pixels. metres: what one pixel is wide. shapes: in the order in which they are drawn.
    """

    side: int
    metres: float
    shapes: tuple[Shape, ...]

    @property
    def depth(self) -> None:
        """A drawing has none."""

    @property
    def labels(self) -> tuple[str, ...]:
        """For example "lake marked B"."""
        return tuple(f"{shape.what} marked {shape.letter}" for shape in self.shapes)

    @property
    def boxes(self) -> tuple[Box | None, ...]:
        """Around each shape; of a line, around its whole width."""
        return tuple(
            box_around(s.corners, (self.side, self.side), 0.0 if s.closed else LINE_PX / 2) for s in self.shapes
        )

    @property
    def image(self) -> NDArray[np.uint8]:
        """The picture, shape (side, side, 3)."""
        return self._picture

    @cached_property
    def _picture(self) -> NDArray[np.uint8]:
        canvas = Canvas((self.side, self.side), LAND)
        for shape in self.shapes:
            if shape.closed:
                canvas.polygon(shape.corners, AREAS[shape.what], cover=0.7)
        for shape in self.shapes:
            if shape.closed:
                canvas.polygon(shape.corners, line=_darker(AREAS[shape.what]), wide=1.2)
            else:
                canvas.path(shape.corners, LINES[shape.what], LINE_PX)
        for shape in self.shapes:
            canvas.letter(shape.mark, shape.letter, 11, INK, PAPER)
        return canvas.pixels()

    def to_json(self) -> dict[str, Any]:
        """Inverse: `Land.from_json`."""
        shapes = [
            {"what": s.what, "corners": [list(c) for c in s.corners], "letter": s.letter, "mark": list(s.mark)}
            for s in self.shapes
        ]
        return {"kind": "land", "side": self.side, "metres": self.metres, "shapes": shapes}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Land:
        """A map as it was stored."""
        shapes = tuple(
            Shape(str(s["what"]), tuple(map(_corner, s["corners"])), str(s["letter"]), _corner(s["mark"]))
            for s in data["shapes"]
        )
        return cls(int(data["side"]), float(data["metres"]), shapes)


def _corner(values: Sequence[float]) -> Corner:
    x, y = values
    return int(x), int(y)


def _darker(color: Color) -> Color:
    red, green, blue = (value * 11 // 20 for value in color)
    return red, green, blue


@lru_cache(maxsize=1024)
def geometry(what: str, corners: tuple[Corner, ...]) -> Any:
    """A shapely polygon or line, in pixels."""
    from shapely import LineString, Polygon

    return Polygon(corners) if what in AREAS else LineString(corners)
