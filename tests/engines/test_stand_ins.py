"""Engines that stand in for a model: the oracle is always right, without a look at the answer; blind never looks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sifthinker.engines import Request, open_engine, request_for
from sifthinker.engines.blind import FIRST, BlindEngine, best_constant, questions
from sifthinker.engines.oracle import know
from sifthinker.errors import InputError, SifError
from sifthinker.evaluate import evaluate
from sifthinker.grading import Kind
from sifthinker.rewards import REWARDS
from sifthinker.sample import Sample
from sifthinker.scenes.generate import generate
from sifthinker.scenes.gold import STYLES


def number(value: str, **meta: object) -> Sample:
    return Sample(value, None, "How much?", value, meta={"task": "t", "answer_kind": "number", **meta})


@pytest.mark.parametrize("style", STYLES)
def test_oracle_earns_full_marks_without_the_answer(style: str) -> None:
    for sample, _ in generate(9, 5, tasks=["nearer", "count", "stepgame"]):
        trace = know(replace(sample, answer="no idea"), style)
        assert {reward(trace, sample) for reward in REWARDS.values()} <= {1.0, None}


def test_oracle_follows_the_world_not_the_words() -> None:
    [(sample, _)] = generate(1, 0, tasks=["left_right"])
    turned = sample.meta["roles"] | {"a": sample.meta["roles"]["b"], "b": sample.meta["roles"]["a"]}
    other = know(replace(sample, meta={**sample.meta, "roles": turned}))
    assert {other.answer, sample.answer} == {"left", "right"}


def test_oracle_says_what_it_does_not_know() -> None:
    with pytest.raises(SifError, match="knows generated scenes and StepGame only; cannot parse: 'Who is it'"):
        know(Sample("s", None, "Who is it"))
    [(sample, _)] = generate(1, 0, tasks=["left_right"])
    one = sample.meta["roles"] | {"b": sample.meta["roles"]["a"]}
    with pytest.raises(SifError, match="left_right may not be asked of this world: their columns differ"):
        know(replace(sample, meta={**sample.meta, "roles": one}))
    with open_engine("oracle") as engine:
        [reply] = engine.generate([Request("r", [])])
    assert reply.error == "oracle: needs the sample itself; this request has words and pictures only"


def test_styles_of_the_oracle() -> None:
    with open_engine("oracle", style="scene_graph") as engine:
        [(sample, _)] = generate(1, 0, tasks=["nearer"])
        [reply] = engine.generate([request_for(sample, engine)])
    assert '"objects":[{"id":0,' in reply.text
    with pytest.raises(InputError, match="has no option 'styles'; it takes: max_pixels, style"):
        open_engine("oracle", styles="x")


def test_blind_says_one_answer_a_task(tmp_path: Path) -> None:
    result = evaluate("blind", "scenes:tasks=left_right+same+count", tmp_path, n=60)
    assert result["n_scored"] == 60
    found = {name: task["answer_accuracy"]["value"] for name, task in result["tasks"].items()}
    assert found["left_right"] == found["same"] == 0.5
    assert 0.2 <= found["count"] <= 0.5


def test_blind_knows_letters_and_how_numbers_are_graded() -> None:
    options = [
        Sample(str(i), None, "Which?", a, choices=("up", "on", "in")) for i, a in enumerate(["up", "on", "in", "on"])
    ]
    assert best_constant(options) == "B"
    assert best_constant([number(v) for v in ("1", "7", "7", "3")]) == "7"
    # Each length once: the one in the middle is near to most, by mean relative accuracy.
    lengths = [number(f"{v:.2f}", answer_unit="m") for v in (0.5, 0.9, 1.0, 1.1, 9.0)]
    assert best_constant(lengths) == "1.00"


def test_blind_learns_from_training_seeds_and_without_pictures() -> None:
    known = questions("count", (64, 64), (1, 3), n=6)
    assert [s.image for s in known] == [None] * 6
    trained = [s for s, _ in generate(6, 0, tasks=["count"], size=(64, 64))]
    assert [(s.question, s.answer) for s in known] == [(s.question, s.answer) for s in trained]


def test_blind_without_a_stream_to_learn_from() -> None:
    engine = BlindEngine()
    for kind in Kind:
        choices = ("x", "y") if kind is Kind.CHOICE else ()
        sample = Sample("s", None, "?", meta={"answer_kind": kind}, choices=choices)
        [reply] = engine.generate([request_for(sample, engine)])
        assert reply.text == f"<answer>{FIRST[kind]}</answer>"
