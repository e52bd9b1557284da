"""Files, rows and shards: what is written comes back, and a crash or a full disk costs nothing silently."""

import errno
import io
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sifthinker.depth import DepthMap
from sifthinker.draw import depth_picture
from sifthinker.errors import InputError
from sifthinker.geometry import WHOLE, Box
from sifthinker.records import (
    JsonlWriter,
    ShardWriter,
    atomic_write,
    count_rows,
    from_row,
    photo_bytes,
    read_jsonl,
    read_manifest,
    read_rows,
    read_samples,
    rows_at,
    shard_bytes,
    to_row,
)
from sifthinker.sample import Sample, open_photo
from sifthinker.trace import Area, Step, Trace


def photo(width=40, height=30, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def sample(number=0, depth=True, image=None, **changes):
    values = {
        "id": f"s{number}",
        "image": image or photo(seed=number),
        "question": "Which one? (ümlaut)",
        "answer": "dog",
        "depth": DepthMap(np.linspace(1, 5, 1200).reshape(30, 40), metric=True) if depth is True else depth or None,
        "choices": ("dog", "cat"),
        "boxes": (Box(0.1, 0.2, 1 / 3, 0.7),),
        "meta": {"task": "pick", "nested": {"a": [1, 2]}},
    }
    return Sample(**(values | changes))


def trace(depth=True):
    d = (0.5,) if depth else (None,)
    steps = (Step(Area((WHOLE,), d), "A picture."), Step(Area((Box(0.1, 0.2, 0.333, 0.7),), d), "The dog."))
    return Trace(steps, "dog")


@pytest.mark.parametrize("depth", [True, False])
def test_a_row_comes_back_from_disk_as_it_was(tmp_path, depth):
    with ShardWriter(tmp_path) as writer:
        writer.add(to_row(sample(depth=depth), trace(depth), "here", "me"))
    ((back, gold),) = read_samples(tmp_path)
    before = sample(depth=depth)
    assert (back.id, back.question, back.answer, back.choices) == ("s0", before.question, "dog", ("dog", "cat"))
    assert back.boxes == before.boxes
    assert back.meta == before.meta
    assert gold == trace(depth)
    assert np.array_equal(np.asarray(back.photo()), np.asarray(before.photo()))
    if depth:
        assert back.depth_map().metric
        assert np.abs(back.depth_map().values - before.depth_map().values).max() < 1e-4
    else:
        assert back.depth is None


def test_rows_without_a_completion_have_no_trace():
    back, gold = from_row(to_row(sample(), None, "here", "me"))
    assert back.id == "s0"
    assert gold is None


def test_prompt_and_images_belong_together():
    row = to_row(sample(), trace(), "here", "me")
    blocks = [b["type"] for b in row["prompt"][0]["content"]]
    assert blocks.count("image") == len(row["images"]) == 2
    assert len(to_row(sample(depth=False), trace(False), "here", "me")["images"]) == 1


def test_the_photo_file_is_stored_as_it_is_unless_it_must_be_turned(tmp_path):
    path = tmp_path / "a.jpg"
    photo().save(path, quality=90)
    for image in (path, path.read_bytes()):
        row = to_row(sample(image=image, depth=False), trace(False), "x", "y")
        assert row["images"][0]["bytes"] == path.read_bytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    photo().save(path, exif=exif)
    for image in (path, path.read_bytes()):
        back, _ = from_row(to_row(sample(image=image, depth=False), trace(False), "x", "y"))
        assert back.photo().size == (30, 40)


@pytest.mark.parametrize("how", [{"quality": 90}, {"quality": 60, "progressive": True}, {"subsampling": 0}, None])
def test_photos_that_are_cut_off_are_found(tmp_path, how):
    path = tmp_path / ("whole.png" if how is None else "whole.jpg")
    photo(320, 240).resize((640, 480)).save(path, **(how or {}))
    content = path.read_bytes()
    assert photo_bytes(path) == photo_bytes(content) == (content, (640, 480))
    for share in (0.0, 0.002, 0.05, 0.3, 0.7, 0.99):
        path.write_bytes(content[: round(share * len(content))])
        with pytest.raises(InputError, match=f"{path.name}: cannot be read as an image") as caught:
            photo_bytes(path)
        with pytest.raises(InputError) as plain:
            open_photo(path)
        assert str(caught.value) == str(plain.value)


def test_the_last_photo_is_known_by_its_content(tmp_path):
    path = tmp_path / "a.jpg"
    photo(seed=1).save(path)
    first = photo_bytes(path)
    photo(50, 20, seed=2).save(path)
    assert photo_bytes(path) == (path.read_bytes(), (50, 20)) != first
    path.unlink()
    with pytest.raises(InputError, match="no such image file"):
        photo_bytes(path)


@pytest.mark.parametrize("holes", [False, True])
def test_the_picture_in_a_row_is_that_of_the_depth_map(holes):
    valid = np.random.default_rng(0).random((30, 40)) > 0.2 if holes else None
    asked = sample(depth=DepthMap(np.linspace(1, 5, 1200).reshape(30, 40), valid, metric=True))
    row = to_row(asked, trace(), "here", "me")
    back, _ = from_row(row)
    picture = Image.open(io.BytesIO(row["images"][1]["bytes"]))
    assert (np.asarray(picture.convert("RGB")) == np.asarray(depth_picture(back.depth_map()))).all()
    assert to_row(back, trace(), "here", "me")["depth"] == row["depth"], "stored once more, nothing changes"


def test_shards_are_cut_at_the_given_size_and_written_byte_for_byte_alike(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with ShardWriter(tmp_path / name, rows_per_shard=2) as writer:
            full = [writer.add(to_row(sample(i), trace(), "x", "y")) for i in range(5)]
            assert full == [False, True, False, True, False]
    files = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert files == ["data-00000.parquet", "data-00001.parquet", "data-00002.parquet"]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert [row["id"] for row in read_rows(tmp_path / "one")] == [f"s{i}" for i in range(5)]
    assert len(read_samples(tmp_path / "one", limit=3)) == 3


def test_datasets_reads_the_shards_and_decodes_the_images(tmp_path):
    datasets = pytest.importorskip("datasets")
    with ShardWriter(tmp_path) as writer:
        writer.add(to_row(sample(), trace(), "x", "y"))
    loaded = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "*.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    row = loaded[0]
    assert isinstance(row["images"][0], Image.Image)
    assert row["boxes"] == [[0.1, 0.2, 1 / 3, 0.7]]
    back, gold = from_row(row)
    assert gold == trace()
    assert np.array_equal(np.asarray(back.photo()), np.asarray(photo()))


def test_damage_inside_of_a_shard_names_the_shard(tmp_path):
    rows = [to_row(sample(n), trace(), "coco", "template-1") for n in range(3)]
    content = bytearray(shard_bytes(rows))
    content[4:40] = b"\xff" * 36  # the head of the first page
    (tmp_path / "data-00000.parquet").write_bytes(content)
    for read in (lambda: list(read_rows(tmp_path)), lambda: list(rows_at(tmp_path, [1]))):
        with pytest.raises(InputError, match=r"data-00000\.parquet: .*not as it was when the data set was finished"):
            read()


def test_reading_what_is_not_a_data_set_says_so(tmp_path):
    with pytest.raises(InputError, match="no data set here; expected a folder with data"):
        list(read_rows(tmp_path))
    (tmp_path / "data-00000.parquet").write_bytes(b"torn")
    for read in (lambda: list(read_rows(tmp_path)), lambda: count_rows(tmp_path), lambda: list(rows_at(tmp_path, [0]))):
        with pytest.raises(InputError, match=r"data-00000\.parquet: not a Parquet file, or not as it was"):
            read()
    with pytest.raises(InputError, match=r"manifest.json: no manifest; .*--resume"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text('{"schema": 99}')
    with pytest.raises(InputError, match="schema 99 is newer than 1; update sifthinker"):
        read_manifest(tmp_path)


def test_a_newer_row_schema_is_refused(tmp_path):
    with ShardWriter(tmp_path) as writer:
        writer.add(to_row(sample(), trace(), "x", "y") | {"schema": 2})
    with pytest.raises(InputError, match="schema 2 is newer than 1"):
        list(read_rows(tmp_path))


# --- JSON lines and atomic writes ----------------------------------------------------------------------------------


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.none())), st.integers(0, 30))
def test_a_torn_last_line_is_dropped_and_nothing_else(tmp_path_factory, values, torn):
    path = tmp_path_factory.mktemp("j") / "a.jsonl"
    with JsonlWriter(path) as writer:
        for value in values:
            writer.write(value)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"half": "of a long line without its end"'[:torn])
    with JsonlWriter(path) as writer:
        assert path.stat().st_size == len(whole)
        writer.write({"last": 1})
    assert [v for _, v in read_jsonl(path)] == [*values, {"last": 1}]


