"""Results as plain text for a terminal. Pages are `report`'s business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .metrics import HEADLINE, LOWER_IS_BETTER

Estimate = Mapping[str, float | None]

TITLES = {
    "answer_accuracy": "answer accuracy",
    "answer_accuracy_lenient": "answer accuracy, lenient reading",
    "hiou": "focus (HIoU)",
    "depth_error": "depth error",
    "depth_within_tolerance": "depth within tolerance",
    "valid_rate": "valid traces",
}


def title(metric: str) -> str:
    """What a metric is called in tables; rewards keep their names."""
    return TITLES.get(metric, metric)


def number(value: float | None) -> str:
    """Three decimals, or a dash where nothing was measured."""
    return "–" if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """Three decimals with a sign; no difference has none."""
    if value is None:
        return "–"
    return f"{value:+.3f}" if abs(value) >= 0.0005 else "0.000"


def interval(found: Estimate, with_sign: bool = False) -> str:
    """A value with its 95 % interval: `0.812 [0.750, 0.861]`."""
    form = signed if with_sign else number
    if found["value"] is None:
        return "–"
    return f"{form(found['value'])} [{form(found['low'])}, {form(found['high'])}]"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, first column to the left, the others to the right, with a line under the first row."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        first, *rest = zip(row, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]).rstrip()

    return "\n".join([line(rows[0]), "  ".join("-" * w for w in widths), *map(line, rows[1:])])


def counts(result: Mapping[str, Any]) -> str:
    """How many items came to which outcome, in words.

    >>> counts({"n": 5, "n_scored": 3, "n_unparsed": 1, "n_failed": 1, "n_no_gold": 0,
    ...         "unparsed": {"empty": 1}, "failed": {"HTTP 500": 1}})
    '5 items: 3 scored, 1 without a readable answer (empty 1), 1 failed (HTTP 500 1)'
    """
    parts = [f"{result['n_scored']} scored"]
    for name, words in (("unparsed", "without a readable answer"), ("failed", "failed")):
        if result[f"n_{name}"]:
            reasons = ", ".join(f"{reason} {n}" for reason, n in result[name].items())
            parts.append(f"{result[f'n_{name}']} {words} ({reasons})")
    if result["n_no_gold"]:
        parts.append(f"{result['n_no_gold']} without a gold answer")
    return f"{result['n']} items: {', '.join(parts)}"


def summary(result: Mapping[str, Any]) -> str:
    """The metrics of one run as a table, with counts and baselines."""
    rows = [("metric", "value [95 % interval]", "items")]
    for name in (*HEADLINE, "answer_accuracy_lenient"):
        arrow = " (lower is better)" if name in LOWER_IS_BETTER else ""
        rows.append((title(name) + arrow, interval(result[name]), str(result["counts"][name])))
    rows += [(f"reward {name}", interval(found), "") for name, found in result["rewards"].items()]
    lines = [f"{result['model']} on {result['benchmark']}", columns(rows), counts(result)]
    known = {name.replace("_", " "): value for name, value in result["baselines"].items() if value is not None}
    if known:
        lines.append("without looking: " + ", ".join(f"{name} {number(value)}" for name, value in known.items()))
    if together := result.get("consistency"):
        said: dict[str, Any] = {k: value for k, value in together.items() if isinstance(value, (int, float))}
        if "paired" in together:
            said["both right"] = interval(together["paired"])
        said |= together.get("abstention", {})
        shown = (
            f"{name.replace('_', ' ')} {v if isinstance(v, (str, int)) else number(v)}" for name, v in said.items()
        )
        lines.append("asked again: " + ", ".join(shown))
    if result["bounds"]:
        low, high = result["bounds"]
        lines.append(
            f"incomplete: over all items the accuracy lies in [{number(low)}, {number(high)}]; run again to ask the "
            "failed ones once more"
        )
    return "\n".join(lines)


def comparison_summary(result: Mapping[str, Any]) -> str:
    """The comparison of two runs as a table."""
    rows = [("metric", "difference [95 % interval]", "better", "worse", "McNemar p", "items")]
    named = [(title(name), result[name]) for name in (*HEADLINE, "answer_accuracy_lenient")]
    named += [(f"reward {name}", found) for name, found in result["rewards"].items()]
    for name, found in named:
        p = "–" if found["p"] is None else f"{found['p']:.4f}"
        better, worse = str(found["wins"]), str(found["losses"])
        rows.append((name, interval(found["difference"], with_sign=True), better, worse, p, str(found["n"])))
    lines = [f"{result['b']} minus {result['a']} on {result['benchmark']}: {result['n']} items", columns(rows)]
    if result["n_failed"]:
        lines.append(f"{result['n_failed']} items failed in one run and are left out")
    return "\n".join([*lines, *(f"warning: {warning}" for warning in result["warnings"])])


def stages(names: Sequence[str], results: Sequence[Mapping[str, Any]]) -> str:
    """The metrics of several runs side by side."""
    rows = [("", *names)]
    for name in HEADLINE:
        arrow = " (lower is better)" if name in LOWER_IS_BETTER else ""
        rows.append((title(name) + arrow, *(interval(r[name]) for r in results)))
    for name in dict.fromkeys(reward for r in results for reward in r["rewards"]):
        empty = {"value": None, "low": None, "high": None}
        rows.append((f"reward {name}", *(interval(r["rewards"].get(name, empty)) for r in results)))
    rows.append(("without a readable answer", *(f"{r['n_unparsed']} of {r['n']}" for r in results)))
    rows.append(("failed", *(f"{r['n_failed']} of {r['n']}" for r in results)))
    return columns(rows)
