from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sifthinker.engines import Request, open_engine, request_for
from sifthinker.engines.engine import family_from_name
from sifthinker.engines.limits import Pace, pause_s, retry_after_s
from sifthinker.errors import EndpointError
from sifthinker.sample import Sample
from tests.openai_server import Failure, Garbage, Late, completion, images_of, serve, text_of, unused_url


def plain(id_: str = "r", **options: Any) -> Request:
    return Request(id_, [{"role": "user", "content": id_}], **options)


def test_sends_pictures_at_final_size_and_says_all_of_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIFTHINKER_API_KEY", "secret")
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    with (
        serve(["fine"]) as server,
        open_engine(f"server:my@Qwen2.5-VL@{server.url}", extra_body={"top_k": 1}) as engine,
    ):
        request = request_for(Sample("s", photo, "where?"), engine, max_tokens=9, temperature=0.7, seed=5)
        reply = engine.generate([request])[0]
    assert (reply.text, reply.finish_reason, reply.error) == ("fine", "stop", None)
    assert reply.usage == {"prompt_tokens": 7, "completion_tokens": 5}
    body = server.requests[0]
    sent = {k: body[k] for k in ("model", "max_tokens", "temperature", "seed", "top_k")}
    assert sent == {"model": "my@Qwen2.5-VL", "max_tokens": 9, "temperature": 0.7, "seed": 5, "top_k": 1}
    assert server.keys == ["Bearer secret"]
    assert "where?" in text_of(body)
    assert [b["type"] for b in body["messages"][0]["content"]] == ["text", "image_url", "text"]
    (picture,) = images_of(body)
    assert np.array_equal(np.asarray(picture), np.asarray(request.images[0])), "lossless, at its final size"


def test_seed_is_left_out_when_open() -> None:
    with serve(["x"]) as server, open_engine(f"server:m@{server.url}") as engine:
        engine.generate([plain()])
    assert "seed" not in server.requests[0]
    assert server.requests[0]["temperature"] == 0.0


def test_concurrency_is_bounded_and_order_kept() -> None:
    def answer(body: dict[str, Any]) -> Late:
        return Late(text_of(body), 0.06 if text_of(body) in "02" else 0.02)

    with serve(answer) as server, open_engine(f"server:m@{server.url}", concurrency=3) as engine:
        replies = engine.generate([plain(str(n)) for n in range(9)])
    assert [r.text for r in replies] == [str(n) for n in range(9)]
    assert 2 <= server.peak <= 3


def test_failures_are_retried_then_reported_alone() -> None:
    tries: dict[str, int] = {}

    def answer(body: dict[str, Any]) -> str | Failure:
        name = text_of(body)
        tries[name] = tries.get(name, 0) + 1
        return Failure(503, "busy") if name == "never" or (name == "once" and tries[name] == 1) else name

    with serve(answer) as server, open_engine(f"server:m@{server.url}", retries=1) as engine:
        replies = engine.generate([plain("ok"), plain("never"), plain("once")])
    assert [r.text for r in replies] == ["ok", None, "once"]
    assert replies[1].error == "HTTP 503: busy"
    assert tries == {"ok": 1, "never": 2, "once": 2}


def test_timeout_and_lost_connection() -> None:
    answers = {"late": Late("x", 1.0), "gone": Failure(0), "ok": "ok"}
    with (
        serve(lambda body: answers[text_of(body)]) as server,
        open_engine(f"server:m@{server.url}", retries=0, timeout_s=0.3) as engine,
    ):
        late, gone, ok = engine.generate([plain("late"), plain("gone"), plain("ok")])
    assert late.error == "no reply within 0.3 s"
    assert gone.error
    assert "\n" not in gone.error
    assert ok.text == "ok"


