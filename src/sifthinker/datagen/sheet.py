"""What a person opens first in a data set folder: the contact sheet and the card."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from ..draw import GREEN, Color, color_depth, contact_sheet, draw_boxes, text_picture
from ..png import png_bytes
from ..records import from_row, rows_at
from ..sample import Sample
from ..trace import Trace
from .outcome import REASONS

TILES = 16
TILE = (640, 260)
CHAIN: Color = (255, 176, 0)
"""Areas on the way to the evidence; gold boxes are green."""


def sheet(folder: Path, kept: int, seed: int) -> bytes:
    """A PNG of rows chosen by `seed`: chain and gold boxes on the photo, gold boxes on the depth map."""
    if not kept:
        picture = contact_sheet([(Image.new("RGB", TILE, (240, 240, 240)), "No row was kept; see rejects.jsonl.")])
    else:
        numbers = sorted(np.random.default_rng(seed).choice(kept, min(TILES, kept), replace=False).tolist())
        tiles = []
        for row in rows_at(folder, numbers):
            sample, trace = from_row(row)
            tiles.append((tile(sample, trace), caption(sample, trace)))
        picture = contact_sheet(tiles, columns=2, tile=TILE, max_lines=5)
    return png_bytes(np.asarray(picture))


def tile(sample: Sample, trace: Trace | None) -> Image.Image:
    """Photo and, where there is one, depth map: side by side, or one above the other where they are wide."""
    if sample.image is None:
        return text_picture(sample.question, TILE)
    photo, depth = sample.photo(), sample.depth_map()
    chain = [box for step in trace.steps[:-1] for box in step.area.boxes if not box.is_whole] if trace else []
    views = [draw_boxes(draw_boxes(photo, chain, color=CHAIN), sample.boxes, color=GREEN)]
    if depth is not None:
        views.append(draw_boxes(color_depth(depth), sample.boxes, color=GREEN).resize(views[0].size))
    width, height = views[0].size
    below = width > 2 * height
    step = (0, height + 8) if below else (width + 8, 0)
    last = len(views) - 1
    canvas = Image.new("RGB", (width + last * step[0], height + last * step[1]), (255, 255, 255))
    for number, view in enumerate(views):
        canvas.paste(view, (number * step[0], number * step[1]))
    return canvas


def caption(sample: Sample, trace: Trace | None) -> str:
    """Id, question if there is a photo beside it, answer, and the last words of the chain."""
    choices = " ".join(f"({chr(65 + i)}) {c}" for i, c in enumerate(sample.choices))
    last = f"\n{trace.steps[-1].text}" if trace and trace.steps else ""
    asked = [] if sample.image is None else [sample.question]
    words = " ".join([*asked, choices]).strip()
    return "\n".join([sample.id, *([words] if words else []), f"-> {sample.answer}{last}"])


def card(manifest: Mapping[str, Any]) -> str:
    """README.md of the folder, with the header from which the Hugging Face hub knows the files."""
    generated, terms_of = manifest["kind"] == "scenes", manifest["licenses"]
    what = "Generated scenes" if generated else "Photos"
    if generated:
        terms = (
            "Everything in it was generated."
            if not manifest["config"]["real"]
            else ("The frames are under the terms of their source; this folder adds no rights to them.")
        )
    else:
        terms = "The photos and annotations are under the terms of their sources; this folder adds no rights to them."
    sources, rejects = [], []
    for name, found in manifest["by_source"].items():
        sources.append((name, found["read"], found["kept"], found["read"] - found["kept"], terms_of.get(name, "")))
        rejects += [(name, reason, n, REASONS.get(reason, "")) for reason, n in found["rejects_by_reason"].items()]
    notes = "".join(f"- {note}\n" for note in (missed_total(manifest), found_by_name(manifest), cost(manifest)) if note)
    return f"""---
configs:
- config_name: default
  data_files: data-*.parquet
task_categories:
- visual-question-answering
---

# SIF data set from {manifest["source"]}

{what}, depth maps, questions, gold boxes, and gold traces that look at the evidence before they answer. Made by
sifthinker {manifest["versions"]["sifthinker"]} with seed {manifest["seed"]}.

- read {manifest["read"]}, kept {manifest["kept"]}, rejected {manifest["rejected"]} (rejects.jsonl gives each reason)
- with a depth map: {manifest["with_depth"]}
- prompt {manifest["prompt_hash"]}, row schema {manifest["schema"]}
- who wrote the words: {manifest["annotator"]}. {_written(manifest["annotator"], generated)}
- sha256 of the digests of all shards: {digest(manifest)}
{notes}
{terms}

{_table(("source", "read", "kept", "rejected", "terms"), sources)}
{_table(("task", "kept"), ((task or "(none)", n) for task, n in manifest["tasks"].items()))}
{_table(("source", "rejected because", "rows", "meaning"), rejects) if rejects else ""}
Boxes are unit xyxy of the photo. Depth is relative, 0 nearest and 1 farthest, in traces; the depth column keeps 16 bits
a pixel and says what they mean. contact_sheet.png shows rows spread over the set: gold boxes green, the way to them
orange.

## Recipe

What was asked for, as `manifest.json` has it; the same settings make the same bytes.

```yaml
{yaml.safe_dump(dict(manifest["config"]), sort_keys=False, allow_unicode=True).strip()}
```
"""


def missed_total(manifest: Mapping[str, Any]) -> str:
    """By how much, and where, the total of a recipe was missed; "" where it was not, or there is none."""
    wanted = {name: found["wanted"] for name, found in manifest.get("by_source", {}).items() if "wanted" in found}
    total = sum(wanted.values())
    if manifest["kept"] >= total:
        return ""
    found = manifest["by_source"]
    parts = [f"{name} {found[name]['kept']} of {n}" for name, n in wanted.items() if found[name]["kept"] < n]
    return (
        f"{manifest['kept']} of the total of {total} rows: {', '.join(parts)}. What a source lacks or has rejected is "
        "not made up for by others: give it more rows, or the others more weight"
    )


def found_by_name(manifest: Mapping[str, Any]) -> str:
    """How many rows have photos that only their file names tell; "" where there are none."""
    if (found := manifest.get("found_by_name")) is None:
        return ""
    return (
        f"rows whose photo was found by its file name alone, in another folder than the row says: {found['rows']}, for "
        f"example {found['example']}. Make sure that it is the same, or give the folder where the rows' paths begin"
    )


def cost(manifest: Mapping[str, Any]) -> str:
    """What the words of a teacher cost, over all runs; "" where there was none."""
    if (spent := manifest.get("cost")) is None:
        return ""
    money = "" if spent["money"] is None else f", {spent['money']:.4g} in money"
    return (
        f"cost of {spent['replies']} replies: {spent['prompt_tokens']} tokens of prompts, "
        f"{spent['completion_tokens']} of replies{money}. Replies of an earlier data set that were read again cost "
        "nothing"
    )


def digest(manifest: Mapping[str, Any]) -> str:
    """One hash for all rows of a data set."""
    return hashlib.sha256("".join(shard["sha256"] for shard in manifest["shards"]).encode()).hexdigest()


def _written(annotator: str, generated: bool) -> str:
    if generated:
        return "The rules of the tasks: the wording is plain and repetitive."
    if "," in annotator:
        return "Drawn for each row in these shares; the column annotator says who wrote it."
    if annotator.startswith("template"):
        return "Templates, not a model: the wording is plain and repetitive."
    return f"The model {annotator}, checked against the given boxes and the gold answer."


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
