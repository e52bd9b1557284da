"""From judged items to metrics. Pure: the input is the records of `items.jsonl`, nothing else is looked at.

    answer_accuracy   sum of values / (scored + unparsed); no answer in the reply counts 0; failed do not enter
    hiou              mean HIoU of the last area and the gold boxes; a reply without boxes counts 0
    depth_error       mean over items of the mean |stated depth - mean depth of the box| over boxes that are not
                      the whole image; items without such a box do not enter (see `counts`); lower is better
    depth_within_tolerance  mean over items of the share of such boxes whose stated depth agrees with the map, as in
                      the depth reward; a box without a depth does not
    valid_rate        share of replies without faults
    rewards           mean of every reward, over the items that it can judge
    consistency       where items are asked again (benchmarks `twins` and `variants`): shares of the groups of which
                      all are right, and scores of abstention; null elsewhere

Each is {"value", "low", "high"} with a 95 % interval over units (photo, scene or group); null where nothing could be
measured. Which reply earns which value is decided in `evaluate` and `benchmarks`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from .grading import ABSTAIN
from .scenes.consistency import CANNOT, CLEAN, Verdict, abstention, flip_circular, parse_id
from .statistics import compare_paired, estimate

Item = dict[str, Any]

SCHEMA = 1

TWIN = "-twin"
"""How the id of the other item of a pair ends."""

HEADLINE = ("answer_accuracy", "hiou", "depth_error", "valid_rate")
"""The metrics that others rely on, in the order of tables."""

LOWER_IS_BETTER = frozenset({"depth_error"})

_FIELDS = {
    "answer_accuracy": "value",
    "answer_accuracy_lenient": "lenient",
    "hiou": "hiou",
    "depth_error": "depth_error",
    "depth_within_tolerance": "depth_within",
    "valid_rate": "valid",
}


def metrics_of(items: Sequence[Item]) -> dict[str, Any]:
    """The content of `metrics.json` (without what the run itself says): metrics, counts, baselines, tasks."""
    answered = [i for i in items if i["outcome"] != "failed"]
    failed = len(items) - len(answered)
    found: dict[str, Any] = {"schema": SCHEMA, "n": len(items)}
    for name, field in _FIELDS.items():
        found[name] = _mean(answered, field)
    reward_names = list(dict.fromkeys(name for i in answered for name in i["rewards"]))
    found["rewards"] = {
        name: _mean([{"x": i["rewards"].get(name), "group_id": i["group_id"]} for i in answered], "x")
        for name in reward_names
    }
    outcomes = Counter(i["outcome"] for i in items)
    found |= {
        "n_scored": outcomes["scored"],
        "n_unparsed": outcomes["unparsed"],
        "n_failed": failed,
        "n_no_gold": outcomes["no_gold"],
        "unparsed": _reasons(items, "unparsed"),
        "failed": _reasons(items, "failed"),
        "faults": dict(Counter(kind for i in answered for kind in sorted(set(i["faults"]))).most_common()),
        "counts": {name: sum(i.get(field) is not None for i in answered) for name, field in _FIELDS.items()},
        "bounds": _bounds(items) if failed else None,
        "complete": failed == 0,
        "baselines": _baselines(answered),
        "consistency": _consistency(answered),
        "tasks": {task: _task([i for i in items if i["task"] == task]) for task in sorted({i["task"] for i in items})},
    }
    return found


def compare_items(first: Sequence[Item], second: Sequence[Item]) -> dict[str, Any]:
    """Second minus first, metric by metric, on the items that both answered; joined on the item's id.

    Each is {"difference": {"value", "low", "high"}, "wins", "losses", "p", "n"}, over the items that have it
    in both runs; a win is an item on which the second run is better, also where lower is better.
    """
    before = {i["item_id"]: i for i in first if i["outcome"] != "failed"}
    pairs = [(before[i["item_id"]], i) for i in second if i["outcome"] != "failed" and i["item_id"] in before]
    found = {name: _paired(pairs, lambda i, f=field: i.get(f)) for name, field in _FIELDS.items()}
    for name in LOWER_IS_BETTER:
        found[name]["wins"], found[name]["losses"] = found[name]["losses"], found[name]["wins"]
    names = list(dict.fromkeys(name for pair in pairs for i in pair for name in i["rewards"]))
    found["rewards"] = {name: _paired(pairs, lambda i, r=name: i["rewards"].get(r)) for name in names}
    return found


def measured(items: Iterable[Item]) -> dict[str, dict[str, float]]:
    """Every metric and, as `reward NAME`, every reward: the values of the items that have one, by the item's id."""
    found: dict[str, dict[str, float]] = {name: {} for name in _FIELDS}
    for item in items:
        if item["outcome"] == "failed":
            continue
        values = {name: item.get(field) for name, field in _FIELDS.items()}
        values |= {f"reward {name}": value for name, value in item["rewards"].items()}
        for name, value in values.items():
            if value is not None:
                found.setdefault(name, {})[item["item_id"]] = float(value)
    return found


