"""A teacher model writes the words: it is shown every area in green on the photo, with the depths and the gold answer.

It replies with a list of texts, one an area, and with its answer. A reply that is a whole trace is taken too if its
boxes are the given ones. What fails the checks is asked for again with the fault named, `TRIES` times in all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ..draw import draw_boxes
from ..engines import Engine, Reply, Request, open_engine
from ..errors import EndpointError, InputError
from ..grading import grade_answer
from ..prompt import Message, budget_size
from ..records import JsonlWriter, read_jsonl
from ..sample import Sample
from ..trace import format_area, parse_trace
from .annotate import Job
from .expand import Stage
from .outcome import Reject
from .seeds import row_rng

TRIES = 3
BATCH = 32
MAX_TOKENS = 1200
TEMPERATURE = 0.7
MAX_TEXT = 600
"""Characters of one text at most; a trace is a chain of short looks, not an essay."""

SYSTEM = (
    "You write training data. You will see one photo several times, each time with a part of it marked by green boxes: "
    "the parts that a person would look at, one after the other, to answer a question. For every part write what that "
    "person thinks while looking at it: what it shows, and why to look at the next part. Think forward: do not give "
    "the answer away before the last part, and do not mention boxes, colors of boxes, numbers of parts or these "
    "instructions. Parts that do not help are looked at too: say that they do not help, and look elsewhere."
)
FORM = (
    'Reply with JSON only: {{"texts": [{count} strings, one a part, of one or two sentences], "answer": the answer}}. '
    "The right answer is: {answer}"
)

_FENCE = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)
_TAG = re.compile(r"</?(?:think|area|text|answer)>")


class BadReply(ValueError):
    """Why a teacher's reply cannot be used."""


def open_teacher(name: str, seed: int, journal: Path) -> Teacher:
    """A teacher behind `MODEL@URL`. Raises `InputError` for other names, `EndpointError` for a server that is down."""
    if not re.fullmatch(r".+@https?://\S+", name):
        raise InputError(f"annotator {name!r}: expected template, or MODEL@URL of an OpenAI-compatible server")
    return Teacher(open_engine(f"server:{name}"), name, seed, journal)


class Teacher:
    """Buys words from an engine; whatever was bought is written to a journal and not bought again after a crash."""

    batch = BATCH

    def __init__(self, engine: Engine, name: str, seed: int, journal: Path) -> None:
        self.engine, self.name, self.seed, self.journal = engine, name, seed, journal
        self._ever_answered = False
        self._done: dict[str, tuple[str, ...]] | None = None

    def annotate(self, jobs: Sequence[Job]) -> list[tuple[str, ...] | Reject]:
        """Texts for every job. Raises `EndpointError` when the server is gone; what was bought is kept."""
        if self._done is None:
            self._done = _bought(self.journal)
        results: dict[int, tuple[str, ...] | Reject] = {}
        for number, job in enumerate(jobs):
            if texts := self._done.get(_digest(job)):
                results[number] = texts
        faults: dict[int, str] = {n: "" for n in range(len(jobs)) if n not in results}
        for attempt in range(TRIES):
            if not faults:
                break
            faults = self._attempt(jobs, faults, attempt, results)
        return [results[n] for n in range(len(jobs))]

    def _attempt(
        self, jobs: Sequence[Job], faults: dict[int, str], attempt: int, results: dict[int, tuple[str, ...] | Reject]
    ) -> dict[int, str]:
        """Ask once for every job in `faults`; fills `results` and returns what is still wrong."""
        numbers = list(faults)
        replies = self.engine.generate([self._request(jobs[n], faults[n], attempt) for n in numbers])
        if all(reply.text is None for reply in replies):
            self._all_failed(replies)
        self._ever_answered |= any(reply.text is not None for reply in replies)
        left: dict[int, str] = {}
        with JsonlWriter(self.journal) as journal:
            for number, reply in zip(numbers, replies, strict=True):
                job = jobs[number]
                if reply.text is None:
                    left[number] = ""
                    results[number] = Reject(job.sample.id, "annotator_failed", f"{TRIES} tries: {reply.error}")
                    continue
                try:
                    if reply.finish_reason == "length":
                        raise BadReply(f"the reply was cut off after {MAX_TOKENS} tokens")
                    texts = read_reply(reply.text, job)
                except BadReply as error:
                    left[number] = str(error)
                    results[number] = Reject(job.sample.id, "annotator_invalid", f"{TRIES} tries: {error}")
                else:
                    results[number] = texts
                    journal.write({"job": _digest(job), "texts": texts})
        return left

    def _all_failed(self, replies: Sequence[Reply]) -> None:
        """Tell a server that is gone, or never answers, from rows that it cannot answer."""
        if self.name.rpartition("@")[2].startswith("http"):
            open_engine(f"server:{self.name}")
        if not self._ever_answered:
            raise EndpointError(f"{self.name}: every request failed; the first: {replies[0].error}")

    def _request(self, job: Job, fault: str, attempt: int) -> Request:
        seed = int(row_rng(self.seed, f"teacher {attempt} {job.sample.id}").integers(2**31))
        pictures = frames(job, self.engine.max_pixels, self.engine.grid)
        return Request(job.sample.id, messages(job, fault), pictures, MAX_TOKENS, TEMPERATURE, seed)


