"""What an engine is: it turns requests into replies. Engines themselves live in the files beside this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from PIL import Image

from ..geometry import Frame
from ..prompt import FAMILIES, Family, Message, build_prompt, model_images
from ..sample import Sample

MAX_TOKENS = 2048
"""Tokens of a reply at most, as in the released inference."""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One question to a model.

    id: comes back with the reply.
    messages: chat messages; their `{"type": "image"}` blocks stand for `images`, in order.
    images: pictures at their final size (`prompt.model_images`).
    max_tokens: of the reply. temperature: 0 is greedy. seed: of sampling; None leaves it open.
    sample: what is asked about, with its gold answer. Engines that stand in for a model (`oracle`, `blind`) may look
    at it; those that ask one never do, and never send it anywhere.
    schema: JSON schema of the reply, for servers that can be held to one; other engines leave it aside.
    """

    id: str
    messages: list[Message]
    images: tuple[Image.Image, ...] = ()
    max_tokens: int = MAX_TOKENS
    temperature: float = 0.0
    seed: int | None = None
    sample: Sample | None = field(default=None, repr=False)
    schema: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one request: a text, or the error that kept it from coming.

    finish_reason: "stop" when the model ended its reply, "length" when `max_tokens` cut it off; None with an error.
    usage: token counts, where the engine knows them (`prompt_tokens`, `completion_tokens`).
    status: of HTTP, where a server refused the request, or answered it (200) without a text.
    """

    id: str
    text: str | None
    finish_reason: str | None = None
    error: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    status: int | None = None

    def __post_init__(self) -> None:
        if (self.text is None) == (self.error is None):
            raise ValueError(f"reply {self.id!r}: needs either a text or an error")


class Engine(Protocol):
    """Requests in, replies out: same order, same length; one failed request never loses the others.

    model_id: what run folders record. max_pixels, grid: the size of pictures (`prompt.budget_size`).
    family: what is particular to the model's family. Use engines in a `with` block: they hold memory or connections.
    """

    model_id: str
    max_pixels: int
    grid: int
    family: Family

    def generate(self, requests: Sequence[Request]) -> list[Reply]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def request_for(
    sample: Sample,
    engine: Engine,
    *,
    max_tokens: int = MAX_TOKENS,
    temperature: float = 0.0,
    seed: int | None = None,
    frame: Frame = Frame.UNIT_XYXY,
) -> Request:
    """The request that asks `engine` about `sample`, in the package's one prompt and the engine's pixel budget."""
    images = tuple(model_images(sample, engine.max_pixels, engine.grid))
    return Request(sample.id, build_prompt(sample, frame), images, max_tokens, temperature, seed, sample)


def family_from_name(model: str) -> Family:
    """The family that a model's name tells, for models whose config cannot be read; `generic` when it tells none.

    >>> family_from_name("Qwen/Qwen2.5-VL-7B-Instruct").name
    'qwen2.5-vl'
    """
    name = model.lower().replace("_", "-").replace("2-5", "2.5")
    plain = name.replace("-", "")
    named = (f for f in FAMILIES.values() if f.model_types)
    return next((f for f in named if f.name in name or f.name.replace("-", "") in plain), FAMILIES["generic"])


def chat_text(messages: Sequence[Message]) -> str:
    """All words of chat messages, without the pictures."""
    blocks: list[Any] = [
        b for m in messages for b in ([m["content"]] if isinstance(m["content"], str) else m["content"])
    ]
    return "".join(b if isinstance(b, str) else b.get("text", "") for b in blocks)
