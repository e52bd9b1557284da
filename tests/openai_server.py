"""A chat-completions server on 127.0.0.1 for tests: replies come from a function, with failures and delays at will.

    def handler(request: dict) -> str | dict | Failure: ...

    with serve(handler) as server:
        open_engine(f"server:any-model@{server.url}")

The handler gets the JSON body of the request. It returns the reply's text, a `Failure`, a `Late` reply, or a dict that
is sent as it is. `server.requests` holds all bodies in the order they came; `text_of` and `images_of` read them. A list
of replies in place of a handler is used up in order, and the last one repeats.
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
    """An HTTP error in place of a reply. status 0: the connection is dropped without an answer."""

    status: int = 500
    message: str = "scripted failure"


@dataclass
class Late:
    """A reply that comes after `delay_s`."""

    reply: str | dict[str, Any] | Failure
    delay_s: float


Answer = str | dict[str, Any] | Failure | Late
Handler = Callable[[dict[str, Any]], Answer]


@dataclass
class TestServer:
    """url: base URL for clients. requests: bodies so far. peak: the largest number of requests at one time."""

    __test__ = False

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    active: int = 0
    peak: int = 0


@contextmanager
def serve(handler: Handler | Sequence[Answer], models: Sequence[str] | None = ("test-model",)) -> Iterator[TestServer]:
    """Serve on a free port until the block ends. models: what /v1/models lists; None: 404."""
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
                server.requests.append(body)
                server.keys.append(self.headers.get("Authorization"))
                server.active += 1
                server.peak = max(server.peak, server.active)
                reply = answer(body)
            if isinstance(reply, Late):
                time.sleep(reply.delay_s)
                reply = reply.reply
            with lock:
                server.active -= 1
            if isinstance(reply, Failure):
                if reply.status == 0:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send({"error": {"message": reply.message}}, reply.status)
            else:
                self.send(completion(reply) if isinstance(reply, str) else reply)

        def send(self, body: dict[str, Any], status: int = 200) -> None:
            data = json.dumps(body).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except ConnectionError:
                self.close_connection = True  # The client gave up waiting.

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # Dropped connections are part of the script.

    http = Quiet(("127.0.0.1", 0), Http)
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
