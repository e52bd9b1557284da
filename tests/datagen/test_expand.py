"""Chains run from the whole image to the gold boxes, and each link is what it claims to be."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifthinker.datagen.annotators import Job, TemplateAnnotator
from sifthinker.datagen.expand import DISTRACTOR_SCALE, MAX_STEPS, distractor, expand, expansions
from sifthinker.datagen.screen import gold_earns_all
from sifthinker.depth import DepthMap
from sifthinker.errors import InputError
from sifthinker.geometry import GRID, WHOLE, Box, hull
from sifthinker.sample import Sample
from sifthinker.trace import format_trace, parse_trace

ON_GRID = st.integers(0, 1000).map(lambda n: n / 1000)
ANY_EDGE = st.one_of(ON_GRID, st.floats(0, 1), st.sampled_from([0.0, 1e-9, 0.999999, 1.0]))
SEED = st.integers(0, 2**32)
STEPS = st.integers(1, MAX_STEPS)
RAMP = DepthMap(np.linspace(1, 9, 1200).reshape(30, 40), metric=True)


@st.composite
def boxes(draw, edge=ON_GRID, most=4):
    """Boxes of any size and place, on the grid of traces or not."""
    found = []
    for _ in range(draw(st.integers(1, most))):
        x0, x1 = sorted(draw(st.lists(edge, min_size=2, max_size=2, unique=True)))
        y0, y1 = sorted(draw(st.lists(edge, min_size=2, max_size=2, unique=True)))
        found.append(Box(x0, y0, x1, y1))
    return found


def within(box, other):
    return other.x0 <= box.x0 and other.y0 <= box.y0 and box.x1 <= other.x1 and box.y1 <= other.y1


def apart(box, other):
    """No overlap at all; touching is none."""
    return box.x1 <= other.x0 or other.x1 <= box.x0 or box.y1 <= other.y0 or other.y1 <= box.y0


@given(boxes(ANY_EDGE, most=7), SEED, st.booleans(), st.one_of(st.none(), STEPS))
def test_every_chain_is_sound(gold, seed, with_depth, steps):
    depth = RAMP if with_depth else None
    stages = expand(gold, depth, np.random.default_rng(seed), steps)
    merged = hull([box.quantized() for box in gold])
    roles = [s.role for s in stages]
    assert (roles[0], roles[-1]) == ("whole", "gold")
    assert stages[0].area.boxes == (WHOLE,)
    assert stages[-1].area.boxes == tuple(box.quantized() for box in gold)
    assert roles.count("distractor") <= 1
    if steps is None:
        assert roles == [r for r in ("whole", "distractor", "context", "gold") if r in roles]
    else:
        assert roles.count("context") == (0 if merged.is_whole else steps - 1)
    seen = WHOLE
    for stage in stages:
        for box, d in zip(stage.area.boxes, stage.area.depths, strict=True):
            assert box == box.quantized()
            assert d == (None if depth is None else round(depth.relative().box_mean(box), 3))
        if stage.role == "distractor":
            (box,) = stage.area.boxes
            assert all(apart(box, other) for other in (*gold, *stages[-1].area.boxes))
            assert within(box, WHOLE)
        if stage.role == "context":
            (box,) = stage.area.boxes
            assert within(box, seen)
            assert within(merged, box)
            assert merged.area < box.area < seen.area
            seen = box
    assert [s.area for s in expand(gold, depth, np.random.default_rng(seed), steps)] == [s.area for s in stages]


@given(boxes(ANY_EDGE), SEED, STEPS)
def test_expansions_reach_the_whole_image_in_the_last_step(gold, seed, steps):
    """The released step (1 - x1 - x2) / steps is negative for boxes on the right, and never gets there."""
    merged = hull([box.quantized() for box in gold])
    found = expansions(merged, steps, np.random.default_rng(seed))
    assert len(found) == steps
    assert found[-1] == WHOLE
    assert WHOLE not in found[:-1] or merged.is_whole
    for inner, outer in zip([merged, *found], found, strict=False):
        assert within(inner, outer)
        assert outer.area > inner.area or merged.is_whole
    assert all(box == box.quantized() for box in found)


@given(boxes(), SEED, STEPS)
def test_every_edge_moves_into_its_own_free_room(gold, seed, steps):
    merged = hull(gold)
    room = np.abs(np.array(tuple(merged)) - tuple(WHOLE))
    for k, box in enumerate(expansions(merged, steps, np.random.default_rng(seed)), 1):
        moved = np.abs(np.array(tuple(box)) - tuple(merged))
        assert (moved <= k / steps * room + 0.0006).all()
        assert (moved >= (k - 0.5) / steps * room - 0.0006).all()


@pytest.mark.parametrize("steps", [0, -1, MAX_STEPS + 1])
def test_numbers_of_steps_that_cannot_be(steps):
    with pytest.raises(InputError, match=f"steps {steps}: expected 1 to {MAX_STEPS} expansions"):
        expand([Box(0.4, 0.4, 0.6, 0.6)], None, np.random.default_rng(0), steps)


# --- distractors ---


def free_places(gold, size, window):
    """By trying every place."""
    left, top, right, bottom = (round(v * GRID) for v in window)
    return {
        (x, y)
        for x in range(left, right - size[0] + 1)
        for y in range(top, bottom - size[1] + 1)
        if all(apart(Box(x / GRID, y / GRID, (x + size[0]) / GRID, (y + size[1]) / GRID), box) for box in gold)
    }


def test_all_free_places_are_equally_likely(monkeypatch):
    monkeypatch.setattr("sifthinker.datagen.expand.DISTRACTOR_SCALE", (1.0, 1.0))
    gold = [Box(0.004, 0.004, 0.008, 0.008), Box(0.010, 0.002, 0.011, 0.006), Box(0.006, 0.006, 0.010, 0.010)]
    window, rng, found = Box(0.0, 0.0, 0.012, 0.012), np.random.default_rng(0), {(4, 4): [], (1, 4): []}
    for _ in range(6000):
        if (box := distractor(gold, rng, window)) is not None:
            size = round(box.width * GRID), round(box.height * GRID)
            found[size].append((round(box.x0 * GRID), round(box.y0 * GRID)))
    for size, corners in found.items():
        places = free_places(gold, size, window)
        expected = len(corners) / len(places)
        assert expected > 20
        assert set(corners) == places
        assert sum((corners.count(p) - expected) ** 2 / expected for p in places) < 2 * len(places)


@given(boxes(st.integers(0, 12).map(lambda n: n / 1000)), SEED)
def test_there_is_a_distractor_wherever_there_is_room(gold, seed):
    window = Box(0.0, 0.0, 0.012, 0.012)
    box = distractor(gold, np.random.default_rng(seed), window)
    low = DISTRACTOR_SCALE[0]
    least = [tuple(max(1, round(side * low * GRID)) for side in (g.width, g.height)) for g in gold]
    if box is None:
        assert any(not free_places(gold, size, window) for size in least)
    else:
        assert within(box, window)
        assert all(apart(box, other) for other in gold)


def test_no_room_for_a_distractor():
    rng = np.random.default_rng(0)
    assert distractor([Box(0.1, 0.1, 0.9, 0.9)], rng) is None
    assert distractor([Box(0.4, 0.4, 0.6, 0.6)], rng, Box(0.3, 0.3, 0.7, 0.7)) is None
    # Exactly as much room as the smallest size needs.
    assert distractor([Box(0.0, 0.0, 1.0, 0.5), Box(0.0, 0.5, 0.3, 1.0)], rng) is not None


def test_distractors_keep_away_from_boxes_between_the_steps_of_the_grid():
    gold = [Box(0.1004, 0.1004, 0.8006, 0.5004)]
    free = [distractor(gold, np.random.default_rng(seed)) for seed in range(300)]
    assert all(apart(box, gold[0]) for box in free if box is not None)
    assert sum(box is not None for box in free) > 200


def test_distractors_are_about_as_large_as_a_gold_box():
    gold = Box(0.1, 0.1, 0.3, 0.25)
    rng = np.random.default_rng(1)
    for _ in range(50):
        box = distractor([gold], rng)
        low, high = DISTRACTOR_SCALE
        assert low * gold.width - 0.002 <= box.width <= high * gold.width + 0.002
        assert low * gold.height - 0.002 <= box.height <= high * gold.height + 0.002


@pytest.mark.parametrize("steps", [None, 1, 4])
def test_half_of_the_chains_have_a_distractor(steps):
    rng = np.random.default_rng(2)
    gold = [Box(0.4, 0.4, 0.6, 0.6)]
    share = np.mean(["distractor" in [s.role for s in expand(gold, None, rng, steps)] for _ in range(400)])
    assert share == pytest.approx(0.5, abs=0.08)


def test_distractors_stand_anywhere_on_the_way_and_lie_in_what_was_seen_before():
    rng, places = np.random.default_rng(4), []
    for _ in range(300):
        stages = expand([Box(0.45, 0.45, 0.5, 0.5)], None, rng, 4)
        roles = [s.role for s in stages]
        if "distractor" in roles:
            place = roles.index("distractor")
            places.append(place)
            assert within(stages[place].area.boxes[0], stages[place - 1].area.boxes[0])
            assert roles[place + 1] in ("context", "gold")
    assert [places.count(place) / len(places) for place in (1, 2, 3, 4)] == pytest.approx([0.25] * 4, abs=0.1)


# --- what is left out, and what the whole is worth ---


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


@given(boxes(ANY_EDGE), SEED, st.one_of(st.none(), STEPS), st.booleans())
def test_gold_traces_of_all_chains_earn_full_marks(gold, seed, steps, with_depth):
    if any(box.quantized().is_whole for box in gold):
        return  # screened out before
    depth = RAMP if with_depth else None
    sample = Sample("s", "photo.jpg", "What is this?", "a dog", depth, boxes=tuple(gold))
    job = Job(sample, tuple(expand(gold, depth, np.random.default_rng(seed), steps)))
    words = TemplateAnnotator(seed).words(job).texts
    trace = job.trace(words)
    assert gold_earns_all(sample, trace) is None
    assert parse_trace(format_trace(trace), depth_required=with_depth) == trace
    assert len(set(words)) == len(words), "nothing is said twice"


def test_a_correction_is_said():
    gold = (Box(0.45, 0.45, 0.5, 0.5),)
    sample = Sample("s", "photo.jpg", "What is this?", "a dog", boxes=gold)
    seen = 0
    for seed in range(40):
        job = Job(sample, tuple(expand(gold, None, np.random.default_rng(seed), 4)))
        texts, roles = TemplateAnnotator(seed).words(job).texts, [s.role for s in job.stages]
        for n in range(1, len(roles)):
            if roles[n] == "distractor":
                assert re.search("not|elsewhere|Nothing", texts[n])
                if roles[n + 1] == "context":
                    seen += 1
                    assert re.search("Back|wrong|instead", texts[n + 1])
    assert seen > 5
