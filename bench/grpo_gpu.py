"""One GRPO step of ours beside stock TRL's at real sizes, on a GPU: `python bench/grpo_gpu.py [--model 7b] [--json]`.

Qwen2.5-VL-3B or -7B with random weights in bfloat16, LoRA, gradient checkpointing, at the reference shape (see
`bench/grpo.py`, whose step is measured here). The trainers run one after the other, each alone in memory; the first
round is not timed. Results in bench/results/grpo_gpu.json, one entry for each model.

tokens_per_second: of completions, in an update. peak_bytes: of the allocator, in rollout and update. utilization: what
the language model's multiplications of an update need (reference, forward, forward again for checkpointing, backward
to activations; vision and attention left out) over time and the measured rate of one large multiplication.

`--model small` is a model of the same kind that any machine can run, to try the command; its figures mean nothing.
"""

import argparse
import gc
import json
import statistics
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import grpo
import numpy as np
import torch
import transformers
import trl
from tqdm import tqdm
from transformers import AutoConfig, Qwen2_5_VLForConditionalGeneration
from trl import GRPOTrainer

from sifthinker.engines.processor import load_processor
from sifthinker.training.run import lora_config
from sifthinker.training.tiny import TinyConfig, build_tiny, scale_weights
from sifthinker.training.trl_adapter import SifGRPOTrainer

RESULTS = Path(__file__).parent / "results" / "grpo_gpu.json"
PATCH = 14
TEXT = {
    "small": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
              "num_key_value_heads": 2, "vocab_size": 1024},
    "3b": {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
           "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True},
    "7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
           "num_key_value_heads": 4, "vocab_size": 152064},
}  # fmt: skip
"""Sizes of the language models, from the model cards of Qwen2.5-VL."""
VISION = {"hidden_size": 1280, "depth": 32, "num_heads": 16, "intermediate_size": 3420, "window_size": 112,
          "fullatt_block_indexes": [7, 15, 23, 31]}  # fmt: skip


def make_policy(tiny: Path, name: str, device: str) -> Any:
    """A model of that size with random weights; token ids and processor are those of the small model in `tiny`."""
    config = AutoConfig.from_pretrained(tiny)
    vision = {} if name == "small" else VISION
    for part, sizes in ((config.text_config, TEXT[name]), (config.vision_config, vision)):
        for key, value in sizes.items():
            setattr(part, key, value)
    text = config.text_config
    text.layer_types = ["full_attention"] * text.num_hidden_layers
    text.max_window_layers = text.num_hidden_layers
    width = text.hidden_size // text.num_attention_heads // 2
    text.rope_parameters = {**text.rope_parameters, "mrope_section": [width // 4, width * 3 // 8, width * 3 // 8]}
    config.vision_config.out_hidden_size = text.hidden_size
    config.tie_word_embeddings = TEXT[name].get("tie_word_embeddings", False)
    torch.manual_seed(0)
    with torch.device(device):
        model = Qwen2_5_VLForConditionalGeneration._from_config(
            config, dtype=torch.bfloat16, attn_implementation="sdpa"
        )
    scale_weights(model)
    return model


def matmul_rate(device: str, size: int) -> float:
    """Operations a second of one multiplication of bfloat16 matrices."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    start = grpo.clock()
    for _ in range(10):
        a @ b
    return 10 * 2 * size**3 / (grpo.clock() - start)


def peak(device: str) -> int | None:
    return torch.cuda.max_memory_allocated() if device == "cuda" else None


def measure(kind: type, tiny: Path, options: argparse.Namespace, device: str, out: str) -> dict[str, Any]:
    policy = make_policy(tiny, options.model, device)
    weights = sum(p.numel() for n, p in policy.named_parameters() if "visual" not in n and "embed_tokens" not in n)
    count = options.prompts * options.group
    trainer = grpo.make_trainer(
        kind, policy, load_processor(tiny), count, options, out, bf16=True, use_cpu=device == "cpu",
        peft_config=lora_config(64, 128, 0.0),
    )  # fmt: skip
    rows, rng = grpo.make_rows(options.prompts, options.group, PATCH), np.random.default_rng(1)
    found: dict[str, Any] = {"rollout": [], "update": []}
    for number in tqdm(range(options.rounds + 1), desc=kind.__name__, unit="round"):
        completions = rng.integers(20, 200, (count, options.completion)).tolist()
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        step = grpo.one_step(trainer, rows, completions)
        if number == 0:
            found |= {"logps": step["logps"].float().cpu(), "encoded": step["encoded"], "drawn": step["drawn"]}
            continue
        for part in ("rollout", "update"):
            found[part].append(step[part])
    found |= {"peak_bytes": peak(device), "weights": weights}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=sorted(TEXT), default="7b")
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--prompts", type=int, default=1)
    parser.add_argument("--completion", type=int, default=400)
    parser.add_argument("--checkpointing", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and options.model != "small":
        parser.error("no GPU here; --model small tries the command on a CPU")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        tiny = build_tiny(Path(folder) / "model", ["0 1 2 3 4 5 6 7 8 9 and"], TinyConfig(patch=PATCH))
        for name, kind in (("stock", GRPOTrainer), ("ours", SifGRPOTrainer)):
            found[name] = measure(kind, tiny, options, device, folder)
            gc.collect()
            torch.cuda.empty_cache()
    seconds = {n: {k: statistics.median(f[k]) for k in ("rollout", "update")} for n, f in found.items()}
    count = options.prompts * options.group
    visual = grpo.PICTURES * grpo.CELLS**2
    prompt = visual + grpo.TEXT
    read = {"stock": count * (prompt + options.completion),
            "ours": options.prompts * prompt + count * options.completion}  # fmt: skip
    rate = matmul_rate(device, 8192 if device == "cuda" else 512)
    passes = 3 + options.checkpointing
    both = found["stock"]["peak_bytes"], found["ours"]["peak_bytes"]
    result = {
        "update_ratio": round(seconds["stock"]["update"] / seconds["ours"]["update"], 2),
        "rollout_ratio": round(seconds["stock"]["rollout"] / seconds["ours"]["rollout"], 2),
        "peak_ratio": round(both[1] / both[0], 3) if all(both) else None,
        "images_encoded_ratio": round(found["ours"]["encoded"] / found["stock"]["encoded"], 4),
        "mean_logp_diff": float((found["ours"]["logps"] - found["stock"]["logps"]).abs().mean()),
        "seconds": seconds,
        "tokens_per_second": {n: round(count * options.completion / s["update"]) for n, s in seconds.items()},
        "peak_bytes": {n: f["peak_bytes"] for n, f in found.items()},
        "matmul_tflops": round(rate / 1e12, 1),
        "utilization": {
            n: round(2 * found[n]["weights"] * read[n] * passes / (s["update"] * rate), 3) for n, s in seconds.items()
        },
        "shape": {"model": options.model, "visual": visual, "text": grpo.TEXT, "completion": options.completion,
                  "group": options.group, "prompts": options.prompts, "checkpointing": options.checkpointing},
        "rounds": {n: {k: [round(x, 3) for x in f[k]] for k in ("rollout", "update")} for n, f in found.items()},
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "command": f"python {' '.join(sys.argv)}",
        "versions": {"torch": torch.__version__, "trl": trl.__version__, "transformers": transformers.__version__},
    }  # fmt: skip
    if device == "cuda":
        known = json.loads(options.out.read_text()) if options.out.exists() else {}
        options.out.write_text(json.dumps({**known, options.model: result}, indent=2) + "\n")
    json.dump(result, sys.stdout, indent=None if options.json else 2)
    print()


if __name__ == "__main__":
    main()
