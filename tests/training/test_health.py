"""Alarms are raised by what they are about, and by nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sifthinker.errors import SifError
from sifthinker.report import report
from sifthinker.training.health import ALARMS, RULES, WINDOW, alarms_of, course
from sifthinker.training.run import Finite, Health

STEPS = 3 * WINDOW


def healthy() -> list[dict[str, Any]]:
    """A log of a run in which every reward rises."""
    rng = np.random.default_rng(0)
    part = np.linspace(0, 1, STEPS)
    return [
        {
            "step": n + 1,
            "loss": 0.01,
            "grad_norm": 1.0,
            "reward": 0.3 + 0.4 * part[n],
            "rewards/form/mean": 0.4 + 0.5 * part[n] + rng.normal(0, 0.02),
            "rewards/form/std": 0.3,
            "rewards/focus/mean": 0.2 + 0.3 * part[n] + rng.normal(0, 0.02),
            "rewards/focus/std": 0.2,
            "first_box_hiou": 0.2 + 0.2 * part[n] + rng.normal(0, 0.02),
            "frac_reward_zero_std": 0.1,
            "completions/mean_length": 120 - 20 * part[n],
            "completions/clipped_ratio": 0.02,
            "entropy": 1.5 - part[n],
            "kl": 0.05,
        }
        for n in range(STEPS)
    ]


def with_(key: str, values: Any) -> list[dict[str, Any]]:
    return [{**row, key: float(value)} for row, value in zip(healthy(), np.broadcast_to(values, STEPS), strict=True)]


RISE_AND_FALL = np.concatenate([np.linspace(0.1, 0.5, WINDOW), np.linspace(0.5, 0.35, STEPS - WINDOW)])

BAD = {
    "no spread": with_("frac_reward_zero_std", 0.95),
    "constant reward: form": [{**row, "rewards/form/std": 0.0} for row in with_("rewards/form/mean", 0.0)],
    "constant reward: focus": [{**row, "rewards/focus/std": 0.05} for row in with_("rewards/focus/mean", 0.995)],
    "shorter": with_("completions/mean_length", np.linspace(200, 10, STEPS)),
    "cut off": with_("completions/clipped_ratio", 0.7),
    "hacking: focus": with_("first_box_hiou", np.linspace(0.4, 0.1, STEPS) + 0.01 * np.sin(np.arange(STEPS))),
    "entropy": with_("entropy", np.geomspace(2.0, 0.001, STEPS)),
    "drift": with_("kl", 40.0),
}


def test_a_healthy_run_raises_nothing() -> None:
    rows = healthy()
    assert all(alarms_of(rows[:n]) == [] for n in range(len(rows) + 1))


@pytest.mark.parametrize("name", BAD)
def test_each_fault_raises_its_alarm_and_no_other(name: str) -> None:
    assert [alarm.name for alarm in alarms_of(BAD[name])] == [name]


def test_a_reward_beyond_one_is_not_earned_in_full() -> None:
    assert alarms_of([{**row, "rewards/focus/std": 0.6} for row in with_("rewards/focus/mean", 1.35)]) == []


def test_first_areas_that_get_worse_after_they_got_better() -> None:
    """At the end they are still better than at the beginning, but rewards are paid for spoiling them by now."""
    rows = with_("first_box_hiou", RISE_AND_FALL + 0.01 * np.sin(np.arange(STEPS)))
    assert RISE_AND_FALL[-WINDOW:].mean() > RISE_AND_FALL[:WINDOW].mean()
    (alarm,) = alarms_of(rows)
    assert alarm.name == "hacking: focus"


def test_every_rule_has_a_fault() -> None:
    assert {name.split(":")[0] for name in BAD} == set(RULES)


def test_a_page_tells_how_rewards_went(tmp_path: Path) -> None:
    def page(rows: list[dict[str, Any]]) -> str:
        (tmp_path / "log_history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return report(tmp_path).read_text()

    rows = BAD["hacking: focus"]
    names = [(name, how) for name, _, _, how in course(rows)]
    assert names == [("form", "risen"), ("focus", "risen"), ("first_box_hiou", "fallen")]
    text = page(rows)
    assert "form (1 when the reply follows the grammar of traces): 0." in text
    assert "a run is hacked): 0.3" in text
    assert "No alarm was raised" in text, "alarms.jsonl says, not the page"
    assert "Not complete" not in text
    assert "no clear change" in page(with_("rewards/focus/mean", 0.5 + 0.01 * np.cos(np.arange(STEPS))))
    assert "logged steps. Risen" not in page(rows[: 2 * WINDOW - 1]), "too early to tell"


def log(health: Health | Finite, rows: list[dict[str, Any]]) -> None:
    health.on_train_begin(None, SimpleNamespace(is_world_process_zero=True), None)  # type: ignore[arg-type]
    for row in rows:
        health.on_log(None, SimpleNamespace(global_step=row["step"], is_world_process_zero=True), None, logs=row)


def test_alarms_are_raised_once_kept_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log(Health(tmp_path, None), BAD["drift"])
    (found,) = map(json.loads, (tmp_path / ALARMS).read_text().splitlines())
    assert (found["name"], found["step"]) == ("drift", WINDOW)
    assert capsys.readouterr().err.count("ALARM") == 1
    (tmp_path / "log_history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in BAD["drift"]))
    assert "divergence from the reference" in report(tmp_path).read_text()


def test_an_alarm_comes_back_after_it_was_gone(tmp_path: Path) -> None:
    kl = [40.0] * WINDOW + [0.1] * WINDOW + [40.0] * WINDOW
    log(Health(tmp_path, None), with_("kl", kl))
    assert [json.loads(line)["name"] for line in (tmp_path / ALARMS).read_text().splitlines()] == ["drift", "drift"]


def test_a_resumed_run_keeps_alarms_up_to_its_checkpoint(tmp_path: Path) -> None:
    rows = BAD["drift"]
    log(Health(tmp_path, None), rows)
    (tmp_path / "log_history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    log(Health(tmp_path, tmp_path / "checkpoint-30"), rows[30:])
    assert len((tmp_path / ALARMS).read_text().splitlines()) == 1, "it held all along"
    log(Health(tmp_path, tmp_path / "checkpoint-5"), [])
    assert (tmp_path / ALARMS).read_text() == ""


@pytest.mark.parametrize("name", ["loss", "grad_norm"])
def test_a_loss_that_is_no_number_ends_the_run(name: str) -> None:
    row = {**healthy()[0], name: float("nan")}
    with pytest.raises(SifError, match=f"step 1: {name} is nan"):
        log(Finite(), [row])
    log(Finite(), healthy())
