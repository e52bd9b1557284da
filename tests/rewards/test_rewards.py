"""Every reward: one contract for all, gold earns full marks, each damage lowers exactly the rewards it should."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sifthinker.geometry import WHOLE, Box
from sifthinker.rewards import ABOUT, RELEASED, REWARDS
from sifthinker.rewards.corruptions import CORRUPTIONS
from sifthinker.rewards.progress import bonus
from sifthinker.sample import Sample, parse_reply
from sifthinker.trace import Area, Step, Trace, format_trace, parse_trace
from tests.random_samples import ANSWERS, random_pair
from tests.rewards.traces import trace_of

SAMPLES = 2000
DAMAGES = 5


def values(reply: str, sample: Sample, table=REWARDS) -> dict[str, float | None]:
    trace = parse_reply(reply, sample)
    return {name: reward(trace, sample) for name, reward in table.items()}


def hold_to_account(sample: Sample, trace: Trace, kinds: Iterable[str], seed: int) -> list[str]:
    """Assert that gold earns everything and that each kind of damage lowers its rewards and no other.

    Returns the kinds that could be done to this trace.
    """
    gold = values(format_trace(trace), sample)
    unknown = {} if sample.boxes else {"focus": None, "correction": None}
    assert gold == dict.fromkeys(REWARDS, 1.0) | ({"depth": None} if sample.depth is None else {}) | unknown, sample.id
    done = []
    for kind in kinds:
        reply = CORRUPTIONS[kind].apply(trace, sample, random.Random(seed))
        if reply is None:
            continue
        done.append(kind)
        damaged = values(reply, sample)
        for name, full in gold.items():
            if full is None:
                assert damaged[name] is None
            elif name in CORRUPTIONS[kind].lowers:
                assert damaged[name] < 1.0, (sample.id, kind, name, reply)
            else:
                assert damaged[name] == 1.0, (sample.id, kind, name, reply)
    return done


def test_tables_agree():
    assert REWARDS.keys() == RELEASED.keys() == ABOUT.keys() - {"progress"}
    assert all(about and "\n" not in about and len(about) < 90 for about in ABOUT.values())
    for corruption in CORRUPTIONS.values():
        assert corruption.lowers <= REWARDS.keys()
        assert corruption.about


def test_gold_earns_full_marks_and_damage_lowers_exactly_what_it_should():
    applied = Counter()
    for seed in range(SAMPLES):
        # Taking turns, so that every damage meets hundreds of samples.
        kinds = [list(CORRUPTIONS)[(seed * DAMAGES + i) % len(CORRUPTIONS)] for i in range(DAMAGES)]
        applied.update(hold_to_account(*random_pair(seed), kinds, seed))
    assert applied.keys() == CORRUPTIONS.keys()
    assert min(applied.values()) > 150, applied


def test_damage_is_reproducible():
    sample, trace = random_pair(11)
    for corruption in CORRUPTIONS.values():
        first, second = (corruption.apply(trace, sample, random.Random(3)) for _ in "ab")
        assert first == second


@pytest.mark.parametrize(("answer", "choices", "meta"), ANSWERS)
def test_answer_wrong_fits_every_kind(answer, choices, meta):
    sample = Sample("s", "x.png", "?", answer, choices=choices, meta=meta)
    trace = Trace((Step(Area((WHOLE,), (None,)), "x"),), answer)
    reply = CORRUPTIONS["answer_wrong"].apply(trace, sample, random.Random(0))
    assert values(reply, sample)["answer"] < 1.0


# --- contract ---

junk = st.lists(
    st.sampled_from([
        "<think>", "</think>", "<area>", "</area>", "<text>", "</text>", "<answer>", "</answer>", "Pink.", "two", "(B)",
        " ",
        '[{"bbox_2d":[0.1,0.1,0.5,0.5],"depth":0.5}]', '[{"bbox_2d":[0,0,1,1],"depth":0.5}]',
        '[{"bbox_2d":[0.2,0,0.4,1]}]',
    ]),
    max_size=16,
).map("".join)  # fmt: skip


@pytest.mark.parametrize("table", [REWARDS, RELEASED], ids=["ours", "released"])
@given(junk, st.integers(0, 10_000))
@settings(max_examples=200)
def test_contract(table, reply, seed):
    """A float in range for every reply (never None because of it), the same every time; None for the sample's sake."""
    sample, _ = random_pair(seed)
    trace = parse_reply(reply, sample)
    for name, reward in table.items():
        value = reward(trace, sample)
        if name == "depth" and sample.depth is None:
            assert value is None
            continue
        assert isinstance(value, float)
        assert 0.0 <= value <= (2.0 if (name, table) == ("correction", RELEASED) else 1.0)
        assert value == reward(trace, sample)


