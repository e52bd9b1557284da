"""Does a model look where it says it looks? It is asked again about pictures in which one thing was changed.

    occluded    the boxes of its own last area are painted over, in the photo and in the depth map
    elsewhere   as many boxes of the same sizes are painted over, away from all of its areas and from the evidence
    inverted    the photo as it was; in the depth map near is far and far is near

A model that answers from its focus loses accuracy under the first and not under the second. One that reads depths off
the map states others under the third; one that guesses them from the photo does not.

    OUT/plain, OUT/occluded, OUT/elsewhere, OUT/inverted   run folders
    OUT/probe.json                                         the result
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .benchmarks import Benchmark, Score
from .depth import DepthMap
from .engines import Engine
from .errors import InputError
from .evaluate import evaluate, opened, resolve
from .geometry import Box, iou_matrix
from .metrics import Item, compare_items
from .normalize import normalize
from .outcomes import stated_depths, within
from .provenance import provenance
from .records import atomic_write
from .runs import read_run
from .sample import Sample
from .statistics import estimate
from .tables import columns, interval
from .trace import Trace

SCHEMA = 1

LARGEST = 0.5
"""Areas that cover more of the picture say too little about where the model looks, and leave no room elsewhere."""

TRIES = 200

Boxes = Sequence[Box]


@dataclass(frozen=True)
class _Changed:
    """The items of a benchmark for which there are boxes, with one change made to each."""

    inner: Benchmark
    change: str
    boxes: Mapping[str, Boxes]

    @property
    def name(self) -> str:
        return f"{self.change}:{self.inner.name}"

    @property
    def version(self) -> str:
        where = json.dumps({i: [list(box) for box in boxes] for i, boxes in self.boxes.items()})
        return f"{self.inner.version}+{self.change}-{sha256(where.encode()).hexdigest()[:12]}"

    @property
    def n(self) -> int | None:
        return len(self.boxes)

    def load(self) -> Iterator[Sample]:
        for sample in self.inner.load():
            if (boxes := self.boxes.get(sample.id)) is not None:
                yield CHANGES[self.change](sample, boxes)

    def score(self, trace: Trace, sample: Sample) -> Score:
        return self.inner.score(trace, sample)


def occlude(sample: Sample, boxes: Boxes) -> Sample:
    """Photo and depth map with boxes painted in the mean color and the mean depth of the whole picture."""
    photo = np.array(sample.photo())
    depth = sample.depth_map()
    mean = photo.reshape(-1, 3).mean(axis=0).astype(np.uint8)
    values = valid = None
    if depth is not None:
        relative = depth.relative()
        values, valid = relative.values.copy(), relative.valid
    for box in boxes:
        x0, y0, x1, y1 = box.pixel_bounds((photo.shape[1], photo.shape[0]))
        photo[y0:y1, x0:x1] = mean
        if depth is not None and values is not None and valid is not None and valid.any():
            x0, y0, x1, y1 = box.pixel_bounds(depth.size)
            values[y0:y1, x0:x1] = values[valid].mean()
    hidden = None if values is None else DepthMap(values, valid)
    return replace(sample, image=Image.fromarray(photo), depth=hidden)


def invert(sample: Sample, boxes: Boxes = ()) -> Sample:
    """The sample with a depth map in which near and far have changed places. Raises `InputError` without a map."""
    depth = sample.depth_map()
    if depth is None:
        raise InputError(f"{sample.id}: has no depth map to turn over; probe with --depth, or another benchmark")
    relative = depth.relative()
    return replace(sample, depth=DepthMap(1 - relative.values, relative.valid))


CHANGES: dict[str, Callable[[Sample, Boxes], Sample]] = {"occluded": occlude, "elsewhere": occlude, "inverted": invert}
"""What is done to a sample, given boxes."""


def elsewhere(boxes: Boxes, avoid: Boxes, rng: np.random.Generator) -> list[Box] | None:
    """Boxes of the same sizes that touch neither each other nor `avoid`; None where no room was found."""
    found: list[Box] = []
    for box in boxes:
        corners = rng.uniform(0, (1 - box.width, 1 - box.height), (TRIES, 2))
        tried = np.clip(np.hstack([corners, corners + np.array([box.width, box.height])]), 0, 1)
        free = (iou_matrix(tried, [*avoid, *found]) == 0).all(axis=1)
        if not free.any():
            return None
        found.append(Box(*tried[int(free.argmax())].tolist()))
    return found


def probe(
    model: str | Engine, benchmark: str | Benchmark, out: str | Path, *, seed: int = 0, **options: Any
) -> dict[str, Any]:
    """Ask a benchmark four times, as it is and with each of `CHANGES`, and return what changed (also `probe.json`).

    seed, options: of `evaluate`; `seed` also draws the boxes elsewhere. Runs in `out` that are there are gone on with.
    Raises `InputError` for what `evaluate` refuses, and when no reply has an area that can be painted over.
    """
    out = Path(out)
    own = {"limit": None, "n": None, "data": None, "split": None, "images": None, "depth": "source"}
    own |= {name: options[name] for name in own.keys() & options.keys()}
    asked = {name: value for name, value in options.items() if name in ("batch_size", "max_tokens", "temperature")}
    with opened(model, options.get("max_pixels")) as engine:
        inner = resolve(engine.model_id, benchmark, seed=seed, **own)[1]
        evaluate(engine, benchmark, out / "plain", seed=seed, **options)
        runs = {"plain": read_run(out / "plain")[1]}
        places, left_out = _places(inner, runs["plain"], seed)
        if not places["occluded"]:
            raise InputError(f"no reply has an area that can be painted over: {_said(left_out)}; see {out / 'plain'}")
        for change in CHANGES:
            if places[change]:
                evaluate(engine, _Changed(inner, change, places[change]), out / change, seed=seed, **asked)
                runs[change] = read_run(out / change)[1]
    result = {
        "schema": SCHEMA,
        "model": engine.model_id,
        "benchmark": inner.name,
        "version": inner.version,
        "seed": seed,
        **provenance(),
        "n": len(runs["plain"]),
        "left_out": dict(left_out),
        "changes": {change: _effect(runs["plain"], runs[change]) for change in CHANGES if change in runs},
        "focus": _paired_drop(runs["elsewhere"], runs["occluded"]),
        "depth": _follows(runs["inverted"]) if "inverted" in runs else None,
    }
    atomic_write(out / "probe.json", json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False))
    return result


def _places(inner: Benchmark, plain: Sequence[Item], seed: int) -> tuple[dict[str, dict[str, Boxes]], Counter[str]]:
    """What is painted over in each item, by change; and why items were left out."""
    traces = {item["item_id"]: Trace.from_json(item["trace"]) for item in plain if item["trace"] is not None}
    found: dict[str, dict[str, Boxes]] = {change: {} for change in CHANGES}
    left_out: Counter[str] = Counter()
    for sample in inner.load():
        if sample.id not in traces:
            continue
        areas = [step.area.boxes for step in traces[sample.id].steps]
        if sample.image is not None and sample.depth is not None:
            found["inverted"][sample.id] = ()
        if sample.image is None or not areas or not areas[-1]:
            left_out["no area"] += 1
            continue
        if sum(box.area for box in areas[-1]) > LARGEST:
            left_out[f"area larger than {LARGEST:.0%} of the picture"] += 1
            continue
        avoid = [box for boxes in areas for box in boxes if not box.is_whole] + list(sample.boxes)
        rng = np.random.default_rng([seed, *sample.id.encode()])
        if (other := elsewhere(areas[-1], avoid, rng)) is None:
            left_out["no room elsewhere"] += 1
            continue
        found["occluded"][sample.id], found["elsewhere"][sample.id] = areas[-1], other
    return found, left_out


def _effect(plain: Sequence[Item], changed: Sequence[Item]) -> dict[str, Any]:
    """Accuracy before and after, their difference, and how often the answer is another one, also by task."""
    before = {item["item_id"]: item for item in plain}
    pairs = [(before[item["item_id"]], item) for item in changed if item["raw_reply"] is not None]
    pairs = [(a, b) for a, b in pairs if a["raw_reply"] is not None]
    tasks = sorted({b["task"] for _, b in pairs})
    return {
        "n": len(pairs),
        **_change(pairs),
        "tasks": {task: _change([p for p in pairs if p[1]["task"] == task]) for task in tasks},
    }


def _change(pairs: Sequence[tuple[Item, Item]]) -> dict[str, Any]:
    units = [b["group_id"] for _, b in pairs]
    other = [normalize(a["answer"] or "") != normalize(b["answer"] or "") for a, b in pairs]
    drop = compare_items([a for a, _ in pairs], [b for _, b in pairs])["answer_accuracy"]
    return {
        "before": estimate([a["value"] for a, _ in pairs], units).to_json(),
        "after": estimate([b["value"] for _, b in pairs], units).to_json(),
        "difference": drop["difference"],
        "answer_changed": estimate([float(o) for o in other], units).to_json(),
    }


def _paired_drop(first: Sequence[Item], second: Sequence[Item]) -> dict[str, Any]:
    """Accuracy of the second run minus that of the first, on the same items."""
    return compare_items(first, second)["answer_accuracy"]["difference"]


def _follows(inverted: Sequence[Item]) -> dict[str, Any]:
    """Stated depths against the map that was shown, and against the one that was turned over.

    A map that is turned over has the mean 1 - m where it had m, so no second look at the photos is needed.
    """
    shown, original, units = [], [], []
    for item in inverted:
        pairs = stated_depths(Trace.from_json(item["trace"]), item["true_depths"]) if item["true_depths"] else []
        if pairs:
            shown.append(float(np.mean([within(d, mean) for d, mean in pairs])))
            original.append(float(np.mean([within(d, 1 - mean) for d, mean in pairs])))
            units.append(item["group_id"])
    return {
        "n": len(units),
        "within_tolerance_of_shown": estimate(shown, units).to_json(),
        "within_tolerance_of_original": estimate(original, units).to_json(),
    }


def _said(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} ({n})" for reason, n in left_out.items()) or "none"


def summary(found: Mapping[str, Any]) -> str:
    """The result as a table and two sentences."""
    rows = [("", "before", "after", "difference", "another answer", "items")]
    for change, effect in found["changes"].items():
        rows.append((change, *_cells(effect), str(effect["n"])))
        rows += [(f"  {task or 'no task'}", *_cells(one), "") for task, one in effect["tasks"].items()]
    lines = [f"{found['model']} on {found['benchmark']}, {found['n']} items", columns(rows)]
    if found["left_out"]:
        lines.append(f"not painted over: {_said(found['left_out'])}")
    drop = found["focus"]
    verdict = "answers from where it looks" if drop["high"] < 0 else "no sign that its answers come from its focus"
    lines.append(f"focus: occluded against elsewhere {interval(drop, with_sign=True)}: {verdict}")
    if (depth := found["depth"]) is not None and depth["n"]:
        shown, original = depth["within_tolerance_of_shown"], depth["within_tolerance_of_original"]
        follows = "follow" if shown["low"] > original["high"] else "do not follow"
        lines.append(
            f"depth, map turned over: within tolerance of the map shown {interval(shown)}, of the original "
            f"{interval(original)}: stated depths {follows} the map"
        )
    return "\n".join(lines)


def _cells(effect: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return (
        interval(effect["before"]),
        interval(effect["after"]),
        interval(effect["difference"], with_sign=True),
        interval(effect["answer_changed"]),
    )
