"""How a teacher is asked: how fast, how much, in which language."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asking:
    """Settings of a teacher; templates need none of them."""

    concurrency: int = 32
    """Requests with the server at the same time."""
    rpm: float | None = None
    """Requests a minute at most."""
    tpm: float | None = None
    """Tokens a minute at most."""
    budget: float | None = None
    """Money that the whole data set may cost, over all runs; needs both prices."""
    budget_tokens: float | None = None
    """Tokens that the whole data set may cost, of prompts and replies together."""
    price_in: float | None = None
    """Money for a million tokens of prompts."""
    price_out: float | None = None
    """Money for a million tokens of replies."""
    repairs: int = 1
    """How often a faulty reply is shown to the teacher with its fault, before the row is rejected."""
    language: str = "English"
    """Of the words. Only English is checked, and lightly (`language.not_english`)."""
    replies: Path | None = None
    """A data set folder, or its replies/, whose replies are used where the same is asked."""
    timeout_s: float = 300.0
    """For one try of a request."""
    retries: int = 6
    """Further tries after what may pass by itself."""
    pause_s: float = 1.0
    """Before the second try; the pauses after it grow."""
