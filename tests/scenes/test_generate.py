"""The stream: same seed, same bytes, any number of workers; tasks in turn; bad requests refused at once."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from sifthinker.errors import InputError, SifError
from sifthinker.scenes.generate import generate, make, make_blind, scene_config, task_names
from sifthinker.scenes.layout import MIN_VISIBLE
from sifthinker.scenes.tasks import BASICS, TASKS
from sifthinker.scenes.worlds import world_from_json
from sifthinker.trace import format_trace


def digest(pairs):
    """One hash a sample, over everything that a data set would hold."""
    return [
        hashlib.sha256(
            b"\0".join(
                (
                    s.id.encode(),
                    s.photo().tobytes(),
                    s.depth.values.tobytes(),
                    s.question.encode(),
                    s.answer.encode(),
                    str([tuple(b) for b in s.boxes]).encode(),
                    json.dumps(dict(s.meta)).encode(),
                    format_trace(t).encode(),
                )
            )
        ).hexdigest()
        for s, t in pairs
    ]


def test_workers_change_nothing_and_keep_the_order(stream):
    assert digest(generate(20, seed=11, workers=2)) == digest(stream[:20])


def test_a_stream_can_go_on_anywhere(stream):
    assert digest(generate(3, seed=11, start=6)) == digest(stream[6:9])


def test_fewer_samples_are_the_first_ones(stream):
    assert digest(generate(4, seed=11)) == digest(stream[:4])


def test_seeds_give_other_samples(stream):
    assert not set(digest(generate(4, seed=12))) & set(digest(stream))


def test_ids_are_unique_and_tell_configurations_apart(stream):
    ids = [s.id for s, _ in stream]
    assert len(set(ids)) == len(ids)
    (other, _), *_ = generate(1, seed=11, size=(64, 64))
    assert other.id not in ids
    assert other.id.endswith("-11-000000")


def test_tasks_come_in_turn(stream):
    names = list(BASICS)
    in_turn = [s.meta["task"] == names[i % len(names)] for i, (s, _) in enumerate(stream)]
    assert sum(in_turn) > 0.97 * len(stream)


def test_few_samples_of_many_tasks_have_all_kinds_of_answers():
    """The aims of a task come in an order of their own, not the least numbers first."""
    config = scene_config(list(TASKS), (64, 64))
    numbers = list(TASKS)
    for name, all_answers in (("earth_count", "01234"), ("count", "123"), ("tally_simple", "0123")):
        at = [numbers.index(name) + turn * len(numbers) for turn in range(10)]
        answers = [make_blind(config, 7, index).answer for index in at]
        assert len(set(answers)) >= len(all_answers) - 1, (name, answers)
        assert max(answers.count(a) for a in answers) <= 6


def test_every_aim_comes_once_in_each_round():
    name, aims = "tally_simple", TASKS["tally_simple"].aims(3)
    config = scene_config([name], (64, 64))
    for start in (0, len(aims)):
        served = Counter(make_blind(config, 3, start + i).meta["aim"] for i in range(len(aims)))
        assert served == Counter(aims)


@pytest.mark.parametrize("tasks", ["surds_*", "all"])
def test_evidence_can_be_pointed_at(tasks):
    names = task_names(tasks)
    for sample, _ in generate(len(names) if tasks == "all" else 24, seed=11, tasks=names, size=(64, 64)):
        for box in sample.boxes:
            assert not box.too_small(sample.photo().size)
            assert not box.quantized().is_whole


def test_samples_say_what_they_show(stream):
    for sample, _ in stream:
        assert sample.photo().size == sample.depth.size == (96, 96)
        assert sample.depth.metric
        assert 1 <= len(sample.meta["world"]["scene"]["objects"]) <= 3
        assert min(world_from_json(sample.meta["world"]).visible) >= MIN_VISIBLE - 1e-4
        json.dumps(dict(sample.meta))


def test_other_sizes_and_numbers():
    for sample, trace in generate(6, seed=0, size=(160, 96), objects=(4, 5)):
        assert sample.photo().size == (160, 96)
        assert 4 <= len(sample.meta["world"]["scene"]["objects"]) <= 5
        assert trace.valid


def test_single_objects_leave_the_tasks_that_need_no_more():
    pairs = list(generate(9, seed=0, objects=(1, 1)))
    assert {s.meta["task"] for s, _ in pairs} == {"color_of_shape", "shape_of_color", "count"}
    assert {len(s.boxes) for s, _ in pairs} == {1}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"tasks": ["colour_of_shape"]}, r"unknown task 'colour_of_shape': did you mean 'color_of_shape'"),
        ({"tasks": []}, "no tasks given; `sifthinker list tasks`"),
        (
            {"tasks": ["nearer"], "objects": (1, 1)},
            "task nearer needs scenes of 2 or more objects, got at most 1|at most 1",
        ),
        ({"objects": (3, 2)}, "objects 3 to 2: a scene needs 1 to 8"),
        ({"objects": (1, 9)}, "objects 1 to 9"),
        ({"size": (16, 96)}, "size 16x96: sides need 32 to 2048 pixels"),
        ({"size": (2048, 2049)}, "size 2048x2049: sides need 32 to 2048 pixels"),
        ({"style": "json:decoder"}, "trace style json:decoder is no function"),
        ({"renderer": "json:dumps"}, "renderer 'json:dumps' is none of embree, mitsuba"),
        ({"size": (40, 200)}, "size 40x200"),
        ({"tasks": ["json:dumps"]}, "task json:dumps is of type function"),
        ({"seed": -1}, "seed -1"),
        ({"workers": 0}, "workers 0"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_made(request_, message):
    with pytest.raises(InputError, match=message):
        generate(**{"n": 1, "seed": 0, **request_})


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ("count,nearer", ("count", "nearer")),
        ("nearer+count", ("nearer", "count")),
        ("count,count", ("count",)),
        ("all", tuple(TASKS)),
        ("sifthinker", tuple(BASICS)),
        ("spatialtext", tuple(n for n in TASKS if n.startswith("spatial_text_"))),
        ("color_*,stepgame", ("color_of_shape", "color_at_relation", "stepgame")),
        (f"{__name__}:ALWAYS", (f"{__name__}:ALWAYS",)),
    ],
)
def test_names_of_tasks(spec, names):
    assert task_names(spec) == names


def test_groups_leave_out_what_needs_more_objects_and_names_do_not():
    assert task_names("sifthinker", most=1) == ("color_of_shape", "shape_of_color", "count")
    assert task_names("nearer", most=1) == ("nearer",)
    with pytest.raises(InputError, match="unknown task 'neare'"):
        task_names("count,neare")


def test_without_objects_a_task_has_as_many_as_it_needs():
    many = replace(TASKS["count"], least=4)
    globals()["MANY"] = many
    (sample, _), *_ = generate(1, seed=0, tasks=[f"{__name__}:MANY"])
    assert len(sample.meta["world"]["scene"]["objects"]) == 4
    with pytest.raises(InputError, match="needs scenes of 4 or more"):
        generate(1, seed=0, tasks=[f"{__name__}:MANY"], objects=(1, 3))


def test_blind_samples_are_the_same_questions():
    config = scene_config(["nearer", "stepgame"], (64, 64))
    for index in range(4):
        seen, blind = make(config, 3, index)[0], make_blind(config, 3, index)
        assert (blind.id, blind.question, blind.answer, blind.meta) == (seen.id, seen.question, seen.answer, seen.meta)
        assert blind.image is blind.depth is None


def test_mixed_tasks_are_the_same_with_any_number_of_workers():
    names = ["stepgame", "nearer", "spatial_text_inferred"]
    alone, shared = (
        [(s.id, s.question, s.answer, json.dumps(dict(s.meta)), format_trace(t)) for s, t in made]
        for made in (generate(18, 4, names), generate(18, 4, names, workers=2))
    )
    assert alone == shared


SELDOM = replace(
    TASKS["nearer"],
    world=lambda rng, aim, config: BASICS["nearer"].world(rng, aim, config) if aim == "second" else "no",
)
NEVER = replace(TASKS["color_of_shape"], world=lambda rng, aim, config: "it is not the day for it")
ALWAYS = TASKS["color_of_shape"]


def test_a_task_of_ones_own():
    ((sample, _),) = generate(1, seed=0, tasks=[f"{__name__}:ALWAYS"])
    assert sample.question.startswith("What color")


def test_a_task_that_finds_nothing_leaves_its_turn_to_the_next():
    pairs = list(generate(2, seed=0, tasks=[f"{__name__}:NEVER", "count"]))
    assert [s.meta["task"] for s, _ in pairs] == ["count", "count"]


def test_a_task_alone_goes_on_with_another_aim():
    pairs = list(generate(6, seed=0, tasks=[f"{__name__}:SELDOM"]))
    assert TASKS["nearer"].aims(3) == ("first", "second")
    assert [s.meta["aim"] for s, _ in pairs] == ["second"] * 6


def test_giving_up_says_why():
    with pytest.raises(SifError, match=r"no world found for any of .*NEVER: it is not the day for it \(120 times\)"):
        make(scene_config([f"{__name__}:NEVER"], (48, 48), (1, 1)), seed=0, index=0)


def test_the_task_of_the_docs_works(tmp_path, monkeypatch):
    page = Path(__file__).parents[2] / "docs" / "scenes.md"
    code = page.read_text().split("```python\n# mytasks.py\n")[1].split("```")[0]
    (tmp_path / "mytasks.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    for sample, trace in generate(4, seed=0, tasks=["mytasks:tallest"]):
        heights = [o["size"][2] for o in sample.meta["world"]["scene"]["objects"]]
        assert (
            sample.answer.split()[-1] == sample.meta["world"]["scene"]["objects"][heights.index(max(heights))]["shape"]
        )
        assert trace.valid
