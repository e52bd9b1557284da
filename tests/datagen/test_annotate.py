"""Words: templates are the same for the same seed; a teacher's reply is used only if it passes every check."""

import json
import re

import numpy as np
import pytest

from sifthinker.datagen.annotate import Job, TemplateAnnotator, open_annotator
from sifthinker.datagen.expand import expand
from sifthinker.datagen.outcome import Reject
from sifthinker.datagen.screen import gold_earns_all
from sifthinker.datagen.teacher import BadReply, frames, messages, open_teacher, read_reply
from sifthinker.depth import DepthMap
from sifthinker.draw import GREEN
from sifthinker.errors import EndpointError, InputError
from sifthinker.geometry import Box
from sifthinker.sample import Sample
from sifthinker.trace import format_trace
from tests.openai_server import Failure, images_of, serve, text_of, unused_url

from .photos import photo


@pytest.fixture
def make_job(tmp_path):
    def make(number=0, depth=True, **changes):
        path = photo(tmp_path / f"{number}.png", (120, 90), seed=number)
        values = {
            "id": f"j{number}",
            "image": path,
            "question": "Which animal is this?",
            "answer": "a dog",
            "depth": DepthMap(np.linspace(1, 4, 10800).reshape(90, 120), metric=True) if depth else None,
            "boxes": (Box(0.2, 0.2, 0.4, 0.5),),
        } | changes
        sample = Sample(**values)
        return Job(sample, tuple(expand(sample.boxes, sample.depth_map(), np.random.default_rng(number))))

    return make


TWO = (Box(0.2, 0.2, 0.4, 0.5), Box(0.6, 0.2, 0.8, 0.5))


@pytest.mark.parametrize("depth", [True, False])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"meta": {"labels": ["dog"]}},
        {"boxes": TWO},
        {"boxes": TWO, "meta": {"labels": ["dog", "dog"]}},
        {"boxes": TWO, "meta": {"labels": ["dog", "cat"]}},
        {"boxes": TWO, "meta": {"labels": ["one label for two boxes"]}},
        {"choices": ("a dog", "a cat"), "answer": "A"},
        {"question": "Name {it} and 100%"},
    ],
)
def test_templates_give_gold_traces(make_job, depth, changes):
    texts = set()
    for number in range(12):
        job = make_job(number, depth, **changes)
        (words,) = TemplateAnnotator(3).annotate([job])
        assert [words] == TemplateAnnotator(3).annotate([job])
        trace = job.trace(words)
        assert format_trace(trace)
        assert gold_earns_all(job.sample, trace) is None
        assert job.sample.answer in words[-1]
        assert not any("None" in w or "nan" in w for w in words)
        texts.update(words)
    assert len(texts) > 5
    assert (
        TemplateAnnotator(3).annotate([make_job(1)]) != TemplateAnnotator(4).annotate([make_job(1)]) or len(texts) > 5
    )


def test_early_words_do_not_tell_a_count(make_job):
    for number in range(20):
        job = make_job(
            number, boxes=TWO, question="How many dogs?", answer="2", meta={"labels": ["dog", "dog"]}, depth=False
        )
        (words,) = TemplateAnnotator(0).annotate([job])
        assert not any(re.search(r"\b(2|two)\b", text) for text in words[:-1])


# --- the teacher ---------------------------------------------------------------------------------------------------


def good(job, answer="A dog."):
    return json.dumps({"texts": [f"Thought {i}." for i in range(len(job.stages))], "answer": answer})


def test_good_fenced_and_thoughtful_replies_are_taken(make_job):
    job = make_job()
    expected = tuple(f"Thought {i}." for i in range(len(job.stages)))
    trace = format_trace(job.trace(expected))
    fence = "```json\n{}\n```"
    for reply in (
        good(job), fence.format(good(job)), f"Here it is:\n{fence.format(good(job))}\nDone.", f"Sure! {good(job)} Bye.",
        f"<think>hm {{not it}}</think>{good(job)}", trace, f"```\n{trace}\n```",
    ):  # fmt: skip
        assert read_reply(reply, job) == expected, reply


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda job: "I cannot do that.", "no JSON in the reply"),
        (lambda job: good(job)[:-5], "not JSON"),
        (lambda job: "[1, 2]", 'expected a JSON object with "texts" and "answer"'),
        (lambda job: '{"texts": ["a"], "answer": "a dog"}', "1 texts for"),
        (lambda job: good(job).replace("Thought 0.", " "), "text 1 is empty"),
        (lambda job: good(job).replace('"Thought 0."', "5"), "text 1 is empty or not a string"),
        (lambda job: good(job).replace("Thought 0.", "x" * 700), "text 1 has 700 characters, more than 600"),
        (lambda job: good(job).replace("Thought 1.", "<answer>a dog</answer>"), "text 2 holds a tag"),
        (lambda job: good(job, "a cat"), "the answer 'a cat' is not the right answer 'a dog'"),
        (lambda job: good(job).replace('"answer"', '"reply"'), "the answer is missing"),
        (
            lambda job: format_trace(job.trace(["t"] * len(job.stages))).replace("0.200,0.200", "0.210,0.200"),
            "other boxes",
        ),
        (lambda job: format_trace(job.trace(["t"] * len(job.stages))).replace("</think>", ""), "the trace has faults"),
    ],
)
def test_replies_that_fail_a_check(make_job, spoil, reason):
    job = make_job()
    with pytest.raises(BadReply) as caught:
        read_reply(spoil(job), job)
    assert reason in str(caught.value)


