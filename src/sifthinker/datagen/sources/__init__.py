"""Where samples come from. A new source is one function and one line in `SOURCES`.

A source reads one file or folder and yields, for every row in it, a `Sample` or a `Reject`: nothing that was read
disappears. It yields the same rows in the same order for the same seed, and never stops at a bad row; only a file
that cannot be read at all, or in which no row is one of its kind, raises `InputError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ...errors import InputError, did_you_mean
from ...geometry import Frame
from ...lookup import lookup
from ...recipes import read_yaml, recipe_names
from ...sample import Sample
from ..outcome import Reject
from ..rows import storable
from . import coco, gqa, hub, jsonl, lvis, objects365, openimages, refcoco, rgbd, tallyqa, vg, viscot, voc, vsr, yolo
from .options import Options

Rows = Iterator[Sample | Reject]


@dataclass(frozen=True, slots=True)
class Source:
    """What is known about a data set, and what reads it.

    read: (path, options) -> rows. about: one line for `sifthinker list`. frames: the frames in which its boxes are
    written. license: the terms of annotations and images, and where they are stated. remote: its path may be a name
    on the hub, and is given as text, for a `Path` drops the `./` by which it is none; and it takes columns. depth: its
    rows may come with depth files, for which --depth-encoding is. photos: its rows name photos, for which --images is.
    """

    read: Callable[[Any, Options], Rows]
    about: str
    frames: tuple[Frame, ...] = ()
    license: str = ""
    remote: bool = False
    depth: bool = False
    photos: bool = True


PROBED = 32
"""First rows, if there are so many, of which at least one must be a row of its source."""

COCO_TERMS = "annotations CC BY 4.0; images under Flickr's terms, each with its own license"
YOURS = "yours; not known here"
ANY = tuple(Frame)

SOURCES: dict[str, Source] = {
    "coco": Source(
        coco.read,
        "COCO instances JSON: counting and left/right questions made from the boxes",
        (Frame.PIXEL_XYWH,),
        f"{COCO_TERMS} (cocodataset.org, terms of use)",
    ),
    "viscot": Source(
        viscot.read,
        "Visual-CoT: conversations (padded-square boxes and pixels), metadata (bboxs), REC lines",
        (Frame.PIXEL_XYXY, Frame.PADDED_UNIT_XYXY),
        "for research (github.com/deepcs233/Visual-CoT, disclaimer); images under the terms of each of its 13 sets",
    ),
    "refcoco": Source(
        refcoco.read,
        "RefCOCO/+/g and Visual-CoT REC lines: in which third is what the words describe?",
        (Frame.PIXEL_XYXY,),
        "none stated for the expressions (github.com/lichengunc/refer); images of COCO, under Flickr's terms",
    ),
    "tallyqa": Source(
        tallyqa.read,
        "TallyQA records with boxes, of their own or of COCO's annotations",
        ANY,
        "Apache-2.0 (github.com/manoja328/TallyQA_dataset); images of COCO and Visual Genome, under Flickr's terms",
    ),
    "rgbd": Source(
        rgbd.read,
        "folders of photos with true depth: which marked point is nearer, where is the nearest",
        (Frame.UNIT_XYXY, Frame.PIXEL_XYXY),
        "of each set: SUN RGB-D, NYU for research; TUM CC BY 4.0; KITTI CC BY-NC-SA 3.0; ScanNet by its terms of use",
        depth=True,
        photos=False,
    ),
    "jsonl": Source(
        jsonl.read,
        "lines of your own: image, question, answer, boxes; frame, depth, choices if you like",
        ANY,
        YOURS,
        depth=True,
    ),
    "lvis": Source(
        lvis.read_lvis,
        "LVIS instances JSON: as coco, where a category is annotated exhaustively",
        (Frame.PIXEL_XYWH,),
        f"{COCO_TERMS} (lvisdataset.org; cocodataset.org, terms of use)",
    ),
    "objects365": Source(
        objects365.read_objects365,
        "Objects365 JSON: as coco, without depicted things",
        (Frame.PIXEL_XYWH,),
        "by its terms of use (objects365.org); images from Flickr, each with its own license",
    ),
    "openimages": Source(
        openimages.read,
        "Open Images boxes CSV: counting and left/right questions made from the boxes",
        (Frame.UNIT_XYXY,),
        "annotations CC BY 4.0; images listed as CC BY 2.0 (storage.googleapis.com/openimages, factsfigures)",
    ),
    "yolo": Source(
        yolo.read,
        "YOLO folders: boxes or polygons in text files, questions made from them",
        (Frame.UNIT_CXCYWH,),
        YOURS,
    ),
    "voc": Source(
        voc.read,
        "Pascal VOC XML: counting and left/right questions made from the boxes",
        (Frame.PIXEL_XYXY,),
        "annotations without a stated license; images under Flickr's terms (VOC2012 page, database rights)",
    ),
    "vg": Source(
        vg.read,
        "Visual Genome: objects.json, region_descriptions.json or question_answers.json",
        (Frame.PIXEL_XYWH,),
        "CC BY 4.0 (homes.cs.washington.edu/~ranjay/visualgenome, about); images of YFCC100M and COCO, from Flickr",
    ),
    "gqa": Source(
        gqa.read,
        "GQA questions with the boxes of their scene graphs",
        (Frame.PIXEL_XYWH,),
        "CC BY 4.0 (cs.stanford.edu/people/dorarad/gqa); images of Visual Genome, from Flickr",
    ),
    "vsr": Source(
        vsr.read,
        "VSR statements, true or false, with the boxes of COCO's annotations",
        (Frame.PIXEL_XYWH, Frame.PIXEL_XYXY),
        f"statements Apache-2.0 (github.com/cambridgeltl/visual-spatial-reasoning); {COCO_TERMS}",
    ),
    "hub": Source(
        hub.read,
        "a data set of the `datasets` library, on the hub or in a folder, by --columns",
        ANY,
        "of the data set; see its page on the hub",
        remote=True,
    ),
}


def find_source(name: str) -> tuple[Source, str]:
    """The source and the path of `KIND:PATH`, or of `module:attribute:PATH` where the attribute is a `Source`.

    Raises `InputError` for unknown kinds.
    """
    kind, _, path = name.partition(":")
    if kind not in SOURCES and ":" in path:
        attribute, _, path = path.partition(":")
        kind = f"{kind}:{attribute}"
    if not path:
        mixes = [recipe for recipe in recipe_names() if "sources" in read_yaml(recipe)]
        known = name in mixes or name.endswith((".yaml", ".yml"))
        hint = " is a recipe, which cannot be a source of another:" if known else did_you_mean(name, mixes) or ":"
        raise InputError(
            f"source {name!r}{hint} expected KIND:PATH with one of the kinds "
            f"{', '.join(SOURCES)}; or a recipe: RECIPE.yaml, {', '.join(mixes)}"
        )
    source = lookup("source", kind, SOURCES)
    if not isinstance(source, Source):
        raise InputError(f"source {kind!r} is a {type(source).__name__}; expected a sifthinker.datagen.sources.Source")
    return source, path


def check_source(name: str, options: Options) -> tuple[Source, str]:
    """What `find_source` finds.

    Raises `InputError` for unknown kinds, for paths that do not exist, and for options that say nothing to the source.
    """
    source, path = find_source(name)
    if options.columns and not source.remote:
        raise InputError(f"source {name!r}: its columns are known; --columns is for hub:")
    if options.images is not None and not source.photos:
        raise InputError(f"source {name!r}: its photos are in its own folder; leave images ({options.images}) out")
    if not source.remote and not Path(path).exists():
        raise InputError(f"{path}: no such file or folder")
    return source, path


def open_source(name: str, options: Options) -> Rows:
    """The rows of a source, named as for `find_source`.

    Raises `InputError` for what `check_source` refuses, and for files that hold something else.
    """
    source, path = check_source(name, options)
    rows = map(storable, source.read(path if source.remote else Path(path), options))
    # A file that cannot be read at all, or is something else, shows now, before anything is written.
    first = list(islice(rows, PROBED))
    bad = [row for row in first if isinstance(row, Reject) and row.reason in ("bad_json", "malformed_row")]
    if first and len(bad) == len(first):
        which = f"first {PROBED}" if len(first) == PROBED else str(len(first))
        raise InputError(
            f"{path}: none of its {which} rows can be read as {name.partition(':')[0]} ({source.about}); "
            f"the first, {bad[0].id}: {bad[0].detail}"
        )
    return chain(first, rows)
