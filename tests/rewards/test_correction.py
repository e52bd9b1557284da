"""Correction: focus reached minus focus lost; a bad start never pays."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sifthinker.geometry import WHOLE, Box
from sifthinker.rewards import RELEASED, REWARDS
from sifthinker.rewards.focus import area_hiou
from sifthinker.sample import Sample
from sifthinker.trace import Area
from tests.rewards.traces import trace_of

GOLD = Box(0.2, 0.2, 0.6, 0.6)
NEAR = Box(0.2, 0.2, 0.6, 0.8)
FAR = Box(0.8, 0.8, 0.9, 0.9)
SAMPLE = Sample("s", "x.png", "?", "y", boxes=(GOLD,))
correction, released = REWARDS["correction"], RELEASED["correction"]


@pytest.mark.parametrize(
    ("areas", "ours", "theirs"),
    [
        ([[GOLD]], 1.0, 1.0),
        ([[WHOLE], [GOLD]], 1.0, 1.0),
        ([[WHOLE], [NEAR], [GOLD]], 1.0, 1 + 1 / 3),
        ([[WHOLE], [FAR], [GOLD]], 1.0, 2.0),
        ([[FAR], [NEAR]], 2 / 3, 4 / 3),
        ([[NEAR], [NEAR]], 2 / 3, 2 / 3),
        ([[GOLD], [NEAR]], 1 / 3, 2 / 3),
        ([[GOLD], [FAR]], 0.0, 0.0),
        ([[GOLD], [WHOLE]], 0.0, 0.16),
        ([[WHOLE], [WHOLE]], 0.0, 0.16),
        ([[WHOLE, FAR], [NEAR]], 2 / 3, None),
        ([], 0.0, 0.0),
        ([[GOLD], []], 0.0, 0.0),
    ],
)
def test_table(areas, ours, theirs):
    trace = trace_of(*areas)
    assert correction(trace, SAMPLE) == pytest.approx(ours)
    if theirs is not None:
        assert released(trace, SAMPLE) == pytest.approx(theirs)


def test_the_released_start_skips_only_the_exact_whole_image():
    nearly = Box(0, 0, 0.999, 1)
    assert released(trace_of([nearly], [GOLD]), SAMPLE) > 1.8
    assert correction(trace_of([nearly], [GOLD]), SAMPLE) == 1.0


def _box(draw):
    x0, y0 = draw(st.integers(0, 99)), draw(st.integers(0, 99))
    return Box(x0 / 100, y0 / 100, draw(st.integers(x0 + 1, 100)) / 100, draw(st.integers(y0 + 1, 100)) / 100)


boxes = st.composite(_box)()


@given(st.lists(boxes, min_size=1, max_size=3), boxes, boxes, st.lists(boxes, min_size=1, max_size=3))
def test_a_better_first_box_never_earns_less_up_to_the_last(gold, a, b, last):
    sample = Sample("s", "x.png", "?", "y", boxes=tuple(gold))
    assume(not (a.is_whole or b.is_whole or any(box.is_whole for box in last)))
    worse, better = sorted([a, b], key=lambda box: area_hiou(Area((box,), (None,)), sample))
    h_end = area_hiou(trace_of(last).last_area, sample)
    low, high = (correction(trace_of([first], last), sample) for first in (worse, better))
    assert 0.0 <= high <= h_end
    if area_hiou(Area((better,), (None,)), sample) <= h_end:
        assert high >= low
        assert high == low == h_end  # no first box pays more than any other
    else:
        assert high <= low
