"""Benchmarks: sets of samples with a score for each reply. One file each, one line each in `BENCHMARKS`.

A benchmark is named NAME or NAME:PATH (`open_benchmark`), always with a local path, and says at once which files or
columns are missing. To add one: a file with an `open_...` function, a line in the table, a test (docs/evaluation.md).
"""

from __future__ import annotations

import difflib

from ..errors import InputError, unknown_name
from ..lookup import lookup
from .again import open_again
from .blink import open_blink
from .dataset import open_dataset
from .degraded import open_degraded
from .protocol import UNPARSED, Benchmark, Entry, Options, Score
from .refcoco import open_refcoco
from .scenes import open_scenes
from .stepgame import open_stepgame
from .vsr import open_vsr

__all__ = ["BENCHMARKS", "UNPARSED", "Benchmark", "Entry", "Options", "Score", "open_benchmark"]

BENCHMARKS: dict[str, Entry] = {
    "scenes": Entry(
        open_scenes,
        "scenes[:tasks=A+B,objects=2-4,size=128x128], generated held-out scenes with exact answers (--n, --seed)",
        "this package",
        "Apache-2.0",
    ),
    "stepgame": Entry(
        open_stepgame,
        "stepgame:DIR, stories in words over 1 to 10 hops, rectified",
        "github.com/Fangjun-Li/SpatialLM-StepGame, from ZhengxiangShi/StepGame",
        "StepGame: MIT; its rectified copy has no licence file",
        generated=False,
    ),
    "dataset": Entry(
        open_dataset,
        "dataset:DIR, a folder that build or scenes wrote",
        "your own data",
        "that of the data",
        generated=False,
    ),
    "vsr": Entry(
        open_vsr,
        "vsr:FILE, statements about relations in COCO photos, true or false",
        "github.com/cambridgeltl/visual-spatial-reasoning",
        "Apache-2.0; photos under COCO's terms",
        generated=False,
    ),
    "blink": Entry(
        open_blink,
        "blink:DIR, choice questions of BLINK as ITEM/request.json with a photo",
        "BLINK-Benchmark/BLINK, processed copy of github.com/Yushi-Hu/VisualSketchpad",
        "Apache-2.0; photos under their own terms",
        generated=False,
    ),
    "refcoco": Entry(
        open_refcoco,
        "refcoco:FILE, referring expressions, right where IoU > 0.5",
        "RefCOCO, RefCOCO+, RefCOCOg as in github.com/deepcs233/Visual-CoT",
        "Apache-2.0 (code); photos under COCO's terms",
        generated=False,
    ),
    "degraded": Entry(
        open_degraded,
        "degraded:KIND:LEVEL:BENCHMARK, another benchmark with worse photos (nine kinds, levels 0 to 5)",
        "kinds and ranges of github.com/Visionary-Laboratory/SpaceDG, in this package's own forms",
        "that of the benchmark inside",
    ),
    "twins": Entry(
        open_again("twins"),
        "twins:BENCHMARK, each item and the other one of its pair, which count together",
        "pairs of SURDS (arXiv 2411.13112) and SpatialUncertain (arXiv 2605.30557), generated",
        "that of the benchmark inside",
    ),
    "variants": Entry(
        open_again("variants"),
        "variants:BENCHMARK, each item mirrored and with all orders of its options",
        "FlipEval and CircularEval of 3DSRBench (arXiv 2412.07825), generated",
        "that of the benchmark inside",
    ),
}


def open_benchmark(spec: str, options: Options | None = None) -> Benchmark:
    """The benchmark that NAME, NAME:PATH or module:attribute (of an `Entry`) names.

    Raises `InputError` for unknown names, paths that are not there, missing files or columns, and for a number of items
    where they are given.
    """
    name, _, path = spec.partition(":")
    options = options or Options()
    if name in BENCHMARKS:
        if options.n_asked and not BENCHMARKS[name].generated:
            raise InputError(
                f"benchmark {name}: its items are given, and --n {options.n} is how many to generate; "
                f"to take the first so many: --limit {options.n}"
            )
        return BENCHMARKS[name].open(path or None, options)
    if difflib.get_close_matches(name, BENCHMARKS, cutoff=0.6):
        raise unknown_name("benchmark", name, BENCHMARKS)
    entry = lookup("benchmark", spec, BENCHMARKS)
    if not isinstance(entry, Entry):
        raise InputError(f"benchmark {spec}: expected an Entry of sifthinker.benchmarks, got {type(entry).__name__}")
    return entry.open(None, options)
