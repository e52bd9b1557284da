"""Chains run from the whole image to the gold boxes, and each link is what it claims to be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifthinker.datagen.expand import DISTRACTOR_IOU, DISTRACTOR_SCALE, context_box, distractor, expand
from sifthinker.depth import DepthMap
from sifthinker.geometry import WHOLE, Box, hull

EDGE = st.integers(0, 1000)


@st.composite
def boxes(draw):
    found = []
    for _ in range(draw(st.integers(1, 4))):
        x0, x1 = sorted(draw(st.lists(EDGE, min_size=2, max_size=2, unique=True)))
        y0, y1 = sorted(draw(st.lists(EDGE, min_size=2, max_size=2, unique=True)))
        found.append(Box(x0 / 1000, y0 / 1000, x1 / 1000, y1 / 1000))
    return found


@given(boxes(), st.integers(0, 2**32), st.booleans())
def test_every_chain_is_sound(gold, seed, with_depth):
    depth = DepthMap(np.linspace(1, 9, 1200).reshape(30, 40), metric=True) if with_depth else None
    stages = expand(gold, depth, np.random.default_rng(seed))
    roles = [s.role for s in stages]
    assert roles == [r for r in ("whole", "distractor", "context", "gold") if r in roles]
    assert (roles[0], roles[-1]) == ("whole", "gold")
    assert stages[0].area.boxes == (WHOLE,)
    assert stages[-1].area.boxes == tuple(gold)
    for stage in stages:
        for box, d in zip(stage.area.boxes, stage.area.depths, strict=True):
            assert d == (None if depth is None else round(depth.relative().box_mean(box), 3))
        if stage.role == "distractor":
            (box,) = stage.area.boxes
            assert all(box.iou(g) < DISTRACTOR_IOU for g in gold)
        if stage.role == "context":
            (box,) = stage.area.boxes
            merged = hull(gold)
            assert not box.is_whole
            assert box.area > merged.area
            assert (box.x0, box.y0, -box.x1, -box.y1) <= (merged.x0, merged.y0, -merged.x1, -merged.y1)
            assert all(b <= m for b, m in zip((box.x0, box.y0), (merged.x0, merged.y0), strict=True))
            assert all(b >= m for b, m in zip((box.x1, box.y1), (merged.x1, merged.y1), strict=True))


def test_every_edge_moves_into_its_own_free_room():
    """The released code takes 1 - x1 - x2 for the free room, which is negative for boxes on the right."""
    for gold in (Box(0.8, 0.8, 0.9, 0.9), Box(0.05, 0.05, 0.15, 0.15), Box(0.45, 0.1, 0.55, 0.2)):
        box = context_box([gold], np.random.default_rng(0))
        room = (gold.x0, gold.y0, 1 - gold.x1, 1 - gold.y1)
        moved = (gold.x0 - box.x0, gold.y0 - box.y0, box.x1 - gold.x1, box.y1 - gold.y1)
        assert all(0.24 * r <= m <= 0.51 * r for m, r in zip(moved, room, strict=True)), (gold, box)


def test_distractors_are_about_as_large_as_a_gold_box():
    gold = Box(0.1, 0.1, 0.3, 0.25)
    rng = np.random.default_rng(1)
    for _ in range(50):
        box = distractor([gold], rng)
        low, high = DISTRACTOR_SCALE
        assert low * gold.width - 0.002 <= box.width <= high * gold.width + 0.002
        assert low * gold.height - 0.002 <= box.height <= high * gold.height + 0.002


def test_half_of_the_chains_have_a_distractor():
    rng = np.random.default_rng(2)
    gold = [Box(0.4, 0.4, 0.6, 0.6)]
    share = np.mean(["distractor" in [s.role for s in expand(gold, None, rng)] for _ in range(400)])
    assert share == pytest.approx(0.5, abs=0.08)


def test_stages_that_say_nothing_are_left_out():
    large = [Box(0.02, 0.02, 0.95, 0.9)]
    for seed in range(20):
        roles = [s.role for s in expand(large, None, np.random.default_rng(seed))]
        assert roles == ["whole", "gold"]


def test_areas_without_depth_are_left_out_of_chains_with_depth():
    values = np.full((100, 100), np.nan)
    values[40:60, 40:60] = 2.0
    values[0, 0] = 3.0
    depth = DepthMap(values, metric=True)
    for seed in range(30):
        stages = expand([Box(0.4, 0.4, 0.6, 0.6)], depth, np.random.default_rng(seed))
        assert all(d is not None for s in stages for d in s.area.depths)
