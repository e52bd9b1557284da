"""Real files that carry the same boxes in two forms, compared in pixels."""

import json
from pathlib import Path

import pytest

from sifthinker.datagen.outcome import Reject
from sifthinker.datagen.sources import made, open_source
from sifthinker.datagen.sources.options import Options
from sifthinker.sample import Sample


def pixels(sample):
    width, height = sample.photo().size
    return sorted((b.x0 * width, b.y0 * height, b.x1 * width, b.y1 * height) for b in sample.boxes)


def asked(rows):
    """(photo, question) -> sample; a pair of things is one question, whichever comes first."""
    return {
        (Path(row.meta["photo"]).stem, row.meta["task"], frozenset(row.meta["labels"])): row
        for row in rows
        if isinstance(row, Sample)
    }


@pytest.fixture
def yolo_names(shared_data, tmp_path):
    """The labels come without names; they are COCO's in the order of their ids."""
    data = json.loads((shared_data / "coco/instances.json").read_text())
    names = [c["name"] for c in sorted(data["categories"], key=lambda c: c["id"])]
    (tmp_path / "data.yaml").write_text(json.dumps({"path": str(shared_data / "coco/yolo_labels"), "names": names}))
    return tmp_path / "data.yaml"


def test_yolo_labels_are_the_boxes_of_the_instances(shared_data, yolo_names, monkeypatch):
    monkeypatch.setattr(made, "PER_KIND", 10**6)
    images = shared_data / "coco/images"
    coco = asked(open_source(f"coco:{shared_data}/coco/instances.json", Options(images)))
    yolo = asked(open_source(f"yolo:{yolo_names}", Options(images)))
    compared = 0
    for key in coco.keys() & yolo.keys():
        for there, here in zip(pixels(coco[key]), pixels(yolo[key]), strict=True):
            # Six decimals of at most 640 pixels; COCO's own have two.
            assert max(abs(a - b) for a, b in zip(there, here, strict=True)) < 0.02, key
            compared += 1
        if key[1] == "count":
            assert coco[key].answer == yolo[key].answer
    assert compared == 224
    assert coco.keys() == yolo.keys()


def test_vsr_finds_its_two_things(shared_data):
    rows = list(open_source(f"vsr:{shared_data}/vsr/vsr_on_coco.jsonl", Options(shared_data / "coco/images")))
    assert len(rows) == 12
    data = json.loads((shared_data / "coco/instances.json").read_text())
    names = {c["id"]: c["name"] for c in data["categories"]}
    files = {i["id"]: Path(i["file_name"]).name for i in data["images"]}
    for row in rows:
        assert isinstance(row, Sample)
        there = [
            (a["bbox"][0], a["bbox"][1], a["bbox"][0] + a["bbox"][2], a["bbox"][1] + a["bbox"][3])
            for a in data["annotations"]
            if files[a["image_id"]] == row.meta["photo"] and names[a["category_id"]] in row.meta["labels"]
        ]
        assert len(there) == 2
        for a, b in zip(pixels(row), sorted(there), strict=True):
            assert max(abs(x - y) for x, y in zip(a, b, strict=True)) < 1e-6


def test_statements_about_other_photos_are_rejected(shared_data, tmp_path):
    path = shared_data / "vsr/format/random_dev.jsonl"
    rows = list(open_source(f"vsr:{path}", Options(shared_data / "coco/images")))
    assert len(rows) == 100
    assert all(isinstance(row, Reject) and row.reason == "no_boxes" for row in rows)
    assert "has no annotations in" in rows[0].detail
    (tmp_path / "images").mkdir()
    alone = next(open_source(f"vsr:{path}", Options(tmp_path / "images")))
    assert isinstance(alone, Reject)
    assert "the row has none, and there is no instances*.json in" in alone.detail
