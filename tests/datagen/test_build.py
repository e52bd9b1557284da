"""The pipeline: counts add up, every kept row earns full marks, and a killed build ends as if it never was."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from sifthinker import cli
from sifthinker.datagen.annotators.asking import Asking
from sifthinker.datagen.build import build, build_scenes
from sifthinker.datagen.outcome import REASONS
from sifthinker.depth import DepthMap, write_depth
from sifthinker.errors import InputError, Paused
from sifthinker.prompt import prompt_hash
from sifthinker.records import read_jsonl, read_manifest, read_rows, read_samples
from sifthinker.rewards import REWARDS
from tests.openai_server import completion, serve

from .photos import jsonl, own_rows, photo
from .published import coco
from .test_teacher import reply_to


def check(out):
    """What must hold for every data set folder; returns its manifest."""
    manifest = read_manifest(out)
    rejects = [r for _, r in read_jsonl(out / "rejects.jsonl")]
    rows = list(read_rows(out)) if manifest["kept"] else []
    assert manifest["read"] == manifest["kept"] + manifest["rejected"]
    assert (len(rows), len(rejects)) == (manifest["kept"], manifest["rejected"])
    assert Counter(r["reason"] for r in rejects) == manifest["rejects_by_reason"]
    assert all(r["id"] and r["reason"] in REASONS for r in rejects)
    assert len({row["id"] for row in rows}) == len(rows)
    assert manifest["prompt_hash"] == prompt_hash()
    for sample, trace in read_samples(out) if rows else []:
        assert not trace.faults
        marks = {name: reward(trace, sample) for name, reward in REWARDS.items()}
        assert all(mark is None or mark == pytest.approx(1.0) for mark in marks.values()), (sample.id, marks)
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width > 300
    text = (out / "README.md").read_text()
    assert "SIF data set" in text
    assert f"kept {manifest['kept']}, rejected {manifest['rejected']}" in text
    assert sha256("".join(s["sha256"] for s in manifest["shards"]).encode()).hexdigest() in text
    for name, count in manifest["tasks"].items():
        assert f"| {name or '(none)'} | {count} |" in text
    for name, found in manifest["by_source"].items():
        license = manifest["licenses"].get(name, "")
        assert f"| {name} | {found['read']} | {found['kept']} | {found['read'] - found['kept']} | {license} |" in text
        assert all(f"| {name} | {reason} | {n} |" in text for reason, n in found["rejects_by_reason"].items())
    for key in ("read", "kept"):
        assert sum(found[key] for found in manifest["by_source"].values()) == manifest[key]
    assert yaml.safe_load(text.split("```yaml")[1].split("```")[0]) == manifest["config"]
    extra = {p.name for p in out.iterdir()} - {
        "manifest.json",
        "rejects.jsonl",
        "README.md",
        "contact_sheet.png",
        "replies",
        "batch",
    }
    assert extra == {s["file"] for s in manifest["shards"]}
    return manifest


def content(out):
    return {p.name: p.read_bytes() for p in sorted(out.iterdir()) if p.is_file()}


def rest(out):
    """The content but for what says the cost."""
    return {name: data for name, data in content(out).items() if name not in ("manifest.json", "README.md")}


def test_a_small_build(tmp_path):
    rows = own_rows(tmp_path, 5)
    dirty = json.loads(rows.read_text().splitlines()[0]) | {"id": "dirty", "boxes": [[0.9, 0.1, 0.2, 0.5]]}
    twin = json.loads(rows.read_text().splitlines()[1])
    jsonl(rows, [*rows.read_text().splitlines(), dirty, twin, "{torn"])
    out = tmp_path / "out"
    manifest = build(f"jsonl:{rows}", out, seed=1)
    assert manifest == check(out)
    assert manifest["rejects_by_reason"] == {"bad_json": 1, "box_inverted": 1, "duplicate_id": 1}
    assert (manifest["read"], manifest["kept"], manifest["annotator"], manifest["with_depth"]) == (
        8,
        5,
        "template-4",
        0,
    )
    (row, *_) = read_rows(out)
    assert row["source"] == "jsonl"
    assert row["boxes"] == [[0.2, 0.3, 0.5, 0.7]]
    assert row["completion"][0]["content"].startswith("<think>")


def test_truncated_photos_are_found(tmp_path):
    rows = own_rows(tmp_path, 2)
    file = tmp_path / "p0.png"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    manifest = build(f"jsonl:{rows}", tmp_path / "out")
    assert manifest["rejects_by_reason"] == {"image_unreadable": 1}


def test_photos_that_only_their_names_tell_are_counted(tmp_path, capsys):
    rows = [json.loads(line) for line in own_rows(tmp_path, 3).read_text().splitlines()]
    photo(tmp_path / "val/1.png")
    for row, name in zip(rows, ["train/1.png", "my/val/1.png", "1.png"], strict=True):
        row["image"] = name
    path = jsonl(tmp_path / "named.jsonl", [row | {"question": f"What is {row['id']}?"} for row in rows])
    manifest = build(f"jsonl:{path}", tmp_path / "out", images=tmp_path)
    example = f"train/1.png is {tmp_path}/val/1.png"
    assert manifest["found_by_name"] == {"rows": 1, "example": example}
    told = "- rows whose photo was found by its file name alone, in another folder than the row says: 1, for example "
    assert told + example in (tmp_path / "out/README.md").read_text()
    assert cli.run(["build", f"jsonl:{path}", "--images", str(tmp_path), "--out", str(tmp_path / "told")]) == 0
    assert example in capsys.readouterr().out
    assert "| (none) | 3 |" in (tmp_path / "told/README.md").read_text()


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    rows = own_rows(tmp_path, 6)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        build(f"jsonl:{rows}", tmp_path / name, seed=seed)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert content(tmp_path / "a")["data-00000.parquet"] != content(tmp_path / "c")["data-00000.parquet"]


def test_limit_reads_the_first_rows(tmp_path):
    rows = own_rows(tmp_path, 6)
    assert build(f"jsonl:{rows}", tmp_path / "out", limit=4)["read"] == 4


def test_steps_of_the_chains(tmp_path, capsys):
    rows = own_rows(tmp_path, 8)
    out = tmp_path / "out"
    assert cli.run(["build", f"jsonl:{rows}", "--out", str(out), "--steps", "4"]) == 0
    assert check(out)["config"]["steps"] == 4
    lengths = Counter(len(trace.steps) for _, trace in read_samples(out))
    assert set(lengths) == {5, 6}, "the whole, three contexts, gold; with and without a distractor"
    assert cli.run(["build", f"jsonl:{rows}", "--out", str(tmp_path / "other"), "--steps", "7"]) == 2
    assert "steps 7: expected 1 to 6 expansions" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from sifthinker.datagen import shards
from sifthinker.datagen.build import build

where, after, source, out = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
done = 0
original = getattr(shards, where)

def dying(*arguments, **more):
    global done
    done += 1
    if done == after:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **more)

setattr(shards, where, dying)
build(source, out, seed=1, resume=True, rows_per_shard=3)
"""


