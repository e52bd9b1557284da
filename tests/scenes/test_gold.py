"""Gold traces: from the whole image to exactly the evidence, with the depth of each box, and worth full marks."""

import json
import re

import numpy as np
import pytest

from sifthinker.depth import DepthMap
from sifthinker.geometry import WHOLE, Box
from sifthinker.rewards import REWARDS
from sifthinker.sample import parse_reply
from sifthinker.scenes.generate import generate
from sifthinker.scenes.gold import PART_FIRST, STYLES, WRONG_FIRST, area, chain, gold_trace
from sifthinker.scenes.render import render
from sifthinker.scenes.tasks import TASKS
from sifthinker.scenes.worlds import world_from_json
from sifthinker.trace import format_trace, parse_trace

from .conftest import scene, thing


def test_traces_are_valid_and_come_back_from_text(stream):
    for sample, trace in stream:
        assert trace.valid
        assert parse_trace(format_trace(trace)) == trace
        assert trace.answer == sample.answer


def test_traces_go_from_the_whole_image_to_the_evidence(stream):
    for sample, trace in stream:
        assert trace.steps[0].area.boxes == (WHOLE,)
        assert not any(step.area.is_whole for step in trace.steps[1:])
        assert trace.last_area.boxes == tuple(box.quantized() for box in sample.boxes)
        assert not any(box.is_whole for box in sample.boxes)


def test_traces_are_short(stream):
    for sample, trace in stream:
        assert 2 <= len(trace.steps) <= 3
        assert max(len(step.text.split()) for step in trace.steps) <= 12
        if len(sample.meta["world"]["scene"]["objects"]) == 1:
            assert len(trace.steps) == 2


def test_depths_are_means_of_the_exact_depth(stream):
    for sample, trace in stream:
        values = sample.depth.values
        low, high = np.quantile(values, [0.005, 0.995])
        relative = ((values - low) / (high - low)).clip(0, 1)
        for step in trace.steps:
            for box, depth in zip(step.area.boxes, step.area.depths, strict=True):
                x0, y0, x1, y1 = (round(v * 96, 6) for v in box)
                part = relative[int(np.floor(y0)) : int(np.ceil(y1)), int(np.floor(x0)) : int(np.ceil(x1))]
                assert depth == pytest.approx(part.mean(), abs=6e-4)


def test_some_traces_look_at_a_wrong_object_first(stream):
    several = [
        (s, t)
        for s, t in stream
        if len(s.meta["world"]["scene"]["objects"]) > len(s.boxes) and "relation" not in s.meta["task"]
    ]
    wrong = [t for _, t in several if any("look elsewhere" in x.text or "not what I need" in x.text for x in t.steps)]
    assert 0.5 * WRONG_FIRST < len(wrong) / len(several) < 1.6 * WRONG_FIRST
    for sample, trace in several:
        for step in trace.steps[:-1]:
            if "elsewhere" in step.text or "not what" in step.text:
                assert not set(step.area.boxes) & {b.quantized() for b in sample.boxes}


def test_sentences_differ(stream):
    assert len({trace.steps[0].text.split()[0] for _, trace in stream}) == 3


def test_all_rewards_are_full(stream):
    for sample, trace in stream:
        assert {name: reward(trace, sample) for name, reward in REWARDS.items()} == dict.fromkeys(REWARDS, 1.0), (
            sample.id
        )


def test_a_chain_without_depth_has_none():
    trace = chain([((WHOLE,), "A room."), ((Box(0.1, 0.1, 0.4, 0.5),), "A cube.")], None, "cube")
    assert [s.area.depths for s in trace.steps] == [(None,), (None,)]
    assert parse_trace(format_trace(trace), depth_required=False) == trace


def test_a_box_without_valid_depth_is_refused():
    depth = DepthMap(np.ones((10, 10)), np.arange(100).reshape(10, 10) % 10 > 4, metric=True)
    assert area([Box(0.5, 0.0, 1.0, 1.0)], depth).depths == (0.0,)
    with pytest.raises(ValueError, match="covers no pixel with valid depth"):
        area([Box(0.0, 0.0, 0.5, 1.0)], depth)


def test_evidence_that_is_hidden_is_refused():
    view = render(scene(thing(), thing("cone", "blue", (2.0, 0.0))), (96, 96))
    question = TASKS["color_of_shape"].ask(view, {"target": 0})
    hidden = render(scene(thing(), thing("cone", "blue", (2.0, 0.0)), eye=(0, 6, 1), target=(0, 9, 1)), (96, 96))
    with pytest.raises(ValueError, match="not all of them are in the picture"):
        gold_trace(hidden, question, np.random.default_rng(0))


STYLED = ["nearer", "count", "color_at_relation", "stepgame", "spatial_text_egocentric"]


@pytest.mark.parametrize("style", STYLES)
def test_every_style_keeps_the_grammar_and_earns_full_marks(style):
    for sample, trace in generate(15, 2, tasks=STYLED, style=style):
        text = format_trace(trace)
        assert parse_reply(text, sample) == trace
        assert {reward(trace, sample) for reward in REWARDS.values()} <= {1.0, None}
        if sample.image is not None:
            assert trace.steps[0].area.boxes == (WHOLE,)
            assert trace.last_area.boxes == tuple(box.quantized() for box in sample.boxes)


def test_styles_change_the_trace_and_nothing_else():
    made = [list(generate(6, 2, tasks=["nearer", "left_right"], style=style)) for style in STYLES]
    for one, two, three in zip(*made, strict=True):
        assert one[0].id == two[0].id == three[0].id
        assert one[0].question == two[0].question == three[0].question
        assert len({format_trace(t) for _, t in (one, two, three)}) == 3


def test_explicit_traces_state_the_places_of_things():
    for sample, trace in generate(6, 2, tasks=["nearer"], style="explicit"):
        view = world_from_json(sample.meta["world"])
        said = [re.search(r"The 3D location of the (.+) is \((.+)\) m\.", step.text) for step in trace.steps[1:-1]]
        assert len(said) == 2
        for match, index in zip(said, sample.meta["evidence"], strict=True):
            assert match[1] == view.labels[index]
            assert np.allclose([float(v) for v in match[2].split(", ")], view.centers[index], atol=0.006)


def test_scene_graphs_are_json_of_what_matters():
    for sample, trace in generate(6, 2, tasks=["left_right"], style="scene_graph"):
        graph = json.loads(trace.steps[0].text)
        view = world_from_json(sample.meta["world"])
        assert [node["name"] for node in graph["objects"]] == [view.labels[i] for i in sample.meta["evidence"]]
        [vector] = graph["relations"]
        a, b = sample.meta["evidence"]
        assert np.allclose(vector["vector_m"], view.centers[b] - view.centers[a], atol=0.006)
    for sample, trace in generate(2, 2, tasks=["stepgame"], style="scene_graph"):
        graph = json.loads(trace.steps[0].text)
        assert set(sample.meta["roles"].values()) <= set(graph["objects"])


def test_some_traces_look_at_a_part_first(stream):
    several = [(s, t) for s, t in stream if len(s.boxes) > 1]
    parts = [t for s, t in several if len(t.steps) == 3 and set(t.steps[1].area.boxes) < set(t.last_area.boxes)]
    assert 0.3 * PART_FIRST < len(parts) / len(several) < 2 * PART_FIRST