@pytest.mark.parametrize("table", [REWARDS, RELEASED], ids=["ours", "released"])
def test_none_only_for_what_the_sample_lacks(table):
    sample, trace = random_pair(1)
    bare = replace(sample, answer="", boxes=(), depth=None, choices=(), meta={})
    for reply in (format_trace(trace), "", "<answer>"):
        got = values(reply, bare, table)
        assert {name for name, value in got.items() if value is None} == {"answer", "focus", "correction", "depth"}


# --- form ---


def test_form_is_all_or_nothing():
    sample, trace = random_pair(2)
    good = format_trace(trace)
    assert REWARDS["form"](parse_trace(good, depth_required=False), sample) == 1.0
    # what the authors' search for tags lets through
    for bad in (good + "bye", good.replace("<think>", "<think><think>"), good + good, "", good[:-5]):
        assert REWARDS["form"](parse_trace(bad, depth_required=False), sample) == 0.0


def test_depth_is_needed_where_the_sample_has_it():
    _, trace = random_pair(2)
    bare = Trace(tuple(Step(Area(s.area.boxes, (None,) * len(s.area.boxes)), s.text) for s in trace.steps), "x")
    sample = random_pair(0)[0]
    assert REWARDS["form"](parse_trace(format_trace(bare), depth_required=True), sample) == 0.0
    assert REWARDS["form"](parse_trace(format_trace(bare), depth_required=False), sample) == 1.0


# --- answer ---


def test_answer_that_was_cut_off_earns_nothing():
    sample = Sample("s", "x.png", "How many?", "1", meta={"answer_kind": "number"})
    reply = format_trace(trace_of([WHOLE], answer="12"))
    assert values(reply.replace("12</answer>", "1"), sample)["answer"] == 0.0
    assert values(reply.replace("12", "1"), sample)["answer"] == 1.0


# --- progress ---


@given(st.floats(0, 1), st.one_of(st.none(), st.floats(0, 1)))
def test_progress_bonus(accuracy, previous):
    value = bonus(accuracy, previous)
    assert 0.0 <= value <= 1.0
    assert (value > 0) == (previous is not None and accuracy > previous)


def test_progress_bonus_needs_a_visit_and_counts_zero_as_one():
    assert bonus(1.0, None) == 0.0
    assert bonus(1.0, 0.0) == 1.0


# --- focus ---


def test_focus_takes_the_last_area_box_by_box():
    left, right = Box(0, 0, 0.4, 1), Box(0.6, 0, 1, 1)
    sample = Sample("s", "x.png", "?", "y", boxes=(left, right))
    assert REWARDS["focus"](trace_of([WHOLE], [left], [left, right]), sample) == 1.0
    assert REWARDS["focus"](trace_of([left, right], [left]), sample) == pytest.approx((0.5 + 0.5) / 2)
    # a missing box is free in the pair half of the authors' code
    assert RELEASED["focus"](trace_of([left, right], [left]), sample) == pytest.approx((0.5 + 1) / 2)
    assert REWARDS["focus"](Trace((), "y"), sample) == 0.0
    assert REWARDS["focus"](trace_of([left], []), sample) == 0.0
