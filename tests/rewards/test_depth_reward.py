"""Depth: agreement with the map, with a floor for near things; whole images, spare areas and spare boxes do not pay."""

from __future__ import annotations

import numpy as np
import pytest

from sifthinker.depth import DepthMap, write_depth
from sifthinker.geometry import WHOLE, Box
from sifthinker.rewards import RELEASED, REWARDS
from sifthinker.rewards.depth import depth_released, depth_reward
from sifthinker.sample import Sample
from tests.rewards.traces import trace_of

# four columns of depth 0, 0.1, 0.5, 1
VALUES = np.repeat(np.array([[0.0, 0.1, 0.5, 1.0]], dtype=np.float32), 4, axis=0)
NEAREST, NEAR, MIDDLE, FAR = (Box(i / 4, 0, (i + 1) / 4, 1) for i in range(4))
MAP = DepthMap(VALUES)


def sample(*boxes: Box, depth: DepthMap | None = MAP) -> Sample:
    return Sample("s", "x.png", "?", "y", depth=depth, boxes=boxes)


def value(areas, depths, *gold: Box, depth: DepthMap | None = MAP) -> float | None:
    return depth_reward(trace_of(*areas, depths=depths), sample(*gold, depth=depth))


@pytest.mark.parametrize(
    ("box", "depth", "consistent"),
    [
        (MIDDLE, 0.5, True), (MIDDLE, 0.55, True), (MIDDLE, 0.551, False), (MIDDLE, 0.45, True), (MIDDLE, 0.449, False),
        (NEAR, 0.12, True), (NEAR, 0.121, False), (NEAR, 0.08, True),
        (NEAREST, 0.0, True), (NEAREST, 0.02, True), (NEAREST, 0.021, False),
        (FAR, 0.9, True), (FAR, 0.899, False), (MIDDLE, None, False),
    ],
)  # fmt: skip
def test_tolerance(box, depth, consistent):
    assert value([[box]], [[depth]], box) == float(consistent)


@pytest.mark.parametrize(
    ("areas", "depths", "gold", "expected"),
    [
        # all boxes of the last area against max(boxes, gold boxes)
        ([[NEAR, FAR]], [[0.1, 1.0]], [NEAR, FAR], 1.0),
        ([[NEAR, FAR]], [[0.1, 0.3]], [NEAR, FAR], 0.5),
        ([[NEAR]], [[0.1]], [NEAR, FAR], 0.5),
        ([[NEAR, MIDDLE, FAR]], [[0.1, 0.5, 0.0]], [NEAR], 2 / 3),
        # the same box twice is one box, unless gold has it twice
        ([[NEAR, NEAR]], [[0.1, 0.1]], [NEAR, FAR], 0.5),
        ([[NEAR, NEAR]], [[0.1, 0.1]], [NEAR, NEAR], 1.0),
        # earlier areas: right depths earn nothing, wrong ones are charged once each, whole images are left out
        ([[MIDDLE], [FAR], [NEAR]], [[0.5], [1.0], [0.9]], [NEAR], 0.0),
        ([[MIDDLE], [NEAR, FAR]], [[0.9], [0.1, 1.0]], [NEAR, FAR], 0.5),
        ([[MIDDLE], [MIDDLE], [NEAR, FAR]], [[0.9], [0.9], [0.1, 1.0]], [NEAR, FAR], 0.5),
        ([[MIDDLE], [FAR], [NEAR]], [[0.9], [0.1], [0.1]], [NEAR], 0.0),
        ([[WHOLE], [NEAR]], [[0.0], [0.1]], [NEAR], 1.0),
        # a whole image at the end, no boxes
        ([[WHOLE]], [[0.4]], [NEAR], 0.0),
        ([[NEAR], [WHOLE]], [[0.1], [0.4]], [NEAR], 0.0),
        ([[NEAR], []], [[0.1], []], [NEAR], 0.0),
        ([], [], [NEAR], 0.0),
        # without gold boxes the map still judges
        ([[NEAR, FAR]], [[0.1, 0.0]], [], 0.5),
    ],
)
def test_table(areas, depths, gold, expected):
    assert value(areas, depths, *gold) == pytest.approx(expected)


def test_surplus_areas_do_not_help():
    wrong_end = [[0.9]]
    assert value([[NEAR]], wrong_end, NEAR) == 0.0
    assert value([[WHOLE]] * 5 + [[MIDDLE]] * 5 + [[NEAR]], [[0.4]] * 5 + [[0.5]] * 5 + wrong_end, NEAR) == 0.0
    # in the authors' code they do
    spare = trace_of(*[[WHOLE]] * 9, [NEAR], depths=[[0.4]] * 9 + wrong_end)
    assert depth_released(spare, sample(NEAR)) == pytest.approx(0.9)


def test_boxes_without_valid_pixels():
    holes = DepthMap(VALUES, np.arange(16).reshape(4, 4) % 4 != 1)
    assert value([[NEAR]], [[0.1]], NEAR, depth=holes) == 0.0
    assert value([[NEAR], [FAR]], [[0.1], [1.0]], FAR, depth=holes) == 1.0


def test_metric_maps_are_judged_by_relative_depth():
    metres = DepthMap(VALUES * 10 + 2, metric=True)
    assert value([[MIDDLE]], [[0.5]], MIDDLE, depth=metres) == 1.0


def test_depth_from_a_file(tmp_path):
    write_depth(MAP, tmp_path / "d.png")
    stored = Sample("s", "x.png", "?", "y", depth=tmp_path / "d.png", boxes=(MIDDLE,))
    assert depth_reward(trace_of([MIDDLE], depths=[[0.5]]), stored) == 1.0


def test_no_depth_map_is_none():
    for name in ("ours", "released"):
        table = {"ours": REWARDS, "released": RELEASED}[name]
        assert table["depth"](trace_of([NEAR], depths=[[0.1]]), sample(NEAR, depth=None)) is None


@pytest.mark.parametrize(
    ("areas", "depths", "expected"),
    [
        ([[WHOLE]], [[0.4]], 1.0),
        ([[WHOLE], [NEAR]], [[0.4], [0.12]], 0.5),
        ([[NEAREST]], [[0.0]], 0.0),
        ([[NEAR]], [[None]], 0.0),
        ([], [], 0.0),
    ],
)
def test_released(areas, depths, expected):
    assert depth_released(trace_of(*areas, depths=depths), sample(NEAR)) == expected
