"""What vLLM is given, and that a vLLM which reads another prompt or has other weights is found out at the start.

vLLM itself needs a GPU; its place is taken by the model's own `generate`, behind the interface that TRL has for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sifthinker.engines.processor import load_processor
from sifthinker.errors import InputError
from sifthinker.training.trl_adapter import SifGRPOTrainer
from sifthinker.training.vllm import collapsed
from tests.tiny_models import save_tiny_qwen
from tests.training.test_shared_prefix import rows_of, trainer_of


class Engine:
    """Expands pictures with limits of its own, and draws one completion for each row."""

    def __init__(self, model: Any, processor: Any, max_pixels: int, temperature: float = 1.0) -> None:
        self.model, self.temperature = model, temperature
        self.processor, self.synced, self.given = processor, 0, []
        self.processor.image_processor.size = {"shortest_edge": 28 * 28, "longest_edge": max_pixels}

    def sync_weights(self) -> None:
        self.synced += 1

    @torch.no_grad()
    def generate(self, prompts: Any, images: Any, num_generations: int) -> tuple:
        self.given.append(prompts)
        read, said, logps = [], [], []
        token = self.model.config.image_token_id
        for ids, pictures in zip(prompts, images, strict=True):
            fields = self.processor.image_processor(images=pictures, return_tensors="pt")
            merge = self.processor.image_processor.merge_size**2
            sizes = iter((fields["image_grid_thw"].prod(-1) // merge).tolist())
            whole = [t for one in ids for t in ([token] * next(sizes) if one == token else [one])]
            kinds = torch.tensor([[int(t == token) for t in whole]])
            logits = self.model(input_ids=torch.tensor([whole]), mm_token_type_ids=kinds, **fields).logits[0, -1]
            known = (logits / self.temperature).log_softmax(-1)
            drawn = int(torch.multinomial(known.exp(), 1))
            read.append(whole)
            said.append([drawn, 7])
            logps.append([[float(known[drawn])], [-1.0]])
        return read, said, logps, None


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_qwen(tmp_path_factory.mktemp("vllm"), "qwen2_5_vl")


def ask(model: Path, folder: Path, max_pixels: int = 96 * 64, temperature: float = 1.0) -> tuple[Any, Engine, Any]:
    trainer = trainer_of(SifGRPOTrainer, model, folder, 4, 2)
    # Logits that are far from flat, so that another temperature or picture shows.
    torch.manual_seed(0)
    torch.nn.init.normal_(trainer.model.lm_head.weight, std=0.5)
    engine = Engine(trainer.model, load_processor(model, max_pixels=96 * 64), max_pixels, temperature)
    trainer.use_vllm, trainer.vllm_mode, trainer.vllm_generation = True, "colocate", engine
    trainer._last_loaded_step = -1
    trainer._inputs = rows_of([2, 2], 2)
    trainer.model.train()
    ids, _, _ = trainer._tokenize_prompts([row["prompt"] for row in trainer._inputs])
    return trainer, engine, lambda: trainer._generate_single_turn(ids, None, {}, 2)


def test_an_engine_that_agrees(model: Path, tmp_path: Path) -> None:
    trainer, engine, generate = ask(model, tmp_path)
    said, logps = generate()
    assert len(said) == len(logps) == 4
    assert all(len(one) == 2 for one in logps)
    token = trainer.model.config.image_token_id
    assert [ids.count(token) for ids in engine.given[0]] == [2, 2, 2, 2]
    generate()
    assert engine.synced == 1, "weights are sent once a step"


def test_an_engine_with_other_pixel_limits(model: Path, tmp_path: Path) -> None:
    _, _, generate = ask(model, tmp_path, max_pixels=28 * 56)
    with pytest.raises(InputError, match=r"vLLM reads a prompt as \d+ tokens, the trainer as \d+"):
        generate()


def test_an_engine_with_other_weights(model: Path, tmp_path: Path) -> None:
    _, engine, generate = ask(model, tmp_path)
    other = trainer_of(SifGRPOTrainer, model, tmp_path, 4, 2).model
    torch.manual_seed(9)
    torch.nn.init.normal_(other.lm_head.weight, std=0.5)
    engine.model = other
    with pytest.raises(InputError, match="first tokens differ by"):
        generate()


def test_an_engine_with_another_temperature(model: Path, tmp_path: Path) -> None:
    _, _, generate = ask(model, tmp_path, temperature=0.5)
    with pytest.raises(InputError, match="first tokens differ by"):
        generate()


def test_a_server_gets_the_runs(model: Path, tmp_path: Path) -> None:
    trainer, engine, generate = ask(model, tmp_path)
    trainer.vllm_mode = "server"
    engine.generate = lambda prompts, **_: (prompts, [[5]] * 4, [[[-1.0]]] * 4, None)  # type: ignore[method-assign]
    with pytest.raises(InputError, match="first tokens differ by"):
        generate()


def test_runs_of_picture_tokens_collapse() -> None:
    assert collapsed([9, 9, 1, 9, 9, 9, 2, 9], 9) == [9, 1, 9, 2, 9]
    assert collapsed([], 9) == []
