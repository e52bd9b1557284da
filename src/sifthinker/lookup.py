"""Find a thing by its name in a hand-written table, or by `module:attribute` outside of it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, TypeVar

from .errors import InputError, unknown_name

T = TypeVar("T")


def pick(kind: str, name: str, table: Mapping[str, T]) -> T:
    """The entry `name` of `table`. Raises `InputError` with the nearest known names when there is no such entry."""
    if name not in table:
        raise unknown_name(kind, name, table)
    return table[name]


def lookup(kind: str, name: str, table: Mapping[str, Any]) -> Any:
    """The entry `name` of `table`, or the object that `module:attribute` names.

    Raises `InputError` with the nearest known names when there is no such entry, and with the
    reason when the module or attribute cannot be imported.
    """
    if name in table:
        return table[name]
    if ":" not in name:
        raise InputError(f"{unknown_name(kind, name, table)}; or give module:attribute")
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{kind} {name!r}: {error}; expected module:attribute that Python can import") from error
