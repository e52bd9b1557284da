"""What a build may spend on a teacher: tokens, or money at given prices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from ...errors import InputError, Paused


class Budget:
    """Lets requests through while the most that they can cost still fits.

    The most is what the completion may take and the larger of the prompt's estimate and the largest prompt that was
    ever billed. Until one was, requests go one at a time. So the budget is overspent only when a prompt is billed at
    more than both, by that excess for each request that was under way.

    tokens: of prompts and completions together; money: at `price_in` and `price_out` for a million tokens of prompts
    and of completions. None: no limit. spent: tokens of both kinds so far, a list that the owner keeps up to date.
    largest_prompt: in tokens, of the requests before; None: there were none.
    Raises `InputError` for limits in money without prices.
    """

    def __init__(
        self, tokens: float | None, money: float | None, price_in: float | None, price_out: float | None,
        spent: Sequence[int], largest_prompt: int | None = None,
    ) -> None:  # fmt: skip
        if money is not None and (price_in is None or price_out is None):
            raise InputError(f"budget {money:g}: money needs --price-in and --price-out, for a million tokens each")
        self._limits = (tokens, money)
        self._prices = (price_in or 0.0, price_out or 0.0)
        self._spent = spent
        self._reserved = [0, 0]
        self._largest_prompt = largest_prompt
        self._changed: asyncio.Condition | None = None

    def cost(self, tokens: Sequence[int]) -> tuple[int, float]:
        """Tokens and money that (prompt, completion) tokens cost."""
        money = sum(n * price for n, price in zip(tokens, self._prices, strict=True)) / 1e6
        return sum(tokens), money

    @asynccontextmanager
    async def room_for(self, prompt: int, completion: int) -> AsyncIterator[Callable[[int], None]]:
        """Hold so many tokens while a request is under way; waits while others hold too many.

        The function that comes with it is told the prompt's true tokens. Raises `Paused` when there is no room left.
        """
        self._changed = self._changed or asyncio.Condition()
        async with self._changed:
            while not self._fits(mine := (max(prompt, self._largest_prompt or 0), completion)):
                if not any(self._reserved):
                    raise Paused(self._message())
                await self._changed.wait()
            self._reserved = [a + b for a, b in zip(self._reserved, mine, strict=True)]
        try:
            yield self._learn
        finally:
            async with self._changed:
                self._reserved = [a - b for a, b in zip(self._reserved, mine, strict=True)]
                self._changed.notify_all()

    def _learn(self, prompt: int) -> None:
        self._largest_prompt = max(self._largest_prompt or 0, prompt)

    def _fits(self, mine: tuple[int, int]) -> bool:
        if self._largest_prompt is None and self._limits != (None, None) and any(self._reserved):
            return False
        wanted = self.cost([a + b + c for a, b, c in zip(self._spent, self._reserved, mine, strict=True)])
        return all(limit is None or cost <= limit for cost, limit in zip(wanted, self._limits, strict=True))

    def _message(self) -> str:
        tokens, money = self.cost(self._spent)
        limits = [f"{tokens} of {self._limits[0]:g} tokens"] if self._limits[0] is not None else []
        limits += [f"{money:.4g} of {self._limits[1]:g} in money"] if self._limits[1] is not None else []
        return (
            f"the budget is spent: {' and '.join(limits)}, and the next request may not fit; all replies are kept, "
            "go on with --resume and a larger --budget or --budget-tokens"
        )
