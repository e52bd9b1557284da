"""Random samples with their gold traces, for properties that must hold for every sample."""

from __future__ import annotations

import random

import numpy as np

from sifthinker.depth import DepthMap
from sifthinker.geometry import WHOLE, Box, hull
from sifthinker.sample import Sample
from sifthinker.trace import Area, Step, Trace

WORDS = ["a red cube", "the girl < the light", "Über 3 m?", 'it\'s "there"', '],"depth"', "0.500]}", "眼鏡"]
ANSWERS: list[tuple[str, tuple[str, ...], dict[str, object]]] = [
    ("Pink.", (), {}),
    ("no", (), {}),
    ("about five, maybe", (), {"answer_kind": "number"}),
    ("two", (), {"answer_kind": "number"}),
    ("1.5 m", (), {"answer_kind": "number", "answer_unit": "cm"}),
    ("Yes", (), {"answer_kind": "yesno"}),
    ("false", (), {"answer_kind": "yesno"}),
    ("upper left", (), {"answer_kind": "direction"}),
    ("[0.1, 0.2, 0.3, 0.4]", (), {"answer_kind": "box"}),
    ("(B)", ("left", "right", "behind"), {}),
    ("A is closer", ("B is closer", "A is closer"), {"answer_kind": "choice"}),
    ("only", ("only",), {}),
]


def random_box(rng: random.Random) -> Box:
    """Any box that is not the whole image, tiny ones and long ones included."""
    while True:
        if rng.random() < 0.1:
            x, y = rng.random() * 0.999, rng.random() * 0.999
            box = Box(x, y, x + 0.0004, y + rng.choice([0.0004, 0.001]))
        else:
            (x0, x1), (y0, y1) = (sorted(rng.choice([0.0, 1.0, *[rng.random()] * 6]) for _ in "ab") for _ in "xy")
            if x0 == x1 or y0 == y1:
                continue
            box = Box(x0, y0, x1, y1)
        if not box.quantized().is_whole:
            return box


def random_depth(rng: random.Random) -> DepthMap | None:
    """No depth, or a relative or metric map of a ramp with noise, steps and holes, at times of nothing but zeros."""
    if rng.random() < 0.2:
        return None
    numbers = np.random.default_rng(rng.getrandbits(32))
    height, width = rng.randint(2, 40), rng.randint(2, 40)
    values = numbers.random((height, width)) * 0.3 + np.linspace(0, 0.7, width)
    if rng.random() < 0.1:
        values *= 0
    valid = numbers.random((height, width)) > rng.choice([0.0, 0.0, 0.3])
    return DepthMap(values * 80 if (metric := rng.random() < 0.5) else values, valid, metric)


def area_of(boxes: list[Box] | tuple[Box, ...], depth: DepthMap | None) -> Area | None:
    """The boxes with their mean depths; None when one of them has none."""
    if depth is None:
        return Area(tuple(boxes), (None,) * len(boxes))
    means = [depth.relative().box_mean(box.quantized()) for box in boxes]
    return None if None in means else Area(tuple(boxes), tuple(means))


def random_pair(seed: int) -> tuple[Sample, Trace]:
    """A sample and its gold trace: whole image, at times a distractor, a wider area, the gold boxes."""
    rng = random.Random(seed)
    while True:
        depth = random_depth(rng)
        boxes = [random_box(rng) for _ in range(rng.choice([1, 1, 2, 3, 5]))]
        if rng.random() < 0.1:
            boxes.append(boxes[0])
        chain = [[WHOLE]] if rng.random() < 0.8 else []
        if rng.random() < 0.5:
            chain.append([random_box(rng)])
        if rng.random() < 0.5:
            chain.append([hull(boxes)])
        areas = [area_of(b, depth) for b in [*chain, boxes]]
        if None in areas:
            continue
        steps = tuple(Step(area, rng.choice(WORDS)) for area in areas if area is not None)
        answer, choices, meta = rng.choice(ANSWERS)
        sample = Sample(f"s{seed}", "no-file.png", "What?", answer, depth, choices, tuple(boxes), meta)
        return sample, Trace(steps, answer)
