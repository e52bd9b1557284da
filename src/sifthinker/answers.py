"""How answers are read: what can be asked for, and the rules that find an answer in a text.

Each kind of answer has its rules in a fixed order; `read` takes the first that hits, so there is no best of several
readings, and no rule ever sees the gold answer. Strict rules come first, so lenient reading never changes what a
strict rule found. `docs/grading.md` lists the rules. Which part of a reply is looked at, and whether the answer is
right, is `grading`'s business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from .errors import BoxError, InputError
from .geometry import Box, Frame, Size, to_box
from .normalize import METRES, Quantity, normalize, number_word, quantities, unit_name

REASONS = ("empty", "truncated", "no_answer", "ambiguous", "out_of_range", "bad_unit", "invalid_box", "refused")
"""Why a reply has no answer; the list is closed."""

LENIENT_RULES = frozenset({"letter.paren", "option.unique", "num.last", "box.regex", "box.last"})

ABSTAIN = "<abstain>"
"""The value of a reply that says that the question cannot be answered."""


class Kind(StrEnum):
    """What kind of answer a question asks for; the values of `sample.meta["answer_kind"]`."""

    CHOICE = "choice"
    YESNO = "yesno"
    NUMBER = "number"
    TEXT = "text"
    BOX = "box"
    DIRECTION = "direction"


@dataclass(frozen=True)
class AnswerSpec:
    """What is asked for, declared before any reply is read.

    choices: option texts for letters A, B, ...
    unit: a key of `normalize.METRES` in which numbers count; None for plain numbers such as counts.
    range_mean: whether a range ("10-20") stands for its mean instead of being ambiguous.
    frame, size: of box answers.
    grader, given: a key of `graders.GRADERS` in place of the kind's own comparison, and what it must know.
    """

    kind: Kind
    choices: tuple[str, ...] = ()
    unit: str | None = None
    range_mean: bool = False
    frame: Frame = Frame.UNIT_XYXY
    size: Size | None = None
    grader: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict, hash=False)


Value = str | float | Box | frozenset[str]


@dataclass(frozen=True)
class Extraction:
    """What a reply answers.

    value: a letter, "yes" or "no", a number in the unit of the spec, a text, a `Box`, a set of directions, or
        `ABSTAIN`; None when there is no single answer, and then `reason` is one of `REASONS`.
    rule: the rule that hit, with or without success; None when none did.
    span: the place in the reply that was read.
    flags: `letter_text_conflict` (the option text belongs to another letter), `unit_assumed`.
    text: the part of the reply in which the rules looked.
    """

    value: Value | None
    rule: str | None
    span: tuple[int, int] | None
    reason: str | None
    flags: tuple[str, ...] = ()
    text: str = ""

    @property
    def strict(self) -> bool:
        return self.rule not in LENIENT_RULES


def read(scope: str, spec: AnswerSpec, lenient: bool = False) -> Extraction:
    """The answer that a text gives; `span` counts from the text's start. Never raises on any string."""
    if not scope:
        return Extraction(None, None, None, "empty")
    miss = "no_answer"
    for hit in _RULES[spec.kind](scope, spec):
        if hit.rule is None:
            miss = hit.reason or miss
        elif lenient or hit.strict:
            return replace(hit, text=scope)
    if _REFUSAL.match(scope):
        miss = "refused"
    return Extraction(None, None, None, miss, text=scope)


# --- rules: each yields its hits in order; a hit without a rule only says why nothing was found ----------------------

Hits = Iterator[Extraction]

_ABSTENTIONS = re.compile(
    r"\b(?:can(?:not|'t| not) be (?:determined|answered|known)|(?:not enough|insufficient) information|"
    r"impossible to (?:tell|say|determine))\b",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"(?:i'?m sorry|sorry[,.]|i apologi[sz]e|as an ai\b|i (?:can(?:no|')t|am (?:un|not )able to|won't) "
    r"(?:help|assist|answer|see|view|process|provide|comply|do that))",
    re.IGNORECASE,
)


def _abstain(scope: str) -> Hits:
    if match := _ABSTENTIONS.search(scope):
        yield Extraction(ABSTAIN, "abstain.phrase", match.span(), None)


