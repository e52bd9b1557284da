"""Rewards in TRL's shape: which functions a list of names stands for, and what the progress column pays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sifthinker.errors import InputError
from sifthinker.trace import format_trace
from sifthinker.training.progress import ProgressStore
from sifthinker.training.trl_rewards import build_rewards
from tests.training import mini

PAIRS = mini.pairs(2)
RIGHT, WRONG = [format_trace(trace) for _, trace in PAIRS], ["<answer>purple</answer>"] * 2


def answer(trace: Any, sample: Any) -> float:
    return 0.25


not_a_function = 3
HERE = "tests.training.test_trl_rewards"


def columns(names: list[str], replies: list[str], store: ProgressStore | None = None, window: int = 0, **more: Any):
    """The value of every reply by the `__name__` that TRL logs."""
    given = {"sample": [s for s, _ in PAIRS], "log_metric": more.pop("log_metric", lambda name, value: None)}
    functions = build_rewards(
        names, more.pop("profile", "ours"), store or ProgressStore(), lambda: window, more.pop("judge", None)
    )
    completions = [[{"role": "assistant", "content": reply}] for reply in replies]
    found = {}
    for function in functions:
        values = function(completions=completions, other_column=[1, 2], **given)
        found[function.__name__] = asyncio.run(values) if asyncio.iscoroutine(values) else values
    return found


def test_gold_and_wrong_replies() -> None:
    names = ["form", "answer", "progress", "focus", "correction", "depth"]
    assert columns(names, RIGHT) == {name: [0.0 if name == "progress" else 1.0] * 2 for name in names}
    assert list(columns(names, WRONG).values()) == [[0.0, 0.0]] * 6


def test_progress_pays_what_is_above_the_previous_visit() -> None:
    store = ProgressStore()
    store.update(["mini-0", "mini-1"], [0.25, 1.0], 0)
    replies = [RIGHT[0], WRONG[1]]
    assert columns(["answer", "progress"], replies, store, 1) == {"answer": [1.0, 0.0], "progress": [0.75, 0.0]}
    assert columns(["answer", "progress"], replies, store, 0)["progress"] == [0.0, 0.0], "not an earlier visit"


def test_the_judge_scores_both_columns_and_none_stays_none() -> None:
    class HalfJudge:
        async def score(self, traces: Any, samples: Any) -> list[float | None]:
            return [0.5, None]

    store = ProgressStore()
    store.update(["mini-0", "mini-1"], [0.25, 0.0], 0)
    logged: list[tuple[str, float]] = []
    log = {"log_metric": lambda *metric: logged.append(metric)}
    found = columns(["progress", "answer", "form"], RIGHT, store, 1, judge=HalfJudge(), **log)
    assert found == {"progress": [0.25, None], "answer": [0.5, None], "form": [1.0, 1.0]}
    assert set(logged) == {("judge_failures", 0.0), ("judge_failures", 1.0)}


def test_functions_of_the_user_and_the_released_profile() -> None:
    assert columns([f"{HERE}:answer", "form"], RIGHT) == {"answer": [0.25, 0.25], "form": [1.0, 1.0]}
    whole = [reply[: reply.rindex("<area>")] for reply in RIGHT]
    assert columns(["depth"], whole) == {"depth": [0.0, 0.0]}
    assert columns(["depth"], whole, profile="released") == {"depth": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["answer", f"{HERE}:answer"], "answer and tests.*:answer would all be logged as 'answer'"),
        (["ma:r", "mb:r"], "ma:r and mb:r would all be logged as 'r'"),
        (["form", "form"], "form and form would all be logged"),
        ([f"{HERE}:not_a_function"], r"expected a function \(trace, sample\) -> float \| None, got int"),
        ([f"{HERE}:nothing"], "expected module:attribute"),
        (["fokus"], "did you mean 'focus'"),
        (["progress"], "answer must be among the rewards"),
        ([], "the list is empty"),
    ],
)
def test_mistakes_are_named(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        columns(names, RIGHT)
    with pytest.raises(InputError, match="unknown reward profile"):
        columns(["form"], RIGHT, profile="theirs")
