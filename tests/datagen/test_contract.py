"""What holds for every source, shown with files in the form in which its data set is published."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sifthinker.catalog import catalog, catalog_json
from sifthinker.datagen.outcome import REASONS, Reject
from sifthinker.datagen.sources import PROBED, SOURCES, open_source
from sifthinker.datagen.sources.options import Options
from sifthinker.errors import InputError
from sifthinker.sample import Sample

from .photos import jsonl, own_rows
from .published import PUBLISHED, SIZE, draw, drawn, dump


def test_every_source_has_a_fixture_and_says_its_frames_and_license():
    assert {kind for kind, _ in PUBLISHED} == set(SOURCES)
    for name, source in SOURCES.items():
        assert all((source.about, source.frames, source.license)), name
    told = {entry["name"]: entry for entry in catalog_json("sources")["sources"]}
    assert told["voc"]["frames"] == ["pixel_xyxy"]
    assert told["coco"]["license"] in catalog("sources")


def images(kind: str, folder: Path) -> Path | None:
    return folder if SOURCES[kind].photos else None


@pytest.mark.parametrize(("kind", "write"), PUBLISHED, ids=[write.__name__ for _, write in PUBLISHED])
def test_contract(tmp_path: Path, kind: str, write) -> None:
    name = f"{kind}:{write(tmp_path)}"
    rows, again = (list(open_source(name, Options(images(kind, tmp_path), seed=3))) for _ in range(2))

    def told(rows):
        return [(r.id, r.reason) if isinstance(r, Reject) else (r.id, r.question, r.answer, r.boxes) for r in rows]

    assert told(rows) == told(again)
    assert all(isinstance(row, Sample) or row.reason in REASONS for row in rows)
    samples = [row for row in rows if isinstance(row, Sample)]
    assert samples
    assert len({row.id for row in samples}) == len(samples)
    assert len(samples) < len(rows), "each fixture has bad rows"
    for sample in samples:
        assert all((sample.question, sample.answer, sample.boxes))
        assert sample.photo().size == SIZE
        if kind == "rgbd":  # chooses its own places
            continue
        for box in sample.boxes:
            pixels = [v * side for v, side in zip(box, SIZE * 2, strict=True)]
            near = [max(abs(a - b) for a, b in zip(pixels, there, strict=True)) for there in drawn(sample.photo())]
            # Three decimals of the padded square are 0.06 pixels.
            assert min(near) < 0.1, (sample.id, pixels)


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(([], {}, "a\ud800"))
)


def places(data, at=()):
    """The path of every value in JSON data."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [at, *(place for key, value in items for place in places(value, (*at, key)))]


def spoiled(text: str, draw_value) -> str:
    """The text of a file with one JSON value, or a few characters, replaced."""
    try:
        data = json.loads(text)
    except ValueError:
        start = draw_value(st.integers(0, len(text)))
        return text[:start] + draw_value(st.text(max_size=4)) + text[start + draw_value(st.integers(0, 5)) :]
    place = draw_value(st.sampled_from(places(data)))
    value = draw_value(VALUES)
    if not place:
        return json.dumps(value)
    inside = data
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return json.dumps(data)


@pytest.mark.parametrize(("kind", "write"), PUBLISHED, ids=[write.__name__ for _, write in PUBLISHED])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_rejected_or_named(tmp_path_factory, kind, write, data) -> None:
    folder = tmp_path_factory.mktemp(kind)
    path = write(folder)
    files = sorted(f for f in folder.rglob("*") if f.suffix in (".json", ".jsonl", ".csv", ".xml", ".txt", ".yaml"))
    if not files:
        files = [*folder.rglob("*.pgm"), *folder.rglob("*.parquet")]
    file = data.draw(st.sampled_from(files))
    file.write_text(spoiled(file.read_text(errors="surrogateescape"), data.draw), errors="surrogateescape")
    # A file that is no longer JSON, or no longer of its kind, is named.
    with suppress(InputError):
        for row in open_source(f"{kind}:{path}", Options(images(kind, folder))):
            assert isinstance(row, Sample) or row.reason in REASONS
            told = [row.id, row.detail] if isinstance(row, Reject) else [row.id, row.question, row.answer, *row.choices]
            "".join(told).encode()


def test_both_things_are_found(tmp_path: Path) -> None:
    """The nearest drawn box above might always be the same one; left and right tell them apart."""
    for kind, write in PUBLISHED:
        if kind not in ("coco", "lvis", "objects365", "openimages", "yolo", "voc"):
            continue
        folder = tmp_path / kind
        folder.mkdir()
        rows = list(open_source(f"{kind}:{write(folder)}", Options(folder)))
        told = {(r.question, r.answer) for r in rows if isinstance(r, Sample) and r.meta["task"] == "side"}
        assert len(told) == 1
        assert told <= {
            ("Is the dog to the left or to the right of the cat in the picture?", "left"),
            ("Is the cat to the left or to the right of the dog in the picture?", "right"),
        }
        counts = {(r.question, r.answer) for r in rows if isinstance(r, Sample) and r.meta["task"] == "count"}
        assert counts == {("How many dogs are in the picture?", "1"), ("How many cats are in the picture?", "1")}


