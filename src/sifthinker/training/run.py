"""A training run and its folder: config, checkpoints, log, resume. Shared by `sft` and `grpo`.

RUN/training.json        config as given and as resolved with TRL's defaults, versions, git commit, prompt hash
RUN/log_history.jsonl    one line per logged step
RUN/alarms.jsonl         what was wrong with it, and since when (GRPO)
RUN/evals, RUN/sheets    what was said in evaluations and drawn of rollouts; see `evaluation` and `sheets`
RUN/runs/                TensorBoard's events
RUN/checkpoint-N/        TRL's checkpoints, written last to first so that a torn one is never taken up
RUN/model files          the final model or adapter, with its processor, card and stamp
RUN/cache/               memory-mapped rows; there while the run goes on, removed at its end
"""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import sys
import warnings
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm
from transformers import EarlyStoppingCallback, ProgressCallback, TrainerCallback
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from transformers.trainer_callback import TrainerState

from ..engines.processor import load_model, load_processor, model_config
from ..engines.stamp import compare_stamp, write_stamp
from ..errors import InputError, SifError, disk_full, unknown_name
from ..metrics import HEADLINE, LOWER_IS_BETTER
from ..prompt import Family, family_of, prompt_hash
from ..provenance import provenance
from ..records import atomic_write, disk_errors
from ..rewards import REWARDS
from .config import trl_refusals
from .data import CACHE, DEPTHS
from .health import ALARMS, alarms_of, read_lines
from .pictures import batch_pictures

if TYPE_CHECKING:
    from datasets import Dataset as Rows
    from transformers import PreTrainedModel, ProcessorMixin

    from .evaluation import HeldOut
    from .grpo import GrpoConfig
    from .sft import SftConfig

QUANTIZE = ("4bit", "8bit")
VISION = r".*(visual|vision_tower|vision_model|multi_modal_projector|mm_projector).*"
"""Modules of vision towers and of what joins them to the language model."""
RECORD, LOG = "training.json", "log_history.jsonl"

METRICS = ("accuracy", *HEADLINE[1:], "unparsed", *(f"rewards/{name}/mean" for name in REWARDS))
"""What is measured in evaluations, as `metric_for_best_model` takes it."""


def build_args(kind: type, settings: dict[str, Any], config: Any) -> Any:
    """TRL's config. settings: its fields, over our defaults for reports and evaluations. config: our part.

    Raises `InputError` for values that it refuses, for evaluations without samples, and for missing packages.
    """
    if config.depth not in DEPTHS:
        raise unknown_name("depth", config.depth, DEPTHS)
    with trl_refusals(), warnings.catch_warnings():
        # TRL sets the field of that name by itself, so nobody could avoid the warning.
        warnings.filterwarnings("ignore", message="`gradient_checkpointing")
        ours = {"report_to": _reports(settings.get("report_to")), **_precision(settings)}
        args = kind(**{**_evaluating(settings, config), **settings, **ours})
    if config.eval_data is None and args.eval_strategy != "no":
        raise InputError("eval_strategy: there is nothing to evaluate on; give held-out samples with eval_data")
    if config.patience is not None and args.eval_strategy == "no":
        raise InputError("patience: it counts evaluations, which eval_strategy says not to make; leave one of them out")
    if args.load_best_model_at_end or args.save_strategy == "best":
        name = args.metric_for_best_model.removeprefix("eval_")
        if name not in METRICS:
            raise InputError(f"metric_for_best_model {name!r}: not measured; known: {', '.join(METRICS)}")
    return args


def _precision(settings: dict[str, Any]) -> dict[str, Any]:
    """float32 on a CPU that has to emulate bfloat16, which takes some ten times as long."""
    if not settings.get("use_cpu") or settings.get("bf16") is False or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return {}
    if settings.get("bf16"):
        warnings.warn("this CPU has no instructions for bfloat16: float32 is used, which is faster here", stacklevel=3)
    return {"bf16": False}


