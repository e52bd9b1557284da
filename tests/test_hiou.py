"""Hierarchical IoU: golden values, and the exact union against brute force on a raster."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifthinker import Box, hiou
from sifthinker.geometry import iou_matrix
from sifthinker.hiou import matched_iou, union_iou

GOLD = [(0, 0, 10, 10), (20, 0, 30, 10)]
PRED = [(0, 0, 10, 10), (20, 0, 30, 5), (50, 50, 60, 60)]


def test_golden_values():
    assert matched_iou(PRED, GOLD) == pytest.approx(1.5, abs=1e-9)
    union = 150 / 300
    assert union_iou(PRED, GOLD) == pytest.approx(union, abs=1e-9)
    assert hiou(PRED, GOLD) == pytest.approx((union + 0.5) / 2, abs=1e-9)
    assert hiou(PRED, GOLD, released=True) == pytest.approx((union + 0.75) / 2, abs=1e-9)


@pytest.mark.parametrize(
    ("pred", "gold", "ours", "released"),
    [
        ([], [], 1.0, 1.0),
        ([], GOLD, 0.0, 0.0),
        (PRED, [], 0.0, 0.0),
        (GOLD, GOLD, 1.0, 1.0),
        (GOLD, GOLD[::-1], 1.0, 1.0),
        # a missing box is free in the pair half of the released form, a spare one too
        (GOLD[:1], GOLD, 0.5, 0.75),
        (GOLD, GOLD[:1], 0.5, 0.75),
        # the same ground cut otherwise
        ([(0, 0, 10, 10)], [(0, 0, 5, 10), (5, 0, 10, 10)], (1 + 0.25) / 2, (1 + 0.5) / 2),
        # matching is by the sum: the greedy pairing (0.6 first) would leave 0 for the other
        ([(0, 0, 10, 10), (0, 0, 6, 10)], [(0, 0, 10, 6), (0, 0, 10, 10)], None, None),
        ([(0, 0, 1, 1)], [(1, 0, 2, 1)], 0.0, 0.0),
    ],
)
def test_table(pred, gold, ours, released):
    if ours is None:
        best = max(sum(iou_matrix(pred, gold)[i, p] for i, p in enumerate(order)) for order in permutations(range(2)))
        assert matched_iou(pred, gold) == pytest.approx(best)
        return
    assert hiou(pred, gold) == pytest.approx(ours, abs=1e-9)
    assert hiou(pred, gold, released=True) == pytest.approx(released, abs=1e-9)


def test_takes_boxes_and_arrays():
    boxes = [Box(0, 0, 0.5, 1), Box(0.5, 0, 1, 1)]
    assert hiou(boxes, np.array([list(b) for b in boxes])) == 1.0


@pytest.mark.parametrize("bad", [(1, 0, 0, 1), (0, 0, 0, 1), (0, 0, float("nan"), 1)])
def test_bad_boxes_are_named(bad):
    with pytest.raises(ValueError, match="gold: every box must be finite xyxy with x0 < x1 and y0 < y1"):
        hiou([(0, 0, 1, 1)], [bad])


SIDE = 12
edges = st.tuples(st.integers(0, SIDE - 1), st.integers(1, SIDE)).filter(lambda e: e[0] < e[1])
int_boxes = st.tuples(edges, edges).map(lambda e: (e[0][0], e[1][0], e[0][1], e[1][1]))
sets = st.lists(int_boxes, min_size=1, max_size=5)


def raster(boxes) -> np.ndarray:
    grid = np.zeros((SIDE, SIDE), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        grid[y0:y1, x0:x1] = True
    return grid


def brute_force(pred, gold, released) -> float:
    p, g = raster(pred), raster(gold)
    small, large = sorted([pred, gold], key=len)
    pairs = [[(raster([a]) & raster([b])).sum() / (raster([a]) | raster([b])).sum() for b in large] for a in small]
    best = max(
        sum(row[i] for row, i in zip(pairs, order, strict=True))
        for order in permutations(range(len(large)), len(small))
    )
    return ((p & g).sum() / (p | g).sum() + best / (len(small) if released else len(large))) / 2


@given(sets, sets, st.booleans())
def test_equals_brute_force(pred, gold, released):
    assert hiou(pred, gold, released) == pytest.approx(brute_force(pred, gold, released), abs=1e-9)


@given(sets, sets, st.booleans(), st.floats(0.01, 100), st.floats(-50, 50))
def test_symmetric_bounded_and_free_of_units(pred, gold, released, scale, shift):
    value = hiou(pred, gold, released)
    assert 0.0 <= value <= 1.0 + 1e-12
    assert value == pytest.approx(hiou(gold, pred, released), abs=1e-12)
    assert value >= hiou(pred, gold) - 1e-12
    moved = [np.asarray(boxes) * scale + shift for boxes in (pred, gold)]
    assert value == pytest.approx(hiou(*moved, released), abs=1e-6)


@given(sets)
def test_a_set_is_itself_in_any_order(boxes):
    assert hiou(boxes, boxes[::-1]) == pytest.approx(1.0)
