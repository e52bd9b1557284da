"""A dry run before training: does gold earn full marks, do damaged traces earn less, how long are rows, the plan.

Memory estimates and checks against a second engine are left out.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..draw import contact_sheet, draw_boxes
from ..prompt import build_prompt, model_images
from ..records import read_samples
from ..rewards import REWARDS
from ..rewards.corruptions import CORRUPTIONS
from ..sample import Sample
from ..trace import Trace, format_trace, parse_trace
from .config import read_yaml, recipe_names, split_config

SHEET_TILES = 24


def check(target: str, limit: int = 200, out: Path | None = None) -> dict[str, Any]:
    """Look at up to `limit` rows of a data set folder, or of the data set a config trains on.

    Returns `ready`, `problems`, `rows`, `gold_rewards` and `corrupted_rewards` (means by reward), the `contact_sheet`'s
    path, and for a config `tokens` (real lengths of prompt and completion) and `plan`.
    """
    is_config = target in recipe_names() or target.endswith((".yaml", ".yml"))
    values = read_yaml(target) if is_config else {"data": target}
    pairs = read_samples(values["data"], limit)
    problems: list[str] = []
    gold = _gold(pairs, problems)
    corrupted = _corrupted(pairs, problems)
    result: dict[str, Any] = {"rows": len(pairs), "gold_rewards": gold, "corrupted_rewards": corrupted}
    if is_config:
        result["tokens"] = _tokens(values, pairs)
        result["plan"] = plan(values)
        if result["plan"]["optimizer_steps"] < 1:
            problems.append("the data set is smaller than one batch: no optimizer step would be made")
    folder = out or Path(values["data"])
    folder.mkdir(parents=True, exist_ok=True)
    sheet = folder / "check.png"
    _sheet(pairs[:SHEET_TILES]).save(sheet)
    return {"ready": not problems, "problems": problems, **result, "contact_sheet": str(sheet)}


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _gold(pairs: Sequence[tuple[Sample, Trace | None]], problems: list[str]) -> dict[str, float | None]:
    earned: dict[str, list[float]] = {name: [] for name in REWARDS}
    for sample, trace in tqdm(pairs, desc="rewards of gold", unit="row"):
        if trace is None:
            problems.append(f"row {sample.id} has no trace")
            continue
        parsed = parse_trace(format_trace(trace), depth_required=sample.depth is not None)
        for name, reward in REWARDS.items():
            value = reward(parsed, sample)
            if value is not None:
                earned[name].append(value)
                if value < 1:
                    problems.append(f"row {sample.id}: gold earns {value:.3f} of {name}, expected 1")
    return {name: _mean(values) for name, values in earned.items()}


def _corrupted(pairs: Sequence[tuple[Sample, Trace | None]], problems: list[str]) -> dict[str, dict[str, float | None]]:
    means: dict[str, dict[str, float | None]] = {}
    for kind, corruption in CORRUPTIONS.items():
        earned: dict[str, list[float]] = {name: [] for name in sorted(corruption.lowers)}
        for index, (sample, trace) in enumerate(pairs):
            if trace is None:
                continue
            reply = corruption.apply(trace, sample, random.Random(index))
            if reply is None:
                continue
            parsed = parse_trace(reply, depth_required=sample.depth is not None)
            for name in earned:
                value = REWARDS[name](parsed, sample)
                if value is not None:
                    earned[name].append(value)
        means[kind] = {name: _mean(values) for name, values in earned.items()}
        problems += [
            f"replies damaged by {kind} earn {mean:.3f} of {name} on average, expected less than gold"
            for name, mean in means[kind].items()
            if mean is not None and mean >= 1
        ]
    return means


def _tokens(values: dict[str, Any], pairs: Sequence[tuple[Sample, Trace | None]]) -> dict[str, Any]:
    """Real lengths, counted by the model's own processor."""
    from transformers import AutoConfig

    from ..engines.processor import load_processor
    from ..prompt import DEFAULT_MAX_PIXELS, family_of
    from .run import image_grid

    max_pixels = values.get("max_pixels", DEFAULT_MAX_PIXELS)
    processor = load_processor(values["model"], max_pixels=max_pixels)
    grid = image_grid(processor, family_of(AutoConfig.from_pretrained(values["model"]).model_type))
    prompts, completions = [], []
    for sample, trace in tqdm(pairs, desc="token lengths", unit="row"):
        text = processor.apply_chat_template(build_prompt(sample), tokenize=False, add_generation_prompt=True)
        ids = processor(images=[model_images(sample, max_pixels, grid)], text=[text])["input_ids"]  # type: ignore[arg-type]
        prompts.append(len(ids[0]))
        if trace is not None:
            completions.append(len(processor.tokenizer(format_trace(trace))["input_ids"]))
    return {"prompt": _spread(prompts), "completion": _spread(completions)}


