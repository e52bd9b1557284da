"""`hub:`: any data set of the datasets library, by columns."""

import json

import pytest

from sifthinker.datagen.outcome import Reject
from sifthinker.datagen.sources import open_source
from sifthinker.datagen.sources.options import Options, read_columns
from sifthinker.errors import InputError

from .published import CAT, DOG, SIZE, draw, xywh

datasets = pytest.importorskip("datasets")


def rows_of(folder):
    picture = {"bytes": draw(folder / "a.png").read_bytes(), "path": None}
    nothing = {"bytes": b"no picture", "path": "b.png"}
    things = {"bbox": [xywh(DOG), xywh(CAT)], "name": ["dog", "cat"]}
    row = {"photo": picture, "q": "What is there?", "answers": ["animals", "pets"], "objects": things, "one": xywh(CAT)}
    return [row, row | {"photo": nothing}, row | {"q": None}]


COLUMNS = "image=photo, question=q,answer=answers.0,boxes=objects.bbox,labels=objects.name,frame=pixel_xywh"


def read(name, columns=COLUMNS, images=None):
    return list(open_source(f"hub:{name}", Options(images, columns=read_columns(columns))))


def check(rows, boxes=(DOG, CAT)):
    good, unreadable, silent = rows
    assert [[round(v * side, 3) for v, side in zip(b, SIZE * 2, strict=True)] for b in good.boxes] == [
        list(map(float, box)) for box in boxes
    ]
    assert good.photo().size == SIZE
    assert isinstance(good.image, bytes), "as it was, to be stored as it was"
    assert (good.question, good.answer) == ("What is there?", "animals")
    assert isinstance(unreadable, Reject) and unreadable.reason == "image_unreadable"  # noqa: PT018
    assert " at 0x" not in unreadable.detail, "the same in every build"
    assert isinstance(silent, Reject) and silent.reason == "malformed_row"  # noqa: PT018


@pytest.fixture
def data(tmp_path):
    made = datasets.Dataset.from_list(rows_of(tmp_path))
    return made.cast_column("photo", datasets.Image())


def test_saved_folders_and_parquet(tmp_path, data):
    data.save_to_disk(tmp_path / "saved")
    check(read(tmp_path / "saved"))
    datasets.DatasetDict({"val": data}).save_to_disk(tmp_path / "dict")
    check(read(f"{tmp_path}/dict:val"))
    data.to_parquet(tmp_path / "parquet/train.parquet")
    check(read(tmp_path / "parquet"))
    one = COLUMNS.replace("objects.bbox", "one").replace(",labels=objects.name", "")
    check(read(f"{tmp_path}/parquet:train", one), (CAT,))


def test_lines_that_only_name_their_photos(tmp_path):
    draw(tmp_path / "photos/a.png")
    lines = [{"id": "x", "image": "a.png", "question": "?", "answer": 2, "boxes": [{"at": DOG}], "width": SIZE[0]}]
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines/train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (sample,) = read(tmp_path / "lines", "boxes=boxes.at,frame=pixel_xyxy", tmp_path / "photos")
    assert (sample.id, sample.answer, len(sample.boxes)) == ("x", "2", 1)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            COLUMNS.replace("frame=pixel_xywh", ""),
            "say in which frame its boxes are: --columns frame=F, one of pixel_xyxy",
        ),
        (COLUMNS + ",photo=image", "unknown fields photo; known: answer"),
        (
            COLUMNS.replace("pixel_xywh", "pixel"),
            "unknown frame of boxes, or column, 'pixel': did you mean 'pixel_xyxy'",
        ),
        (COLUMNS.replace("photo", "picture"), "no columns picture; found photo, q, answers"),
        (
            "",
            "no columns image, question, answer, boxes; found photo, q, answers, objects, one; name them",
        ),
        ("image", "expected FIELD=COLUMN"),
    ],
)
def test_columns_that_do_not_fit(tmp_path, data, columns, message):
    data.save_to_disk(tmp_path / "saved")
    with pytest.raises(InputError, match=message):
        read(tmp_path / "saved", columns)


def test_columns_that_some_rows_do_not_have(tmp_path, data):
    data.save_to_disk(tmp_path / "saved")
    with pytest.raises(InputError, match=r"none of its 3 rows can be read .* column objects.box: no 'box' in "):
        read(tmp_path / "saved", COLUMNS.replace("objects.bbox", "objects.box"))


def test_data_that_is_not_there(tmp_path, data):
    datasets.DatasetDict({"val": data}).save_to_disk(tmp_path / "dict")
    with pytest.raises(InputError, match="has no split 'train'; found val"):
        read(tmp_path / "dict")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: cannot be loaded"):
        read(tmp_path / "empty")
    with pytest.raises(InputError, match="expected NAME, NAME:SPLIT or NAME:CONFIG:SPLIT"):
        read("a:b:c:d")
    with pytest.raises(InputError, match="its columns are known; --columns is for hub:"):
        list(open_source(f"coco:{tmp_path}", Options(columns={"image": "a"})))
