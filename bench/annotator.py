"""How busy a teacher's server is kept, and what becomes of a build when it fails: `python bench/annotator.py [--json]`.

A server on this machine, in a process of its own (tests/openai_server.py), answers after `--latency` seconds and works
on as many requests at a time as it has slots; `build` makes a data set of photos of `--size`, from rows to shards.

annotator_utilization: share of the first `--slots` that were busy, from two latencies after the first request to the
last one. faults: a build of `--faulty` rows of which every tenth answer is a 429, 500, 503, a cut connection, garbage,
silence until the client gives up, or a reply that fails the checks. The load of the machine before each run is noted;
with other work on its cores, the figures are a lower bound. Results in bench/results/annotator.json.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sifthinker.datagen.annotators.asking import Asking
from sifthinker.datagen.build import build
from sifthinker.records import read_jsonl, read_rows
from tests.openai_server import Failure, Garbage, Late, serve

RESULTS = Path(__file__).parent / "results" / "annotator.json"
PHOTOS = 64
TIMEOUT_S = 5.0
FAULTS = (
    Failure(429, headers={"Retry-After": "1"}), Failure(429), Failure(500), Failure(503), Failure(0),
    Failure(500, cut=True), Garbage(), Garbage(b"{"), Late("too late", 2 * TIMEOUT_S), "garbage in words",
    '{"texts": [], "answer": "none"}',
)  # fmt: skip


def reply_to(body: dict) -> str:
    last = body["messages"][1]["content"][-1]["text"]
    count = int(last.partition("Number of parts: ")[2].partition(".")[0])
    texts = [f"I look at part {i} and see what is there." for i in range(count)]
    return json.dumps({"texts": texts, "answer": last.partition("The right answer is: ")[2]})


def run_server(pipe, latency_s: float, slots: int, rate: float) -> None:
    rng = random.Random(0)
    faults = 0

    def answer(body: dict):
        nonlocal faults
        if rng.random() < rate:
            faults += 1
            return rng.choice(FAULTS)
        return reply_to(body)

    with serve(answer, latency_s=latency_s, slots=slots, keep=False) as server:
        pipe.send(server.url)
        pipe.recv()
        skip_s = 2 * latency_s
        pipe.send(
            {
                "requests": server.count,
                "faults": faults,
                "most_at_a_time": server.peak,
                "utilization": round(server.utilization(slots, skip_s), 4),
                "utilization_from_the_first_request": round(server.utilization(slots), 4),
                "server_cpu_s": round(time.process_time(), 1),
            }
        )


@contextmanager
def server(*settings):
    """A server in a process of its own: its URL, and a function that ends it and gives its figures."""
    context = get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=run_server, args=(other, *settings), daemon=True)
    process.start()
    # Else nobody would notice that the server has died.
    other.close()

    def end() -> dict:
        pipe.send(None)
        return pipe.recv()

    try:
        yield pipe.recv(), end
    finally:
        process.kill()
        process.join()


def make_rows(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """Rows with photos as cameras make them: soft shapes, some noise, JPEG."""
    rng = np.random.default_rng(0)
    for number in range(PHOTOS):
        soft = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
        noisy = np.asarray(soft, np.int16) + rng.normal(0, 4, (size[1], size[0], 3)).astype(np.int16)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)
    rows = (
        {
            "id": f"row{n}",
            "image": f"{n % PHOTOS}.jpg",
            "question": f"What is thing {n}?",
            "answer": f"answer {n}",
            "boxes": [[0.2, 0.3, 0.4 + 0.001 * (n % 300), 0.7]],
        }
        for n in range(count)
    )
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def measure(
    count: int, size: tuple[int, int], latency_s: float, slots: int, rate: float, asking: Asking, workers: int
) -> dict:
    with tempfile.TemporaryDirectory() as folder, server(latency_s, slots, rate) as (url, end):
        rows, out = make_rows(Path(folder), count, size), Path(folder) / "out"
        load, cpu, start = os.getloadavg()[0], time.process_time(), time.monotonic()
        manifest = build(f"jsonl:{rows}", out, annotator=f"m@{url}", asking=asking, workers=workers)
        seconds, cpu = time.monotonic() - start, time.process_time() - cpu
        figures = end()
        ids = [row["id"] for row in read_rows(out)] if manifest["kept"] else []
        rejects = [reject["id"] for _, reject in read_jsonl(out / "rejects.jsonl")]
        return figures | {
            "slots": slots,
            "latency_s": latency_s,
            "workers": workers,
            "rows": count,
            "photo": list(size),
            "kept": manifest["kept"],
            "rejected": manifest["rejects_by_reason"],
            "every_row_once": sorted(ids + rejects) == sorted(f"row{n}" for n in range(count)),
            "seconds": round(seconds, 1),
            "cpu_ms_per_row": round(1000 * cpu / count, 2),
            "load_before": round(load, 2),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=25, help="latencies that a measurement of utilization takes")
    parser.add_argument("--faulty", type=int, default=10_000, help="rows of the run with faults; 0 leaves it out")
    parser.add_argument("--latency", type=float, default=2.0)
    parser.add_argument("--slots", type=int, nargs="+", default=[256, 64], help="of the server, one run for each")
    parser.add_argument("--size", default="320x240", help="of the photos")
    parser.add_argument("--workers", type=int, default=2, help="of the runs that measure utilization")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    result: dict = {"command": "python bench/annotator.py " + " ".join(sys.argv[1:]), "cores": os.cpu_count()}
    result["busy"] = [
        measure(n * options.turns, (width, height), options.latency, n, 0.0, Asking(concurrency=n), options.workers)
        for n in options.slots
    ]
    result["annotator_utilization"] = round(result["busy"][0]["utilization"], 4)
    if options.faulty:
        asking = Asking(concurrency=64, timeout_s=TIMEOUT_S, pause_s=0.2)
        result["faults"] = measure(options.faulty, (96, 72), 0.2, 256, 0.1, asking, 1)
    result["peak_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result) if options.json else json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
