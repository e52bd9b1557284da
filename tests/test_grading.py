"""Extraction and grading: tables of cases, nothing peeks at gold, gold earns 1.0 on all real rows."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sifthinker.answers import LENIENT_RULES
from sifthinker.errors import InputError
from sifthinker.geometry import Frame
from sifthinker.grading import (
    ABSTAIN,
    REASONS,
    AnswerSpec,
    Kind,
    answer_spec,
    extract,
    grade,
    grade_answer,
    mean_relative_accuracy,
)
from sifthinker.normalize import normalize, quantities, same_text
from sifthinker.sample import Sample

OPTIONS = AnswerSpec(Kind.CHOICE, ("left", "right", "behind", "in front"))
CLOSER = AnswerSpec(Kind.CHOICE, ("A is closer", "B is closer"))
SWAPPED = AnswerSpec(Kind.CHOICE, ("B is closer", "A is closer"))
NUMBER = AnswerSpec(Kind.NUMBER)
CM = AnswerSpec(Kind.NUMBER, unit="cm")
RANGES = AnswerSpec(Kind.NUMBER, unit="cm", range_mean=True)
YESNO = AnswerSpec(Kind.YESNO)
TEXT = AnswerSpec(Kind.TEXT)
BOX = AnswerSpec(Kind.BOX)
PIXELS = AnswerSpec(Kind.BOX, frame=Frame.PIXEL_XYXY, size=(640, 480))
DIRECTION = AnswerSpec(Kind.DIRECTION)


def sample(answer: str, choices: tuple[str, ...] = (), **meta: object) -> Sample:
    return Sample("s", "missing.png", "?", answer, choices=choices, meta=meta)


# (reply, spec, strict: value or reason, rule; lenient: value or reason, rule); a reason is marked by a leading "!"
CASES = [
    # the table of hard cases
    ("The answer is (B)", OPTIONS, "B", "letter.phrase", None, None),
    ("A dog stands to the right", OPTIONS, "!no_answer", None, "B", "option.unique"),
    ("(A) and (B) are both wrong, so (C)", OPTIONS, "!no_answer", None, "!ambiguous", "letter.paren"),
    ("I first thought the answer is A. Actually the answer is C", OPTIONS, "C", "letter.phrase", None, None),
    ("B. left", OPTIONS, "B", "letter.lead", None, None),
    ("E", OPTIONS, "!out_of_range", "letter.bare", None, None),
    ("<answer>B</answer> ... <answer>C</answer>", OPTIONS, "C", "letter.bare", None, None),
    ("<think>... so it is A", OPTIONS, "!truncated", None, None, None),
    ("a 35 cm cup", CM, 35.0, "num.unit", None, None),
    ("one of 3", NUMBER, "!no_answer", None, 3.0, "num.last"),
    ("between 10 and 20 cm", CM, "!ambiguous", None, 20.0, "num.last"),
    (r"\scalar{10-20} \distance_unit{cm}", RANGES, 15.0, "num.phrase", None, None),
    (r"\scalar{10-20} \distance_unit{cm}", CM, "!ambiguous", "num.phrase", None, None),
    ("CAR", OPTIONS, "!no_answer", None, None, None),
    ("[282, 421, 134, 262]", PIXELS, "!invalid_box", "box.json", None, None),
    ("", OPTIONS, "!empty", None, None, None),
    # scopes
    ("  \n ", TEXT, "!empty", None, None, None),
    ("<think>A</think> B", OPTIONS, "B", "letter.bare", None, None),
    ("<think>x</think><answer> (c) </answer>", OPTIONS, "C", "letter.bare", None, None),
    ("<answer>B</answer><answer>C", OPTIONS, "!truncated", None, None, None),
    ("<think>hm<answer>B</answer>", OPTIONS, "B", "letter.bare", None, None),
    ("<answer></answer>", OPTIONS, "!empty", None, None, None),
    ("<answer>B</answer></answer>", OPTIONS, "B", "letter.bare", None, None),
    # letters
    ("**B.**", OPTIONS, "B", "letter.bare", None, None),
    ("b", OPTIONS, "B", "letter.bare", None, None),
    ("(B) right", OPTIONS, "B", "letter.lead", None, None),
    ("B the dog", OPTIONS, "!no_answer", None, None, None),
    ("A: left. B: right.", OPTIONS, "!no_answer", None, "!ambiguous", "option.unique"),
    ("the answer is a dog", OPTIONS, "!no_answer", None, None, None),
    ("**Answer:** D", OPTIONS, "D", "letter.phrase", None, None),
    (r"So \boxed{C}", OPTIONS, "C", "letter.phrase", None, None),
    ("{D}", OPTIONS, "D", "letter.bare", None, None),
    ("The answer is E.", OPTIONS, "!out_of_range", "letter.phrase", None, None),
    ("option B is wrong", OPTIONS, "!no_answer", None, None, None),
    ("It looks like (B) to me", OPTIONS, "!no_answer", None, "B", "letter.paren"),
    # option texts
    ("In front.", OPTIONS, "D", "option.exact", None, None),
    ("the left", OPTIONS, "A", "option.exact", None, None),
    ("It is in front of it, not behind", OPTIONS, "!no_answer", None, "!ambiguous", "option.unique"),
    ("A is closer", CLOSER, "A", "option.exact", None, None),
    ("A is closer", SWAPPED, "B", "option.exact", None, None),
    ("(A)", SWAPPED, "A", "letter.bare", None, None),
    ("bright", OPTIONS, "!no_answer", None, None, None),
    ("a red car", AnswerSpec(Kind.CHOICE, ("car", "red car")), "B", "option.exact", None, None),
    ("look, a red car!", AnswerSpec(Kind.CHOICE, ("car", "red car")), "!no_answer", None, "B", "option.unique"),
    ("It cannot be determined.", OPTIONS, ABSTAIN, "abstain.phrase", None, None),
    ("I'm sorry, but I cannot help with that.", OPTIONS, "!refused", None, None, None),
    # yes and no
    ("Yes", YESNO, "yes", "yesno.bare", None, None),
    ("no.", YESNO, "no", "yesno.bare", None, None),
    ("**No**", YESNO, "no", "yesno.bare", None, None),
    ("True", YESNO, "yes", "yesno.bare", None, None),
    ("Yes, because there is no cat.", YESNO, "yes", "yesno.lead", None, None),
    ("Yes, no.", YESNO, "!ambiguous", "yesno.lead", None, None),
    ("No dogs are there", YESNO, "!no_answer", None, None, None),
    ("Not sure", YESNO, "!no_answer", None, None, None),
    ("There is not enough information.", YESNO, ABSTAIN, "abstain.phrase", None, None),
    # numbers
    ("3", NUMBER, 3.0, "num.bare", None, None),
    ("**1,200.**", NUMBER, 1200.0, "num.bare", None, None),
    ("-2.5", NUMBER, -2.5, "num.bare", None, None),
    ("1e3", NUMBER, 1000.0, "num.bare", None, None),
    ("Twenty-one.", NUMBER, 21.0, "num.word", None, None),
    ("a", NUMBER, "!no_answer", None, None, None),
    ("an", NUMBER, "!no_answer", None, None, None),
    ("The answer is 4.", NUMBER, 4.0, "num.phrase", None, None),
    ("I see 9, the answer is: 4 of 5", NUMBER, 4.0, "num.phrase", None, None),
    ("The answer is 3 or 4", NUMBER, "!ambiguous", "num.phrase", None, None),
    ("There are 3 chairs", NUMBER, "!no_answer", None, 3.0, "num.last"),
    ("3 cm", NUMBER, "!bad_unit", "num.unit", None, None),
    ("1.5 m", CM, 150.0, "num.unit", None, None),
    ("12 in", CM, 30.48, "num.unit", None, None),
    ("2 feet away", CM, 60.96, "num.unit", None, None),
    ("35", CM, 35.0, "num.bare", None, None),
    ("35 parsecs", CM, "!bad_unit", "num.unit", None, None),
    ("35 blorps", CM, "!bad_unit", "num.unit", None, None),
    (r"\scalar{2} \distance_unit{furlong}", CM, "!bad_unit", "num.phrase", None, None),
    ("it is about 35 cm, perhaps 40", CM, 35.0, "num.phrase", None, None),
    ("1e999", NUMBER, "!no_answer", None, None, None),
    # texts
    ("Pink.", TEXT, "Pink.", "text.whole", None, None),
    ("As an AI model I see nothing", TEXT, "!refused", None, None, None),
    # boxes
    ('{"bbox_2d": [0, 0, 0.5, 1]}', BOX, (0, 0, 0.5, 1), "box.json", None, None),
    ('```json\n[{"bbox": [0, 0, 0.5, 1]}]\n```', BOX, (0, 0, 0.5, 1), "box.json", None, None),
    ("It is at [0, 0, 0.5, 1].", BOX, "!no_answer", None, (0, 0, 0.5, 1), "box.regex"),
    ("[[0, 0, 0.5, 1], [0, 0, 1, 1]]", BOX, "!ambiguous", None, (0, 0, 1, 1), "box.last"),
    ("[0, 0, NaN, 1]", BOX, "!invalid_box", "box.json", None, None),
    ("[0, 0, 64, 48]", PIXELS, (0, 0, 0.1, 0.1), "box.json", None, None),
    # directions
    ("upper-left", DIRECTION, frozenset({"above", "left"}), "direction.set", None, None),
    ("To the right of it.", DIRECTION, frozenset({"right"}), "direction.set", None, None),
    ("left or right", DIRECTION, "!no_answer", None, None, None),
    ("left and right", DIRECTION, "!ambiguous", "direction.set", None, None),
]


@pytest.mark.parametrize(("reply", "spec", "strict", "rule", "lenient", "lenient_rule"), CASES)
def test_case(reply, spec, strict, rule, lenient, lenient_rule):
    expected = [(strict, rule, False), (strict if lenient is None else lenient, lenient_rule or rule, True)]
    for want, want_rule, mode in expected:
        found = extract(reply, spec, lenient=mode)
        value = tuple(found.value) if spec.kind is Kind.BOX and found.value is not None else found.value
        got = f"!{found.reason}" if found.reason else value
        assert (got, found.rule) == (pytest.approx(want) if isinstance(want, float | tuple) else want, want_rule)
        assert (found.value is None) == (found.reason is not None)
        assert found.strict or mode


def test_flags():
    assert extract("B. left", OPTIONS).flags == ("letter_text_conflict",)
    assert extract("B. right", OPTIONS).flags == ()
    assert extract("35", CM).flags == ("unit_assumed",)


@pytest.mark.parametrize(
    ("reply", "spec", "read"),
    [
        ("<think>no</think>\n<answer> (B) </answer>", OPTIONS, "B"),
        ("we say the answer is C", OPTIONS, "C"),
        ("<answer>\n a 35 cm cup</answer>", CM, "35 cm"),
        ("<answer> Pink. </answer>", TEXT, "Pink."),
    ],
)
def test_span_is_the_place_in_the_reply(reply, spec, read):
    start, end = extract(reply, spec).span
    assert reply[start:end] == read


tag_soup = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "<answer>",
            "</answer>",
            "A",
            "(B)",
            "yes",
            "12",
            " ",
            ".",
            "left",
            "{",
            "[1,",
            "]",
            "\\scalar{",
        ]
    )
    | st.text(max_size=4),
    max_size=14,
).map("".join)
specs = st.sampled_from([OPTIONS, CLOSER, NUMBER, CM, RANGES, YESNO, TEXT, BOX, PIXELS, DIRECTION])


@given(tag_soup, specs)
def test_extract_is_total_and_lenient_only_adds(reply, spec):
    strict, lenient = extract(reply, spec), extract(reply, spec, lenient=True)
    for found in (strict, lenient):
        assert (found.value is None) == (found.reason in REASONS)
        assert found.span is None or 0 <= found.span[0] <= found.span[1] <= len(reply)
        assert 0.0 <= grade(found, "12 cm", spec) <= 1.0
    assert strict.rule not in LENIENT_RULES
    if strict.value is not None:
        assert lenient == strict


def test_a_slow_reply_cannot_be_built():
    for junk in (
        " ",
        "\n",
        "answer ",
        "answer",
        "<answer>",
        "</answer>",
        "(A",
        "1,",
        "1.",
        "[1,",
        "{",
        "yes ",
        "\\scalar{",
        "```",
    ):
        for spec in (OPTIONS, CM, YESNO, TEXT, BOX, DIRECTION):
            extract("answer" + junk * 5000 + "x", spec, lenient=True)


@given(st.permutations(["A", "B", "(C)", "in front"]))
def test_extraction_never_depends_on_gold(golds):
    replies = ["The answer is (B)", "In front.", "left", "E"]
    found = [extract(r, answer_spec(sample(g, OPTIONS.choices))) for r, g in zip(replies, golds, strict=True)]
    assert [f.value for f in found] == ["B", "D", "A", None]


def test_kind_is_never_read_from_gold():
    for gold in ("yes", "12", "pink", "[0, 0, 1, 1]"):
        assert answer_spec(sample(gold)).kind is Kind.TEXT


@pytest.mark.parametrize(
    ("answer", "gold", "kwargs", "grade_"),
    [
        ("Pink.", "pink", {}, 1.0),
        ("The  PINK", "Pink.", {}, 1.0),
        ("2", "two", {}, 1.0),
        ("twenty-one dogs", "21 dogs", {}, 1.0),
        ("1200", "1,200", {}, 1.0),
        ("t-shirt", "T shirt", {}, 1.0),
        ("a cigarette", "A cigarette.", {}, 1.0),
        ("elephants back", "The elephants back.", {}, 1.0),
        ("5", "-5", {}, 0.0),
        ("21", "21%", {}, 0.0),
        ("vitamin", "Vitamin A", {}, 0.0),
        ("4", "A4", {}, 0.0),
        ("red", "pink", {}, 0.0),
        (None, "pink", {}, 0.0),
        ("", "pink", {}, 0.0),
        ("?", "?", {}, 1.0),
        ("!", "?", {}, 0.0),
        ("anything", "", {}, None),
        ("(A)", "A", {"choices": ("left", "right")}, 1.0),
        ("left", "(A)", {"choices": ("left", "right")}, 1.0),
        ("A", "left", {"choices": ("left", "right")}, 1.0),
        ("B", "left", {"choices": ("left", "right")}, 0.0),
        ("right", "left", {"choices": ("left", "right")}, 0.0),
        ("four", "4", {"answer_kind": "number"}, 1.0),
        ("4.0", "4", {"answer_kind": "number"}, 1.0),
        ("5", "4", {"answer_kind": "number"}, 0.0),
        ("about five", "about five", {"answer_kind": "number"}, 1.0),
        ("yes, it is", "Yes", {"answer_kind": "yesno"}, 1.0),
        ("False.", "no", {"answer_kind": "yesno"}, 1.0),
        ("no", "yes", {"answer_kind": "yesno"}, 0.0),
        ("0.9 m", "100 cm", {"answer_kind": "number", "answer_unit": "m"}, 0.9),
        ("above and left", "upper left", {"answer_kind": "direction"}, 1.0),
        ("left", "upper left", {"answer_kind": "direction"}, 0.0),
        ("[0, 0, 0.5, 0.5]", "[0, 0, 0.5, 1]", {"answer_kind": "box"}, 0.5),
        ("cannot be determined", "It cannot be determined.", {"answer_kind": "yesno"}, 1.0),
        ("yes", "It cannot be determined.", {"answer_kind": "yesno"}, 0.0),
    ],
)
def test_grade_answer(answer, gold, kwargs, grade_):
    choices = kwargs.pop("choices", ()) if "choices" in (kwargs := dict(kwargs)) else ()
    assert grade_answer(answer, sample(gold, choices, **kwargs)) == (None if grade_ is None else pytest.approx(grade_))


def test_no_gold_is_the_only_reason_for_none():
    for answer in (None, "", "x", "<answer>"):
        assert grade_answer(answer, sample("")) is None
        assert grade_answer(answer, sample("pink")) == 0.0


@pytest.mark.parametrize(
    ("given_sample", "message"),
    [
        (sample("x", answer_kind="colour"), "sample s: answer_kind 'colour' is not one of choice, yesno, number"),
        (sample("x", answer_kind="choice"), "answer_kind is choice, but the sample has no choices"),
        (sample("x", answer_kind="number", answer_unit="yd"), "answer_unit 'yd' is not one of m, cm"),
        (sample("x", ("The cat", "cat.")), "options A and B are equal: 'cat.'"),
    ],
)
def test_bad_specs_are_one_clear_line(given_sample, message):
    with pytest.raises(InputError, match=re.escape(message)):
        answer_spec(given_sample)


@pytest.mark.parametrize(
    ("value", "gold", "accuracy"),
    [
        (10, 10, 1.0), (9.5, 10, 1.0), (9, 10, 0.9), (8.5, 10, 0.8), (8, 10, 0.7), (7.5, 10, 0.6), (7, 10, 0.5),
        (6, 10, 0.3), (14.5, 10, 0.2), (15, 10, 0.1), (0, 10, 0.0), (3, 4, 0.6), (0, 0, 1.0), (1, 0, 0.0),
        (-10, 10, 0.0),
    ],
)  # fmt: skip
def test_mean_relative_accuracy(value, gold, accuracy):
    assert mean_relative_accuracy(value, gold) == pytest.approx(accuracy, abs=1e-12)


@given(st.text(max_size=30).filter(lambda text: not re.search(r"</?(think|answer)>", text)))
def test_every_gold_text_earns_full_marks_of_itself(gold):
    for kind in ("text", "number", "yesno", "box", "direction"):
        assert grade_answer(gold, sample(gold, answer_kind=kind)) == (1.0 if gold.strip() else None)


@given(st.text(max_size=30))
def test_normalize_ignores_case_punctuation_and_space(text):
    assert normalize(text) == normalize(text.casefold())
    assert normalize(text) == normalize(f" {text} !")
    assert normalize(text) == normalize(text.replace(" ", "  "))
    assert same_text(text, text) == bool(text.strip())


@given(st.floats(-1e6, 1e6).map(lambda x: round(x, 4)), st.sampled_from(["m", "cm", "mm", "km", "ft", "inches"]))
def test_numbers_are_found_with_their_unit(value, unit):
    (q,) = quantities(f"it is {value:f} {unit}.")
    assert q.value == pytest.approx(value)
    assert q.unit == {"inches": "in"}.get(unit, unit)


# --- real rows ---


def rows_of(path: Path) -> list[dict]:
    text = path.read_text()
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


def test_gold_of_all_real_rows(shared_data):
    answers: list[Sample] = []
    for path in sorted((shared_data / "viscot").glob("benchmark/*.json")):
        answers += [sample(r["conversations"][-1]["value"]) for r in rows_of(path)]
    for path in sorted((shared_data / "viscot" / "viscot_dataset").glob("*.jsonl")):
        answers += [sample(r["answer"]) for r in rows_of(path)]
    yesno = [a for a in answers if a.answer.lower() in ("yes", "no")]
    answers += [sample(a.answer, answer_kind="yesno") for a in yesno]
    for path in sorted((shared_data / "vsr").rglob("*.jsonl")):
        answers += [sample("true" if r["label"] else "false", answer_kind="yesno") for r in rows_of(path)]
    tally = rows_of(shared_data / "tallyqa" / "documented_record.json")
    answers += [sample(str(r["answer"]), answer_kind="number") for r in tally]
    for path in sorted((shared_data / "blink").rglob("request.json")):
        row = json.loads(path.read_text())
        answers.append(sample(row["answer"], tuple(re.findall(r"\([A-Z]\) (.+)", row["query"]))))
    for path in [shared_data / "spatialbench_cognition" / "QA_sample.json"]:
        for r in rows_of(path):
            options = tuple(re.sub(r"^[A-Z]\.\s*", "", o) for o in r["sample"]["options"] or ())
            kind = {} if options else {"answer_kind": "number"}
            answers.append(sample(str(r["sample"]["solution"]), options, **kind))
    assert len(answers) > 2500
    for item in answers:
        assert grade_answer(item.answer, item) == 1.0, (item.answer, item.choices, item.meta)
        # in a whole reply too, and declared kinds are parsed by their rules, not merely equal
        spec = answer_spec(item)
        found = extract(f"<think>.</think>\n<answer>{item.answer}</answer>", spec)
        assert grade(found, item.answer, spec) == 1.0
        assert found.value is not None, (item.answer, item.meta)


def test_wrong_answers_of_real_rows_earn_nothing(shared_data):
    golds = [
        r["answer"] for p in sorted((shared_data / "viscot" / "viscot_dataset").glob("*.jsonl")) for r in rows_of(p)
    ]
    rng = random.Random(0)
    for gold in golds:
        other = rng.choice(golds)
        assert grade_answer(other, sample(gold)) == float(normalize(other) == normalize(gold))