def _spread(lengths: Sequence[int]) -> dict[str, float] | None:
    if not lengths:
        return None
    return {"min": min(lengths), "mean": round(sum(lengths) / len(lengths), 1), "max": max(lengths)}


def plan(values: dict[str, Any], rows: int | None = None) -> dict[str, Any]:
    """Prompts an epoch, rows dropped, optimizer steps, as TRL's samplers will make them on one process.

    rows: size of the data set; None reads it from `values["data"]`.
    """
    import dataclasses

    from trl import GRPOConfig, SFTConfig

    from ..records import read_manifest
    from .grpo import GrpoConfig
    from .sft import SftConfig

    is_grpo = (
        bool(
            values.keys()
            & ({f.name for f in dataclasses.fields(GrpoConfig)} - {f.name for f in dataclasses.fields(SftConfig)})
        )
        or "num_generations" in values
    )
    split_config(dict(values), GrpoConfig if is_grpo else SftConfig, GRPOConfig if is_grpo else SFTConfig)
    found: int = read_manifest(Path(values["data"]))["kept"] if rows is None else rows
    rows = min(found, values.get("limit") or found)
    batch = values.get("per_device_train_batch_size", 8) * values.get("gradient_accumulation_steps", 1)
    epochs = values.get("num_train_epochs", 3)
    if is_grpo:
        per_step = batch // values.get("num_generations", 8)
        steps_per_epoch = rows // per_step if per_step else 0
        dropped = rows - steps_per_epoch * per_step
    else:
        per_step, steps_per_epoch, dropped = batch, math.ceil(rows / batch), 0
    steps = values.get("max_steps", -1)
    return {
        "stage": "grpo" if is_grpo else "sft",
        "rows": rows,
        "prompts_per_step": per_step,
        "rows_dropped_per_epoch": dropped,
        "optimizer_steps": steps if steps > 0 else int(steps_per_epoch * epochs),
    }


def _sheet(pairs: Sequence[tuple[Sample, Trace | None]]) -> Any:
    tiles = [(draw_boxes(sample.photo(), sample.boxes), f"{sample.question} - {sample.answer}") for sample, _ in pairs]
    return contact_sheet(tiles)


def summary(result: dict[str, Any]) -> str:
    """The result for a terminal."""
    lines = [f"rows looked at: {result['rows']}"]
    lines += [f"  gold earns {_show(v)} of {name}" for name, v in result["gold_rewards"].items()]
    for kind, earned in result["corrupted_rewards"].items():
        lines.append(f"  {kind}: " + ", ".join(f"{name} {_show(v)}" for name, v in earned.items()))
    for part in ("tokens", "plan"):
        if part in result:
            lines.append(f"{part}: {result[part]}")
    lines.append(f"contact sheet: {result['contact_sheet']}")
    lines += [f"problem: {p}" for p in result["problems"][:20]]
    if len(result["problems"]) > 20:
        lines.append(f"... and {len(result['problems']) - 20} more problems")
    lines.append("ready" if result["ready"] else "not ready")
    return "\n".join(lines)


def _show(value: float | None) -> str:
    return "(does not apply)" if value is None else f"{value:.3f}"
