"""The wrapper says everywhere what it did, leaves out what it cannot do, and scores as the benchmark inside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sifthinker.benchmarks import Options, open_benchmark
from sifthinker.degrade import KINDS
from sifthinker.engines.oracle import OracleEngine
from sifthinker.errors import InputError
from sifthinker.evaluate import evaluate, score

from .test_benchmarks import blink_folder, refcoco_file, stepgame_folder, vsr_file


def pair(spec: str, inner: str, **options: int):
    return list(open_benchmark(spec, Options(**options)).load()), list(open_benchmark(inner, Options(**options)).load())


def test_questions_stay_and_photos_change():
    worse, clean = pair("degraded:haze:3:scenes", "scenes", n=4)
    for a, b in zip(worse, clean, strict=True):
        assert (a.id, a.meta["group"]) == (f"{b.id}+haze3", f"{b.meta['group']}+haze3")
        assert (a.question, a.answer, a.boxes, a.meta["world"]) == (b.question, b.answer, b.boxes, b.meta["world"])
        assert a.photo().size == b.photo().size
        assert np.abs(np.asarray(a.photo(), int) - np.asarray(b.photo(), int)).mean() > 5
        assert a.meta["degradation"] == {"kind": "haze", "level": 3, "seed": 0}


def test_name_and_version_say_the_degradation():
    specs = [f"degraded:{kind}:{level}:scenes" for kind in ("haze", "jpeg") for level in (0, 3)]
    found = [open_benchmark(spec, Options(n=2, seed=seed)) for spec in specs for seed in (0, 1)]
    assert len({bench.version for bench in found}) == len(found)
    assert {bench.name for bench in found} == set(specs)


def test_level_0_is_the_run_to_compare_with():
    worse, clean = pair("degraded:motion_blur:0:scenes", "scenes", n=3)
    for a, b in zip(worse, clean, strict=True):
        assert np.array_equal(np.asarray(a.photo()), np.asarray(b.photo()))
        assert a.id == f"{b.id}+motion_blur0"


def test_one_photo_is_degraded_alike_for_all_of_its_questions(tmp_path: Path):
    path = vsr_file(tmp_path)
    rows = path.read_text()
    path.write_text(rows + rows.replace("cat", "dog"))
    first, second = open_benchmark(f"degraded:water_droplets:4:vsr:{path}").load()
    assert first.meta["group"] == second.meta["group"] == "a.jpg+water_droplets4"
    assert np.array_equal(np.asarray(first.photo()), np.asarray(second.photo()))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_wraps_photos_without_depth(kind: str, tmp_path: Path):
    worse, clean = pair(f"degraded:{kind}:2:blink:{blink_folder(tmp_path)}", f"blink:{tmp_path}")
    assert [a.answer for a in worse] == [b.answer for b in clean]


def test_a_fisheye_moves_gold_boxes_and_the_benchmark_inside_scores_with_them(tmp_path: Path):
    worse, clean = pair(f"degraded:fisheye:5:refcoco:{refcoco_file(tmp_path)}", f"refcoco:{tmp_path / 'rec.jsonl'}")
    assert worse[0].boxes[0].iou(clean[0].boxes[0]) < 0.9
    assert worse[0].boxes[0].x0 > clean[0].boxes[0].x0  # toward the middle


def test_words_only_are_left_out_and_nothing_left_is_an_error(tmp_path: Path):
    bench = open_benchmark(f"degraded:haze:1:stepgame:{stepgame_folder(tmp_path)}")
    with pytest.raises(InputError, match=r"none of its items can be degraded: .* is a question in words only"):
        list(bench.load())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("degraded", "expected degraded:KIND:LEVEL:BENCHMARK"),
        ("degraded:haze:3", "expected degraded:KIND:LEVEL:BENCHMARK"),
        ("degraded:hase:3:scenes", "unknown degradation 'hase': did you mean 'haze'"),
        ("degraded:haze:6:scenes", "level '6' is not one of 0"),
        ("degraded:haze:x:scenes", "level 'x' is not one of 0"),
        ("degraded:haze:3:scene", "did you mean 'scenes'"),
    ],
)
def test_faults(spec: str, message: str):
    with pytest.raises(InputError, match=message):
        open_benchmark(spec)


def test_a_run_over_it_is_graded_again(tmp_path: Path):
    spec = "degraded:low_light:5:scenes"
    found = evaluate(OracleEngine(), spec, tmp_path / "run", n=4)
    assert found["answer_accuracy"]["value"] == 1.0
    items = [json.loads(line) for line in (tmp_path / "run" / "items.jsonl").read_text().splitlines()]
    assert all(item["group_id"].endswith("+low_light5") for item in items)
    assert score(tmp_path / "run") == found
