"""A training run and its folder: config, checkpoints, log, resume. Shared by `sft` and `grpo`.

RUN/training.json        resolved config, versions, prompt hash
RUN/log_history.jsonl    one line per logged step
RUN/checkpoint-N/        TRL's checkpoints, written last to first so that a torn one is never taken up
RUN/model files          the final model or adapter, with its processor
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback
from transformers.trainer_callback import TrainerState

from .. import __version__
from ..errors import InputError
from ..prompt import Family, family_of, prompt_hash
from ..records import atomic_write

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

LOG = "log_history.jsonl"
VERSIONED = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")


def find_checkpoint(out: Path) -> Path | None:
    """The newest checkpoint that was written to its end: `trainer_state.json` comes last and can be read."""
    found = sorted(out.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]), reverse=True)
    for folder in found:
        try:
            json.loads((folder / "trainer_state.json").read_text())
        except (OSError, ValueError):
            continue
        return folder
    return None


def start_run(out: Path, config: dict[str, Any], resume: bool) -> Path | None:
    """Make the run folder, write its config, and return the checkpoint to go on from, if any.

    Raises `InputError` when the folder already holds a run and `resume` is false, and when it was made with
    another prompt or other settings that decide what is learned.
    """
    config = json.loads(json.dumps(config, default=str))  # as it will be read back: tuples are lists
    if (out / "training.json").exists():
        if not resume:
            raise InputError(f"{out} already holds a run: give --resume to go on with it, or another --out")
        before = json.loads((out / "training.json").read_text())
        if before["prompt_hash"] != prompt_hash():
            raise InputError(f"{out} was started with another prompt ({before['prompt_hash']}, now {prompt_hash()})")
        changed = sorted(k for k in config.keys() | before["config"].keys() if config.get(k) != before["config"].get(k))
        if changed := [k for k in changed if k not in ("resume", "out")]:
            raise InputError(f"{out} was started with other settings: {', '.join(changed)}; restore them or start anew")
    out.mkdir(parents=True, exist_ok=True)
    record = {
        "schema": 1,
        "sifthinker": __version__,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in VERSIONED},
        "prompt_hash": prompt_hash(),
        "config": config,
    }
    checkpoint = find_checkpoint(out) if resume else None
    atomic_write(out / "training.json", json.dumps(record, indent=2))
    _cut_log(out / LOG, checkpoint)
    return checkpoint


def _cut_log(path: Path, checkpoint: Path | None) -> None:
    """Drop logged steps after the checkpoint: they will be run, and logged, again."""
    step = int(checkpoint.name.split("-")[1]) if checkpoint else 0
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except ValueError:
            break  # torn by a kill; the steps from here on are run again
    atomic_write(path, "".join(kept))


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
        exclude_modules=r".*(visual|vision_tower|vision_model|multi_modal_projector|mm_projector).*",
        task_type="CAUSAL_LM",
    )


def open_model(
    model: str, max_pixels: int, dtype: str, freeze_vision: bool
) -> tuple[PreTrainedModel, ProcessorMixin, Family]:
    """Model (or base with trainable adapter), processor and family, ready for a trainer."""
    import torch

    from ..engines.processor import load_model, load_processor

    if dtype == "auto":
        dtype = "bfloat16" if torch.cuda.is_available() else "float32"
    loaded = load_model(model, dtype=dtype, trainable=True)
    processor = load_processor(model, max_pixels=max_pixels)
    if freeze_vision:
        names = [n for n, p in loaded.named_parameters() if "visual" in n or "vision" in n]
        if not names:
            raise InputError(f"{model}: freeze_vision is set, but no parameter belongs to a vision tower")
        for name, parameter in loaded.named_parameters():
            if name in names:
                parameter.requires_grad_(False)
    return loaded, processor, family_of(loaded.config.model_type)


def image_grid(processor: Any, family: Family) -> int:
    """The multiple that image sides must have: patch size times merge size where the processor says so."""
    images = processor.image_processor
    patch, merge = getattr(images, "patch_size", None), getattr(images, "merge_size", None)
    return patch * merge if isinstance(patch, int) and isinstance(merge, int) else family.grid


def vision_ids(processor: Any, family: Family) -> list[int]:
    """Ids of the tokens that a model must never sample."""
    vocabulary = processor.tokenizer.get_vocab()
    return sorted(vocabulary[token] for token in family.vision_tokens if token in vocabulary)
