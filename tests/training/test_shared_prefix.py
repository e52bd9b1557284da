"""Shared rows give TRL's log-probabilities and gradients; the rollout gives `generate`'s tokens."""

from __future__ import annotations

import warnings
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from transformers import GenerationConfig
from trl import GRPOConfig, GRPOTrainer

from sifthinker.engines.processor import load_model, load_processor
from sifthinker.errors import InputError
from sifthinker.sample import Sample
from sifthinker.training import attention, trl_adapter
from sifthinker.training.attention import why_not
from sifthinker.training.progress import ProgressStore
from sifthinker.training.rollout import complete, unknown_fields
from sifthinker.training.run import lora_config
from sifthinker.training.trl_adapter import SifGRPOTrainer
from tests.tiny_models import save_tiny_qwen

FAMILIES = ["qwen2_5_vl", "qwen3_vl"]
COLUMNS = ["lengths"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: save_tiny_qwen(folder / name, name) for name in FAMILIES}


def lengths(completions: Any, **_: Any) -> list[float]:
    """A reward with spread."""
    return [float(len(c[0]["content"]) % 7) for c in completions]


def picture(side: tuple[int, int], seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 255, (side[1], side[0], 3), np.uint8))


def row(number: int, pictures: int) -> dict[str, Any]:
    """A prompt with 0, 1 or 2 pictures, of a size of its own."""
    images = [picture((64 + 32 * (number % 2), 64), 10 * number + k) for k in range(pictures)]
    blocks = [block for k in range(pictures) for block in ({"type": "text", "text": f"{k}: "}, {"type": "image"})]
    text = "What is it?" + " Really?" * number
    return {
        "prompt": [{"role": "user", "content": [*blocks, {"type": "text", "text": text}]}],
        "images": images,
        "sample": Sample(f"row-{number}", None, text, "x"),
    }


def rows_of(pictures: list[int], group: int) -> list[dict[str, Any]]:
    return [row(n, count) for n, count in enumerate(pictures) for _ in range(group)]


class Stock(GRPOTrainer):
    """TRL's trainer; it marks questions in words by None among lists of pictures, which processors do not take."""

    def _tokenize_prompts(self, prompts: Any) -> Any:
        ids, images, fields = super()._tokenize_prompts(prompts)
        return ids, images and [pictures or [] for pictures in images], fields


def trainer_of(kind: type, model: Path, folder: Path, count: int, group: int, **more: Any) -> Any:
    settings = {key: more.pop(key) for key in list(more) if key in GRPOConfig.__dataclass_fields__}
    args = GRPOConfig(
        output_dir=str(folder), use_cpu=True, report_to="none", remove_unused_columns=False,
        per_device_train_batch_size=count, num_generations=group, max_completion_length=12, learning_rate=1e-3,
        **{"bf16": False, "gradient_checkpointing": False, **settings},
    )  # fmt: skip
    ours = {"store": ProgressStore(), "rewards": COLUMNS, "record": {}} if kind is SifGRPOTrainer else {}
    rows = Dataset.from_list([{"prompt": "x"}] * count)
    return kind(
        model=load_model(model, dtype="float32", trainable=True), args=args, reward_funcs=[lengths],
        train_dataset=rows, processing_class=load_processor(model, max_pixels=96 * 64), **ours, **more,
    )  # fmt: skip


def ragged(count: int) -> list[list[int]]:
    """Completions of 1 to 12 tokens without special ones."""
    rng = np.random.default_rng(3)
    return [rng.integers(20, 200, int(rng.integers(1, 13))).tolist() for _ in range(count)]


def step(trainer: Any, rows: list[dict[str, Any]], completions: list[list[int]]) -> tuple[Any, dict[str, Any]]:
    """Log-probabilities of the policy, and the gradient of the loss by parameter, for given completions."""
    trainer._generate_single_turn = lambda *_, **__: (completions, None)
    trainer._metrics["train"]["first_box_hiou"] = []
    trainer.current_gradient_accumulation_steps = 1
    found = []
    logps = trainer._get_per_token_logps_and_entropies

    def spy(*args: Any, **more: Any) -> Any:
        made = logps(*args, **more)
        if made[0].requires_grad:
            found.append(made[0].detach())
        return made

    trainer._get_per_token_logps_and_entropies = spy
    trainer.model.train()
    batch = trainer._generate_and_score_completions(rows)
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    grads = {n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None}
    return found[0] * batch["completion_mask"], grads


