"""Fill the tables in docs/results and in sif-tiny's card from files that commands wrote, and draw the curve.

python docs/make_results.py     writes anew what stands between `<!-- TABLE ARGUMENT ... -->` and `<!-- end -->`

    FILE.json in docs/results        the study.json of `sifthinker study`; probe.json is of `sifthinker probe`
    bench/results/limits.json        python bench/limits.py RUN
    bench/results/sif_tiny.json      python bench/sif_tiny.py
    bench/results/hacking.json       python bench/hacking.py STUDY

A new table is a function here with an entry in `TABLES`; a new page only names tables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from sifthinker.recipes import read_yaml
from sifthinker.records import atomic_write
from sifthinker.tables import interval

DOCS = Path(__file__).parent
RESULTS, BENCH = DOCS / "results", DOCS.parent / "bench" / "results"
CARD = DOCS.parent / "src" / "sifthinker" / "models" / "sif-tiny" / "README.md"

AIMS = {"answer_accuracy": 0.95, "hiou": 0.80, "depth_within_tolerance": 0.95, "valid_rate": 0.995}
"""What was asked of sif-tiny on fresh scenes like those of its training."""
SAID = {
    "answer_accuracy": "right answers",
    "hiou": "HIoU of the last area",
    "depth_within_tolerance": "depths within tolerance",
    "valid_rate": "valid traces",
}
CURVE = {"seeing": ["perception-sft"], "first": ["sft"], "whole": ["order-sft", "whole-sft"], "sif-tiny": ["last-sft"]}
"""Rows of stages.json in the order in which they were trained, and the recipes that led to each from the one before."""
PROCESSES = 2
"""In which each stage is trained by `make train-sif-tiny`."""

Row = dict[str, Any]


@cache
def read(path: Path) -> Any:
    """What a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def rows_of(file: str) -> dict[str, Row]:
    """The rows of a study by name."""
    return {row["name"]: row for row in read(RESULTS / f"{file}.json")["rows"]}


def metric(row: Row, name: str, benchmark: str) -> dict[str, Any]:
    """Value and interval of a metric of a row."""
    return row["benchmarks"][benchmark]["metrics"][name]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows])


def targets(file: str, benchmark: str, name: str) -> str:
    """The four aims, and how far a row is from each."""
    lines = []
    for key, aim in AIMS.items():
        found = metric(rows_of(file)[name], key, benchmark)
        gap = aim - found["value"]
        lines.append([SAID[key], interval(found), f"{aim:g}", "reached" if gap <= 0 else f"missed by {gap:.3f}"])
    items = rows_of(file)[name]["benchmarks"][benchmark]["items"]
    return table([f"{items:,} fresh scenes", name, "aim", ""], lines)


def values(file: str, benchmark: str, *names: str) -> str:
    """Rows of a study on one benchmark; without names, all."""
    rows = rows_of(file)
    lines = [
        [f"`{name}`", rows[name]["about"], *(interval(metric(rows[name], key, benchmark)) for key in AIMS)]
        for name in names or rows
    ]
    return table(["row", "what it is", *SAID.values()], lines)


def splits(file: str, name: str, *left_out: str) -> str:
    """A row of a study on all benchmarks but some."""
    row = rows_of(file)[name]
    shown = [benchmark for benchmark in row["benchmarks"] if benchmark not in left_out]
    return table(
        ["benchmark", *SAID.values()],
        [[f"`{benchmark}`", *(interval(metric(row, key, benchmark)) for key in AIMS)] for benchmark in shown],
    )


def changes(file: str, *names: str) -> str:
    """Differences of rows from what each is compared with, on every benchmark, in bold where they are not zero."""
    lines = []
    for row in (rows_of(file)[name] for name in names):
        for benchmark in row["benchmarks"]:
            cells = [_change(metric(row, key, benchmark)["difference"]) for key in AIMS]
            lines.append([f"`{row['name']}` against `{row['against']}`", f"`{benchmark}`", *cells])
    return table(["row", "benchmark", *SAID.values()], lines)


def differences(file: str, key: str, *names: str) -> str:
    """Differences of rows in one metric, a column for each benchmark; without names, of all that are compared."""
    rows = rows_of(file)
    compared = [rows[name] for name in names or rows if rows[name]["against"] != name]
    lines = []
    for row in compared:
        cells = [_change(metric(row, key, benchmark)["difference"]) for benchmark in row["benchmarks"]]
        lines.append([f"`{row['name']}` against `{row['against']}`", *cells])
    return table([SAID[key], *(f"`{benchmark}`" for benchmark in compared[0]["benchmarks"])], lines)


