"""Models on this machine, through transformers: hub ids, folders, and LoRA adapter folders.

Everything about generation is said here: nothing is taken over from a model's generation config but its end tokens,
since those of the hub carry sampling settings and a repetition penalty that would spoil boxes. Several machines,
quantization and speculative decoding are left to servers (`server`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..errors import InputError
from ..hub import check_name
from ..models import located
from ..prompt import DEFAULT_MAX_PIXELS, Family, family_of
from .engine import Reply, Request
from .processor import load_model, load_processor, pixel_budget, pixel_grid, vision_ids
from .stamp import compare_stamp

if TYPE_CHECKING:
    import torch

FAILURES = (RuntimeError, ValueError, LookupError)
"""What a bad row or too little memory raises inside of transformers and torch (out of memory is a RuntimeError)."""


class LocalEngine:
    """A transformers image-text-to-text model and its processor.

    path: hub id, folder, or folder of a LoRA adapter. max_pixels: of one picture; None for what the folder says.
    device: "cuda", "cuda:1", "mps", "cpu"; None takes the first there is.
    dtype: None is bfloat16 on accelerators and float32 on CPU.

    Greedy at temperature 0. Else each row draws from its own generator, so that a reply depends on the request's seed
    and not on the rows beside it (up to rounding). Rows that fail together are tried again by halves; what was too
    much for the memory once is not tried again.

    Raises `InputError` when there is no such model, or it takes no images.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_pixels: int | None = None,
        device: str | None = None,
        dtype: str | None = None,
    ) -> None:
        check_name(located(path), "a model")
        try:
            import torch
        except ImportError as error:
            raise InputError(f"{path}: running a model here needs torch: pip install 'sifthinker[train]'") from error

        self.model_id = str(path)
        self.device = device or _best_device()
        if dtype is None:
            dtype = "float32" if self.device == "cpu" else "bfloat16"
        if not isinstance(getattr(torch, dtype, None), torch.dtype):
            raise InputError(f"unknown dtype {dtype!r}: expected bfloat16, float16 or float32")
        self.processor: Any = load_processor(path, max_pixels=max_pixels)
        model: Any = load_model(path, dtype=dtype)
        try:
            self.model: Any = model.to(self.device).eval()
        except (RuntimeError, AssertionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{path}: the model cannot be put on device {self.device!r} ({reason})") from error
        self.family: Family = family_of(self.model.config.model_type)
        self.grid = pixel_grid(self.processor) or self.family.grid
        self.max_pixels = max_pixels or pixel_budget(self.processor) or DEFAULT_MAX_PIXELS
        compare_stamp(path, self.max_pixels)
        self._most: int | None = None
        self._ends = _ids(self.model.generation_config.eos_token_id) or _ids(self.processor.tokenizer.eos_token_id)
        self._banned = vision_ids(self.processor, self.model.config)

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order, all generated together. Rows that fail come back as replies with an error."""
        replies: list[Reply] = []
        while rest := requests[len(replies) :]:
            replies += self._attempt(rest[: self._most])
        return replies

    def _attempt(self, rows: Sequence[Request]) -> list[Reply]:
        import torch

        half = len(rows) // 2
        try:
            return self._batch(rows)
        except FAILURES as error:
            # Kept as text: the exception's frames would hold on to the memory of the failed batch.
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            if half and isinstance(error, torch.OutOfMemoryError):
                self._most = half
        if not half:
            return [Reply(rows[0].id, None, error=reason)]
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        return self.generate(rows[:half]) + self.generate(rows[half:])

    def _batch(self, rows: Sequence[Request]) -> list[Reply]:
        import torch
        from transformers import LogitsProcessorList

        inputs = self._inputs(rows)
        width = inputs["input_ids"].shape[1]
        draw = LogitsProcessorList([_row_sampler(rows, self.device)] if any(r.temperature > 0 for r in rows) else [])
        with torch.inference_mode():
            output = self.model.generate(
                **inputs,
                logits_processor=draw,
                do_sample=False,
                num_beams=1,
                repetition_penalty=1.0,
                no_repeat_ngram_size=0,
                temperature=1.0,
                top_p=1.0,
                top_k=50,
                max_new_tokens=max(row.max_tokens for row in rows),
                suppress_tokens=self._banned or None,
                eos_token_id=self._ends or None,
                pad_token_id=self.processor.tokenizer.pad_token_id,
            )
        used = inputs["attention_mask"].sum(dim=1).tolist()
        return [
            self._reply(row, tokens, prompt)
            for row, tokens, prompt in zip(rows, output[:, width:].tolist(), used, strict=True)
        ]

    def _inputs(self, rows: Sequence[Request]) -> Any:
        for row in rows:
            blocks = [b for m in row.messages if not isinstance(m["content"], str) for b in m["content"]]
            if (count := sum(b["type"] == "image" for b in blocks)) != len(row.images):
                raise ValueError(f"request {row.id!r} has {count} image blocks and {len(row.images)} pictures")
        texts = [
            self.processor.apply_chat_template(row.messages, add_generation_prompt=True, tokenize=False) for row in rows
        ]
        images = [list(row.images) for row in rows] if all(row.images for row in rows) else None
        if images is None and any(row.images for row in rows):
            raise ValueError("rows with and without pictures in one batch")
        inputs = self.processor(text=texts, images=images, padding=True, return_tensors="pt")
        return inputs.to(self.device, dtype=self.model.dtype)

    def _reply(self, row: Request, tokens: list[int], prompt_tokens: int) -> Reply:
        end = next((n for n, token in enumerate(tokens) if token in self._ends), None)
        ended = end is not None and end < row.max_tokens
        tokens = tokens[: end if ended else row.max_tokens]
        text = self.processor.tokenizer.decode(tokens, skip_special_tokens=True)
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": len(tokens) + ended}
        return Reply(row.id, text, "stop" if ended else "length", usage=usage)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the model and its memory."""
        self.model = None
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()


def _row_sampler(rows: Sequence[Request], device: str) -> Any:
    """A logits processor that turns the greedy choice into a draw, row by row.

    argmax(logits / T + g) with Gumbel noise g is a draw from softmax(logits / T), so rows of several temperatures and
    seeds, and greedy ones, share a batch.
    """
    import torch
    from transformers import LogitsProcessor

    generators: list[torch.Generator] = []
    for row in rows:
        generator = torch.Generator()
        if row.seed is None:
            generator.seed()
        else:
            generator.manual_seed(row.seed)
        generators.append(generator)

    class GumbelRows(LogitsProcessor):
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            scores = scores.float()
            for number, (row, generator) in enumerate(zip(rows, generators, strict=True)):
                if row.temperature > 0:
                    # On the CPU, so that a seed draws the same numbers on every device.
                    noise = -torch.empty(scores.shape[1]).exponential_(generator=generator).log()
                    scores[number] = scores[number] / row.temperature + noise.to(device)
            return scores

    return GumbelRows()


def _best_device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _ids(value: int | list[int] | None) -> list[int]:
    return [] if value is None else [value] if isinstance(value, int) else list(value)
