"""Real runs of both stages on a tiny model: they learn, log, resume after kill -9, and refuse what is unsafe."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sifthinker import cli
from sifthinker.errors import InputError
from sifthinker.prompt import prompt_hash
from sifthinker.records import ShardWriter, to_row
from sifthinker.rewards import REWARDS
from tests.conftest import REPOSITORY
from tests.training import mini

STAGES = {"sft": mini.SFT, "grpo": mini.GRPO}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return mini.make(tmp_path_factory.mktemp("mini"))


def values_for(stage: str, made: tuple[Path, Path], out: Path, **more: Any) -> dict[str, Any]:
    return {**STAGES[stage], "data": str(made[0]), "model": str(made[1]), "out": str(out), **more}


@pytest.fixture(scope="module", autouse=True)
def some_answers_are_partly_right() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(REWARDS, "answer", mini.partly_right)
        yield


def train(stage: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    from sifthinker.training import grpo, sft

    {"sft": sft, "grpo": grpo}[stage].train(values)
    lines = (Path(values["out"]) / "log_history.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if "loss" in row]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from sifthinker.engines.processor import load_model

    return load_model(folder).state_dict()


@pytest.fixture(scope="module")
def unbroken(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[dict]]]:
    found = {}
    for stage in STAGES:
        out = tmp_path_factory.mktemp("unbroken") / stage
        found[stage] = out, train(stage, values_for(stage, made, out))
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_training_changes_the_weights(stage: str, made: tuple[Path, Path], unbroken: dict) -> None:
    out, log = unbroken[stage]
    assert [row["step"] for row in log] == [1, 2, 3, 4, 5, 6]
    before, after = weights(made[1]), weights(out)
    assert sum(not torch.equal(before[name], after[name]) for name in before) > len(before) / 2


def test_warm_up_learns(unbroken: dict) -> None:
    losses = [row["loss"] for row in unbroken["sft"][1]]
    assert losses[-1] < losses[0]


def test_grpo_logs_every_reward_and_has_spread(unbroken: dict) -> None:
    row = unbroken["grpo"][1][0]
    names = ("form", "answer", "progress", "focus", "few_faults")
    assert all(f"rewards/{name}/mean" in row for name in names)
    assert row["rewards/few_faults/std"] > 0
    assert "first_box_hiou" in row


@pytest.mark.parametrize("stage", STAGES)
def test_killed_and_resumed_equals_unbroken(
    stage: str, made: tuple[Path, Path], unbroken: dict, tmp_path: Path
) -> None:
    values = values_for(stage, made, tmp_path / stage)
    command = [sys.executable, "-m", "tests.training.mini", stage, json.dumps(values), "5"]
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}"}
    killed = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()[-2000:]
    resumed = train(stage, {**values, "resume": True})
    expected = unbroken[stage][1]
    assert [row["step"] for row in resumed] == [1, 2, 3, 4, 5, 6], "neither lost nor doubled"
    assert [row["loss"] for row in resumed] == [row["loss"] for row in expected]
    assert [row["grad_norm"] for row in resumed] == [row["grad_norm"] for row in expected]
    if stage == "grpo":
        paid = [row["rewards/progress/mean"] for row in expected]
        assert paid[:3] == [0, 0, 0], "first visits"
        assert min(paid[3:]) > 0, "second visits: a store that was not restored would pay nothing"
        assert [row["rewards/progress/mean"] for row in resumed] == paid


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_at_its_end_trains_no_further(
    stage: str, made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The last step is amidst of an epoch.
    values = values_for(stage, made, tmp_path / "run", max_steps=2)
    log, model = train(stage, values), tmp_path / "run" / "model.safetensors"
    final, written = model.read_bytes(), model.stat().st_mtime_ns
    assert train(stage, {**values, "resume": True}) == log
    assert model.stat().st_mtime_ns == written
    assert f"{tmp_path / 'run'}: finished at step 2; to train on, start a run with --model" in capsys.readouterr().out
    # Killed between the last checkpoint and the model.
    model.unlink()
    assert train(stage, {**values, "resume": True}) == log
    assert model.read_bytes() == final


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_says_where_it_comes_from(stage: str, made: tuple[Path, Path], unbroken: dict) -> None:
    out = unbroken[stage][0]
    record = json.loads((out / "training.json").read_text())
    assert (record["stage"], record["seed"], record["prompt_hash"]) == (stage, 42, prompt_hash())
    assert record["git_commit"]
    assert record["config"]["model"] == str(made[1])
    assert record["resolved"]["adam_beta2"] == 0.999, "TRL's defaults, too"
    assert not (out / "cache").exists()
    for folder in (out, out / "checkpoint-6"):
        assert json.loads((folder / "sifthinker.json").read_text()) == {
            "schema": 1, "prompt_hash": prompt_hash(), "max_pixels": 1024,
        }  # fmt: skip
        card = (folder / "README.md").read_text()
        assert f"# Weights of `sifthinker {stage}`" in card
        assert f"- trained from: {made[1]}" in card
        assert f"- prompt hash: {prompt_hash()}" in card


def test_a_model_used_otherwise_than_trained_is_announced(unbroken: dict) -> None:
    from sifthinker.engines.local import LocalEngine

    out = unbroken["sft"][0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LocalEngine(out)
    with pytest.warns(UserWarning, match=r"was trained with max_pixels 1024 \(now 784\): expect worse replies"):
        LocalEngine(out, max_pixels=784)
    with pytest.warns(UserWarning, match=r"was trained with prompt abc \(now .*\), max_pixels 1024 \(now 784\)"):
        compare(out, "abc", 784)


def compare(model: Path, trained_with: str, max_pixels: int) -> None:
    """Compare the stamp of `model` as if it had been trained with another prompt."""
    from sifthinker.engines import stamp

    with pytest.MonkeyPatch.context() as patch:
        text = (model / stamp.STAMP).read_text().replace(prompt_hash(), trained_with)
        patch.setattr(Path, "read_text", lambda _: text)
        stamp.compare_stamp(model, max_pixels)


def test_options_of_loading_reach_the_model(made: tuple[Path, Path], tmp_path: Path) -> None:
    from sifthinker.training.run import open_policy
    from sifthinker.training.sft import SftConfig

    config = SftConfig(str(made[1]), str(made[0]), str(tmp_path), lora=False)
    args: Any = SimpleNamespace(model_init_kwargs={"attn_implementation": "eager"})
    model, adapter = open_policy(config, args)
    assert model.config.text_config._attn_implementation == "eager"
    assert adapter is args.model_init_kwargs is None
    args = SimpleNamespace(model_init_kwargs=None)
    assert open_policy(config, args)[0].config.text_config._attn_implementation == "sdpa"


def test_a_start_that_failed_does_not_block_the_next(made: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    mistakes = [
        ({"data": str(tmp_path)}, "no data set here"),
        ({"model": str(tmp_path / "none")}, "no such folder"),
        ({"rewards": ["form", "fokus"]}, "did you mean 'focus'"),
        ({"judge": "m@http://127.0.0.1:9/v1"}, "nobody answers"),
        ({"judge": "m@http://127.0.0.1:9/v1", "rewards": ["form"]}, "answer must be among the rewards"),
        ({"num_generations": 3}, "refuses these settings"),
    ]
    for mistake, message in mistakes:
        with pytest.raises(InputError, match=message):
            train("grpo", values_for("grpo", made, out, **mistake))
        assert not (out / "training.json").exists()
    # Killed before the first checkpoint: only a record, of settings that may be corrected now.
    (out / "training.json").write_text('{"prompt_hash": "another", "config": {}}')
    assert len(train("sft", values_for("sft", made, out, max_steps=1, save_strategy="no"))) == 1
    with pytest.raises(InputError, match="already holds a run"):
        train("sft", values_for("sft", made, out))


def test_out_that_is_a_file_or_somebodys_model(made: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; --out needs a folder"):
        train("sft", values_for("sft", made, tmp_path / "file"))
    with pytest.raises(InputError, match=r"holds a model but no training.json"):
        train("sft", values_for("sft", made, made[1], resume=True))


def test_shards_that_cannot_be_read(made: tuple[Path, Path], tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = (made[0] / "data-00000.parquet").read_bytes()
    middle = bytearray(content)
    middle[len(content) // 8 : len(content) // 2] = b"x" * (len(content) // 2 - len(content) // 8)
    cases = {"cut": content[: len(content) // 2], "empty": b"", "damaged": bytes(middle)}
    for name, damaged in cases.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "data-00000.parquet").write_bytes(damaged)
    (tmp_path / "foreign").mkdir()
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "foreign" / "data-00000.parquet")
    messages = {"cut": "not a Parquet file", "empty": "not a Parquet file", "foreign": "not a data set of ours"}
    for name in (*cases, "foreign"):
        with pytest.raises(InputError, match=messages.get(name, "damaged")):
            train("sft", values_for("sft", made, tmp_path / "out", data=str(tmp_path / name)))
    shutil.copytree(made[0], tmp_path / "gone")
    told = {"schema": 1, "shards": [{"file": f"data-0000{n}.parquet", "sha256": "0" * 64} for n in range(2)]}
    (tmp_path / "gone" / "manifest.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match=r"1 of its shards are not there \(data-00001.parquet\): put them back"):
        train("sft", values_for("sft", made, tmp_path / "out", data=str(tmp_path / "gone")))


def test_rows_without_trace_are_no_warm_up(made: tuple[Path, Path], tmp_path: Path) -> None:
    from sifthinker.records import ShardWriter, to_row

    (tmp_path / "asked").mkdir()
    with ShardWriter(tmp_path / "asked") as writer:
        for sample, trace in mini.pairs(2):
            writer.add(to_row(sample, trace if sample.id == "mini-0" else None, "mini", "test"))
    with pytest.raises(InputError, match="1 rows have no completion to learn from"):
        train("sft", values_for("sft", made, tmp_path / "out", data=str(tmp_path / "asked")))


def test_a_resumed_run_asks_its_judge_nothing_again(tmp_path: Path) -> None:
    import asyncio

    pytest.importorskip("openai")
    from sifthinker.training.grpo import _judge
    from tests.openai_server import serve

    (sample, trace), *_ = mini.pairs(1)
    with serve(['{"score": 0.5}']) as server:
        for _ in range(2):
            with _judge(f"m@{server.url}", tmp_path / "run", process=0, always=True) as judge:
                assert asyncio.run(judge.score([trace], [sample])) == [0.5]
        assert sum("messages" in request for request in server.requests) == 1


def test_a_run_is_not_overwritten_nor_resumed_with_other_settings(made: tuple[Path, Path], unbroken: dict) -> None:
    out = unbroken["sft"][0]
    values = values_for("sft", made, out)
    with pytest.raises(InputError, match="already holds a run: give --resume"):
        train("sft", values)
    with pytest.raises(InputError, match="started with other settings: learning_rate"):
        train("sft", {**values, "resume": True, "learning_rate": 5e-4})


def test_a_run_of_an_older_version_can_be_resumed(tmp_path: Path) -> None:
    from sifthinker.training.config import to_dict
    from sifthinker.training.grpo import GrpoConfig
    from sifthinker.training.run import find_start

    def start(given: dict[str, Any], **more: Any) -> Path | None:
        (tmp_path / "training.json").write_text(json.dumps({"prompt_hash": prompt_hash(), "config": given}))
        config = GrpoConfig("m", "d", str(tmp_path), resume=True, **more)
        return find_start(tmp_path, to_dict(config, {"max_steps": 3}), config)

    checkpoint = tmp_path / "checkpoint-2"
    checkpoint.mkdir()
    (checkpoint / "trainer_state.json").write_text("{}")
    before = to_dict(GrpoConfig("m", "d", str(tmp_path)), {"max_steps": 3})
    del before["prefix_sharing"]
    assert start(before) == checkpoint
    with pytest.raises(InputError, match="prefix_sharing"):
        start(before, prefix_sharing="off")
    with pytest.raises(InputError, match="max_steps"):
        start({k: v for k, v in before.items() if k != "max_steps"})


def test_a_run_is_resumed_in_as_many_processes(tmp_path: Path) -> None:
    from sifthinker.training.config import to_dict
    from sifthinker.training.grpo import GrpoConfig
    from sifthinker.training.run import find_start

    config = GrpoConfig("m", "d", str(tmp_path), resume=True)
    given = to_dict(config, {})
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "training.json").write_text(json.dumps({"prompt_hash": prompt_hash(), "config": given, "processes": 2}))
    assert find_start(tmp_path, given, config, processes=2) is None
    with pytest.raises(InputError, match="was started in 2 processes, now 1"):
        find_start(tmp_path, given, config)


def test_a_torn_checkpoint_is_passed_over(tmp_path: Path) -> None:
    from sifthinker.training.run import find_checkpoint

    for step, state in ((2, "{}"), (10, '{"global_st')):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoint-2"


def test_adapter_is_continued_and_merged(made: tuple[Path, Path], tmp_path: Path) -> None:
    from sifthinker.training.merge import merge

    lora = {"lora": True, "lora_r": 4, "max_steps": 1, "save_strategy": "no"}
    train("sft", values_for("sft", made, tmp_path / "sft", **lora))
    log = train("grpo", values_for("grpo", made, tmp_path / "grpo", **lora, model=str(tmp_path / "sft")))
    assert log[0]["kl"] == pytest.approx(0, abs=1e-5), "the reference is the warmed-up adapter itself"
    merged = weights(merge(tmp_path / "grpo", tmp_path / "merged"))
    base = weights(made[1])
    changed = {name for name in base if not torch.allclose(base[name], merged[name], atol=1e-7)}
    assert changed
    assert not any("visual" in name for name in changed)
    assert (tmp_path / "merged" / "sifthinker.json").read_text() == (tmp_path / "grpo" / "sifthinker.json").read_text()
    assert "sifthinker grpo" in (tmp_path / "merged" / "README.md").read_text()
    with pytest.raises(InputError, match="no adapter here"):
        merge(made[1], tmp_path / "other")
    with pytest.raises(InputError, match="not an empty folder"):
        merge(tmp_path / "grpo", tmp_path / "merged")
    with small_disk(tmp_path / "disk", "200k") as disk:
        assert cli.run(["merge", str(tmp_path / "grpo"), "--out", str(disk / "merged")]) == 2
        assert not list(disk.iterdir()), "nothing torn is left"


def test_the_reference_is_the_warmed_up_adapter_also_after_resume(made: tuple[Path, Path], tmp_path: Path) -> None:
    from sifthinker.engines.processor import load_model
    from sifthinker.training.trl_adapter import SifGRPOTrainer

    lora = {"lora": True, "lora_r": 4, "learning_rate": 0.02}
    train("sft", values_for("sft", made, tmp_path / "sft", **lora, max_steps=3, save_strategy="no"))
    seen: list[tuple[Any, Any]] = []
    score = SifGRPOTrainer._generate_and_score_completions

    def scored(self: Any, inputs: Any) -> Any:
        seen.append((score(self, inputs), self._prompts["train"]))
        return seen[-1][0]

    values = values_for("grpo", made, tmp_path / "grpo", **lora, model=str(tmp_path / "sft"), max_steps=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SifGRPOTrainer, "_generate_and_score_completions", scored)
        log = train("grpo", values)
        shutil.rmtree(tmp_path / "grpo" / "checkpoint-4")
        (tmp_path / "grpo" / "adapter_model.safetensors").unlink()
        assert [row["kl"] for row in train("grpo", {**values, "resume": True})] == [row["kl"] for row in log]
    assert log[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert log[-1]["kl"] > 1e-3, "the policy has left it"
    assert len(seen) == 6
    warmed_up, base = (load_model(folder, dtype="float32") for folder in (tmp_path / "sft", made[1]))
    for batch, prompts in seen:
        told = batch["ref_per_token_logps"] * batch["completion_mask"]
        assert (told - by_rows(warmed_up, prompts, batch)).abs().max() < 1e-4
        assert (told - by_rows(base, prompts, batch)).abs().max() > 1e-2


def by_rows(model: Any, prompts: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Log-probabilities of completions under a model, each in a row of its own."""
    found = torch.zeros(batch["completion_ids"].shape)
    for row, number in enumerate(prompts.rows.tolist()):
        said = batch["completion_ids"][row][batch["completion_mask"][row].bool()]
        ids = torch.cat([prompts.ids[number], said])
        kinds = torch.cat([prompts.kinds[number], torch.zeros_like(said)])
        with torch.no_grad():
            logits = model(
                input_ids=ids[None], attention_mask=torch.ones_like(ids)[None], mm_token_type_ids=kinds[None],
                **prompts.pictures([number]),
            ).logits[0, len(prompts.ids[number]) - 1 : -1]  # fmt: skip
        found[row, : len(said)] = logits.log_softmax(-1).gather(1, said[:, None])[:, 0]
    return found


