"""Alarms: what the log of a GRPO run says about its health, and what to look at.

An alarm is a rule over the rows of `log_history.jsonl` so far. It is raised when its condition begins to hold, and
again only after it has not held in between. `RUN/alarms.jsonl` keeps them; `sifthinker report` shows them.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ALARMS = "alarms.jsonl"
WINDOW = 20
"""Logged rows that a rule looks back on."""
NO_SPREAD = 0.8
"""Part of the groups whose completions all earn the same."""
SATURATED, SATURATED_SPREAD = 0.99, 0.1
"""A reward is earned in full at such a mean, if completions do not differ: some rewards go beyond 1."""
SHORTER = 0.5
"""Completions have collapsed when their mean length is this part of what it was."""
CLIPPED = 0.5
"""Part of the completions that are cut off."""
ERRORS = 3.0
"""A mean has risen or fallen when it did by so many standard errors of the difference."""
ENTROPY = 0.1
"""Entropy has collapsed at this part of what it was."""
KL = 10.0

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Alarm:
    """step: of the log. name: a key of `RULES`, with the reward's name where there is one. says: what is seen.
    look: what to look at."""

    step: int
    name: str
    says: str
    look: str


Found = tuple[str, str]
"""What a rule finds: a part of the alarm's name ("" or a reward), and what is seen."""


def _values(rows: Sequence[Row], key: str) -> list[float]:
    return [float(row[key]) for row in rows if isinstance(row.get(key), (int, float)) and math.isfinite(row[key])]


def _recent(rows: Sequence[Row], key: str) -> list[float]:
    """The last `WINDOW` values; none before there are as many."""
    found = _values(rows, key)
    return found[-WINDOW:] if len(found) >= WINDOW else []


def _ends(rows: Sequence[Row], key: str) -> tuple[list[float], list[float]] | None:
    """The first and the last `WINDOW` values, once they do not overlap."""
    found = _values(rows, key)
    return (found[:WINDOW], found[-WINDOW:]) if len(found) >= 2 * WINDOW else None


def _change(rows: Sequence[Row], key: str) -> float | None:
    """How far the mean moved from the first to the last window, in standard errors of the difference."""
    ends = _ends(rows, key)
    if ends is None:
        return None
    error = math.sqrt(sum(statistics.variance(part) / len(part) for part in ends))
    return (statistics.fmean(ends[1]) - statistics.fmean(ends[0])) / max(error, 1e-9)


def _rewards(rows: Sequence[Row]) -> list[str]:
    keys = rows[-1] if rows else {}
    return [
        k.removeprefix("rewards/").removesuffix("/mean")
        for k in keys
        if k.startswith("rewards/") and k.endswith("mean")
    ]


def _no_spread(rows: Sequence[Row]) -> Iterator[Found]:
    share = _recent(rows, "frac_reward_zero_std")
    if share and statistics.fmean(share) >= NO_SPREAD:
        yield "", f"in {statistics.fmean(share):.0%} of the groups all completions earned the same"


def _constant(rows: Sequence[Row]) -> Iterator[Found]:
    for name in _rewards(rows):
        means, spread = _recent(rows, f"rewards/{name}/mean"), _recent(rows, f"rewards/{name}/std")
        if not means:
            continue
        if max(means) - min(means) < 1e-9 and max(spread, default=0.0) < 1e-9:
            yield name, f"every completion of the last {WINDOW} logged steps earned {means[-1]:.3g} of it"
        elif statistics.fmean(means) >= SATURATED and statistics.fmean(spread or [0.0]) <= SATURATED_SPREAD:
            yield name, f"completions earned {statistics.fmean(means):.3f} of it on average"


def _fallen(rows: Sequence[Row], key: str, part: float) -> tuple[float, float] | None:
    """The means of the first and the last window, where the last is less than this part of the first."""
    ends = _ends(rows, key)
    if ends is None:
        return None
    before, now = map(statistics.fmean, ends)
    return (before, now) if now < part * before else None


def _shorter(rows: Sequence[Row]) -> Iterator[Found]:
    if fallen := _fallen(rows, "completions/mean_length", SHORTER):
        yield "", "completions went from {:.0f} to {:.0f} tokens".format(*fallen)


