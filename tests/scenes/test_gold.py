"""Gold traces: from the whole image to exactly the evidence, with the depth of each box, and worth full marks."""

import json
import re
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from sifthinker.depth import DepthMap
from sifthinker.geometry import WHOLE, Box
from sifthinker.rewards import REWARDS
from sifthinker.sample import parse_reply
from sifthinker.scenes.generate import generate
from sifthinker.scenes.gold import PART_FIRST, STYLES, WRONG_FIRST, _measure, area, chain, gold_trace
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
        assert Counter(trace.last_area.boxes) == Counter(box.quantized() for box in sample.boxes)
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
            assert Counter(trace.last_area.boxes) == Counter(box.quantized() for box in sample.boxes)


def test_styles_change_the_trace_and_nothing_else():
    made = [list(generate(6, 2, tasks=["nearer", "left_right"], style=style)) for style in STYLES]
    for same in zip(*made, strict=True):
        assert len({(sample.id, sample.question) for sample, _ in same}) == 1
        assert len({format_trace(trace) for _, trace in same}) == len(STYLES)


def test_listings_visit_all_that_is_seen_from_near_to_far():
    for sample, trace in generate(9, 2, style="listing"):
        view = world_from_json(sample.meta["world"])
        listed = trace.steps[1:-1]
        depths = [min(step.area.depths) for step in listed]
        assert depths == sorted(depths)
        boxes = {box for step in listed for box in step.area.boxes}
        assert boxes == {box.quantized() for box in view.boxes if not box.too_small(view.size)}
        names = [{view.labels[i] for i, b in enumerate(view.boxes) if b.quantized() in s.area.boxes} for s in listed]
        assert all(len(those) == 1 and those.pop() in step.text for those, step in zip(names, listed, strict=True))


def test_listings_number_what_the_question_names_and_end_in_its_order():
    marked = 0
    for sample, trace in generate(60, 2, objects=(2, 4), style="listing"):
        view = world_from_json(sample.meta["world"])
        asked = trace.steps[0].text.removeprefix("I look for ").removesuffix(".")
        phrases = [set(words) - {"the", "object", "objects"} for words in map(str.split, asked.split(" and "))]
        numbers = [" first", " second"] if len(phrases) > 1 else [""]
        if len(phrases) > 1:  # each name with its number behind it
            assert re.findall(r"( first| second)(?: and |$)", asked) == numbers
            phrases = [phrase - {number.strip()} for phrase, number in zip(phrases, numbers, strict=True)]
        for step in trace.steps[1:-1]:
            [label] = {view.labels[i] for i, b in enumerate(view.boxes) if b.quantized() in step.area.boxes}
            words = {*label.split(), *(f"{word}s" for word in label.split())}
            marks = [f", which I need{n}." for n, phrase in zip(numbers, phrases, strict=True) if phrase <= words]
            assert step.text == f"{step.text.partition(',')[0].removesuffix('.')}{marks[0] if marks else '.'}", (
                sample.id
            )
            sizes = [
                size for size, box in zip(view.sizes, view.boxes, strict=True) if box.quantized() in step.area.boxes
            ]
            said = [f"{size:.1f}" for size in sizes] if len(sizes) == 1 else []
            assert re.findall(r" of ([\d.]+) m\b", step.text) == said, sample.id
            marked += len(marks)
        # Evidence: in the order of the question where it names things one by one, else in that of the list.
        listed = [box for step in trace.steps[1:-1] for box in step.area.boxes]
        if len(phrases) > 1:
            listed = [view.boxes[i].quantized() for i in sample.meta["evidence"]]
        assert [box for box in listed if box in trace.last_area.boxes] == list(trace.last_area.boxes)
    assert marked > 60


def test_small_things_have_a_size_too():
    world = SimpleNamespace(sizes=(0.04, 0.94))
    assert [_measure(world, i) for i in range(2)] == ["0.04 m", "0.9 m"]
    assert _measure(SimpleNamespace(), 0) == ""


def test_what_is_larger_is_said_after_numbers_that_differ():
    again = 0
    for sample, trace in generate(40, 3, tasks=["larger"], style="listing"):
        *facts, compared, says = re.findall(r"[A-Z0-9].*?(?:\.(?= |$))", trace.steps[-1].text)
        marks = re.findall(r"of ([\d.]+ m), which I need (first|second)", " ".join(s.text for s in trace.steps))
        listed = [size for size, _ in sorted(marks, key=lambda mark: mark[1])]
        more = re.fullmatch(r"([\d.]+ m) is (more|less) than ([\d.]+ m)\.", compared)
        told = [more[1], more[3]]
        # What the list says is not said again; where its one decimal does not tell them apart, more are.
        assert [re.search(r" measures (.+)\.", fact)[1] for fact in facts] == [s for s in told if s not in listed]
        again += len(facts)
        if not facts:
            assert told == listed
        sizes = [float(size.removesuffix(" m")) for size in told]
        assert (more[2] == "more") == (sizes[0] > sizes[1])
        names = trace.steps[0].text.removeprefix("I look for ").removesuffix(" second.").split(" first and ")
        assert says.startswith(f"{names[sizes[1] > sizes[0]].capitalize()} is larger than ")
        assert sample.answer in says.partition(" is larger")[0]
    assert again < 20


