"""A teacher's reply, checked against what was given: areas, depths, answer; and for language, length, early answers."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise, takewhile
from typing import Any

from ...grading import grade_answer
from ...sample import Sample
from ...trace import TAG, parse_trace
from ..expand import Stage
from .job import Job

MAX_TEXT = 600
"""Characters of one text at most; a trace is a chain of short looks, not an essay."""

_HALF = re.compile("[\ud800-\udfff\ufffd]")
_FENCE = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)


class BadReply(ValueError):
    """Why a teacher's reply cannot be used."""


def read_reply(reply: str, job: Job, language: str = "English") -> tuple[str, ...]:
    """The texts in a teacher's reply, one for each of the given areas.

    Repaired: code fences, words around the JSON, thoughts before it. Raises `BadReply` for everything else that is
    wrong: no JSON, another number of texts, empty or overlong texts, tags or halves of characters in them, other boxes
    or depths than those given, an answer that the grader does not find right, the answer given away early, another
    language.
    """
    texts, answer = _from_trace(reply, job) if "<area>" in reply else _from_json(reply)
    if len(texts) != len(job.stages):
        raise BadReply(f"{len(texts)} texts for {len(job.stages)} parts")
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str) or not text.strip():
            raise BadReply(f"text {number} is empty or not a string")
        if len(text) > MAX_TEXT:
            raise BadReply(f"text {number} has {len(text)} characters, more than {MAX_TEXT}")
        if _HALF.search(text):
            raise BadReply(f"text {number} holds half a character (a surrogate alone, or what stands for one)")
        if TAG.search(text) or "```" in text:
            raise BadReply(f"text {number} holds a tag or a code fence")
        if wrong := unknown_number(text, job, number):
            raise BadReply(f"text {number} says {wrong}, which is no depth or place of the parts up to there")
        if number < len(texts) and gives_away(text, job.stages[number - 1], job.sample):
            raise BadReply(f"text {number} gives the answer away before the last part")
    if language == "English" and (why := not_english(" ".join(texts))):
        raise BadReply(f"the texts are not English: {why}")
    _check_answer(answer, job.sample)
    return tuple(" ".join(text.split()) for text in texts)


def _check_answer(answer: Any, sample: Sample) -> None:
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        raise BadReply("the answer is missing")
    if grade_answer(str(answer), sample) != 1.0:
        raise BadReply(f"the answer {str(answer)!r:.80} is not the right answer {sample.answer!r:.80}")


def _from_json(reply: str) -> tuple[list[Any], Any]:
    reply = reply.rpartition("</think>")[2]
    fenced = _FENCE.search(reply)
    text = fenced.group(1) if fenced else reply
    start = min((i for i in (text.find("{"), text.find("[")) if i >= 0), default=-1)
    if start < 0:
        raise BadReply("no JSON in the reply")
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start:])
    except (ValueError, RecursionError) as error:
        raise BadReply(f"not JSON ({error})") from error
    if not isinstance(value, dict) or not isinstance(value.get("texts"), list):
        raise BadReply('expected a JSON object with "texts" and "answer"')
    return value["texts"], value.get("answer")


def _from_trace(reply: str, job: Job) -> tuple[list[Any], Any]:
    fenced = _FENCE.search(reply)
    trace = parse_trace((fenced.group(1) if fenced else reply).strip(), depth_required=False)
    if trace.faults:
        raise BadReply(f"the trace has faults: {trace.faults[0].message}")
    if [step.area for step in trace.steps] != [stage.area for stage in job.stages]:
        raise BadReply("the trace has other boxes or depths than those given")
    return [step.text for step in trace.steps], trace.answer


# --- depths and places in the words --------------------------------------------------------------------------------

_UNIT = r"%|°|[cmk]?m\b|met|deg|in\b|inch|f(?:oo|ee)?t\b|s\b|sec"
_SHARE = re.compile(rf"(?<![\w.,])[01]?\.\d{{2,}}(?![\w%]|\.\d)(?!\s*(?:{_UNIT}))")
"""Numbers as depths and places have them: from 0 to 1, two decimals or more, no unit."""


