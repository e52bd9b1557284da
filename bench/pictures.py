"""The vision tower over pictures of one size, one by one and as one batch: `python bench/pictures.py [--json]`.

Forward and backward of the tower of sif-tiny's size, in bfloat16 where the CPU has it, on one thread; both ways in
turn, five rounds. Results in bench/results/pictures.json: seconds of either way (median) and their ratio.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import torch
from transformers import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel

from sifthinker.training.pictures import batch_pictures

RESULTS = Path(__file__).parent / "results" / "pictures.json"
SIDE, PATCH, WIDTH = 8, 12, 96
ROUNDS = 5


def tower(kind: str) -> Qwen2_5_VLModel:
    vision = {
        "depth": 2, "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_heads": 6, "out_hidden_size": WIDTH,
        "patch_size": PATCH, "fullatt_block_indexes": [0, 1],
    }  # fmt: skip
    text = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 1, "num_attention_heads": 6}
    text |= {"num_key_value_heads": 6, "vocab_size": 8}
    text |= {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [0, 2, 6]}}
    torch.manual_seed(0)
    return Qwen2_5_VLModel._from_config(
        Qwen2_5_VLConfig(text_config=text, vision_config=vision), attn_implementation=kind
    )


def seconds(model: Qwen2_5_VLModel, pixels: torch.Tensor, grid: torch.Tensor, low: bool) -> float:
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        model.visual(pixels, grid_thw=grid).pooler_output.float().pow(2).sum().backward()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    low = bool(torch.cpu._is_avx512_bf16_supported())
    result = {"bfloat16": low, "threads": 1, "machine": platform.machine(), "torch": torch.__version__, "pictures": {}}
    for kind in ("eager", "sdpa"):
        one_by_one, together = tower(kind), tower(kind)
        batch_pictures(together)
        for pictures in (4, 32):
            grid = torch.tensor([[1, SIDE, SIDE]] * pictures)
            pixels = torch.randn(pictures * SIDE * SIDE, 3 * 2 * PATCH * PATCH)
            both = (one_by_one, together)
            taken = np.array([[seconds(model, pixels, grid, low) for model in both] for _ in range(ROUNDS + 1)])
            slow, fast = np.median(taken[1:], axis=0)  # the first round warms up
            result["pictures"][f"{kind}, {pictures}"] = {
                "one_by_one_s": round(slow, 4),
                "together_s": round(fast, 4),
                "ratio": round(slow / fast, 2),
            }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
