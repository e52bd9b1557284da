"""The result of a study whose parts are all finished, from its run folders: `study.json` and `study.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..grading import VERSION as EXTRACTION_VERSION
from ..metrics import HEADLINE, LOWER_IS_BETTER, measured
from ..prompt import prompt_hash
from ..provenance import provenance
from ..runs import read_run
from ..statistics import Estimate, estimate_seeds
from ..tables import interval, signed, title
from .recipe import Row, Study
from .spent import spent

SCHEMA = 1

SHOWN = (*HEADLINE, "depth_within_tolerance")
"""Metrics in the tables of `study.md`; `study.json` holds all."""

Values = dict[str, dict[str, float]]
"""Of one evaluation: metric -> id of the item -> value."""


def result_of(plan: Study) -> dict[str, Any]:
    """What `study.json` holds, from the run folders of a study whose parts are all finished."""
    rows = {
        row.name: {
            "name": row.name,
            "about": row.about,
            "from" if row.from_row else "model": row.start,
            "against": row.against,
            "trained": plan.trained(row),
            "compute": _compute(plan, row),
            "benchmarks": {},
        }
        for row in plan.rows.values()
    }
    for name in plan.benchmarks:
        found = {row.name: _values(plan, row, name) for row in plan.rows.values()}
        units = found[plan.reference][1]
        for row in plan.rows.values():
            mine, own = found[row.name]
            if own.keys() != units.keys():
                odd = sorted(own.keys() ^ units.keys())
                raise InputError(
                    f"benchmark {name}: {len(odd)} items are not in both {row.name} and {plan.reference}, first "
                    f"{odd[0]}; remove {plan.folder(row, plan.seeds[0]) / 'eval' / name} and run again with --resume"
                )
            other = None if row.name == row.against else found[row.against][0]
            rows[row.name]["benchmarks"][name] = {
                "items": len(units),
                "units": len(set(units.values())),
                "metrics": {m: _metric(m, mine, other, units) for m in dict.fromkeys(m for one in mine for m in one)},
            }
    return {
        "schema": SCHEMA,
        "config": dict(plan.recipe),
        **provenance(),
        "prompt_hash": prompt_hash(),
        "extraction_version": EXTRACTION_VERSION,
        "seeds": list(plan.seeds),
        "reference": plan.reference,
        "rows": list(rows.values()),
    }


def _values(plan: Study, row: Row, benchmark: str) -> tuple[list[Values], dict[str, str]]:
    """The values of each seed, and the unit of each item."""
    found: dict[Path, Values] = {}
    units: dict[str, str] = {}
    folders = [plan.evaluation(row, seed, benchmark)[0] for seed in plan.seeds]
    for folder in dict.fromkeys(folders):
        items = read_run(folder)[1]
        units |= {item["item_id"]: item["group_id"] for item in items}
        found[folder] = measured(items)
    return [found[folder] for folder in folders], units


def _metric(
    name: str, mine: Sequence[Values], reference: Sequence[Values] | None, units: Mapping[str, str]
) -> dict[str, Any]:
    """Mean, values by seed, and the difference from the reference on the same items and seeds; None for itself."""
    runs = [one.get(name, {}) for one in mine]
    found: dict[str, Any] = {**_over_seeds(runs, units), "n": [len(run) for run in runs], "difference": None}
    if reference is not None:
        others = [one.get(name, {}) for one in reference]
        pairs = [{i: run[i] - other[i] for i in run if i in other} for run, other in zip(runs, others, strict=True)]
        change = _over_seeds(pairs, units, difference=True)
        found["difference"] = {**change, "n": [len(pair) for pair in pairs], "verdict": _verdict(name, change)}
    return found


def _over_seeds(
    runs: Sequence[Mapping[str, float]], units: Mapping[str, str], difference: bool = False
) -> dict[str, Any]:
    values, own = [list(run.values()) for run in runs], [[units[i] for i in run] for run in runs]
    estimate: Estimate = estimate_seeds(values, own, difference)
    return {**estimate.to_json(), "by_seed": [sum(v) / len(v) if v else None for v in values]}


def _verdict(metric: str, change: Mapping[str, Any]) -> str | None:
    """better or worse, where the interval of a difference excludes zero."""
    if change["value"] is None or change["low"] <= 0 <= change["high"]:
        return None
    return "better" if (change["low"] > 0) != (metric in LOWER_IS_BETTER) else "worse"


def _compute(plan: Study, row: Row) -> dict[str, float]:
    """What the trainings of a row cost, over all seeds, without those of the row that it begins with."""
    return spent([(plan.folder(row, seed), [s["name"] for s in row.stages]) for seed in plan.seeds if row.stages])


def summary(found: Mapping[str, Any]) -> str:
    """`study.md`: a table for each benchmark, what is worse in words, and what it cost."""
    rows, seeds = found["rows"], found["seeds"]
    lines = [
        "# Study",
        "",
        f"Means over {len(seeds)} seed{'s' * (len(seeds) > 1)} ({', '.join(map(str, seeds))}) with 95 % intervals from "
        "a bootstrap of seeds and scenes; below them the difference from the row that one is compared with "
        f"(`{found['reference']}`, if no other is named) on the same items and seeds, in bold where its interval "
        "excludes zero.",
    ]
    for name in rows[0]["benchmarks"]:
        blocks = {row["name"]: row["benchmarks"][name] for row in rows}
        against = {row["name"]: row["against"] for row in rows}
        size = blocks[found["reference"]]
        heads = [title(m) + (" (lower is better)" if m in LOWER_IS_BETTER else "") for m in SHOWN]
        lines += ["", f"## {name}", "", f"{size['items']} items of {size['units']} scenes or photos.", ""]
        lines += [f"| row | {' | '.join(heads)} |", "|" + " --- |" * (1 + len(SHOWN))]
        for row, block in blocks.items():
            other = "" if against[row] in (row, found["reference"]) else f"<br>against {against[row]}"
            lines.append(f"| {row}{other} | {' | '.join(_cell(block['metrics'].get(m)) for m in SHOWN)} |")
        lines += ["", *_worse(blocks, against)]
    lines += ["", "## Rows and what they cost", ""]
    lines += ["| row | what it is | begins with | optimizer steps | samples | wall, s | CPU, s |", "|" + " --- |" * 7]
    for row in rows:
        cost = row["compute"]
        counted = (f"{cost[key]:.0f}" for key in ("optimizer_steps", "samples", "wall_s", "cpu_s"))
        lines.append(
            f"| {row['name']} | {row['about']} | {row.get('from', row.get('model'))} | {' | '.join(counted)} |"
        )
    lines += ["", "Costs are of all seeds together, without those of the row that one begins with.", ""]
    return "\n".join(lines)


def _cell(metric: Mapping[str, Any] | None) -> str:
    if metric is None:
        return "–"
    change = metric["difference"]
    if change is None or change["value"] is None:
        return interval(metric)
    said, verdict = interval(change, with_sign=True), change["verdict"]
    return f"{interval(metric)}<br>{f'**{said} {verdict}**' if verdict else said}"


def _worse(blocks: Mapping[str, Mapping[str, Any]], against: Mapping[str, str]) -> list[str]:
    """One line a row that is worse in something than the row it is compared with."""
    lines = []
    for row, block in blocks.items():
        changes = {m: (block["metrics"].get(m) or {}).get("difference") for m in SHOWN}
        worse = [f"{title(m)} ({signed(c['value'])})" for m, c in changes.items() if c and c["verdict"] == "worse"]
        lines += [f"- `{row}` is worse than `{against[row]}` in {', '.join(worse)}."] if worse else []
    return lines or ["No row is worse than the one it is compared with by an interval that excludes zero."]