_BARE = re.compile(r"[\s\"'`*_(\[{<]*([A-Za-z])[\s\"'`*_)\]}>.]*")
_LEAD = re.compile(r"[\s\"'`*_]*(?:[(\[]\s*([A-Za-z])\s*[)\]]|([A-Z])[*_]*[.):])[*_]*[.:]?(?=\s|$|[*_])")
_MARKER = re.compile(r"\(([A-Za-z])\)|(?:^|[\n;,.]\s{0,2})([A-Z])[.):](?=\s)")
_GAP = r"\s{0,3}"  # bounded, so that no reply makes a search slow
_PHRASE = re.compile(
    rf"(?i:\banswer(?:{_GAP}\bis)?{_GAP}:?|\boption|\bchoice)(?:{_GAP}\bis)?{_GAP}:?{_GAP}[*_\"'`]{{0,3}}{_GAP}"
    r"(?:\$?\\boxed\{([A-Za-z])\}\$?|\(([A-Za-z])\)|\[([A-Za-z])\]|\{([A-Za-z])\}|([A-Z]))"
    r"[*_\"'`]{0,3}(?=[.,;:!?)]|\s*$|[ \t]{0,3}\n)"
    r"|\\boxed\{([A-Za-z])\}|\{([A-Za-z])\}"
)
_PAREN = re.compile(r"\(\s*([A-Za-z])\s*\)")


def _choice(scope: str, spec: AnswerSpec) -> Hits:
    options = options_of(spec.choices)

    def letter(match: re.Match[str], rule: str, flags: tuple[str, ...] = ()) -> Extraction:
        group = match.lastindex or 1
        value = match[group].upper()
        inside = ord(value) - ord("A") < len(options)
        return Extraction(value if inside else None, rule, match.span(group), None if inside else "out_of_range", flags)

    if match := _BARE.fullmatch(scope):
        yield letter(match, "letter.bare")
    if match := _LEAD.match(scope):
        first = (match[1] or match[2]).upper()
        markers = {(m[1] or m[2]).upper() for m in _MARKER.finditer(scope, match.end())}
        if not markers - {first}:
            other = options.get(normalize(scope[match.end() :]))
            yield letter(match, "letter.lead", ("letter_text_conflict",) if other not in (None, first) else ())
    if phrases := list(_PHRASE.finditer(scope)):
        yield letter(phrases[-1], "letter.phrase")
    if exact := options.get(normalize(scope)):
        yield Extraction(exact, "option.exact", (0, len(scope)), None)
    # Where one option abstains, abstaining in other words means that option.
    own = [letter for text, letter in options.items() if _ABSTENTIONS.search(text)]
    yield from (replace(hit, value=own[0]) if len(own) == 1 else hit for hit in _abstain(scope))
    if parens := list(_PAREN.finditer(scope)):
        if len({m[1].upper() for m in parens}) == 1:
            yield letter(parens[-1], "letter.paren")
        else:
            yield Extraction(None, "letter.paren", None, "ambiguous")
    inside = _options_inside(normalize(scope), options)
    if inside:
        several = len(inside) > 1
        yield Extraction(None if several else inside[0], "option.unique", None, "ambiguous" if several else None)


@lru_cache(maxsize=1024)
def options_of(choices: tuple[str, ...]) -> dict[str, str]:
    """Normalized option text -> letter. Raises `InputError` when two options are equal or there are too many."""
    found: dict[str, str] = {}
    if len(choices) > 26:
        raise InputError(f"{len(choices)} options: there are letters for 26")
    for index, choice in enumerate(choices):
        text = normalize(choice) or choice.strip()
        letter = chr(ord("A") + index)
        if text in found:
            raise InputError(f"options {found[text]} and {letter} are equal: {choice!r}; options must differ in words")
        found[text] = letter
    return found


def _options_inside(text: str, options: dict[str, str]) -> list[str]:
    """Letters of the options whose texts occur in `text` as whole words; a longer option hides those inside of it."""
    rest, letters = f" {text} ", []
    for option in sorted(options, key=len, reverse=True):
        if f" {option} " in rest:
            letters.append(options[option])
            rest = rest.replace(f" {option} ", " \0 ")
    return letters