@pytest.mark.parametrize(
    ("kind", "name", "text", "message"),
    [
        ("coco", "a.json", "[]", r"not COCO instances JSON.*expected lists images.*found a list"),
        ("lvis", "a.json", '{"photos": []}', "expected lists images, annotations, categories; found keys photos"),
        ("objects365", "a.json", '{"images": []}', "not COCO instances JSON"),
        ("openimages", "a.csv", "image,label\n", r"lacks ImageID, LabelName, XMin.*found image, label"),
        ("vg", "a.json", '[{"attributes": 1}]', r"looked for entries with objects, regions, qas; found attributes"),
        ("vg", "a.json", '{"a": 3}', r"looked for entries with objects.*found int"),
        ("gqa", "a.json", '{"1": {"question": "?"}}', r"looked for imageId, question, answer.*found question"),
        ("viscot", "a.json", "[3", "not JSON .*is the file complete"),
        ("tallyqa", "a.json", "{}", "expected a JSON list of TallyQA records; it begins with"),
    ],
)
def test_unknown_formats_say_what_was_looked_for(tmp_path, kind, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        list(open_source(f"{kind}:{tmp_path / name}", Options()))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("yolo", "nothing names the classes; looked for data.yaml, .*; found notes.md"),
        ("voc", r"looked for \*\*/\*.xml; found notes.md"),
        ("rgbd", "no photos with depth found; known layouts"),
        ("viscot", r"looked for \*.json and \*.jsonl with conversations .*; found notes.md"),
    ],
)
def test_folders_of_something_else(tmp_path, kind, message):
    (tmp_path / "notes.md").write_text("nothing here")
    with pytest.raises(InputError, match=message):
        list(open_source(f"{kind}:{tmp_path}", Options()))


@pytest.mark.parametrize("kind", ["jsonl", "viscot", "refcoco", "tallyqa", "vsr"])
def test_foreign_rows_are_told_by_their_fields(tmp_path, kind):
    draw(tmp_path / "a.png")
    row = {"photo": "a.png", "query": "?"}
    path = dump(tmp_path / "rows.jsonl", [row] if kind == "tallyqa" else row)
    with pytest.raises(InputError, match=r"none of its 1 rows can be read as .*found photo, query"):
        open_source(f"{kind}:{path}", Options())


@pytest.mark.parametrize("kind", ["jsonl", "viscot", "refcoco", "vsr"])
def test_files_of_something_else(tmp_path, kind):
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(InputError, match="not a text file"):
        open_source(f"{kind}:{tmp_path}/a.bin", Options())
    (tmp_path / "notes.md").write_text("nothing here\n" * PROBED)
    with pytest.raises(InputError, match=rf"none of its first {PROBED} rows can be read as {kind} .*notes.md:1: E"):
        open_source(f"{kind}:{tmp_path}/notes.md", Options())
    foreign = jsonl(tmp_path / "rows.jsonl", [{"photo": "a.png", "query": "?"}] * PROBED)
    with pytest.raises(InputError, match=r"rows.jsonl:1: KeyError: .*; found photo, query"):
        open_source(f"{kind}:{foreign}", Options())


def test_a_file_that_begins_badly_is_read_on(tmp_path):
    good = own_rows(tmp_path, 1).read_text()
    path = jsonl(tmp_path / "late.jsonl", ["bad"] * (PROBED - 1) + [good])
    assert [type(row) for row in open_source(f"jsonl:{path}", Options())] == [Reject] * (PROBED - 1) + [Sample]


def test_missing_companions_are_named(tmp_path):
    draw(tmp_path / "a.png")
    (tmp_path / "boxes.csv").write_text("ImageID,LabelName,XMin,XMax,YMin,YMax\n")
    with pytest.raises(InputError, match=r"looked for \*class-descriptions\*.csv; found a.png, boxes.csv"):
        list(open_source(f"openimages:{tmp_path}/boxes.csv", Options()))
    dump(tmp_path / "val_questions.json", {"1": {"imageId": "1", "question": "?", "answer": "yes"}})
    with pytest.raises(InputError, match=r"no scene graphs.*val_sceneGraphs.json"):
        list(open_source(f"gqa:{tmp_path}/val_questions.json", Options()))
    (tmp_path / "data.yaml").write_text("nc: 2")
    with pytest.raises(InputError, match=r"data.yaml: expected `names: \[dog, ...\]`"):
        list(open_source(f"yolo:{tmp_path}", Options()))


def test_tallyqa_takes_boxes_of_coco_where_they_are_as_many_as_the_answer(tmp_path):
    from .published import tallyqa

    rows = list(open_source(f"tallyqa:{tallyqa(tmp_path)}", Options(tmp_path)))
    samples = [(row.id, row.answer, row.meta.get("labels")) for row in rows if isinstance(row, Sample)]
    assert samples == [("tallyqa-5", "2", None), ("tallyqa-7", "1", ["dog"])]
    details = [row.detail.partition(" in ")[0] for row in rows if isinstance(row, Reject)]
    assert details == [
        "answer 2, but 0 boxes of 'animals'",
        "answer 2, but 1 boxes of 'dog'",
        "answer 1, but 0 boxes of 'dogs are red'",
    ]
