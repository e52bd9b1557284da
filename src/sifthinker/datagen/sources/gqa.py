"""GQA: questions with their program and the objects they are about, and the scene graphs that give their boxes.

    train_balanced_questions.json  {"02930152": {"imageId": "2354786", "question", "answer", "types": {"structural"},
        "semantic": [{"operation": "select", "argument": "sky (2486325)"}, ...],
        "annotations": {"answer": {}, "question": {"2": "2486325"}, "fullAnswer": {"2": "2486325"}}}}
    train_sceneGraphs.json  {"2354786": {"width", "height", "objects": {"2486325": {"name", "x", "y", "w", "h"}}}}

Boxes are pixels: left, top, width, height. Gold boxes: the objects of the answer, else those of the question, else
those that the program selects. The scene graphs are looked for beside the questions and in a folder `sceneGraphs`
there or next door, by the first word of the questions' file name; test questions have none. The photo is imageId.jpg.

Source: https://cs.stanford.edu/people/dorarad/gqa/download.html (version 1.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...geometry import Frame
from ...sample import Sample
from ..files import RowError, read_items
from ..outcome import Reject
from ..rows import Found, check_all, declared_size, text
from ..scratch import Spool
from .options import Options

_ID = re.compile(r"\((\d+)\)")


def read(path: Path, options: Options) -> Iterator[Sample | Reject]:
    """One sample a question. Neither questions nor scene graphs are held in memory."""
    first = next(read_items(path), ("", None))[1]
    if not isinstance(first, dict) or not {"imageId", "question", "answer"} <= first.keys():
        found = ", ".join(first) if isinstance(first, dict) else type(first).__name__
        raise InputError(
            f"{path}: no GQA questions with answers; looked for imageId, question, answer in its entries; found {found}"
        )
    graphs = _graphs(path)

    def parse(numbered: tuple[str, Mapping[str, Any]]) -> Found:
        key, row = numbered
        image = text(row, "imageId")
        if not (found := graphs.of(image)):
            raise RowError("no_boxes", f"image {image} has no scene graph")
        graph = found[-1]
        size, objects = declared_size(graph), graph["objects"]
        ids = [i for i in _evidence(row) if i in objects]
        answer = text(row, "answer")
        kind = (row.get("types") or {}).get("structural", "")
        yes_no = {"answer_kind": "yesno"} if answer in ("yes", "no") else {}
        return Found(
            id=f"gqa-{key}",
            image=f"{image}.jpg",
            question=text(row, "question"),
            answer=answer,
            boxes=[[objects[i][edge] for edge in "xywh"] for i in ids],
            frame=Frame.PIXEL_XYWH,
            size=size,
            meta={"task": f"gqa_{kind}" if kind else "gqa", "labels": [str(objects[i]["name"]) for i in ids]} | yes_no,
        )

    yield from check_all(((f"gqa-{key}", (key, row)) for key, row in read_items(path)), parse, options.photos(path))


def _evidence(row: Mapping[str, Any]) -> list[str]:
    """Ids of the objects that answer the question, each once."""
    annotations = row.get("annotations") or {}
    for part in ("answer", "question"):
        if ids := list(dict.fromkeys((annotations.get(part) or {}).values())):
            return [str(i) for i in ids]
    arguments = " ".join(str(step.get("argument", "")) for step in row.get("semantic") or ())
    return list(dict.fromkeys(_ID.findall(arguments)))


def _graphs(path: Path) -> Spool:
    """The scene graphs by image."""
    name = f"{path.stem.partition('_')[0]}_sceneGraphs.json"
    places = [
        folder / name for folder in (path.parent, path.parent / "sceneGraphs", path.parent.parent / "sceneGraphs")
    ]
    file = next((p for p in places if p.is_file()), None)
    if file is None:
        raise InputError(f"{path}: no scene graphs for its boxes; looked for {', '.join(map(str, places))}")
    graphs = Spool()
    for key, graph in read_items(file):
        if not isinstance(graph, dict) or not isinstance(graph.get("objects"), dict):
            raise InputError(f"{file}: expected objects with name, x, y, w, h for each image; found {graph!r:.80}")
        graphs.add(key, graph)
    return graphs