def test_a_killed_build_ends_as_one_that_was_never_killed(tmp_path):
    rows = own_rows(tmp_path, 11)
    lines = rows.read_text().splitlines()
    # Rejects and duplicates between the rows, some of them behind the point of a kill.
    bad = json.dumps(json.loads(lines[0]) | {"id": "bad", "boxes": []})
    jsonl(rows, [*lines[:2], bad, *lines[2:7], lines[1], "{torn", *lines[7:], lines[10]])
    unbroken, out = tmp_path / "unbroken", tmp_path / "out"
    build(f"jsonl:{rows}", unbroken, seed=1, rows_per_shard=3)
    # In the first shard; between a shard and its record; later; while the folder is finished.
    for where, after in (("to_row", 2), ("atomic_write", 2), ("to_row", 5), ("card", 1)):
        command = [sys.executable, "-c", KILLED, where, str(after), f"jsonl:{rows}", str(out)]
        assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL, where
        assert not (out / "manifest.json").exists()
    build(f"jsonl:{rows}", out, seed=1, resume=True, rows_per_shard=3)
    assert content(out) == content(unbroken)
    assert check(out)["kept"] == 11
    # Once more changes nothing.
    assert build(f"jsonl:{rows}", out, seed=1, resume=True, rows_per_shard=3) == read_manifest(out)
    assert content(out) == content(unbroken)


