"""A run of GRPO-SIF for so many minutes, and whether it was healthy: `python bench/grpo_run.py [OUT] --minutes 30`.

The demo in OUT/demo (made if it is not there), its warm-up gone on with on traces of which a part looks at a wrong
place first (`--wrong-first`), then GRPO-SIF with one profile of rewards. The profile `ours` must raise every reward;
`released` pays for beginning badly: where nothing but boxes is paid (`--rewards focus correction`) and the model knows
where things are (`--known 16`), the alarm `hacking` must be raised, and with `ours` it must not.

Results by run in bench/results/grpo_run.json: of each reward the mean over the first and over the last 10 % of the
steps, and their difference, each with a 95 % bootstrap interval over steps; alarms; what was run. Finished parts are
kept: the same command goes on where it was killed, and with more minutes it trains on.
"""

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from sifthinker.demo import DemoConfig, demo
from sifthinker.recipes import read_yaml
from sifthinker.records import ShardWriter, atomic_write, from_row, read_rows, to_row
from sifthinker.report import report
from sifthinker.rewards.corruptions import CORRUPTIONS
from sifthinker.sample import parse_reply
from sifthinker.statistics import RESAMPLES, SEED, bootstrap
from sifthinker.training import sft
from sifthinker.training.grpo import GrpoConfig
from sifthinker.training.health import alarms_of, read_lines

RESULTS = Path(__file__).parent / "results" / "grpo_run.json"
ALL = list(GrpoConfig.rewards)
DEMO = {"samples": 2000, "sft_steps": 200, "grpo_steps": 30, "items": 200}
"""As the command's defaults."""
TIMES = 16
PART = 0.1
"""Part of the steps at either end that is compared."""
ENDLESS = 100_000
"""Steps that no run reaches: time ends it."""


def begin_wrongly(gold: Path, folder: Path, part: float, seed: int, first: int | None = None) -> Path:
    """A copy of a data set in which a `part` of the traces looks at a wrong place first and corrects itself.

    first: only the first rows, `TIMES` times each, so that they can be learned by heart.
    """
    if (folder / "done").exists():
        return folder
    for torn in folder.glob("data-*.parquet"):
        torn.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    with ShardWriter(folder) as writer:
        rows = read_rows(gold) if first is None else list(islice(read_rows(gold), first)) * TIMES
        for number, row in enumerate(rows):
            sample, trace = from_row({**row, "id": f"{row['id']}-{number}"})  # training tells rows apart by their ids
            assert trace is not None, sample.id
            wrong = CORRUPTIONS["bad_first_box"].apply(trace, sample, rng) if rng.random() < part else None
            writer.add(to_row(sample, parse_reply(wrong, sample) if wrong else trace, row["source"], row["annotator"]))
    (folder / "done").touch()
    return folder


def fine_tuned(out: Path, **fields: Any) -> Path:
    """A finished SFT run; begun, gone on with, or kept."""
    if not (out / "model.safetensors").exists():
        print(f"== {out.name}", flush=True)
        sft.train({**read_yaml("tiny-sft"), "out": str(out), "resume": True, **fields})
    return out


def log_of(out: Path) -> list[dict[str, Any]]:
    return [row for row in read_lines(out / "log_history.jsonl") if "loss" in row]


def train_for(minutes: float, out: Path, flags: list[str]) -> list[str]:
    """Train until the steps logged have taken so long, in a process of its own that is then killed, as runs are."""
    command = [sys.executable, "-m", "sifthinker.cli", "grpo", "tiny-grpo", "--out", str(out), "--resume", *flags]
    left = 60 * minutes - sum(row["step_time"] for row in log_of(out))
    if left <= 0:
        return command
    print(f"== {out.name}: {left / 60:.1f} minutes", flush=True)
    with subprocess.Popen(command) as process:
        # What comes before the first step does not count.
        begun = len(log_of(out))
        while process.poll() is None and len(log_of(out)) <= begun:
            time.sleep(1)
        try:
            process.wait(left)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"training ended with exit code {process.returncode}")
    return command


def interval(values: list[float]) -> dict[str, float]:
    low, high = bootstrap(values)
    return {"mean": round(float(np.mean(values)), 4), "low": round(low, 4), "high": round(high, 4)}


