"""Splits: what training must not see is in no scene of `train`, and each other split changes what it says."""

import re

import numpy as np
import pytest

from sifthinker.benchmarks import open_benchmark
from sifthinker.benchmarks.protocol import Options
from sifthinker.degrade import KINDS
from sifthinker.engines.oracle import know
from sifthinker.errors import InputError
from sifthinker.scenes.generate import generate, make_blind, scene_config
from sifthinker.scenes.layout import COLORS
from sifthinker.scenes.shapes import SOLIDS
from sifthinker.scenes.splits import HELD_PAIRS, SPLITS
from sifthinker.scenes.tasks import BASICS
from sifthinker.scenes.wordings import WORDINGS
from sifthinker.scenes.words import name
from sifthinker.scenes.worlds import world_from_json

N = 45


def objects(sample):
    return sample.meta["world"]["scene"]["objects"]


def kinds(sample):
    return [(thing["shape"], thing["color"]) for thing in objects(sample)]


@pytest.fixture(scope="module")
def streams():
    return {name: [s for s, _ in generate(N, 11, split=name)] for name in ("", *SPLITS)}


def test_held_pairs_leave_every_shape_and_color_with_others():
    assert len(HELD_PAIRS) == 10
    seen = {(s, c) for s in SOLIDS for c in COLORS} - HELD_PAIRS
    assert {s for s, _ in seen} == set(SOLIDS)
    assert {c for _, c in seen} == set(COLORS)


@pytest.mark.parametrize("name", [name for name in SPLITS if name != "ood-pairs"])
def test_held_pairs_are_in_no_other_split(streams, name):
    assert not any(HELD_PAIRS & set(kinds(sample)) for sample in streams[name])


def test_without_a_split_held_pairs_occur(streams):
    assert any(HELD_PAIRS & set(kinds(sample)) for sample in streams[""])


def test_questions_about_held_pairs(streams):
    for sample in streams["ood-pairs"]:
        roles = sample.meta["roles"]
        things = [*sample.meta["evidence"], *(roles[key] for key in ("anchor",) if key in roles)]
        assert HELD_PAIRS & {kinds(sample)[i] for i in things}


def test_crowded_scenes(streams):
    assert {len(objects(s)) for s in streams["ood-crowded"]} == {4, 5, 6}
    assert max(len(objects(s)) for s in streams["train"]) == 3


def test_things_that_only_colors_tell_apart():
    def alike(split):
        config = scene_config(("nearer", "left_right", "front_behind", "larger"), (96, 96), split=split)
        pairs = [
            {kinds(sample)[sample.meta["roles"][key]][0] for key in ("a", "b")}
            for sample in (make_blind(config, 3, index) for index in range(120))
        ]
        return np.mean([len(shapes) == 1 for shapes in pairs])

    assert alike("train") < 0.35
    assert alike("train-alike") > 0.5


def test_maps_that_photos_do_not_give_away(streams):
    turned = set()
    for sample, trace in generate(90, 5, split="train-maps"):
        shown, scene = sample.depth.values, world_from_json(sample.meta["world"]).depth.relative().values
        order = np.corrcoef(shown.argsort(axis=None).argsort(), scene.argsort(axis=None).argsort())[0, 1]
        assert abs(order) > 0.95
        if order < 0:
            turned.add(sample.meta["task"])
        for step in trace.steps:
            for box, depth in zip(step.area.boxes, step.area.depths, strict=True):
                assert depth == pytest.approx(sample.depth.box_mean(box), abs=1e-3)
    assert turned == {"color_of_shape", "shape_of_color", "left_right", "count", "larger", "same"}
    # Scenes and questions are those of the same seed; nothing but the maps is new.
    plain = [s for s, _ in generate(9, 5, split="train")]
    bent = [s for s, _ in generate(9, 5, split="train-maps")]
    assert [s.question for s in plain] == [s.question for s in bent]
    assert all(np.array_equal(a.photo(), b.photo()) for a, b in zip(plain, bent, strict=True))