def test_a_disk_that_is_too_small_for_the_data(made: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    values = values_for("sft", made, tmp_path / "disk" / "run", use_cpu=True)
    flags = [part for name, value in values.items() for part in (f"--{name}", str(value))]
    with small_disk(tmp_path / "disk", "16k"):
        assert cli.run(["sft", "tiny-sft", *flags]) == 2
    assert "error: disk full while writing" in capsys.readouterr().err


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A real file system of that size."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        # Lazily: rows of a run that ended may still be mapped.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_checkpoints_inside_a_window_are_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give a multiple of 2"):
        train("grpo", values_for("grpo", made, tmp_path / "g", steps_per_generation=2, save_steps=3))


def test_data_set_without_rows(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set here"):
        train("sft", values_for("sft", made, tmp_path / "s", data=str(tmp_path)))


def test_rows_of_like_length_in_a_batch(made: tuple[Path, Path], tmp_path: Path, monkeypatch) -> None:
    from transformers import Trainer
    from trl import SFTTrainer

    data = tmp_path / "data"
    data.mkdir()
    with ShardWriter(data) as writer:
        for number, (sample, trace) in enumerate(mini.pairs(96)):
            first, last = trace.steps
            longer = replace(trace, steps=(replace(first, text=" ".join(["I look."] * (1 + number % 3 * 8))), last))
            writer.add(to_row(sample, longer, "mini", "test"))
    shapes, told, make, step = [], [], Trainer._get_train_sampler, SFTTrainer.training_step

    def sampler(self: Any, *args: Any) -> Any:
        made = make(self, *args)
        told.extend(made.lengths)
        return made

    def counted(self: Any, model: Any, inputs: dict[str, Any], *args: Any) -> Any:
        shapes.append(inputs["attention_mask"].sum(dim=1).tolist())
        return step(self, model, inputs, *args)

    monkeypatch.setattr(Trainer, "_get_train_sampler", sampler)
    monkeypatch.setattr(SFTTrainer, "training_step", counted)
    more = {"data": str(data), "train_sampling_strategy": "group_by_length"}
    train("sft", values_for("sft", made, tmp_path / "grouped", **more))
    seen = [length for batch in shapes for length in batch]
    assert len(told) == 96
    assert set(told) == set(seen)
    # The sampler sorts four and twenty rows at a time: two of six batches at most hold rows of two lengths.
    assert sum(max(batch) > min(batch) for batch in shapes) <= 2 < len(set(told))


def test_trl_still_has_the_methods_that_we_override() -> None:
    from trl import GRPOTrainer

    signatures = {
        "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
        "_tokenize_prompts": ["self", "prompts"],
        "_prepare_inputs": ["self", "generation_batch"],
        "_generate_and_score_completions": ["self", "inputs"],
        "_generate_single_turn": [
            "self",
            "prompt_ids",
            "images",
            "multimodal_fields",
            "num_generations",
            "has_tool_images",
        ],
        "_compute_loss": ["self", "model", "inputs"],
        "_get_per_token_logps_and_entropies": [
            "self",
            "model",
            "input_ids",
            "attention_mask",
            "logits_to_keep",
            "batch_size",
            "compute_entropy",
            "compute_aux_loss",
            "pixel_values",
            "image_grid_thw",
            "num_images",
            "pixel_attention_mask",
            "spatial_shapes",
            "num_tiles",
            "image_sizes",
            "token_type_ids",
            "mm_token_type_ids",
            "image_position_ids",
        ],
        "_generate": ["self", "prompts"],
        "_run_epoch": [
            "self",
            "model",
            "epoch",
            "train_dataloader",
            "steps_in_epoch",
            "num_update_steps_per_epoch",
            "trial",
            "ignore_keys_for_eval",
            "start_time",
            "resume_from_checkpoint",
            "epochs_trained",
            "steps_trained_in_current_epoch",
        ],
        "log": ["self", "logs", "start_time"],
        "_save_rng_state": ["self", "output_dir"],
        "_get_train_sampler": ["self", "dataset"],
        "_save": ["self", "output_dir", "state_dict"],
        "_save_checkpoint": ["self", "model", "trial"],
        "_load_optimizer_and_scheduler": ["self", "checkpoint"],
        "_load_from_checkpoint": ["self", "resume_from_checkpoint", "model"],
        "_load_best_model": ["self"],
        "evaluate": ["self", "eval_dataset", "ignore_keys", "metric_key_prefix"],
    }
    for name, parameters in signatures.items():
        assert list(inspect.signature(getattr(GRPOTrainer, name)).parameters) == parameters