def change(values: list[float]) -> dict[str, Any]:
    """Begin, end and difference of a logged quantity; steps are resampled within either end."""
    n = max(2, round(PART * len(values)))
    first, last = np.asarray(values[:n]), np.asarray(values[-n:])
    rng = np.random.default_rng(SEED)
    means = [part[rng.integers(0, n, (RESAMPLES, n))].mean(axis=1) for part in (first, last)]
    low, high = np.quantile(means[1] - means[0], [0.025, 0.975])
    difference = {"mean": round(float(last.mean() - first.mean()), 4), "low": round(low, 4), "high": round(high, 4)}
    return {"first": interval(first.tolist()), "last": interval(last.tolist()), "difference": difference}


def measure(out: Path) -> dict[str, Any]:
    log = log_of(out)
    keys = [key for key in log[-1] if key.startswith("rewards/") and key.endswith("/mean")]
    keys += ["first_box_hiou", "completions/mean_length", "entropy", "kl"]
    changes = {key.removeprefix("rewards/").removesuffix("/mean"): change([row[key] for row in log]) for key in keys}
    raised: dict[str, int] = {}
    for n in range(1, len(log) + 1):
        for alarm in alarms_of(log[:n]):
            raised.setdefault(alarm.name, alarm.step)
    rewards = [key.split("/")[1] for key in keys if key.startswith("rewards/")]
    return {
        "steps": len(log),
        "seconds": round(sum(row["step_time"] for row in log)),
        "risen": [name for name in rewards if changes[name]["difference"]["low"] > 0],
        "not_risen": [name for name in rewards if changes[name]["difference"]["low"] <= 0],
        "alarms": {"raised_at_step": raised, "at_the_end": [asdict(alarm) for alarm in alarms_of(log)]},
        "changes": changes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", default=Path("runs/grpo-run"))
    parser.add_argument("--minutes", type=float, default=30, help="of training steps")
    parser.add_argument("--profile", choices=("ours", "released"), default="ours")
    parser.add_argument("--rewards", nargs="+", default=ALL, help="by default all")
    parser.add_argument("--wrong-first", type=float, default=0.5, help="part of the warm-up's traces that begin badly")
    parser.add_argument("--known", type=int, help="GRPO on so many prompts, which the warm-up has learned by heart")
    parser.add_argument("--batch", type=int, default=64, help="completions of a step")
    parser.add_argument("--sft-steps", type=int, default=80, help="of the warm-up, after the demo's")
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="of GRPO")
    parser.add_argument("--beta", type=float, default=0.04)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    options = parser.parse_args()
    out, seed = options.out, options.seed
    started = out / "demo"
    if not (started / "report.html").exists():
        demo(DemoConfig(str(started), **DEMO, seed=seed), resume=True)
    part, prompts, known = options.wrong_first, started / "data" / "grpo", options.known
    if known:
        traces = begin_wrongly(prompts, out / f"data-{known}", part, seed, known)
    else:
        traces = begin_wrongly(started / "data" / "train", out / "data", part, seed)
    warm = fine_tuned(
        out / (f"sft-{known}" if known else "sft"), model=str(started / "sft"), data=str(traces),
        max_steps=options.sft_steps, per_device_train_batch_size=16 if known else 32, seed=seed,
    )  # fmt: skip
    chosen = options.rewards if options.rewards != ALL else []
    name = "-".join([options.profile, *chosen, *([f"known-{known}"] if known else [])])
    tuned = out / name
    fields = {
        "model": warm, "data": prompts, "limit": known or "null", "profile": options.profile,
        "rewards": f"[{', '.join(options.rewards)}]", "max-steps": ENDLESS, "learning-rate": options.learning_rate,
        "lr-scheduler-type": "constant_with_warmup", "warmup-steps": 10, "beta": options.beta, "save-steps": 10,
        "per-device-train-batch-size": options.batch, "seed": seed,
    }  # fmt: skip
    flags = [part for field, value in fields.items() for part in (f"--{field}", str(value))]
    command = train_for(options.minutes, tuned, flags)
    record = json.loads((tuned / "training.json").read_text())
    result = {
        **measure(tuned),
        "options": {**vars(options), "out": str(out)},
        "config": record["config"],
        "command": " ".join(["python bench/grpo_run.py", *sys.argv[1:]]),
        "training_command": " ".join(["python", *command[1:]]),
        "threads": int(os.environ["OMP_NUM_THREADS"]),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        **{key: record[key] for key in ("sifthinker", "python", "versions", "git_commit", "prompt_hash")},
    }
    print(f"report: {report(tuned)}")
    result = json.loads(json.dumps(result).replace(str(out), "OUT"))
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.parent.mkdir(exist_ok=True)
    atomic_write(RESULTS, json.dumps({**before, name: result}, indent=1) + "\n")
    print(json.dumps(result if options.json else result["changes"], indent=None if options.json else 1))


if __name__ == "__main__":
    main()
