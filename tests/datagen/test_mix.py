"""Recipes: several sources as one, drawn and without duplicates, whatever the order of their rows."""

import json
import random
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import yaml

from sifthinker import cli
from sifthinker.datagen import mix
from sifthinker.datagen.build import build
from sifthinker.datagen.mix import mixed, quotas, read_recipe
from sifthinker.datagen.outcome import Reject
from sifthinker.errors import InputError
from sifthinker.inspection import inspect, summary
from sifthinker.records import read_manifest, read_samples
from sifthinker.sample import Sample

from .photos import jsonl, own_rows, photo
from .published import coco, vg_questions, yolo


def recipe(folder: Path, sources, **fields) -> Path:
    path = folder / "mix.yaml"
    path.write_text(yaml.safe_dump({"sources": sources, **fields}))
    return path


@pytest.fixture
def two(tmp_path):
    """Two sets of 12 and 8 rows."""
    for name, count in (("a", 12), ("b", 8)):
        (tmp_path / name).mkdir()
        own_rows(tmp_path / name, count)
    return [{"name": name, "source": f"jsonl:{name}/rows.jsonl"} for name in "ab"]


def rows(path, **changes):
    return list(mixed(read_recipe(str(path), **changes)))


def ids(path):
    return [row.id for row in rows(path) if isinstance(row, Sample)]


def test_sources_follow_one_another_and_name_their_rows(tmp_path, two):
    found = ids(recipe(tmp_path, two, dedupe="none"))
    assert found == [f"a:row{i}" for i in range(12)] + [f"b:row{i}" for i in range(8)]
    assert {row.id[0]: row.meta["source"] for row in rows(recipe(tmp_path, two, dedupe="none"))} == {"a": "a", "b": "b"}


def test_the_same_photo_is_asked_the_same_only_once(tmp_path, two):
    """The photos of both sets are equal in content and name; equal names with other content are other photos."""
    for dedupe, duplicates in (("content", 8), ("name", 8), ("none", 0)):
        rejects = [row for row in rows(recipe(tmp_path, two, dedupe=dedupe)) if isinstance(row, Reject)]
        assert [row.reason for row in rejects] == ["duplicate_question"] * duplicates
    for i in range(8):
        photo(tmp_path / f"b/p{i}.png", seed=100 + i)
    assert len(ids(recipe(tmp_path, two, dedupe="content"))) == 20
    assert len(ids(recipe(tmp_path, two, dedupe="name"))) == 12
    (tmp_path / "b/p0.png").write_bytes((tmp_path / "a/p5.png").read_bytes())
    assert len(ids(recipe(tmp_path, two, dedupe="content"))) == 19


def test_a_build_keeps_equal_questions_where_the_recipe_wants_them(tmp_path, two):
    lines = (tmp_path / "a/rows.jsonl").read_text().splitlines()
    same = [json.loads(lines[0]) | {"id": f"again{i}"} for i in range(3)]
    jsonl(tmp_path / "a/rows.jsonl", [*lines, *same, lines[0]])
    for dedupe, reasons in (
        ("none", {"duplicate_id": 1}),
        ("name", {"duplicate_question": 4}),
        ("content", {"duplicate_question": 4}),
    ):
        path = recipe(tmp_path, two[:1], dedupe=dedupe)
        assert build(str(path), tmp_path / dedupe)["rejects_by_reason"] == reasons


@pytest.mark.parametrize("kind", ["viscot", "vsr", "refcoco"])
def test_a_cap_draws_the_same_rows_in_any_order_where_rows_have_no_ids(tmp_path, kind):
    photo(tmp_path / "p.png")
    box = [10, 10, 20, 20]
    row = {
        "viscot": {"image": "p.png", "answer": "a", "bboxs": [box], "width": 80, "height": 60},
        "vsr": {"image": "p.png", "relation": "on", "label": 1, "boxes": [box]},
        "refcoco": {"img_path": "p.png", "bbox": box},
    }[kind]
    field = {"viscot": "question", "vsr": "caption", "refcoco": "expression"}[kind]
    lines = [row | {field: f"The cat {i} is on the mat {i}"} for i in range(30)]
    path = recipe(tmp_path, [{"source": f"{kind}:rows.jsonl", "cap": 8}])

    def drawn(lines):
        jsonl(tmp_path / "rows.jsonl", lines)
        return {row.question for row in rows(path) if isinstance(row, Sample)}

    assert len(drawn(lines)) == 8
    assert drawn(lines[::-1]) == drawn(lines)


