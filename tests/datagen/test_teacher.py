"""A teacher behind a server that fails in every way: each sample is accounted for, and nothing is paid for twice."""

import json
import os
import random
import re
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from sifthinker import cli
from sifthinker.datagen.annotators import Job, Words, open_annotator, teacher
from sifthinker.datagen.annotators.asking import Asking
from sifthinker.datagen.annotators.chat import SYSTEM, frames, messages
from sifthinker.datagen.annotators.replies import Replies
from sifthinker.datagen.build import build
from sifthinker.datagen.outcome import Reject
from sifthinker.draw import GREEN
from sifthinker.errors import EndpointError, InputError, Paused, SifError
from sifthinker.records import read_manifest
from tests.openai_server import Failure, Garbage, Late, completion, images_of, serve, text_of, unused_url

from .photos import own_rows

FAST = Asking(concurrency=8, retries=3, pause_s=0.01, timeout_s=2.0)


def reply_to(body, answer=None):
    """A reply that passes all checks."""
    last = body["messages"][1]["content"][-1]["text"]
    count = int(last.partition("Number of parts: ")[2].partition(".")[0])
    right = last.partition("The right answer is: ")[2]
    return json.dumps({"texts": [f"I look at part {i}." for i in range(count)], "answer": answer or right})


def ask(name, jobs, folder, asking=FAST, seed=0):
    return [words for _, words in open_annotator(name, seed, folder, asking).annotate(jobs)]


def test_the_teacher_sees_each_area_in_green_and_its_depth(make_job):
    job = make_job()
    (message,) = [m for m in messages(job) if m["role"] == "user"]
    text = "".join(b.get("text", "") for b in message["content"])
    for stage in job.stages:
        assert f"{stage.area.depths[0]:.3f}" in text
    assert "a dog" in text
    pictures = frames(job, 512 * 512)
    assert len(pictures) == len(job.stages) == sum(b["type"] == "image" for b in message["content"])
    drawn = np.asarray(pictures[-1])
    # A photo that is small enough is shown as it is.
    lines = (drawn == GREEN).all(axis=2) & (np.asarray(job.sample.photo()) != drawn).any(axis=2)
    rows, columns = np.nonzero(lines)
    height, width = lines.shape
    assert columns.min() / width == pytest.approx(0.2, abs=0.03)
    assert rows.max() / height == pytest.approx(0.5, abs=0.03)
    small = frames(job, 1000)[0]
    assert 900 <= small.width * small.height <= 1000


def test_pictures_drawn_in_other_processes_are_the_same(make_job, tmp_path):
    jobs, sent = [make_job(n) for n in range(6)], []
    for workers in (1, 2):
        with serve(reply_to) as server:
            name, out = f"m@{server.url}", tmp_path / str(workers)
            words = [w for _, w in open_annotator(name, 0, out, Asking(concurrency=1), workers).annotate(jobs)]
        assert all(isinstance(w, Words) for w in words)
        sent.append(sorted(server.requests, key=json.dumps))
    assert sent[0] == sent[1]


def test_the_teachers_of_a_mixture_have_one_pool(make_job, tmp_path, monkeypatch):
    opened = []

    def pool(*settings):
        opened.append(ProcessPoolExecutor(*settings))
        return opened[-1]

    monkeypatch.setattr("sifthinker.executors.ProcessPoolExecutor", pool)
    jobs = [make_job(n) for n in range(8)]
    with serve(reply_to) as server:
        name = f"template:0.2,a@{server.url}:0.4,b@{server.url}:0.4"
        by = {words.by for _, words in open_annotator(name, 0, tmp_path, FAST, 2).annotate(jobs)}
    assert {"a", "b"} <= by
    assert len(opened) == 1


def test_a_drawing_process_that_dies_is_told(make_job, tmp_path, monkeypatch):
    monkeypatch.setattr(teacher, "look", die)
    with serve(reply_to) as server, pytest.raises(SifError, match="a worker process ended; was it killed"):
        list(open_annotator(f"m@{server.url}", 0, tmp_path, FAST, 2).annotate([make_job()]))


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_requests_have_in_common_comes_first(make_job, tmp_path):
    jobs = [make_job(n, question=f"Which animal {n}?") for n in range(2)]
    with serve(reply_to) as server:
        ask(f"m@{server.url}", jobs, tmp_path)
    first, second = server.requests
    assert (
        first["messages"][0]
        == second["messages"][0]
        == {"role": "system", "content": SYSTEM.format(language="English")}
    )
    assert first["response_format"] == second["response_format"]
    assert list(first["response_format"]["json_schema"]["schema"]["properties"]) == ["texts", "answer"]
    assert {image.format for image in images_of(first)} == {"JPEG"}
    assert {len(images_of(request)) for request in server.requests} == {len(job.stages) for job in jobs}


