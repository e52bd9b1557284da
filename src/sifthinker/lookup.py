"""Find a thing by its name in a hand-written table, or by `module:attribute` outside of it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from .errors import InputError, unknown_name


def lookup(kind: str, name: str, table: Mapping[str, Any]) -> Any:
    """The entry `name` of `table`, or the object that `module:attribute` names.

    Raises `InputError` with the nearest known names when there is no such entry, and with the
    reason when the module or attribute cannot be imported.
    """
    if name in table:
        return table[name]
    if ":" not in name:
        raise unknown_name(kind, name, table)
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{kind} {name!r}: {error}; expected module:attribute that Python can import") from error
