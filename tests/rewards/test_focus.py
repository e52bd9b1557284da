"""Focus and its variants for ablations: values by hand, gold, and names in a GRPO config."""

from __future__ import annotations

import pytest

from sifthinker.geometry import Box, giou_matrix
from sifthinker.rewards import focus
from sifthinker.sample import Sample, parse_reply
from sifthinker.trace import Trace, format_trace
from sifthinker.training.trl_rewards import find_rewards
from tests.random_samples import random_pair
from tests.rewards.traces import trace_of

VARIANTS = ("union_reward", "pairs_reward", "pairs_released", "giou_reward")

LEFT, HALF, RIGHT = Box(0.0, 0.0, 0.2, 0.2), Box(0.0, 0.0, 0.1, 0.2), Box(0.8, 0.0, 1.0, 0.2)


def sample_of(*boxes: Box) -> Sample:
    return Sample("s", None, "?", boxes=boxes)


@pytest.mark.parametrize(
    ("pred", "gold", "union", "pairs", "released", "giou"),
    [
        ([LEFT], [LEFT], 1, 1, 1, 1),
        ([HALF], [LEFT], 0.5, 0.5, 0.5, 0.75),
        # Hull 1.0 x 0.2, union 0.08: GIoU = 0 - 0.12 / 0.2 = -0.6.
        ([RIGHT], [LEFT], 0, 0, 0, 0.2),
        # A missing box: half of the ground, one of two pairs, free where the smaller number divides.
        ([LEFT], [LEFT, RIGHT], 0.5, 0.5, 1, 0.5),
        # A spare one.
        ([LEFT, RIGHT], [LEFT], 0.5, 0.5, 1, 0.5),
        # The same ground cut in two.
        ([HALF, Box(0.1, 0.0, 0.2, 0.2)], [LEFT], 1, 0.25, 0.5, 0.375),
        # In another order, one of both by half: ground 0.06 of 0.08.
        ([RIGHT, HALF], [LEFT, RIGHT], 0.75, 0.75, 0.75, 0.875),
    ],
)  # fmt: skip
def test_values_by_hand(pred, gold, union, pairs, released, giou):
    trace, sample = trace_of([Box(0, 0, 1, 1)], pred), sample_of(*gold)
    found = [getattr(focus, name)(trace, sample) for name in VARIANTS]
    assert found == pytest.approx([union, pairs, released, giou])
    assert focus.focus_reward(trace, sample) == pytest.approx((union + pairs) / 2)
    assert focus.focus_released(trace, sample) == pytest.approx((union + released) / 2)


def test_generalized_iou_goes_from_one_to_near_minus_one():
    far = giou_matrix([(0, 0, 1, 1)], [(0, 0, 1, 1), (1, 0, 2, 1), (99, 99, 100, 100), (0.5, 0, 1.5, 1)])
    assert far[0] == pytest.approx([1, 0, -0.9998, 1 / 3])


@pytest.mark.parametrize("name", VARIANTS)
def test_what_they_cannot_judge_and_what_earns_nothing(name):
    reward = getattr(focus, name)
    assert reward(trace_of([LEFT]), sample_of()) is None
    assert reward(Trace((), "y"), sample_of(LEFT)) == 0.0
    assert reward(trace_of([]), sample_of(LEFT)) == 0.0


@pytest.mark.parametrize("name", VARIANTS)
def test_gold_earns_full_marks(name):
    reward = getattr(focus, name)
    for seed in range(200):
        sample, trace = random_pair(seed)
        assert reward(parse_reply(format_trace(trace), sample), sample) == (1.0 if sample.boxes else None)


def test_they_take_the_place_of_focus_in_a_config():
    names = [f"sifthinker.rewards.focus:{name}" for name in VARIANTS]
    assert list(find_rewards(["form", *names], "ours").values())[1:] == [getattr(focus, name) for name in VARIANTS]