def unknown_number(text: str, job: Job, number: int) -> str | None:
    """The first number in the text of part `number` (from 1) that reads like a depth or a place, and is neither one
    of the parts up to there (or a difference of two depths), nor in the question, its options or the answer."""
    seen = job.stages[:number]
    depths = [round(depth, 3) for stage in seen for depth in stage.area.depths if depth is not None]
    places = [round(edge, 3) for stage in seen for box in stage.area.boxes for edge in box]
    given = [*depths, *places, *(abs(a - b) for a, b in combinations(depths, 2))]
    told = _SHARE.findall(" ".join([job.sample.question, *job.sample.choices, job.sample.answer]))
    for found in _SHARE.findall(text):
        # Fewer than three decimals are taken for rounded.
        rounding = 0.5 * 10.0 ** -len(found.partition(".")[2]) if len(found.partition(".")[2]) < 3 else 0.0
        if found not in told and not any(abs(float(found) - value) <= rounding + 1e-9 for value in given):
            return found
    return None


# --- the answer, too early -----------------------------------------------------------------------------------------

_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_JUDGED = {"yes": ["yes", "true", "correct"], "no": ["no", "false", "wrong", "incorrect", "not true", "not correct"]}
_ANSWER_IS = re.compile(
    r"(?<!\bif the )(?<!\bif this )(?<!\bwhether the )(?<!\bwhether this )"
    r"\b(?:answer|statement|claim)\s*(?:is|:|must be|will be|would be)\s*([\"'“(]*(?:an?\s|the\s)?)"
)
_LETTER_IS = re.compile(
    r"(?:\b[Aa]nswer(?: is|:)|\b[Ii]t(?: is|['’]s)|\bmust be|\b[Oo]ption|\b[Cc]hoice)\s+[\"'“(]*([A-Z])\b(?!\s+\w)"
)
_BEGINS_WITH = re.compile(r"\W*(yes|no)\s*[,.;:!–—]")
_QUOTED = re.compile(r'"([^"]+)"')
_ONE = re.compile(r"\b(?:only|just|exactly) one\b|\bone (\w{3,})")
_CONTRAST = re.compile(r"\b(?:not|rather|instead|but|than)\b|n['’]t\b")
_BEFORE, _AFTER, _WORD_GOES_ON = re.compile(r"(?<![\w.])"), re.compile(r"(?!\w|\.\d)"), re.compile(r"\w")
_ARTICLE = re.compile(r"^(?:an?|the)\s+")


def gives_away(text: str, stage: Stage, sample: Sample) -> bool:
    """Whether a text before the last says the answer.

    In any part: "the answer is ..." with the answer, "it must be B". Where the evidence is not in view yet (the whole
    photo, parts that do not help): the answer's words at all, except where they only repeat the question, or list all
    that may be the answer ("left or right", but not "left, not right"); and a yes or no before all else in the photo.
    """
    said, names = text.casefold(), _answer_names(sample)
    letter = _letter(sample)
    if any(found[1] == letter for found in _LETTER_IS.finditer(text)) or any(
        _begins(said, name, range(found.start(1), found.end() + 1))
        for found in _ANSWER_IS.finditer(said)
        for name in names
    ):
        return True
    if stage.role not in ("whole", "distractor"):
        return False
    if stage.role == "whole" and (first := _BEGINS_WITH.match(said)) and first[1] == names[0]:
        return True
    question, others = sample.question.casefold(), _other_answers(sample)
    for told in (question.strip(), *_QUOTED.findall(question)):  # "the left dog" tells nothing about where it is
        said = said.replace(told, "")
    if "one" in names and any(found[1] is None or _counted(found[1], question) for found in _ONE.finditer(said)):
        return True
    offered = bool(others) and all(_find(question, other) >= 0 for other in others)
    return any(
        _find(said, name) >= 0
        and (offered or _find(question, name) < 0)
        and not (others and _only_listed(said, [name, *others]))
        for name in names
        if not _too_common(name)
    )


def _letter(sample: Sample) -> str:
    """The answer's letter where it is an option, else nothing."""
    letter = _plain(sample.answer).strip("()").upper()
    return letter if len(letter) == 1 and 0 <= ord(letter) - 65 < len(sample.choices) else ""