_YESNO_WORDS = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_YESNO = re.compile(r"[\s\"'`*_(]*(yes|no|true|false)\b[\"'`*_)]*", re.IGNORECASE)
_YESNO_SAID = re.compile(r"\b(yes|no|true|false)\b(?=[*_\"'`)]*(?:[.,;:!?]|\s*$))", re.IGNORECASE)


def _yesno(scope: str, spec: AnswerSpec) -> Hits:
    if match := _YESNO.match(scope):
        value = _YESNO_WORDS[match[1].lower()]
        rest = scope[match.end() :]
        others = {_YESNO_WORDS[m[1].lower()] for m in _YESNO_SAID.finditer(rest)} - {value}
        if not rest.strip(" .!\n\t\"'`*_)"):
            yield Extraction(value, "yesno.bare", match.span(1), None)
        elif re.match(r"\s*[,.;:!\n\u2013\u2014-]", rest):
            yield Extraction(None if others else value, "yesno.lead", match.span(1), "ambiguous" if others else None)
    yield from _abstain(scope)


_SCALAR = re.compile(r"\\scalar\s*\{([^{}]*)\}")
_DISTANCE_UNIT = re.compile(r"\\distance_unit\s*\{([^{}]*)\}")
_NUMBER_PHRASE = re.compile(rf"\b(?:answer{_GAP}\bis|is{_GAP}\babout){_GAP}:?{_GAP}[*_\"'`(\[$]{{0,4}}", re.IGNORECASE)
_HEDGE = re.compile(r"\s*(?:-|\u2013|to|or|and)\s*\Z", re.IGNORECASE)
_WRAP = " \t\n*_\"'`()[]{}!"


def _number(scope: str, spec: AnswerSpec) -> Hits:
    found = quantities(scope)
    only = found[0] if len(found) == 1 else None
    before, after = (scope[: only.start].strip(_WRAP), scope[only.end :].strip(_WRAP + ".")) if only else ("", "")
    if only and not before and not after:
        yield _in_unit(only, spec, "num.unit" if only.unit else "num.bare")
    elif only and not only.unit and not before and spec.unit and re.fullmatch(r"[A-Za-z]+", after):
        yield Extraction(None, "num.unit", (only.start, only.end), "bad_unit")
    elif only and only.unit:
        yield _in_unit(only, spec, "num.unit")
    yield from _phrased_number(scope, found, spec)
    if not found and (value := number_word(scope.strip(_WRAP + "."))) is not None:
        yield _in_unit(Quantity(float(value), None, 0, len(scope)), spec, "num.word")
    yield from _abstain(scope)
    if len(found) > 1:
        yield Extraction(None, None, None, "ambiguous")
    if found:
        yield _in_unit(found[-1], spec, "num.last")


def _phrased_number(scope: str, found: list[Quantity], spec: AnswerSpec) -> Hits:
    if scalars := list(_SCALAR.finditer(scope)):
        inside = quantities(scalars[-1][1])
        units = _DISTANCE_UNIT.findall(scope)
        unit = unit_name(units[-1]) or units[-1].strip() if units else None
        span = scalars[-1].span(1)
        if len(inside) == 1 or (inside and spec.range_mean):
            mean = sum(q.value for q in inside) / len(inside)
            yield _in_unit(Quantity(mean, unit or inside[-1].unit, *span), spec, "num.phrase")
        else:
            yield Extraction(None, "num.phrase", span, "ambiguous" if inside else "no_answer")
    starts = {q.start: i for i, q in enumerate(found)}
    for phrase in reversed(list(_NUMBER_PHRASE.finditer(scope))):
        index = starts.get(phrase.end())
        if index is None:
            continue
        first, second = found[index], found[index + 1] if index + 1 < len(found) else None
        if second and _HEDGE.match(scope[first.end : second.start]):
            yield Extraction(None, "num.phrase", (first.start, second.end), "ambiguous")
        yield _in_unit(first, spec, "num.phrase")


