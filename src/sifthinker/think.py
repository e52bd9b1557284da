"""One photo and one question: the trace, drawn and on a page.

    OUT/trace.json    trace, raw reply, model, prompt hash, versions
    OUT/trace.png     the steps on photo and depth map (`draw.draw_trace`)
    OUT/trace.html    the same as a page that needs nothing else: no network, no script

A broken reply is shown with its faults. Grading is left out: there is no gold answer here.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image

from .depth import DepthMap, read_depth
from .draw import color_depth, draw_trace
from .engines import MAX_TOKENS, Reply, open_engine, request_for
from .errors import EngineError, InputError
from .geometry import Box
from .prompt import model_images, prompt_hash
from .provenance import provenance
from .records import atomic_write, disk_errors
from .sample import Sample, open_photo, parse_reply
from .trace import Fault, Trace

SCHEMA = 1
DEPTH_SUFFIXES = (".png", ".pgm", ".tif", ".tiff", ".exr", ".npy")
PAGE_SIDE = 1280
"""Longer side of the pictures on the page, in pixels, at most."""


def think(
    image: str | Path,
    question: str,
    model: str,
    depth: str | Path = "auto",
    depth_encoding: str | None = None,
    out: str | Path = Path("runs/think"),
    max_tokens: int = MAX_TOKENS,
    *,
    temperature: float = 0.0,
    seed: int | None = None,
    engine_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Ask `model` about a photo and write what it thought to the folder `out`.

    model: any name that `engines.open_engine` knows.
    depth: "auto" (estimated by `estimator.DEFAULT_ESTIMATOR`), "none", a depth file, or the name of a depth model.
    depth_encoding: a key of `depth.ENCODINGS`, for files without a sidecar.
    engine_options: for `open_engine`, for example `max_pixels`.

    Returns {"trace": {"steps": [{"boxes", "depths", "text"}], "answer", "faults"}, "files": [paths]}.
    Raises `InputError` for a bad photo, question, depth or model, and `EngineError` when the model fails to reply.
    A reply that breaks the grammar is not an error: its faults are listed.
    """
    if not question.strip():
        raise InputError("the question is empty")
    photo = open_photo(image)
    sample = Sample(Path(image).name, photo, question, depth=find_depth(depth, depth_encoding, photo))
    model_images(sample)  # Says now, before a model is loaded, if photo and depth do not fit.
    out = Path(out)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with open_engine(model, **(engine_options or {})) as engine:
        request = request_for(sample, engine, max_tokens=max_tokens, temperature=temperature, seed=seed)
        reply = engine.generate([request])[0]
    if reply.text is None:
        raise EngineError(f"{model}: {reply.error}")
    trace = parse_reply(reply.text, sample)
    about = {
        "schema": SCHEMA,
        "image": str(image),
        "question": question,
        "depth": str(depth),
        "model": engine.model_id,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
        "prompt_hash": prompt_hash(),
        **provenance(),
    }
    paths = write(out, sample, trace, reply, about)
    return {"trace": trace.to_json(), "files": [str(path) for path in paths]}


def find_depth(depth: str | Path, encoding: str | None, photo: Image.Image) -> DepthMap | None:
    """What `--depth` stands for: nothing, a file, or the estimate of a model.

    Raises `InputError` for files that cannot be read, models that cannot be loaded, and an encoding without a file.
    """
    is_file = Path(depth).suffix.lower() in DEPTH_SUFFIXES or Path(depth).is_file()
    if is_file:
        return read_depth(depth, encoding)
    if encoding is not None:
        raise InputError(f"depth encoding {encoding!r} goes with a depth file, not with --depth {depth}")
    if str(depth) == "none":
        return None
    from .engines.estimator import open_estimator

    return open_estimator(str(depth))(photo)


def write(out: Path, sample: Sample, trace: Trace, reply: Reply, about: Mapping[str, Any]) -> list[Path]:
    """Write JSON, picture and page of a trace to the folder `out`; returns their paths."""
    record = {
        **about,
        "finish_reason": reply.finish_reason,
        "usage": dict(reply.usage),
        "reply": reply.text,
        "trace": trace.to_json(),
    }
    picture = io.BytesIO()
    draw_trace(sample, None, trace, reply=reply.text).save(picture, format="PNG")
    contents: dict[str, bytes | str] = {
        "trace.json": json.dumps(record, indent=2),
        "trace.png": picture.getvalue(),
        "trace.html": page(sample, trace, reply, about).encode("utf-8", "replace"),
    }
    for name, content in contents.items():
        atomic_write(out / name, content)
    return [out / name for name in contents]


# --- the page ------------------------------------------------------------------------------------------------------


def page(sample: Sample, trace: Trace, reply: Reply, about: Mapping[str, Any]) -> str:
    """The HTML page of a trace. Everything from outside (question, reply, names) is escaped."""
    from jinja2 import Environment, StrictUndefined

    photo, depth = sample.photo(), sample.depth_map()
    relative = None if depth is None else depth.relative()
    steps = [
        {
            "text": step.text,
            "boxes": [_box(box, said, relative) for box, said in zip(step.area.boxes, step.area.depths, strict=True)],
        }
        for step in trace.steps
    ]
    template = files("sifthinker").joinpath("templates/think.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined).from_string(template).render(
        question=sample.question.strip(),
        answer=trace.answer,
        steps=steps,
        faults=trace.faults,
        pieces=mark_faults(reply.text or "", trace.faults),
        cut=reply.finish_reason == "length",
        photo=_jpeg_url(photo),
        depth=None if depth is None else _jpeg_url(color_depth(depth)),
        size=photo.size,
        about={**about, **{name: Path(about[name]).name for name in ("image", "depth")}},
    )  # fmt: skip


def _box(box: Box, said: float | None, depth: DepthMap | None) -> dict[str, Any]:
    """A box in percent of the picture, with the depth the model said and the one the depth map has there."""
    return {
        "left": 100 * box.x0,
        "top": 100 * box.y0,
        "width": 100 * box.width,
        "height": 100 * box.height,
        "numbers": ", ".join(f"{v:.3f}" for v in box),
        "said": said,
        "mean": None if depth is None else depth.box_mean(box),
    }


def mark_faults(reply: str, faults: Sequence[Fault]) -> list[tuple[str, list[int]]]:
    """Cut a reply where faults begin and end: pieces of text with the numbers (from 1) of the faults that cover them.

    A fault without extent (something is missing there) gives an empty piece. The pieces joined are the reply.
    """
    pieces: list[tuple[str, list[int]]] = []
    edges = sorted({0, len(reply), *(edge for f in faults for edge in (f.start, f.end))})
    for number, start in enumerate(edges):
        if missing := [n for n, f in enumerate(faults, 1) if f.start == f.end == start]:
            pieces.append(("", missing))
        if number + 1 < len(edges):
            end = edges[number + 1]
            pieces.append((reply[start:end], [n for n, f in enumerate(faults, 1) if f.start <= start and end <= f.end]))
    return pieces


def _jpeg_url(image: Image.Image) -> str:
    scale = min(1.0, PAGE_SIDE / max(image.size))
    if scale < 1:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