def test_a_cap_draws_the_same_rows_in_any_order(tmp_path, two):
    two[0]["cap"] = 5
    path = recipe(tmp_path, two[:1])
    drawn = ids(path)
    assert len(drawn) == 5
    assert drawn != [f"a:row{i}" for i in range(5)], "drawn, not the first ones"
    lines = (tmp_path / "a/rows.jsonl").read_text().splitlines()
    random.Random(1).shuffle(lines)
    jsonl(tmp_path / "a/rows.jsonl", lines)
    assert sorted(ids(path)) == sorted(drawn)
    assert sorted(ids(recipe(tmp_path, two[:1], seed=1))) != sorted(drawn)
    # More rows in the source, or a larger cap, only add to what was drawn of these.
    assert set(drawn) < set(ids(recipe(tmp_path, [two[0] | {"cap": 8}])))
    assert len(ids(recipe(tmp_path, [two[0] | {"cap": 99}]))) == 12


def test_the_smallest_keys_are_found_piece_by_piece(monkeypatch):
    monkeypatch.setattr(mix, "DRAWN_AT_ONCE", 7)
    found = [Sample(f"r{i}", None, "What?") for i in range(100)]
    for quota in (1, 5, 40, 100, 1000):
        keys = sorted(mix._key(0, "a", row.id) for row in found)
        assert mix._last_drawn(iter(found), quota, 0, "a") == keys[:quota][-1]
    assert mix._last_drawn(iter(found), 0, 0, "a") == mix._last_drawn(iter([]), 5, 0, "a") == -1


def test_every_row_is_drawn_equally_often(tmp_path, two):
    two[0]["cap"] = 3
    counts = Counter(key for seed in range(200) for key in ids(recipe(tmp_path, two[:1], seed=seed)))
    assert len(counts) == 12
    # 600 draws of 12 rows: 50 each, with a standard deviation of 6.
    assert all(25 < n < 75 for n in counts.values())


def test_weights_share_a_total(tmp_path, two):
    two[0]["weight"] = 3
    path = recipe(tmp_path, two, total=8, dedupe="none")
    assert quotas(read_recipe(str(path))) == [6, 2]
    assert Counter(key[0] for key in ids(path)) == {"a": 6, "b": 2}
    two[0]["cap"] = 4
    assert quotas(read_recipe(str(recipe(tmp_path, two, total=8)))) == [4, 2]
    two[1]["weight"] = 0
    assert quotas(read_recipe(str(recipe(tmp_path, two, total=8)))) == [4, 0]
    assert not any(key.startswith("b") for key in ids(recipe(tmp_path, two, total=8)))


def test_shares_add_up_to_the_total(tmp_path, two):
    three = [*two, two[0] | {"name": "c"}]
    assert quotas(read_recipe(str(recipe(tmp_path, three, total=10)))) == [3, 4, 3]


def test_what_each_source_gave_is_told_also_where_that_is_nothing(tmp_path, two, capsys):
    (tmp_path / "a/p3.png").unlink()
    bad = {"id": "n", "image": "x.png", "question": "?", "answer": "a", "boxes": [[0, 0, 1]]}
    jsonl(tmp_path / "none.jsonl", [bad])
    third = {"name": "c", "source": "jsonl:none.jsonl"}
    path = recipe(tmp_path, [*two, third], total=30, dedupe="none", depth="none")
    out = tmp_path / "out"
    assert cli.run(["build", str(path), "--out", str(out)]) == 0
    said, card = capsys.readouterr().out, (out / "README.md").read_text()
    assert read_manifest(out)["by_source"] == {
        "a": {"wanted": 10, "read": 11, "kept": 10, "rejects_by_reason": {"image_missing": 1}},
        "b": {"wanted": 10, "read": 8, "kept": 8, "rejects_by_reason": {}},
        "c": {"wanted": 10, "read": 1, "kept": 0, "rejects_by_reason": {"box_malformed": 1}},
    }
    assert "source c: read 1, kept 0, rejected 1" in said
    assert "| c | 1 | 0 | 1 | " in card
    assert "| c | box_malformed | 1 | a box is not four numbers |" in card
    for text in (said, card):
        assert "18 of the total of 30 rows: b 8 of 10, c 0 of 10. What a source lacks" in text
    assert "source c: read 1, kept 0, box_malformed 1" in summary(inspect(out))
    assert "box malformed" in (out / "inspect.html").read_text()


def test_bad_rows_of_every_source_are_told_once(tmp_path, two):
    (tmp_path / "a/p3.png").unlink()
    two[0] |= {"cap": 5}
    rejects = [row for row in rows(recipe(tmp_path, two, dedupe="none")) if isinstance(row, Reject)]
    assert [(r.id, r.reason) for r in rejects] == [("a:row3", "image_missing")]


