"""Visual Genome, by the file it is given; the photo is that of `url` in `image_data.json` beside it, else IMAGE_ID.jpg.

objects.json              [{"image_id", "objects": [{"object_id", "names": [...], "x", "y", "w", "h"}]}]
    Left or right of, for names with one box (`made`). Not everything is annotated, so nothing is counted.
region_descriptions.json  [{"id", "regions": [{"region_id", "phrase", "x", "y", "width", "height"}]}]
    In which third is what the phrase says (`refcoco`)? At most `PER_KIND` regions an image, drawn by the seed, among
    phrases of at least `WORDS` words that name no third, and of which no other region of the image has all words.
question_answers.json     [{"id", "qas": [{"qa_id", "question", "answer", "a_objects": [...], "q_objects": [...]}]}]
    Their questions. Gold boxes: the objects of the answer, else those of the question, else the region that
    `qa_to_region_mapping.json` ({qa_id: region_id}) names, where it and region_descriptions.json lie beside the file.

All boxes are pixels: left, top, width, height. `image_data.json` also gives the sizes, which are checked.
Source: https://homes.cs.washington.edu/~ranjay/visualgenome/api_readme.html; fields of version 1.2 after
https://huggingface.co/datasets/ranjaykrishna/visual_genome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BoxError, InputError
from ...geometry import Frame, Size
from ...sample import Sample
from ..files import FileIndex, read_items
from ..outcome import Reject
from ..rows import Found, check_all, text
from ..scratch import Spool
from ..seeds import row_rng
from .made import PER_KIND, Annotated, questions
from .options import Options
from .refcoco import NAMED, QUESTION, answered

WORDS = 4

Rows = Iterator[Sample | Reject]


@dataclass(frozen=True, slots=True)
class _Set:
    """What the files beside say: photo and size of each image."""

    folder: Path
    photos: FileIndex
    seed: int
    images: Mapping[Any, tuple[str, Size]]

    def image(self, key: Any) -> tuple[str, Size | None]:
        return self.images.get(key, (f"{key}.jpg", None))


def read(path: Path, options: Options) -> Rows:
    """The rows of one of the three files, image by image."""
    entries = read_items(path)
    first = next(entries, ("", {}))[1]
    keys = list(first) if isinstance(first, dict) else []
    reader = next((read for field, read in _READERS.items() if field in keys), None)
    if reader is None:
        raise InputError(
            f"{path}: no Visual Genome file that can be asked about; looked for entries with {', '.join(_READERS)}; "
            f"found {', '.join(keys) or type(first).__name__}"
        )
    about = _Set(path.parent, options.photos(path), options.seed, _image_data(path.parent / "image_data.json"))
    parts = _Parts(path)
    for number, entry in read_items(path):
        place = f"{path.name}:{number}"
        try:
            yield from reader(entry, about, parts)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            yield Reject(place, "malformed_row", f"{type(error).__name__}: {error}")


def _image_data(path: Path) -> dict[Any, tuple[str, Size]]:
    if not path.is_file():
        return {}
    try:
        return {
            entry["image_id"]: (
                "/".join(str(entry["url"]).split("/")[-2:]),
                (int(entry["width"]), int(entry["height"])),
            )
            for _, entry in read_items(path)
        }
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise InputError(f"{path}: expected entries with image_id, url, width, height ({error!r})") from error


class _Parts:
    """The regions that questions were asked about, where the two files that tell them lie beside the questions."""

    def __init__(self, path: Path) -> None:
        mapping, regions = path.with_name("qa_to_region_mapping.json"), path.with_name("region_descriptions.json")
        self._region_of, self._boxes = Spool(), Spool()
        if path == regions or not (mapping.is_file() and regions.is_file()):
            return
        for question, region in read_items(mapping):
            self._region_of.add(question, region)
        try:
            for _, entry in read_items(regions):
                for region in entry["regions"]:
                    self._boxes.add(region["region_id"], [region.get(edge) for edge in ("x", "y", "width", "height")])
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{regions}: not in the form that is published ({error!r})") from error

    def of(self, question: str) -> list[Any]:
        """Pixel xywh boxes of the region of a qa_id, none where it is not known."""
        return [box for region in self._region_of.of(question) for box in self._boxes.of(region)]


def _objects(entry: Mapping[str, Any], about: _Set, parts: _Parts) -> Rows:
    key = entry["image_id"]
    photo, size = about.image(key)
    image = Annotated(f"vg-{key}", photo, Frame.PIXEL_XYWH, size, complete=False)
    for number, thing in enumerate(entry["objects"], 1):
        try:
            image.add(str(thing["names"][0]).strip().lower(), [thing[edge] for edge in "xywh"])
        except BoxError as error:
            yield Reject(f"vg-{key}:object {number}", error.reason, str(error))
        except (KeyError, IndexError, TypeError) as error:
            yield Reject(f"vg-{key}:object {number}", "malformed_row", f"{type(error).__name__}: {error}")
    yield from questions(image, about.photos, about.seed)


def _regions(entry: Mapping[str, Any], about: _Set, parts: _Parts) -> Rows:
    key = entry.get("id", entry.get("image_id"))
    photo, size = about.image(key)
    regions = [region for region in entry["regions"] if isinstance(region.get("phrase"), str)]
    said = [frozenset(region["phrase"].lower().strip(" .").split()) for region in regions]
    unique = [
        region
        for region, words in zip(regions, said, strict=True)
        if len(words) >= WORDS and sum(words <= other for other in said) == 1 and not NAMED.search(region["phrase"])
    ]
    if not unique:
        why = f"{len(regions)} regions; no phrase means only one of them, and names no third"
        yield Reject(f"vg-{key}", "no_question", why)
        return
    rng = row_rng(about.seed, f"vg-{key}")
    drawn = sorted(rng.choice(len(unique), min(PER_KIND, len(unique)), replace=False).tolist())

    def parse(region: Mapping[str, Any]) -> Found:
        phrase = region["phrase"].strip(" .")
        return Found(
            id=f"vg-{key}-region-{region['region_id']}",
            image=photo,
            question=QUESTION.format(phrase),
            answer="",
            boxes=[[region[edge] for edge in ("x", "y", "width", "height")]],
            frame=Frame.PIXEL_XYWH,
            size=size,
            meta={"task": "refer", "labels": [phrase]},
        )

    rows = ((f"vg-{key}:region {n + 1}", unique[n]) for n in drawn)
    for outcome in check_all(rows, parse, about.photos):
        yield answered(outcome) if isinstance(outcome, Sample) else outcome


def _questions(entry: Mapping[str, Any], about: _Set, parts: _Parts) -> Rows:
    key = entry.get("id", entry.get("image_id"))
    photo, size = about.image(key)

    def parse(qa: Mapping[str, Any]) -> Found:
        objects = qa.get("a_objects") or qa.get("q_objects") or []
        boxes = [[thing[edge] for edge in "xywh"] for thing in objects]
        boxes = boxes or parts.of(str(qa["qa_id"]))
        answer = text(qa, "answer").strip().removesuffix(".")
        yes_no = {"answer_kind": "yesno"} if answer.lower() in ("yes", "no") else {}
        return Found(
            id=f"vg-{key}-qa-{qa['qa_id']}",
            image=photo,
            question=text(qa, "question"),
            answer=answer,
            boxes=boxes,
            frame=Frame.PIXEL_XYWH,
            size=size,
            meta={"task": "vg_qa"} | yes_no,
        )

    yield from check_all(((f"vg-{key}:qa {n}", qa) for n, qa in enumerate(entry["qas"], 1)), parse, about.photos)


_READERS: dict[str, Callable[[Any, _Set, _Parts], Rows]] = {
    "objects": _objects,
    "regions": _regions,
    "qas": _questions,
}
"""The field that tells a file, and what reads its entries."""
