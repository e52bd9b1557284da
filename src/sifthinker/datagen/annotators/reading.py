"""A teacher's reply, checked against what was given: areas, depths, answer; and for length, early answers (`early`) and
language (`language`)."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

from ...grading import grade_answer
from ...sample import Sample
from ...trace import TAG, parse_trace
from .early import gives_away
from .job import Job
from .language import not_english

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