def _paired(pairs: Sequence[tuple[Item, Item]], of: Any) -> dict[str, Any]:
    both = [(float(of(a)), float(of(b)), a["group_id"]) for a, b in pairs if of(a) is not None and of(b) is not None]
    result = compare_paired([a for a, _, _ in both], [b for _, b, _ in both], [unit for _, _, unit in both])
    return {
        "difference": result.difference.to_json(),
        "wins": result.wins,
        "losses": result.losses,
        "p": result.p,
        "n": len(both),
    }


def _mean(items: Iterable[Item], field: str) -> dict[str, float | None]:
    # Runs of before a field was there have no value for it.
    found = [(float(i[field]), i["group_id"]) for i in items if i.get(field) is not None]
    return estimate([value for value, _ in found], [unit for _, unit in found]).to_json()


def _reasons(items: Iterable[Item], outcome: str) -> dict[str, int]:
    return dict(Counter(i["reason"] for i in items if i["outcome"] == outcome).most_common())


def _bounds(items: Sequence[Item]) -> list[float] | None:
    """Accuracy over all items if every failed one were wrong, and if every one were right."""
    values = [i["value"] for i in items if i["value"] is not None]
    failed = sum(i["outcome"] == "failed" for i in items)
    n = len(values) + failed
    return [sum(values) / n, (sum(values) + failed) / n] if n else None


def _baselines(items: Sequence[Item]) -> dict[str, float | None]:
    """What the metrics are worth without looking: the best constant answer of each task, chance, the whole image."""
    whole = [i["hiou_whole"] for i in items if i["hiou_whole"] is not None]
    chances = [1 / len(i["choices"]) for i in items if i["choices"] and i["value"] is not None]
    right = [_constant([i for i in items if i["task"] == task]) for task in {i["task"] for i in items}]
    n = sum(count for _, count in right)
    all_choices = bool(chances) and len(chances) == n
    return {
        "constant_answer": sum(hits for hits, _ in right) / n if n else None,
        "chance": sum(chances) / len(chances) if all_choices else None,
        "whole_image_hiou": sum(whole) / len(whole) if whole else None,
    }


def _consistency(items: Sequence[Item]) -> dict[str, Any] | None:
    """Scores of items that count together. Partners are known by their ids: `-twin`, `-flip` and rotations."""
    by_id = {i["item_id"]: i for i in items if i["value"] is not None}
    pairs = [
        (by_id[base], i) for name, i in by_id.items() if (base := name.removesuffix(TWIN)) != name and base in by_id
    ]
    if pairs:
        both = [float(a["value"] == b["value"] == 1.0) for a, b in pairs]
        found: dict[str, Any] = {
            "pairs": len(pairs),
            "paired": estimate(both, [a["group_id"] for a, _ in pairs]).to_json(),
        }
        if any(CANNOT in (a["gold"], b["gold"]) for a, b in pairs):
            found["abstention"] = abstention(_verdict(a["item_id"], i) for a, b in pairs for i in (a, b))
        return found
    options = {base: len(i["choices"]) for name, i in by_id.items() if (base := parse_id(name)[0]) == name}
    if not options or not any(parse_id(name)[1] for name in by_id):
        return None
    # A group of which an item failed cannot be scored.
    whole = Counter(parse_id(name)[0] for name in by_id)
    options = {base: count for base, count in options.items() if whole[base] == 2 * count}
    rows = [(name, i["value"] == 1.0) for name, i in by_id.items() if parse_id(name)[0] in options]
    return {"groups": len(options), **flip_circular(rows, options)} if options else None


def _verdict(pair: str, item: Item) -> Verdict:
    said = (item["extraction"] or {}).get("value")
    letters = {chr(ord("A") + n): choice for n, choice in enumerate(item["choices"])}
    abstained = said == ABSTAIN or (isinstance(said, str) and letters.get(said) == CANNOT)
    return Verdict(pair, "open" if item["gold"] == CANNOT else CLEAN, item["value"] == 1.0, abstained)


def _constant(items: Iterable[Item]) -> tuple[int, int]:
    """How often the most common gold answer (of options: its letter, or its words) is right, of how many."""
    known = [i for i in items if i["gold_label"]]
    golds = (Counter(i[field] for i in known) for field in ("gold_label", "gold"))
    return max((count for counts in golds for count in counts.values()), default=0), len(known)


def _task(items: Sequence[Item]) -> dict[str, Any]:
    answered = [i for i in items if i["outcome"] != "failed"]
    hits, n = _constant(answered)
    return {
        "n": len(items),
        "answer_accuracy": _mean(answered, "value"),
        "hiou": _mean(answered, "hiou"),
        "constant_answer": hits / n if n else None,
    }
