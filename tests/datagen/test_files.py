"""Photos are found by the names that annotation files use, and nothing wrong with one row stops the reading."""

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sifthinker.datagen import files
from sifthinker.datagen.files import DEPTH_SUFFIXES, FileIndex, RowError, photo_size, read_json, read_lines
from sifthinker.datagen.outcome import REASONS, Reject
from sifthinker.errors import InputError

from .photos import jsonl, photo


@pytest.fixture
def index(tmp_path):
    for name in ("train2017/000000000605.jpg", "a/x/1.jpg", "b/x/1.jpg", "deep/er/only.png"):
        photo(tmp_path / name)
    return FileIndex(tmp_path)


def test_memory_does_not_grow_with_the_files_that_are_listed(tmp_path):
    for number in range(4000):
        place = tmp_path / f"patch{number % 10}/photo_{number:08d}.jpg"
        place.parent.mkdir(exist_ok=True)
        place.touch()
    # pathlib interns names, and the interpreter's table of such names may grow once.
    FileIndex(tmp_path).find("photo_00000001.jpg")
    files = FileIndex(tmp_path)
    tracemalloc.start()
    assert files.find("elsewhere/photo_00003456.jpg") == tmp_path / "patch6/photo_00003456.jpg"
    assert files.find_stem(Path("photo_00000012"), "image") == tmp_path / "patch2/photo_00000012.jpg"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4000 * 250


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("train2017/000000000605.jpg", "train2017/000000000605.jpg"),
        ("000000000605.jpg", "train2017/000000000605.jpg"),
        ("cot/mscoco/COCO_train2014_000000000605.jpg", "train2017/000000000605.jpg"),
        ("COCO_val2014_000000000605.jpg", "train2017/000000000605.jpg"),
        ("some/where/else/only.png", "deep/er/only.png"),
        ("data/b/x/1.jpg", "b/x/1.jpg"),
        ("a/x/1.jpg", "a/x/1.jpg"),
    ],
)
def test_names_find_files(index, name, found):
    assert index.find(name) == index.folder / found


@pytest.mark.parametrize(
    ("name", "reason"), [("none.jpg", "image_missing"), ("x/1.jpg", "image_ambiguous"), ("", "image_missing")]
)
def test_names_without_one_file(index, name, reason):
    with pytest.raises(RowError) as caught:
        index.find(name)
    assert caught.value.reason == reason
    assert reason in REASONS


def test_depth_files_by_the_name_of_the_photo(tmp_path):
    for name in ("a.png", "b_d.png", "c_depth.npy"):
        (tmp_path / name).write_bytes(b"")
    index = FileIndex(tmp_path, DEPTH_SUFFIXES)
    found = [index.find_stem(tmp_path / f"{n}.jpg").name for n in "abc"]
    assert found == ["a.png", "b_d.png", "c_depth.npy"]
    with pytest.raises(RowError, match=r"no depth file for d\.jpg"):
        index.find_stem(tmp_path / "d.jpg")


def test_size_is_as_seen(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert photo_size(photo(tmp_path / "turned.jpg", (80, 60), exif=exif)) == (60, 80)
    assert photo_size(photo(tmp_path / "plain.jpg", (80, 60))) == (80, 60)
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(RowError, match=r"bad\.jpg") as caught:
        photo_size(tmp_path / "bad.jpg")
    assert caught.value.reason == "image_unreadable"


def test_bad_lines_are_rejects_and_the_rest_is_read(tmp_path):
    path = jsonl(tmp_path / "r.jsonl", ['{"a": 1}', "{torn", "[1]", "", '{"b": 2}', "[" * 100_000])
    rows = list(read_lines(path))
    assert [n for n, _ in rows] == [1, 2, 3, 5, 6]
    assert [row.reason if isinstance(row, Reject) else "row" for _, row in rows] == [
        "row", "bad_json", "bad_json", "row", "bad_json",
    ]  # fmt: skip
    assert rows[1][1].id == "r.jsonl:2"


def test_lines_that_are_no_rows_are_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr("sifthinker.datagen.files.LONGEST", 1000)
    text = b'{"a": "' + b"x" * 991 + b'"}\n' + b"[" + b"1," * 2_000_000 + b'0]\n{"b": 2}\n' + b"x" * 1001
    (tmp_path / "r.jsonl").write_bytes(text)
    tracemalloc.start()
    rows = list(read_lines(tmp_path / "r.jsonl"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(n, row.reason if isinstance(row, Reject) else list(row)) for n, row in rows] == [
        (1, ["a"]), (2, "bad_json"), (3, ["b"]), (4, "bad_json"),
    ]  # fmt: skip
    assert "without the end of a line; expected one JSON object a line" in rows[1][1].detail
    assert peak < 1_000_000


def test_whole_files_that_cannot_be_read(tmp_path):
    (tmp_path / "t.json").write_text('[{"a": 1}')
    with pytest.raises(InputError, match=r"t.json: not JSON \(.*is the file complete"):
        read_json(tmp_path / "t.json")
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "none.json")
    with pytest.raises(InputError, match="no such folder"):
        FileIndex(tmp_path / "none")


@pytest.mark.parametrize("text", ['[{"a": 1}]', '[\n{"a": 1}\n]', ' [ {"a": 1},\n{"a": 2}]'])
def test_a_json_array_is_not_lines_of_objects(tmp_path, text):
    (tmp_path / "r.jsonl").write_text(text)
    [(number, row), *_] = read_lines(tmp_path / "r.jsonl")
    assert (number, row.reason) == (1, "bad_json")
    assert row.detail.startswith("a JSON array begins; expected one JSON object a line")


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
@given(data=st.lists(st.recursive(st.none() | st.integers() | st.text(max_size=4), st.lists, max_leaves=5), max_size=5))
def test_items_are_those_of_the_whole_file(tmp_path_factory, chunk, data):
    path = tmp_path_factory.mktemp("items") / "a.json"
    path.write_text(json.dumps(data, indent=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CHUNK", chunk)
        assert list(files.read_items(path)) == [(str(n), value) for n, value in enumerate(data, 1)]
        keyed = {f"k{n}": value for n, value in enumerate(data)}
        path.write_text(json.dumps(keyed, ensure_ascii=False))
        assert list(files.read_items(path)) == list(keyed.items())


@pytest.mark.parametrize("text", ["[1, 2", "", "3", '{"a": 1', "[1 2]", '{"a" 1}', "[nope]", "[" * 100_000 + "]"])
def test_a_broken_list_is_named(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json: (not JSON|expected a JSON list)"):
        list(files.read_items(tmp_path / "a.json"))


def test_items_of_a_large_file_take_little_memory(tmp_path):
    path = tmp_path / "a.json"
    with path.open("w") as file:
        file.write("[" + ",".join(['{"question": "' + "x" * 1000 + '"}'] * 30_000) + "]")
    tracemalloc.start()
    count = sum(1 for _ in files.read_items(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 30_000
    assert peak < path.stat().st_size / 3
