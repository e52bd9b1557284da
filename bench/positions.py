"""How soon a small model reads where things are, by shares of rotary frequencies: `python bench/positions.py`.

Qwen2.5-VL gives the fastest frequencies to time, the next ones to rows and the slowest to columns. Over a few columns
those hardly turn, so that a model that is trained from the first step on learns rows long before columns. `tiny` gives
none to time. Here a model reads the box of one colored rectangle on a gray ground, 96x96 pixels, new ones at each step.

accuracy: of the first digit of each coordinate, with the digits before it given; mean of the last 100 steps.
Results in bench/results/positions.json.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import trange

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sifthinker.training.tiny import TinyConfig, build_tokenizer, qwen_config, scale_weights

RESULTS = Path(__file__).parent / "results" / "positions.json"
SIDE, PATCH, BATCH, WINDOW = 96, 12, 32, 100
CONFIG = TinyConfig(width=64, layers=3, vision_width=64, vision_layers=2, patch=PATCH)
SECTIONS = {"qwen": [2, 3, 3], "tiny": None}
COLORS = np.array([[3, -3, -3], [-3, 3, -3], [-3, -3, 3], [3, 3, -3], [3, 0, -3], [2, -3, 2]], np.float32) / 2


def examples(rng: np.random.Generator, prompt: list[int], digits: list[int], comma: int) -> tuple:
    """Patches as the model takes them, shape (rectangles * patches, values), and token ids."""
    pictures = np.empty((BATCH, 3, SIDE, SIDE), np.float32)
    rows = []
    for picture in pictures:
        picture[:] = rng.uniform(-0.5, 0.5)
        (x0, x1), (y0, y1) = ((start, start + size) for start, size in zip(*spans(rng), strict=True))
        picture[:, y0:y1, x0:x1] = COLORS[rng.integers(len(COLORS)), :, None, None]
        rows.append(prompt + [token for v in (x0, y0, x1, y1) for token in (digits[v // 10], digits[v % 10], comma)])
    pictures += 0.1 * rng.standard_normal(pictures.shape, np.float32)
    cells = SIDE // PATCH // 2
    split = pictures.reshape(BATCH, 3, cells, 2, PATCH, cells, 2, PATCH).transpose(0, 2, 5, 3, 6, 1, 4, 7)
    # Twice, as for two equal frames of a film.
    patches = np.repeat(split[:, :, :, :, :, :, None], 2, axis=6).reshape(BATCH * 4 * cells**2, -1)
    return torch.from_numpy(patches), torch.tensor(rows)


def spans(rng: np.random.Generator) -> tuple:
    sizes = rng.integers(12, 60, 2)
    return rng.integers(0, SIDE - sizes + 1), sizes


def train(sections: list[int] | None, steps: int, seed: int) -> dict:
    from transformers import Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tokenizer = build_tokenizer(["0 1 2 3 4 5 6 7 8 9 ,"], 300)
    config = qwen_config(CONFIG, tokenizer)
    if sections:
        config.text_config.rope_parameters["mrope_section"] = sections
    model = Qwen2_5_VLForConditionalGeneration(config)
    scale_weights(model)
    image = config.image_token_id
    prompt = [config.vision_start_token_id, *[image] * (SIDE // PATCH // 2) ** 2, config.vision_end_token_id]
    *digits, comma = (tokenizer.convert_tokens_to_ids(sign) for sign in "0123456789,")
    grid = torch.tensor([[1, SIDE // PATCH, SIDE // PATCH]] * BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=0.01)
    right, curve = [], {}
    for step in trange(1, steps + 1, desc=str(sections or "tiny")):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, step / 50)
        patches, ids = examples(rng, prompt, digits, comma)
        logits = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=patches, image_grid_thw=grid,
            mm_token_type_ids=(ids == image).long(), logits_to_keep=13,
        ).logits[:, :-1]  # fmt: skip
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, -12:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        right.append((logits.argmax(-1) == ids[:, -12:])[:, ::3].float().mean(0))
        if step % WINDOW == 0:
            means = torch.stack(right[-WINDOW:]).mean(0).tolist()
            curve[step] = dict(zip(("x0", "y0", "x1", "y1"), (round(m, 3) for m in means), strict=True))
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    start = time.monotonic()
    result: dict = {"command": " ".join(["python", "bench/positions.py", *sys.argv[1:]]), "batch": BATCH}
    for name, sections in SECTIONS.items():
        result[name] = [train(sections, options.steps, seed) for seed in range(options.seeds)]
    result["seconds"] = round(time.monotonic() - start)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result) if options.json else json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
