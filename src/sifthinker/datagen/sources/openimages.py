"""Open Images (V4 to V7): boxes in a CSV file, one a line, with the lines of an image following each other.

    ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside
    000026e7ee790996,xclick,/m/07j7r,1,0.071875,0.1453125,0.20625,0.39166668,0,1,1,0,0

Mind the order XMin, XMax, YMin, YMax; they are shares of the image. The words for the labels stand in a file
`*class-descriptions*.csv` beside it, the photo is ImageID.jpg. Questions are made from the boxes (`made`): every
thing of a label that is in an image is annotated, with its narrowest label. So a label is not asked about where a box
of it stands for a group, a picture of the thing, or its inside, nor where its hierarchy (`*hierarchy*.json` beside
it) has another label of the image above or below it; without that file, `BROAD` labels are never asked about.

Source: https://storage.googleapis.com/openimages/web/download_v7.html (data formats) and factsfigures_v7.html.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from ...errors import BoxError, InputError
from ...geometry import Frame
from ...sample import Sample
from ..files import open_source, read_json
from ..outcome import Reject
from ..seen import Keys
from .made import Annotated, questions
from .options import Options

FIELDS = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax")
SEVERAL = ("IsGroupOf", "IsDepiction", "IsInside")
BROAD = frozenset(
    {
        "aircraft",
        "animal",
        "bed",
        "bird",
        "boat",
        "building",
        "clothing",
        "dessert",
        "drink",
        "fish",
        "flower",
        "food",
        "footwear",
        "fruit",
        "furniture",
        "home appliance",
        "house",
        "insect",
        "kitchen appliance",
        "land vehicle",
        "mammal",
        "musical instrument",
        "person",
        "plant",
        "seafood",
        "sports equipment",
        "table",
        "tableware",
        "toy",
        "tree",
        "vegetable",
        "vehicle",
        "watercraft",
        "weapon",
    }
)
"""Labels with narrower ones below them that are often in the same photo."""


def read(path: Path, options: Options) -> Iterator[Sample | Reject]:
    """Rejected lines and the questions, image by image. The file is not held in memory.

    Raises `InputError` where lines of one image stand apart: things would be missed in counting.
    """
    with open_source(path) as file:
        header = file.readline().decode("utf-8-sig", "replace").strip().split(",")
    if missing := [name for name in FIELDS if name not in header]:
        raise InputError(
            f"{path}: no Open Images boxes; the header lacks {', '.join(missing)}; found {', '.join(header):.200}"
        )
    words = _words(path.parent)
    related = _related(path.parent)
    photos = options.photos(path)
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        seen = Keys()
        lines = enumerate(csv.DictReader(file), 2)
        for key, group in groupby(lines, key=lambda numbered: numbered[1]["ImageID"]):
            if not seen.add(key):
                raise InputError(f"{path}: the lines of image {key} do not follow each other; sort the file by ImageID")
            image = Annotated(f"openimages-{key}", f"{key}.jpg", Frame.UNIT_XYXY)
            labels: set[str] = set()
            for number, line in group:
                if reject := _sort_in(line, f"{path.name}:{number}", image, words, labels):
                    yield reject
            if related is None:
                image.unsure.update(BROAD)
            else:
                image.unsure.update(words[a] for a in labels if a in words and related.get(a, set()) & labels)
            yield from questions(image, photos, options.seed)


def _words(folder: Path) -> dict[str, str]:
    files = sorted(folder.glob("*class-descriptions*.csv"))
    if not files:
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:8])
        raise InputError(f"{folder}: nothing names the labels; looked for *class-descriptions*.csv; found {there}")
    with files[0].open(newline="", encoding="utf-8-sig") as file:
        return {row[0]: row[1].lower() for row in csv.reader(file) if len(row) >= 2}


def _related(folder: Path) -> dict[str, set[str]] | None:
    """Label -> all labels above and below it; None without a hierarchy file."""
    files = sorted(folder.glob("*hierarchy*.json"))
    if not files:
        return None
    related: dict[str, set[str]] = {}

    def walk(node: Mapping[str, Any], above: tuple[str, ...]) -> None:
        label = node["LabelName"]
        for other in above:
            related.setdefault(label, set()).add(other)
            related.setdefault(other, set()).add(label)
        for below in node.get("Subcategory", ()):
            walk(below, (*above, label))

    try:
        walk(read_json(files[0]), ())
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f'{files[0]}: expected {{"LabelName", "Subcategory": [...]}} ({error!r})') from error
    return related


def _sort_in(
    line: Mapping[str, Any], place: str, image: Annotated, words: Mapping[str, str], labels: set[str]
) -> Reject | None:
    try:
        label = line["LabelName"]
        word = words[label]
        labels.add(label)
        if any((line.get(flag) or "0") == "1" for flag in SEVERAL):
            image.unsure.add(word)
            return None
        image.add(word, [float(line[edge]) for edge in ("XMin", "YMin", "XMax", "YMax")])
    except BoxError as error:
        return Reject(place, error.reason, str(error))
    except (KeyError, TypeError, ValueError) as error:
        return Reject(place, "malformed_row", f"{type(error).__name__}: {error}")
    return None
