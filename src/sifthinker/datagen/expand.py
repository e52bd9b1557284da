"""Reverse expansion, forward inference: from the gold boxes outwards to the whole image, told in the other order.

    whole image -> distractor (half of the time) -> context: the gold boxes merged and expanded -> gold boxes

Source: the SIF-50K recipe of SIFThinker (arXiv 2508.06259). Its released code takes the room left of, and above, a box
for the room on its other sides; here each edge moves into the room between itself and its own border of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..depth import DepthMap
from ..geometry import WHOLE, Box, hull
from ..trace import Area

Role = Literal["whole", "distractor", "context", "gold"]

DISTRACTOR_RATE = 0.5
DISTRACTOR_SCALE = (0.7, 1.3)
"""Size of a distractor relative to a gold box, each side by itself."""
DISTRACTOR_IOU = 0.001
"""A distractor stays below this IoU with every gold box."""
TRIES = 50

EXPAND = (0.25, 0.5)
"""Share of the free room into which the edges of the merged box move."""
CONTEXT_AREA = 0.8
"""A context larger than this share of the image says no more than the whole image does."""
CONTEXT_GAIN = 1.25
"""A context must be this many times as large as the merged box, else it says no more than the gold boxes do."""


@dataclass(frozen=True, slots=True)
class Stage:
    """An area of the chain and the part it plays."""

    role: Role
    area: Area


def expand(boxes: Sequence[Box], depth: DepthMap | None, rng: np.random.Generator) -> list[Stage]:
    """The chain of areas for gold `boxes` (at least one), from the whole image to them.

    depth: of the photo; each box gets the mean of its relative depth, None without a map or without valid pixels. A
    distractor or context without depth in a photo that has depth is left out, as is a context that adds nothing.
    """
    gold = [box.quantized() for box in boxes]
    chain: list[tuple[Role, list[Box]]] = [("whole", [WHOLE])]
    # Drawn in any case, so that one stage more or less does not change the other.
    wanted, other, context = rng.random() < DISTRACTOR_RATE, distractor(gold, rng), context_box(gold, rng)
    if wanted and other is not None:
        chain.append(("distractor", [other]))
    if context is not None:
        chain.append(("context", [context]))
    chain.append(("gold", gold))
    stages = [Stage(role, _area(found, depth)) for role, found in chain]
    return [s for s in stages if depth is None or s.role in ("whole", "gold") or None not in s.area.depths]


def _area(boxes: Sequence[Box], depth: DepthMap | None) -> Area:
    relative = None if depth is None else depth.relative()
    return Area(tuple(boxes), tuple(None if relative is None else relative.box_mean(box) for box in boxes))


def distractor(gold: Sequence[Box], rng: np.random.Generator) -> Box | None:
    """A box about as large as one of the gold boxes, elsewhere; None if there is no room for one."""
    model = gold[int(rng.integers(len(gold)))]
    for _ in range(TRIES):
        width, height = np.array([model.width, model.height]) * rng.uniform(*DISTRACTOR_SCALE, size=2)
        if max(width, height) >= 1:
            continue
        x, y = rng.uniform(0, (1 - width, 1 - height))
        box = Box(x, y, min(x + width, 1.0), min(y + height, 1.0)).quantized()
        if all(box.iou(other) < DISTRACTOR_IOU for other in gold):
            return box
    return None


def context_box(gold: Sequence[Box], rng: np.random.Generator) -> Box | None:
    """The merged gold boxes with every edge moved outwards; None where that adds nothing to either neighbor."""
    merged = hull(gold)
    left, top, right, bottom = rng.uniform(*EXPAND, size=4)
    box = Box(
        merged.x0 * (1 - left),
        merged.y0 * (1 - top),
        merged.x1 + right * (1 - merged.x1),
        merged.y1 + bottom * (1 - merged.y1),
    ).quantized()
    return box if CONTEXT_GAIN * merged.area <= box.area <= CONTEXT_AREA else None
