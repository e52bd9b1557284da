"""Exceptions of the package.

    SifError                     anything this package raises on purpose
    ├── InputError               the caller's input is wrong; the command line exits with code 2
    │   ├── BoxError             a box is inverted, empty or outside its image
    │   └── EndpointError        a server cannot be reached or refuses the request
    ├── EngineError              a model failed to answer one request
    └── Paused                   the work stops here on purpose, and goes on when somebody has done something

Messages say what was expected, what came, where, and what to do. How errors are shown lives in `cli`.
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable, Iterator


class SifError(Exception):
    """Root of all exceptions raised on purpose by this package."""


class InputError(SifError, ValueError):
    """The caller's input (file, name, option, row) is wrong; the message says what to do."""


class BoxError(InputError):
    """A box is inverted, empty, not finite, or outside its image.

    `reason` is one of `box_inverted`, `box_empty`, `box_outside`, `box_not_finite`, `box_malformed`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class EndpointError(InputError):
    """A server cannot be reached or refuses the request."""


class EngineError(SifError):
    """A model failed to answer one request."""


class Paused(SifError):
    """The work stops here on purpose (a budget is spent, files wait for results); nothing is lost."""


def disk_full(error: BaseException) -> bool:
    """Whether an exception, or one of those that led to it, says that the disk is full.

    Only some libraries raise the plain `OSError`; torch and safetensors have words of their own, and datasets chains.
    """
    return any(
        (isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT)) or any(w in str(e) for w in _FULL)
        for e in _chain(error)
    )


_FULL = (
    "No space left on device", "os error 28", "PytorchStreamWriter failed writing", "inline_container.cc",
    "Not enough disk space",
)  # fmt: skip


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def words_of(error: Exception) -> str:
    """What an error says, without the addresses in memory that some name: the same in each process.

    >>> words_of(OSError("cannot identify image file <_io.BytesIO object at 0x7f2a>"))
    'cannot identify image file'
    """
    return re.sub(r" ?<[^<>]* object at 0x\w+>", "", str(error))


FEW_NAMES = 30
"""So many names are listed in a message; of longer tables, those that contain a part of the wrong name."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known names as a question, nothing where none is near.

    >>> did_you_mean("SIF50k", ["sif-50k", "tiny-sft"])
    ": did you mean 'sif-50k'?"
    """
    lower = {k.lower(): str(k) for k in known}
    near = [lower[k] for k in difflib.get_close_matches(name.lower(), lower, n=2, cutoff=0.5)]
    return f": did you mean {' or '.join(map(repr, near))}?" if near else ""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """An `InputError` for a name that is not in a table, with the nearest known names.

    >>> str(unknown_name("reward", "fokus", ["form", "focus"]))
    "unknown reward 'fokus': did you mean 'focus'? Known: focus, form"
    """
    known = sorted(known)
    hint = did_you_mean(name, known) or "."
    if len(known) > FEW_NAMES:
        parts = [part for part in re.split(r"[^a-z0-9]+", name.lower()) if len(part) > 2]
        alike = [k for k in known if any(part in k for part in parts)][:FEW_NAMES] or known[:3]
        listed = f"{', '.join(alike)}, and others (`sifthinker list {kind}s` shows all {len(known)})"
    else:
        listed = ", ".join(known)
    return InputError(f"unknown {kind} {name!r}{hint} Known: {listed}")
