"""Every benchmark: what it loads, what it says when something is missing, and that gold replies earn 1."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sifthinker import cli
from sifthinker.benchmarks import BENCHMARKS, UNPARSED, Benchmark, Entry, Options, Score, open_benchmark
from sifthinker.benchmarks.scenes import HELD_OUT
from sifthinker.engines import ScriptedEngine
from sifthinker.errors import InputError
from sifthinker.evaluate import evaluate
from sifthinker.geometry import WHOLE, Box
from sifthinker.records import ShardWriter, to_row
from sifthinker.sample import Sample
from sifthinker.scenes.generate import generate
from sifthinker.trace import Area, Step, Trace, format_trace, parse_trace


def gold(sample: Sample) -> Trace:
    depth = sample.depth_map()
    if sample.image is None:
        return Trace((Step(Area((), ()), "I think."),), sample.answer)
    steps = []
    for boxes in ([WHOLE], list(sample.boxes)):
        if boxes:
            snapped = tuple(b.quantized() for b in boxes)
            depths = tuple(None if depth is None else depth.relative().box_mean(b) for b in snapped)
            steps.append(Step(Area(snapped, depths), "I look."))
    return Trace(tuple(steps), sample.answer or "There.")


def photo(path: Path, color: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), color).save(path)
    return path


def vsr_file(folder: Path, **changes: object) -> Path:
    photo(folder / "images" / "a.jpg")
    row = {"image": "a.jpg", "caption": "The cat is on the mat.", "label": 1, "relation": "on", **changes}
    path = folder / "vsr.jsonl"
    path.write_text(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n")
    return path


def blink_folder(folder: Path, answer: str = "(B)", options: str = "(A) A is closer\n(B) B is closer") -> Path:
    photo(folder / "val_Relative_Depth_7" / "image.jpg")
    query = f"<img src='../x/image.jpg'> Which is closer?\nSelect from the following choices.\n{options}"
    (folder / "val_Relative_Depth_7" / "request.json").write_text(json.dumps({"query": query, "answer": answer}))
    return folder


def refcoco_file(folder: Path, **changes: object) -> Path:
    photo(folder / "000000000605.jpg")
    row = {"img_path": "COCO_train2014_000000000605.jpg", "expression": "a glass", "bbox": [4, 3, 20, 15]}
    row |= {"width": 40, "height": 30, "dataset_name": "jxu124/refcoco", "split": "val"} | changes
    path = folder / "rec.jsonl"
    path.write_text(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n")
    return path


def stepgame_folder(folder: Path, label: str = "upper-right", last: str = "") -> Path:
    story = "1 A is above B.\n2 C is to the left of B.\n"
    question = f"3 What is the relation of the agent A to the agent C?\t{label}\t1\n"
    for name in ("correct_clean", "correct_noise"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "qa2_test.txt").write_text(2 * (story + question) + last)
    return folder


def small(name: str, folder: Path) -> Benchmark:
    """Each benchmark of the table at its smallest."""
    if name == "scenes":
        return open_benchmark("scenes", Options(n=6))
    if name == "degraded":
        return open_benchmark("degraded:fisheye:2:scenes", Options(n=6))
    if name in ("twins", "variants"):
        tasks = {"twins": "surds_yaw", "variants": "srd3_height_higher"}[name]
        return open_benchmark(f"{name}:scenes:tasks={tasks},size=64x64", Options(n=2))
    if name == "dataset":
        with ShardWriter(folder) as writer:
            for sample, trace in generate(6, 3):
                writer.add(to_row(sample, trace, "scenes", "template"))
        (folder / "manifest.json").write_text(json.dumps({"schema": 1, "kept": 6}))
        return open_benchmark(f"dataset:{folder}")
    make = {"vsr": vsr_file, "blink": blink_folder, "refcoco": refcoco_file, "stepgame": stepgame_folder}[name]
    return open_benchmark(f"{name}:{make(folder)}")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_contract(name: str, tmp_path: Path) -> None:
    bench = small(name, tmp_path)
    samples = list(bench.load())
    assert samples
    assert bench.n in (None, len(samples))
    assert [s.id for s in bench.load()] == [s.id for s in samples]
    assert len({s.id for s in samples}) == len(samples)
    assert bench.version
    for sample in samples:
        assert bench.score(gold(sample), sample).value == 1.0
        assert bench.score(parse_trace("<think>"), sample).why in UNPARSED
        assert sample.image is None or sample.photo().size
    entry = BENCHMARKS[name]
    assert entry.about
    assert entry.source
    assert entry.licence


@pytest.mark.parametrize(
    "name", [n for n in BENCHMARKS if n not in ("dataset", "scenes", "degraded", "twins", "variants")]
)
@given(reply=st.text(max_size=80) | st.from_regex(r"<think>(<area>.{0,30}</area>)?</think><answer>.{0,9}</answer>"))
@settings(max_examples=60, deadline=None)
def test_scoring_never_raises(name: str, reply: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    bench = _opened(name, tmp_path_factory)
    for sample in bench.load():
        found = bench.score(parse_trace(reply, depth_required=False), sample)
        assert found.value is None or 0.0 <= found.value <= 1.0


_OPEN: dict[str, Benchmark] = {}


def _opened(name: str, factory: pytest.TempPathFactory) -> Benchmark:
    if name not in _OPEN:
        _OPEN[name] = small(name, factory.mktemp(name))
    return _OPEN[name]


@pytest.mark.parametrize("name", ["dataset", "vsr", "blink", "refcoco", "stepgame"])
def test_a_path_is_needed_and_must_exist(name: str) -> None:
    with pytest.raises(InputError, match=f"benchmark {name} needs a path: {name}:"):
        open_benchmark(name)
    with pytest.raises(InputError, match="no such file or folder"):
        open_benchmark(f"{name}:/nowhere/at/all")


@pytest.mark.parametrize("command", ["eval", "probe"])
@pytest.mark.parametrize("name", ["dataset", "degraded:haze:2:vsr", "twins:stepgame"])
def test_a_number_of_items_is_for_generated_ones(command: str, name: str, tmp_path: Path, capsys) -> None:
    own = name.rpartition(":")[2]
    told = ["--model", "oracle", "--out", str(tmp_path / "out")]
    assert cli.run([command, *told, "--benchmark", f"{name}:{tmp_path}", "--n", "50"]) == 2
    message = f"benchmark {own}: its items are given, and --n 50 is how many to generate; .* --limit 50"
    assert re.search(message, capsys.readouterr().err)


def test_unknown_names_are_told_with_suggestions() -> None:
    with pytest.raises(InputError, match="did you mean 'scenes'"):
        open_benchmark("scene")
    with pytest.raises(InputError, match="did you mean 'blink'"):
        open_benchmark("blnk:folder")
    with pytest.raises(InputError, match="expected an Entry"):
        open_benchmark("json:dumps")


OWN = Entry(lambda path, options: small_own(), "own", "here", "none")


def small_own() -> Benchmark:
    return open_benchmark("scenes", Options(n=1))


def test_own_benchmarks_by_module_and_attribute() -> None:
    assert open_benchmark(f"{__name__}:OWN").n == 1


# --- scenes ----------------------------------------------------------------------------------------------------------


def test_scenes_are_held_out_and_stable() -> None:
    first = list(open_benchmark("scenes", Options(n=3, seed=1)).load())
    longer = list(islice(open_benchmark("scenes", Options(n=5, seed=1)).load(), 3))
    assert [s.id for s in first] == [s.id for s in longer]
    assert [s.photo().tobytes() for s in first] == [s.photo().tobytes() for s in longer]
    training = {s.photo().tobytes() for s, _ in generate(3, 1, size=(96, 96), objects=(1, 3))}
    assert not training & {s.photo().tobytes() for s in first}
    assert first[0].id.endswith("-heldout1-000000")


def test_held_out_seeds_start_no_stream_of_training() -> None:
    """Seeds of numpy are padded with zeros: a careless offset makes scene 0 of one stream scene 1 of another."""
    streams = [(seed, i) for seed in (0, 1, 2, 2**32 - 1, 2**32, 2**63) for i in range(40)]
    held_out = [(HELD_OUT + seed, i) for seed in (0, 1, 2, 7) for i in range(40)]
    first = {stream: np.random.default_rng(stream).integers(2**63) for stream in streams + held_out}
    assert not {first[s] for s in streams} & {first[s] for s in held_out}
    careless = np.random.default_rng((2**32, 0)).integers(2**63)
    assert careless == first[0, 1]


def test_scenes_take_no_path() -> None:
    with pytest.raises(InputError, match="takes no path"):
        open_benchmark("scenes:folder")
    with pytest.raises(InputError, match="seed >= 0"):
        open_benchmark("scenes", Options(seed=-1))


def test_scenes_of_other_kinds_by_their_settings() -> None:
    bench = open_benchmark("scenes:tasks=nearer+count,objects=2-4,size=64x48", Options(n=4))
    samples = list(bench.load())
    assert [s.meta["task"] for s in samples] == ["nearer", "count"] * 2
    assert {s.photo().size for s in samples} == {(64, 48)}
    assert all(2 <= len(s.meta["world"]["scene"]["objects"]) <= 4 for s in samples)
    assert bench.version != open_benchmark("scenes", Options(n=4)).version


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("scenes:objcts=2-4", "'objcts=2-4' is none of its settings: tasks, objects, size"),
        ("scenes:objects=few", "expected two whole numbers, such as 2-4"),
        ("scenes:tasks=cuont", "unknown task 'cuont': did you mean 'count'"),
        ("scenes:tasks=nearer,objects=1-1", "needs scenes of 2 or more"),
        ("scenes:tasks=nearer,count", r"got 'count', but settings such as .* \(plus signs between tasks\)"),
        ("scenes:size=64,size=96", "size is given twice"),
    ],
)
def test_bad_settings_of_scenes(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_benchmark(spec)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("objects", "0-3", "objects 0 to 3: a scene needs 1 to 8 objects"),
        ("objects", "9", "objects 9 to 9: a scene needs 1 to 8 objects"),
        ("objects", "3-2", "objects 3 to 2: a scene needs 1 to 8 objects, the fewest first"),
        ("objects", "3-", "objects 3-: expected two whole numbers, such as 2-4"),
        ("size", "128*128", r"size 128\*128: expected two whole numbers, such as 128x96"),
        ("size", "128000", "size 128000x128000: sides need 32 to 2048 pixels"),
        ("size", "128x1000", "size 128x1000: sides need .* one at most 4 times the other"),
    ],
)
def test_scenes_and_eval_take_the_same_numbers_and_say_the_same(
    name: str, value: str, message: str, tmp_path: Path, capsys
) -> None:
    out = ["--out", str(tmp_path / "out")]
    told = []
    for arguments in (
        ["scenes", f"--{name}", value],
        ["eval", "--model", "oracle", "--benchmark", f"scenes:{name}={value}"],
    ):
        assert cli.run([*arguments, *out]) == 2
        told.append(capsys.readouterr().err)
    assert told[0] == told[1]
    assert re.search(message, told[0])


# --- stepgame --------------------------------------------------------------------------------------------------------


def test_stepgame_has_a_task_for_each_number_of_hops(tmp_path: Path) -> None:
    samples = list(open_benchmark(f"stepgame:{stepgame_folder(tmp_path)}").load())
    assert [s.meta["task"] for s in samples] == ["stepgame-clean-k2"] * 2 + ["stepgame-noise-k2"] * 2
    assert samples[0].question.startswith("A is above B.\nC is to the left of B.\nWhat is the relation")
    assert samples[0].answer == "upper-right"
    bench = open_benchmark(f"stepgame:{tmp_path}")
    assert bench.score(Trace((), "above and right"), samples[0]).value == 1.0
    assert bench.score(Trace((), "right"), samples[0]).value == 0.0


def test_stepgame_in_its_original_form(tmp_path: Path) -> None:
    story = {"story": ["A is above B."], "question": "What is the relation of the agent A to the agent B?"}
    (tmp_path / "qa1_test.json").write_text(json.dumps({"0": story | {"label": "above"}}))
    [sample] = open_benchmark(f"stepgame:{tmp_path}").load()
    assert sample.answer == "above"
    (tmp_path / "qa1_test.json").write_text(json.dumps({"0": story}))
    with pytest.raises(InputError, match="story, question, label"):
        open_benchmark(f"stepgame:{tmp_path}")


def test_stepgame_faults(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="label 'near' is none of left, right"):
        open_benchmark(f"stepgame:{stepgame_folder(tmp_path, label='near')}")
    with pytest.raises(InputError, match="the last story has no question"):
        open_benchmark(f"stepgame:{stepgame_folder(tmp_path, last='1 A is above B.')}")
    with pytest.raises(InputError, match=r"qa2_test\.txt:7: expected 'number sentence', got 'A is above'"):
        open_benchmark(f"stepgame:{stepgame_folder(tmp_path, last='A is above')}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no qaK_test\.txt here"):
        open_benchmark(f"stepgame:{tmp_path / 'empty'}")


def test_oracle_is_right_on_every_story(shared_data: Path, tmp_path: Path) -> None:
    result = evaluate("oracle", "stepgame", tmp_path, data=shared_data / "stepgame")
    assert (result["n"], result["n_scored"]) == (2000, 2000)
    assert result["answer_accuracy"]["value"] == result["valid_rate"]["value"] == 1.0
    assert len(result["tasks"]) == 20
    assert {found["answer_accuracy"]["value"] for found in result["tasks"].values()} == {1.0}


# --- vsr -------------------------------------------------------------------------------------------------------------


def test_vsr_statement_becomes_a_yes_no_question(tmp_path: Path) -> None:
    [sample] = open_benchmark(f"vsr:{vsr_file(tmp_path, label=0)}").load()
    assert sample.answer == "no"
    assert '"The cat is on the mat."' in sample.question
    bench = open_benchmark(f"vsr:{vsr_file(tmp_path, label=0)}")
    assert bench.score(Trace((), "False."), sample).value == 1.0
    assert bench.score(Trace((), "Yes, it is."), sample).value == 0.0


def test_vsr_faults(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="columns are missing: caption, label"):
        open_benchmark(f"vsr:{vsr_file(tmp_path, caption=None, label=None)}")
    with pytest.raises(InputError, match=r"vsr\.jsonl:1: label must be 0"):
        open_benchmark(f"vsr:{vsr_file(tmp_path, label='true')}")
    with pytest.raises(InputError, match=r"1 photos are not in .*: b\.jpg; name their folder with --images"):
        open_benchmark(f"vsr:{vsr_file(tmp_path, image='b.jpg')}")


def test_two_different_photos_of_one_name_are_refused(tmp_path: Path) -> None:
    path = vsr_file(tmp_path)
    photo(tmp_path / "other" / "a.jpg", "blue")
    with pytest.raises(InputError, match="different photos of one name"):
        open_benchmark(f"vsr:{path}")


# --- blink -----------------------------------------------------------------------------------------------------------


def test_blink_question_is_taken_apart(tmp_path: Path) -> None:
    bench = open_benchmark(f"blink:{blink_folder(tmp_path)}")
    [sample] = bench.load()
    assert (sample.question, sample.answer) == ("Which is closer?", "B")
    assert sample.choices == ("A is closer", "B is closer")
    assert sample.meta["task"] == "val_Relative_Depth"
    # An option text that begins with a letter is read as a text, never as that letter.
    shuffled = replace(sample, choices=("B is closer", "A is closer"), answer="B")
    assert bench.score(Trace((), "A is closer"), shuffled).value == 1.0
    assert bench.score(Trace((), "A is closer"), sample).value == 0.0


def test_blink_faults(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is none of the options"):
        open_benchmark(f"blink:{blink_folder(tmp_path, answer='(C)')}")
    with pytest.raises(InputError, match="is none of the options"):
        open_benchmark(f"blink:{blink_folder(tmp_path, options='')}")
    photo(tmp_path / "val_Relative_Depth_7" / "second.png")
    with pytest.raises(InputError, match=r"expected one photo beside request\.json, found 2"):
        open_benchmark(f"blink:{blink_folder(tmp_path)}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no request\.json here or below"):
        open_benchmark(f"blink:{tmp_path / 'empty'}")


# --- refcoco ---------------------------------------------------------------------------------------------------------


def boxed(*boxes: Box) -> Trace:
    return Trace((Step(Area(tuple(boxes), (None,) * len(boxes)), "There."),), None)


def test_refcoco_is_right_above_one_half(tmp_path: Path) -> None:
    bench = open_benchmark(f"refcoco:{refcoco_file(tmp_path, bbox=[0, 0, 20, 15])}")
    [sample] = bench.load()
    assert sample.boxes == (Box(0, 0, 0.5, 0.5),)
    # IoU of exactly one half is not greater than one half.
    assert bench.score(boxed(Box(0, 0, 0.5, 0.25)), sample) == Score(0.0, lenient=0.0)
    assert bench.score(boxed(Box(0, 0, 0.5, 0.251)), sample).value == 1.0
    two = bench.score(boxed(WHOLE, Box(0, 0, 0.5, 0.5)), sample)
    assert (two.value, two.why, two.lenient) == (0.0, "ambiguous", 1.0)
    assert bench.score(boxed(), sample).why == "invalid_box"
    assert bench.score(Trace((), "[0, 0, 0.5, 0.5]"), sample).why == "no_answer"


def test_refcoco_faults(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="columns are missing: bbox"):
        open_benchmark(f"refcoco:{refcoco_file(tmp_path, bbox=None)}")
    with pytest.raises(InputError, match=r"rec\.jsonl:1: .*leaves the image"):
        open_benchmark(f"refcoco:{refcoco_file(tmp_path, bbox=[0, 0, 80, 15])}")


# --- the real samples ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "n", "constant"),
    [
        ("vsr:vsr/vsr_on_coco.jsonl", 12, None),
        ("blink:blink/blink_spatial", 45, 27 / 45),
        ("blink:blink/blink_depth", 45, 23 / 45),
        ("refcoco:refcoco/rec_on_coco.jsonl", 26, None),
    ],
)
def test_real_samples_end_to_end(spec: str, n: int, constant: float | None, shared_data: Path, tmp_path: Path) -> None:
    name, _, path = spec.partition(":")
    images = shared_data / "coco" / "images"
    bench = open_benchmark(f"{name}:{shared_data / path}", Options(images=images if name != "blink" else None))
    replies = {s.id: format_trace(gold(s)) for s in bench.load()}
    engine = ScriptedEngine(lambda request: replies[request.id], max_pixels=112 * 112)
    result = evaluate(engine, bench, tmp_path)
    assert (result["n"], result["n_scored"]) == (n, n)
    assert result["answer_accuracy"]["value"] == 1.0
    assert result["valid_rate"]["value"] == 1.0
    if name == "refcoco":
        assert result["hiou"]["value"] == pytest.approx(1.0)
        assert 0 < result["baselines"]["whole_image_hiou"] < 0.5
    if constant is not None:
        assert result["baselines"]["constant_answer"] == pytest.approx(constant)
        assert result["baselines"]["chance"] == 0.5


@pytest.mark.parametrize("split", ["random_dev", "zeroshot_test"])
def test_official_vsr_files_without_photos_say_so(split: str, shared_data: Path) -> None:
    with pytest.raises(InputError, match=r"photos are not in .* and \d+ more"):
        open_benchmark(f"vsr:{shared_data / 'vsr' / 'format' / f'{split}.jsonl'}")
