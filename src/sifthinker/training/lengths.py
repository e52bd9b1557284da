"""How long the prompts of a data set are, and what is done with those that are longer than a model takes.

A prompt with pictures is never cut: what is missing then is part of a picture, or the question. A count follows from
the question's words and the size of the photo, which stands in its file's header; no picture is decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tqdm import tqdm

from ..engines.processor import model_config, pixel_grid
from ..errors import InputError, unknown_name
from ..geometry import Size
from ..prompt import budget_size, messages, model_images
from ..records import Row, from_row
from ..sample import photo_size
from .data import stored_text

TOO_LONG = ("error", "drop", "resize")
"""What is done with a prompt that is too long: end, leave the row out, or make its pictures smaller."""
SMALLEST = 16
"""Pictures are not made smaller than so many cells of the model's grid."""
BATCH = 256
"""Rows whose words are tokenized together."""
PROVEN = 4
"""So many rows are counted by the whole processor, too; where that disagrees, it counts all of them."""
NAMED = 5
"""So many ids are named in a message."""


@dataclass(frozen=True, slots=True)
class Length:
    """Tokens of one row.

    words: of the prompt without its pictures. pictures: of all its pictures; None where the photo cannot be read.
    completion: of the gold completion, with what ends a turn; 0 where there is none.
    size: of the photo in pixels. count: of pictures.
    """

    id: str
    words: int
    pictures: int | None
    completion: int
    size: Size | None
    count: int

    @property
    def prompt(self) -> int | None:
        """Tokens of the whole prompt; None where the photo cannot be read."""
        return None if self.pictures is None else self.words + self.pictures


