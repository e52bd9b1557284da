"""How fast `build` is without the network, and how far from the released way: `python bench/build.py [--json]`.

Rows about photos of 640x480 (JPEG) with 16-bit PNG depth beside them become a data set: read, expanded, depths pooled,
pictures of the depth drawn, words from templates, checked, written. `--photos` photos have contents of their own; each
is asked about 4, 2 or 1 times in a row, since questions about one photo follow each other in most sources.

samples_per_second_per_core: rows a second of CPU time at 4 rows a photo, of the whole build, contact sheet and all; one
process, one thread, the best of `--rounds`. Other work on the cores makes CPU time longer (caches, memory, the other
thread of a core): the load is noted, and the figure is a lower bound.

released_baseline_ratio: CPU time a sample of the released way by CPU time a sample of ours, for `--baseline-rows` rows.
The released way, written anew: for each box the colored picture of the depth is turned into depth again, each pixel by
the nearest color of the map in a KD-tree; a pool of 30 threads; the whole JSON list is written after every sample. The
writing grows with the square of the rows, so the ratio holds for that many rows, and stands beside the ratios without
the writing, and with only the pixels of each box looked up.

annotator_utilization: of bench/annotator.py, 256 slots, answers after 2 s. peak_rss_mib_1m_rows: of
bench/build_memory.py. Results in bench/results/build.json.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import KDTree

sys.path.insert(0, str(Path(__file__).parent))
os.environ["TQDM_DISABLE"] = "1"

from annotator import Asking, measure

from sifthinker.datagen.build import build
from sifthinker.datagen.expand import expand
from sifthinker.geometry import Box

RESULTS = Path(__file__).parent / "results" / "build.json"
SIZE = WIDTH, HEIGHT = 640, 480
ROWS_PER_PHOTO = (4, 2, 1)
THREADS = 30
COLORS = np.stack([np.linspace(0, 255, 256), 255 * np.sin(np.linspace(0, np.pi, 256)), np.linspace(255, 0, 256)], 1)
COLORS = np.rint(COLORS).astype(np.uint8)
"""A color map of 256 colors, all different."""


def make_photo(folder: Path, number: int) -> None:
    """Soft light, shapes and noise, about 85 KB; depth of a sensor: a floor, the shapes, noise, holes."""
    rng = np.random.default_rng(number)
    photo = Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    depth = Image.fromarray((6000 - 8 * y + rng.uniform(-2, 2) * x).astype(np.float32))
    on_photo, on_depth = ImageDraw.Draw(photo), ImageDraw.Draw(depth)
    for _ in range(12):
        left, top, wide, high = (int(v) for v in (*rng.integers(0, (560, 420)), *rng.integers(20, 160, 2)))
        on_photo.rectangle((left, top, left + wide, top + high), fill=tuple(int(v) for v in rng.integers(0, 255, 3)))
        on_depth.rectangle((left, top, left + wide, top + high), fill=float(rng.uniform(800, 4000)))
    noisy = np.asarray(photo, np.int16) + rng.normal(0, 6, (HEIGHT, WIDTH, 3)).astype(np.int16)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)
    millimetres = (np.asarray(depth) + rng.normal(0, 2, (HEIGHT, WIDTH))).clip(300, 9000)
    holes = np.asarray(Image.fromarray(rng.integers(0, 255, (48, 64), dtype=np.uint8)).resize(SIZE)) < 40
    Image.fromarray(np.where(holes, 0, millimetres).astype(np.uint16)).save(folder / f"{number}.png")


def make_rows(folder: Path, count: int, photos: int, rows_per_photo: int) -> Path:
    rng = np.random.default_rng(0)
    lines = []
    for n in range(count):
        photo = n // rows_per_photo % photos
        left, top, wide, high = (*rng.uniform(0.05, 0.6, 2), *rng.uniform(0.1, 0.3, 2))
        boxes = [[left, top, left + wide, top + high], [0.7, 0.7, 0.8, 0.9]][: 1 + (n % 3 == 0)]
        row = {
            "id": f"row{n}",
            "image": f"{photo}.jpg",
            "depth": f"{photo}.png",
            "depth_encoding": "mm",
            "boxes": boxes,
        }
        lines.append(json.dumps(row | {"question": f"What is thing {n}?", "answer": f"thing {n}"}) + "\n")
    path = folder / f"rows{rows_per_photo}.jsonl"
    path.write_text("".join(lines))
    return path


def spent(work) -> dict[str, float]:
    """Seconds of CPU and of the clock that `work` takes."""
    cpu, clock = time.process_time(), time.perf_counter()
    work()
    return {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - clock}


def ours(folder: Path, count: int, photos: int, rows_per_photo: int) -> dict:
    rows, out, load = make_rows(folder, count, photos, rows_per_photo), folder / "out", os.getloadavg()[0]
    took = spent(lambda: build(f"jsonl:{rows}", out, images=folder))
    size = sum(path.stat().st_size for path in out.glob("*.parquet"))
    kept = json.loads((out / "manifest.json").read_text())["kept"]
    shutil.rmtree(out)
    if kept != count:
        raise SystemExit(f"{kept} of {count} rows were kept")
    return {
        "rows": count,
        "rows_per_photo": rows_per_photo,
        "per_cpu_second": round(count / took["cpu_s"], 1),
        "per_second": round(count / took["wall_s"], 1),
        "cpu_ms_per_row": round(1000 * took["cpu_s"] / count, 2),
        "kib_per_row": round(size / count / 1024, 1),
        "load_before": round(load, 2),
    }


def color_depths(folder: Path, photos: int) -> None:
    """The depth maps as colored pictures, as the released way has them ready."""
    for number in range(photos):
        depth = np.asarray(Image.open(folder / f"{number}.png")).astype(float)
        Image.fromarray(COLORS[(255 * depth / depth.max()).astype(np.uint8)]).save(folder / f"{number}.color.png")


def released_sample(row: dict, folder: Path, whole: bool) -> dict:
    """The chain of a row, with depths as the released way finds them, box by box; whole: from the whole picture."""
    areas = []
    seed = np.random.default_rng(int(row["id"].removeprefix("row")))
    for stage in expand([Box(*box) for box in row["boxes"]], None, seed):
        for box in stage.area.boxes:
            picture = np.asarray(Image.open(folder / row["image"].replace(".jpg", ".color.png")))
            left, top, right, bottom = box.pixel_bounds(SIZE)
            picture = picture if whole else picture[top:bottom, left:right]
            _, levels = KDTree(COLORS).query(picture.reshape(-1, 3))
            levels = levels.reshape(picture.shape[:2])
            levels = levels[top:bottom, left:right] if whole else levels
            areas.append({"bbox_2d": [round(v, 3) for v in box], "depth": round(float(levels.mean()) / 255, 3)})
    words = [{"area": area, "text": "I look at this part of the picture and think about it." * 2} for area in areas]
    return {"id": row["id"], "messages": [{"content": row["question"]}, {"content": words}], "answer": row["answer"]}


def released(folder: Path, rows: list[dict], sampled: int) -> dict[str, float]:
    """Milliseconds of CPU a sample of the released way: of depths (from `sampled` rows) and of writing (of all)."""
    made: list[dict] = []

    def depths(whole: bool) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            made.extend(pool.map(lambda row: released_sample(row, folder, whole), rows[:sampled]))

    def writing() -> None:
        done = []
        for n in range(len(rows)):
            done.append(made[n % sampled])
            (folder / "all.json").write_text(json.dumps(done, indent=2))

    return {
        "depths": 1000 * spent(lambda: depths(True))["cpu_s"] / sampled,
        "depths_of_boxes_only": 1000 * spent(lambda: depths(False))["cpu_s"] / sampled,
        "writing": 1000 * spent(writing)["cpu_s"] / len(rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=256)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--baseline-rows", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=10, help="latencies of the annotator's run; 0 leaves it out")
    parser.add_argument("--memory-as-recorded", action="store_true", help="do not measure it again (15 minutes)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict = {"command": "python bench/build.py " + " ".join(sys.argv[1:]), "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(options.photos):
            make_photo(folder, number)
        ours(folder, 64, options.photos, 1)  # imports, and files into memory
        runs = [ours(folder, options.rows, options.photos, n) for _ in range(options.rounds) for n in ROWS_PER_PHOTO]
        color_depths(folder, options.photos)
        lines = make_rows(folder, options.baseline_rows, options.photos, ROWS_PER_PHOTO[0]).read_text().splitlines()
        theirs = released(folder, [json.loads(line) for line in lines], sampled=16)
    runs.sort(key=lambda run: run["cpu_ms_per_row"], reverse=True)
    best = {run["rows_per_photo"]: run for run in runs}
    own = best[ROWS_PER_PHOTO[0]]["cpu_ms_per_row"]
    result |= {
        "samples_per_second_per_core": best[ROWS_PER_PHOTO[0]]["per_cpu_second"],
        "by_rows_per_photo": {str(n): run["per_cpu_second"] for n, run in best.items()},
        "released_baseline_ratio": round((theirs["depths"] + theirs["writing"]) / own, 1),
        "released": {
            "rows": options.baseline_rows,
            "cpu_ms_per_sample": {part: round(ms, 1) for part, ms in theirs.items()},
            "ratio_for_50000_rows_if_writing_goes_on_to_grow": round(
                (theirs["depths"] + theirs["writing"] * 50_000 / options.baseline_rows) / own, 1
            ),
            "ratio_without_writing": round(theirs["depths"] / own, 1),
            "ratio_of_boxes_only_without_writing": round(theirs["depths_of_boxes_only"] / own, 1),
        },
        "runs": runs,
    }
    if options.turns:
        busy = measure(256 * options.turns, (320, 240), 2.0, 256, 0.0, Asking(concurrency=256), workers=2)
        result |= {"annotator_utilization": busy["utilization"], "annotator": busy}
    memory = RESULTS.with_name("build_memory.json")
    if not options.memory_as_recorded:
        subprocess.run(
            [sys.executable, str(Path(__file__).with_name("build_memory.py"))], check=True, capture_output=True
        )
    result["peak_rss_mib_1m_rows"] = json.loads(memory.read_text())["peak_rss_mib_1m_rows"]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result) if options.json else json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