def largest(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """The largest difference of two gradients, relative to the largest entry of the tensor."""
    assert ours.keys() == theirs.keys()
    return max(((ours[k] - g).abs().max() / g.abs().max().clamp(min=1e-8)).item() for k, g in theirs.items())


PARITY = [
    (pictures, group, {"peft_config": True} if lora else {}, {"beta": beta, "gradient_checkpointing": checkpointing})
    for pictures, group, lora, beta, checkpointing in (
        *product(([1, 1], [2, 2]), (2, 4, 8), (False, True), (0.0, 0.04), (False, True)),
        ([2, 1], 8, False, 0.0, False),
        ([2, 0], 4, False, 0.04, True),
        ([1, 2], 2, True, 0.0, True),
    )
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("pictures", "group", "adapter", "settings"), PARITY)
def test_parity_with_stock_trl(
    family: str,
    pictures: list[int],
    group: int,
    adapter: dict[str, Any],
    settings: dict[str, Any],
    models: dict[str, Path],
    tmp_path: Path,
) -> None:
    count = len(pictures) * group
    completions = ragged(count)
    results = []
    for kind in (Stock, SifGRPOTrainer):
        torch.manual_seed(0)
        config = {**adapter, **settings}
        if "peft_config" in config:
            config["peft_config"] = lora_config(4, 8, 0.0)
        if kind is SifGRPOTrainer:
            config["prefix_sharing"] = "on"
        trainer = trainer_of(kind, models[family], tmp_path, count, group, **config)
        if "peft_config" in config:
            # Fresh adapters do nothing: B is 0. Give both the same random one.
            torch.manual_seed(1)
            for name, parameter in sorted(trainer.model.named_parameters()):
                if "lora_B" in name and "ref" not in name:
                    torch.nn.init.normal_(parameter, std=0.1)
        results.append(step(trainer, rows_of(pictures, group), completions))
    (their_logps, their_grads), (our_logps, our_grads) = results
    assert (our_logps - their_logps).abs().max() < 1e-5
    assert len(their_grads) > 5
    assert largest(our_grads, their_grads) < 1e-5
    if not adapter:
        assert any("visual" in name for name in our_grads)


@pytest.mark.parametrize(
    ("parts", "more"),
    [
        (2, {"gradient_accumulation_steps": 2, "beta": 0.04}),
        # Several optimizer steps on one generation batch: the old policy's log-probabilities count as well.
        (2, {"steps_per_generation": 2, "num_iterations": 2, "peft_config": True}),
        # A group lies in two micro-batches.
        (4, {"gradient_accumulation_steps": 4}),
        (2, {"gradient_accumulation_steps": 2, "loss_type": "dr_grpo"}),
        (2, {"gradient_accumulation_steps": 2, "loss_type": "grpo", "importance_sampling_level": "sequence"}),
        (2, {"gradient_accumulation_steps": 2, "loss_type": "grpo", "mask_truncated_completions": True}),
    ],
)
def test_parity_in_several_micro_batches(
    parts: int, more: dict[str, Any], models: dict[str, Path], tmp_path: Path
) -> None:
    found = []
    for kind in (Stock, SifGRPOTrainer):
        torch.manual_seed(0)
        config: dict[str, Any] = {**more, **({"prefix_sharing": "on"} if kind is SifGRPOTrainer else {})}
        if "peft_config" in config:
            config["peft_config"] = lora_config(4, 8, 0.0)
        trainer = trainer_of(kind, models["qwen2_5_vl"], tmp_path, 8 // parts, 4, **config)
        # The first group is cut off altogether, the second in parts.
        end = trainer.processing_class.tokenizer.eos_token_id
        completions = [[*c, end] if n in (4, 6) else c for n, c in enumerate(ragged(8))]
        trainer._generate_single_turn = lambda *_, made=completions, **__: (made, None)
        trainer.current_gradient_accumulation_steps = more.get("gradient_accumulation_steps", 1)
        trainer.model.train()
        micro = []
        for trainer._step in range(parts):
            micro.append(trainer._prepare_inputs(rows_of([2, 1], 4)))
            trainer.compute_loss(trainer.model, micro[-1]).backward()
        assert ("old_per_token_logps" in micro[0]) == ("num_iterations" in more)
        assert all(len(batch["completion_ids"]) == 8 // parts for batch in micro)
        found.append({n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None})
    assert max(gradient.abs().max() for gradient in found[0].values()) > 1e-4
    assert largest(found[1], found[0]) < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_completions_are_those_of_generate(family: str, models: dict[str, Path], tmp_path: Path) -> None:
    trainer = trainer_of(SifGRPOTrainer, models[family], tmp_path, 12, 4)
    # The last group is in parts on several processes.
    rows = rows_of([2, 1, 0], 4)[:-2]
    trainer._inputs = rows
    trainer.model.eval()
    trainer._tokenize_prompts([r["prompt"] for r in rows])
    prompts = trainer._prompts["eval"]
    processor = trainer.processing_class
    # An end that comes at different times, or not at all.
    torch.manual_seed(5)
    for parameter in trainer.model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.5)
    ends = list(range(20, 260, 8))
    banned = [processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")]
    config = GenerationConfig(
        max_new_tokens=20, do_sample=False, pad_token_id=0, eos_token_id=ends, suppress_tokens=banned,
        repetition_penalty=1.2,
    )  # fmt: skip
    ours = complete(trainer.model, prompts, config)
    assert len({len(c) for c in ours}) > 1, ours
    for completion, number in zip(ours, prompts.rows.tolist(), strict=True):
        given = {"input_ids": prompts.ids[number][None], "mm_token_type_ids": prompts.kinds[number][None]}
        given |= prompts.pictures([number])
        said = trainer.model.generate(**given, generation_config=config)[0, len(prompts.ids[number]) :].tolist()
        assert completion == said


def test_vision_tokens_are_never_sampled(models: dict[str, Path], tmp_path: Path) -> None:
    trainer = trainer_of(SifGRPOTrainer, models["qwen2_5_vl"], tmp_path, 8, 8)
    trainer._inputs = rows_of([1], 8)
    trainer._tokenize_prompts([r["prompt"] for r in trainer._inputs])
    image = trainer.model.config.image_token_id
    with torch.no_grad():
        trainer.model.lm_head.weight.zero_()
    torch.manual_seed(0)
    drawn = dict.fromkeys(range(40))
    for suppressed, seen in (([], True), ([image], False)):
        config = GenerationConfig(
            max_new_tokens=200, do_sample=True, pad_token_id=0, eos_token_id=1, suppress_tokens=suppressed, top_k=0
        )
        drawn = {t for c in complete(trainer.model, trainer._prompts["eval"], config) for t in c}
        assert (image in drawn) == seen


def test_pictures_are_processed_and_encoded_once(models: dict[str, Path], tmp_path: Path) -> None:
    trainer = trainer_of(
        SifGRPOTrainer,
        models["qwen2_5_vl"],
        tmp_path,
        8,
        4,
        peft_config=lora_config(4, 8, 0.0),
        beta=0.04,
        prefix_sharing="on",
    )
    encoded, processed = [], []
    tower = trainer.model.base_model.model.model.visual
    tower.register_forward_hook(
        lambda module, args, kwargs, out: encoded.append(len(kwargs["grid_thw"])), with_kwargs=True
    )
    prepare = trainer.processing_class.image_processor.preprocess

    def spy(images: Any, *args: Any, **more: Any) -> Any:
        processed.extend(i for part in images for i in (part if isinstance(part, list) else [part]))
        return prepare(images, *args, **more)

    trainer.processing_class.image_processor.preprocess = spy
    rows = rows_of([2, 2], 4)
    step(trainer, rows, ragged(8))
    assert len(processed) == 4
    assert encoded == [4], "rollout, reference and policy share what the frozen tower makes"
    trainer = trainer_of(SifGRPOTrainer, models["qwen2_5_vl"], tmp_path, 8, 4)
    encoded.clear()
    tower = trainer.model.model.visual
    tower.register_forward_hook(
        lambda module, args, kwargs, out: encoded.append(len(kwargs["grid_thw"])), with_kwargs=True
    )
    step(trainer, rows, ragged(8))
    # Once to compare with TRL's rows, whose every picture is encoded, and once to train.
    assert encoded == [4, 16, 4]


def test_models_that_cannot_share_are_refused(models: dict[str, Path], tmp_path: Path) -> None:
    trainer = trainer_of(SifGRPOTrainer, models["qwen2_5_vl"], tmp_path, 4, 2, prefix_sharing="off")
    assert not trainer.sharing
    for change, words in (
        ({"layer_types": ["full_attention", "sliding_attention"]}, "sliding_attention"),
        ({"layer_types": ["linear_attention"]}, "linear_attention"),
        ({"attention_dropout": 0.1}, "at random"),
        ({"_attn_implementation": "flash_attention_2"}, "flash_attention_2"),
    ):
        model = load_model(models["qwen2_5_vl"], dtype="float32")
        for name, value in change.items():
            object.__setattr__(model.config.get_text_config(), name, value)
        assert words in (why_not(model) or "")
    assert "no vision-language model" in (why_not(SimpleNamespace()) or "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trl_adapter, "why_not", lambda model: "it has layers with sliding_attention")
        with pytest.raises(InputError, match="prefix_sharing: on, but this model cannot: it has layers with sliding"):
            trainer_of(SifGRPOTrainer, models["qwen2_5_vl"], tmp_path, 4, 2, prefix_sharing="on")


def test_other_families_go_through_trl(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trl_adapter, "why_not", lambda model: "it is of another family")
    results = []
    for kind in (Stock, SifGRPOTrainer):
        trainer = trainer_of(kind, models["qwen2_5_vl"], tmp_path, 8, 4)
        results.append(step(trainer, rows_of([2, 0], 4), ragged(8)))
    assert torch.equal(results[0][0], results[1][0])
    assert largest(results[1][1], results[0][1]) == 0


def test_a_model_for_which_sharing_is_wrong_falls_back(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attend = attention.attend

    def blind(query: Any, key: Any, value: Any, spans: Any, scale: Any) -> Any:
        return attend(query, key, torch.zeros_like(value), spans, scale)

    monkeypatch.setattr(attention, "attend", blind)
    trainer = trainer_of(SifGRPOTrainer, models["qwen2_5_vl"], tmp_path, 8, 4)
    with pytest.warns(UserWarning, match="differ from TRL's"):
        logps, _ = step(trainer, rows_of([2, 1], 4), ragged(8))
    assert not trainer.sharing
    stock, _ = step(trainer_of(Stock, models["qwen2_5_vl"], tmp_path, 8, 4), rows_of([2, 1], 4), ragged(8))
    assert (logps - stock).abs().max() < 1e-6


def test_rows_are_shared_in_mixed_precision(models: dict[str, Path], tmp_path: Path) -> None:
    trainer = trainer_of(SifGRPOTrainer, models["qwen2_5_vl"], tmp_path, 8, 4, bf16=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="prefix_sharing")
        _, grads = step(trainer, rows_of([2, 0], 4), ragged(8))
    assert trainer.sharing
    assert all(grad.isfinite().all() for grad in grads.values())


def test_what_the_rollout_does_not_understand_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    assert unknown_fields(GenerationConfig(num_beams=2, max_new_tokens=3)) == ["num_beams"]
    assert unknown_fields(GenerationConfig(max_new_tokens=3, top_p=0.9, suppress_tokens=[3])) == []