@pytest.mark.parametrize(
    ("sent", "text", "finish", "error"),
    [
        (completion("cut", "length"), "cut", "length", None),
        (completion("<answer>a</answer>", reasoning_content="hm"), "<think>hm</think><answer>a</answer>", "stop", None),
        (completion("<think>hm</think>", reasoning="hm"), "<think>hm</think>", "stop", None),
        (completion(None), None, None, "the server sent no text (finish_reason 'stop')"),
        (completion("x", "content_filter"), None, None, "the server sent no text (finish_reason 'content_filter')"),
        (completion("half a face: \ud83d"), "half a face: \ufffd", "stop", None),
        (completion("") | {"choices": []}, None, None, "the server sent something that is not a chat completion"),
        ({"hello": "world"}, None, None, "the server sent something that is not a chat completion"),
        (Failure(404, "no model\n m"), None, None, "HTTP 404: no model m"),
    ],
)
def test_what_servers_send(sent: Any, text: str | None, finish: str | None, error: str | None) -> None:
    with serve([sent]) as server, open_engine(f"server:m@{server.url}", retries=0) as engine:
        reply = engine.generate([plain()])[0]
    assert (reply.text, reply.finish_reason, reply.error) == (text, finish, error)


@pytest.mark.parametrize(
    ("sent", "usage"),
    [
        ({"prompt_tokens": "7", "completion_tokens": 5.0}, {"prompt_tokens": 7, "completion_tokens": 5}),
        ({"prompt_tokens": "many", "completion_tokens": float("inf")}, {}),
        ({"prompt_tokens": None, "completion_tokens": [5]}, {}),
        ([7, 5], {}),
        (None, {}),
    ],
)
def test_token_counts_are_numbers(sent: Any, usage: dict[str, int]) -> None:
    with serve([completion("x") | {"usage": sent}]) as server, open_engine(f"server:m@{server.url}") as engine:
        assert engine.generate([plain()])[0].usage == usage


@pytest.mark.parametrize(
    ("fault", "tries"),
    [
        *((Failure(status), 2) for status in (0, 408, 429, 500, 502, 503, 504)),
        (Failure(500, cut=True), 2),
        (Garbage(), 2),
        (Garbage(b'{"half": '), 2),
        (Late("too late", 1.0), 2),
        *((Failure(status), 1) for status in (400, 401, 403, 404, 413, 422)),
        (Failure(429, "no credit", code="insufficient_quota"), 1),
    ],
    ids=str,
)
def test_only_what_may_pass_by_itself_is_tried_again(fault: Any, tries: int) -> None:
    with (
        serve([fault, "fine"]) as server,
        open_engine(f"server:m@{server.url}", timeout_s=0.5, retries=1, pause_s=0.01) as engine,
    ):
        reply = engine.generate([plain()])[0]
    assert server.count == tries
    assert reply.text == ("fine" if tries == 2 else None)
    if tries == 1:
        assert reply.status == fault.status


def test_a_server_that_says_when_to_come_back() -> None:
    busy = Failure(429, "slow down", {"Retry-After": "0.4"})
    with serve([busy, "fine"]) as server, open_engine(f"server:m@{server.url}", pause_s=0.01) as engine:
        assert engine.generate([plain()])[0].text == "fine"
        (first, _), (second, _) = server.busy
        assert 0.4 <= second - first < 1.0
    never = Failure(429, "tomorrow", {"Retry-After": "86400"})
    with serve([never]) as server, open_engine(f"server:m@{server.url}") as engine:
        assert engine.generate([plain()])[0].error == "HTTP 429: tomorrow"


def test_who_waits_to_try_again_leaves_the_place_to_others() -> None:
    def answer(body: dict[str, Any]) -> str | Failure:
        first = text_of(body) == "0" and server.count == 1
        return Failure(429, headers={"Retry-After": "0.5"}) if first else text_of(body)

    with serve(answer) as server, open_engine(f"server:m@{server.url}", concurrency=1) as engine:
        replies = engine.generate([plain("0"), plain("1"), plain("2")])
    assert [r.text for r in replies] == ["0", "1", "2"]
    assert [text_of(body) for body in server.requests] == ["0", "1", "2", "0"]


