"""A teacher's reply is used only if it passes every check."""

import json
import re

import pytest

from sifthinker.datagen.annotators.reading import BadReply, gives_away, not_english, read_reply, unknown_number
from sifthinker.datagen.expand import Stage
from sifthinker.geometry import Box
from sifthinker.sample import Sample
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
        (
            lambda job: re.sub(
                '"depth":[0-9.]+', '"depth":0.999', format_trace(job.trace(["t"] * len(job.stages))), count=1
            ),
            "other boxes or depths",
        ),
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


WHOLE, CONTEXT, DISTRACTOR = (
    Stage(role, Area((Box(0, 0, 1, 1),), (None,))) for role in ("whole", "context", "distractor")
)


@pytest.mark.parametrize(
    ("text", "question", "answer", "choices", "early"),
    [
        ("There is a dog in the grass.", "Which animal?", "A dog.", (), True),
        ("There are dogs.", "Which animal?", "dog", (), False),  # words, not parts of words
        ("The dog must be somewhere.", "What does the dog eat?", "dog food", (), False),
        ("I look for the red dog.", "Is the dog red or blue?", "red", (), True),  # one of two that the question names
        ("I look whether it is red or blue.", "Is the dog red or blue?", "red", (), False),
        ("I can see that the dog is red.", "Is the dog red or blue?", "red", (), True),
        (
            "I am asked: Was it lower or higher than that, or level?",
            "Was it lower or higher than that, or level?",
            "A",
            ("lower", "higher", "level"),
            False,
        ),
        ("It is blue.", "Is the dog red or blue?", "red", (), False),
        ("I look for the red cube.", "How far is the red cube from the ball?", "red", (), False),
        ("I look for the red cube.", "Is the red cube to the left or to the right?", "left", (), False),
        ("I look for the red cube and the ball.", "Which is nearer, the red cube or the ball?", "red cube", (), False),
        ("I look for the red cube and the ball.", "Which is nearer, the red cube or the ball?", "the ball", (), False),
        ("The ball is surely nearer.", "Which is nearer, the red cube or the ball?", "the ball", (), True),
        (
            "The dog is to the left of the cat, clearly.",
            "Is the dog to the left or to the right of the cat?",
            "left",
            (),
            True,
        ),
        (
            "I look for the right side glass.",
            'In which third is "right side glass": left, middle or right?',
            "right",
            (),
            False,
        ),
        (
            "The right side glass is right.",
            'In which third is "right side glass": left, middle or right?',
            "right",
            (),
            True,
        ),
        ("It sits in the middle third.", "Which third? left, middle or right?", "middle", (), True),
        ("Is it left, middle, or right?", "Which third? left, middle, or right?", "left", (), False),
        ("The bench could stand left or right.", "On the photo, is the bench left or right?", "right", (), False),
        ("I count two of them.", "How many?", "2", (), True),
        ("I count 2.5 or 12 of them.", "How many?", "2", (), False),
        ("One of them is near.", "How many?", "1", (), False),
        ("I see one dog and no other.", "How many dogs?", "1", (), True),
        ("There is only one.", "How many dogs?", "1", (), True),
        ("One after the other, I look at the dogs.", "How many dogs?", "1", (), False),
        ("I count thirteen cats.", "How many cats?", "13", (), True),
        ("No, nothing here.", "Is there a dog?", "no", (), True),
        ("No dog comes into view at once.", "Is there a dog?", "no", (), False),
        (
            "Yes, the cat is on the mat, so the statement is true.",
            'Is this true? "The cat is on the mat"',
            "yes",
            (),
            True,
        ),
        ("Here the statement is true.", 'Is this true? "The cat is on the mat"', "yes", (), True),
        ("I look whether the statement is true.", 'Is this true? "The cat is on the mat"', "no", (), False),
        ("I look whether the statement is true.", 'Is this true? "The cat is on the mat"', "yes", (), False),
        ("Nothing wrong here, true to life.", "Is there a dog?", "yes", (), False),
        ("The answer is no.", "Is there a dog?", "no", (), True),
        ("It is on the left.", "Where is it?", "A", ("left", "right"), True),
        ("It may be left or right.", "Where is it?", "A", ("left", "right"), False),
        ("It is on the left, certainly not on the right.", "Where is it?", "A", ("left", "right"), True),
        ("I do not know yet whether it is left or right.", "Where is it?", "A", ("left", "right"), False),
        ("The answer: A, I am sure.", "Where is it?", "A", ("left", "right"), True),
        ("So (A) it is.", "Where is it?", "A", ("left", "right"), True),
        ("It must be A.", "Where is it?", "A", ("left", "right"), True),
        ("It is A man.", "Where is it?", "A", ("left", "right"), False),
        ("I look for the left chair.", "Where is the left chair?", "A", ("left", "right"), False),
        ("Surely option A.", "Where is it?", "A", ("left", "right"), True),
        ("A man stands there.", "Where is it?", "A", ("left", "right"), False),
    ],
)
def test_answers_that_come_too_early(text, question, answer, choices, early):
    assert gives_away(text, WHOLE, Sample("a", None, question, answer, choices=choices)) == early


def test_what_a_part_around_the_evidence_may_say():
    sample = Sample("a", None, "Which animal?", "a dog")
    assert not gives_away("Something like a dog is here.", CONTEXT, sample)
    assert gives_away("So the answer is a dog.", CONTEXT, sample)
    assert not gives_away("No, nothing here.", DISTRACTOR, Sample("a", None, "Is there a dog?", "no"))


ENGLISH = "This is the whole picture. To answer I look for the girl under the light, who must be on the left."


@pytest.mark.parametrize(
    ("text", "english"),
    [
        (ENGLISH, True),
        ("Naïve café, 7 m.", True),
        ("", True),
        ("这是整张图片。", False),
        ("Das ganze Bild zeigt eine Straße mit vielen Autos; gefragt wird nach dem Mädchen unter der Ampel, also suche "
         "ich zuerst die Ampel und danach das Mädchen.", False),
        ("Toda la imagen muestra una calle con muchos coches; busco primero el semáforo y después a la niña que está "
         "justo debajo de él.", False),
        ("L'image entière montre une rue avec des voitures; je cherche d'abord le feu, puis la fille qui se trouve "
         "juste en dessous de celui-ci.", False),
        ("Eine Straße mit Autos.", True),  # too short to tell
    ],
)  # fmt: skip
def test_language(text, english):
    assert (not_english(text) is None) == english
