"""COCO instances JSON, and the data sets that write their boxes in the same form.

    {"images": [{"id", "file_name", "width", "height"}], "categories": [{"id", "name"}],
     "annotations": [{"id", "image_id", "category_id", "bbox": [left, top, width, height] in pixels, "iscrowd"}]}

Questions are made from the boxes (`made`); a category with a crowd region is not asked about in that image. The file is
not held in memory, whatever the order of its lists. Source of the form: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...errors import BoxError, InputError
from ...geometry import Frame
from ...sample import Sample
from ..files import FileIndex, RowError, open_source, plain_name, read_fields
from ..outcome import Reject
from ..rows import declared_size
from ..scratch import Spool
from .made import Annotated, questions
from .options import Options

EXPECTED = "not COCO instances JSON; expected lists images, annotations, categories"


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
    """Rejected annotations and the questions, image by image in the file's order."""
    file = _File(path)
    words = _words(file.names, dialect)
    photos = options.photos(path)
    for number, record in file.images:
        try:
            key = record["id"]
            if not isinstance(key, (int, str)):
                raise TypeError(f"id must be a number or text, got {key!r:.80}")
            image = Annotated(f"{dialect.name}-{key}", dialect.photo(record), Frame.PIXEL_XYWH, declared_size(record))
            image.unsure.update(word for c in dialect.partly(record) if (word := words.get(c)) is not None)
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            yield Reject(f"{path.name}:image {number}", "malformed_row", f"{type(error).__name__}: {error}")
            continue
        for place, annotation in file.annotations.take(key):
            if reject := _sort_in(annotation, f"{path.name}:annotation {place}", words, image, dialect):
                yield reject
        yield from questions(image, photos, options.seed)
    # What is left belongs to none of the images.
    for key, (place, annotation) in file.annotations:
        name = annotation.get("id") if isinstance(annotation, dict) else None
        where = f"{path.name}:annotation {place}" if name is None else f"{dialect.name}-annotation-{name}"
        yield Reject(where, "malformed_row", f"image_id {key!r:.80}: there is no such image")


class _File:
    """An instances file. names: of categories, by id. images: number and record. annotations: number and record, by
    image id.

    Raises `InputError` for a file of another form.
    """

    def __init__(self, path: Path) -> None:
        self.names: dict[Any, str] = {}
        self.images, self.annotations = Spool(), Spool()
        lists, fields = set[str](), list[str]()
        for field, entries in _fields(path):
            fields.append(field)
            if entries is None:
                continue
            lists.add(field)
            if field == "categories":
                try:
                    self.names = {record["id"]: str(record["name"]) for _, record in entries}
                except (KeyError, TypeError) as error:
                    raise InputError(f"{path}: {EXPECTED}; a category without id and name ({error!r})") from error
            elif field == "images":
                for number, record in entries:
                    self.images.add(number, record)
            elif field == "annotations":
                for number, record in entries:
                    key = None
                    if isinstance(record, dict):
                        key = record.get("image_id")
                        record.pop("segmentation", None)
                    self.annotations.add(key, (number, record))
        if missing := [name for name in ("images", "annotations", "categories") if name not in lists]:
            raise InputError(f"{path}: no list {', '.join(missing)}; {EXPECTED}; found keys {', '.join(fields):.200}")


def _fields(path: Path) -> Iterator[tuple[str, Iterator[tuple[str, Any]] | None]]:
    with open_source(path) as file:
        if file.read(4096).lstrip()[:1] == b"[":
            raise InputError(f"{path}: {EXPECTED}; found a list")
    return read_fields(path)


def _words(names: Mapping[Any, str], dialect: Dialect) -> dict[Any, str | None]:
    """Category id -> its word; None where it is never asked about, or where two categories share their word."""
    words = {key: dialect.word(name) for key, name in names.items()}
    shared = list(words.values())
    return {key: None if shared.count(word) > 1 else word for key, word in words.items()}


def _sort_in(
    annotation: Any, place: str, words: Mapping[Any, str | None], image: Annotated, dialect: Dialect
) -> Reject | None:
    """Add one annotation to its image; the reject if it cannot be used."""
    try:
        place = f"{dialect.name}-annotation-{annotation['id']}"
        word = words[annotation["category_id"]]
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


class Nearby:
    """For sets that ask about COCO's photos: the boxes of the first `instances*.json` beside `path`, in the folder of
    the photos or in the one above it.

    looked: that file, or what was looked for where there is none; then `there` is false. Raises `InputError` for a file
    that is not COCO's form.
    """

    def __init__(self, path: Path, photos: FileIndex) -> None:
        folders = (path.parent, photos.folder, photos.folder.parent)
        file = next((f for folder in folders for f in sorted(folder.glob("instances*.json"))), None)
        self.there = file is not None
        self.looked = str(file or f"instances*.json in {', '.join(map(str, dict.fromkeys(folders)))}")
        # Questions about one photo usually follow each other.
        self.boxes = lru_cache(maxsize=64)(self._boxes)
        if file is None:
            return
        found = _File(file)
        self._names, self._annotations, self._ids = found.names, found.annotations, Spool()
        try:
            for _, record in found.images:
                self._ids.add(plain_name(Path(record["file_name"]).name), record["id"])
        except (KeyError, TypeError) as error:
            raise InputError(f"{file}: not COCO instances JSON ({error!r})") from error

    def _boxes(self, photo: str) -> dict[str, list[Any]] | None:
        """Category -> pixel xywh boxes, none of a category with a crowd; None for a photo that is not in the file."""
        ids = self._ids.of(plain_name(Path(photo).name))
        if not ids:
            return None
        boxes: dict[str, list[Any]] = {}
        crowds = set[str]()
        for _, annotation in self._annotations.of(ids[0]):
            try:
                name = self._names[annotation["category_id"]]
                boxes.setdefault(name, []).append(annotation["bbox"])
            except (KeyError, TypeError) as error:
                raise RowError("malformed_row", f"{self.looked}: {annotation!r:.80}: {error!r}") from error
            if annotation.get("iscrowd"):
                crowds.add(name)
        return boxes | {name: [] for name in crowds}