def test_requests_and_tokens_a_minute() -> None:
    # How exactly is tested by a clock below; arrivals at a server shake.
    with serve(["x"]) as server, open_engine(f"server:m@{server.url}", rpm=600) as engine:
        engine.generate([plain() for _ in range(9)])
        assert server.busy[-1][0] - server.busy[0][0] >= 0.6  # Eight pauses of 100 ms.
    # Each takes 1000 tokens by the estimate, 12 by the server's count: the pace follows what was used.
    with serve(["x"]) as server, open_engine(f"server:m@{server.url}", tpm=60_000, concurrency=1) as engine:
        for _ in range(21):
            engine.generate([plain(max_tokens=1000)])
        assert 0.2 <= server.busy[-1][0] - server.busy[0][0] < 10


def test_pace_by_a_clock() -> None:
    now = [0.0]
    pace = Pace(60, lambda: now[0])
    assert [pace.take(1), pace.take(2), pace.take(1)] == [0, 1, 3]
    pace.correct(-3)
    assert pace.take(1) == 1
    now[0] = 100.0
    assert [pace.take(1), pace.take(1)] == [0, 1], "what was not used before is not saved up"
    assert Pace(None).take(1e9) == 0


def test_pauses_grow_and_differ() -> None:
    pauses = [pause_s(attempt, 0.5) for attempt in range(12)]
    assert all(0.25 * 2**n <= pauses[n] <= 0.5 * 2**n for n in range(7))
    assert max(pauses) <= 60
    assert len({pause_s(3, 0.5) for _ in range(5)}) > 1
    assert 7 <= pause_s(0, 0.5, {"retry-after": "7"}) <= 8.2
    later = {"retry-after": "Wed, 21 Oct 2026 07:28:10 GMT"}
    assert retry_after_s(later, lambda: datetime(2026, 10, 21, 7, 28, tzinfo=UTC)) == 10
    assert retry_after_s({"retry-after": "soon"}) is None


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def test_fields_that_a_server_refuses_are_left_out_from_then_on() -> None:
    def answer(body: dict[str, Any]) -> str | Failure:
        if "response_format" in body:
            return Failure(400, "This response_format type is unavailable now")
        if "max_tokens" in body:
            return Failure(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return "fine"

    with (
        serve(answer) as server,
        open_engine(f"server:m@{server.url}", concurrency=1) as engine,
        pytest.warns(UserWarning, match="asked without response_format: HTTP 400: This response_format"),
    ):
        replies = engine.generate([plain(schema=SCHEMA, max_tokens=9), plain(schema=SCHEMA, max_tokens=9)])
    assert [r.text for r in replies] == ["fine", "fine"]
    assert server.count == 4
    assert server.requests[-1]["max_completion_tokens"] == 9
    form = server.requests[0]["response_format"]
    assert (form["type"], form["json_schema"]["schema"]) == ("json_schema", SCHEMA)
    # A refusal for another reason is told as it is.
    with (
        serve([Failure(400, "max_tokens or max_completion_tokens is too large")]) as server,
        open_engine(f"server:m@{server.url}") as engine,
    ):
        assert engine.generate([plain(schema=SCHEMA)])[0].status == 400
        assert server.count == 1


def test_endpoint_down_is_one_clear_line() -> None:
    url = unused_url()
    start = time.monotonic()
    with pytest.raises(EndpointError, match=f"cannot reach {url}: start the server or check the address") as caught:
        open_engine(f"server:m@{url}")
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 10


def test_server_without_model_list_is_fine() -> None:
    with serve(["x"], models=None) as server, open_engine(f"server:m@{server.url}") as engine:
        assert engine.generate([plain()])[0].text == "x"


def test_works_inside_of_a_running_loop() -> None:
    async def notebook() -> str | None:
        with serve(["x"]) as server, open_engine(f"server:m@{server.url}") as engine:
            return engine.generate([plain()])[0].text

    assert asyncio.run(notebook()) == "x"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl"),
        ("qwen2.5vl:7b", "qwen2.5-vl"),
        ("qwen2_5_vl", "qwen2.5-vl"),
        ("Qwen3-VL-8B", "qwen3-vl"),
        ("qwen2-vl-2b", "qwen2-vl"),
        ("gpt-5", "generic"),
    ],
)
def test_family_from_name(name: str, family: str) -> None:
    assert family_from_name(name).name == family