def test_folders_that_are_in_use(tmp_path):
    rows, out = own_rows(tmp_path, 2), tmp_path / "out"
    build(f"jsonl:{rows}", out)
    with pytest.raises(InputError, match=r"out: not empty; choose another --out, or go on .* with --resume"):
        build(f"jsonl:{rows}", out)
    with pytest.raises(InputError, match=r"begun with other settings \(seed was 0, now 3\); choose another --out"):
        build(f"jsonl:{rows}", out, seed=3, resume=True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="no interrupted build to go on with"):
        build(f"jsonl:{rows}", other, resume=True)
    with pytest.raises(InputError, match="is a file"):
        build(f"jsonl:{rows}", rows)


def test_nothing_is_written_for_a_source_that_cannot_be_read(tmp_path):
    (tmp_path / "c.json").write_text("{")
    out = tmp_path / "out"
    with pytest.raises(InputError, match="not JSON"):
        build(f"coco:{tmp_path}/c.json", out)
    with pytest.raises(InputError, match="limit 0: expected at least 1"):
        build(f"coco:{tmp_path}/c.json", out, limit=0)
    assert not out.exists()


def test_a_full_disk_is_one_line_and_the_build_goes_on_later(tmp_path, monkeypatch):
    rows, out = own_rows(tmp_path, 5), tmp_path / "out"
    build(f"jsonl:{rows}", tmp_path / "whole", rows_per_shard=2)
    real, calls = os.fsync, []

    def full(fd):
        calls.append(fd)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"disk full; free some space and run again"):
        build(f"jsonl:{rows}", out, rows_per_shard=2)
    build(f"jsonl:{rows}", out, rows_per_shard=2, resume=True)
    assert content(out) == content(tmp_path / "whole")


def test_nothing_kept_still_gives_a_folder_that_says_why(tmp_path):
    out = tmp_path / "out"
    build(f"jsonl:{own_rows(tmp_path, 2, image='none.png')}", out)
    assert check(out)["rejects_by_reason"] == {"image_missing": 2}


# --- depth ---------------------------------------------------------------------------------------------------------


def ramp(width=80, height=60):
    return DepthMap(np.linspace(1, 5, width * height).reshape(height, width), metric=True)


def test_depth_from_a_folder(tmp_path):
    rows = own_rows(tmp_path, 4)
    maps = tmp_path / "depth"
    maps.mkdir()
    write_depth(ramp(), maps / "p0.png")
    write_depth(ramp(40, 30), maps / "p1.png")
    photo(maps / "p2.png")
    out = tmp_path / "out"
    manifest = build(f"jsonl:{rows}", out, depth=str(maps), images=tmp_path)
    # The photos' own names stand twice below --images now: beside the rows and among the depth files.
    assert manifest["rejects_by_reason"] == {"depth_encoding_unknown": 1, "depth_missing": 1, "size_mismatch": 1}
    ((sample, trace),) = read_samples(out)
    assert sample.depth_map().metric
    assert all(d is not None for step in trace.steps for d in step.area.depths)
    assert check(out)["with_depth"] == 1


