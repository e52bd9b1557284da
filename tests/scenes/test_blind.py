"""Who does not look earns about as much as chance: the measured figures, and the measurement itself."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

from sifthinker.scenes.tasks import TASKS

BENCH = Path(__file__).resolve().parents[2] / "bench"
RESULTS = json.loads((BENCH / "results" / "blind.json").read_text())["tasks"]
IN_WORDS = [name for name in TASKS if name.startswith(("spatial_text", "stepgame"))]
ABSTAINING = ("unc_occlusion", "unc_perspective")
"""Half of their questions cannot be answered, and a pair counts only if both are right."""


def test_every_task_is_measured():
    assert list(RESULTS) == list(TASKS), "run `python bench/blind.py`"
    assert min(found["n"] for found in RESULTS.values()) >= 380


@pytest.mark.parametrize("name", TASKS)
def test_no_answer_is_given_away(name):
    found = RESULTS[name]
    constant, language = found["constant"][0], found["language"][0]
    if name in ABSTAINING:
        assert constant == pytest.approx(0.5, abs=0.02)
    elif found["chance"] is not None:
        assert constant <= found["chance"] + 0.08
    else:
        # Within a factor of two (Q-Spatial) or for partial credit, a typical length is right more often.
        assert constant <= 0.65
    if name not in IN_WORDS:
        assert language <= max(constant, found["chance"] or 0) + 0.12


def test_the_language_prior_finds_what_words_give_away(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    sys.modules.pop("blind", None)
    blind = import_module("blind")
    samples = blind.questions("left_right", blind.SIZE, (2, 3), 240)
    told = [s for s in samples if s.answer == ("left" if s.question.split()[2] < "cube" else "right")]
    train, held_out = told[::2], told[1::2]
    assert len(held_out) > 40
    said = blind.Language(train)
    assert sum(said.answer(s) == s.answer for s in held_out) >= 0.8 * len(held_out)
