"""Every source: each row is a sample or a reject with a reason, boxes land where they belong, nothing crashes."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifthinker.datagen.outcome import REASONS, Reject
from sifthinker.datagen.rows import frames_agree, storable
from sifthinker.datagen.sources import SOURCES, open_source
from sifthinker.datagen.sources.options import Options
from sifthinker.datagen.sources.viscot import REQUEST
from sifthinker.errors import InputError
from sifthinker.geometry import Frame, to_pixel
from sifthinker.sample import Sample

from .photos import jsonl, photo


def read(source, images=None, **options):
    return list(open_source(str(source), Options(images, **options)))


def every(source):
    """Rows also of a file in which none can be read."""
    kind, _, path = source.partition(":")
    return list(map(storable, SOURCES[kind].read(Path(path), Options())))


def reasons(rows):
    return Counter(row.reason if isinstance(row, Reject) else "sample" for row in rows)


def pixels(sample, size):
    return [
        [round(v, 2) for v in (b.x0 * size[0], b.y0 * size[1], b.x1 * size[0], b.y1 * size[1])] for b in sample.boxes
    ]


# --- names ---------------------------------------------------------------------------------------------------------


def test_names_of_sources(tmp_path):
    with pytest.raises(InputError, match="unknown source 'cocoa': did you mean 'coco'"):
        read("cocoa:x")
    with pytest.raises(InputError, match="expected KIND:PATH with one of the kinds coco, viscot"):
        read("coco")
    with pytest.raises(
        InputError, match=r"did you mean 'sif-50k'\? expected KIND:PATH .*; or a recipe: RECIPE.yaml, sif"
    ):
        read("SIF50k")
    with pytest.raises(InputError, match=r"^source 'sif-50k' is a recipe, which cannot be a source of another"):
        read("sif-50k")
    jsonl(tmp_path / "instances.json", [{}])
    for kind in ("coco", "jsonl", "vg"):
        with pytest.raises(InputError, match=r"a folder; expected the file of annotations; found .* instances\.json"):
            read(f"{kind}:{tmp_path}")
    with pytest.raises(InputError, match=r"none\.json: no such file or folder"):
        read(f"coco:{tmp_path}/none.json")
    with pytest.raises(InputError, match="images: no such folder"):
        read(f"jsonl:{jsonl(tmp_path / 'a.jsonl', [{}])}", tmp_path / "images")
    assert all(source.about for source in SOURCES.values())


def test_a_source_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "my_source.py").write_text(
        "from sifthinker.datagen.sources import Source\n"
        "from sifthinker.sample import Sample\n"
        "MINE = Source(lambda path, options: iter([Sample('a', path, 'q', 'a')]), 'mine')\n"
        "OTHER = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert [s.id for s in read(f"my_source:MINE:{tmp_path}")] == ["a"]
    with pytest.raises(InputError, match=r"is a int; expected a sifthinker.datagen.sources.Source"):
        read(f"my_source:OTHER:{tmp_path}")


# --- the project's own lines ---------------------------------------------------------------------------------------

GOOD = {"id": "a", "image": "p.png", "question": "What?", "answer": "dog", "boxes": [[0.1, 0.2, 0.5, 0.6]]}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "sample"),
        ({"answer": 3}, "sample"),
        ({"frame": "pixel_xyxy", "boxes": [[8, 12, 40, 36]]}, "sample"),
        ({"boxes": [[0.5, 0.2, 0.1, 0.6]]}, "box_inverted"),
        ({"boxes": [[0.1, 0.2, 0.1, 0.6]]}, "box_empty"),
        ({"boxes": [[0.1, 0.2, 1.5, 0.6]]}, "box_outside"),
        ({"boxes": [[0.1, 0.2, 0.6]]}, "box_malformed"),
        ({"boxes": ["1234"]}, "box_malformed"),
        ({"boxes": [[None, 0, 1, 1]]}, "box_malformed"),
        ({"boxes": [[0.1, 0.2, float("nan"), 0.6]]}, "box_not_finite"),
        ({"boxes": [[0.1, 0.2, 10**400, 0.6]]}, "box_not_finite"),
        ({"boxes": []}, "no_boxes"),
        ({"boxes": 3}, "malformed_row"),
        ({"boxes": None}, "malformed_row"),
        ({"meta": "x"}, "malformed_row"),
        ({"id": " "}, "malformed_row"),
        ({"image": "p.gif"}, "image_unreadable"),
        ({"question": "<image>\nWhat is it?\n<image>"}, "sample"),
        ({"image": "none.png"}, "image_missing"),
        ({"image": "bad.png"}, "image_unreadable"),
        ({"image": "none.png", "boxes": [[0.5, 0.2, 0.1, 0.6]]}, "box_inverted"),
        (
            {"image": "none.png", "width": 80, "height": 60, "frame": "pixel_xyxy", "boxes": [[0, 0, 90, 50]]},
            "box_outside",
        ),
        ({"width": 81, "height": 60}, "size_mismatch"),
        ({"width": 0, "height": 60}, "malformed_row"),
        ({"width": "wide", "height": 60}, "malformed_row"),
        ({"frame": "pixels"}, "malformed_row"),
        ({"quesion": "typo"}, "malformed_row"),
        ({"choices": ["cat", "dog"], "answer": "B"}, "sample"),
        ({"choices": ["cat", "dog"]}, "answer_unreadable"),
        ({"choices": ["cat", "dog"], "answer": "C"}, "answer_unreadable"),
        ({"choices": "cat or dog", "answer": "A"}, "malformed_row"),
        ({"labels": ["dog"]}, "sample"),
        ({"labels": ["dog", "cat"]}, "malformed_row"),
        ({"question": None}, "malformed_row"),
        ({"depth": "none.png"}, "depth_missing"),
        ({"depth": "d.png"}, "depth_encoding_unknown"),
        ({"depth": "d.png", "depth_encoding": "miles"}, "depth_encoding_unknown"),
        ({"depth": "p.png", "depth_encoding": "mm"}, "depth_unreadable"),
        ({"depth": "d.png", "depth_encoding": "mm"}, "size_mismatch"),
    ],
)
def test_rows_of_ones_own(tmp_path, changes, reason):
    from PIL import Image

    photo(tmp_path / "p.png")
    (tmp_path / "bad.png").write_bytes(b"x")
    Image.new("I;16", (40, 30), 7).save(tmp_path / "d.png")
    rows = every(f"jsonl:{jsonl(tmp_path / 'r.jsonl', [GOOD | changes])}")
    assert reasons(rows) == {reason: 1}
    if reason == "sample":
        assert pixels(rows[0], (80, 60)) == [[8, 12, 40, 36]]
        assert "<image>" not in rows[0].question
    else:
        assert rows[0].reason in REASONS
        assert rows[0].detail


def test_what_is_wrong_with_a_field_is_told_in_words(tmp_path):
    photo(tmp_path / "p.png")
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    wrong = [{"boxes": None}, {"meta": "x"}, {"id": ""}, {"image": "a.gif"}]
    rows = every(f"jsonl:{jsonl(tmp_path / 'r.jsonl', [GOOD | fields for fields in wrong])}")
    assert [row.detail.removesuffix(", .png, .tif, .tiff, .webp") for row in rows] == [
        "TypeError: boxes must be a list, got None",
        "TypeError: meta must be an object with fields, got 'x'",
        "ValueError: the id is empty",
        "a.gif: .gif files are not read, only .bmp, .jpeg, .jpg",
    ]


def test_a_short_file_of_something_else_is_refused_whole(tmp_path):
    path = jsonl(tmp_path / "r.jsonl", [{"img_path": "a.png"}] * 3)
    with pytest.raises(InputError, match=r"none of its 3 rows can be read as jsonl .* found img_path"):
        read(f"jsonl:{path}")
    assert read(f"jsonl:{jsonl(tmp_path / 'none.jsonl', [])}") == []


def test_an_unknown_frame_is_told_with_those_there_are(tmp_path):
    record = {"image": "p.png", "question": "How many?", "question_id": 5, "answer": 1, "boxes": [[1, 2, 3, 4]]}
    (tmp_path / "tallyqa.json").write_text(json.dumps([record | {"frame": "pixel_xyyx"}]))
    jsonl(tmp_path / "jsonl.json", [GOOD | {"frame": "pixel_xyyx"}])
    for kind in ("jsonl", "tallyqa"):
        (reject,) = every(f"{kind}:{tmp_path}/{kind}.json")
        assert reject.reason == "malformed_row"
        assert reject.detail.startswith(
            "unknown frame of boxes 'pixel_xyyx': did you mean 'pixel_xyxy' or 'pixel_xywh'?"
        )


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
)


OWN = ["id", "image", "question", "answer", "boxes", "frame", "width", "height", "choices", "depth", "meta", "labels"]
THEIRS = ["bboxs", "bbox", "expression", "img_path", "conversations", "dataset", "sent_id", "question_id"]
COCO = ["file_name", "category_id", "image_id", "iscrowd"]


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(OWN + THEIRS + COCO),
            JSON,
        )
        | JSON,
        max_size=6,
    )
)
def test_no_row_stops_a_source(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows")
    lines = jsonl(folder / "r.jsonl", map(json.dumps, rows))
    whole = folder / "r.json"
    whole.write_text(json.dumps(rows))
    kinds = [f"jsonl:{lines}", f"viscot:{lines}", f"viscot:{whole}", f"refcoco:{lines}", f"tallyqa:{whole}"]
    for source in kinds:
        found = every(source)
        assert len(found) == len(rows)
        assert all(isinstance(row, Sample) or row.reason in REASONS for row in found)
    coco = folder / "coco.json"
    coco.write_text(json.dumps({"images": rows, "annotations": rows, "categories": []}))
    assert all(isinstance(row, Sample) or row.reason in REASONS for row in every(f"coco:{coco}"))


# --- Visual-CoT ----------------------------------------------------------------------------------------------------


def benchmark(exact="[134, 262, 282, 421]", padded="[0.209, 0.575, 0.441, 0.823]", name="p.jpg"):
    return {
        "dataset": "emotic",
        "split": "val",
        "question_id": 252,
        "image": [f"cot/{name}", f"cot/{name}###{exact}" if exact else f"cot/{name}"],
        "conversations": [
            {"from": "human", "value": f"<image>\nWhat is it? {REQUEST}"},
            {"from": "gpt", "value": padded},
            {"from": "human", "value": "<image>"},
            {"from": "gpt", "value": "peace"},
        ],
    }


def test_benchmark_form_takes_the_pixels_and_else_unpads(tmp_path):
    photo(tmp_path / "p.jpg", (640, 428))
    path = tmp_path / "b.json"
    path.write_text(json.dumps([benchmark(), benchmark(exact=""), benchmark(padded="[0.209, 0.612, 0.441, 0.984]")]))
    exact, unpadded, image_frame = read(f"viscot:{path}")
    assert (exact.id, exact.question, exact.answer) == ("viscot-emotic-val-252", "What is it?", "peace")
    assert pixels(exact, (640, 428)) == [[134, 262, 282, 421]]
    assert pixels(unpadded, (640, 428)) == [[133.76, 262, 282.24, 420.72]]
    assert image_frame.reason == "frames_disagree"
    assert "un-padded box" in image_frame.detail


def test_the_form_is_told_by_the_fields(tmp_path):
    photo(tmp_path / "p.jpg", (100, 50))
    metadata = {
        "question": "q",
        "answer": "Yes",
        "image": "p.jpg",
        "width": 100,
        "height": 50,
        "bboxs": [[0, 0, 9, 9], [20, 20, 40, 40]],
    }
    rec = {"img_path": "p.jpg", "expression": "who?", "bbox": [1.0, 2.0, 30.0, 40.0], "width": 100, "height": 50}
    rows = read(f"viscot:{jsonl(tmp_path / 'm.jsonl', [metadata, rec, {'neither': 1}])}")
    assert len(rows[0].boxes) == 2
    assert rows[0].meta["answer_kind"] == "yesno"
    assert rows[1].reason == "empty_answer"
    assert rows[1].detail.startswith("'who?' has a box and no answer: of referring expressions the source refcoco asks")
    assert rows[2].reason == "malformed_row"
    assert "none of conversations" in rows[2].detail


def test_a_folder_may_have_all_forms(tmp_path):
    photo(tmp_path / "p.jpg", (640, 428))
    (tmp_path / "b.json").write_text(json.dumps([benchmark()]))
    (tmp_path / "notes.json").write_text('{"no": "rows"}')
    metadata = {"question": "q", "answer": "a", "image": "p.jpg", "bboxs": [[9, 9, 99, 99]]}
    jsonl(tmp_path / "gqa_cot_train.jsonl", ["torn", metadata])
    rows = read(f"viscot:{tmp_path}", tmp_path)
    assert reasons(rows) == {"sample": 2, "bad_json": 1, "malformed_row": 1}
    assert (rows[-1].id, rows[-1].detail[:23]) == ("notes.json", "the file is passed over")


def test_real_folders_are_read_whole(shared_data):
    images = shared_data / "coco/images"
    assert reasons(read(f"viscot:{shared_data}/viscot/on_coco", images)) == {"sample": 4}
    assert reasons(read(f"viscot:{shared_data}/viscot/benchmark", images)) == {"image_missing": 780}
    assert reasons(read(f"viscot:{shared_data}/refcoco", images)) == {"empty_answer": 26}
    with pytest.raises(InputError, match=r"looked for \*.json and \*.jsonl with .*; found benchmark, benchmark_det"):
        read(f"viscot:{shared_data}/viscot")


def test_all_non_square_benchmark_rows_unpad_to_their_pixel_boxes(shared_data):
    """Sizes stand in the detection form, which also has the boxes before they were cut to whole pixels."""
    checked = 0
    for path in sorted((shared_data / "viscot/benchmark").glob("*.json")):
        lines = (shared_data / f"viscot/benchmark_det/{path.stem}.jsonl").read_text().splitlines()
        detections = {(Path(r["img_path"]).name, r["question_id"]): r for r in map(json.loads, lines)}
        for row in json.loads(path.read_text()):
            image, _, exact = row["image"][1].partition("###")
            there = detections[Path(image).name, row["question_id"]]
            if there["width"] == there["height"]:
                continue
            size = there["width"], there["height"]
            rounding = 0.0005 * max(size)
            pixel, padded = json.loads(exact), json.loads(row["conversations"][1]["value"])
            back = to_pixel(padded, Frame.PADDED_UNIT_XYXY, size)
            assert max(abs(a - b) for a, b in zip(pixel, back, strict=True)) < 1 + rounding, (path.name, row)
            # Against the boxes as they were, nothing but the rounding of three decimals is left.
            assert max(abs(a - b) for a, b in zip(there["bbox"], back, strict=True)) < rounding + 1e-6, (path.name, row)
            assert frames_agree(pixel, padded, size)
            checked += 1
    assert checked == 757


@pytest.mark.parametrize(("name", "dirty"), [("cub", 15), ("dude", 26), ("sroie", 0), ("vsr", 0)])
def test_real_dirty_rows_are_reported_though_their_photos_are_missing(shared_data, tmp_path, name, dirty):
    path = shared_data / f"viscot/viscot_dataset/{name}_cot_train.jsonl"
    rows = read(f"viscot:{path}", tmp_path)
    assert reasons(rows) == Counter({"image_missing": len(rows) - dirty} | ({"box_outside": dirty} if dirty else {}))
    if dirty:
        alone = tmp_path / path.name
        alone.write_text(path.read_text().splitlines()[164])
        (row,) = read(f"viscot:{alone}", tmp_path)
        assert row.reason == "box_outside"
        assert row.id in {row.id for row in rows if row.reason == "box_outside"}, "the same wherever it stands"


def test_rows_on_coco_photos(shared_data):
    images = shared_data / "coco/images"
    (emotic,) = read(f"viscot:{shared_data}/viscot/on_coco/benchmark_emotic.json", images)
    assert pixels(emotic, (640, 428)) == [[134, 262, 282, 421]]
    assert reasons(read(f"viscot:{shared_data}/viscot/on_coco/vsr_cot_train.jsonl", images)) == {"sample": 2}


# --- RefCOCO, TallyQA ----------------------------------------------------------------------------------------------


def test_referring_expressions_become_questions_about_thirds(tmp_path):
    photo(tmp_path / "000000000007.jpg", (300, 90))
    row = {
        "img_path": "COCO_train2014_000000000007.jpg",
        "expression": "clear glass",
        "dataset_name": "jxu124/refcoco",
        "split": "testB",
    }
    row |= {"height": 90, "width": 300}
    boxes = [[10, 10, 50, 50], [130, 10, 170, 50], [230, 10, 290, 50], [80, 10, 120, 50]]
    path = jsonl(tmp_path / "r.jsonl", [row | {"bbox": box, "sent_id": i} for i, box in enumerate(boxes)])
    left, middle, right, border = read(f"refcoco:{path}")
    assert [s.answer for s in (left, middle, right)] == ["left", "middle", "right"]
    assert (left.id, left.question) == (
        "refcoco-testB-0",
        'In which third of the picture is "clear glass": left, middle or right?',
    )
    assert border.reason == "ambiguous_position"


@pytest.mark.parametrize("words", ["Left man", "man on right", "the leftmost cup", "center", "in centre", "lft kid"])
def test_expressions_that_name_a_third_are_not_asked_about(tmp_path, words):
    photo(tmp_path / "1.jpg", (300, 90))
    row = {"img_path": "1.jpg", "bbox": [10, 10, 50, 50]}
    path = jsonl(tmp_path / "r.jsonl", [row | {"expression": e} for e in (words, "bright kid with a midget")])
    named, kept = read(f"refcoco:{path}")
    assert (named.reason, named.detail.partition(":")[0]) == ("answer_in_question", f"{words!r} names a third")
    assert kept.answer == "left"


def test_phrases_that_name_a_third_are_not_drawn(tmp_path):
    photo(tmp_path / "1.jpg", (300, 90))
    said = ["the dog on the left side", "a dog with a hat"]
    box = {"x": 10, "y": 10, "width": 40, "height": 40}
    regions = [{"region_id": n, "phrase": phrase} | box for n, phrase in enumerate(said)]
    (tmp_path / "region_descriptions.json").write_text(json.dumps([{"id": 1, "regions": regions}]))
    (row,) = read(f"vg:{tmp_path}/region_descriptions.json")
    assert '"a dog with a hat"' in row.question


def test_real_referring_expressions(shared_data):
    rows = read(f"refcoco:{shared_data}/refcoco/rec_on_coco.jsonl", shared_data / "coco/images")
    assert reasons(rows) == {"sample": 13, "answer_in_question": 7, "ambiguous_position": 6}


def test_tallyqa_needs_boxes(tmp_path, shared_data):
    assert reasons(read(f"tallyqa:{shared_data}/tallyqa/documented_record.json")) == {"no_boxes": 1}
    photo(tmp_path / "1.jpg")
    record = {"answer": 1, "image": "VG_100K_2/1.jpg", "question": "How many?", "question_id": 5, "issimple": True}
    records = [
        record | {"boxes": [[0.1, 0.1, 0.5, 0.5]]},
        record | {"boxes": [[8, 6, 40, 30]], "frame": "pixel_xyxy"},
        record | {"boxes": [[0.1, 0.1, 0.5, 0.5]], "answer": 2},
        record | {"answer": "one"},
    ]
    (tmp_path / "t.json").write_text(json.dumps(records))
    rows = read(f"tallyqa:{tmp_path}/t.json")
    assert reasons(rows) == {"sample": 2, "malformed_row": 2}
    assert rows[0].boxes == rows[1].boxes
    assert (rows[0].answer, rows[0].meta["answer_kind"]) == ("1", "number")


# --- COCO ----------------------------------------------------------------------------------------------------------


def coco(tmp_path, annotations, size=(80, 60)):
    photo(tmp_path / "a.jpg", size)
    data = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": size[0], "height": size[1]}],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "bus"}, {"id": 3, "name": "person"}],
        "annotations": [{"id": i, "image_id": 1} | a for i, a in enumerate(annotations, 1)],
    }
    path = tmp_path / "c.json"
    path.write_text(json.dumps(data))
    return read(f"coco:{path}")


def ann(category, bbox, **more):
    return {"category_id": category, "bbox": bbox, **more}


def test_counts_and_sides_follow_from_the_boxes(tmp_path):
    rows = coco(
        tmp_path, [ann(1, [5, 5, 10, 20]), ann(2, [50, 10, 20, 20]), ann(3, [2, 2, 9, 9]), ann(3, [60, 2, 9, 9])]
    )
    asked = {row.question: row.answer for row in rows}
    for question, answer in asked.items():
        assert (
            answer
            == {
                "How many dogs are in the picture?": "1",
                "How many buses are in the picture?": "1",
                "How many people are in the picture?": "2",
                "Is the dog to the left or to the right of the bus in the picture?": "left",
                "Is the bus to the left or to the right of the dog in the picture?": "right",
            }[question]
        )
    assert len(asked) == 3  # Two counts at most, and the one pair of single things.


def test_crowds_and_overlaps_are_not_asked_about(tmp_path):
    rows = coco(
        tmp_path,
        [ann(1, [5, 5, 40, 20]), ann(1, [0, 0, 9, 9], iscrowd=1), ann(2, [20, 10, 20, 20]), ann(3, [20, 0, 20, 9])],
    )
    assert {r.question for r in rows} == {"How many buses are in the picture?", "How many people are in the picture?"}


def test_bad_annotations_are_reported_and_their_category_is_not_counted(tmp_path):
    rows = coco(
        tmp_path,
        [
            ann(1, [5, 5, 40, 20]),
            ann(1, [70, 5, 40, 20]),
            ann(9, [0, 0, 1, 1]),
            {"category_id": 1},
            ann(2, [5, 5, 9, 9]),
        ],
    )
    assert reasons(rows) == {"box_outside": 1, "malformed_row": 2, "sample": 1}
    assert [r.question for r in rows if isinstance(r, Sample)] == ["How many buses are in the picture?"]


def test_images_without_a_question_or_a_file(tmp_path):
    assert reasons(coco(tmp_path, [])) == {"no_question": 1}
    (tmp_path / "a.jpg").unlink()
    assert reasons(read(f"coco:{tmp_path}/c.json")) == {"image_missing": 1}
    (tmp_path / "c.json").write_text('{"images": []}')
    with pytest.raises(InputError, match=r"not COCO instances JSON.*expected lists images, annotations, categories"):
        read(f"coco:{tmp_path}/c.json")


def test_real_coco_counts_agree_with_the_boxes(shared_data):
    path = shared_data / "coco/instances.json"
    rows = read(f"coco:{path}", shared_data / "coco/images")
    data = json.loads(path.read_text())
    names = {c["id"]: c["name"] for c in data["categories"]}
    boxes = Counter((a["image_id"], names[a["category_id"]]) for a in data["annotations"])
    counts = [row for row in rows if isinstance(row, Sample) and row.meta["task"] == "count"]
    assert len(counts) > 50
    for row in counts:
        assert int(row.answer) == len(row.boxes) == boxes[int(row.id.split("-")[1]), row.meta["labels"][0]]
    assert [r.id for r in rows if isinstance(r, Reject)] == ["coco-508"]


def test_the_seed_decides_which_questions_are_asked(shared_data):
    source, images = f"coco:{shared_data}/coco/instances.json", shared_data / "coco/images"
    ids = [[r.id for r in read(source, images, seed=seed)] for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]
