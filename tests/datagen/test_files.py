"""Photos are found by the names that annotation files use, and nothing wrong with one row stops the reading."""

import pytest
from PIL import Image

from sifthinker.datagen.files import DEPTH_SUFFIXES, FileIndex, RowError, photo_size, read_json, read_lines
from sifthinker.datagen.outcome import REASONS, Reject
from sifthinker.errors import InputError

from .photos import jsonl, photo


@pytest.fixture
def index(tmp_path):
    for name in ("train2017/000000000605.jpg", "a/x/1.jpg", "b/x/1.jpg", "deep/er/only.png"):
        photo(tmp_path / name)
    return FileIndex(tmp_path)


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


def test_whole_files_that_cannot_be_read(tmp_path):
    (tmp_path / "t.json").write_text('[{"a": 1}')
    with pytest.raises(InputError, match=r"t.json: not JSON \(.*is the file complete"):
        read_json(tmp_path / "t.json")
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "none.json")
    with pytest.raises(InputError, match="no such folder"):
        FileIndex(tmp_path / "none")
