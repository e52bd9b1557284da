"""Each reason to drop a sample is found, and only where it holds."""

from dataclasses import replace

import numpy as np
import pytest

from sifthinker.datagen.outcome import REASONS
from sifthinker.datagen.screen import Seen, gold_earns_all, screen
from sifthinker.depth import DepthMap
from sifthinker.geometry import WHOLE, Box
from sifthinker.sample import Sample
from sifthinker.trace import Area, Step, Trace

SIZE = (400, 300)
GOOD = Sample("a", "p.jpg", "What?", "dog", boxes=(Box(0.1, 0.1, 0.4, 0.4),))
HOLE = DepthMap(np.linspace(0, 1, 120000).reshape(300, 400), np.arange(400)[None, :].repeat(300, 0) >= 200)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"question": ""}, "empty_question"),
        ({"answer": ""}, "empty_answer"),
        ({"question": "What is <text>?"}, "tag_in_text"),
        ({"answer": "a </answer>"}, "tag_in_text"),
        ({"answer": "a < b > c"}, None),
        ({"boxes": ()}, "no_boxes"),
        ({"boxes": (Box(0.1, 0.1, 0.4, 0.4), Box(0, 0, 1, 0.96))}, "gold_is_whole"),
        ({"boxes": (Box(0, 0, 1, 0.94),)}, None),
        ({"boxes": (Box(0.1, 0.1, 0.109, 0.4),)}, "too_small"),
        ({"boxes": (Box(0.1, 0.1, 0.1149, 0.4),)}, "too_small"),
        ({"boxes": (Box(0.1, 0.1, 0.116, 0.4),)}, None),
        ({"depth": HOLE}, "no_depth_in_box"),
        ({"depth": DepthMap(np.full((100, 100), 2.0), metric=True)}, "depth_flat"),
        ({"question": "What is in <image>?"}, "tag_in_text"),
        ({"depth": HOLE, "boxes": (Box(0.6, 0.1, 0.9, 0.4),)}, None),
    ],
)
def test_reasons(changes, reason):
    reject = screen(replace(GOOD, **changes), SIZE)
    assert (reject.reason if reject else None) == reason
    assert reason is None or reason in REASONS


def test_duplicates():
    seen = Seen()
    assert seen.duplicate(GOOD) is None
    assert seen.duplicate(GOOD).reason == "duplicate_id"
    assert seen.duplicate(replace(GOOD, id="b", question=" what? ")).reason == "duplicate_question"
    assert seen.duplicate(replace(GOOD, id="c", image="other.jpg")) is None
    assert seen.duplicate(replace(GOOD, id="d", choices=("x", "y"))) is None
    assert seen.duplicate(replace(GOOD, id="e", image=b"photo")) is None
    assert seen.duplicate(replace(GOOD, id="f", image=b"other")) is None
    assert seen.duplicate(replace(GOOD, id="g", image=b"photo")).reason == "duplicate_question"
    ids_only = Seen(questions=False)
    assert ids_only.duplicate(GOOD) is None
    assert ids_only.duplicate(replace(GOOD, id="b")) is None
    assert ids_only.duplicate(GOOD).reason == "duplicate_id"


def trace(box=GOOD.boxes[0], answer="dog"):
    return Trace((Step(Area((WHOLE,), (None,)), "All."), Step(Area((box,), (None,)), "It.")), answer)


def test_gold_must_earn_all():
    assert gold_earns_all(GOOD, trace()) is None
    worse = gold_earns_all(GOOD, trace(box=Box(0.1, 0.1, 0.4, 0.5)))
    assert worse.reason == "gold_reward"
    assert "focus" in worse.detail
    assert "answer" in gold_earns_all(GOOD, trace(answer="cat")).detail
