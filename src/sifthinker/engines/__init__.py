"""Engines: whatever answers a request, behind one protocol.

`open_engine` finds one by the name users give with `--model`: a hub id or folder (`local`), `server:MODEL@URL`,
`scripted:FILE`, `oracle`, `blind`, or `module:attribute` of a function that makes an engine.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, unknown_name
from ..lookup import lookup
from .blind import BlindEngine
from .engine import MAX_TOKENS, Engine, Reply, Request, request_for
from .local import LocalEngine
from .oracle import OracleEngine
from .scripted import ScriptedEngine
from .server import ServerEngine

__all__ = ["ENGINES", "MAX_TOKENS", "Engine", "EngineKind", "Reply", "Request", "open_engine", "request_for"]


@dataclass(frozen=True)
class EngineKind:
    """A line of the table: how the engine is opened (what stands behind its prefix, options), and one line about it.

    alone: whether its name is all, without colon and anything behind it.
    """

    open: Callable[..., Engine]
    about: str
    alone: bool = False


ENGINES: dict[str, EngineKind] = {
    "local": EngineKind(
        LocalEngine, "a hub id or folder (model or LoRA adapter) through transformers, on this machine"
    ),
    "server": EngineKind(ServerEngine, "MODEL@URL of any OpenAI-compatible server: vLLM, SGLang, llama.cpp, cloud"),
    "scripted": EngineKind(
        ScriptedEngine, "replies from a JSON lines file, for tests and for reading recorded replies"
    ),
    "oracle": EngineKind(
        OracleEngine, "exact answers to generated scenes and StepGame, by asking the known world again", alone=True
    ),
    "blind": EngineKind(
        BlindEngine, "the best constant answer of each task: what can be had without looking", alone=True
    ),
}


def open_engine(model: str, **options: Any) -> Engine:
    """The engine that a model's name stands for; use it in a `with` block.

    model: hub id or folder, `server:MODEL@URL`, `scripted:FILE`, `oracle`, `blind` (a folder of that name is
    `./oracle`), or `module:attribute` of a callable that takes `options` and returns an engine.
    options: of that engine, for example `max_pixels`.

    Raises `InputError` for unknown names (with suggestions) and options, and when model or server cannot be reached.
    """
    prefix, colon, rest = model.partition(":")
    if prefix in ENGINES and ENGINES[prefix].alone:
        if colon:
            raise InputError(f"engine {model!r}: {prefix} stands alone, without a colon")
        return ENGINES[prefix].open(**_known(prefix, ENGINES[prefix].open, options))
    if not colon or Path(model).exists():
        prefix, rest = "local", model
    kind = ENGINES.get(prefix)
    if kind is None and difflib.get_close_matches(prefix, ENGINES, cutoff=0.6):
        raise unknown_name("engine", prefix, ENGINES)
    if kind is None:
        maker = lookup("engine", model, {})
        return maker(**_known(model, maker, options))
    if not rest:
        raise InputError(f"engine {model!r}: expected something behind the colon: {kind.about}")
    return kind.open(rest, **_known(prefix, kind.open, options))


def _known(name: str, maker: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(maker).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return options
    for option in options:
        if option not in parameters:
            takes = ", ".join(n for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY) or "none"
            raise InputError(f"engine {name!r} has no option {option!r}; it takes: {takes}")
    return options