def _clipped(rows: Sequence[Row]) -> Iterator[Found]:
    share = _recent(rows, "completions/clipped_ratio")
    if share and statistics.fmean(share) >= CLIPPED:
        yield "", f"{statistics.fmean(share):.0%} of the completions were cut off at max_completion_length"


def _hacking(rows: Sequence[Row]) -> Iterator[Found]:
    # Since any earlier window: a policy that learns to see gets better at first areas before it learns to spoil them.
    for name in ("focus", "correction"):
        for start in range(0, len(rows) - 2 * WINDOW + 1, WINDOW):
            paid, first = _change(rows[start:], f"rewards/{name}/mean"), _change(rows[start:], "first_box_hiou")
            if paid is not None and first is not None and paid > ERRORS and first < -ERRORS:
                begun = int(rows[start].get("step", start))
                yield name, f"since step {begun} it rises while the first area gets worse"
                break


def _entropy(rows: Sequence[Row]) -> Iterator[Found]:
    if fallen := _fallen(rows, "entropy", ENTROPY):
        yield "", "entropy went from {:.3g} to {:.3g}".format(*fallen)


def _drift(rows: Sequence[Row]) -> Iterator[Found]:
    kl = _recent(rows, "kl")
    if kl and statistics.fmean(kl) > KL:
        yield "", f"the divergence from the reference is {statistics.fmean(kl):.3g} on average"


RULES: dict[str, tuple[Callable[[Sequence[Row]], Iterator[Found]], str]] = {
    "no spread": (
        _no_spread,
        "such groups teach nothing. Look at the rewards one by one: prompts are too easy or too hard, the temperature "
        "is too low, or a reward fails on every completion alike",
    ),
    "constant reward": (
        _constant,
        "a reward without differences teaches nothing. Look at the completions and at `sifthinker check`: "
        "it is earned already, or cannot be earned by completions like these",
    ),
    "shorter": (
        _shorter,
        "look whether traces still have their steps (form), or whether only the answer is paid",
    ),
    "cut off": (
        _clipped,
        "what is cut off has no answer. Raise max_completion_length, or look for completions that repeat themselves",
    ),
    "hacking": (
        _hacking,
        "a bad first look makes a correction easy. Look at the first areas of completions; take the profile `ours`, "
        "whose rewards are not paid for that",
    ),
    "entropy": (
        _entropy,
        "completions of a group have become alike. Raise beta or the temperature, or lower the learning rate",
    ),
    "drift": (
        _drift,
        "the policy has left the reference. Lower the learning rate, or raise beta; look whether completions are "
        "still text",
    ),
}
"""Name -> rule and what to look at."""


def alarms_of(rows: Sequence[Row]) -> list[Alarm]:
    """The alarms that hold at the last of the logged rows (those of training steps)."""
    rows = [row for row in rows if "loss" in row]
    if not rows:
        return []
    step = int(rows[-1].get("step", 0))
    return [
        Alarm(step, f"{name}: {part}" if part else name, says, look)
        for name, (rule, look) in RULES.items()
        for part, says in rule(rows)
    ]


def course(rows: Sequence[Row]) -> list[tuple[str, float, float, str]]:
    """How each reward, and the first area, went: (name, mean over the first window, over the last, what happened).

    What happened is `risen` or `fallen` where the means differ by more than `ERRORS` standard errors, else "". Empty
    before there are two windows.
    """
    rows = [row for row in rows if "loss" in row]
    found = []
    for key in [*(f"rewards/{name}/mean" for name in _rewards(rows)), "first_box_hiou"]:
        ends, moved = _ends(rows, key), _change(rows, key)
        if ends is None or moved is None:
            continue
        name = key.removeprefix("rewards/").removesuffix("/mean")
        how = "risen" if moved > ERRORS else "fallen" if moved < -ERRORS else ""
        found.append((name, statistics.fmean(ends[0]), statistics.fmean(ends[1]), how))
    return found


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; none where there is no file. A last line that was torn by a kill is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            break
        if isinstance(row, dict) and isinstance(row.get("step"), (int, float)):
            found.append(row)
    return found
