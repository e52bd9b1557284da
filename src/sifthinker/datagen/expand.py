"""Reverse expansion, forward inference: from the gold boxes outwards to the whole image, told in the other order.

    whole image -> contexts: the gold boxes merged, and expanded less and less -> gold boxes

Half of the time the chain looks at a wrong place on the way, a distractor, and comes back from there.

Source: the SIF-50K recipe of SIFThinker (arXiv 2508.06259). Its released code takes the room left of, and above, a box
for the room on its other sides, and never gets to the whole image; here each edge moves into the room between itself
and its own border, and reaches it in the last step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..depth import DepthMap
from ..errors import InputError
from ..geometry import GRID, WHOLE, Box, hull
from ..trace import Area

Role = Literal["whole", "distractor", "context", "gold"]

DISTRACTOR_RATE = 0.5
DISTRACTOR_SCALE = (0.7, 1.3)
"""Size of a distractor relative to a gold box, each side by itself."""

STEPS = 2
MAX_STEPS = 6
"""So that a chain with a distractor has the eight steps that constrained decoding allows (`trace_regex`), and each
step moves some edge by a step of the grid."""

CONTEXT_AREA = 0.8
"""A context larger than this share of the image says no more than the whole image does."""
CONTEXT_GAIN = 1.25
"""A context must be this many times as large as the merged box, else it says no more than the gold boxes do."""


Cells = tuple[int, int, int, int]
"""Left, top, right, bottom in steps of the grid of traces."""


@dataclass(frozen=True, slots=True)
class Stage:
    """An area of the chain and the part it plays."""

    role: Role
    area: Area


def expand(
    boxes: Sequence[Box], depth: DepthMap | None, rng: np.random.Generator, steps: int | None = None
) -> list[Stage]:
    """The chain of areas for gold `boxes` (at least one), from the whole image to them.

    depth: of the photo; each box gets the mean of its relative depth, None without a map or without valid pixels. A
    distractor or context without depth in a photo that has depth is left out.
    steps: expansions from the gold boxes to the whole image, 1 to `MAX_STEPS`. There are `steps` - 1 contexts, each
    within the one before, and none where the merged boxes are the whole image; a distractor may stand before each of
    them, or before the gold boxes. None: one context, unless it adds nothing to its neighbors, after the distractor.

    Raises `InputError` for other numbers of steps.
    """
    gold = [box.quantized() for box in boxes]
    merged = hull(gold)
    found = expansions(merged, STEPS if steps is None else steps, rng)[-2::-1]
    if steps is None:
        found = [box for box in found if CONTEXT_GAIN * merged.area <= box.area <= CONTEXT_AREA]
    contexts = [] if merged.is_whole else found
    chain: list[tuple[Role, list[Box]]] = [("whole", [WHOLE]), *(("context", [box]) for box in contexts)]
    if rng.random() < DISTRACTOR_RATE:
        place = 1 if steps is None else int(rng.integers(1, len(chain) + 1))
        for after in dict.fromkeys((place, 1)):
            if other := distractor(boxes, rng, chain[after - 1][1][0]):
                chain.insert(after, ("distractor", [other]))
                break
    chain.append(("gold", gold))
    stages = [Stage(role, _area(areas, depth)) for role, areas in chain]
    return [s for s in stages if depth is None or s.role in ("whole", "gold") or None not in s.area.depths]


def _area(boxes: Sequence[Box], depth: DepthMap | None) -> Area:
    relative = None if depth is None else depth.relative()
    return Area(tuple(boxes), tuple(None if relative is None else relative.box_mean(box) for box in boxes))


def expansions(box: Box, steps: int, rng: np.random.Generator) -> list[Box]:
    """`steps` boxes around `box`, on the grid of traces, each within the next, the last of them the whole image.

    In step k each edge has moved over a share of its free room, drawn from (k - 1/2) / steps to k / steps. So each box
    is larger than the one before, unless `box` is the whole image by `Box.is_whole`.
    """
    check_steps(steps)
    shares = (np.arange(1, steps)[:, None] - rng.uniform(0, 0.5, (steps - 1, 4))) / steps
    edges, borders = np.array(tuple(box)), np.array(tuple(WHOLE))
    moved = np.rint((edges + shares * (borders - edges)) * GRID) / GRID
    return [*(Box(*row) for row in moved.tolist()), WHOLE]


def check_steps(steps: int | None) -> None:
    """Raises `InputError` for numbers of steps that `expand` does not take."""
    if steps is not None and not 1 <= steps <= MAX_STEPS:
        raise InputError(f"steps {steps}: expected 1 to {MAX_STEPS} expansions from the gold boxes to the whole image")


def distractor(gold: Sequence[Box], rng: np.random.Generator, within: Box = WHOLE) -> Box | None:
    """A box on the grid of traces, about as large as one of the gold boxes, that overlaps none of them.

    It lies in `within`, at any of the free places with the same chance. Where there is no room for the size that was
    drawn, it is as small as `DISTRACTOR_SCALE` allows; None if there is no room for that either.
    """
    taken = [_cells(box) for box in gold]
    left, top, right, bottom = _cells(within)
    model = gold[int(rng.integers(len(gold)))]
    for scale in (rng.uniform(*DISTRACTOR_SCALE, size=2), np.full(2, DISTRACTOR_SCALE[0])):
        width, height = (max(1, round(side * GRID)) for side in (model.width, model.height) * scale)
        # Places of the left top corner: all that there are, and those from which the box would overlap a gold box.
        room = (left, top, right - width + 1, bottom - height + 1)
        overlapping = [(x0 - width + 1, y0 - height + 1, x1, y1) for x0, y0, x1, y1 in taken]
        if (corner := _free(room, overlapping, rng)) is not None:
            x, y = corner
            return Box(x / GRID, y / GRID, (x + width) / GRID, (y + height) / GRID)
    return None


def _cells(box: Box) -> Cells:
    """The steps of the grid that a box touches, as it is or brought to the grid."""
    x0, y0, x1, y1 = box
    # Rounding first keeps 0.3 * 1000 = 300.00000000000006 from touching another step.
    touched = *(math.floor(round(v * GRID, 6)) for v in (x0, y0)), *(math.ceil(round(v * GRID, 6)) for v in (x1, y1))
    at = [round(v * GRID) for v in box.quantized()]
    return min(touched[0], at[0]), min(touched[1], at[1]), max(touched[2], at[2]), max(touched[3], at[3])


def _free(room: Cells, taken: Sequence[Cells], rng: np.random.Generator) -> tuple[int, int] | None:
    """A place (x, y) of `room` outside of all `taken`, each with the same chance; None where all are taken."""
    if room[0] >= room[2] or room[1] >= room[3]:
        return None
    areas = np.array([room, *taken])
    areas[:, ::2] = areas[:, ::2].clip(room[0], room[2])
    areas[:, 1::2] = areas[:, 1::2].clip(room[1], room[3])
    # Between two neighboring edges of areas all places are alike.
    xs, ys = np.unique(areas[:, ::2]), np.unique(areas[:, 1::2])
    places = np.diff(xs)[:, None] * np.diff(ys)
    for x0, y0, x1, y1 in zip(*(np.searchsorted(c, areas[1:, i]) for i, c in enumerate((xs, ys, xs, ys))), strict=True):
        places[x0:x1, y0:y1] = 0
    ends = places.ravel().cumsum()
    if not ends[-1]:
        return None
    number = int(rng.integers(ends[-1]))
    block = int(np.searchsorted(ends, number, side="right"))
    column, row = divmod(block, len(ys) - 1)
    x, y = divmod(number - int(ends[block] - places.flat[block]), int(ys[row + 1] - ys[row]))
    return int(xs[column]) + x, int(ys[row]) + y
