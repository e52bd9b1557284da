"""Any OpenAI-compatible server: vLLM, SGLang, llama.cpp, Ollama, cloud services.

Pictures travel as PNG, already at their final size. Sampling is always said explicitly, since servers differ in their
defaults. What is sent to one server under one name is one model; balancing over several servers is left to a proxy.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import re
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from PIL import Image

from ..errors import EndpointError, InputError
from ..lookup import pick
from ..prompt import DEFAULT_MAX_PIXELS, FAMILIES, Family, Message
from .engine import Reply, Request, family_from_name
from .limits import LONGEST_ASKED_S, Pace, may_pass, pause_s

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")

Ask = Callable[[Request], Awaitable[Reply]]

KEY_VARIABLES = ("SIFTHINKER_API_KEY", "OPENAI_API_KEY")


class ServerEngine:
    """Asks a server, several requests at a time.

    address: MODEL@URL, for example `Qwen/Qwen2.5-VL-7B-Instruct@http://localhost:8000/v1`. The key is taken from
    SIFTHINKER_API_KEY or OPENAI_API_KEY.
    family: a key of `prompt.FAMILIES`; None to tell it from the model's name. max_pixels: of one picture.
    concurrency: requests at a time. rpm, tpm: requests and tokens a minute at most, evenly spread; None: no limit.
    timeout_s: for one try. retries: further tries after what may pass by itself (timeouts, lost connections, replies
    that are no chat completion, the statuses 408, 409, 425, 429 and 5xx), each after a pause: what Retry-After says,
    or `pause_s` and then twice as long each time. extra_body: further fields of every request, as the server has them.

    Raises `InputError` for a malformed address, `EndpointError` when the server cannot be reached or refuses the key.
    """

    def __init__(
        self,
        address: str,
        *,
        family: str | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        concurrency: int = 16,
        rpm: float | None = None,
        tpm: float | None = None,
        timeout_s: float = 300.0,
        retries: int = 4,
        pause_s: float = 0.5,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        match = re.fullmatch(r"(.+?)@(https?://[^/\s]+\S*)", address)
        if match is None:
            raise InputError(f"server {address!r}: expected MODEL@URL, for example qwen@http://localhost:8000/v1")
        self.model, self.url = match.groups()
        self.model_id = f"server:{address}"
        self.family: Family = family_from_name(self.model) if family is None else pick("family", family, FAMILIES)
        self.max_pixels, self.grid = max_pixels, self.family.grid
        self._concurrency, self._timeout_s, self._retries = concurrency, timeout_s, retries
        self._pause_s, self._extra_body = pause_s, dict(extra_body or {})
        self._requests, self._tokens = Pace(rpm), Pace(tpm)
        self._refused: set[str] = set()
        _in_loop(self.reach())

    def _client(self, timeout_s: float) -> AsyncOpenAI:
        try:
            from openai import DEFAULT_CONNECTION_LIMITS, AsyncOpenAI, DefaultAioHttpClient

            # Of its two transports the one that does not look at all its connections for every request.
            limits = type(DEFAULT_CONNECTION_LIMITS)(max_connections=self._concurrency)
            http = DefaultAioHttpClient(timeout=timeout_s, limits=limits)
        except (ImportError, RuntimeError) as error:
            raise InputError(
                "asking a server needs the packages openai and aiohttp: pip install 'sifthinker[server]'"
            ) from error
        key = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), "none")
        return AsyncOpenAI(base_url=self.url, api_key=key, timeout=timeout_s, max_retries=0, http_client=http)

    async def reach(self) -> None:
        """Find out at once, rather than request by request, that nobody answers at the address.

        Raises `EndpointError` then, and when the key is refused.
        """
        async with self._client(timeout_s=min(self._timeout_s, 20.0)) as client:
            import openai

            try:
                await client.models.list()
            except openai.APIConnectionError as error:
                raise EndpointError(
                    f"cannot reach {self.url}: start the server or check the address ({_reason(error)})"
                ) from error
            except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
                raise EndpointError(
                    f"{self.url} refuses the key: set {' or '.join(KEY_VARIABLES)} ({_reason(error)})"
                ) from error
            except (openai.APIError, ValueError):
                # It answers, but lists no models, as some servers do.
                return

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order. Failures (after retries) come back as replies with an error."""
        return _in_loop(self._generate(requests))

    async def _generate(self, requests: Sequence[Request]) -> list[Reply]:
        async with self.asking() as ask:
            return list(await asyncio.gather(*map(ask, requests)))

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[Ask]:
        """For as long as the block lasts, a function that asks for one reply; `generate` for those who have a loop.

        Any number of calls may wait at the same time: `concurrency` of them are with the server.
        """
        gate = asyncio.Semaphore(self._concurrency)
        async with self._client(self._timeout_s) as client:
            yield lambda request: self._ask(client, gate, request)

    async def _ask(self, client: AsyncOpenAI, gate: asyncio.Semaphore, request: Request) -> Reply:
        try:
            # In a thread: while pictures are encoded, other replies come in.
            body = await asyncio.to_thread(wire, self.model, request) if request.images else wire(self.model, request)
        except ValueError as error:
            return Reply(request.id, None, error=str(error))
        body |= self._extra_body
        expected = about_tokens(request)
        for attempt in count():
            wait_s = max(self._requests.take(1), self._tokens.take(expected))
            if wait_s:
                await asyncio.sleep(wait_s)
            async with gate:
                reply, headers = await self._try(client, request.id, body)
            self._tokens.correct((sum(reply.usage.values()) or expected) - expected if reply.text is not None else 0)
            if headers is None:
                return reply
            wait_s = pause_s(attempt, self._pause_s, headers)
            if attempt == self._retries or wait_s > LONGEST_ASKED_S:
                return reply
            # Others have the place meanwhile.
            await asyncio.sleep(wait_s)
        raise AssertionError("unreachable")

    async def _try(
        self, client: AsyncOpenAI, id_: str, body: Mapping[str, Any]
    ) -> tuple[Reply, Mapping[str, str] | None]:
        """Ask once. With the reply come the headers of a failure that may pass by itself; None: the reply is final."""
        import openai

        try:
            completion = await self._post(client, body)
        except openai.APITimeoutError:
            return Reply(id_, None, error=f"no reply within {self._timeout_s:g} s"), {}
        except openai.APIStatusError as error:
            headers = error.response.headers if may_pass(error.status_code, error.code) else None
            return Reply(id_, None, error=_reason(error), status=error.status_code), headers
        except openai.APIError as error:
            return Reply(id_, None, error=_reason(error)), {}
        except ValueError as error:
            return Reply(id_, None, error=f"the server's reply is not JSON ({error})"), {}
        reply = reply_of(id_, completion)
        return reply, {} if reply.error == NO_COMPLETION else None

    async def _post(self, client: AsyncOpenAI, body: Mapping[str, Any]) -> object:
        """The server's answer, without the fields that it refuses."""
        import openai

        sent = without_fields(body, self._refused)
        try:
            return await client.post("/chat/completions", body=sent, cast_to=object)
        except openai.BadRequestError as error:
            name = refused_field(_reason(error), sent)
            if name is None:
                raise
            if name not in self._refused:
                warnings.warn(f"{self.model_id} is asked without {name}: {_reason(error)}", stacklevel=2)
            self._refused.add(name)
        return await self._post(client, body)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close: connections live as long as one `generate` or `asking`."""


# --- the wire format -----------------------------------------------------------------------------------------------


def wire(model: str, request: Request) -> dict[str, Any]:
    """The JSON body of a request. Raises `ValueError` when image blocks and pictures differ in number."""
    body: dict[str, Any] = {
        "model": model,
        "messages": with_pictures(request.messages, request.images),
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if request.schema is not None:
        form = {"name": "reply", "strict": True, "schema": dict(request.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return body


def about_tokens(request: Request) -> int:
    """Roughly how many tokens a request takes at most: one for 3 letters, one for 500 pixels, all of the reply's."""
    blocks = [
        block
        for message in request.messages
        for block in ([{"text": message["content"]}] if isinstance(message["content"], str) else message["content"])
    ]
    letters = sum(len(block.get("text", "")) for block in blocks)
    pixels = sum(image.width * image.height for image in request.images)
    pixels += sum(DEFAULT_MAX_PIXELS for block in blocks if "image_url" in block)
    return letters // 3 + pixels // 500 + request.max_tokens