def test_the_teacher_sees_each_area_in_green_and_its_depth(make_job):
    job = make_job()
    (message,) = [m for m in messages(job) if m["role"] == "user"]
    text = "".join(b.get("text", "") for b in message["content"])
    for stage in job.stages:
        assert f"{stage.area.depths[0]:.3f}" in text
    assert "a dog" in text
    pictures = frames(job, 512 * 512, 28)
    assert len(pictures) == len(job.stages) == sum(b["type"] == "image" for b in message["content"])
    drawn = np.asarray(pictures[-1])
    lines = (drawn == GREEN).all(axis=2) & (np.asarray(job.sample.photo().resize(pictures[-1].size)) != drawn).any(
        axis=2
    )
    rows, columns = np.nonzero(lines)
    height, width = lines.shape
    assert columns.min() / width == pytest.approx(0.2, abs=0.03)
    assert rows.max() / height == pytest.approx(0.5, abs=0.03)


def test_a_server_that_gets_better(make_job, tmp_path):
    """Job 0: good at once; 1: broken, then fenced; 2: never right; 3: always an HTTP error."""
    jobs = [make_job(n) for n in range(4)]
    asked = dict.fromkeys(range(4), 0)

    def handler(body):
        number = next(n for n in range(4) if f"animal {n}" in text_of(body))
        asked[number] += 1
        if number == 3:
            return Failure(400, "too long")
        if number == 2:
            return good(jobs[2], "a cat")
        if number == 1 and asked[1] == 1:
            return "no"
        return f"```json\n{good(jobs[number])}\n```" if number else good(jobs[0])

    jobs = [make_job(n, question=f"Which animal {n} is this?") for n in range(4)]
    with serve(handler) as server:
        teacher = open_teacher(f"test-model@{server.url}", 0, tmp_path / "journal")
        results = teacher.annotate(jobs)
        assert len(images_of(server.requests[0])) in (2, 3, 4)
        retried = [text_of(b) for b in server.requests if "could not be used" in text_of(b)]
        assert any("no JSON in the reply" in text for text in retried)
        count = len(server.requests)
        again = open_teacher(f"test-model@{server.url}", 0, tmp_path / "journal").annotate(jobs[:2])
        assert len(server.requests) == count  # Bought words are not bought again.
    assert results[0] == again[0] == tuple(f"Thought {i}." for i in range(len(jobs[0].stages)))
    assert results[1] == again[1]
    assert isinstance(results[2], Reject)
    assert (results[2].reason, results[2].id) == ("annotator_invalid", "j2")
    assert "is not the right answer" in results[2].detail
    assert (results[3].reason, asked[3]) == ("annotator_failed", 3)
    assert "HTTP 400: too long" in results[3].detail
    assert asked == {0: 1, 1: 2, 2: 3, 3: 3}


def test_endpoints_that_are_down_or_refuse_everything(make_job, tmp_path):
    with pytest.raises(EndpointError, match=r"cannot reach http://127\.0\.0\.1"):
        open_annotator(f"m@{unused_url()}", 0, tmp_path / "journal")
    with serve(lambda body: Failure(404, "no such model")) as server:
        teacher = open_teacher(f"wrong@{server.url}", 0, tmp_path / "journal")
        with pytest.raises(EndpointError, match="every request failed; the first: HTTP 404: no such model"):
            teacher.annotate([make_job()])
    with pytest.raises(InputError, match="annotator 'templates': expected template, or MODEL@URL"):
        open_annotator("templates", 0, tmp_path / "journal")
