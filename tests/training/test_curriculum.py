"""Curricula: weights by hand, draws as often as stated, the same order after a kill and however far a loader reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sifthinker.errors import InputError, SifError
from sifthinker.rewards import REWARDS
from sifthinker.training import windows
from sifthinker.training.curriculum import Curriculum, by_accuracy, by_confidence
from tests.conftest import REPOSITORY
from tests.training import mini

IDS = [f"s{n}" for n in range(12)]
TASKS = [("near", "far", "room_size")[n % 3] for n in range(12)]


def curriculum(name: str = "confidence", size: int = 3, lag: int = 1, seed: int = 0, **more: Any) -> Curriculum:
    given = {"ids": IDS, "tasks": TASKS, **more}
    return Curriculum(name, size=size, lag=lag, seed=seed, shuffle=True, **given)


def finish(one: Curriculum, window: list[int], skill: Callable[[int], float]) -> None:
    """Two replies a prompt, which earn `skill(row)`."""
    ids = [one.ids[row] for row in window for _ in range(2)]
    one.update(ids, [skill(row) for row in window for _ in range(2)])


def play(one: Curriculum, windows: int, skill: Callable[[int], float], ahead: int | None = None) -> list[list[int]]:
    """Windows in the order drawn; `ahead` of them are drawn before the first is finished."""
    ahead = one.lag if ahead is None else ahead
    made: list[list[int]] = []
    for n in range(windows + ahead):
        if n < windows:
            made.append(one.draw())
        if n >= ahead:
            finish(one, made[n - ahead], skill)
    return made


def test_buckets_of_outcomes_made_by_hand() -> None:
    outcomes = {"s0": 0.0, "s1": 0.0999, "s2": 0.1, "s3": 0.5, "s4": 0.9, "s5": 0.901, "s6": 1.0}
    groups, weights = by_confidence(IDS[:8], TASKS[:8], outcomes)
    assert groups == ["hard", "hard", "frontier", "frontier", "frontier", "easy", "easy", "frontier"]
    assert weights == {"hard": 2 * 0.25, "frontier": 4 * 1.0, "easy": 2 * 0.25}


def test_weights_of_tasks_by_hand() -> None:
    # near: s0, s3 of which one is right; far: s1 is right, s4, s7, s10 too; room_size: 0.3 and 0.6 count as 0.6 and 1.
    outcomes = {"s0": 1.0, "s3": 0.0, "s1": 1.0, "s4": 1.0, "s7": 1.0, "s10": 1.0, "s2": 0.3, "s5": 0.6}
    groups, weights = by_accuracy(IDS, TASKS, outcomes)
    assert groups == TASKS
    expected = {"near": 1 - (1 + 0.7) / 4, "far": 1 - (4 + 0.7) / 6, "room_size": 1 - (1.6 + 0.7) / 4}
    assert weights == pytest.approx(expected)
    _, fresh = by_accuracy(IDS, TASKS, {})
    assert fresh == pytest.approx(dict.fromkeys(set(TASKS), 0.65))
    learned = [f"l{n}" for n in range(100)]
    _, weights = by_accuracy(learned, ["done"] * 100, dict.fromkeys(learned, 1.0))
    assert weights == {"done": 0.05}


def chi_square(counts: list[int], parts: list[float]) -> float:
    from scipy.stats import chisquare

    return float(chisquare(counts, [sum(counts) * part / sum(parts) for part in parts]).pvalue)


def test_easy_and_hard_samples_are_drawn_a_quarter_as_often_as_those_at_the_frontier() -> None:
    ids = [f"s{n}" for n in range(90)]
    one = curriculum(ids=ids, tasks=["t"] * 90, size=6)
    kinds = (0.0, 0.5, 1.0)
    made = play(one, 1600, lambda row: kinds[row % 3])
    late = Counter(row for window in made[100:] for row in window)
    totals = [sum(late[row] for row in range(90) if row % 3 == kind) for kind in range(3)]
    # Draws without replacement in small windows of many samples: shares of the weights.
    assert chi_square(totals, [0.25, 1.0, 0.25]) > 0.01
    assert chi_square(totals, [1.0, 1.0, 1.0]) < 1e-9, "the test can tell"
    assert min(late.values()) > 0.5 * 0.25 * max(late.values()), "evenly inside of a bucket, none forgotten"


def test_tasks_are_drawn_by_their_weights() -> None:
    one = curriculum("accuracy", size=1)
    skill = {"near": 0.0, "far": 0.5, "room_size": 0.2}
    made = play(one, 4000, lambda row: skill[TASKS[row]])
    counts = Counter(TASKS[window[0]] for window in made[200:])
    weights = {"near": 1 - 0.7 / 6, "far": 1 - 2.7 / 6, "room_size": 1 - (4 * 0.4 + 0.7) / 6}
    assert chi_square([counts[t] for t in weights], list(weights.values())) > 0.01


def test_the_share_of_a_weak_task_lasts_until_it_is_learned() -> None:
    one = curriculum("accuracy", size=2)
    shares = []
    for skill in (0.0, 1.0):
        made = play(one, 300, lambda row, s=skill: s if TASKS[row] == "near" else 1.0, ahead=0)
        shares.append(sum(TASKS[row] == "near" for window in made[50:] for row in window) / 500)
    assert shares[0] > 0.5
    assert shares[1] == pytest.approx(1 / 3, abs=0.06)


@pytest.mark.parametrize("name", ["confidence", "accuracy"])
def test_every_sample_comes_again(name: str) -> None:
    """Also those of a bucket or task that is drawn least."""
    one = curriculum(name)
    made = play(one, 400, lambda row: 1.0 if TASKS[row] == "near" else 0.5)
    first = {row for window in made[:12] for row in window}
    assert first == set(range(12)), "unseen samples come before others of their bucket or task"
    for start in range(0, 400, 80):
        assert {row for window in made[start : start + 80] for row in window} == set(range(12))


def test_a_window_has_no_prompt_twice() -> None:
    made = play(curriculum(size=5), 60, lambda row: 0.5 if row < 2 else 0.0)
    assert all(len(set(window)) == 5 for window in made)


@pytest.mark.parametrize("name", ["confidence", "accuracy"])
def test_the_order_does_not_depend_on_how_far_a_loader_reads_ahead(name: str) -> None:
    def skill(row: int) -> float:
        return (row % 4) / 3

    orders = [play(curriculum(name, lag=2), 30, skill, ahead) for ahead in (0, 1, 2)]
    assert orders[0] == orders[1] == orders[2]
    assert play(curriculum(name, lag=2), 30, lambda row: 0.5) != orders[0], "outcomes do matter"
    assert play(curriculum(name, lag=2, seed=1), 30, skill) != orders[0]
    with pytest.raises(SifError, match="window 3 is drawn when 0 are finished, expected 1"):
        play(curriculum(name, lag=2), 30, skill, ahead=3)


@pytest.mark.parametrize("kill", range(1, 12))
def test_an_order_that_was_interrupted_goes_on_as_if_it_had_not_been(kill: int, tmp_path: Path) -> None:
    """As trainers do: windows are read one ahead, a checkpoint is written after `kill` windows, and a resumed run skips
    what the epoch has had."""

    def skill(row: int) -> float:
        return (row % 4) / 3

    def run(one: Curriculum, start: int, end: int) -> list[list[int]]:
        seen = []
        for epoch in range(start // 4, 3):
            windows = one.epoch(epoch)
            skipped = start - 4 * epoch if epoch == start // 4 else 0
            for _ in range(skipped):
                next(windows)
            now = next(windows)
            for n in range(4 * epoch + skipped, 4 * epoch + 4):
                then = next(windows, None)
                if n == end:
                    return seen
                seen.append(now)
                finish(one, now, skill)
                if n + 1 == kill and start == 0:
                    one.save(tmp_path)
                now = then  # type: ignore[assignment]
        return seen

    whole = run(curriculum(), 0, 12)
    assert len(whole) == 12
    resumed = curriculum()
    resumed.load(tmp_path)
    assert run(resumed, kill, 12) == whole[kill:]


def test_what_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"curriculum.json is missing"):
        curriculum().load(tmp_path)
    curriculum().save(tmp_path)
    with pytest.raises(InputError, match="of 12 rows, but the data set has 3"):
        curriculum(ids=IDS[:3], tasks=TASKS[:3]).load(tmp_path)


def test_one_task_is_no_choice() -> None:
    with pytest.raises(InputError, match="but all rows are of one"):
        curriculum("accuracy", tasks=["t"] * 12)
    with pytest.raises(InputError, match="unknown curriculum 'acuracy': did you mean 'accuracy'"):
        curriculum("acuracy")


def test_groups_and_repeats_are_those_of_trl() -> None:
    from trl.trainer.utils import RepeatSampler

    stock = RepeatSampler(range(12), 2, batch_size=3, repeat_count=4, seed=3)
    rows = list(windows.EpochOrder(stock, lambda: 0, curriculum(lag=4)))
    assert len(rows) == len(stock) == 12 * 2 * 4
    for start in range(0, len(rows), 24):
        first, *others = [rows[start + 6 * n : start + 6 * n + 6] for n in range(4)]
        assert others == [first] * 3
        assert first[::2] == first[1::2]
        assert len(set(first)) == 3


@pytest.mark.parametrize(
    ("accumulation", "per_generation", "iterations", "workers", "lag"),
    [(1, 1, 1, 0, 1), (16, 16, 1, 0, 1), (1, 2, 1, 0, 0), (2, 1, 1, 0, 2), (1, 1, 2, 0, 0), (1, 1, 1, 2, 5)],
)
def test_lag(accumulation: int, per_generation: int, iterations: int, workers: int, lag: int) -> None:
    args: Any = SimpleNamespace(
        gradient_accumulation_steps=accumulation, steps_per_generation=per_generation, num_iterations=iterations,
        dataloader_num_workers=workers, dataloader_prefetch_factor=None,
    )  # fmt: skip
    assert windows.lag_of(args) == lag


# --- real runs -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return mini.make(tmp_path_factory.mktemp("mini"))


@pytest.fixture(autouse=True)
def some_answers_are_partly_right() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(REWARDS, "answer", mini.partly_right)
        yield


def train(made: tuple[Path, Path], out: Path, **more: Any) -> list[dict[str, Any]]:
    from sifthinker.training import grpo

    grpo.train({**mini.GRPO, "data": str(made[0]), "model": str(made[1]), "out": str(out), **more})
    return [row for row in map(json.loads, (out / "log_history.jsonl").read_text().splitlines()) if "loss" in row]


def test_a_run_with_a_curriculum_killed_and_resumed_equals_an_unbroken_one(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    more = {"curriculum": "confidence", "max_steps": 8}
    expected = train(made, tmp_path / "unbroken", **more)
    values = {**mini.GRPO, "data": str(made[0]), "model": str(made[1]), "out": str(tmp_path / "killed"), **more}
    command = [sys.executable, "-m", "tests.training.mini", "grpo", json.dumps(values), "6"]
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}"}
    killed = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()[-2000:]
    resumed = train(made, tmp_path / "killed", **more, resume=True)
    keys = ("step", "loss", "grad_norm", "rewards/progress/mean")
    assert [[row[key] for key in keys] for row in resumed] == [[row[key] for key in keys] for row in expected]
    states = [(tmp_path / name / "checkpoint-8" / "curriculum.json").read_text() for name in ("unbroken", "killed")]
    assert states[0] == states[1]
    state = json.loads(states[0])
    assert (state["finished"], len(state["drawn"])) == (8, 3)


@pytest.mark.parametrize(
    "settings",
    [
        {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "steps_per_generation": 1},
        {"per_device_train_batch_size": 4, "dataloader_num_workers": 1},
    ],
)
def test_the_lag_is_what_the_data_loader_needs(
    made: tuple[Path, Path], tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"curriculum": "confidence", "max_steps": 3, "save_strategy": "no", "limit": 12, **settings}
    assert len(train(made, tmp_path / "a", **more)) == 3
    lag = windows.lag_of
    monkeypatch.setattr(windows, "lag_of", lambda args: lag(args) - 1)
    with pytest.raises(SifError, match="is drawn when"):
        train(made, tmp_path / "b", **more)


def test_a_curriculum_needs_answers(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it goes by answers, so answer must be among the rewards"):
        train(made, tmp_path / "c", curriculum="confidence", rewards=["form"])
    with pytest.raises(InputError, match="unknown curriculum 'confident': did you mean 'confidence'"):
        train(made, tmp_path / "c", curriculum="confident")
