"""Who writes the words of a chain: templates (`template`), a teacher model behind a server or batch files (`teacher`),
or several of them (`mixture`).

`asking` holds a teacher's settings, `chat` what it is asked, `reading` what makes a reply usable (`early`, `language`),
`replies` those that were bought, `budget` what may be spent, `batch` the files of batch services, `stream` many
requests at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from .asking import Asking
from .job import Annotator, Item, Job, Words
from .mixture import Mixture, shares_of
from .template import TemplateAnnotator

if TYPE_CHECKING:
    from .teacher import Teacher

__all__ = ["Annotator", "Asking", "Item", "Job", "TemplateAnnotator", "Words", "open_annotator"]


def open_annotator(
    name: str | Mapping[str, float],
    seed: int,
    out: Path,
    asking: Asking = Asking(),  # noqa: B008 - frozen
    workers: int = 1,
) -> Annotator:
    """`template`, `MODEL@URL` of an OpenAI-compatible server, `batch:MODEL`, or several with their shares:
    `template:0.5,MODEL@URL:0.5`, or a mapping from name to share.

    out: the data set folder, in which replies are kept. workers: processes that draw what teachers see, if more than 1.
    Raises `InputError` for other names and shares, `EndpointError` when a server cannot be reached.
    """
    shares = shares_of(name)
    if sum(part.startswith("batch:") for part in shares) > 1:
        raise InputError(f"annotator {name!r}: expected one batch:MODEL at most")
    parts: dict[str, TemplateAnnotator | Teacher] = {}
    account = None
    for part in shares:
        if part == "template":
            parts[part] = TemplateAnnotator(seed)
            continue
        from .teacher import open_account, open_teacher

        account = account or open_account(out, asking)
        parts[part] = open_teacher(part, seed, out, asking, account, workers)
    return Mixture(parts, shares, seed, workers) if len(parts) > 1 else next(iter(parts.values()))