def test_depth_from_the_source_or_not_at_all(tmp_path):
    write_depth(ramp(), tmp_path / "d.png")
    rows = own_rows(tmp_path, 2, depth="d.png")
    assert build(f"jsonl:{rows}", tmp_path / "a")["with_depth"] == 2
    assert build(f"jsonl:{rows}", tmp_path / "b", depth="none")["with_depth"] == 0
    assert check(tmp_path / "a")["kept"] == check(tmp_path / "b")["kept"] == 2
    with pytest.raises(InputError, match="unknown depth encoding 'nm'"):
        build(f"jsonl:{rows}", tmp_path / "c", depth_encoding="nm")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--depth-encoding", "mm", "--depth", "none"],
            "depth encoding 'mm' is for depth files, but none .* depth none",
        ),
        (["--depth-encoding", "mm", "--depth", "auto"], "give their folder with --depth, or leave the encoding out"),
        (
            ["--depth-cache", "cache"],
            "--depth-cache keeps the maps of a depth model, but depth is source: name a model",
        ),
        (
            ["--budget-tokens", "9"],
            "--budget-tokens needs --annotator MODEL@URL, and the annotator is template; name",
        ),
        (["--language", "German"], "--language needs --annotator MODEL@URL or batch:MODEL, and the annotator is temp"),
        (["--annotator", "batch:m", "--timeout-s", "3"], "--timeout-s needs --annotator MODEL@URL, and"),
        (["--annotator", "batch:m", "--rpm", "3"], "--rpm needs --annotator MODEL@URL, and the annotator is batch:m"),
        (
            ["--annotator", "m@http://x", "--price-in", "3"],
            "--price-in needs --price-out, and",
        ),
        (["--images", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_options_that_would_change_nothing_are_refused(tmp_path, capsys, flags, message):
    rows = own_rows(tmp_path, 1)
    assert cli.run(["build", f"jsonl:{rows}", "--out", str(tmp_path / "out"), *flags]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_an_encoding_needs_a_source_with_depth_files(tmp_path):
    rows = own_rows(tmp_path, 2, image="p0.png")
    with pytest.raises(InputError, match="depth encoding 'mm' is for depth files"):
        build(f"coco:{coco(tmp_path)}", tmp_path / "out", depth_encoding="mm")
    assert build(f"jsonl:{rows}", tmp_path / "out", depth_encoding="mm")["with_depth"] == 0
    (tmp_path / "mix.yaml").write_text(f"depth_encoding: mm\nsources: ['coco:{coco(tmp_path)}']")
    with pytest.raises(InputError, match="depth encoding 'mm' is for depth files"):
        build(str(tmp_path / "mix.yaml"), tmp_path / "more")
    with pytest.raises(InputError, match="nowhere: no such folder"):
        build(str(tmp_path / "mix.yaml"), tmp_path / "more", images=tmp_path / "nowhere")


def test_depth_from_an_estimator_is_asked_once_a_photo(tmp_path, monkeypatch):
    (tmp_path / "my_depth.py").write_text(
        "import numpy as np\n"
        "from sifthinker.depth import DepthMap\n"
        "calls = []\n"
        "def estimate(photo):\n"
        "    calls.append(photo.size)\n"
        "    return DepthMap(np.linspace(0, 1, photo.width * photo.height).reshape(photo.height, photo.width))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    rows = own_rows(tmp_path, 3, image="p0.png")
    lines = [json.loads(x) | {"question": f"Question {i}?"} for i, x in enumerate(rows.read_text().splitlines())]
    jsonl(rows, lines)
    assert build(f"jsonl:{rows}", tmp_path / "out", depth="my_depth:estimate")["with_depth"] == 3
    import my_depth

    assert my_depth.calls == [(80, 60)]


# --- the teacher in the pipeline -----------------------------------------------------------------------------------


def test_the_same_bytes_with_any_concurrency_also_after_a_stop(tmp_path):
    rows, out = own_rows(tmp_path, 12), tmp_path / "out"

    def answer(body):
        return completion(reply_to(body)) | {"usage": {"prompt_tokens": 1000, "completion_tokens": 100}}

    with serve(answer) as server:
        name = f"test-model@{server.url}"
        for folder, concurrency in (("a", 1), ("b", 16)):
            build(f"jsonl:{rows}", tmp_path / folder, annotator=name, asking=Asking(concurrency), rows_per_shard=5)
        assert content(tmp_path / "a") == content(tmp_path / "b")
        assert server.count == 24
        with pytest.raises(Paused):
            build(f"jsonl:{rows}", out, annotator=name, asking=Asking(4, budget_tokens=10_000), rows_per_shard=5)
        assert 24 < server.count < 36
        build(f"jsonl:{rows}", out, annotator=name, asking=Asking(9), rows_per_shard=5, resume=True)
        assert server.count == 36
        assert content(out) == content(tmp_path / "a")
        again = build(f"jsonl:{rows}", tmp_path / "c", annotator=name, asking=Asking(replies=out), rows_per_shard=5)
        assert server.count == 36, "from the kept replies"
        spent = read_manifest(out)["cost"]
        assert spent == {"replies": 12, "prompt_tokens": 12_000, "completion_tokens": 1200, "money": None}
        free = dict.fromkeys(spent, 0) | {"money": None}
        assert read_manifest(tmp_path / "c") == read_manifest(out) | {"cost": free}
        assert rest(tmp_path / "c") == rest(out)
    assert {row["annotator"] for row in read_rows(out)} == {"test-model"}
    assert check(out)["kept"] == again["kept"] == 12


ASKING = """
import sys
from pathlib import Path
from sifthinker.datagen.annotators.asking import Asking
from sifthinker.datagen.annotators.asking import Asking
from sifthinker.datagen.build import build

build(sys.argv[1], Path(sys.argv[2]), annotator=sys.argv[3], asking=Asking(4), resume=True, rows_per_shard=5)
"""


def test_a_kill_repeats_at_most_the_requests_under_way(tmp_path):
    rows, out = own_rows(tmp_path, 40), tmp_path / "out"
    with serve(reply_to, latency_s=0.05) as server:
        name = f"test-model@{server.url}"
        command = [sys.executable, "-c", ASKING, f"jsonl:{rows}", str(out), name]
        for stop in (6, 20):
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            while server.count < stop and process.poll() is None:
                time.sleep(0.005)
            process.kill()
            assert process.wait() == -signal.SIGKILL
        build(f"jsonl:{rows}", out, annotator=name, asking=Asking(4), resume=True, rows_per_shard=5)
        assert 40 <= server.count <= 40 + 2 * 4
        count = server.count
        build(f"jsonl:{rows}", tmp_path / "whole", annotator=name, asking=Asking(replies=out), rows_per_shard=5)
        assert server.count == count
    assert rest(out) == rest(tmp_path / "whole")
    assert check(out)["kept"] == 40


def test_a_teacher_may_move_while_it_is_asked(tmp_path):
    rows, out = own_rows(tmp_path, 8), tmp_path / "out"
    asked = {"rows_per_shard": 3, "executor": "local"}
    with serve(lambda body: completion(reply_to(body)) | {"usage": {"prompt_tokens": 1000}}) as before:
        with pytest.raises(Paused):
            build(f"jsonl:{rows}", out, annotator=f"m@{before.url}", asking=Asking(2, budget_tokens=8_000), **asked)
        build(f"jsonl:{rows}", tmp_path / "whole", annotator=f"m@{before.url}", **asked)
    with serve(lambda body: completion(reply_to(body)) | {"usage": {"prompt_tokens": 1000}}) as after:
        with pytest.raises(InputError, match=r"begun with other settings .*annotator was 'm', now 'other'"):
            build(f"jsonl:{rows}", out, annotator=f"other@{after.url}", resume=True, **asked)
        build(f"jsonl:{rows}", out, annotator=f"m@{after.url}", resume=True, **asked)
        assert 0 < after.count < 8
    assert content(out) == content(tmp_path / "whole")


def test_rows_say_which_annotator_wrote_them(tmp_path):
    rows = own_rows(tmp_path, 16)
    with serve(reply_to) as server:
        name = f"test-model@{server.url}"
        manifest = build(f"jsonl:{rows}", tmp_path / "out", annotator=f"template:0.5,{name}:0.5")
        wrote = Counter(row["annotator"] for row in read_rows(tmp_path / "out"))
        assert wrote == {"template-4": 16 - server.count, "test-model": server.count}
        assert 4 <= server.count <= 12
    assert manifest["annotator"] == "template-4:0.5,test-model:0.5"
    assert "the column annotator says who wrote it" in (tmp_path / "out" / "README.md").read_text()


# --- scenes and real data ------------------------------------------------------------------------------------------


def test_frames_about_which_nothing_can_be_asked_say_why(tmp_path):
    (tmp_path / "kitti" / "image_2").mkdir(parents=True)
    Image.new("RGB", (80, 40)).save(tmp_path / "kitti" / "image_2" / "0000000005.png")
    with pytest.raises(InputError, match=r"nothing can be asked about these frames: frame: .*calibration"):
        build_scenes(tmp_path / "out", 6, real=f"kitti:{tmp_path / 'kitti'}")


def test_generated_scenes(tmp_path):
    pytest.importorskip("embreex")
    out = tmp_path / "scenes"
    manifest = build_scenes(out, 6, seed=3, objects=(1, 2), size=(64, 64))
    assert check(out) == manifest
    assert manifest["read"] == 6
    assert manifest["with_depth"] == manifest["kept"]
    assert build_scenes(out, 6, seed=3, objects=(1, 2), size=(64, 64), resume=True) == manifest


@pytest.mark.parametrize(
    ("source", "kept", "rejects"),
    [
        ("viscot:viscot/on_coco/benchmark_emotic.json", 1, {}),
        ("viscot:viscot/on_coco/benchmark_vsr.json", 1, {}),
        ("viscot:viscot/on_coco/vsr_cot_train.jsonl", 2, {}),
        ("viscot:viscot/viscot_dataset/cub_cot_train.jsonl", 0, {"box_outside": 15, "image_missing": 150}),
        (
            "refcoco:refcoco/rec_on_coco.jsonl",
            12,
            {"ambiguous_position": 6, "answer_in_question": 7, "duplicate_question": 1},
        ),
        ("tallyqa:tallyqa/documented_record.json", 0, {"no_boxes": 1}),
        ("rgbd:rgbd/nyu", None, {}),
        ("rgbd:rgbd/kitti_depth", None, {}),
        ("rgbd:rgbd/sunrgbd_000017", None, {}),
    ],
)
def test_real_data(shared_data, tmp_path, source, kept, rejects):
    kind, _, path = source.partition(":")
    images = shared_data / "coco/images" if kind != "rgbd" else None
    manifest = build(f"{kind}:{shared_data / path}", tmp_path / "out", images=images)
    assert check(tmp_path / "out") == manifest
    assert manifest["rejects_by_reason"] == rejects
    assert manifest["kept"] == kept if kept is not None else manifest["kept"] >= 4
    shutil.rmtree(tmp_path / "out")


DIRTY = {
    "kind": ({"answer_kind": "foo"}, "question_unclear"),
    "kind_without_choices": ({"answer_kind": "choice"}, "question_unclear"),
    "kind_list": ({"answer_kind": ["text"]}, "question_unclear"),
    "equal_choices": ({"choices": ["left", "Left"], "answer": "A"}, "question_unclear"),
    "unit": ({"meta": {"answer_unit": "parsec", "answer_kind": "number"}}, "question_unclear"),
    "no_such_option": ({"choices": ["left", "right"], "answer": "Z"}, "answer_unreadable"),
    "no_number": ({"answer_kind": "number", "answer": "several"}, "answer_unreadable"),
    "labels": ({"labels": 5}, "malformed_row"),
    "labels_text": ({"labels": "dog"}, "malformed_row"),
    "encoding": ({"depth": "a.png", "depth_encoding": []}, None),
    "long_name": ({"image": "x" * 5000 + ".png"}, "image_missing"),
    "zero_byte": ({"image": "a\0.png"}, "image_missing"),
    "folder": ({"image": "."}, "image_missing"),
    "surrogate": ({"question": "What \ud800 is it?"}, "malformed_row"),
    "surrogate_id": ({"id": "a\ud800"}, "malformed_row"),
    "surrogate_image": ({"image": "a\ud800.png"}, "image_missing"),
    "surrogate_bytes": ({"boxes": [["\udce9"]]}, "box_malformed"),
    "not_finite": ({"meta": {"x": float("nan")}}, "malformed_row"),
}


@pytest.mark.parametrize(
    ("part", "field"),
    [("images", "file_name"), ("images", "id"), ("annotations", "id"), ("annotations", "bbox"), ("categories", "name")],
)
def test_half_characters_stop_no_build(tmp_path, part, field):
    path = Path(coco(tmp_path))
    data = json.loads(path.read_text())
    data[part][0][field] = "x\ud800"
    path.write_text(json.dumps(data))
    manifest = build(f"coco:{path}", tmp_path / "out", images=tmp_path)
    assert manifest["read"] == manifest["kept"] + manifest["rejected"]
    assert len((tmp_path / "out/rejects.jsonl").read_text().splitlines()) == manifest["rejected"]


def test_file_names_that_are_no_utf8_stop_no_build(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / "labels").mkdir()
    (tmp_path / "classes.txt").write_text("dog\n")
    for stem in (name, "tea"):
        photo(tmp_path / f"images/{stem}.png")
        (tmp_path / f"labels/{stem}.txt").write_text("0 0.5 0.5 0.3 0.3\n")
    manifest = build(f"yolo:{tmp_path}", tmp_path / "out")
    assert (manifest["kept"], manifest["rejects_by_reason"]) == (1, {"malformed_row": manifest["read"] - 1})
    for line in (tmp_path / "out/rejects.jsonl").read_text().splitlines():
        assert json.loads(line)["id"].startswith("yolo-labels/caf\\udce9")


def test_a_build_that_keeps_nothing_says_why(tmp_path, capsys):
    gone = {"id": "c", "image": "c.png", "question": "What?", "answer": "red", "boxes": [[0.1, 0.1, 0.5, 0.5]]}
    path = jsonl(tmp_path / "r.jsonl", ["bad", {"id": "a"}, {"id": "b"}, gone])
    assert cli.run(["build", f"jsonl:{path}", "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert "no row was kept: 2 malformed_row (r.jsonl:2: KeyError: 'image'; found id); 1 bad_json (r.jsonl:1: " in told


def test_a_data_set_without_a_row_is_no_obstacle(tmp_path):
    path, out = own_rows(tmp_path, 2, answer=""), tmp_path / "out"
    assert build(f"jsonl:{path}", out)["kept"] == 0
    assert build(f"jsonl:{path}", out, resume=True)["kept"] == 0
    own_rows(tmp_path, 2)
    assert build(f"jsonl:{path}", out, seed=3) == check(out)
    with pytest.raises(InputError, match="not empty"):
        build(f"jsonl:{path}", out, seed=4)


@pytest.mark.parametrize(("change", "reason"), DIRTY.values(), ids=DIRTY)
def test_a_bad_row_stops_no_build(tmp_path, change, reason):
    photo(tmp_path / "a.png")
    good = {"id": "good", "image": "a.png", "question": "What is it?", "answer": "red", "boxes": [[0.1, 0.1, 0.5, 0.5]]}
    source = jsonl(
        tmp_path / "r.jsonl", [json.dumps({**good, "id": "bad", "question": "What else?", **change}), json.dumps(good)]
    )
    manifest = build(f"jsonl:{source}", tmp_path / "out")
    assert (manifest["read"], manifest["kept"], manifest["rejected"]) == (2, 1, 1)
    if reason is not None:
        assert list(manifest["rejects_by_reason"]) == [reason]
