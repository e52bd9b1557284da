"""Maps of floors: reading, writing, and what a map is worth."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifthinker.floormap import Extent, format_map, map_score, parse_map
from sifthinker.grading import AnswerSpec, Kind, extract, grade

bed, lamp, desk = Extent("bed", 0, 2, 1, 2.5), Extent("lamp", 3, 3.4, 0, 0.4), Extent("desk", -2, -1, 0, 0.5)
cents = st.integers(-500, 500)
extents = st.builds(
    lambda label, x, y, w, h: Extent(label, x / 100, (x + w) / 100, y / 100, (y + h) / 100),
    st.sampled_from(["bed", "lamp", 'a "quoted" box']),
    cents,
    cents,
    st.integers(5, 300),
    st.integers(5, 300),
)


@given(st.lists(extents, max_size=6))
def test_what_is_written_is_read(floor):
    assert parse_map(format_map(floor)) == tuple(floor)
    assert map_score(floor, floor) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no map",
        "[",
        "{}",
        '[{"label": "bed"}]',
        '[{"label": "bed", "x": [1, 0], "y": [0, 1]}]',
        "[1, 2]",
        "[[]]",
        '[{"label": "bed", "x": [0, 1, 2], "y": [0, 1]}]',
        '[{"label": 3, "x": [0, 1], "y": [0, 1]}]',
        '[{"label": "bed", "x": [true, 2], "y": [0, 1]}]',
        '[{"label": "bed", "x": [0, 1e999], "y": [0, 1]}]',
        '[{"label": "bed", "x": ["0", "1"], "y": [0, 1]}]',
    ],
)
def test_broken_maps_are_none(text):
    assert parse_map(text) is None


def test_tags_and_fences_around_a_map():
    assert parse_map(f"```json\n{format_map([bed])}\n```") == (bed,)
    assert parse_map("[]") == ()


@given(extents, extents)
def test_overlaps_are_those_of_a_raster(a, b):
    points = np.random.default_rng(0).uniform((-5, -5), (8, 8), (4000, 2))
    inside = [
        (points[:, 0] > e.x0) & (points[:, 0] < e.x1) & (points[:, 1] > e.y0) & (points[:, 1] < e.y1) for e in (a, b)
    ]
    either = (inside[0] | inside[1]).sum()
    if either > 300:
        assert a.iou(b) == pytest.approx((inside[0] & inside[1]).sum() / either, abs=0.12)


def test_scores():
    gold = (bed, lamp)
    assert map_score((lamp, bed), gold) == 1.0
    assert map_score((bed,), gold) == 0.5
    assert map_score((bed, lamp, desk), gold) == pytest.approx(2 / 3)
    assert map_score((), gold) == 0.0
    assert map_score((), ()) == 1.0
    assert map_score((Extent("chair", 0, 2, 1, 2.5), lamp), gold) == 0.5
    assert map_score((Extent("The Bed", 0, 2, 1, 2.5), lamp), gold) == 1.0
    # Half a metre off: 1.5 of the 2.5 m that both cover together, and half of the place.
    assert map_score((Extent("bed", 0.5, 2.5, 1, 2.5),), (bed,)) == pytest.approx((1.5 / 2.5 + 0.5) / 2)


def test_saying_a_thing_often_does_not_pay():
    assert map_score((bed, bed, bed, bed), (bed,)) == 0.25
    spread = [Extent("bed", x, x + 2, 1, 2.5) for x in np.arange(-3, 3, 0.5)]
    assert map_score(spread, (bed,)) < 0.1


@given(st.lists(extents, max_size=5), st.lists(extents, max_size=5), st.integers(0, 99))
def test_order_does_not_matter_and_nobody_earns_more_than_1(found, gold, seed):
    mixed = random.Random(seed).sample(found, len(found))
    assert map_score(mixed, gold) == pytest.approx(map_score(found, gold))
    assert 0.0 <= map_score(found, gold) <= 1.0 + 1e-9


def test_a_worse_place_earns_less():
    scores = [map_score((Extent("bed", d, 2 + d, 1, 2.5),), (bed,)) for d in np.linspace(0, 3, 20)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 1.0
    assert scores[-1] == 0.0


def test_grader():
    spec, gold = AnswerSpec(Kind.TEXT, grader="floor_map"), format_map([bed, lamp])
    assert grade(extract(gold, spec), gold, spec) == 1.0
    assert grade(extract(format_map([lamp]), spec), gold, spec) == 0.5
    assert grade(extract("I do not know", spec), gold, spec) == 0.0
