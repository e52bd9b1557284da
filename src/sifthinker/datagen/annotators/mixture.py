"""Several annotators with their shares."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from math import isclose
from typing import TYPE_CHECKING

from ...errors import InputError
from ...executors import process_pool
from ..outcome import Reject
from ..seeds import row_rng
from .job import Answer, Item, Words, settled
from .stream import in_order
from .template import TemplateAnnotator

if TYPE_CHECKING:
    from .teacher import Teacher


def shares_of(name: str | Mapping[str, float]) -> dict[str, float]:
    """Shares by name; a single name has all.

    >>> shares_of("template:0.25,m@http://localhost:8000/v1:0.75")
    {'template': 0.25, 'm@http://localhost:8000/v1': 0.75}
    """
    if isinstance(name, str) and "," not in name:
        return {name: 1.0}
    form = "expected NAME:SHARE,NAME:SHARE with shares that add up to 1, as in template:0.5,MODEL@URL:0.5"
    try:
        pairs = name.items() if isinstance(name, Mapping) else [p.strip().rsplit(":", 1) for p in name.split(",")]
        shares = {str(part): float(share) for part, share in pairs}
    except (ValueError, TypeError) as error:
        raise InputError(f"annotator {name!r}: {form}") from error
    if len(shares) != len(list(pairs)) or min(shares.values()) <= 0 or not isclose(sum(shares.values()), 1):
        raise InputError(f"annotator {name!r}: {form}")
    return shares


def without_addresses(name: str | Mapping[str, float]) -> str | dict[str, float]:
    """An annotator without the addresses of its servers: what it writes depends on the model, wherever that runs.

    >>> without_addresses("m@http://localhost:8000/v1"), without_addresses("template:0.25,m@http://localhost/v1:0.75")
    ('m', {'template': 0.25, 'm': 0.75})
    """
    shares: dict[str, float] = {}
    for part, share in shares_of(name).items():
        model = model_of(part)
        shares[model] = shares.get(model, 0.0) + share
    return shares if len(shares) > 1 else next(iter(shares))


def model_of(part: str) -> str:
    """The model of MODEL@URL; other names are as they are."""
    return re.split(r"@(?=https?://)", part, maxsplit=1)[0]


class Mixture:
    """Each sample's annotator is drawn by its id, so that neither order nor concurrency matters."""

    def __init__(
        self,
        parts: Mapping[str, TemplateAnnotator | Teacher],
        shares: Mapping[str, float],
        seed: int,
        workers: int = 1,
    ) -> None:
        """workers: processes that draw what all teachers together see, if more than 1."""
        self.parts, self.shares, self.seed, self.workers = parts, shares, seed, workers
        self.name = ",".join(f"{parts[name].name}:{share:g}" for name, share in shares.items())

    def annotate(self, items: Iterable[Item]) -> Iterator[tuple[Item, Words | Reject]]:
        window = max(getattr(part, "window", 1) for part in self.parts.values())
        with process_pool(self.workers) as drawers:
            yield from settled(in_order(items, partial(self._session, drawers), window))

    def drawn(self, id_: str) -> str:
        """Who writes for the sample with this id."""
        names = sorted(self.shares)
        rng = row_rng(self.seed, f"annotator {id_}")
        return names[int(rng.choice(len(names), p=[self.shares[name] for name in names]))]

    @asynccontextmanager
    async def _session(self, drawers: Executor | None) -> AsyncIterator[Callable[[Item], Awaitable[Answer]]]:
        async with AsyncExitStack() as stack:
            write = {name: await stack.enter_async_context(part.session(drawers)) for name, part in self.parts.items()}

            async def work(item: Item) -> Answer:
                return item if isinstance(item, Reject) else await write[self.drawn(item.sample.id)](item)

            yield work
