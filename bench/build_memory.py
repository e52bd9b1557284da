"""Memory of `sifthinker build` over rows: `python bench/build_memory.py [--rows 1000000] [--workers 2] [--json]`.

Lines of the project's own form and of Visual-CoT's, of which 2% are kept (they share a few small photos), 40% fall to
the checks of samples, and the others to those of boxes, or as duplicates. The command runs in a process of its own, and
its resident memory (that of its workers beside it) is read from /proc twice a second, with the number of finished rows.

Results in bench/results/build_memory.json, beside those of runs with other settings; --plot draws docs/build_memory.png
from them instead.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from sifthinker.records import read_manifest

RESULTS = Path(__file__).parent / "results" / "build_memory.json"
PLOT = Path(__file__).parents[1] / "docs" / "build_memory.png"
ROWS_PER_SHARD, PHOTOS, SIZE = 256, 8, (64, 48)
EVERY_S = 0.5
SETTINGS = ("kind", "rows", "workers")


def line(kind: str, n: int) -> dict:
    """Row n of every hundred like it: kept, or rejected for one of the reasons."""
    turn = n % 100
    box = (
        [8, 8, 40, 40]
        if turn < 2
        else [0, 0, 64, 48]
        if turn < 42
        else [8, 8, 400, 40]
        if turn < 82
        else [8, 8, 40, 40]
    )
    question = f"What is thing {n if turn < 82 else n - turn}?"
    photo = f"{(n if turn < 82 else n - turn) % PHOTOS}.png"
    if kind == "viscot":
        return {
            "question": question, "answer": f"thing {n}", "image": photo, "width": SIZE[0], "height": SIZE[1],
            "bboxs": [box], "dataset": "made", "split": "train",
        }  # fmt: skip
    return {
        "id": f"row{n}", "image": photo, "question": question, "answer": f"thing {n}", "boxes": [box],
        "frame": "pixel_xyxy",
    }  # fmt: skip


def make_source(folder: Path, kind: str, rows: int) -> str:
    rng = np.random.default_rng(0)
    for number in range(PHOTOS):
        soft = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize(SIZE)
        soft.save(folder / f"{number}.png")
    path = folder / f"made_{kind}_train.jsonl"
    with path.open("w") as file:
        file.writelines(json.dumps(line(kind, n)) + "\n" for n in range(rows))
    return f"{kind}:{path}"


def rss_mib(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0.0


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def measure(kind: str, rows: int, workers: int) -> dict:
    """samples: [rows done, MiB of the command, MiB of its workers]."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, out = make_source(folder, kind, rows), folder / "out"
        command = [sys.executable, "-m", "sifthinker", "build", source, "--out", str(out), "--workers", str(workers)]
        load, start = os.getloadavg()[0], time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        samples, peak = [], 0.0
        while process.poll() is None:
            state = out / ".shards"
            done = ROWS_PER_SHARD * sum(1 for p in os.listdir(state) if p[0].isdigit()) if state.is_dir() else 0
            now = [min(done, rows), round(rss_mib(process.pid), 1), round(sum(map(rss_mib, children(process.pid))), 1)]
            peak = max(peak, now[1])
            # A hundred points are enough for a plot.
            if not samples or now[0] - samples[-1][0] >= rows / 100:
                samples.append(now)
            time.sleep(EVERY_S)
        seconds = time.monotonic() - start
        manifest = read_manifest(out)
    assert manifest["read"] == rows, manifest["read"]
    tenth = [mib for done, mib, _ in samples if rows / 10 <= done <= rows / 5]
    last = [mib for done, mib, _ in samples if done >= 0.9 * rows]
    return {
        "kind": kind, "rows": rows, "workers": workers, "kept": manifest["kept"],
        "rejected": manifest["rejects_by_reason"], "peak_rss_mib": round(peak, 1),
        "growth_mib": round(float(np.median(last) - np.median(tenth)), 1) if last and tenth else None,
        "seconds": round(seconds, 1),
        "rows_per_second": round(rows / seconds), "load_before": round(load, 2), "samples": samples,
    }  # fmt: skip


def plot(result: dict) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
    for run in result["runs"]:
        rows, mib, _ = zip(*run["samples"], strict=True)
        axes.plot(np.array(rows) / 1e6, mib, label=f"{run['kind']}, --workers {run['workers']}")
    axes.set(xlabel="million rows", ylabel="MiB resident", ylim=(0, None))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PLOT, dpi=100, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="+", default=["jsonl", "viscot"])
    parser.add_argument("--workers", type=int, nargs="+", default=[1], help="one run for each, of each kind")
    parser.add_argument("--plot", action="store_true", help="draw the results that are there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.plot:
        plot(json.loads(RESULTS.read_text()))
        return
    old = json.loads(RESULTS.read_text())["runs"] if RESULTS.exists() else []
    command = "python bench/build_memory.py " + " ".join(sys.argv[1:])
    new = [measure(kind, options.rows, n) | {"command": command} for kind in options.kinds for n in options.workers]
    again = [tuple(run[key] for key in SETTINGS) for run in new]
    runs = [run for run in old if tuple(run[key] for key in SETTINGS) not in again] + new
    million = [run["peak_rss_mib"] for run in runs if run["rows"] == 1_000_000]
    result = {"cores": os.cpu_count(), "peak_rss_mib_1m_rows": max(million, default=None), "runs": runs}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result) + "\n")
    shown = result if options.json else result | {"runs": [run | {"samples": len(run["samples"])} for run in runs]}
    print(json.dumps(shown, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
