"""A dry run before training: does gold earn full marks, do damaged traces earn less, how long are rows, the plan, and
the memory that a step will take (`memory.estimate`).

Checks against a second engine are left out.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image
from tqdm import tqdm

from ..draw import contact_sheet, draw_boxes, text_picture
from ..engines.processor import load_processor, model_config, pixel_grid
from ..errors import InputError, SifError
from ..prompt import family_of
from ..recipes import recipe_names
from ..records import Row, altered_shards, count_rows, disk_errors, from_row, read_rows, read_samples
from ..rewards import REWARDS, Reward
from ..rewards.corruptions import CORRUPTIONS
from ..sample import Sample, parse_reply
from ..trace import Trace, format_trace
from .config import fields_of, read_arguments, split_config
from .data import allowed_unreadable, as_asked, stored_text
from .lengths import NAMED, ruler_of
from .parts import refuse_without
from .stages import read_stages
from .trl_rewards import PROGRESS, find_rewards, finite

READ = 64
"""Rows whose pictures are decoded side by side."""
SHEET_TILES = 24
BLANK = (320, 240)
"""Size of the tile of a question in words."""

Pairs = Sequence[tuple[Sample, Trace | None]]


def check(target: str, *flags: str, limit: int = 200, out: Path | None = None) -> dict[str, Any]:
    """Look at a data set folder, or at the data set a config trains on: at up to `limit` rows with their rewards, and
    at the pictures and lengths of all rows that would be trained on.

    target, flags: a folder (with --model and other fields if its tokens are to be counted), or a config file or recipe
    with --field value over it, in any order.
    Returns `ready`, `problems`, `rows`, `unreadable` (ids of rows whose pictures cannot be decoded), `gold_rewards` and
    `corrupted_rewards` (means by reward, also of the config's own), the `contact_sheet`'s path, and for a config
    `tokens` (real lengths of prompt and completion), `too_long` (which prompts are, and what becomes of them; "" for
    none), `plan`, and `memory` (bytes by part).
    Raises `InputError` for what would end the training command in one line, too.
    """
    folder, config, args = target, None, None
    if flags or target in recipe_names() or target.endswith((".yaml", ".yml")):
        config, args = read_config([target, *_planned(target), *flags])
        folder = config.data
        if config.eval_data is not None:
            read_samples(config.eval_data, 1)
    problems = [f"{name}: not as it was when the data set was finished, or gone" for name in altered_shards(folder)]
    most, depth = (None, "source") if config is None else (config.limit, config.depth)
    pairs, unreadable = _decoded(folder, most, limit, depth, problems)
    functions = REWARDS | _own(config)
    gold = _gold(pairs, functions, problems)
    corrupted = _corrupted(pairs, functions, problems)
    result: dict[str, Any] = {
        "rows": len(pairs), "total": count_rows(folder, most), "unreadable": unreadable,
        "gold_rewards": gold, "corrupted_rewards": corrupted,
    }  # fmt: skip
    if config is not None:
        from .grpo import GrpoConfig, warn_of_few_visits
        from .windows import plan

        result["tokens"], result["too_long"], kept = _tokens(config, args, problems)
        result["plan"] = plan(args, kept)
        result["memory"] = _memory(config, args, result["tokens"], problems)
        longest, most = result["tokens"]["completion"], getattr(args, "max_completion_length", None)
        if longest and most is not None and longest["max"] > most:
            problems.append(
                f"gold traces have up to {longest['max']} tokens, max_completion_length is {most}: raise it, or "
                "whoever answers like gold is cut off"
            )
        if result["plan"]["optimizer_steps"] < 1:
            problems.append("the data set is smaller than one batch: no optimizer step would be made")
        if isinstance(config, GrpoConfig):
            warn_of_few_visits(config, result["plan"])
    sheet = (out or Path(folder)) / "check.png"
    with disk_errors(sheet):
        sheet.parent.mkdir(parents=True, exist_ok=True)
        _sheet(pairs[:: max(1, len(pairs) // SHEET_TILES)][:SHEET_TILES]).save(sheet)
    return {"ready": not problems, "problems": problems, **result, "contact_sheet": str(sheet)}


def _planned(target: str) -> list[str]:
    """What a config would have to say of a data set folder: nothing is trained here, so a model is enough."""
    import torch

    if not Path(target).is_dir():
        return []
    return ["--out", target, *([] if torch.cuda.is_available() else ["--use_cpu"])]


def read_config(arguments: Sequence[str]) -> tuple[Any, Any]:
    """Our config and TRL's, as the stage that the fields belong to would make them; of several stages the first.

    Raises `InputError` for what that stage would refuse before it loads the model.
    """
    from trl import GRPOConfig, SFTConfig

    from . import grpo, sft

    stages: list[tuple[ModuleType, type, type]] = [
        (sft, sft.SftConfig, SFTConfig),
        (grpo, grpo.GrpoConfig, GRPOConfig),
    ]
    values = read_arguments(arguments, *(kind for _, *kinds in stages for kind in kinds))
    if "stages" in values:
        # All are read, so that a mistake in a later one is told now.
        first, *others = read_stages(values)
        for stage in others:
            stage.trl_args()
        return first.config, first.trl_args()
    # What the file says it is for, else the stage that knows more of the fields; SFT where both know all of them.
    said = [stage for stage in stages if stage[0].__name__.endswith(f".{values.get('stage')}")]
    module, ours, trl = max(said or stages, key=lambda stage: sum(name in fields_of(*stage[1:]) for name in values))
    config, rest = split_config(values, ours, trl)
    return config, module.trl_args(config, rest)


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _own(config: Any) -> dict[str, Reward]:
    """The user's own rewards of a config. Nobody knows what is full of them, or what must lower them."""
    names = getattr(config, "rewards", ())
    found = find_rewards(names, config.profile) if names else {}
    return {name: function for name, function in found.items() if name not in (*REWARDS, PROGRESS)}


def _earned(reply: str, sample: Sample, functions: Mapping[str, Reward]) -> dict[str, float | None]:
    trace = parse_reply(reply, sample)
    return {name: _value(name, reward, trace, sample) for name, reward in functions.items()}


def _value(name: str, reward: Reward, trace: Trace, sample: Sample) -> float | None:
    if name in REWARDS:
        return reward(trace, sample)
    try:
        return finite(name, reward(trace, sample), sample)
    except SifError as error:
        raise InputError(str(error)) from error
    except Exception as error:
        raise InputError(
            f"reward {name} fails on a reply to row {sample.id}, and would end the run: {error!r}; it has to take "
            f"every trace, also one without steps or answer (here: {len(trace.steps)} steps, answer {trace.answer!r})"
        ) from error


def _gold(pairs: Pairs, functions: Mapping[str, Reward], problems: list[str]) -> dict[str, float | None]:
    earned: dict[str, list[float]] = {name: [] for name in functions}
    for sample, trace in tqdm(pairs, desc="rewards of gold", unit="row"):
        if trace is None:
            problems.append(f"row {sample.id} has no trace")
            continue
        for name, value in _earned(format_trace(trace), sample, functions).items():
            if value is not None:
                earned[name].append(value)
                if value < 1 and name in REWARDS:
                    problems.append(f"row {sample.id}: gold earns {value:.3f} of {name}, expected 1")
    problems += [f"id {i} stands {n} times; ids tell samples apart" for i, n in _ids(pairs).items() if n > 1]
    return {name: _mean(values) for name, values in earned.items()}


def _ids(pairs: Pairs) -> Counter[str]:
    return Counter(sample.id for sample, _ in pairs)


def _corrupted(
    pairs: Pairs, functions: Mapping[str, Reward], problems: list[str]
) -> dict[str, dict[str, float | None]]:
    """Means of the rewards that each damage must lower; row by row, those must fall and all others of ours must not.

    Also means of the user's own.
    """
    own = [name for name in functions if name not in REWARDS]
    means: dict[str, dict[str, float | None]] = {}
    for kind, corruption in tqdm(CORRUPTIONS.items(), desc="rewards of damaged traces", unit="kind"):
        earned: dict[str, list[float]] = {name: [] for name in (*sorted(corruption.lowers), *own)}
        for index, (sample, trace) in enumerate(pairs):
            reply = None if trace is None else corruption.apply(trace, sample, random.Random(index))
            if reply is None or trace is None:
                continue
            gold = _earned(format_trace(trace), sample, functions)
            for name, value in _earned(reply, sample, functions).items():
                before = gold.get(name)
                if name in own:
                    if value is not None:
                        earned[name].append(value)
                    elif before is not None:
                        problems.append(
                            f"row {sample.id}: {name} judges gold but not {kind}; None is for samples that nobody can "
                            "judge, whatever the reply: pay 0 for what cannot be read"
                        )
                    continue
                if value is None or before is None:
                    continue
                if name in earned:
                    earned[name].append(value)
                    if value >= before:
                        problems.append(f"row {sample.id}: {kind} earns {value:.3f} of {name}, expected less than gold")
                elif value < before:
                    problems.append(
                        f"row {sample.id}: {kind} earns {value:.3f} of {name}, expected {before:.3f} as gold"
                    )
        means[kind] = {name: _mean(values) for name, values in earned.items()}
    return means


def _decoded(
    folder: str, most: int | None, limit: int, depth: str, problems: list[str]
) -> tuple[list[tuple[Sample, Trace | None]], list[str]]:
    """`limit` rows, spread over the set, and the ids of those, of all or the first `most`, that cannot be decoded."""
    pairs: list[tuple[Sample, Trace | None]] = []
    unreadable: list[str] = []
    rows, total = (as_asked(row, depth) for row in itertools.islice(read_rows(folder), most)), count_rows(folder, most)
    count = min(limit, total)
    # Sources stand one after the other: the first rows are of the first.
    wanted = {i * total // count for i in range(count)}
    numbers = itertools.count()
    with ThreadPoolExecutor() as pool, tqdm(total=total, desc="pictures", unit="row") as bar:
        while batch := list(itertools.islice(rows, READ)):
            for row, pair, number in zip(batch, pool.map(_pair, batch), numbers, strict=False):
                if isinstance(pair, InputError):
                    unreadable.append(row["id"])
                    problems.append(str(pair))
                elif number in wanted:
                    pairs.append(pair)
            bar.update(len(batch))
    if len(unreadable) > (allowed := allowed_unreadable(total)):
        problems.append(
            f"{len(unreadable)} of {total} rows cannot be decoded: training goes on without at most {allowed}"
        )
    return pairs, unreadable


def _pair(row: Row) -> tuple[Sample, Trace | None] | InputError:
    try:
        return from_row(row)
    except InputError as error:
        return error


def _tokens(config: Any, args: Any, problems: list[str]) -> tuple[dict[str, Any], str, int]:
    """Real lengths, what is too long, and how many rows are left to train on, as the training command finds them."""
    processor = load_processor(config.model, max_pixels=config.max_pixels)
    grid = pixel_grid(processor) or family_of(model_config(config.model).model_type).grid
    ruler = ruler_of(config, args, processor, grid)

    def asked() -> Iterator[Row]:
        return (as_asked(row, config.depth) for row in itertools.islice(read_rows(config.data), config.limit))

    if getattr(config, "only", None) is not None:
        refuse_without(config.only, config.data, (stored_text(config.target, row) for row in asked()))
    rows = asked()
    lengths = ruler.lengths(rows, count_rows(config.data, config.limit))
    fit = ruler.fit(lengths)
    says = ruler.says(lengths, fit)
    if fit.stuck or not fit.keep:
        problems.append(says)
    tokens = {
        "prompt": _spread([row.prompt for row in lengths if row.prompt is not None]),
        "completion": _spread([row.completion for row in lengths if row.completion]),
    }
    return tokens, says, len(fit.keep)


def _memory(config: Any, args: Any, tokens: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """Bytes by part for one device; a problem where a GPU is there and too small."""
    import torch

    from .memory import GIB, estimate
    from .run import lora_config

    generations = getattr(args, "num_generations", None) or 1
    rows = args.per_device_train_batch_size
    longest = tokens["completion"]["max"] if tokens["completion"] else 0
    dtype = config.dtype if config.dtype != "auto" else "bfloat16" if torch.cuda.is_available() else "float32"
    found = estimate(
        model_config(config.model),
        dtype=getattr(torch, dtype),
        prompt=tokens["prompt"]["max"] if tokens["prompt"] else 0,
        completion=getattr(args, "max_completion_length", None) or longest,
        group=generations,
        rows=rows,
        window_rows=rows * (getattr(args, "steps_per_generation", None) or 0),
        lora=lora_config(config.lora_r, config.lora_alpha, config.lora_dropout) if config.lora else None,
        freeze_vision=config.freeze_vision,
        quantize=config.quantize,
        checkpointing=args.gradient_checkpointing,
        beta=getattr(args, "beta", 0.0),
    )
    shared = getattr(config, "prefix_sharing", "off") != "off"
    peak = max(found["total"]["training_shared" if shared else "training_unshared"], found["total"]["rollout"])
    if torch.cuda.is_available():
        there = torch.cuda.get_device_properties(0).total_memory
        if peak > 0.9 * there:
            problems.append(
                f"a step needs about {peak / GIB:.1f} GiB, this GPU has {there / GIB:.1f}: lower "
                "per_device_train_batch_size, max_completion_length or max_pixels, or train an adapter (lora)"
            )
    return {**found, "peak": peak}


def _spread(lengths: Sequence[int]) -> dict[str, float] | None:
    if not lengths:
        return None
    return {"min": min(lengths), "mean": round(sum(lengths) / len(lengths), 1), "max": max(lengths)}


def _sheet(pairs: Pairs) -> Any:
    tiles = [(_picture(sample), f"{sample.question} - {sample.answer}") for sample, _ in pairs]
    return contact_sheet(tiles)


def _picture(sample: Sample) -> Image.Image:
    if sample.image is None:
        return text_picture(sample.question, BLANK)
    return draw_boxes(sample.photo(), sample.boxes)


def summary(result: dict[str, Any]) -> str:
    """The result for a terminal."""
    lines = [f"rows looked at: {result['rows']} of {result['total']}"]
    if unreadable := result["unreadable"]:
        named = ", ".join(unreadable[:NAMED] + ["..."] * (len(unreadable) > NAMED))
        lines.append(f"rows whose pictures cannot be decoded: {len(unreadable)} ({named})")
    lines += [f"  gold earns {_show(v)} of {name}" for name, v in result["gold_rewards"].items()]
    lines.append("damaged traces, and what they earn of the rewards that the damage must lower (gold earns 1):")
    for kind, earned in result["corrupted_rewards"].items():
        marks = ", ".join(f"{name} {_show(v)}" for name, v in earned.items())
        lines.append(f"  {kind} ({CORRUPTIONS[kind].about}): {marks or 'nothing that must fall'}")
    for part, spread in result.get("tokens", {}).items():
        if spread:
            lines.append(f"tokens of a {part}: {spread['min']} to {spread['max']}, {spread['mean']} in the mean")
    if plan := result.get("plan"):
        lines.append(
            f"plan: {plan['optimizer_steps']} optimizer steps of {plan['prompts_per_step']} prompts, "
            f"{plan['epochs']} epochs of {plan['rows']} rows ({plan['rows_dropped_per_epoch']} dropped in each)"
        )
    if result.get("too_long"):
        lines.append(f"too long: {result['too_long']}")
    if memory := result.get("memory"):
        parts = {k: v for k, v in memory.items() if isinstance(v, int) and k not in ("parameters", "trained", "peak")}
        parts["activations"] = memory["activations"]["shared"]
        lines.append(
            f"memory: about {_size(memory['peak'])} for {memory['parameters'] / 1e6:.1f} M parameters, of which "
            f"{memory['trained'] / 1e6:.1f} M are trained ("
            + ", ".join(f"{name} {_size(value)}" for name, value in parts.items() if value)
            + ")"
        )
    lines.append(f"contact sheet: {result['contact_sheet']}")
    lines += [f"problem: {p}" for p in result["problems"][:20]]
    if len(result["problems"]) > 20:
        lines.append(f"... and {len(result['problems']) - 20} more problems")
    lines.append("ready" if result["ready"] else "not ready")
    return "\n".join(lines)


def _size(value: float) -> str:
    """Bytes as people say them."""
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.1f} MiB"


def _show(value: float | None) -> str:
    return "(does not apply)" if value is None else f"{value:.3f}"
