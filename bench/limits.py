"""What limits a model on generated scenes: `python bench/limits.py RUN [--json]`, RUN a folder of `sifthinker eval`.

    task         share of right answers by task
    told apart   share of right answers to questions about two things, by what tells them apart: shapes, or colors alone
    side         HIoU of the last area by the side of the smallest box of the evidence, in pixels
    confused     wrong answers to questions for a color or a shape: right one, given one, how often

With 95 % intervals. Results in bench/results/limits.json.
"""

import argparse
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

from sifthinker.runs import read_run
from sifthinker.scenes.shapes import SHAPES
from sifthinker.statistics import estimate

RESULTS = Path(__file__).parent / "results" / "limits.json"
PAIRS = {"left_right", "front_behind", "nearer", "larger"}
NAMED = {"color_of_shape", "shape_of_color", "color_at_relation"}
SIDES = (8, 12, 16, 24)
"""Pixels at which the groups of sides part."""


def told_apart(question: str) -> str:
    """What tells the two things of a question apart."""
    first, second = (word for word in re.findall(r"\w+", question.lower()) if word in SHAPES)
    return "color" if first == second else "shape"


def side(boxes: list[list[float]], width: int, height: int) -> str:
    """The group of the smallest box."""
    pixels = min(((x1 - x0) * width * (y1 - y0) * height) ** 0.5 for x0, y0, x1, y1 in boxes)
    at = sum(pixels >= limit for limit in SIDES)
    return f"{(0, *SIDES)[at]:2} to {SIDES[at]}" if at < len(SIDES) else f"{SIDES[-1]} or more"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    run, items = read_run(arguments.run)
    if run["benchmark"] != "scenes":
        parser.error(f"{arguments.run} is of {run['benchmark']}, expected one of `--benchmark scenes`")
    width, height = map(int, re.findall(r"-(\d+)x(\d+)-", run["version"])[0])
    groups: dict[str, dict[str, list[tuple[float, str]]]] = defaultdict(lambda: defaultdict(list))
    confused = Counter()
    for item in items:
        groups["task"][item["task"]].append((item["value"], item["group_id"]))
        if item["task"] in PAIRS:
            key = f"{item['task']}, {told_apart(item['question'])}"
            groups["told apart"][key].append((item["value"], item["group_id"]))
        if item["hiou"] is not None:
            groups["side"][side(item["boxes"], width, height)].append((item["hiou"], item["group_id"]))
        if item["task"] in NAMED and not item["value"]:
            confused[f"{item['gold']} {item['answer']}"] += 1
    result = {
        name: {
            key: {"n": len(pairs)} | estimate([v for v, _ in pairs], [u for _, u in pairs]).to_json()
            for key, pairs in sorted(found.items())
        }
        for name, found in groups.items()
    } | {"confused": dict(confused.most_common(12)), "model": run["model_id"], "version": run["version"]}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(result))
        return
    for name in groups:
        print(name)
        for key, e in result[name].items():
            print(f"  {key:28} {e['n']:5} {e['value']:.3f} [{e['low']:.3f}, {e['high']:.3f}]")
    print("confused", result["confused"])


if __name__ == "__main__":
    main()