FIELDS = {
    "response_format": re.compile(r"response.?format|json.?schema|guided|grammar|structured", re.IGNORECASE),
    "max_tokens": re.compile(r"max_completion_tokens"),
    "temperature": re.compile(r"temperature"),
    "seed": re.compile(r"\bseed\b"),
}
"""Fields that not every server takes, and by which words in a refusal one knows that it is about them."""
_NOT_KNOWN = re.compile(r"support|unrecogni|unknown|permitted|extra|available|not implemented", re.IGNORECASE)


def refused_field(reason: str, sent: Container[str]) -> str | None:
    """Which field a server refuses that can be left out."""
    if not _NOT_KNOWN.search(reason):
        return None
    return next((name for name, words in FIELDS.items() if name in sent and words.search(reason)), None)


def without_fields(body: Mapping[str, Any], refused: Container[str]) -> dict[str, Any]:
    """A body without the fields that the server refuses; `max_tokens` goes by its newer name."""
    sent = {name: value for name, value in body.items() if name not in refused}
    if "max_tokens" in refused:
        sent["max_completion_tokens"] = body["max_tokens"]
    return sent


NO_COMPLETION = "the server sent something that is not a chat completion"


def reply_of(id_: str, completion: Any) -> Reply:
    """The reply in a chat completion; servers send all kinds of things.

    Half a character becomes U+FFFD, since no file could hold it; token counts that are no numbers are left out.
    """
    choices = _at(completion, "choices")
    message = _at(choices[0] if isinstance(choices, list) and choices else None, "message")
    if not isinstance(message, Mapping):
        return Reply(id_, None, error=NO_COMPLETION)
    reason = choices[0].get("finish_reason")
    # Servers with a reasoning parser cut the thoughts out of the text and send them apart.
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    text = message.get("content")
    if thoughts and "<think>" not in (text or ""):
        text = f"<think>{thoughts}</think>{text or ''}"
    if not isinstance(text, str) or reason == "content_filter":
        return Reply(id_, None, error=f"the server sent no text (finish_reason {reason!r})", status=200)
    counts = {name: _count(_at(_at(completion, "usage"), name)) for name in ("prompt_tokens", "completion_tokens")}
    usage = {name: count for name, count in counts.items() if count is not None}
    return Reply(id_, _SURROGATE.sub("\ufffd", text), "length" if reason == "length" else "stop", usage=usage)


