"""The forms of mean relative accuracy, on the borders where they differ."""

import numpy as np
import pytest

from sifthinker.errors import InputError
from sifthinker.grading import grade_answer
from sifthinker.mra import FORMS
from sifthinker.sample import Sample

PAIRS = ((9.5, 10), (9, 10), (8, 10), (7.5, 10), (7, 10), (14.5, 10), (15, 10))
GOLDEN = {
    "vsi": (1.0, 0.9, 0.6, 0.6, 0.5, 0.1, 0.1),
    "dge": (1.0, 0.818, 0.636, 0.545, 0.455, 0.182, 0.091),
    "strict": (1.0, 0.9, 0.6, 0.5, 0.5, 0.1, 0.0),
    "strict_arange": (0.9, 0.8, 0.6, 0.5, 0.4, 0.1, 0.0),
}


@pytest.mark.parametrize("form", GOLDEN)
def test_golden_values(form):
    assert set(GOLDEN) == set(FORMS)
    assert [FORMS[form](*pair) for pair in PAIRS] == pytest.approx(GOLDEN[form], abs=5e-4)


def test_thresholds_are_as_the_sources_make_them():
    assert FORMS["vsi"].thresholds == tuple(np.linspace(0.5, 0.95, int((0.95 - 0.5) / 0.05 + 2)))
    assert FORMS["dge"].thresholds == tuple(np.linspace(0.5, 0.95, round((0.95 - 0.5) / 0.05 + 2)))
    assert [len(FORMS[f].thresholds) for f in ("vsi", "dge", "strict", "strict_arange")] == [10, 11, 10, 10]


@pytest.mark.parametrize("form", GOLDEN)
def test_truth_earns_all_and_nonsense_nothing(form):
    for truth in (0.01, 3.0, -250.0):
        assert FORMS[form](truth, truth) == 1.0
        assert FORMS[form](-truth, truth) == 0.0
    assert FORMS[form](0.0, 0.0) == 1.0
    assert FORMS[form](0.3, 0.0) == (0.0 if form.startswith("strict") else pytest.approx(0.5, abs=0.06))


def graded(answer, form="dge", unit="m"):
    meta = {"answer_kind": "number", "grader": "mra", "given": {"form": form}} | ({"answer_unit": unit} if unit else {})
    return grade_answer(answer, Sample("x", None, "How far?", "10 m" if unit else "10", meta=meta))


def test_samples_name_their_form():
    assert graded("10 m") == graded("1000 cm") == 1.0
    assert graded("9 m") == pytest.approx(0.818, abs=5e-4)
    assert graded("900 cm", "strict_arange") == pytest.approx(0.8)
    assert graded("7.5", "vsi", unit=None) == 0.6
    assert graded("far away") == 0.0


def test_unknown_forms_are_named():
    with pytest.raises(InputError, match="mean relative accuracy"):
        graded("9 m", "vsj")