def _evaluating(settings: dict[str, Any], config: Any) -> dict[str, Any]:
    """TRL's fields about evaluation as they are where nothing else is said."""
    if config.eval_data is None:
        if config.patience is not None:
            raise InputError("patience: it counts evaluations; give held-out samples with eval_data")
        return {}
    for name in ("eval_limit", "patience"):
        if (value := getattr(config, name)) is not None and value < 1:
            raise InputError(f"{name} {value}: expected 1 or more")
    saving = settings.get("save_strategy", "steps")
    found: dict[str, Any] = {"eval_strategy": saving if saving in ("steps", "epoch") else "steps"}
    # transformers' default would be every logged step.
    found["eval_steps"] = settings.get("save_steps", 500)
    if config.patience is not None:
        # Else a resumed run would begin to count anew.
        found |= {"load_best_model_at_end": True, "restore_callback_states_from_checkpoint": True}
    if {**found, **settings}.get("load_best_model_at_end") or saving == "best":
        metric = settings.get("metric_for_best_model") or "accuracy"
        lower = metric.removeprefix("eval_") in LOWER_IS_BETTER | {"unparsed"}
        found |= {"metric_for_best_model": metric, "greater_is_better": not lower}
    return found


def _reports(wanted: Any) -> list[str]:
    """Where numbers are sent: what is asked for, else TensorBoard. Raises `InputError` for a missing package."""
    if wanted is None:
        if find_spec("tensorboard") is None:
            warnings.warn("tensorboard is not installed, so there are no curves while the run goes on", stacklevel=2)
            return []
        return ["tensorboard"]
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name in ("tensorboard", "wandb", "trackio") and find_spec(name) is None:
            raise InputError(f"report_to: {name} is not installed: pip install {name}")
        if name not in (*INTEGRATION_TO_CALLBACK, "none", "all"):
            raise InputError(f"report_to: unknown {name!r}; known: none, all, {', '.join(INTEGRATION_TO_CALLBACK)}")
    return names


def find_checkpoint(out: Path) -> Path | None:
    """The newest checkpoint that was written to its end: `trainer_state.json` comes last and can be read."""
    numbered = [p for p in out.glob("checkpoint-*") if p.name.removeprefix("checkpoint-").isdecimal()]
    for folder in sorted(numbered, key=_step, reverse=True):
        try:
            json.loads((folder / "trainer_state.json").read_text())
        except (OSError, ValueError):
            continue
        return folder
    return None


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def find_start(out: Path, given: dict[str, Any], config: Any, processes: int = 1) -> Path | None:
    """The checkpoint to go on from, or None for a fresh start, also after one that had not saved anything yet.

    given: the config as it was given; see `config.to_dict`. config: our part of it. Fields that an older version did
    not have are taken for their defaults there. processes: that train together.
    Raises `InputError` when the folder holds a run and `resume` is false, and when that was made with another prompt,
    other settings or another number of processes. Writes nothing.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out needs a folder")
    checkpoint = find_checkpoint(out)
    if checkpoint is None and not any(out.glob("*.safetensors")):
        return None
    if not config.resume:
        raise InputError(f"{out} already holds a run: give --resume to go on with it, or another --out")
    try:
        before = json.loads((out / RECORD).read_text())
    except FileNotFoundError as error:
        raise InputError(
            f"{out}: holds a model but no {RECORD}, so it is no run to resume; give another --out"
        ) from error
    if before["prompt_hash"] != prompt_hash():
        raise InputError(f"{out} was started with another prompt ({before['prompt_hash']}, now {prompt_hash()})")
    if (before_it := before.get("processes", processes)) != processes:
        raise InputError(f"{out} was started in {before_it} processes, now {processes}: resume it in as many")
    defaults = {f.name: f.default for f in fields(config) if f.default is not MISSING}
    now, then = _as_read_back(given), {**_as_read_back(defaults), **before["config"]}
    changed = sorted(k for k in now.keys() | then.keys() if now.get(k) != then.get(k) and k not in ("resume", "out"))
    if changed:
        raise InputError(f"{out} was started with other settings: {', '.join(changed)}; restore them or start anew")
    return checkpoint


def finished(out: Path) -> bool:
    """Whether the run in a folder has come to its end: the model is there, and the cache, which goes last, is not."""
    return any(out.glob("*.safetensors")) and (out / RECORD).exists() and not (out / CACHE).exists()


def say_finished(out: Path, checkpoint: Path | None, first: bool) -> dict[str, float]:
    """Say, in the first process, that there is nothing to resume; returns TRL's last metrics.

    checkpoint: the newest, which knows how many steps there were to be.
    """
    last = {"step": 0, **(read_lines(out / LOG) or [{}])[-1]}
    step, most = last.pop("step"), None
    if checkpoint is not None:
        most = json.loads((checkpoint / "trainer_state.json").read_text())["max_steps"]
    if first:
        early = f" of {most}, since evaluations got no better" if most is not None and step < most else ""
        print(f"{out}: finished at step {step}{early}; to train on, start a run with --model {out}", flush=True)
    return last


def _as_read_back(config: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(config, default=str))  # tuples are lists


def record_of(stage: str, config: dict[str, Any], args: Any) -> dict[str, Any]:
    """What `training.json` says. args: TRL's config, whose defaults are part of what was run."""
    resolved = {key: value for key, value in sorted(args.to_dict().items()) if _plain(value)}
    return {
        "schema": 1,
        "stage": stage,
        **provenance(),
        "prompt_hash": prompt_hash(),
        "seed": args.seed,
        "processes": args.world_size,
        "config": _as_read_back(config),
        "resolved": resolved,
    }