_SURROGATE = re.compile("[\ud800-\udfff]")


def _count(value: Any) -> int | None:
    try:
        return max(0, int(value))
    except (TypeError, ValueError, OverflowError):
        return None


def _at(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _reason(error: Exception) -> str:
    """One line about a failed request."""
    import openai

    if isinstance(error, openai.APIStatusError):
        body = error.body if isinstance(error.body, Mapping) else {}
        text = str(body.get("message") or error.response.text or error)
        return f"HTTP {error.status_code}: {' '.join(text.split())[:300]}"
    return " ".join(str(error.__cause__ or error).split())[:300]


def with_pictures(messages: Sequence[Message], images: Sequence[Image.Image]) -> list[Message]:
    """Chat messages with each `{"type": "image"}` block replaced by its picture, as a PNG data URL.

    Raises `ValueError` when blocks and pictures differ in number.
    """
    left = list(images)
    filled: list[Message] = []
    for message in messages:
        blocks = message["content"]
        if not isinstance(blocks, str):
            blocks = [_picture_block(left, len(images)) if block["type"] == "image" else block for block in blocks]
        filled.append({**message, "content": blocks})
    if left:
        raise ValueError(f"{len(left)} of {len(images)} pictures have no image block in the messages")
    return filled


def _picture_block(left: list[Image.Image], count: int) -> dict[str, Any]:
    if not left:
        raise ValueError(f"the messages have more image blocks than the {count} pictures given")
    return {"type": "image_url", "image_url": {"url": data_url(left.pop(0))}}


def data_url(image: Image.Image, jpeg_quality: int | None = None) -> str:
    """A picture as a data URL: PNG, lossless, or JPEG of that quality, which is smaller and faster."""
    buffer = io.BytesIO()
    if jpeg_quality is None:
        image.save(buffer, format="PNG")
    else:
        image.save(buffer, format="JPEG", quality=jpeg_quality)
    kind = "png" if jpeg_quality is None else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()


def _in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also where a loop is running already (notebooks, async callers)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
