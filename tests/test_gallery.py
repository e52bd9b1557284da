"""The page of tasks shows every task, as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from sifthinker.scenes.tasks import TASKS

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_shown(name: str):
    page = (DOCS / "tasks.md").read_text()
    assert f"### {name}\n" in page, "run `make gallery`"
    entry = page.split(f"### {name}\n")[1].split("\n### ")[0]
    assert f"**Rule.** {TASKS[name].rule}" in entry, "run `make gallery`"
    assert (DOCS / "tasks" / f"{name}.jpg").stat().st_size > 1000


def test_no_picture_is_left_over():
    assert {p.stem for p in (DOCS / "tasks").iterdir()} == set(TASKS)
