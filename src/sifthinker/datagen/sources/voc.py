"""Pascal VOC: one XML file for each photo.

    VOC2012/Annotations/2007_000027.xml    VOC2012/JPEGImages/2007_000027.jpg
    <annotation><filename>2007_000027.jpg</filename><size><width>486</width><height>500</height></size>
      <object><name>person</name><difficult>0</difficult>
        <bndbox><xmin>174</xmin><ymin>101</ymin><xmax>349</xmax><ymax>351</ymax></bndbox></object></annotation>

Coordinates count pixels from 1 and include the last: the edges of the box are (xmin - 1, ymin - 1, xmax, ymax). A 0,
which other programs write that count from 0, is taken for the left or upper edge of the picture. Questions are made
from the boxes (`made`); a class with a `difficult` object is not asked about in that image; the parts of objects are
left out.

Source: the VOC2012 development kit (devkit_doc, section 5.1: "the top-left pixel in the image has coordinates
(1,1)")."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ...errors import BoxError, InputError
from ...geometry import Frame
from ...sample import Sample
from ..outcome import Reject
from ..rows import declared_size
from .made import Annotated, questions
from .options import Options

WORDS = {"diningtable": "dining table", "pottedplant": "potted plant", "tvmonitor": "tv monitor"}


def read(path: Path, options: Options) -> Iterator[Sample | Reject]:
    """Rejected objects and the questions, file by file. path: the folder with `Annotations`, or one of XML files."""
    files = sorted(path.rglob("*.xml")) if path.is_dir() else [path]
    if not files:
        there = ", ".join(sorted(p.name for p in path.iterdir())[:8])
        raise InputError(f"{path}: no annotations; looked for **/*.xml; found {there or 'nothing'}")
    folder = path if path.is_dir() else path.parent
    beside = folder.parent if folder.name == "Annotations" else folder
    photos = Options(options.images or beside).photos(path)
    for file in files:
        key = f"voc-{file.relative_to(folder).with_suffix('').as_posix()}"
        try:
            image, objects = _annotation(file, key)
        except (ElementTree.ParseError, KeyError, TypeError, ValueError) as error:
            yield Reject(key, "malformed_row", f"{file.name}: {type(error).__name__}: {error}")
            continue
        for number, thing in enumerate(objects, 1):
            if reject := _sort_in(thing, f"{key}:object {number}", image):
                yield reject
        yield from questions(image, photos, options.seed)


def _annotation(file: Path, key: str) -> tuple[Annotated, list[ElementTree.Element]]:
    text = file.read_bytes()
    if b"<!ENTITY" in text:
        raise ValueError("declares entities, which no annotation needs")
    root = ElementTree.fromstring(text)
    if root.tag != "annotation":
        raise ValueError(f"expected <annotation>, found <{root.tag}>")
    size = declared_size({side: root.findtext(f"size/{side}") for side in ("width", "height")})
    photo = root.findtext("filename") or file.with_suffix(".jpg").name
    return Annotated(key, photo.strip(), Frame.PIXEL_XYXY, size), root.findall("object")


def _sort_in(thing: ElementTree.Element, place: str, image: Annotated) -> Reject | None:
    try:
        name = (thing.findtext("name") or "").strip()
        if not name:
            raise ValueError("an object without a name")
        name = WORDS.get(name, name)
        x0, y0, x1, y1 = (float(thing.findtext(f"bndbox/{edge}") or "") for edge in ("xmin", "ymin", "xmax", "ymax"))
        if (thing.findtext("difficult") or "0").strip() != "0":
            image.unsure.add(name)
        image.add(name, (x0 - 1 if x0 else 0.0, y0 - 1 if y0 else 0.0, x1, y1))
    except BoxError as error:
        return Reject(place, error.reason, str(error))
    except ValueError as error:
        return Reject(place, "malformed_row", f"{type(error).__name__}: {error}")
    return None
