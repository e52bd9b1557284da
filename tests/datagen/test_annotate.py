"""Words from templates and from several annotators: the same for the same seed."""

import json
import re

import pytest

from sifthinker.datagen.annotators import TemplateAnnotator, open_annotator
from sifthinker.datagen.screen import gold_earns_all
from sifthinker.errors import InputError
from sifthinker.geometry import Box
from sifthinker.trace import format_trace
from tests.openai_server import serve

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
        words = TemplateAnnotator(3).words(job).texts
        assert words == TemplateAnnotator(3).words(job).texts
        trace = job.trace(words)
        assert format_trace(trace)
        assert gold_earns_all(job.sample, trace) is None
        assert job.sample.answer in words[-1]
        assert not any("None" in w or "nan" in w for w in words)
        assert not any(re.search(r", at depth [\d.]+ (does|answers)", w) for w in words), "half of a pair of commas"
        texts.update(words)
    assert len(texts) > 5
    assert TemplateAnnotator(3).words(make_job(1)) != TemplateAnnotator(4).words(make_job(1)) or len(texts) > 5


def test_early_words_do_not_tell_a_count(make_job):
    for number in range(20):
        job = make_job(
            number, boxes=TWO, question="How many dogs?", answer="2", meta={"labels": ["dog", "dog"]}, depth=False
        )
        words = TemplateAnnotator(0).words(job).texts
        assert not any(re.search(r"\b(2|two)\b", text) for text in words[:-1])


@pytest.mark.parametrize(("question", "told"), [("What is at the box?", False), ("Is the potted plant green?", True)])
def test_early_words_do_not_tell_an_answer_that_is_a_label(make_job, question, told):
    answer = "green" if told else "potted plant"
    early = set()
    for number in range(12):
        job = make_job(number, question=question, answer=answer, meta={"labels": ["potted plant"]})
        early.update(TemplateAnnotator(0).words(job).texts[:-1])
    assert any("look for the potted plant" in text for text in early) == told


# --- several annotators --------------------------------------------------------------------------------------------


def test_a_mixture_is_drawn_by_the_id_of_the_sample(tmp_path, make_job):
    def answer(body):
        count = sum(b["type"] == "image_url" for b in body["messages"][1]["content"])
        return json.dumps({"texts": ["I look."] * count, "answer": "a dog"})

    jobs = [make_job(n) for n in range(40)]
    with serve(answer) as server:
        name = f"m@{server.url}"
        mixture = open_annotator(f"template:0.75,{name}:0.25", 0, tmp_path)
        by = [words.by for _, words in mixture.annotate(jobs)]
        backwards = [words.by for _, words in mixture.annotate(reversed(jobs))]
        assert by == backwards[::-1]
        assert by == [w.by for _, w in open_annotator({"template": 0.75, name: 0.25}, 0, tmp_path).annotate(jobs)]
        assert by != [w.by for _, w in open_annotator({"template": 0.75, name: 0.25}, 1, tmp_path).annotate(jobs)]
        assert set(by) == {"template-4", "m"}
        assert 4 <= by.count("m") <= 16
        assert mixture.name == "template-4:0.75,m:0.25"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("template:0.5,template:0.5", "expected NAME:SHARE"),
        ("template:0.5,batch:m:0.6", "shares that add up to 1"),
        ("template,batch:m", "expected NAME:SHARE"),
        ("template:1.5,batch:m:-0.5", "shares that add up to 1"),
        ("batch:a:0.5,batch:b:0.5", "expected one batch:MODEL at most"),
        ("templates:0.5,template:0.5", "annotator 'templates': expected template, MODEL@URL"),
        ("templates", "annotator 'templates': expected template, MODEL@URL"),
        ("batch:", "expected template"),
    ],
)
def test_names_that_are_none(tmp_path, name, said):
    with pytest.raises(InputError, match=said):
        open_annotator(name, 0, tmp_path)
