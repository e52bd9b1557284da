"""A teacher's reply is used only if it passes every check."""

import json
import re

import pytest

from sifthinker.datagen.annotators.reading import BadReply, read_reply, unknown_number
from sifthinker.datagen.expand import Stage
from sifthinker.geometry import Box
from sifthinker.trace import Area, format_trace


def good(job, answer="A dog."):
    return json.dumps({"texts": [f"Thought {i}." for i in range(len(job.stages))], "answer": answer})


def plain_trace(job):
    return format_trace(job.trace(["t"] * len(job.stages)))


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
        (lambda job: good(job).replace("Thought 0.", r"So \ud83d."), "text 1 holds half a character"),
        (lambda job: good(job).replace("Thought 0.", "So \ufffd."), "text 1 holds half a character"),
        (lambda job: good(job, "a cat"), "the answer 'a cat' is not the right answer 'a dog'"),
        (lambda job: good(job).replace('"answer"', '"reply"'), "the answer is missing"),
        (lambda job: plain_trace(job).replace("0.200,0.200", "0.210,0.200"), "other boxes"),
        (lambda job: plain_trace(job).replace("</think>", ""), "the trace has faults"),
        (lambda job: re.sub('"depth":[0-9.]+', '"depth":0.999', plain_trace(job), count=1), "other boxes or depths"),
        (lambda job: good(job).replace("Thought 0.", "I see a dog."), "text 1 gives the answer away"),
        (lambda job: good(job).replace("Thought 0.", "It is at depth 0.123."), "text 1 says 0.123, which is no depth"),
        (lambda job: good(job).replace("Thought 0.", "Вот что я вижу."), "not English: 11 of"),
    ],
)
def test_replies_that_fail_a_check(make_job, spoil, reason):
    job = make_job()
    with pytest.raises(BadReply) as caught:
        read_reply(spoil(job), job)
    assert reason in str(caught.value)


def test_other_languages_are_taken_where_they_are_asked_for(make_job):
    job = make_job()
    reply = good(job).replace("Thought 0.", "Вот что я вижу.")
    assert read_reply(reply, job, "Russian")[0] == "Вот что я вижу."


@pytest.mark.parametrize(
    ("text", "number", "wrong"),
    [
        ("It lies at depth 0.271.", 2, None),
        ("It lies at depth 0.271.", 1, "0.271"),  # not seen yet
        ("At about 0.27 it is near.", 2, None),
        ("At about 0.28.", 2, "0.28"),
        ("Farther by 0.241 than that.", 2, None),  # 0.512 - 0.271
        ("From 0.236 to 0.308.", 2, None),
        ("It is 0.90 m long, or 0.95%, version 1.10.2, 12.345 of them, or half: 0.5.", 2, None),
        ("The question says 0.77.", 1, None),
        ("Depth 0.2711.", 2, "0.2711"),
    ],
)
def test_numbers_that_were_not_given(make_job, text, number, wrong):
    job = make_job(question="Is it nearer than 0.77?")
    stages = (
        Stage("whole", Area((Box(0, 0, 1, 1),), (0.512,))),
        Stage("gold", Area((Box(0.236, 0.244, 0.308, 0.512),), (0.27149,))),
    )
    job = type(job)(job.sample, stages)
    assert unknown_number(text, job, number) == wrong