def test_listings_number_nothing_that_the_question_does_not_name():
    asked = {"unc_perspective": True, "sparkle_path": True, "earth_direction": True, "dge_position_cam_reg": False}
    for task, one_by_one in asked.items():
        for sample, trace in generate(3, 21, tasks=[task], size=(64, 64), style="listing"):
            marked = re.findall(
                r"An? ([\w ]+?)(?: of [\d.]+ m)?, which I need (first|second)\.", " ".join(s.text for s in trace.steps)
            )
            assert len(marked) == (2 if one_by_one else 0), sample.id
            named = trace.steps[0].text.removeprefix("I look for ").removesuffix(".").split(" and ")
            for label, number in marked:
                phrase = named[("first", "second").index(number)].split()
                assert phrase.pop() == number
                assert set(phrase) - {"the"} <= set(label.split()), sample.id


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
        assert np.allclose(vector["vector_m"], view.centers[b] - view.centers[a], atol=0.016)
    for sample, trace in generate(2, 2, tasks=["stepgame"], style="scene_graph"):
        graph = json.loads(trace.steps[0].text)
        assert set(sample.meta["roles"].values()) <= set(graph["objects"])


def test_some_traces_look_at_a_part_first(stream):
    several = [(s, t) for s, t in stream if len(s.boxes) > 1]
    parts = [t for s, t in several if len(t.steps) == 3 and set(t.steps[1].area.boxes) < set(t.last_area.boxes)]
    assert 0.3 * PART_FIRST < len(parts) / len(several) < 2 * PART_FIRST


def listed_places(trace):
    """Whose axes the 3D locations are in ("" where it is not said), and the locations by name."""
    if trace.steps[0].text.startswith("{"):
        graph = json.loads(trace.steps[0].text)
        places = {node["name"]: node["location_m"] for node in graph["objects"] if "location_m" in node}
        assert len(places) in (0, len(graph["objects"]))
        return graph.get("frame", ""), places
    pattern = r"(?:In the axes of (view \d+), t|T)he 3D location of the (.+) is \((.+)\) m\."
    found = [match.groups() for step in trace.steps if (match := re.fullmatch(pattern, step.text))]
    assert len({frame for frame, _, _ in found}) <= 1
    assert len({name for _, name, _ in found}) == len(found)
    places = {name: [float(v) for v in place.split(", ")] for _, name, place in found}
    return (found[0][0] or "") if found else "", places


def everything_said(trace):
    """The sentences of a trace, those in JSON too."""
    texts = [step.text for step in trace.steps]
    if texts[0].startswith("{"):
        texts[:1] = [text for text in json.loads(texts[0])["relations"] if isinstance(text, str)]
    return [sentence for text in texts for sentence in re.split(r"(?<=[.!?]) ", text)]


@pytest.mark.parametrize("style", ["explicit", "scene_graph"])
def test_places_in_several_views_agree_with_the_distances_in_the_facts(style):
    for sample, trace in generate(4, 3, tasks=["remind_object_object_distance"], size=(64, 64), style=style):
        frame, places = listed_places(trace)
        views = world_from_json(sample.meta["world"])
        camera = views.views[int(frame.removeprefix("view ")) - 1].camera
        # Distances are along the floor, and the camera may look down.
        floor = {name: (np.array(place) @ np.array(camera.rotation))[:2] for name, place in places.items()}
        anchor, *others = floor.values()
        said = [float(d) for d in re.findall(r"([\d.]+) m away", " ".join(everything_said(trace)))]
        assert len(said) == len(others) == 4
        assert np.allclose(said, [np.hypot(*(other - anchor)) for other in others], atol=0.03)


ABOUT_A_VIEW = ["remind_view_object_direction", "remind_view_view_distance"]


@pytest.mark.parametrize("style", ["explicit", "scene_graph"])
def test_places_are_in_the_axes_of_the_view_that_is_asked_about_and_each_is_listed_once(style):
    for sample, trace in generate(4, 3, tasks=ABOUT_A_VIEW, size=(64, 64), style=style):
        frame, places = listed_places(trace)
        views, asked = world_from_json(sample.meta["world"]), sample.meta["roles"]["view"]
        names = [views.labels[i] for i in sample.meta["evidence"]]
        assert frame == f"view {asked + 1}"
        assert set(places) >= set(names)
        for name, place in places.items():
            assert np.allclose(place, views.views[asked].centers[views.labels.index(name)], atol=0.006)


@pytest.mark.parametrize("style", STYLES)
def test_no_trace_says_a_sentence_twice(style):
    for sample, trace in generate(len(TASKS), 3, tasks=list(TASKS), size=(64, 64), style=style):
        said = everything_said(trace)
        assert len(set(said)) == len(said), sample.id
        assert all(step.text for step in trace.steps)


def test_only_traces_that_list_places_speak_of_3d():
    traces = [t for _, t in generate(len(TASKS), 3, tasks=list(TASKS), size=(64, 64), style="explicit")]
    told = ["in 3D" in trace.steps[0].text for trace in traces if trace.steps[0].area.boxes]
    assert told == [bool(listed_places(trace)[1]) for trace in traces if trace.steps[0].area.boxes]
    assert 0 < sum(told) < len(told)


def test_vectors_are_differences_of_the_places_that_are_printed():
    vectors = 0
    for _, trace in generate(20, 2, tasks=["left_right", "nearer"], size=(64, 64), style="scene_graph"):
        graph = json.loads(trace.steps[0].text)
        for vector in graph["relations"]:
            start, end = (graph["objects"][vector[key]]["location_m"] for key in ("from", "to"))
            assert vector["vector_m"] == [round(b - a, 2) for a, b in zip(start, end, strict=True)]
            vectors += 1
    assert vectors >= 20


def test_headings_of_views_are_turns_from_the_view_at_the_start():
    for _, trace in generate(3, 3, tasks=["remind_view_view_turn"], size=(64, 64), style="explicit"):
        headings = [int(h) for h in re.findall(r"looks (\d+) degrees to the right of view", trace.steps[-1].text)]
        assert len(headings) == 3
        assert all(0 < heading < 360 for heading in headings)