def _in_unit(q: Quantity, spec: AnswerSpec, rule: str) -> Extraction:
    """The number in the unit of the spec; plain numbers take no unit at all."""
    span = q.start, q.end
    if q.unit is None:
        return Extraction(q.value, rule, span, None, ("unit_assumed",) if spec.unit else ())
    if spec.unit is None or q.unit not in METRES:
        return Extraction(None, rule, span, "bad_unit")
    same = q.unit == spec.unit
    return Extraction(q.value if same else q.value * METRES[q.unit] / METRES[spec.unit], rule, span, None)


def _text(scope: str, spec: AnswerSpec) -> Hits:
    yield from _abstain(scope)
    if not _REFUSAL.match(scope):
        yield Extraction(scope, "text.whole", (0, len(scope)), None)


_FOUR = re.compile(r"[\[(]\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)\s*[\])]")


def _box(scope: str, spec: AnswerSpec) -> Hits:
    fenced = scope.startswith("```") and scope.endswith("```") and len(scope) > 6
    try:
        data = json.loads(re.sub(r"\A\w+", "", scope[3:-3]) if fenced else scope)
    except (ValueError, RecursionError):
        data = None
    found = [data] if _four_numbers(data) else data if isinstance(data, list) else [data]
    boxes = [b for b in (_box_values(item) for item in found) if b is not None]
    if boxes:
        if len(boxes) == len(found) == 1:
            yield _checked_box(boxes[0], spec, "box.json", (0, len(scope)))
        else:
            yield Extraction(None, None, None, "ambiguous")
            yield _checked_box(boxes[-1], spec, "box.last", (0, len(scope)))
    yield from _abstain(scope)
    runs = list(_FOUR.finditer(scope))
    if len(runs) == 1:
        yield _checked_box(list(runs[0].groups()), spec, "box.regex", runs[0].span())
    elif runs:
        yield Extraction(None, None, None, "ambiguous")


def _four_numbers(item: object) -> bool:
    return isinstance(item, list) and len(item) == 4 and all(type(v) in (int, float) for v in item)


def _box_values(item: object) -> list[object] | None:
    if isinstance(item, dict):
        item = next((item[k] for k in ("bbox_2d", "bbox", "box") if k in item), None)
    return item if isinstance(item, list) and _four_numbers(item) else None


def _checked_box(values: list[object], spec: AnswerSpec, rule: str, span: tuple[int, int]) -> Extraction:
    try:
        return Extraction(
            to_box([float(str(v)) for v in values], spec.frame, spec.size or (1, 1), 0.0), rule, span, None
        )
    except (BoxError, ValueError):
        return Extraction(None, rule, span, "invalid_box")


_DIRECTIONS = {
    word: name
    for name, words in {
        "left": "left leftward",
        "right": "right rightward",
        "above": "above over up upper top",
        "below": "below under underneath beneath down lower bottom",
        "front": "front",
        "behind": "behind back",
        "overlap": "overlap overlapping same",
    }.items()
    for word in words.split()
}
"""The words of directions, and the direction each stands for."""
_OPPOSITES = (frozenset({"left", "right"}), frozenset({"above", "below"}), frozenset({"front", "behind"}))
_FILLERS = frozenset(["to", "of", "on", "at", "and", "in", "is", "it", "side", "the", "a", "position", "corner"])


def _direction(scope: str, spec: AnswerSpec) -> Hits:
    words = normalize(scope).split()
    named = frozenset(_DIRECTIONS[w] for w in words if w in _DIRECTIONS)
    if named and all(w in _DIRECTIONS or w in _FILLERS for w in words):
        conflict = any(pair <= named for pair in _OPPOSITES)
        yield Extraction(
            None if conflict else named, "direction.set", (0, len(scope)), "ambiguous" if conflict else None
        )
    yield from _abstain(scope)


_RULES: dict[Kind, Callable[[str, AnswerSpec], Hits]] = {
    Kind.CHOICE: _choice,
    Kind.YESNO: _yesno,
    Kind.NUMBER: _number,
    Kind.TEXT: _text,
    Kind.BOX: _box,
    Kind.DIRECTION: _direction,
}