def test_a_faulty_reply_is_shown_again_with_its_fault(make_job, tmp_path):
    """Job 0: good at once; 1: broken, then fenced; 2: never right; 3: refused; 4: cut off, then good."""
    jobs = [make_job(n, question=f"Which animal {n} is this?") for n in range(5)]
    asked = dict.fromkeys(range(5), 0)

    def handler(body):
        number = next(n for n in range(5) if f"animal {n}" in text_of(body))
        asked[number] += 1
        if number == 3:
            return Failure(400, "too long")
        if number == 2:
            return reply_to(body, "a cat")
        if number == 1 and asked[1] == 1:
            return "no"
        if number == 4 and asked[4] == 1:
            return completion(reply_to(body), "length")
        return f"```json\n{reply_to(body)}\n```"

    with serve(handler) as server:
        name = f"test-model@{server.url}"
        results = ask(name, jobs, tmp_path)
        (again,) = [b for b in server.requests if len(b["messages"]) == 4 and "animal 1" in text_of(b)]
        assert again["messages"][2] == {"role": "assistant", "content": "no"}
        assert "could not be used: no JSON in the reply" in again["messages"][3]["content"]
        assert ask(name, [jobs[n] for n in (0, 1, 2, 4)], tmp_path) == [results[n] for n in (0, 1, 2, 4)]
        assert asked == {0: 1, 1: 2, 2: 2, 3: 1, 4: 2}, "nothing is asked twice, and no fault more than twice"
    count = len(jobs[0].stages)
    assert results[0] == Words(tuple(f"I look at part {i}." for i in range(count)), "test-model")
    assert isinstance(results[1], Words)
    assert isinstance(results[4], Words)
    assert (results[2].reason, results[2].id) == ("annotator_invalid", "j2")
    assert "2 replies; the last: the answer 'a cat' is not the right answer" in results[2].detail
    assert results[3] == Reject("j3", "annotator_failed", "HTTP 400: too long")


@pytest.mark.parametrize("half", ["\ud83d", r"\ud83d"], ids=["in the body", "in the JSON of the reply"])
def test_half_a_character_is_a_fault_like_others(tmp_path, half):
    """A build is neither ended by it, nor stuck with it in the kept replies."""
    rows = own_rows(tmp_path, 4)

    def handler(body):
        first = server.count == 2
        return reply_to(body).replace("I look at part 0", f"I look {half} at part 0") if first else reply_to(body)

    with serve(handler) as server:
        manifest = build(f"jsonl:{rows}", tmp_path / "out", annotator=f"m@{server.url}", asking=Asking(concurrency=1))
        assert (manifest["kept"], server.count) == (4, 5), "asked again once"
        assert sum("half a character" in text_of(body) for body in server.requests) == 1
    assert len(Replies(tmp_path / "out" / "replies")) == 5


def test_another_screen_reads_the_same_replies(make_job, tmp_path, monkeypatch):
    jobs = [make_job(n) for n in range(6)]
    with serve(reply_to) as server:
        name = f"m@{server.url}"
        before = ask(name, jobs, tmp_path / "a")
        other = Asking(replies=tmp_path / "a", repairs=0)
        assert ask(name, jobs, tmp_path / "b", other) == before
        monkeypatch.setattr("sifthinker.datagen.annotators.reading.MAX_TEXT", 5)
        stricter = ask(name, jobs, tmp_path / "c", Asking(replies=tmp_path / "a" / "replies", repairs=0))
        assert server.count == len(jobs), "asked once, in the first run"
        assert {words.reason for words in stricter} == {"annotator_invalid"}
        ask(name, jobs, tmp_path / "d", Asking(replies=tmp_path / "a", repairs=0), seed=1)
        assert server.count == 2 * len(jobs), "another seed is another request"
    with pytest.raises(InputError, match="no replies here; expected the folder of a data set, or its replies/"):
        open_annotator(name, 0, tmp_path / "e", Asking(replies=tmp_path / "b"))


def test_endpoints_that_are_down_or_refuse_everything(make_job, tmp_path):
    with pytest.raises(EndpointError, match=r"cannot reach http://127\.0\.0\.1"):
        open_annotator(f"m@{unused_url()}", 0, tmp_path)
    for status, advice in ((404, "check the model's name"), (401, "valid key"), (402, "credit"), (429, "more slowly")):
        with serve([Failure(status, "no")]) as server:
            with pytest.raises(EndpointError, match=f"HTTP {status}: no; .*{advice}.* go on with --resume"):
                ask(f"m@{server.url}", [make_job(n) for n in range(30)], tmp_path, FAST)
            assert server.count <= 14 * (4 if status == 429 else 1), "only those that were under way"
    with serve([Failure(400, "bad field")]) as server, pytest.raises(EndpointError, match="every request failed"):
        ask(f"m@{server.url}", [make_job(n) for n in range(3)], tmp_path)
    with (
        serve([Failure(500, "oops")]) as server,
        pytest.raises(EndpointError, match=r"\d\d requests in a row failed; the last: HTTP 500: oops"),
    ):
        ask(f"m@{server.url}", [make_job(n) for n in range(30)], tmp_path, Asking(retries=0))


