"""The command line: what others rely on, and one clear line with exit code 2 for every mistake."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sifthinker import cli

REPLY = '<think>\n<area>[{"bbox_2d":[0.1,0.1,0.5,0.5]}]</area>\n<text>Here.</text>\n</think>\n<answer>red</answer>'


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 48), "red").save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def scripted(tmp_path: Path) -> str:
    (tmp_path / "replies.jsonl").write_text(json.dumps({"reply": REPLY}) + "\n")
    return f"scripted:{tmp_path / 'replies.jsonl'}"


def test_think_prints_one_json_object(photo: Path, scripted: str, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    code = cli.run(["think", str(photo), "What?", "--model", scripted, "--depth", "none", "--out", str(out), "--json"])
    result = json.loads(capsys.readouterr().out)
    assert code == 0
    assert result["trace"]["answer"] == "red"
    assert result["trace"]["faults"] == []
    assert result["trace"]["steps"] == [{"boxes": [[0.1, 0.1, 0.5, 0.5]], "depths": [None], "text": "Here."}]
    assert all(Path(f).exists() for f in result["files"])


def test_scenes_check_and_eval(tmp_path: Path, capsys) -> None:
    data = tmp_path / "scenes"
    assert cli.run(["scenes", "--out", str(data), "--n", "9", "--workers", "1", "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["read"] == 9 == manifest["kept"] + manifest["rejected"]
    assert cli.run(["check", str(data), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["ready"]
    assert set(checked["gold_rewards"].values()) == {1.0}
    assert checked["corrupted_rewards"]
    replies = tmp_path / "replies.jsonl"
    from sifthinker.records import read_rows

    rows = [{"id": r["id"], "reply": r["completion"][0]["content"]} for r in read_rows(data)]
    replies.write_text("".join(json.dumps(r) + "\n" for r in rows))
    run = [
        "--model",
        f"scripted:{replies}",
        "--benchmark",
        f"dataset:{data}",
        "--out",
        str(tmp_path / "eval"),
        "--json",
    ]
    assert cli.run(["eval", *run]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["n"] == len(rows)
    for name in ("answer_accuracy", "hiou", "valid_rate"):
        assert result[name]["value"] == 1.0
        assert result[name]["low"] <= 1.0 <= result[name]["high"]
    assert result["depth_error"]["value"] == pytest.approx(0, abs=6e-4)
    assert cli.run(["score", str(tmp_path / "eval"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answer_accuracy"]["value"] == 1.0


def test_build_counts_add_up(photo: Path, tmp_path: Path, capsys) -> None:
    lines = [
        {
            "id": "a",
            "image": photo.name,
            "question": "What color is it?",
            "answer": "red",
            "boxes": [[0.1, 0.1, 0.5, 0.5]],
        },
        {
            "id": "b",
            "image": "gone.png",
            "question": "What color is it?",
            "answer": "red",
            "boxes": [[0.1, 0.1, 0.5, 0.5]],
        },
        {"id": "c", "image": photo.name, "question": "What is it?", "answer": "red", "boxes": [[0.5, 0.1, 0.1, 0.5]]},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code = cli.run(["build", f"jsonl:{tmp_path / 'rows.jsonl'}", "--out", str(tmp_path / "set"), "--json"])
    manifest = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (manifest["read"], manifest["kept"], manifest["rejected"]) == (3, 1, 2)
    assert manifest["rejects_by_reason"] == {"box_inverted": 1, "image_missing": 1}


def _think(photo: Path | str, *more: str) -> list[str]:
    return ["think", str(photo), "What?", *more]


def test_a_build_that_waits_for_somebody_says_so(photo: Path, tmp_path: Path, capsys) -> None:
    row = {"id": "a", "image": "photo.png", "question": "What?", "answer": "red", "boxes": [[0.1, 0.1, 0.5, 0.5]]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    out = tmp_path / "out"
    assert cli.run(["build", f"jsonl:{tmp_path}/rows.jsonl", "--out", str(out), "--annotator", "batch:m"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("paused: 1 requests wait for their results; new requests are in requests-000.jsonl.")
    assert (out / "batch" / "requests-000.jsonl").exists()
    money = ["build", f"jsonl:{tmp_path}/rows.jsonl", "--out", str(tmp_path / "b"), "--annotator", "batch:m"]
    assert cli.run([*money, "--budget", "3"]) == 2
    assert "--budget needs --annotator MODEL@URL, and the annotator is batch:m" in capsys.readouterr().err


def test_bad_input_is_one_line_and_code_2(photo: Path, scripted: str, tmp_path: Path, capsys) -> None:
    torn, deep, small = tmp_path / "torn.jpg", tmp_path / "deep.png", tmp_path / "small.png"
    Image.effect_noise((200, 200), 90).save(torn)
    torn.write_bytes(torn.read_bytes()[:3000])
    Image.fromarray(np.full((48, 64), 900, np.uint16)).save(deep)
    Image.fromarray(np.full((10, 10), 900, np.uint16)).save(small)
    out = ["--out", str(tmp_path / "out")]
    with_model = ["--model", scripted, "--depth", "none", *out]
    cases = [
        (_think(tmp_path / "gone.png", *with_model), "no such"),
        (_think(torn, *with_model), "truncated"),
        (_think(tmp_path, *with_model), "is a folder"),
        (_think(deep, *with_model), "depth map, not a photo"),
        (_think(photo, "--model", scripted, "--depth", str(small), "--depth-encoding", "mm", *out), "10x10"),
        (_think(photo, "--model", scripted, "--depth", str(deep), *out), "name the encoding"),
        (_think(photo, "--model", "srever:m@http://x", "--depth", "none", *out), "did you mean 'server'"),
        (_think(photo, "--model", "server:m@http://127.0.0.1:9", "--depth", "none", *out), "127.0.0.1:9"),
        (["build", "koco:x.json", *out], "did you mean 'coco'"),
        (["list", "reward"], "did you mean 'rewards'"),
        (["sft", "tiny-stf"], "did you mean 'tiny-sft'"),
        (["scenes", *out, "--objects", "many"], "expected two whole numbers"),
        (["scenes", *out, "--tasks", "cuont"], "did you mean 'count'"),
        (["scenes", *out, "--trace-style", "sfi"], "did you mean 'sif'"),
        (["scenes", *out, "--renderer", "mitsubi"], "renderer 'mitsubi' is none of embree, mitsuba"),
        (["scenes", *out, "--tasks", ","], "`sifthinker list tasks` shows all"),
        (["scenes", *out, "--real", "json:decoder:."], "expected a Format of sifthinker.scenes.frames"),
        (["scenes", *out, "--real", "sun:.", "--size", "128"], "renderer and split are for generated scenes"),
        (["scenes", *out, "--real", "sun"], "expected KIND:FOLDER"),
        (["eval", "--model", "oracle", "--benchmark", "stepgame:a", "--data", "b", *out], "the path is given twice"),
        (["eval", "--model", "oracel", "--benchmark", "scenes", *out], "oracel: no such folder"),
        (["eval", "--model", scripted, "--benchmark", "scene", *out], "did you mean 'scenes'"),
        (["report", str(tmp_path / "nothing")], "nothing"),
        (["build", f"viscot:{tmp_path}", *out], "looked for *.json and *.jsonl"),
        (["eval", "--model", scripted, "--out", str(photo / "run")], "choose another folder"),
        (["eval", "--model", scripted, "--limit", "-1", *out], "--limit"),
        (["build", "coco:x.json", "--seed", "-3", *out], "--seed"),
        (_think(photo, "--model", scripted, "--max-tokens", "0", *out), "--max-tokens"),
        (["think", str(photo)], "Missing"),
        (["thnik"], "think"),
        (["list", "--nope"], "--nope"),
    ]
    for arguments, message in cases:
        code = cli.run(arguments)
        captured = capsys.readouterr()
        lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
        assert (code, len(lines)) == (2, 1), (arguments, captured.err)
        assert message in lines[0], (arguments, lines[0])


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sifthinker.datagen.build.build", interrupted)
    assert cli.run(["build", "jsonl:rows.jsonl", "--out", str(tmp_path / "out")]) == 130
    assert "interrupted; commands with --resume go on" in capsys.readouterr().err


def test_a_source_without_rows_is_no_success(tmp_path: Path, capsys) -> None:
    (tmp_path / "rows.jsonl").touch()
    assert cli.run(["build", f"jsonl:{tmp_path}/rows.jsonl", "--out", str(tmp_path / "out")]) == 1
    assert "rows.jsonl has none" in capsys.readouterr().err


def test_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", "data.parquet")

    monkeypatch.setattr("sifthinker.catalog.catalog", full)
    assert cli.run(["list"]) == 2
    assert "disk full while writing data.parquet" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[]", "{}", "{", '{"schema": 1}'])
def test_damaged_run_folders_are_bad_input(tmp_path: Path, capsys, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    for command in (["score", str(tmp_path)], ["report", str(tmp_path)], ["compare", str(tmp_path), str(tmp_path)]):
        assert cli.run(command) == 2
        assert "run.json" in capsys.readouterr().err


def test_extensions_are_found_in_the_folder_one_works_in(tmp_path: Path) -> None:
    (tmp_path / "mytasks.py").write_text("from sifthinker.scenes.tasks import TASKS\nmine = TASKS['count']\n")
    program = Path(sys.executable).with_name("sifthinker")
    arguments = ["scenes", "--tasks", "mytasks:mine", "--n", "2", "--out", "out"]
    subprocess.run([program, *arguments], cwd=tmp_path, check=True, capture_output=True)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["kept"] == 2


def test_list_as_json(capsys) -> None:
    assert cli.run(["list", "tasks", "--json"]) == 0
    tasks = json.loads(capsys.readouterr().out)["tasks"]
    for task in tasks:
        assert {"name", "family", "system", "answer_kind", "about"} <= task.keys()
        assert all(task.values())
    assert {"left_right", "stepgame", "spatial_text_inferred"} <= {task["name"] for task in tasks}
    assert cli.run(["list", "--json"]) == 0
    assert {"tasks", "engines", "benchmarks", "rewards"} <= json.loads(capsys.readouterr().out).keys()


def test_stand_ins_on_pictures_and_words(tmp_path: Path, capsys) -> None:
    """A set with rows without a picture: checked, and answered by who knows and who does not."""
    data = tmp_path / "set"
    make = ["scenes", "--tasks", "stepgame,nearer", "--n", "6", "--workers", "1", "--trace-style", "explicit", "--json"]
    assert cli.run([*make, "--out", str(data)]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert (manifest["kept"], manifest["tasks"], manifest["with_depth"]) == (6, {"nearer": 3, "stepgame": 3}, 3)
    assert cli.run(["check", str(data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ready"]
    for model, right in (("oracle", 1.0), ("blind", None)):
        run = [
            "--model",
            model,
            "--benchmark",
            "dataset",
            "--data",
            str(data),
            "--out",
            str(tmp_path / model),
            "--json",
        ]
        assert cli.run(["eval", *run]) == 0
        result = json.loads(capsys.readouterr().out)
        assert (result["n"], result["n_failed"]) == (6, 0)
        assert set(result["tasks"]) == {"nearer", "stepgame"}
        assert right in (None, result["answer_accuracy"]["value"])


def test_list_names_everything(capsys) -> None:
    assert cli.run(["list"]) == 0
    out = capsys.readouterr().out
    for name in ("coco", "left_right", "correction", "scripted", "blink", "qwen2.5-vl-7b-grpo"):
        assert name in out


@pytest.mark.parametrize("arguments", [["sft", "tiny-sft"], ["grpo", "tiny-grpo"], ["check", "tiny-sft"]])
def test_training_without_its_packages_says_what_to_install(arguments, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    assert cli.run(arguments) == 2
    assert capsys.readouterr().err == "error: this command needs trl: pip install 'sifthinker[train]'\n"


def test_help_of_training_lists_the_fields(capsys) -> None:
    for stage, trl in (("sft", "SFTConfig"), ("grpo", "GRPOConfig")):
        assert cli.run([stage, "--help"]) == 0
        out = capsys.readouterr().out
        assert "max_pixels     Pixels of one picture at most" in out
        assert f"Every field of TRL's {trl} is taken" in out


def test_no_command_shows_the_help(capsys) -> None:
    assert cli.run([]) == 0
    assert "Commands:" in capsys.readouterr().out