def _plain(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def run(trainer: Any, out: Path, record: dict[str, Any], checkpoint: Path | None) -> dict[str, float]:
    """Train from `checkpoint` or from the start, save the model to `out`, and return TRL's last metrics.

    Raises `InputError` when the disk is full.
    """
    if trainer.is_world_process_zero():
        with disk_errors(out):
            out.mkdir(parents=True, exist_ok=True)
        atomic_write(out / RECORD, json.dumps(record, indent=2))
        _cut_log(out / LOG, checkpoint)
    if not trainer.args.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(ShortLines())
    try:
        result = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.save_model(str(out))
    except Exception as error:
        if not disk_full(error):
            raise
        last = find_checkpoint(out)
        raise InputError(
            f"{out}: disk full at step {trainer.state.global_step}; free some space, or set save_total_limit, and give "
            f"--resume to go on from {last.name if last else 'the start: no checkpoint is complete yet'}"
        ) from error
    trainer.accelerator.wait_for_everyone()
    if trainer.is_local_process_zero():
        shutil.rmtree(out / CACHE, ignore_errors=True)
    if trainer.is_world_process_zero():
        print(f"{out}: done, {trainer.state.global_step} steps; to ask it: sifthinker eval --model {out}", flush=True)
    return result.metrics


def sign(folder: Path, record: dict[str, Any]) -> None:
    """Write stamp and card into a folder to which a model was just saved."""
    write_stamp(folder, record["config"]["max_pixels"], record["config"].get("quantize"))
    atomic_write(folder / "README.md", model_card(record))


def model_card(record: dict[str, Any]) -> str:
    """What is known about the weights, and nothing else."""
    config, quantize = record["config"], record["config"].get("quantize", "")
    facts = {
        "trained from": config["model"],
        "base in training": quantize and f"{quantize}; the adapter goes on the base as it is, `merge` does that",
        "data": config["data"],
        "stage": record["stage"],
        "rewards": ", ".join(config.get("rewards", ())),
        "prompt hash": record["prompt_hash"],
        "pixels of a picture": config["max_pixels"],
        "seed": record["seed"],
        "sifthinker": f"{record['sifthinker']}, commit {record['git_commit'] or 'unknown'}",
        "versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }
    lines = [f"- {name}: {value}" for name, value in facts.items() if value not in ("", None)]
    settings = "\n".join(f"    {key}: {json.dumps(value)}" for key, value in sorted(config.items()))
    return "\n".join([f"# Weights of `sifthinker {record['stage']}`", "", *lines, "", "Config:", "", settings, ""])


def _cut_log(path: Path, checkpoint: Path | None) -> None:
    """Drop logged steps after the checkpoint: they will be run, and logged, again."""
    step = _step(checkpoint) if checkpoint else 0
    if path.exists():
        kept = [row for row in read_lines(path) if checkpoint and row["step"] <= step]
        atomic_write(path, "".join(json.dumps(row) + "\n" for row in kept))


SHOWN = {
    "loss": "loss",
    "mean_token_accuracy": "token accuracy",
    "reward": "reward",
    "reward_std": "its deviation",
    "kl": "kl",
    "completions/mean_length": "tokens",
    "learning_rate": "learning rate",
}
"""What a line on the terminal says of a logged row, beside rewards and evaluations; `log_history.jsonl` has all."""


def short_line(step: int, logs: Mapping[str, Any]) -> str:
    """A logged row for the terminal; "" where there is nothing to say.

    >>> short_line(20, {"loss": 0.51234, "rewards/focus_reward/mean": 0.25, "learning_rate": 1e-5, "epoch": 0.1})
    'step 20: loss 0.512, learning rate 1e-05, focus 0.250'
    """
    said = [(words, logs[name]) for name, words in SHOWN.items() if name in logs]
    for name, value in logs.items():
        if name.startswith("rewards/") and name.endswith("/mean"):
            said.append((name.split("/")[1].removesuffix("_reward"), value))
        elif name.startswith("eval_") and not name.endswith(("_runtime", "_per_second")):
            said.append((name.removeprefix("eval_").replace("_", " "), value))
    shown = [
        f"{words} {value:.3g}" if words == "learning rate" else f"{words} {value:.3f}"
        for words, value in said
        if isinstance(value, (int, float))
    ]
    return f"step {step}: {', '.join(shown)}" if shown else ""


class ShortLines(ProgressCallback):
    """The trainer's progress bar, with one readable line a logged row in place of everything that was logged."""

    def on_log(
        self, args: Any, state: TrainerState, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Write it above the bar."""
        bar: Any = self.training_bar
        if state.is_world_process_zero and bar is not None and (line := short_line(state.global_step, logs or {})):
            bar.write(line)


class LogHistory(TrainerCallback):
    """Appends what the trainer logs to `log_history.jsonl`, so that a report can be made while the run goes on."""

    def __init__(self, out: Path) -> None:
        self.path = out / LOG

    def on_log(
        self, args: Any, state: TrainerState, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Write one line; TRL's numbers are floats already."""
        if state.is_world_process_zero and logs:
            with self.path.open("a") as file:
                file.write(json.dumps({"step": state.global_step, **logs}, default=float) + "\n")


class Finite(TrainerCallback):
    """Ends a run whose loss is no number before the next checkpoint is written."""

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Let the trainer log before it saves: the loss since the last log is looked at first."""
        control.should_log = control.should_log or control.should_save

    def on_log(
        self, args: Any, state: TrainerState, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Raises `SifError` for a loss or a gradient that is not finite."""
        for name in ("loss", "grad_norm"):
            if isinstance(value := (logs or {}).get(name), (int, float)) and not math.isfinite(value):
                raise not_finite(state.global_step, f"{name} is {value}")


def not_finite(step: int, what: str) -> SifError:
    """The end of a run in which something is no number."""
    return SifError(
        f"step {step}: {what}, and to train on would ruin the weights. Go on from the last checkpoint with a lower "
        "learning_rate or max_grad_norm"
    )


class Health(TrainerCallback):
    """Looks at every logged row and says what is wrong."""

    def __init__(self, out: Path, checkpoint: Path | None) -> None:
        """checkpoint: that the run goes on from; alarms after it will be raised again, if they must."""
        self.path, self.start = out / ALARMS, _step(checkpoint) if checkpoint else 0
        self.rows: list[dict[str, Any]] = [row for row in read_lines(out / LOG) if row["step"] <= self.start]
        self.holding = {alarm.name for alarm in alarms_of(self.rows)}

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Drop alarms after the checkpoint."""
        if state.is_world_process_zero and self.path.exists():
            kept = [alarm for alarm in read_lines(self.path) if alarm["step"] <= self.start]
            atomic_write(self.path, "".join(json.dumps(alarm) + "\n" for alarm in kept))

    def on_log(
        self, args: Any, state: TrainerState, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Raise what has begun to hold."""
        if not logs or not state.is_world_process_zero:
            return
        self.rows.append({"step": state.global_step, **logs})
        now = alarms_of(self.rows)
        for alarm in now:
            if alarm.name not in self.holding:
                tqdm.write(f"ALARM at step {alarm.step}, {alarm.name}: {alarm.says}; {alarm.look}", file=sys.stderr)
                with self.path.open("a") as file:
                    file.write(json.dumps(asdict(alarm)) + "\n")
        self.holding = {alarm.name for alarm in now}


def early_stop(patience: int | None) -> list[TrainerCallback]:
    """Transformers' early stopping after so many evaluations without a better one; nothing for None."""
    return [] if patience is None else [EarlyStoppingCallback(patience)]


def open_held_out(config: Any, grid: int, tokens: int, banned: list[int], trained: Rows) -> HeldOut | None:
    """The samples of `eval_data`, or None; warns where they are trained on as well. tokens: of a reply at most."""
    if config.eval_data is None:
        return None
    from .data import load_rows
    from .evaluation import HeldOut

    out, most = Path(config.out), config.eval_limit
    rows = load_rows(config.eval_data, config.max_pixels, grid, out, target=None, limit=most, depth=config.depth)
    held = HeldOut(rows, config.eval_data, tokens, banned)
    held.warn_of(trained)
    return held


def lora_config(r: int, alpha: int, dropout: float) -> Any:
    """LoRA on all linear layers of the language model; vision towers and projectors are left alone.

    vLLM ignores adapters on the vision tower, so training them would serve another model than was trained.
    """
    from peft import LoraConfig

    return LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules="all-linear",
        exclude_modules=VISION,
        task_type="CAUSAL_LM",
    )


def open_processor(model: str, max_pixels: int) -> tuple[ProcessorMixin, Family]:
    """Processor and family; warns when the model was trained with another prompt or pixel budget before."""
    compare_stamp(model, max_pixels)
    return load_processor(model, max_pixels=max_pixels), family_of(model_config(model).model_type)


def check_quantize(config: Any) -> None:
    """Raises `InputError` for a `quantize` that is unknown, without an adapter, or without bitsandbytes."""
    if config.quantize is None:
        return
    if config.quantize not in QUANTIZE:
        raise unknown_name("quantize", config.quantize, QUANTIZE)
    if not config.lora:
        raise InputError("quantize: rounded weights cannot be trained, only an adapter on them; set lora to true")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError("quantize: it needs bitsandbytes: pip install 'sifthinker[qlora]'")


def quantization(quantize: str | None, dtype: str) -> dict[str, Any]:
    """Options of `load_model` for a base with rounded linear layers; vision tower and head stay as they are.

    quantize: one of `QUANTIZE`, or None for no options. dtype: in which is computed.
    4bit is nf4 with double quantization, as in QLoRA (arXiv 2305.14314); 8bit is LLM.int8 (arXiv 2208.07339).
    """
    if quantize is None:
        return {}
    from transformers import BitsAndBytesConfig

    kind: dict[str, Any] = {"load_in_8bit": True}
    if quantize == "4bit":
        kind = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
        kind |= {"bnb_4bit_compute_dtype": dtype}
    return {"quantization_config": BitsAndBytesConfig(**kind, llm_int8_skip_modules=[VISION, "lm_head"])}


def open_policy(config: SftConfig | GrpoConfig, args: Any) -> tuple[Any, Any]:
    """The model of a config, and the LoRA that is put on it: None where it has an adapter, or is trained whole.

    args: TRL's config, whose `model_init_kwargs` go to `from_pretrained` here; TRL opens no model after that.
    """
    from peft import PeftModel

    options, args.model_init_kwargs = args.model_init_kwargs or {}, None
    model = open_model(config.model, config.dtype, config.freeze_vision, config.quantize, options)
    if isinstance(model, PeftModel) or not config.lora:
        return model, None
    return model, lora_config(config.lora_r, config.lora_alpha, config.lora_dropout)


def open_model(
    model: str, dtype: str, freeze_vision: bool, quantize: str | None = None, options: Mapping[str, Any] | None = None
) -> PreTrainedModel:
    """Model (or base with trainable adapter), ready for a trainer.

    quantize: of the base, see `quantization`. options: further ones of `from_pretrained`.
    """
    if dtype == "auto":
        dtype = "bfloat16" if torch.cuda.is_available() else "float32"
    loaded = load_model(model, dtype=dtype, trainable=True, **quantization(quantize, dtype), **(options or {}))
    batch_pictures(loaded)
    if freeze_vision:
        names = [n for n, p in loaded.named_parameters() if "visual" in n or "vision" in n]
        if not names:
            raise InputError(f"{model}: freeze_vision is set, but no parameter belongs to a vision tower")
        for name, parameter in loaded.named_parameters():
            if name in names:
                parameter.requires_grad_(False)
    return loaded