def refusing(numbers):
    """Answers with text, with none, or with 400, by the number of the animal in question."""

    def answer(body):
        number = int(re.search(r"animal (\d+)", text_of(body))[1])
        if number not in numbers:
            return reply_to(body)
        return Failure(400, "flagged") if number % 2 else completion(None, "content_filter")

    return answer


def test_many_rows_that_are_refused_do_not_stop_a_server_that_answers(make_job, tmp_path):
    job = make_job()
    jobs = [Job(replace(job.sample, id=f"r{n}", question=f"Which animal {n}?"), job.stages) for n in range(60)]
    with serve(refusing(range(5, 55))) as server:
        results = ask(f"m@{server.url}", jobs, tmp_path, Asking(concurrency=1))
    assert [n for n, words in enumerate(results) if isinstance(words, Words)] == [*range(5), *range(55, 60)]
    assert {words.reason for words in results[5:55]} == {"annotator_failed"}
    # Nor where this run gets nothing but refusals.
    with serve(refusing(range(60))) as server:
        results = ask(f"m@{server.url}", jobs[5:55], tmp_path, Asking(concurrency=1))
        assert {words.reason for words in results} == {"annotator_failed"}
        with pytest.raises(EndpointError, match="20 requests in a row failed"):
            ask(f"other@{server.url}", jobs, tmp_path, Asking(concurrency=1))
        assert server.count <= 50 + 25, "a model that never replied is given up"


def test_a_server_that_goes_away_stops_the_work(make_job, tmp_path):
    jobs = [make_job(n) for n in range(30)]
    gone = threading.Event()
    with serve(lambda body: Failure(0) if gone.is_set() else reply_to(body)) as server:
        results = open_annotator(f"m@{server.url}", 0, tmp_path, Asking(concurrency=1, retries=0)).annotate(jobs)
        before = [next(results) for _ in range(3)]
        gone.set()
    with pytest.raises(EndpointError, match="cannot reach"):
        before += list(results)
    assert all(isinstance(words, Words) for _, words in before), "no row is rejected for it"
    assert 3 <= len(Replies(tmp_path / "replies")) <= 10


def test_replies_are_kept_while_they_come_and_torn_lines_are_left_aside(make_job, tmp_path):
    jobs = [make_job(n) for n in range(4)]
    with serve(reply_to) as server:
        name = f"m@{server.url}"
        whole = ask(name, jobs, tmp_path)
        file = tmp_path / "replies" / "00000.jsonl"
        data = file.read_bytes()
        file.write_bytes(data[:-30])
        assert ask(name, jobs, tmp_path) == whole
        assert server.count == 5, "only the torn one is asked again"
        assert sorted(p.name for p in (tmp_path / "replies").iterdir()) == ["00000.jsonl", "00001.jsonl"]
        entry = json.loads(data.splitlines()[0])
        assert entry["model"] == "m"
        assert entry["usage"] == {"prompt_tokens": 7, "completion_tokens": 5}
        file.write_text("something else\n")
        with pytest.raises(InputError, match="not a reply"):
            open_annotator(name, 0, tmp_path)


# --- budgets and rates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tokens", "money"])
def test_a_budget_is_never_overspent_and_the_work_goes_on_later(make_job, tmp_path, kind):
    jobs = [make_job(n) for n in range(12)]

    def answer(body):
        return completion(reply_to(body)) | {"usage": {"prompt_tokens": 2000, "completion_tokens": 100}}

    def limits(tokens):
        if kind == "tokens":
            return Asking(concurrency=8, budget_tokens=tokens)
        return Asking(concurrency=8, budget=tokens * 3e-6, price_in=3.0, price_out=3.0)

    with serve(answer) as server:
        name = f"m@{server.url}"
        said = "of 14000 tokens" if kind == "tokens" else "of 0.042 in money"
        with pytest.raises(Paused, match=f"budget is spent: .*{said}.*go on with --resume and a larger --budget"):
            ask(name, jobs, tmp_path, limits(14_000))
        spent = sum(Replies(tmp_path / "replies").spent)
        assert spent == server.count * 2100
        assert 14_000 - 5000 <= spent <= 14_000
        assert len(ask(name, jobs, tmp_path, limits(60_000))) == 12
        assert server.count == 12
    with pytest.raises(InputError, match="money needs --price-in and --price-out"):
        open_annotator(name, 0, tmp_path, Asking(budget=3.0))


