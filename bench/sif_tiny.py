"""How fast sif-tiny answers: `python bench/sif_tiny.py [--json]`, results in bench/results/sif_tiny.json.

one_s: median and longest seconds of one question by itself, model loaded. think_s: of `sifthinker think` from start to
end, with its page. batch_per_s: questions a second in batches of 64. ratio: of batched questions to single ones.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sifthinker.benchmarks import open_benchmark
from sifthinker.benchmarks.protocol import Options
from sifthinker.engines import open_engine
from sifthinker.engines.engine import request_for
from sifthinker.sample import Sample

RESULTS = Path(__file__).parent / "results" / "sif_tiny.json"
MAX_TOKENS = 400


def single(engine, samples: list[Sample]) -> list[float]:
    """Seconds of each question, asked one after the other; the first one, which warms up, is left out."""
    taken = []
    for sample in samples:
        start = time.perf_counter()
        engine.generate([request_for(sample, engine, max_tokens=MAX_TOKENS)])
        taken.append(time.perf_counter() - start)
    return taken[1:]


def batched(engine, samples: list[Sample]) -> float:
    """Questions a second."""
    start = time.perf_counter()
    for first in range(0, len(samples), 64):
        engine.generate([request_for(s, engine, max_tokens=MAX_TOKENS) for s in samples[first : first + 64]])
    return len(samples) / (time.perf_counter() - start)


def think(model: str, sample: Sample) -> float:
    """Seconds of the command, as a user types it."""
    with tempfile.TemporaryDirectory() as folder:
        photo, depth = Path(folder) / "photo.png", Path(folder) / "depth.png"
        sample.photo().save(photo)
        found = sample.depth_map()
        assert found is not None
        Image.fromarray((found.values * 1000).astype("uint16")).save(depth)
        command = [sys.executable, "-m", "sifthinker", "think", str(photo), sample.question, "--model", model]
        command += ["--depth", str(depth), "--depth-encoding", "mm", "--out", str(Path(folder) / "out")]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sif-tiny")
    parser.add_argument("--n", type=int, default=40, help="questions by themselves")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    options = parser.parse_args()
    bench = open_benchmark("scenes:split=train", Options(n=options.n + 128, seed=options.seed))
    samples = list(bench.load())
    with open_engine(options.model) as engine:
        alone = single(engine, samples[: options.n])
        rate = batched(engine, samples[options.n :])
    result = {
        "model": options.model,
        "one_s": {"median": round(float(np.median(alone)), 2), "longest": round(max(alone), 2), "n": len(alone)},
        "think_s": round(min(think(options.model, samples[0]) for _ in range(3)), 1),
        "batch_per_s": round(rate, 1),
        "ratio": round(rate * float(np.mean(alone)), 1),
        "command": "python bench/sif_tiny.py",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "torch": torch.__version__,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
