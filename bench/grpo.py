"""One GRPO step of ours beside stock TRL's: `python bench/grpo.py [--json]`, results in bench/results/grpo.json.

A Qwen2.5-VL of small width at the reference shape: two pictures of 324 visual tokens, some 150 tokens of text,
completions of 400 tokens, groups of 8. Both trainers get the same weights, prompts and completions; they take turns,
and ratios are those of the medians (stock / ours).

update: log-probabilities under reference and policy, loss, gradients, and the optimizer's step, for given completions.
rollout: sampling the completions, none of which ends early. images_encoded_ratio: ours / stock, of both together.
max_logp_diff, max_grad_rel_diff: of the policy's log-probabilities, and of each gradient relative to its largest entry.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))

import numpy as np
import torch
import transformers
import trl
from datasets import Dataset
from PIL import Image
from tqdm import tqdm
from trl import GRPOConfig, GRPOTrainer

from sifthinker.engines.processor import load_model, load_processor
from sifthinker.sample import Sample
from sifthinker.training.progress import ProgressStore
from sifthinker.training.prompts import image_model
from sifthinker.training.tiny import TinyConfig, build_tiny
from sifthinker.training.trl_adapter import SifGRPOTrainer

RESULTS = Path(__file__).parent / "results" / "grpo.json"
CELLS, PICTURES, TEXT, PATCH = 18, 2, 150, 8
"""18 x 18 visual tokens a picture, two pictures, tokens of text in all; patches of 8 pixels here."""


def length_of(completions: Any, **_: Any) -> list[float]:
    return [float(len(c[0]["content"]) % 7) for c in completions]


def make_rows(groups: int, group: int, patch: int) -> list[dict[str, Any]]:
    rng, side = np.random.default_rng(0), 2 * patch * CELLS
    rows = []
    for n in range(groups):
        images = [Image.fromarray(rng.integers(0, 255, (side, side, 3), np.uint8)) for _ in range(PICTURES)]
        # Digits are a token each.
        text = "".join(rng.choice(list("0123456789"), TEXT - 20))
        content = [
            {"type": "image"},
            {"type": "text", "text": " and "},
            {"type": "image"},
            {"type": "text", "text": text},
        ]
        row = {"prompt": [{"role": "user", "content": content}], "images": images, "sample": Sample(f"{n}", None, text)}
        rows += [row] * group
    return rows


def clock() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def make_trainer(
    kind: type, policy: Any, processor: Any, rows: int, options: argparse.Namespace, out: str, **settings: Any
) -> Any:
    """A trainer of ours or TRL's. settings: fields of `GRPOConfig`, and `peft_config`."""
    adapter = settings.pop("peft_config", None)
    args = GRPOConfig(
        output_dir=out, report_to="none", remove_unused_columns=False, beta=0.04, per_device_train_batch_size=rows,
        num_generations=options.group, max_completion_length=options.completion, learning_rate=1e-5,
        gradient_checkpointing=options.checkpointing, seed=0, **settings,
    )  # fmt: skip
    ours = (
        {"store": ProgressStore(), "rewards": ["length_of"], "record": {}, "prefix_sharing": "on"}
        if kind is SifGRPOTrainer
        else {}
    )
    for name, parameter in policy.named_parameters():
        parameter.requires_grad_("visual" not in name)
    trainer = kind(
        model=policy, args=args, reward_funcs=[length_of], train_dataset=Dataset.from_list([{"prompt": "x"}] * rows),
        processing_class=processor, peft_config=adapter, **ours,
    )  # fmt: skip
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1
    # Nothing ends early, so both draw as many tokens.
    trainer.eos_token_ids = [policy.config.vision_start_token_id]
    trainer.generation_config.eos_token_id = [policy.config.vision_start_token_id]
    trainer.generation_config.suppress_tokens = [policy.config.vision_start_token_id, policy.config.image_token_id]
    trainer.encoded = 0
    hook = lambda module, args, kwargs, out: setattr(trainer, "encoded", trainer.encoded + len(kwargs["grid_thw"]))  # noqa: E731
    image_model(policy).visual.register_forward_hook(hook, with_kwargs=True)
    if trainer.ref_model is not None:
        trainer.ref_model.model.visual.register_forward_hook(hook, with_kwargs=True)
    return trainer


