"""Answers that name places and ways: what is read, what is right; what could mean two things is not read."""

import pytest

from sifthinker.grading import grade_answer
from sifthinker.places import follow, read_cell, read_letter, read_moves, read_point, read_wind, round_trip
from sifthinker.sample import Sample

ROWS = ["..#", "...", "#.."]
CITIES = {"A": [0, 0], "B": [1, 0], "C": [1, 1], "D": [0, 1]}


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (read_wind, "North-East", "northeast"),
        (read_wind, "to the south west", "southwest"),
        (read_wind, "NW.", "northwest"),
        (read_wind, "northern", "north"),
        (read_wind, "north or south", None),
        (read_wind, "upper left", None),
        (read_wind, "", None),
        (read_cell, "Row 3, column 1", (3, 1)),
        (read_cell, "col 2 row 4", (4, 2)),
        (read_cell, "row 3", None),
        (read_cell, "row 1 or row 2, column 3", None),
        (read_point, "x = 0.25, y = 0.5", (0.25, 0.5)),
        (read_point, "0.25, 0.5, 0.75", None),
        (read_point, "in the middle", None),
        (read_moves, "up, up and then left", ["up", "up", "left"]),
        (read_moves, "R, R, D", ["right", "right", "down"]),
        (read_moves, "two up", None),
        (read_moves, "", None),
    ],
)
def test_reading(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    ("text", "letters", "value"),
    [("Point C", "ABC", "C"), ("C", "AB", None), ("A or B", "AB", None), ("ABC", "ABC", None), ("it is B.", "AB", "B")],
)
def test_letters(text, letters, value):
    assert read_letter(text, letters) == value


def test_ways_are_walked():
    assert follow(ROWS, (0, 0), ["down", "right", "down"]) == (2, 1)
    assert follow(ROWS, (0, 0), ["right", "right"]) is None
    assert follow(ROWS, (0, 0), ["up"]) is None
    assert round_trip("B C D A", CITIES) == 4
    assert round_trip("A, C, B, D, A", CITIES) == pytest.approx(2 + 2 * 2**0.5)
    assert round_trip("A, B, C, A", CITIES) is None
    assert round_trip("A, B, C, C, A", CITIES) is None


def grade(answer, gold, grader, given=None, kind="text"):
    meta = {"answer_kind": kind, "grader": grader, "given": given or {}}
    return grade_answer(answer, Sample("s", None, "?", gold, meta=meta))


@pytest.mark.parametrize(
    ("answer", "gold", "grader", "given", "value"),
    [
        ("south-east", "southeast", "compass", {}, 1.0),
        ("south", "southeast", "compass", {}, 0.0),
        ("nowhere", "southeast", "compass", {}, 0.0),
        ("Point B.", "B", "letter", {"letters": ["A", "B"]}, 1.0),
        ("Point A, not B", "B", "letter", {"letters": ["A", "B"]}, 0.0),
        ("column 2, row 1", "row 1, column 2", "cell", {}, 1.0),
        ("row 2, column 1", "row 1, column 2", "cell", {}, 0.0),
        ("(0.53, 0.18)", "0.50, 0.20", "near_point", {"tolerance": 0.05}, 1.0),
        ("(0.56, 0.18)", "0.50, 0.20", "near_point", {"tolerance": 0.05}, 0.0),
        ("350", "10", "azimuth", {"tolerance": 22.5}, 1.0),
        ("about 33 degrees", "10", "azimuth", {"tolerance": 22.5}, 0.0),
        ("30°", "10", "azimuth", {"tolerance": 22.5}, 1.0),
        ("10 or 20", "10", "azimuth", {"tolerance": 22.5}, 0.0),
        ("down, right", "right, down", "moves", {"rows": ROWS, "start": [0, 0], "goal": [1, 1]}, 1.0),
        ("down, right, down, up", "right, down", "moves", {"rows": ROWS, "start": [0, 0], "goal": [1, 1]}, 0.0),
        ("down, down", "right, down", "moves", {"rows": ROWS, "start": [0, 0], "goal": [1, 1]}, 0.0),
        ("D, C, B, A", "A, B, C, D, A", "tour", {"cities": CITIES}, 1.0),
        ("A, C, B, D, A", "A, B, C, D, A", "tour", {"cities": CITIES}, 0.0),
        ("A, B, C", "A, B, C, D, A", "tour", {"cities": CITIES}, 0.0),
    ],
)
def test_graders(answer, gold, grader, given, value):
    kind = "number" if grader == "azimuth" else "text"
    assert grade(answer, gold, grader, given, kind) == value
    assert grade(gold, gold, grader, given, kind) == 1.0
