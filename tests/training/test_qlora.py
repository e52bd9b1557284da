"""Adapters on a rounded base: what is rounded, what is trained, what is merged, and what is refused."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sifthinker.engines.processor import load_model
from sifthinker.errors import InputError
from sifthinker.training import grpo, sft, trl_adapter
from sifthinker.training.merge import merge
from tests.training import mini

# Without sheets and self-check: in eval mode on CPU bitsandbytes packs 4-bit weights in a way that these, narrower than
# its blocks, do not bear.
LORA = {"lora": True, "lora_r": 4, "max_steps": 2, "save_strategy": "no"}
SFT, GRPO = {**mini.SFT, **LORA}, {**mini.GRPO, **LORA, "sheet_steps": 0, "prefix_sharing": "on"}
with_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed (the extra qlora)"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return mini.make(tmp_path_factory.mktemp("mini"))


def values(stage: dict[str, Any], made: tuple[Path, Path], out: Path, **more: Any) -> dict[str, Any]:
    return {**stage, "data": str(made[0]), "model": str(made[1]), "out": str(out), **more}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"quantize": "4bits"}, "did you mean '4bit'"),
        ({"quantize": "4bit", "lora": False}, "set lora to true"),
        ({"quantize": "8bit"}, r"pip install 'sifthinker\[qlora\]'"),
    ],
)
def test_what_cannot_be_quantized_is_refused(
    more: dict[str, Any], message: str, made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "bitsandbytes" else find(n, *a))
    for stage, train in ((SFT, sft.train), (GRPO, grpo.train)):
        with pytest.raises(InputError, match=message):
            train(values(stage, made, tmp_path / "run", **more))
    assert not (tmp_path / "run").exists()


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The trainers that a test makes, after their `__init__`."""
    found, init = [], trl_adapter._OurFolders.__init__

    def remember(self: Any, *args: Any, **more: Any) -> None:
        init(self, *args, **more)
        found.append((self, {n: p.detach().clone() for n, p in self.model.named_parameters() if p.requires_grad}))

    monkeypatch.setattr(trl_adapter._OurFolders, "__init__", remember)
    return found


@with_bitsandbytes
@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_an_adapter_on_a_rounded_base_goes_through_both_stages(
    bits: str, made: tuple[Path, Path], tmp_path: Path, trainers: list[Any]
) -> None:
    import bitsandbytes

    kind = {"4bit": bitsandbytes.nn.Linear4bit, "8bit": bitsandbytes.nn.Linear8bitLt}[bits]
    sft.train(values(SFT, made, tmp_path / "sft", quantize=bits))
    # A learning rate of which bfloat16 would keep next to nothing.
    start = {
        "model": str(tmp_path / "sft"),
        "learning_rate": 1e-5,
        "rewards": ["form", "tests.training.mini:few_faults"],
    }
    grpo.train(values(GRPO, made, tmp_path / "grpo", quantize=bits, **start))
    (_, _), (trainer, before) = trainers
    rounded = [name for name, module in trainer.model.named_modules() if isinstance(module, kind)]
    assert rounded
    assert all("language_model" in name for name in rounded)
    assert {p.dtype for p in trainer.model.parameters() if p.requires_grad} == {torch.float32}
    continued = load_file(tmp_path / "sft" / "adapter_model.safetensors")
    parameters = dict(trainer.model.named_parameters())
    for name, saved in continued.items():
        ours, reference = (name.replace(".weight", f".{adapter}.weight") for adapter in ("default", "ref"))
        assert torch.equal(before[ours], saved)
        assert torch.equal(parameters[reference], saved)
        assert (parameters[ours] != saved).float().mean() > 0.9
    log = [json.loads(line) for line in (tmp_path / "grpo" / "log_history.jsonl").read_text().splitlines()]
    assert log[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert log[0]["grad_norm"] > 0
    assert json.loads((tmp_path / "grpo" / "sifthinker.json").read_text())["quantize"] == bits
    assert f"- base in training: {bits};" in (tmp_path / "grpo" / "README.md").read_text()
    merged = load_model(merge(tmp_path / "grpo", tmp_path / "merged"))
    base = load_model(made[1]).state_dict()
    assert {p.dtype for p in merged.parameters()} == {torch.float32}
    same = [name for name, weight in merged.state_dict().items() if torch.equal(weight, base[name])]
    assert any("norm" in name for name in same), "the base as it was saved, not as it was rounded"
    assert any("q_proj.weight" in name for name in base.keys() - set(same))


@with_bitsandbytes
@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_the_memory_estimate_counts_rounded_weights(bits: str, made: tuple[Path, Path]) -> None:
    from sifthinker.engines.processor import model_config
    from sifthinker.training.memory import estimate
    from sifthinker.training.run import lora_config, open_model

    told = estimate(
        model_config(made[1]), dtype=torch.float32, prompt=40, completion=24, group=4, rows=4, window_rows=4,
        lora=lora_config(4, 8, 0.0), quantize=bits,
    )["model"]  # fmt: skip
    there = open_model(str(made[1]), "float32", False, bits).get_memory_footprint(return_buffers=False)
    assert told == pytest.approx(there, rel=0.05)


def test_a_base_that_is_stored_rounded_is_not_merged_into(made: tuple[Path, Path], tmp_path: Path) -> None:
    import shutil

    rounded = shutil.copytree(made[1], tmp_path / "rounded")
    config = json.loads((rounded / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (rounded / "config.json").write_text(json.dumps(config))
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(rounded)}))
    with pytest.raises(InputError, match="its base is stored rounded"):
        merge(tmp_path / "adapter", tmp_path / "out")


def test_merging_keeps_the_type_of_the_base(made: tuple[Path, Path], tmp_path: Path) -> None:
    from sifthinker.engines.processor import load_processor

    load_model(made[1], dtype="bfloat16").save_pretrained(tmp_path / "base")
    load_processor(made[1]).save_pretrained(tmp_path / "base")
    sft.train(values(SFT, (made[0], tmp_path / "base"), tmp_path / "sft"))
    assert {w.dtype for w in load_file(tmp_path / "sft" / "adapter_model.safetensors").values()} == {torch.float32}
    merged = load_file(merge(tmp_path / "sft", tmp_path / "merged") / "model.safetensors")
    assert {weight.dtype for weight in merged.values()} == {torch.bfloat16}