def one_step(trainer: Any, rows: list[dict[str, Any]], completions: list[list[int]]) -> dict[str, Any]:
    """Times of rollout and update, with the log-probabilities and gradients of the update."""
    found: dict[str, Any] = {}
    trainer.model.train()
    trainer.encoded = 0
    sample, logps = type(trainer)._generate_single_turn, type(trainer)._get_per_token_logps_and_entropies

    def rollout(*args: Any, **more: Any) -> Any:
        start = clock()
        drawn, _ = sample(trainer, *args, **more)
        found["rollout"] = clock() - start
        found["drawn"] = sum(map(len, drawn))
        return completions, None

    def scored(*args: Any, **more: Any) -> Any:
        start = clock()
        made = logps(trainer, *args, **more)
        if made[0].requires_grad:
            found["logps"] = made[0].detach()
        else:
            found["reference"] = clock() - start
        return made

    trainer._generate_single_turn, trainer._get_per_token_logps_and_entropies = rollout, scored
    batch = trainer._generate_and_score_completions(rows)
    start = clock()
    trainer.compute_loss(trainer.model, batch).backward()
    found["grads"] = {n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None}
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()
    found["update"] = found["reference"] + clock() - start
    found["encoded"] = trainer.encoded
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--prompts", type=int, default=1)
    parser.add_argument("--completion", type=int, default=400)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--checkpointing", action="store_true", help="gradient checkpointing")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    load = os.getloadavg()[0]
    rng, count = np.random.default_rng(1), options.prompts * options.group
    with tempfile.TemporaryDirectory() as folder:
        config = TinyConfig(
            width=options.width, layers=options.layers, head_size=options.width // 8, vision_width=options.width,
            vision_layers=options.layers, patch=PATCH,
        )  # fmt: skip
        model = build_tiny(Path(folder) / "model", ["0 1 2 3 4 5 6 7 8 9 and"], config)
        rows = make_rows(options.prompts, options.group, PATCH)
        trainers = {
            name: make_trainer(
                kind,
                load_model(model, dtype="float32", trainable=True),
                load_processor(model),
                count,
                options,
                folder,
                use_cpu=True,
                bf16=False,
            )
            for name, kind in (("stock", GRPOTrainer), ("ours", SifGRPOTrainer))
        }
        times: dict[str, dict[str, list[float]]] = {name: {"rollout": [], "update": []} for name in trainers}
        # The first round is not timed; weights are still equal in it, so it is the one to compare.
        for number in tqdm(range(options.rounds + 1), desc="rounds", unit="round"):
            completions = rng.integers(20, 200, (count, options.completion)).tolist()
            made = {name: one_step(trainer, rows, completions) for name, trainer in trainers.items()}
            if number == 0:
                first = made
                prompt = len(trainers["ours"]._prompts["train"].ids[0])
                continue
            for name, found in made.items():
                for part in ("rollout", "update"):
                    times[name][part].append(found[part])
    assert first["stock"]["drawn"] == first["ours"]["drawn"] == count * options.completion
    seconds = {name: {part: statistics.median(v) for part, v in parts.items()} for name, parts in times.items()}
    theirs, ours = first["stock"], first["ours"]
    result = {
        "update_ratio": round(seconds["stock"]["update"] / seconds["ours"]["update"], 2),
        "rollout_ratio": round(seconds["stock"]["rollout"] / seconds["ours"]["rollout"], 2),
        "images_encoded_ratio": round(ours["encoded"] / theirs["encoded"], 4),
        "max_logp_diff": float((ours["logps"] - theirs["logps"]).abs().max()),
        "max_grad_rel_diff": max(
            float((ours["grads"][n] - g).abs().max() / g.abs().max().clamp(min=1e-12))
            for n, g in theirs["grads"].items()
        ),
        "shape": {
            "prompt": prompt, "visual": PICTURES * CELLS**2, "completion": options.completion, "group": options.group,
            "prompts": options.prompts, "width": options.width, "layers": options.layers,
            "checkpointing": options.checkpointing,
        },
        "seconds": {n: {k: round(v, 3) for k, v in parts.items()} for n, parts in seconds.items()},
        "rounds": {n: {k: [round(x, 3) for x in v] for k, v in parts.items()} for n, parts in times.items()},
        "command": f"python {' '.join(sys.argv)}",
        "load_before": round(load, 2),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "trl": trl.__version__,
                     "transformers": transformers.__version__},
    }  # fmt: skip
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    json.dump(result, sys.stdout, indent=None if options.json else 2)
    print()


if __name__ == "__main__":
    main()