def test_half_a_character_is_kept_as_its_escape(tmp_path):
    path = tmp_path / "a.jsonl"
    with JsonlWriter(path) as writer:
        writer.write({"half \ud83d": "of é 😀\\\udfff"})
    assert path.read_bytes() == '{"half \\ud83d": "of é 😀\\\\\\udfff"}\n'.encode()
    assert list(read_jsonl(path)) == [(1, {"half \ud83d": "of é 😀\\\udfff"})]


def test_a_long_torn_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a":1}\n' + b"x" * 200_000)
    with JsonlWriter(path) as writer:
        writer.write({"b": 2})
    assert [v for _, v in read_jsonl(path)] == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a":1}\n{"b":\n', "a.jsonl:2: expected one JSON object a line"),
        (b"[1]\n", "a.jsonl:1: expected a JSON object, got list"),
        (b'{"a": "\xff"}\n', "a.jsonl:1: expected one JSON object a line"),
    ],
)
def test_bad_lines_are_named(tmp_path, content, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read_jsonl(path))
    with pytest.raises(InputError, match="no such file"):
        list(read_jsonl(tmp_path / "none.jsonl"))


def test_atomic_write_leaves_the_old_file_when_the_disk_is_full(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    atomic_write(path, "old")

    def full(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"a.json: disk full; free some space and run again"):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_lines_on_a_full_disk(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")

    class Full(JsonlWriter):
        def __init__(self, path):
            self.path, self._file = path, path.open("wb")

    writer = Full(tmp_path / "full")
    with pytest.raises(InputError, match="full: disk full"):
        writer.write(json.loads('{"a": 1}'))