def test_a_mix_of_kinds_is_built_and_says_its_sources(tmp_path, capsys):
    for kind, write in (("coco", coco), ("yolo", yolo), ("vg", vg_questions)):
        (tmp_path / kind).mkdir()
        write(tmp_path / kind)
    sources = [
        {"source": "coco:coco/instances_train2017.json", "images": "coco"},
        {"source": "yolo:yolo", "name": "mine", "cap": 2},
        {"source": "vg:vg/question_answers.json", "depth": "none"},
    ]
    path = recipe(tmp_path, sources, seed=4, dedupe="content")
    out = tmp_path / "out"
    assert cli.run(["build", str(path), "--out", str(out), "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["kind"] == "mix"
    assert manifest["seed"] == 4
    assert manifest["read"] == manifest["kept"] + manifest["rejected"]
    # YOLO's photo is COCO's, and so are most of its questions.
    kept = {name: found["kept"] for name, found in manifest["by_source"].items()}
    assert kept.keys() >= {"coco", "vg"}
    assert sum(kept.values()) == manifest["kept"]
    assert manifest["rejects_by_reason"]["duplicate_question"] >= 1
    assert Counter(sample.id.partition(":")[0] for sample, _ in read_samples(out)) == kept
    card = (out / "README.md").read_text()
    read = manifest["by_source"]["coco"]["read"]
    assert f"| coco | {read} | {kept['coco']} | {read - kept['coco']} | annotations CC BY 4.0" in card
    again = tmp_path / "again"
    build(str(path), again)
    for name in ("data-00000.parquet", "rejects.jsonl"):
        assert (again / name).read_bytes() == (out / name).read_bytes()


def test_flags_stand_above_the_recipe(tmp_path, two):
    (tmp_path / "depths").mkdir()
    path = recipe(tmp_path, [two[0] | {"depth": "depths"}, two[1]], seed=1, steps=1, dedupe="none")
    manifest = build(str(path), tmp_path / "out", seed=2, depth="none", limit=3, steps=5)
    assert (manifest["seed"], manifest["kept"]) == (2, 6)
    assert [found["kept"] for found in manifest["by_source"].values()] == [3, 3]
    assert {len(trace.steps) for _, trace in read_samples(tmp_path / "out")} <= {6, 7}
    assert build(str(path), tmp_path / "own")["rejects_by_reason"] == {"depth_missing": 12}
    assert {len(trace.steps) for _, trace in read_samples(tmp_path / "own")} == {2, 3}
    with pytest.raises(InputError, match="a recipe names columns and depth_encoding for each of its sources"):
        build(str(path), tmp_path / "more", depth_encoding="mm")


def test_an_interrupted_mix_goes_on(tmp_path, two, monkeypatch):
    path = str(recipe(tmp_path, [two[0] | {"cap": 8}, two[1]], dedupe="name"))
    whole = build(path, tmp_path / "whole", rows_per_shard=3)

    def cut(recipe):
        yield from islice(mixed(recipe), 11)
        raise KeyboardInterrupt

    monkeypatch.setattr(mix, "mixed", cut)
    with pytest.raises(KeyboardInterrupt):
        build(path, tmp_path / "out", rows_per_shard=3)
    monkeypatch.undo()
    assert build(path, tmp_path / "out", rows_per_shard=3, resume=True) == whole
    for shard in whole["shards"]:
        assert (tmp_path / "out" / shard["file"]).read_bytes() == (tmp_path / "whole" / shard["file"]).read_bytes()
    assert (tmp_path / "out/rejects.jsonl").read_bytes() == (tmp_path / "whole/rejects.jsonl").read_bytes()


def test_fields_without_a_value_are_not_said(tmp_path, two):
    path = recipe(tmp_path, [two[0] | {"cap": None, "depth": None}], seed=None, depth=None, annotator=None, dedupe=None)
    assert build(str(path), tmp_path / "out")["kept"] == 12


def test_images_is_the_folder_of_all_paths(tmp_path, two):
    path = recipe(tmp_path, two, dedupe="none")
    elsewhere = tmp_path / "recipes"
    elsewhere.mkdir()
    path = path.rename(elsewhere / "mix.yaml")
    with pytest.raises(InputError, match=r"recipes/a/rows.jsonl: no such file or folder \(source 'a' of the recipe\)"):
        build(str(path), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert build(str(path), tmp_path / "out", images=tmp_path)["kept"] == 20
    path.write_text(path.read_text() + "root: ..\n")
    assert build(str(path), tmp_path / "out2")["kept"] == 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1", "no recipe of a data set; expected `sources:` with a list"),
        ("sources: []", "expected `sources:` with a list"),
        ("sources: [3]", "source 1: expected fields with values, got 3"),
        ("sources: [{name: a}]", "source 1: needs `source: KIND:PATH`"),
        ("sources: [{source: 'coco:a', caps: 3}]", "source 1: unknown field 'caps': did you mean 'cap'"),
        ("sources: [{source: 'coco:a', cap: 0}]", "source 1: cap 0: expected a whole number from 1 on"),
        ("sources: [{source: 'coco:a', cap: 1.5}]", "cap 1.5: expected a whole number"),
        ("sources: [{source: 'coco:a', weight: -1}]", "weight -1: expected a number from 0 on"),
        ("sources: [{source: 'coco:a', name: 'a:b'}]", "name 'a:b': ids begin with it and a colon"),
        ("sources: [{source: 'coco:a', weight: 2}]", "a weight is a share of `total`, which the recipe does not say"),
        ("total: 5\nsources: [{source: 'coco:a', weight: .inf}]", "weight inf: expected a number from 0 on"),
        ("sources: [{source: 'hub:a', columns: {image: 3}}]", "columns {'image': 3}: expected FIELD: COLUMN"),
        ("sources: [{source: 'coco:a', images: 3}]", "images 3: expected text"),
        (
            "sources: ['coco:a', 'coco:b']",
            "source 2: a second source with the name 'coco'; give it a `name` of its own",
        ),
        ("sources: ['coco:a']\nseeds: 3", "unknown field 'seeds': did you mean 'seed'"),
        ("sources: ['coco:a']\ndedupe: both", "unknown dedupe 'both'"),
        ("sources: ['coco:a']\nannotator: 3", "annotator 3: expected its name, or names with their shares"),
        ("sources: ['coco:a']\nsteps: 0", "steps 0: expected a whole number from 1 on"),
        ("sources: ['coco:a']\nsteps: 7", "steps 7: expected 1 to 6 expansions"),
        ("sources: ['cocoa:a']", "unknown source 'cocoa': did you mean 'coco'"),
        ("sources: ['coco:a']", "a: no such file or folder"),
        ("sources: [{source: 'jsonl:mix.yaml', images: nowhere}]", "nowhere: no such folder of photos"),
        ("sources: [", "mix.yaml"),
    ],
)
def test_recipes_with_mistakes(tmp_path, text, message):
    (tmp_path / "mix.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        build(str(tmp_path / "mix.yaml"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sif_50k(tmp_path, shared_data, capsys):
    """The recipe of the package on a folder laid out as it says, with the real rows that are at hand."""
    names = ("cub", "flickr30k", "gqa", "openimages", "visual7w", "vsr")
    (tmp_path / "viscot/metadata").mkdir(parents=True)
    for name in names:
        real = shared_data / f"viscot/viscot_dataset/{name}_cot_train.jsonl"
        lines = real.read_text().splitlines() if real.exists() else []
        if name == "vsr":
            lines += (shared_data / "viscot/on_coco/vsr_cot_train.jsonl").read_text().splitlines()
        jsonl(tmp_path / f"viscot/metadata/{name}_cot_train.jsonl", lines)
        (tmp_path / f"viscot/cot/{name.replace('visual', 'v')}").mkdir(parents=True)
    for path in (shared_data / "coco/images").rglob("*.jpg"):
        (tmp_path / "viscot/cot/vsr" / path.name).symlink_to(path)
    photo(tmp_path / "tallyqa/images/VG_100K_2/1.jpg")
    record = {"image": "VG_100K_2/1.jpg", "question": "How many?", "question_id": 5, "answer": 1}
    (tmp_path / "tallyqa/train.json").write_text(json.dumps([record | {"boxes": [[0.1, 0.1, 0.5, 0.5]]}]))
    arguments = ["build", "sif-50k", "--images", str(tmp_path), "--out", str(tmp_path / "out"), "--depth", "none"]
    assert cli.run([*arguments, "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    by_source = manifest["by_source"]
    assert {name: found["kept"] for name, found in by_source.items() if found["kept"]} == {"tallyqa": 1, "vsr": 2}
    assert sum((Counter(found["rejects_by_reason"]) for found in by_source.values()), Counter()) == {
        "box_outside": 15, "image_missing": 300,
    }  # fmt: skip
    assert list(by_source) == [part.name for part in read_recipe("sif-50k").sources]
    assert manifest["rejects_by_reason"] == {"box_outside": 15, "image_missing": 300}
    documents = {"docvqa", "dude", "infographicsvqa", "sroie", "textcap", "textvqa"}
    used = read_recipe("sif-50k").sources
    assert not {part.name for part in used} & documents
    assert all(part.cap == 10_000 for part in used)
