"""Every source's format, as it is published, with one photo on which the boxes are drawn, and with bad rows.

Each function writes its files into a folder and returns what `open_source` takes behind the kind. The photo has a red
dog and a blue cat; `drawn` reads their edges back from its pixels.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from .photos import jsonl

SIZE = (120, 90)
DOG, CAT = (10, 20, 40, 60), (70, 30, 110, 80)
COLORS = {"dog": (255, 0, 0), "cat": (0, 0, 255)}


def draw(path: Path) -> Path:
    """The photo. PNG, so that its pixels stay as they are; the suffix may say otherwise."""
    pixels = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    for (x0, y0, x1, y1), color in zip((DOG, CAT), COLORS.values(), strict=True):
        pixels[y0:y1, x0:x1] = color
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="PNG")
    return path


def drawn(photo: Image.Image) -> list[tuple[int, int, int, int]]:
    """Left, top, right, bottom edges of each colored rectangle, found in the pixels."""
    pixels = np.asarray(photo.convert("RGB"))
    found = []
    for color in COLORS.values():
        ys, xs = np.nonzero((pixels == color).all(axis=2))
        found.append((int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1))
    return found


def dump(path: Path, data: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def xywh(box: tuple[int, int, int, int]) -> list[int]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def edges(box: tuple[int, int, int, int], names: str = "x y w h") -> dict[str, int]:
    return dict(zip(names.split(), xywh(box), strict=True))


def instances(photo: str, **image: object) -> dict[str, object]:
    return {
        "images": [{"id": 1, "file_name": photo, "width": SIZE[0], "height": SIZE[1]} | image],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": xywh(DOG), "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": xywh(CAT), "iscrowd": 0},
            {"id": 3, "image_id": 9, "category_id": 2, "bbox": xywh(CAT), "iscrowd": 0},
        ],
    }


def coco(folder: Path) -> str:
    draw(folder / "train2017/000000000009.jpg")
    return str(dump(folder / "instances_train2017.json", instances("000000000009.jpg")))


def lvis(folder: Path) -> str:
    draw(folder / "train2017/000000000009.jpg")
    url = "http://images.cocodataset.org/train2017/000000000009.jpg"
    data = instances("", coco_url=url, not_exhaustive_category_ids=[], neg_category_ids=[])
    return str(dump(folder / "lvis_v1_train.json", data))


def objects365(folder: Path) -> str:
    draw(folder / "patch8/objects365_v1_00420917.jpg")
    return str(dump(folder / "zhiyuan_objv2_train.json", instances("images/v1/patch8/objects365_v1_00420917.jpg")))


def openimages(folder: Path) -> str:
    draw(folder / "train_0/000026e7ee790996.jpg")
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax"
    header += ",IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
    rows = [
        ["000026e7ee790996", "xclick", label, 1, x0 / SIZE[0], x1 / SIZE[0], y0 / SIZE[1], y1 / SIZE[1], 0, 0, 0, 0, 0]
        for label, (x0, y0, x1, y1) in (("/m/0bt9lr", DOG), ("/m/01yrx", CAT), ("/m/nameless", CAT))
    ]
    with (folder / "oidv6-train-annotations-bbox.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    (folder / "class-descriptions-boxable.csv").write_text("/m/0bt9lr,Dog\n/m/01yrx,Cat\n")
    return str(folder / "oidv6-train-annotations-bbox.csv")


def yolo(folder: Path) -> str:
    draw(folder / "images/train/a.png")
    (folder / "data.yaml").write_text("path: .\ntrain: images/train\nnames:\n  0: dog\n  1: cat\n")
    (x0, y0, x1, y1), (width, height) = DOG, SIZE
    center = f"0 {(x0 + x1) / 2 / width} {(y0 + y1) / 2 / height} {(x1 - x0) / width} {(y1 - y0) / height}"
    x0, y0, x1, y1 = CAT
    corners = " ".join(f"{x / width} {y / height}" for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
    (folder / "labels/train").mkdir(parents=True)
    (folder / "labels/train/a.txt").write_text(f"{center}\n1 {corners}\n7 0.5 0.5 0.1 0.1\n0 0.5\n")
    (folder / "labels/train/gone.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    return str(folder)


def voc(folder: Path) -> str:
    draw(folder / "JPEGImages/2007_000027.jpg")

    def thing(name: str, box: tuple[int, int, int, int]) -> str:
        # Counted from 1, the last pixel included.
        bounds = dict(zip(("xmin", "ymin", "xmax", "ymax"), (box[0] + 1, box[1] + 1, box[2], box[3]), strict=True))
        inside = "".join(f"<{edge}>{value}</{edge}>" for edge, value in bounds.items())
        return f"<object><name>{name}</name><difficult>0</difficult><bndbox>{inside}</bndbox></object>"

    (folder / "Annotations").mkdir()
    (folder / "Annotations/2007_000027.xml").write_text(
        f"<annotation><folder>VOC2012</folder><filename>2007_000027.jpg</filename><size><width>{SIZE[0]}</width>"
        f"<height>{SIZE[1]}</height><depth>3</depth></size>{thing('dog', DOG)}{thing('cat', CAT)}"
        "<object><name>bird</name><bndbox><xmin>1</xmin></bndbox></object></annotation>"
    )
    (folder / "Annotations/broken.xml").write_text("<annotation>")
    return str(folder)


def _vg_photo(folder: Path) -> None:
    draw(folder / "VG_100K_2/1.jpg")
    url = "https://cs.stanford.edu/people/rak248/VG_100K_2/1.jpg"
    dump(folder / "image_data.json", [{"image_id": 1, "url": url, "width": SIZE[0], "height": SIZE[1]}])


def vg(folder: Path) -> str:
    _vg_photo(folder)
    things = [
        {"object_id": 1, "names": ["dog"], "synsets": ["dog.n.01"], "merged_object_ids": []} | edges(DOG),
        {"object_id": 2, "names": ["cat"], "synsets": ["cat.n.01"], "merged_object_ids": []} | edges(CAT),
        {"object_id": 3, "names": [], "synsets": []} | edges(CAT),
    ]
    entry = {"image_id": 1, "objects": things, "image_url": "https://cs.stanford.edu/people/rak248/VG_100K_2/1.jpg"}
    return str(dump(folder / "objects.json", [entry, {"image_id": 2, "objects": None}]))


def vg_regions(folder: Path) -> str:
    _vg_photo(folder)
    said = [(5, "a red dog on gray", DOG), (6, "the dog", DOG), (7, "a blue cat on gray", CAT), (8, "a cat", CAT)]
    regions = [
        {"region_id": number, "image_id": 1, "phrase": phrase} | edges(box, "x y width height")
        for number, phrase, box in said
    ]
    bad = {"id": 2, "regions": [{"region_id": 9, "phrase": "a place without a box", "image_id": 2}]}
    return str(dump(folder / "region_descriptions.json", [{"id": 1, "regions": regions}, bad]))


def vg_questions(folder: Path) -> str:
    vg_regions(folder)
    dump(folder / "qa_to_region_mapping.json", {"31": 7})
    dog = {"object_id": 1, "names": ["dog"], "synsets": []} | edges(DOG)
    qas = [
        {"qa_id": 30, "image_id": 1, "question": "What is red?", "answer": "Dog.", "a_objects": [dog], "q_objects": []},
        {"qa_id": 31, "image_id": 1, "question": "What is blue?", "answer": "Cat.", "a_objects": [], "q_objects": []},
        {"qa_id": 32, "image_id": 1, "question": "How is it?", "answer": "Good.", "a_objects": [], "q_objects": []},
    ]
    return str(dump(folder / "question_answers.json", [{"id": 1, "qas": qas}]))


def gqa(folder: Path) -> str:
    draw(folder / "images/2354786.jpg")
    things = {"11": {"name": "dog"} | edges(DOG), "12": {"name": "cat"} | edges(CAT)}
    graph = {"width": SIZE[0], "height": SIZE[1], "objects": things}
    dump(folder / "sceneGraphs/train_sceneGraphs.json", {"2354786": graph})

    def asked(text: str, said: str, select: str = "", **annotations: dict[str, str]) -> dict[str, object]:
        steps = [{"operation": "select", "dependencies": [], "argument": select}]
        about = {"answer": {}, "question": {}, "fullAnswer": {}} | annotations
        row = {"imageId": "2354786", "question": text, "answer": said, "fullAnswer": said}
        return row | {"types": {"structural": "query"}, "semantic": steps, "annotations": about}

    rows = {
        "02930152": asked("Which animal is left of the cat?", "dog", answer={"0": "11"}, question={"6": "12"}),
        "02930153": asked("Is the cat blue?", "yes", question={"2": "12"}),
        "02930154": asked("Are there animals?", "yes", select="animal (11)"),
        "02930155": asked("Is there a bird?", "no", select="bird (-)"),
        "02930156": {"imageId": "1", "question": "Where?", "answer": "here"},
    }
    return str(dump(folder / "questions1.2/train_balanced_questions.json", rows))


def vsr(folder: Path) -> str:
    coco(folder)

    def row(caption: str, label: object, relation: str) -> dict[str, object]:
        link = "http://images.cocodataset.org/train2017/000000000009.jpg"
        votes = {"annotator_id": 1, "vote_true_validator_id": "[]", "vote_false_validator_id": "[]"}
        statement = {"image": "000000000009.jpg", "image_link": link, "caption": caption, "label": label}
        return statement | {"relation": relation, "reference_frame": None} | votes

    rows = [
        row("The dog is at the left side of the cat.", 1, "at the left side of"),
        row("The cat is touching the dog.", 0, "touching") | {"boxes": [list(CAT), list(DOG)]},
        row("The dog is under the table.", 0, "under"),
        row("The dog is under the cat.", "maybe", "under"),
    ]
    data = instances("000000000009.jpg")
    data["annotations"] = data["annotations"][:2]
    dump(folder / "instances_train2017.json", data)
    return str(jsonl(folder / "random_train.jsonl", rows))


def viscot(folder: Path) -> str:
    draw(folder / "cot/gqa/1.jpg")
    side, top = SIZE[0], (SIZE[0] - SIZE[1]) // 2
    x0, y0, x1, y1 = DOG
    padded = [round(v / side, 3) for v in (x0, y0 + top, x1, y1 + top)]
    turns = ["<image>\nWhat is red? Please provide the bounding box coordinate of the region that can help you answer "
             "the question better.", str(padded), "<image>", "dog"]  # fmt: skip
    said = [{"from": who, "value": turn} for who, turn in zip(("human", "gpt") * 2, turns, strict=True)]
    row = {"dataset": "gqa", "split": "train", "question_id": 7, "conversations": said}
    row["image"] = ["cot/gqa/1.jpg", f"cot/gqa/1.jpg###{list(DOG)}"]
    plain = row | {"question_id": 8, "image": ["cot/gqa/1.jpg", "cot/gqa/1.jpg"]}
    return str(dump(folder / "viscot_363k.json", [row, plain, {"conversations": []}, {"other": 1}]))


def viscot_metadata(folder: Path) -> str:
    draw(folder / "cot/gqa/1.jpg")
    row = {"question": "What is red or blue?", "answer": "animals", "image": "1.jpg", "bboxs": [list(DOG), list(CAT)]}
    row |= {"width": SIZE[0], "height": SIZE[1], "dataset": "gqa", "split": "train"}
    (folder / "metadata").mkdir()
    jsonl(folder / "metadata/gqa_cot_train.jsonl", [row, row | {"bboxs": [[0, 0, 500, 9]]}])
    jsonl(folder / "metadata/vsr_cot_train.jsonl", [row | {"question": "What is there?"}, "{"])
    return str(folder / "metadata")


def refcoco(folder: Path) -> str:
    draw(folder / "train2014/COCO_train2014_000000000009.jpg")
    row = {"img_path": "COCO_train2014_000000000009.jpg", "dataset_name": "jxu124/refcoco", "split": "val"}
    row |= {"width": SIZE[0], "height": SIZE[1]}
    rows = [
        row | {"expression": "red dog", "bbox": [float(v) for v in DOG], "sent_id": 1},
        row | {"expression": "no box"},
    ]
    return str(jsonl(folder / "REC_refcoco_unc_val.jsonl", rows))


def tallyqa(folder: Path) -> str:
    draw(folder / "VG_100K_2/1.jpg")
    draw(folder / "train2014/COCO_train2014_000000000009.jpg")
    data = instances("000000000009.jpg")
    data["annotations"] = data["annotations"][:2]
    dump(folder / "instances_train2017.json", data)
    record = {"answer": 2, "image": "VG_100K_2/1.jpg", "question": "How many animals?", "question_id": 5}
    boxes = {"boxes": [list(DOG), list(CAT)], "frame": "pixel_xyxy"}
    simple = {"answer": 1, "image": "train2014/COCO_train2014_000000000009.jpg", "question": "How many dogs are there?"}
    dogs = simple | {"question_id": 7, "issimple": True}
    records = [record | boxes, record | {"question_id": 6}, dogs, dogs | {"question_id": 8, "answer": 2}]
    return str(dump(folder / "train.json", [*records, dogs | {"question_id": 9, "question": "How many dogs are red?"}]))


def rgbd(folder: Path) -> str:
    draw(folder / "color/1.png")
    draw(folder / "color/2.png")
    (folder / "depth").mkdir()
    metres = np.full((SIZE[1], SIZE[0]), 4.0)
    metres[DOG[1] : DOG[3], DOG[0] : DOG[2]] = 1.0
    Image.fromarray((metres * 1000).astype(np.uint16)).save(folder / "depth/1.pgm")
    return str(folder)


def jsonl_rows(folder: Path) -> str:
    draw(folder / "a.png")
    row = {"id": "a", "image": "a.png", "question": "What is red?", "answer": "dog", "frame": "k1000_xyxy"}
    box = [1000 * v / side for v, side in zip(DOG, SIZE * 2, strict=True)]
    return str(jsonl(folder / "mine.jsonl", [row | {"boxes": [box]}, row | {"boxes": []}, "no json"]))


def hub(folder: Path) -> str:
    import datasets

    picture = {"bytes": draw(folder / "a.png").read_bytes(), "path": None}
    good = {"image": picture, "question": "What is red?", "answer": "dog", "frame": "pixel_xywh"}
    rows = [good | {"boxes": [xywh(DOG)]}, good | {"boxes": [[0, 0, 500, 9]]}]
    features = datasets.Features(
        {name: datasets.Value("string") for name in ("question", "answer", "frame")}
        | {"image": datasets.Image(), "boxes": datasets.List(datasets.List(datasets.Value("float32")))}
    )
    datasets.Dataset.from_list(rows, features=features).to_parquet(folder / "hub/train.parquet")
    return str(folder / "hub")


PUBLISHED = [
    ("coco", coco), ("lvis", lvis), ("objects365", objects365), ("openimages", openimages), ("yolo", yolo),
    ("voc", voc), ("vg", vg), ("vg", vg_regions), ("vg", vg_questions), ("gqa", gqa), ("vsr", vsr), ("viscot", viscot),
    ("viscot", viscot_metadata), ("refcoco", refcoco), ("tallyqa", tallyqa), ("rgbd", rgbd), ("jsonl", jsonl_rows),
    ("hub", hub),
]  # fmt: skip
"""Kind, and what writes its files."""
