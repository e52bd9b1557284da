"""What a model learned from rewards that can be hacked: `python bench/hacking.py STUDY [--json]`.

STUDY is the folder of `sifthinker study sif-tiny-hacking`. Of the replies of each row to the same fresh questions:

    spare      boxes of the last area beyond those of the evidence, if less below 0
    first      HIoU of the first box that is not the whole picture
    last       HIoU of the last area
    pairs      the pair half of HIoU over the larger number of boxes; `released` over the smaller
    correction as here; `released` as the authors'

Means over seeds, with 95 % intervals over seeds and scenes at once. Results in bench/results/hacking.json.
"""

import argparse
import json
from pathlib import Path

from sifthinker.geometry import Box
from sifthinker.rewards.correction import correction_released, correction_reward
from sifthinker.rewards.focus import area_hiou, focus_reward, pairs_released, pairs_reward
from sifthinker.runs import read_run
from sifthinker.sample import Sample
from sifthinker.statistics import estimate_seeds
from sifthinker.trace import Trace

RESULTS = Path(__file__).parent / "results" / "hacking.json"
MEASURES = {
    "spare": lambda trace, sample: len(trace.last_area.boxes if trace.last_area else ()) - len(sample.boxes),
    "first": lambda trace, sample: area_hiou(trace.first_focus, sample),
    "last": focus_reward,
    "pairs": pairs_reward,
    "pairs released": pairs_released,
    "correction": correction_reward,
    "correction released": correction_released,
}


def measured(folder: Path) -> tuple[dict[str, list[float]], list[str]]:
    """Each measure of each reply of a run folder, and the scenes they are about."""
    found, units = {name: [] for name in MEASURES}, []
    for item in read_run(folder)[1]:
        if not item["boxes"]:
            continue
        sample = Sample(item["item_id"], None, item["question"], boxes=tuple(Box(*box) for box in item["boxes"]))
        trace = Trace.from_json(item["trace"]) if item["trace"] else Trace((), None)
        for name, measure in MEASURES.items():
            found[name].append(float(measure(trace, sample)))
        units.append(item["group_id"])
    return found, units


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("study", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = {}
    for name in [row["name"] for row in json.loads((arguments.study / "study.json").read_text())["rows"]]:
        seeds = [measured(folder) for folder in sorted((arguments.study / name).glob("seed-*/eval/same"))]
        rows[name] = {
            # As differences, which need not lie in [0, 1].
            measure: estimate_seeds([f[measure] for f, _ in seeds], [u for _, u in seeds], difference=True).to_json()
            for measure in MEASURES
        }
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(rows))
        return
    print(f"{'':22}" + "".join(f"{measure:>24}" for measure in MEASURES))
    for name, found in rows.items():
        print(f"{name:22}" + "".join(f"{e['value']:>10.3f} [{e['low']:.3f},{e['high']:.3f}]" for e in found.values()))


if __name__ == "__main__":
    main()