def test_cameras(streams):
    def views(name):
        cameras = [s.meta["world"]["scene"]["cameras"][0] for s in streams[name]]
        pitch = [np.degrees(np.arcsin(-np.array(c["rotation"])[2, 2])) for c in cameras]
        return list(zip([c["fov_deg"] for c in cameras], pitch, strict=True))

    # The camera looks at a point above the floor's middle, so its pitch is a little less than drawn.
    assert all(40 <= fov <= 65 and 10 < pitch < 43 for fov, pitch in views("train"))
    other = [fov < 34 or fov > 72 or pitch < 15 or pitch > 40 for fov, pitch in views("ood-camera")]
    assert all(other)
    met = views("ood-camera")
    for one in ([fov < 34 for fov, _ in met], [fov > 72 for fov, _ in met], [pitch > 42 for _, pitch in met]):
        assert 0 < sum(one) < len(one)


def test_each_task_has_its_share_of_every_split(streams):
    for stream in streams.values():
        assert [s.meta["task"] for s in stream[:9]] == list(BASICS)


def test_other_words_and_the_answers_that_belong_to_them(streams):
    usual = {task: re.compile(pattern) for task, (pattern, _) in WORDINGS.items()}
    met = {}
    for sample in streams["ood-wording"]:
        task, text, things = sample.meta["task"], sample.question, objects(sample)
        assert not usual[task].fullmatch(text)
        met.setdefault(task, set()).add(sample.meta["wording"])
        roles = sample.meta["roles"]
        if "farther" in text or "smaller" in text:
            view = world_from_json(sample.meta["world"])
            score = -np.linalg.norm(view.centers, axis=1) if "farther" in text else [max(t["size"]) for t in things]
            pair = roles["a"], roles["b"]
            assert sample.answer == name(view.scene, min(pair, key=lambda i: score[i]))
        if "different" in text:
            a, b = (things[roles[key]][roles["attribute"]] for key in ("a", "b"))
            assert sample.answer == ("no" if a == b else "yes")
    assert met == {task: {0, 1} for task in BASICS}


def test_the_oracle_answers_every_split(streams):
    for stream in streams.values():
        for sample in stream:
            trace = know(sample)
            assert trace.answer == sample.answer
            assert trace.last_area.boxes == tuple(box.quantized() for box in sample.boxes)


def test_degraded_photos_of_every_kind_and_level():
    bench = open_benchmark("scenes:split=ood-degraded", Options(n=24 * 9, seed=1))
    samples = list(bench.load())
    assert len(samples) == bench.n
    met = [(s.meta["degradation"]["kind"], s.meta["degradation"]["level"], s.meta["task"]) for s in samples]
    assert {kind for kind, _, _ in met} == set(KINDS) - {"fisheye"}
    assert {level for _, level, _ in met} == {1, 3, 5}
    for task in BASICS:
        assert len({(kind, level) for kind, level, of in met if of == task}) >= 21


def test_data_sets_of_degraded_photos_are_degraded(streams):
    clean = {s.question: s for s in streams["train"]}
    same = [(s, clean[s.question]) for s in streams["ood-degraded"] if s.question in clean]
    assert same
    assert all(np.abs(np.asarray(s.photo(), int) - np.asarray(c.photo(), int)).max() > 0 for s, c in same)


def test_the_split_is_part_of_ids_and_version():
    plain, held = (open_benchmark(f"scenes{spec}", Options(n=1, seed=1)) for spec in ("", ":split=ood-pairs"))
    assert plain.version != held.version
    assert next(iter(plain.load())).id != next(iter(held.load())).id


def test_refusals():
    with pytest.raises(InputError, match="split"):
        scene_config(None, (96, 96), split="ood-pears")
    with pytest.raises(InputError, match="ood-crowded has scenes of 4 to 6 objects; leave objects out"):
        scene_config(None, (96, 96), objects=(2, 3), split="ood-crowded")
    with pytest.raises(InputError, match="task stepgame knows no splits; they are for color_of_shape"):
        scene_config(("stepgame",), (96, 96), split="train")
