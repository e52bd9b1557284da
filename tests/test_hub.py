"""Names that cannot be had are told before anything heavy is loaded, and without half a minute of tries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sifthinker.errors import InputError
from sifthinker.hub import check_name

CODE = """
import sys
from sifthinker import cli
assert cli.run(sys.argv[1:]) == 2
assert not {"torch", "transformers", "datasets"} & set(sys.modules)
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eval", "--model", "./nope"], "./nope: no such folder, and not a hub id"),
        (["eval", "--model", "models/nope"], "models/nope: no such folder, but models/ is here, so this is taken for"),
        (["sft", "tiny-sft", "--model", "./nope"], "./nope: no such folder, and not a hub id"),
        (["grpo", "--model=models/nope", "tiny-grpo"], "models/nope: no such folder, but models/ is here"),
        (["build", "jsonl:rows.jsonl", "--depth", "/nope/model"], "expected a depth-estimation model"),
        (["build", "hub:./nope", "--columns", "frame=pixel_xyxy"], "error: ./nope: no such folder, and not a hub id"),
        (["build", "hub:a/b/c", "--columns", "frame=pixel_xyxy"], "a/b/c: no such folder, and not a hub id"),
    ],
)
def test_paths_that_are_not_there_load_nothing(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "models").mkdir()
    row = {"id": "a", "image": "a.png", "question": "What?", "answer": "this", "boxes": [[0.1, 0.1, 0.2, 0.2]]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    command = [sys.executable, "-c", CODE, *arguments, "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert message in done.stderr


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    asked: list[str] = []

    def answer(url: str, **_: object) -> None:
        asked.append(url)
        raise ConnectionError("no route") if "nobody" in url else HfHubHTTPError.__new__(HfHubHTTPError)

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", answer)
    with pytest.raises(
        InputError, match=r"nobody/n: no such folder here, and the hub does not answer .*no route.*network"
    ):
        check_name("nobody/n", "a model")
    with pytest.raises(InputError, match=r"datasets/nobody/n.*or give the folder of a data set"):
        check_name("nobody/n", "a data set", "dataset")
    check_name("org/gone", "a model")  # the hub answers that there is none, which its own libraries tell
    assert len(asked) == 3


def test_ids_in_the_cache_are_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    with pytest.raises(InputError, match="org/ is here"):
        check_name("org/name", "a model")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    adapter = tmp_path / "cache" / "models--org--name" / "snapshots" / "0" / "adapter_config.json"
    adapter.parent.mkdir(parents=True)
    adapter.write_text("{}")
    check_name("org/name", "a model")
    with pytest.raises(InputError, match="org/ is here"):
        check_name("org/name", "a data set", "dataset")


def test_files_are_no_folders(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"a\.bin: a file; expected the folder of a model"):
        check_name(tmp_path / "a.bin", "a model")
    check_name(tmp_path, "a model")