def costs(file: str) -> str:
    """What the trainings of each row took, all seeds together."""
    lines = []
    for row in rows_of(file).values():
        if (spent := row["compute"])["samples"]:
            counts = [f"{spent[key]:,.0f}" for key in ("optimizer_steps", "samples")]
            lines.append([f"`{row['name']}`", *counts, *(f"{spent[key] / 60:.0f}" for key in ("wall_s", "cpu_s"))])
    return table(["row", "optimizer steps", "samples", "minutes", "CPU minutes"], lines)


def hacking(*names: str) -> str:
    """Rows of `bench/hacking.py`."""
    found = read(BENCH / "hacking.json")
    lines = [[f"`{name}`", *(interval(one, with_sign=True) for one in found[name].values())] for name in names or found]
    return table(["row", *next(iter(found.values()))], lines)


def _change(found: dict[str, Any] | None) -> str:
    if found is None or found["value"] is None:
        return "none"
    said = interval(found, with_sign=True)
    return f"**{said}**" if found["verdict"] else said


def limits(group: str) -> str:
    """A group of `bench/limits.py`; its name with dashes for spaces."""
    found = read(BENCH / "limits.json")
    if group == "confused":
        pairs = [f"{key.replace(' ', ' taken for ')} ({count})" for key, count in found[group].items()]
        return f"Confused most often: {', '.join(pairs[:8])}."
    name = group.replace("-", " ")
    lines = [[key.strip(), str(one["n"]), interval(one)] for key, one in found[name].items()]
    return table([name, "questions", "HIoU" if group == "side" else "right answers"], lines)


def probe(file: str) -> str:
    """What changed when the model was asked about changed pictures."""
    found = read(RESULTS / f"{file}.json")
    lines = []
    for change, effect in found["changes"].items():
        cells = [interval(effect["before"]), interval(effect["after"])]
        cells += [interval(effect["difference"], with_sign=True), interval(effect["answer_changed"])]
        lines.append([change, str(effect["n"]), *cells])
    shown, original = (found["depth"][f"within_tolerance_of_{which}"] for which in ("shown", "original"))
    heads = ["change", "items", "right before", "right after", "difference", "another answer"]
    return (
        f"{table(heads, lines)}\n\nOccluded against elsewhere, on the same items: "
        f"{interval(found['focus'], with_sign=True)}. With the map turned over, stated depths are within tolerance "
        f"of the map that was shown in {interval(shown)}, of the original in {interval(original)}."
    )


def speed() -> str:
    """How long an answer takes."""
    found = read(BENCH / "sif_tiny.json")
    one = found["one_s"]
    return (
        f"One question takes {one['median']} s on {found['cores']} cores with the model loaded (median of {one['n']}, "
        f"longest {one['longest']} s), `sifthinker think` with its page {found['think_s']} s from start to end. "
        f"Batches of 64 answer {found['batch_per_s']} questions a second, {found['ratio']} times as many as one by one."
    )


TABLES = {
    "targets": targets, "values": values, "splits": splits, "changes": changes, "limits": limits, "probe": probe,
    "speed": speed, "differences": differences, "costs": costs, "hacking": hacking,
}  # fmt: skip


def samples_seen() -> list[int]:
    """Samples trained on until each row of `CURVE`."""
    seen = [0]
    for recipes in CURVE.values():
        stages = [read_yaml(f"sif-tiny-{name}") for name in recipes]
        steps = sum(stage["max_steps"] * stage["per_device_train_batch_size"] for stage in stages)
        seen.append(seen[-1] + PROCESSES * steps)
    return seen[1:]


def draw_curve() -> None:
    """Gap to the aims against the samples trained on, with intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot()
    seen, rows = np.array(samples_seen()) / 1000, rows_of("stages")
    for key, aim in AIMS.items():
        found = [metric(rows[name], key, "train") for name in CURVE]
        gaps = np.array([[aim - one[end] for end in ("value", "high", "low")] for one in found]).clip(0)
        axes.fill_between(seen, gaps[:, 1], gaps[:, 2], alpha=0.15)
        axes.plot(seen, gaps[:, 0], marker="o", label=SAID[key])
    axes.set_xlabel("thousand samples trained on")
    axes.set_ylabel("gap to the aim")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(RESULTS / "sif-tiny-curve.png", dpi=120)


def filled(page: str) -> str:
    """The page with its tables written anew. Raises `KeyError` for a table that is none."""

    def write(found: re.Match[str]) -> str:
        name, *arguments = found[1].split()
        return f"<!-- {found[1]} -->\n\n{TABLES[name](*arguments)}\n\n<!-- end -->"

    return re.sub(r"<!-- ([\w -]+?) -->\n.*?<!-- end -->", write, page, flags=re.DOTALL)


def main() -> None:
    """Draw, and fill all pages."""
    draw_curve()
    for page in (*sorted(RESULTS.glob("*.md")), CARD):
        text = page.read_text(encoding="utf-8")
        if (new := filled(text)) != text:
            atomic_write(page, new)
            print(page)


if __name__ == "__main__":
    main()
