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
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from PIL import Image

from ..errors import EndpointError, InputError
from ..lookup import lookup
from ..prompt import DEFAULT_MAX_PIXELS, FAMILIES, Family, Message
from .engine import Reply, Request, family_from_name

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")

KEY_VARIABLES = ("SIFTHINKER_API_KEY", "OPENAI_API_KEY")


class ServerEngine:
    """Asks a server, several requests at a time.

    address: MODEL@URL, for example `Qwen/Qwen2.5-VL-7B-Instruct@http://localhost:8000/v1`. The key is taken from
    SIFTHINKER_API_KEY or OPENAI_API_KEY.
    family: a key of `prompt.FAMILIES`; None to tell it from the model's name. max_pixels: of one picture.
    concurrency: requests at a time. timeout_s: for one try. retries: after timeouts, lost connections and the statuses
    408, 409, 429 and 5xx, with growing pauses. extra_body: further fields of every request, as the server knows them.

    Raises `InputError` for a malformed address, `EndpointError` when the server cannot be reached or refuses the key.
    """

    def __init__(
        self,
        address: str,
        *,
        family: str | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        concurrency: int = 16,
        timeout_s: float = 300.0,
        retries: int = 2,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        match = re.fullmatch(r"(.+?)@(https?://[^/\s]+\S*)", address)
        if match is None:
            raise InputError(f"server {address!r}: expected MODEL@URL, for example qwen@http://localhost:8000/v1")
        self.model, self.url = match.groups()
        self.model_id = f"server:{address}"
        self.family: Family = family_from_name(self.model) if family is None else lookup("family", family, FAMILIES)
        self.max_pixels, self.grid = max_pixels, self.family.grid
        self._concurrency, self._timeout_s, self._retries = concurrency, timeout_s, retries
        self._extra_body = dict(extra_body or {})
        _in_loop(self._reach())

    def _client(self, timeout_s: float, retries: int) -> AsyncOpenAI:
        try:
            from openai import AsyncOpenAI
        except ImportError as error:
            raise InputError("asking a server needs the openai package: pip install 'sifthinker[server]'") from error
        key = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), "none")
        return AsyncOpenAI(base_url=self.url, api_key=key, timeout=timeout_s, max_retries=retries)

    async def _reach(self) -> None:
        """Find out at the start, rather than request by request, that nobody answers at the address."""
        async with self._client(timeout_s=min(self._timeout_s, 20.0), retries=0) as client:
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
        gate = asyncio.Semaphore(self._concurrency)
        async with self._client(self._timeout_s, self._retries) as client:
            return list(await asyncio.gather(*(self._ask(client, gate, request) for request in requests)))

    async def _ask(self, client: AsyncOpenAI, gate: asyncio.Semaphore, request: Request) -> Reply:
        import openai

        options: dict[str, Any] = {} if request.seed is None else {"seed": request.seed}
        async with gate:
            try:
                messages = with_pictures(request.messages, request.images)
            except ValueError as error:
                return Reply(request.id, None, error=str(error))
            try:
                completion = await client.chat.completions.create(
                    model=self.model,
                    messages=messages,  # type: ignore[arg-type]
                    max_tokens=request.max_tokens,
                    temperature=request.temperature,
                    extra_body=self._extra_body or None,
                    **options,
                )
            except openai.APITimeoutError:
                return Reply(request.id, None, error=f"no reply within {self._timeout_s:g} s")
            except openai.APIError as error:
                return Reply(request.id, None, error=_reason(error))
            except ValueError as error:
                return Reply(request.id, None, error=f"the server's reply is not JSON ({error})")
        return _reply(request.id, completion)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close: connections live as long as one `generate`."""


def _reply(id_: str, completion: Any) -> Reply:
    """The reply in a chat completion; servers send all kinds of things."""
    choice = next(iter(getattr(completion, "choices", None) or ()), None)
    message = getattr(choice, "message", None)
    if message is None:
        return Reply(id_, None, error="the server sent something that is not a chat completion")
    reason = getattr(choice, "finish_reason", None)
    # Servers with a reasoning parser cut the thoughts out of the text and send them apart.
    thoughts = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    text = getattr(message, "content", None)
    if thoughts and "<think>" not in (text or ""):
        text = f"<think>{thoughts}</think>{text or ''}"
    if text is None or reason == "content_filter":
        return Reply(id_, None, error=f"the server sent no text (finish_reason {reason!r})")
    usage = getattr(completion, "usage", None)
    counts = {} if usage is None else {n: getattr(usage, n, None) or 0 for n in ("prompt_tokens", "completion_tokens")}
    return Reply(id_, text, "length" if reason == "length" else "stop", usage=counts)


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


def data_url(image: Image.Image) -> str:
    """A picture as a PNG data URL, lossless."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also where a loop is running already (notebooks, async callers)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
