"""A chat-completions server on 127.0.0.1 for tests: replies come from a function, with failures and delays at will.

    def handler(request: dict) -> str | dict | Failure: ...

    with serve(handler) as server:
        open_engine(f"server:any-model@{server.url}")

The handler gets the JSON body of the request. It returns the reply's text, a `Failure`, `Garbage`, a `Late` reply, or a
dict that is sent as it is. `server.requests` holds all bodies in the order they came; `text_of` and `images_of` read
them. A list of replies in place of a handler is used up in order, and the last one repeats.
"""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image


@dataclass
class Failure:
    """An HTTP error in place of a reply. status 0: the connection is dropped without an answer.

    headers: of the answer, for example Retry-After. code: of the error. cut: the answer breaks off in its middle.
    """

    status: int = 500
    message: str = "scripted failure"
    headers: dict[str, str] = field(default_factory=dict)
    code: str | None = None
    cut: bool = False


@dataclass
class Garbage:
    """A body that is no chat completion, with status 200, as some gateways send."""

    body: bytes = b"<html>Bad gateway</html>"


@dataclass
class Late:
    """A reply that comes after `delay_s`."""

    reply: str | dict[str, Any] | Failure | Garbage
    delay_s: float


Answer = str | dict[str, Any] | Failure | Garbage | Late
Handler = Callable[[dict[str, Any]], Answer]


@dataclass
class TestServer:
    """url: base URL for clients. requests: bodies so far. count: of them. peak: the largest number at one time.

    busy: (time of an arrival, request-seconds worked until then) of every arrival, from which utilization follows.
    """

    __test__ = False

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    count: int = 0
    active: int = 0
    peak: int = 0
    busy: list[tuple[float, float]] = field(default_factory=list)
    _worked: float = 0.0
    _since: float = field(default_factory=time.monotonic)

    def step(self, change: int) -> float:
        """One request more or fewer; returns the time. Hold the lock."""
        now = time.monotonic()
        self._worked += self.active * (now - self._since)
        self._since = now
        self.active += change
        self.peak = max(self.peak, self.active)
        if change > 0:
            self.count += 1
            self.busy.append((now, self._worked))
        return now

    def utilization(self, slots: int, skip_s: float = 0.0) -> float:
        """Share of `slots` that were busy, from `skip_s` after the first request until the last one arrived."""
        first = next(i for i, (at, _) in enumerate(self.busy) if at >= self.busy[0][0] + skip_s)
        (start, before), (end, worked) = self.busy[first], self.busy[-1]
        return (worked - before) / (end - start) / slots


@contextmanager
def serve(
    handler: Handler | Sequence[Answer],
    models: Sequence[str] | None = ("test-model",),
    *,
    latency_s: float = 0.0,
    slots: int | None = None,
    keep: bool = True,
    port: int = 0,
) -> Iterator[TestServer]:
    """Serve on a free port, or `port`, until the block ends. models: what /v1/models lists; None: 404.

    latency_s: of every answer. slots: requests worked on at a time; more are refused with 429 and Retry-After.
    keep: whether bodies stay in `requests`.
    """
    lock = threading.Lock()
    if not callable(handler):
        replies = list(handler)

        def answer(_: dict[str, Any]) -> Answer:
            return replies.pop(0) if len(replies) > 1 else replies[0]
    else:
        answer = handler

    class Http(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path.endswith("/models") and models is not None:
                self.send({"object": "list", "data": [{"id": m, "object": "model"} for m in models]})
            else:
                self.send({"error": {"message": "not found"}}, 404)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                if keep:
                    server.requests.append(body)
                    server.keys.append(self.headers.get("Authorization"))
                full = slots is not None and server.active >= slots
                start = server.step(1)
                reply = Failure(429, "all slots are busy", {"Retry-After": "1"}) if full else answer(body)
            delay_s = 0.0 if full else latency_s
            if isinstance(reply, Late):
                delay_s, reply = delay_s + reply.delay_s, reply.reply
            time.sleep(max(0.0, start + delay_s - time.monotonic()))
            with lock:
                server.step(-1)
            if isinstance(reply, Garbage):
                self.send(reply.body)
            elif isinstance(reply, Failure) and reply.status == 0:
                self.close_connection = True
                self.connection.close()
            elif isinstance(reply, Failure):
                error = {"error": {"message": reply.message, "code": reply.code}}
                self.send(error, reply.status, reply.headers, cut=reply.cut)
            else:
                self.send(completion(reply) if isinstance(reply, str) else reply)

        def send(
            self,
            body: dict[str, Any] | bytes,
            status: int = 200,
            headers: dict[str, str] | None = None,
            cut: bool = False,
        ) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if isinstance(body, bytes) else "application/json")
                self.send_header("Content-Length", str(len(data)))
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if cut else data)
            except ConnectionError:
                cut = True  # The client gave up waiting.
            self.close_connection |= cut

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1024

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # Dropped connections are part of the script.

    http = Quiet(("127.0.0.1", port), Http)
    server = TestServer(f"http://127.0.0.1:{http.server_address[1]}/v1")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def completion(text: str | None, finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    """A chat completion in the wire format; `message` adds fields to the message."""
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "test-model",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish_reason,
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
    }


def text_of(request: dict[str, Any]) -> str:
    """All words of a request."""
    contents = [m["content"] for m in request["messages"]]
    blocks = [b for c in contents for b in ([{"type": "text", "text": c}] if isinstance(c, str) else c)]
    return "".join(b.get("text", "") for b in blocks)


def images_of(request: dict[str, Any]) -> list[Image.Image]:
    """The pictures of a request, decoded."""
    blocks = [b for m in request["messages"] if not isinstance(m["content"], str) for b in m["content"]]
    urls = [b["image_url"]["url"] for b in blocks if b["type"] == "image_url"]
    return [Image.open(io.BytesIO(base64.b64decode(u.partition(",")[2]))) for u in urls]


def unused_url() -> str:
    """A URL at which nobody answers."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    port = http.server_address[1]
    http.server_close()
    return f"http://127.0.0.1:{port}/v1"