@dataclass(frozen=True)
class Fit:
    """What becomes of the rows. keep: their numbers. pixels: of those made smaller, by id, the budget of one picture.
    dropped, stuck: ids of rows that are left out, and that end the run."""

    keep: list[int]
    pixels: dict[str, int] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ruler:
    """Counts tokens as the model's own processor does, and holds rows against a limit.

    processor: of the model. max_pixels, grid: of the pictures; see `prompt.budget_size`.
    target: what the completion is; see `data.TARGETS`.
    limit: tokens of a prompt at most, by the config; None: no limit there.
    room: tokens of prompt and completion together that the model has positions for; None: it does not say.
    completion: tokens of `room` that a completion may take; None: each row's own.
    too_long: one of `TOO_LONG`.
    """

    processor: Any
    max_pixels: int
    grid: int
    target: str = "trace"
    limit: int | None = None
    room: int | None = None
    completion: int | None = None
    too_long: str = "error"
    _pictures: dict[Size, int] = field(default_factory=dict, compare=False, repr=False)

    def allowed(self, row: Length) -> int | None:
        """Tokens that this row's prompt may have; None: any number."""
        own = row.completion if self.completion is None else self.completion
        limits = [n for n in (self.limit, None if self.room is None else self.room - own) if n is not None]
        return min(limits, default=None)

    def lengths(self, rows: Iterable[Row], total: int) -> list[Length]:
        """The tokens of every row, in order. total: their number, for the progress bar."""
        count, found = self._from_sizes, []
        with tqdm(total=total, desc="token lengths", unit="row") as bar:
            for batch in _batches(rows):
                if not found and not self._proven(batch[:PROVEN]):
                    count = self._processed
                found += count(batch)
                bar.update(len(batch))
        return found

    def fit(self, lengths: Sequence[Length]) -> Fit:
        """What is done with each row by `too_long`. Rows whose photo cannot be read are left to `data`."""
        made = Fit([])
        for number, row in enumerate(lengths):
            allowed = self.allowed(row)
            if row.prompt is None or allowed is None or row.prompt <= allowed:
                made.keep.append(number)
            elif self.too_long == "drop":
                made.dropped.append(row.id)
            elif self.too_long == "resize" and (pixels := self._smaller(row, allowed)):
                made.keep.append(number)
                made.pixels[row.id] = pixels
            else:
                made.stuck.append(row.id)
        return made

    def refuse(self, lengths: Sequence[Length], fit: Fit) -> None:
        """Raise `InputError` with the first ids and how many there are, when rows are stuck or none is left."""
        if fit.stuck:
            raise InputError(self.says(lengths, fit))
        if not fit.keep:
            raise InputError(f"{self.says(lengths, fit)}, and none is left")

    def says(self, lengths: Sequence[Length], fit: Fit) -> str:
        """What is too long and what becomes of it, in one line; "" where nothing is."""
        ids = set(fit.dropped) | set(fit.stuck) | set(fit.pixels)
        long = [row for row in lengths if row.id in ids]
        if not long:
            return ""
        longest = max(long, key=lambda row: row.prompt or 0)
        named = ", ".join([row.id for row in long[:NAMED]] + ["..."] * (len(long) > NAMED))
        what = (
            f"{len(long)} of {len(lengths)} prompts are too long ({named}; the longest has {longest.prompt} tokens, "
            f"{self.allowed(longest)} are allowed by {self._why(longest)})"
        )
        if fit.dropped:
            return f"{what}: their rows are dropped"
        if fit.pixels and not fit.stuck:
            return f"{what}: their pictures are made smaller"
        if self.too_long == "resize":
            return f"{what}: {len(fit.stuck)} do not fit even with pictures of {SMALLEST} cells; set too_long to drop"
        return f"{what}: set too_long to drop or resize, or lower max_pixels"

    def _why(self, row: Length) -> str:
        if self.allowed(row) == self.limit:
            return "max_prompt_tokens"
        return f"the model's {self.room} positions less the completion"

    def _smaller(self, row: Length, allowed: int) -> int | None:
        """The pixel budget of a picture at which the prompt fits; None if there is none."""
        if row.size is None or pixel_grid(self.processor) is None:
            return None
        width, height = budget_size(row.size, self.max_pixels, self.grid)
        cell = self.grid**2
        cells = (allowed - row.words) // row.count
        return cells * cell if cells >= min(SMALLEST, width * height // cell) else None

    def _proven(self, rows: Sequence[Row]) -> bool:
        """Whether the processor makes as many tokens of some rows as their sizes tell."""
        both = zip(self._from_sizes(rows), self._processed(rows), strict=True)
        return all(told.prompt == real.prompt for told, real in both if real.prompt is not None)

    def _from_sizes(self, rows: Sequence[Row]) -> Iterator[Length]:
        """Lengths from words and sizes alone."""
        tokens, completions = self._words(rows)
        for row, words, completion in zip(rows, tokens, completions, strict=True):
            count = len(row["images"])
            size = _size(row) if count else None
            shown = None if size is None else budget_size(size, self.max_pixels, self.grid)
            pictures = 0 if not count else None if shown is None else count * self._picture(shown)
            yield Length(row["id"], words - count, pictures, completion, size, count)

    def _picture(self, size: Size) -> int:
        """Tokens of one picture, as the processor tells; -1, which no processor agrees with, where it does not tell."""
        tell = getattr(self.processor, "_get_num_multimodal_tokens", None)
        if tell is None:
            return -1
        if size not in self._pictures:
            (self._pictures[size],) = tell(image_sizes=[(size[1], size[0])])["num_image_tokens"]
        return self._pictures[size]

    def _processed(self, rows: Sequence[Row]) -> Iterator[Length]:
        """Lengths by the whole processor, pictures and all."""
        tokens, completions = self._words(rows)
        for row, words, completion in zip(rows, tokens, completions, strict=True):
            count = len(row["images"])
            try:
                images = model_images(from_row(row)[0], self.max_pixels, self.grid)
            except InputError:
                yield Length(row["id"], words - count, None, completion, None, count)
                continue
            ids = self.processor(images=[images] if images else None, text=[self._text(row)])["input_ids"]
            yield Length(row["id"], words - count, len(ids[0]) - words + count, completion, _size(row), count)

    def _words(self, rows: Sequence[Row]) -> tuple[list[int], list[int]]:
        """Tokens of the prompts, each picture as one, and of the completions."""
        texts = [self._text(row) for row in rows]
        taught = [self._taught(row, text) for row, text in zip(rows, texts, strict=True)]
        ids = self.processor.tokenizer([*texts, *taught])["input_ids"]
        return [len(one) for one in ids[: len(rows)]], [len(one) for one in ids[len(rows) :]]

    def _text(self, row: Row) -> str:
        return self._render(_asked(row), add_generation_prompt=True)

    def _render(self, chat: Any, **options: Any) -> str:
        return self.processor.apply_chat_template(chat, tokenize=False, **options)

    def _taught(self, row: Row, prompt: str) -> str:
        """The completion with what ends its turn; "" where the row has none."""
        if not row["completion"]:
            return ""
        said = stored_text(self.target, row)
        reply = {"role": "assistant", "content": [{"type": "text", "text": said}]}
        whole = self._render([*_asked(row), reply])
        return whole.removeprefix(prompt) if whole.startswith(prompt) else said


def ruler_of(config: Any, args: Any, processor: Any, grid: int) -> Ruler:
    """The ruler of an SFT or GRPO config (ours and TRL's). Raises `InputError` for limits that leave no prompt."""
    if config.too_long not in TOO_LONG:
        raise unknown_name("too_long", config.too_long, TOO_LONG)
    if config.max_prompt_tokens is not None and config.max_prompt_tokens < 1:
        raise InputError(f"max_prompt_tokens {config.max_prompt_tokens}: expected at least 1")
    room = getattr(model_config(config.model).get_text_config(), "max_position_embeddings", None)
    completion = getattr(args, "max_completion_length", None)
    if room is not None and completion is not None and completion >= room:
        raise InputError(
            f"max_completion_length {completion} leaves no room for prompts: the model has {room} positions"
        )
    return Ruler(
        processor, config.max_pixels, grid, getattr(config, "target", "trace"), config.max_prompt_tokens, room,
        completion, config.too_long,
    )  # fmt: skip


def _asked(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    return messages(row["question"], row["choices"], photo=bool(row["images"]), depth=row["depth"] is not None)


def _size(row: Row) -> Size | None:
    try:
        return photo_size(row["images"][0]["bytes"])
    except InputError:
        return None


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rest = iter(rows)
    while batch := list(islice(rest, BATCH)):
        yield batch