def frames(job: Job, max_pixels: int, grid: int) -> tuple[Image.Image, ...]:
    """The photo once a stage, with the stage's boxes in green."""
    photo = job.sample.photo()
    size = budget_size(photo.size, max_pixels, grid)
    photo = photo.resize(size, Image.Resampling.BICUBIC)
    return tuple(draw_boxes(photo, stage.area.boxes, min_side=0) for stage in job.stages)


def messages(job: Job, fault: str = "") -> list[Message]:
    """The chat for a job. fault: what was wrong with the reply before."""
    sample = job.sample
    question = sample.question
    if sample.choices:
        question += " " + " ".join(f"({chr(65 + i)}) {choice}" for i, choice in enumerate(sample.choices))
    content: list[dict[str, Any]] = [{"type": "text", "text": f"Question: {question}\n"}]
    for number, stage in enumerate(job.stages, 1):
        content += [{"type": "text", "text": f"Part {number} ({_about(stage)}): "}, {"type": "image"}]
    form = FORM.format(count=len(job.stages), answer=sample.answer)
    if fault:
        form += f"\nYour last reply could not be used: {fault}."
    content.append({"type": "text", "text": f"\n{form}"})
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]


ROLES = {
    "whole": "the whole photo",
    "distractor": "does not help",
    "context": "around the evidence",
    "gold": "the evidence",
}


def _about(stage: Stage) -> str:
    depths = [f"{d:.3f}" for d in stage.area.depths if d is not None]
    distance = f"; relative depth, 0 near to 1 far: {', '.join(depths)}" if depths else ""
    return f"{ROLES[stage.role]}{distance}"


def _bought(journal: Path) -> dict[str, tuple[str, ...]]:
    """What an interrupted build has bought; a line that was torn by a crash is dropped."""
    if not journal.exists():
        return {}
    with JsonlWriter(journal):
        pass
    return {entry["job"]: tuple(entry["texts"]) for _, entry in read_jsonl(journal)}


def _digest(job: Job) -> str:
    """Names what is bought: sample, question, areas, answer and the wording of the request."""
    parts = [job.sample.id, job.sample.answer, SYSTEM, json.dumps(messages(job))]
    parts += [format_area(stage.area) for stage in job.stages]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


# --- reading replies -----------------------------------------------------------------------------------------------


def read_reply(reply: str, job: Job) -> tuple[str, ...]:
    """The texts in a teacher's reply, checked against the given areas and the gold answer.

    Repaired: code fences, words around the JSON, thoughts before it. Raises `BadReply` for everything else that is
    wrong: no JSON, another number of texts, empty or overlong texts, tags in them, other boxes, another answer.
    """
    texts, answer = _from_trace(reply, job) if "<area>" in reply else _from_json(reply)
    if len(texts) != len(job.stages):
        raise BadReply(f"{len(texts)} texts for {len(job.stages)} parts")
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str) or not text.strip():
            raise BadReply(f"text {number} is empty or not a string")
        if len(text) > MAX_TEXT:
            raise BadReply(f"text {number} has {len(text)} characters, more than {MAX_TEXT}")
        if _TAG.search(text) or "```" in text:
            raise BadReply(f"text {number} holds a tag or a code fence")
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