def test_a_build_tells_what_it_cost(tmp_path, capsys):
    rows = own_rows(tmp_path, 4)

    def run(out, *flags):
        capsys.readouterr()
        assert cli.run(["build", f"jsonl:{rows}", "--out", str(tmp_path / out), *flags]) == 0
        return capsys.readouterr().out, (tmp_path / out / "README.md").read_text()

    def reply(body):
        return completion(reply_to(body)) | {"usage": {"prompt_tokens": 1000, "completion_tokens": 50}}

    with serve(reply) as server:
        teacher = ("--annotator", f"m@{server.url}", "--price-in", "2", "--price-out", "10")
        for text in run("paid", *teacher):
            assert "cost of 4 replies: 4000 tokens of prompts, 200 of replies, 0.01 in money" in text
        assert read_manifest(tmp_path / "paid")["cost"] == {
            "replies": 4, "prompt_tokens": 4000, "completion_tokens": 200, "money": 0.01,
        }  # fmt: skip
        for text in run("again", *teacher[:2], "--replies", str(tmp_path / "paid")):
            assert "cost of 0 replies: 0 tokens of prompts, 0 of replies. Replies of an earlier data set that" in text
        for text in run("templates"):
            assert "cost of" not in text


def test_a_budget_holds_where_prompts_cost_far_more_than_estimated(make_job, tmp_path):
    """At first, and when later runs begin."""
    jobs = [make_job(n) for n in range(12)]

    def answer(body):
        return completion(reply_to(body)) | {"usage": {"prompt_tokens": 12_000, "completion_tokens": 100}}

    with serve(answer, latency_s=0.1) as server:
        for tokens in (30_000, 60_000):
            with pytest.raises(Paused, match="budget is spent"):
                ask(f"m@{server.url}", jobs, tmp_path, Asking(concurrency=8, budget_tokens=tokens))
            assert tokens - 13_200 < server.count * 12_100 <= tokens


def test_requests_a_minute_hold_for_teachers(make_job, tmp_path):
    with serve(reply_to) as server:
        ask(f"m@{server.url}", [make_job(n) for n in range(9)], tmp_path, Asking(rpm=600))
        assert server.busy[-1][0] - server.busy[0][0] >= 0.6  # eight pauses of 100 ms, less what arrivals shake


# --- many at a time ------------------------------------------------------------------------------------------------


def faulty(rate, seed=0):
    """Answers of which a share fails: 429 with and without Retry-After, 500, silence, cut connections, garbage."""
    rng, lock = random.Random(seed), threading.Lock()
    faults = [
        Failure(429, headers={"Retry-After": "0.02"}), Failure(429), Failure(500), Failure(503), Failure(0),
        Failure(500, cut=True), Garbage(), Garbage(b"{"), "garbage in words", Late("x", 1.0), '{"texts": []}',
    ]  # fmt: skip

    def answer(body):
        with lock:
            fails, fault = rng.random() < rate, rng.choice(faults)
        return fault if fails else reply_to(body)

    return answer


def test_faults_at_random_lose_and_double_nothing(make_job, tmp_path):
    jobs = [make_job(n % 10, id=f"r{n}") for n in range(300)]
    asking = Asking(concurrency=32, retries=6, pause_s=0.01, timeout_s=0.5, repairs=3)
    with serve(faulty(0.1), latency_s=0.01) as server:
        name = f"m@{server.url}"
        results = list(open_annotator(name, 0, tmp_path, asking).annotate(jobs))
        again = ask(name, jobs, tmp_path, Asking(concurrency=3, repairs=3))
        count = server.count
    assert [item.sample.id for item, _ in results] == [f"r{n}" for n in range(300)]
    assert all(isinstance(words, Words) for _, words in results)
    assert again == [words for _, words in results], "all from the kept replies, whatever the concurrency"
    assert 300 * 1.05 < count < 300 * 1.25
    keys = [json.loads(line)["key"] for line in (tmp_path / "replies" / "00000.jsonl").read_text().splitlines()]
    assert len(keys) == len(set(keys))


def test_slots_stay_busy_while_rows_are_prepared(make_job, tmp_path):
    job = make_job()
    jobs = [replace(job, sample=replace(job.sample, id=f"r{n}")) for n in range(240)]
    with serve(reply_to, latency_s=0.4, slots=24, keep=False) as server:
        ask(f"m@{server.url}", jobs, tmp_path, Asking(concurrency=24))
        assert server.count == 240, "never more than there are slots"
        assert server.utilization(24, skip_s=0.8) > 0.5  # bench/annotator.py measures it where there is time
