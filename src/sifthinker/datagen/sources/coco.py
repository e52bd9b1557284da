"""COCO instances JSON, and the data sets that write their boxes in the same form.

    {"images": [{"id", "file_name", "width", "height"}], "categories": [{"id", "name"}],
     "annotations": [{"id", "image_id", "category_id", "bbox": [left, top, width, height] in pixels, "iscrowd"}]}

Questions are made from the boxes (`made`); a category with a crowd region is not asked about in that image. The file is
held in memory. Source of the form: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BoxError, InputError
from ...geometry import Frame
from ...sample import Sample
from ..files import FileIndex, plain_name, read_json
from ..outcome import Reject
from ..rows import declared_size
from .made import Annotated, questions
from .options import Options


def _file_name(record: Mapping[str, Any]) -> str:
    return str(record["file_name"])


def _crowd(annotation: Mapping[str, Any]) -> bool:
    return bool(annotation.get("iscrowd"))


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a data set does differently.

    name: begins the ids. photo: image record -> file name. word: category name -> word for it in a question, None for a
    category that is never asked about. several: annotations that stand for more than one thing, or for none.
    partly: image record -> ids of the categories of which not everything is annotated.
    """

    name: str
    photo: Callable[[Mapping[str, Any]], str] = _file_name
    word: Callable[[str], str | None] = str
    several: Callable[[Mapping[str, Any]], bool] = _crowd
    partly: Callable[[Mapping[str, Any]], Collection[Any]] = lambda record: ()


def read(path: Path, options: Options, dialect: Dialect = Dialect("coco")) -> Iterator[Sample | Reject]:
    """Rejected annotations, then the questions image by image in the file's order."""
    data = read_json(path)
    try:
        words = _words(data["categories"], dialect)
        records, annotations = list(data["images"]), list(data["annotations"])
    except (KeyError, TypeError) as error:
        found = f"keys {', '.join(map(str, data))}" if isinstance(data, dict) else f"a {type(data).__name__}"
        raise InputError(
            f"{path}: not COCO instances JSON ({error!r}); expected lists images, annotations, categories; "
            f"found {found:.200}"
        ) from error
    photos = options.photos(path)
    images: dict[Any, Annotated] = {}
    rejects: list[Reject] = []
    for number, record in enumerate(records, 1):
        try:
            key = record["id"]
            if not isinstance(key, (int, str)):
                raise TypeError(f"id must be a number or text, got {key!r:.80}")
            image = Annotated(f"{dialect.name}-{key}", dialect.photo(record), Frame.PIXEL_XYWH, declared_size(record))
            image.unsure.update(word for c in dialect.partly(record) if (word := words.get(c)) is not None)
            images[key] = image
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            rejects.append(Reject(f"{path.name}:image {number}", "malformed_row", f"{type(error).__name__}: {error}"))
    for number, annotation in enumerate(annotations, 1):
        if reject := _sort_in(annotation, f"{path.name}:annotation {number}", words, images, dialect):
            yield reject
    yield from rejects
    for image in images.values():
        yield from questions(image, photos, options.seed)


def _words(categories: Any, dialect: Dialect) -> dict[Any, str | None]:
    """Category id -> its word; None where it is never asked about, or where two categories share their word."""
    words = {c["id"]: dialect.word(str(c["name"])) for c in categories}
    shared = list(words.values())
    return {key: None if shared.count(word) > 1 else word for key, word in words.items()}


def _sort_in(
    annotation: Any, place: str, words: Mapping[Any, str | None], images: Mapping[Any, Annotated], dialect: Dialect
) -> Reject | None:
    """Add one annotation to its image; the reject if it cannot be used."""
    try:
        place = f"{dialect.name}-annotation-{annotation['id']}"
        word, image = words[annotation["category_id"]], images[annotation["image_id"]]
        if word is None:
            return None
        if dialect.several(annotation):
            image.unsure.add(word)
            return None
        image.add(word, annotation["bbox"])
    except BoxError as error:
        return Reject(place, error.reason, str(error))
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        return Reject(place, "malformed_row", f"{type(error).__name__}: {error}")
    return None


def boxes_nearby(path: Path, photos: FileIndex) -> tuple[Mapping[str, Mapping[str, list[Any]]] | None, str]:
    """For sets that ask about COCO's photos: photo -> category -> pixel xywh boxes, none of a category with a crowd.

    From the first `instances*.json` beside `path`, in the folder of the photos or in the one above it; None if there is
    none. Also that file, or what was looked for. Raises `InputError` for a file that is not COCO's form.
    """
    folders = (path.parent, photos.folder, photos.folder.parent)
    looked = f"instances*.json in {', '.join(map(str, dict.fromkeys(folders)))}"
    file = next((f for folder in folders for f in sorted(folder.glob("instances*.json"))), None)
    if file is None:
        return None, looked
    data = read_json(file)
    try:
        names = {c["id"]: c["name"] for c in data["categories"]}
        photo_of = {i["id"]: plain_name(Path(i["file_name"]).name) for i in data["images"]}
        boxes: dict[str, dict[str, list[Any]]] = {photo: {} for photo in photo_of.values()}
        crowds: list[tuple[str, str]] = []
        for a in data["annotations"]:
            photo, name = photo_of[a["image_id"]], names[a["category_id"]]
            boxes[photo].setdefault(name, []).append(a["bbox"])
            if a.get("iscrowd"):
                crowds.append((photo, name))
    except (KeyError, TypeError) as error:
        raise InputError(f"{file}: not COCO instances JSON ({error!r})") from error
    for photo, name in crowds:
        boxes[photo][name] = []
    return boxes, str(file)
