"""When a server may be asked, and when it may be asked again: rates, pauses, and which failures pass by themselves."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

PASSING = frozenset({408, 409, 425, 429})
"""Statuses below 500 after which the same request may succeed later; all from 500 on may, too."""
OUT_OF_CREDIT = ("insufficient_quota", "billing_hard_limit_reached")
"""Codes of status 429 that no waiting helps against."""
LONGEST_PAUSE_S = 60.0
LONGEST_ASKED_S = 600.0
"""A server that asks for a longer pause than this is given up on; somebody should look at it."""


class Pace:
    """Spreads units (requests, tokens) evenly, at most `per_minute` a minute; None: no limit."""

    def __init__(self, per_minute: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._unit_s = 0.0 if per_minute is None else 60.0 / per_minute
        self._clock = clock
        self._free_at = clock()

    def take(self, units: float) -> float:
        """Take so many units; returns the seconds to wait before they may be used."""
        now = self._clock()
        start = max(now, self._free_at)
        self._free_at = start + units * self._unit_s
        return start - now

    def correct(self, units: float) -> None:
        """So many units more (negative: fewer) were used than taken."""
        self._free_at += units * self._unit_s


def may_pass(status: int, code: str | None = None) -> bool:
    """Whether a request that failed with this HTTP status may succeed when it is sent again."""
    return (status in PASSING or status >= 500) and code not in OUT_OF_CREDIT


def pause_s(attempt: int, first_s: float, headers: Mapping[str, str] | None = None) -> float:
    """Seconds before try `attempt` + 1 (from 0): what Retry-After asks for and a little more, else twice as long each
    time. Drawn at random, so that requests which failed together do not come back together."""
    asked = None if headers is None else retry_after_s(headers)
    if asked is not None:
        return asked + random.uniform(0, 0.1 * asked + first_s)
    return random.uniform(0.5, 1.0) * min(first_s * 2**attempt, LONGEST_PAUSE_S)


def retry_after_s(headers: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float | None:
    """Seconds for which a server asks to be left alone: a number, or until an HTTP date; None if it does not.

    >>> retry_after_s({"retry-after": "7"}), retry_after_s({"retry-after-ms": "250"}), retry_after_s({})
    (7.0, 0.25, None)
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            return max(0.0, float(value) * unit)
        except ValueError:
            pass
        try:
            return max(0.0, (parsedate_to_datetime(value) - now()).total_seconds())
        except (TypeError, ValueError):
            continue
    return None