def _answer_names(sample: Sample) -> list[str]:
    """What the answer may be called: its words without article, a number also in letters, an option by its text."""
    answer, letter = _plain(sample.answer), _letter(sample).casefold()
    if letter:
        return [_plain(sample.choices[ord(letter) - 97]), f"({letter})", f"option {letter}"]
    if answer.isdecimal():
        return [answer, *_NUMBERS.split()[int(answer) : int(answer) + 1]]
    return _JUDGED.get(answer, [answer])


def _other_answers(sample: Sample) -> list[str]:
    """What else the answer might be: the other options, or what the question names beside it before and after "or"."""
    if sample.choices:
        return [_plain(choice) for n, choice in enumerate(sample.choices) if chr(65 + n) != _letter(sample)]
    answer = _WORDS.findall(_plain(sample.answer))
    for before, after in pairwise(re.split(r"\bor\b", sample.question.casefold())):
        *listed, last = re.split(r"[;:.?!]", before)[-1].rstrip(", ").split(",")
        # What stands before the list has words of its own: "Which is nearer, the cube or the ball?"
        names = takewhile(lambda part: _content(part) == _WORDS.findall(_plain(part)), reversed(listed))
        offered = [*(word for part in (*names, last) for word in _content(part)[-1:]), *_content(after)[:1]]
        if set(answer) & set(offered):
            return [word for word in offered if word not in answer]
    return []


def _content(text: str) -> list[str]:
    return [word for word in _WORDS.findall(text) if word not in _SMALL_WORDS]


def _counted(word: str, question: str) -> bool:
    """Whether this word after "one" is what the question is about, and not a small one as in "one of"."""
    return word in question and word not in _SMALL_WORDS


def _only_listed(text: str, options: Sequence[str]) -> bool:
    """Whether a text names all options, and sets none of them against the others."""
    places = [_find(text, option) for option in options]
    return min(places) >= 0 and not _CONTRAST.search(text, min(places), max(places))


def _plain(text: str) -> str:
    return _ARTICLE.sub("", text.casefold().strip().rstrip("."))


def _too_common(name: str) -> bool:
    """Words that a text may hold without meaning the answer."""
    return name in ("", "one", "a", "i") or name in _JUDGED["yes"] or name in _JUDGED["no"]


# Names are found as they are: a regular expression for each would have to be compiled first, which takes far longer.


def _begins(text: str, name: str, places: Iterable[int]) -> bool:
    """Whether the words of `name`, whole, begin at one of these places."""
    return any(text.startswith(name, at) and not _WORD_GOES_ON.match(text, at + len(name)) for at in places)


def _find(text: str, name: str) -> int:
    """Where `name` stands in the text as whole words; -1: nowhere."""
    at = text.find(name) if name else -1
    while at >= 0 and not (_BEFORE.match(text, at) and _AFTER.match(text, at + len(name))):
        at = text.find(name, at + 1)
    return at


# --- language ------------------------------------------------------------------------------------------------------

_WORDS = re.compile(r"[^\W\d_]+")
_SMALL = (
    "a an the this that these it its i my me we there here and or but so not no of to in on at by for from with as is "
    "are was be has have do does can may must which what where who how when if then than now one part look see"
)
_SMALL_WORDS = frozenset(_SMALL.split())
"""Short words of which English prose has about two in five, and other languages few."""
FEW_WORDS = 20
LEAST_COMMON = 0.15


def not_english(text: str) -> str | None:
    """Why a text is not English, as far as that is easily seen: letters of another script, or 20 words and more of
    which hardly any is one of the small words of English. Shorter texts in Latin letters pass."""
    letters = [letter for letter in text if letter.isalpha()]
    foreign = [letter for letter in letters if not unicodedata.name(letter, "").startswith("LATIN")]
    if len(foreign) > 0.1 * len(letters):
        return f"{len(foreign)} of {len(letters)} letters are of another script"
    words = _WORDS.findall(text.casefold())
    if len(words) >= FEW_WORDS and sum(word in _SMALL_WORDS for word in words) < LEAST_COMMON * len(words):
        return "hardly any common English word in them"
    return None
