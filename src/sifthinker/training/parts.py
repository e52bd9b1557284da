"""Loss on parts of a completion alone, as a pattern finds them in its text.

A trace has some hundred tokens, most of them digits of boxes. What is said in one or two of them, such as which of two
things was named first, is lost in the noise of the others' gradients, however long one trains. A short stage on these
tokens alone teaches it, and later stages on everything keep it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError

IGNORED = -100
"""The label of tokens that have no loss."""


def pattern_of(only: str) -> re.Pattern[str]:
    """The pattern. Raises `InputError` where it is none, or finds the empty text."""
    try:
        found = re.compile(only)
    except re.error as error:
        raise InputError(f"only: {only!r} is no regular expression ({error})") from error
    if found.search(""):
        raise InputError(f"only: {only!r} matches the empty text, so it says nothing of what is to be learned")
    return found


def refuse_without(only: str, folder: str | Path, texts: Iterable[str]) -> None:
    """Raises `InputError` where some texts hold no match: their rows would teach nothing."""
    pattern = pattern_of(only)
    found = [pattern.search(text) is not None for text in texts]
    if not all(found):
        raise InputError(
            f"{folder}: {found.count(False)} of {len(found)} rows teach nothing that {only!r} matches, first row "
            f"{found.index(False)}: make the data set of such tasks alone, or change `only`"
        )


class PartsCollator:
    """Takes what a collator makes and keeps the labels of those tokens alone that a match of `only` touches.

    The pattern is held against the same text as by `refuse_without`: the completion, without what ends the turn.
    """

    def __init__(self, collate: Callable[[Any], dict[str, Any]], tokenizer: Any, only: str) -> None:
        self.collate, self.tokenizer, self.pattern = collate, tokenizer, pattern_of(only)

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        # First, since TRL's collators write into the messages they are given.
        texts = [row["completion"][0]["content"] for row in rows]
        batch = self.collate(rows)
        for text, labels in zip(texts, batch["labels"], strict=True):
            (taught,) = (labels != IGNORED).nonzero(as_tuple=True)
            labels[taught[~self._matched(text, labels[taught])]] = IGNORED
        return batch

    def _matched(self, text: str, ids: torch.Tensor) -> torch.Tensor:
        """Which of the tokens of a completion are in a match, shape (tokens,). ids: with those that end its turn."""
        whole = self.tokenizer.decode(ids)
        found = self.tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
        start = whole.find(text)
        if start < 0 or found["input_ids"] != ids.tolist():
            raise InputError(f"only: the tokenizer does not read its own text as it wrote it: {whole[:200]!r}")
        spans = [(start + match.start(), start + match.end()) for match in self.pattern.finditer(text)]
        return torch.tensor([any(a < end and first < b for first, end in spans) for a, b in found["offset_mapping"]])
