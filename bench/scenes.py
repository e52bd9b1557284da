"""How fast generated scenes are: `python bench/scenes.py [--json]`, results in bench/results/scenes.json.

questions_per_second: samples with gold traces, all tasks, at 128x128 on `cores` processes (start-up left out);
`--questions` of them. questions_mib: memory of all these processes together after each tenth, in MiB.
scenes_per_second: scenes drawn and rendered (RGB, depth, masks, boxes, visible fractions) by as many processes.
scenes_per_cpu_second: the same for one process that has a core to itself, whatever else runs on the machine.
frames_one_core: milliseconds of CPU a frame, against visible fractions by casting each object alone in a frame of its
own, and against sampling every pixel four times; all measured in one run on the same scenes.
pools_one_core: milliseconds of CPU to draw and to render a scene of each pool at 128x128.
photo_s: seconds of CPU of one photo at 128x128; null without mitsuba.
"""

import argparse
import json
import os
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sifthinker.scenes.generate import generate
from sifthinker.scenes.layout import Plan, sample_scene
from sifthinker.scenes.model import Scene
from sifthinker.scenes.photoreal import render_photo
from sifthinker.scenes.render import render
from sifthinker.scenes.shapes import POOLS

RESULTS = Path(__file__).parent / "results" / "scenes.json"


def scenes(count: int, size: tuple[int, int], seed: int = 0, pool: str = "solids") -> list[Scene]:
    rng = np.random.default_rng(seed)
    found: list[Scene] = []
    while len(found) < count:
        made = sample_scene(rng, Plan(int(rng.integers(1, 4)), pool=pool), size)
        if isinstance(made, Scene):
            found.append(made)
    return found


def alone(made: Scene, size: tuple[int, int]) -> list[float]:
    """Visible fractions the slow way: one more frame for each object."""
    everything = render(made, size)
    _ = everything.image
    shares = []
    for index, thing in enumerate(made.objects):
        only = render(Scene((thing,), made.room, made.light, made.cameras), size)
        shares.append((everything.instances == index).sum() / max((only.instances == 0).sum(), 1))
    return shares


def milliseconds(work, items) -> float:
    """CPU time of a call, best of three rounds."""
    rounds = []
    for _ in range(3):
        start = time.process_time()
        for item in items:
            work(item)
        rounds.append((time.process_time() - start) / len(items) * 1e3)
    return min(rounds)


def pools(size: tuple[int, int]) -> dict[str, dict[str, float]]:
    """Milliseconds of CPU to draw and to render a scene of each pool."""
    found = {}
    for pool in POOLS:
        made = scenes(30, size, pool=pool)
        _ = [render(s, size).image for s in made[:10]]
        drawing = milliseconds(lambda seed, pool=pool: scenes(10, size, seed, pool), [0, 1]) / 10
        rendering = milliseconds(lambda s: render(s, size).image, made)
        found[pool] = {"draw_ms": round(drawing, 2), "render_ms": round(rendering, 2)}
    return found


def photo(size: tuple[int, int]) -> float | None:
    """Seconds of CPU of one photo of a furnished room."""
    try:
        import mitsuba  # noqa: F401
    except ImportError:
        return None
    made = scenes(2, size, pool="furniture")
    render_photo(made[0], (16, 16), samples=1)
    return round(milliseconds(lambda s: render_photo(s, size), made) / 1e3, 2)


def draw_and_render(seed: int) -> tuple[int, float]:
    """Scenes made, and the seconds of CPU that they took."""
    size, start = (128, 128), time.process_time()
    for made in scenes(25, size, seed):
        _ = render(made, size).image
    return 25, time.process_time() - start


def rate_scenes(cores: int, count: int) -> tuple[float, float]:
    """Scenes a second of all processes together, and for each second of CPU."""
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
        list(pool.map(draw_and_render, range(2 * cores)))
        start = time.perf_counter()
        made, cpu = zip(*pool.map(draw_and_render, range(100, 100 + count // 25)), strict=True)
        return sum(made) / (time.perf_counter() - start), sum(made) / sum(cpu)


def rate_questions(cores: int, count: int) -> tuple[float, list[int]]:
    """Questions a second, and the memory of all processes (what only they hold) after each tenth, MiB."""
    import psutil

    stream = generate(count + 100, seed=1, size=(128, 128), workers=cores)
    for _ in range(100):
        next(stream)
    memory, start = [], time.perf_counter()
    for made, _ in enumerate(tqdm(stream, desc="questions", unit="question", total=count), 1):
        if made * 10 % count < 10:
            everyone = [psutil.Process(), *psutil.Process().children(recursive=True)]
            memory.append(round(sum(p.memory_full_info().uss for p in everyone) / 2**20))
    return count / (time.perf_counter() - start), memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--cores", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--count", type=int, default=600, help="scenes")
    parser.add_argument("--questions", type=int, default=600)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    frames = {}
    for side in (96, 128):
        size, made = (side, side), scenes(40, (side, side))
        _ = render(made[0], size).image
        ours = milliseconds(lambda s, size=size: render(s, size).image, made)
        rough = milliseconds(lambda s, size=size: render(s, size, smooth=False).image, made)
        slow = milliseconds(lambda s, size=size: alone(s, size), made)
        full = milliseconds(lambda s, side=side: render(s, (2 * side, 2 * side), smooth=False).image, made)
        frames[f"{side}x{side}"] = {
            "render_ms": round(ours, 2),
            "render_each_object_alone_ms": round(slow, 2),
            "ratio_alone": round(slow / ours, 2),
            "without_anti_aliasing_ms": round(rough, 2),
            "every_pixel_four_times_ms": round(full, 2),
            "ratio_four_times": round(full / ours, 2),
        }
    rate, cpu_rate = rate_scenes(options.cores, options.count)
    questions, memory = rate_questions(options.cores, options.questions)
    result = {
        "scenes_per_second": round(rate, 1),
        "questions_per_second": round(questions, 1),
        "cores": options.cores,
        "questions": options.questions,
        "questions_mib": memory,
        "scenes_per_cpu_second": round(cpu_rate, 1),
        "size": [128, 128],
        "frames_one_core": frames,
        "pools_one_core": pools((128, 128)),
        "photo_s": photo((128, 128)),
        "command": f"OMP_NUM_THREADS=1 python {' '.join(sys.argv)}",
        "load_before": round(load, 2),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    json.dump(result, sys.stdout, indent=None if options.json else 2)
    print()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
