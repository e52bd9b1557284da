"""Depth from models: in batches, once for each photo, and kept for other builds."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
from PIL import Image

from sifthinker import cli
from sifthinker.datagen.build import build
from sifthinker.datagen.depths import AddDepth, DepthCache, depth_adder
from sifthinker.datagen.sources import open_source
from sifthinker.datagen.sources.options import Options
from sifthinker.depth import DepthMap, StoredDepth, read_depth
from sifthinker.errors import InputError
from sifthinker.records import read_manifest, read_rows, read_samples
from sifthinker.sample import Sample
from tests.openai_server import serve
from tests.tiny_models import save_tiny_depth

from .photos import jsonl, own_rows, photo
from .test_teacher import reply_to


class Ramp:
    """An estimator that counts; depth depends on the photo."""

    batch_size, identity = 3, "ramp@1"

    def __init__(self):
        self.calls = []

    def __call__(self, image):
        (found,) = self.batch([image])
        return found

    def batch(self, photos):
        self.calls.append(len(photos))
        bad = InputError("too narrow")
        return [bad if p.width < 20 else DepthMap(np.asarray(p.convert("L")) / np.float32(255)) for p in photos]


def without_identity(image):
    return DepthMap(np.linspace(0, 1, image.height * image.width).reshape(image.height, image.width))


@pytest.fixture
def ramp(monkeypatch):
    made = Ramp()
    monkeypatch.setattr("tests.datagen.test_depths.RAMP", made, raising=False)
    return made


class Together:
    """An estimator whose maps depend a little on the photos beside, as the rounding of models does."""

    batch_size = 3

    def __call__(self, image):
        raise AssertionError("works in batches")

    def batch(self, photos):
        return [
            DepthMap(np.linspace(0, 0.5 + len(photos) / 10, p.width * p.height).reshape(p.height, p.width))
            for p in photos
        ]


TOGETHER = Together()

NAME = "tests.datagen.test_depths:RAMP"


def samples(folder, count, **changes):
    return [Sample(f"s{i}", photo(folder / f"p{i}.png", seed=i), "What?", "that", **changes) for i in range(count)]


def entries(cache):
    return sorted(path for path in cache.rglob("*.png"))


def content(out):
    return {p.name: p.read_bytes() for p in out.glob("*.parquet")}


def test_photos_go_through_the_model_together_and_once(tmp_path, ramp):
    add = depth_adder(NAME, None)
    rows = samples(tmp_path, 7)
    twice = [row for row in rows for _ in range(2)]
    added = [add(row) for row in add.told(twice)]
    assert ramp.calls == [2, 1, 2, 1, 1], "14 rows in batches of three, no photo a second time"
    for sample in added:
        assert np.abs(sample.depth_map().values - np.asarray(sample.photo().convert("L")) / 255).max() < 1e-4
    assert added[0].depth is added[1].depth, "rows of one photo share its map"
    # By content: the same photo by another name, and as bytes.
    shutil.copy(tmp_path / "p6.png", tmp_path / "other.png")
    for image in (tmp_path / "other.png", (tmp_path / "p6.png").read_bytes()):
        assert add(Sample("t", image, "What?", "that")).depth is added[-1].depth
    assert len(ramp.calls) == 5


@pytest.mark.parametrize("annotator", ["template", "teacher"])
def test_the_same_photos_go_together_whoever_makes_a_shard(tmp_path, annotator):
    rows = own_rows(tmp_path, 19)
    # Rows of one photo on both sides of the borders of shards.
    lines = [json.loads(line) | {"image": f"p{2 * n // 5}.png"} for n, line in enumerate(rows.read_text().splitlines())]
    jsonl(rows, [line | {"question": f"What is {n}?"} for n, line in enumerate(lines)])
    with serve(reply_to) as server:
        run = partial(
            build, f"jsonl:{rows}", depth="tests.datagen.test_depths:TOGETHER", rows_per_shard=4,
            annotator="template" if annotator == "template" else f"m@{server.url}",
        )  # fmt: skip
        run(tmp_path / "one")
        run(tmp_path / "two", workers=2)
        run(tmp_path / "parts", part="2/3")
        run(tmp_path / "parts", resume=True)
    assert content(tmp_path / "one") == content(tmp_path / "two") == content(tmp_path / "parts")


def test_a_second_build_asks_nothing_and_is_the_same(tmp_path, ramp):
    rows, cache = own_rows(tmp_path, 8), tmp_path / "cache"
    first = build(f"jsonl:{rows}", tmp_path / "a", depth=NAME, depth_cache=cache)
    assert first["with_depth"] == 8
    assert ramp.calls == [3, 3, 2]
    assert len(entries(cache)) == 8
    build(f"jsonl:{rows}", tmp_path / "b", depth=NAME, depth_cache=cache)
    assert len(ramp.calls) == 3
    assert content(tmp_path / "a") == content(tmp_path / "b")
    build(f"jsonl:{rows}", tmp_path / "c", depth=NAME)
    assert content(tmp_path / "a") == content(tmp_path / "c"), "the cache changes nothing"


def test_entries_are_depth_files_with_sidecars(tmp_path, ramp):
    rows, cache = own_rows(tmp_path, 1), tmp_path / "cache"
    build(f"jsonl:{rows}", tmp_path / "out", depth=NAME, depth_cache=cache)
    (path,) = entries(cache)
    assert path.parent.parent.name == "ramp@1"
    told = json.loads(path.with_name(path.name + ".json").read_text())
    assert (told["polarity"], told["kind"], told["invalid"]) == ("far_is_large", "relative", 0)
    ((sample, _),) = read_samples(tmp_path / "out")
    assert (read_depth(path).values == sample.depth_map().values).all()
    assert next(iter(read_rows(tmp_path / "out")))["depth"]["png"] == path.read_bytes()
    assert not [p for p in cache.rglob("*") if "tmp" in p.name]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path, sidecar: path.write_bytes(path.read_bytes()[:100]),
        lambda path, sidecar: path.write_bytes(path.read_bytes()[:-30] + bytes(30)),
        lambda path, sidecar: path.unlink(),
        lambda path, sidecar: sidecar.unlink(),
        lambda path, sidecar: sidecar.write_text("{"),
        lambda path, sidecar: sidecar.write_text("[1]"),
        lambda path, sidecar: sidecar.write_text("{}"),
    ],
)
def test_damaged_entries_are_made_again(tmp_path, ramp, damage):
    rows, cache = own_rows(tmp_path, 2), tmp_path / "cache"
    build(f"jsonl:{rows}", tmp_path / "a", depth=NAME, depth_cache=cache)
    whole = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    path = entries(cache)[0]
    damage(path, path.with_name(path.name + ".json"))
    build(f"jsonl:{rows}", tmp_path / "b", depth=NAME, depth_cache=cache)
    assert ramp.calls == [2, 1]
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()} == whole


def test_models_do_not_see_each_others_maps(tmp_path):
    one, other = DepthCache(tmp_path, "org/model@abc-metric"), DepthCache(tmp_path, "org/model@abd-metric")
    one.put("0" * 32, DepthMap(np.zeros((2, 2))).stored)
    assert one.get("0" * 32) is not None
    assert other.get("0" * 32) is None
    assert DepthCache(tmp_path, "../../x").folder.parent == tmp_path


def test_photos_that_the_model_cannot_take_are_rejected_alone(tmp_path, ramp):
    rows = own_rows(tmp_path, 3)
    photo(tmp_path / "p1.png", (12, 60))
    manifest = build(f"jsonl:{rows}", tmp_path / "out", depth=NAME)
    assert (manifest["kept"], manifest["rejects_by_reason"]) == (2, {"depth_not_estimated": 1})
    # A damaged photo is told as such, and the others of its batch have their maps.
    (tmp_path / "p1.png").write_bytes(b"no photo")
    manifest = build(f"jsonl:{rows}", tmp_path / "again", depth=NAME)
    assert (manifest["kept"], manifest["rejects_by_reason"]) == (2, {"image_unreadable": 1})


def test_a_cache_needs_to_know_the_model(tmp_path, capsys):
    rows = own_rows(tmp_path, 1)
    name = "tests.datagen.test_depths:without_identity"
    assert build(f"jsonl:{rows}", tmp_path / "out", depth=name)["with_depth"] == 1
    with pytest.raises(InputError, match="has no `identity`"):
        build(f"jsonl:{rows}", tmp_path / "more", depth=name, depth_cache=tmp_path / "cache")


@pytest.mark.parametrize("metric", [False, True])
def test_a_real_architecture_from_the_command_line(tmp_path, metric):
    model, cache = save_tiny_depth(tmp_path / "model", metric), tmp_path / "cache"
    rows = own_rows(tmp_path, 5)
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    jsonl(rows, [line | {"id": f"{line['id']}-{n}", "question": f"What {n}?"} for line in lines for n in range(2)])
    for name in ("a", "b"):
        command = ["build", f"jsonl:{rows}", "--out", str(tmp_path / name), "--depth", str(model)]
        assert cli.run([*command, "--depth-cache", str(cache)]) == 0
    assert read_manifest(tmp_path / "a")["with_depth"] == 10
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert len(entries(cache)) == 5
    for sample, trace in read_samples(tmp_path / "a"):
        relative = sample.depth_map().relative()
        assert sample.depth_map().metric == metric
        for step in trace.steps:
            assert list(step.area.depths) == [round(relative.box_mean(box), 3) for box in step.area.boxes]


def test_a_recipe_estimates_in_batches_too(tmp_path, ramp):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    own_rows(tmp_path / "a", 4)
    own_rows(tmp_path / "b", 4, question="What else?")
    sources = [
        {"name": "a", "source": "jsonl:a/rows.jsonl"},
        {"name": "b", "source": "jsonl:b/rows.jsonl", "depth": "none"},
    ]
    (tmp_path / "mix.yaml").write_text(json.dumps({"depth": NAME, "sources": sources}))
    manifest = build(str(tmp_path / "mix.yaml"), tmp_path / "out", depth_cache=tmp_path / "cache")
    assert (manifest["kept"], manifest["with_depth"]) == (8, 4)
    assert ramp.calls == [3, 1]
    assert len(entries(tmp_path / "cache")) == 4


def test_rows_wait_with_stored_maps_and_damaged_ones_are_told(tmp_path):
    path = own_rows(tmp_path, 4, depth="d.png", depth_encoding="mm")
    lines = [json.loads(line) | {"depth": f"d{n}.png"} for n, line in enumerate(path.read_text().splitlines())]
    raw = np.random.default_rng(0).integers(1, 9000, (60, 80)).astype(np.uint16)
    for n in range(4):
        Image.fromarray(raw).save(tmp_path / f"d{n}.png")
    for n, size in ((1, 3000), (2, 20)):
        (tmp_path / f"d{n}.png").write_bytes((tmp_path / f"d{n}.png").read_bytes()[:size])
    Image.fromarray(raw[:50]).save(tmp_path / "d3.png")
    rows = list(open_source(f"jsonl:{jsonl(path, lines)}", Options()))
    assert isinstance(rows[0].depth, StoredDepth)
    assert build(f"jsonl:{path}", tmp_path / "out")["rejects_by_reason"] == {"depth_unreadable": 2, "size_mismatch": 1}
    assert next(iter(read_rows(tmp_path / "out")))["depth"]["png"] == (tmp_path / "d0.png").read_bytes()


def test_rows_without_a_batch_pass_one_by_one():
    seen = []
    add = AddDepth(lambda sample: sample)
    rows = (seen.append(n) or n for n in range(5))
    passed = add.told(rows)
    assert next(passed) == 0
    assert seen == [0]
