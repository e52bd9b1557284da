"""Options that would change nothing are refused: who gives one expects something of it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from ..errors import InputError
from .annotators import Asking
from .annotators.mixture import shares_of
from .depths import depth_kind
from .mix import Input

LIVE = {"rpm", "tpm", "budget", "budget_tokens", "timeout_s"}
"""Settings of a teacher behind a server, not of batch files, which others send."""


def refuse_idle(given: Input, depth_cache: Path | None, asking: Asking) -> None:
    """Raises `InputError` that names the option, what it is for, and what to do."""
    depths = ", ".join(dict.fromkeys(depth for _, depth, _ in given.depths))
    if depth_cache is not None and all(depth_kind(depth) != "model" for _, depth, _ in given.depths):
        raise InputError(
            f"--depth-cache keeps the maps of a depth model, but depth is {depths}: "
            "name a model (--depth auto), or leave the cache out"
        )
    for encoding in dict.fromkeys(encoding for *_, encoding in given.depths if encoding is not None):
        kinds = [(source, depth_kind(depth)) for source, depth, said in given.depths if said == encoding]
        if not any(kind == "folder" or (kind == "source" and source.depth) for source, kind in kinds):
            raise InputError(
                f"depth encoding {encoding!r} is for depth files, but none are read with depth {depths}: "
                "give their folder with --depth, or leave the encoding out"
            )
    _settings(given, asking)


def _settings(given: Input, asking: Asking) -> None:
    names = shares_of(given.annotator).keys()
    for field in fields(asking):
        if getattr(asking, field.name) == field.default:
            continue
        if field.name in LIVE and not any("@" in name for name in names):
            needed = "--annotator MODEL@URL"
        elif names == {"template"}:
            needed = "--annotator MODEL@URL or batch:MODEL"
        elif field.name == "price_in" and asking.price_out is None:
            needed = "--price-out"
        elif field.name == "price_out" and asking.price_in is None:
            needed = "--price-in"
        else:
            continue
        flag = f"--{field.name.replace('_', '-')}"
        raise InputError(
            f"{flag} needs {needed}, and the annotator is {', '.join(names)}; name it, or leave {flag} out"
        )
