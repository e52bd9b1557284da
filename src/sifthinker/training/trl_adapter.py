"""The one file that knows TRL's shapes: the trainer subclasses of the warm-up and of GRPO-SIF.

Written against TRL 1.16; `tests/training/test_trl_adapter.py` holds the signatures of the private methods used here.

TRL repeats every prompt, with its pictures, for each completion, in every pass. Here a generation batch keeps each
prompt once (`prompts.Prompts`); TRL is given prompts without pictures, and the numbers of its rows' prompts travel
with them as the column `rows`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from peft import PeftModel
from torch.distributed.fsdp import FSDPModule
from transformers import EarlyStoppingCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOConfig, GRPOTrainer, SFTTrainer
from trl.data_utils import prepare_multimodal_messages
from trl.trainer.utils import split_tensor_dict

from ..engines.processor import load_model
from ..errors import InputError
from ..rewards.focus import area_hiou
from .attention import prepare, why_not
from .curriculum import Curriculum
from .data import unreadable_rows
from .dynamic import draw, places, tied
from .evaluation import Evaluates, aside, unwrapped
from .progress import ProgressStore
from .prompts import Prompts, image_model, unique_prompts
from .rollout import complete, unknown_fields
from .run import not_finite, sign
from .sharded import local, refuse_mixture
from .shared_prefix import log_probs
from .trl_rewards import ANSWER, PROGRESS, read_replies
from .vllm import check_agreement, collapsed
from .windows import EpochOrder, generation_window

SAME, SAME_BF16 = 1e-3, 0.05
"""Log-probabilities that differ by no more than this on average are the same, in float32 and in less."""


def clear_groups(rewards: torch.Tensor, ids: Sequence[str], columns: Sequence[int]) -> None:
    """Set `columns` to NaN, in place, in all rows of a sample that has a NaN there in one of its rows.

    A judge that failed on one reply has cleared the group in its own process only; a group may straddle processes,
    and a hole in a part of it would shift the advantages of the rest.
    """
    holes = rewards[:, list(columns)].isnan().any(dim=1).tolist()
    failed = {sample_id for sample_id, hole in zip(ids, holes, strict=True) if hole}
    for row, sample_id in enumerate(ids):
        if sample_id in failed:
            rewards[row, list(columns)] = torch.nan


def is_quantized(model: Any) -> bool:
    """Whether bitsandbytes holds the weights of a model (or of an adapter's base)."""
    return bool(getattr(model, "is_loaded_in_4bit", False) or getattr(model, "is_loaded_in_8bit", False))


class _OurFolders:
    """What holds for the folders of both trainers: weights that really resume, and a true card and stamp beside them.

    transformers 5.23 saves Qwen-VL weights under the hub's names, but its trainer reads them back by the names in
    memory: none match, and the run would go on from the *initial* weights with no more than a warning.
    """

    def __init__(self, *args: Any, record: dict[str, Any], **kwargs: Any) -> None:
        self.record = record
        before = {n: p.data for n, p in kwargs["model"].named_parameters() if p.requires_grad}
        super().__init__(*args, **kwargs)
        self._open_head()
        if is_quantized(self.model):  # type: ignore[attr-defined]
            self._keep_adapter_exact(before)

    def _keep_adapter_exact(self, before: dict[str, torch.Tensor]) -> None:
        """The adapter in float32: TRL has rounded it to bfloat16, in which a step of 1e-5 is lost in most weights.

        before: the weights of an adapter that is continued, as they were.
        """
        if self.sharded:  # type: ignore[attr-defined]
            raise InputError("quantize: rounded weights cannot be cut over processes; launch with ddp or zero2")
        for name, parameter in self.model.named_parameters():  # type: ignore[attr-defined]
            if parameter.requires_grad:
                parameter.data = before[name] if name in before else parameter.data.float()

    def _open_head(self) -> None:
        """Let FSDP2 gather the head's weight for TRL's fused head, which reads it without a call of the head.

        TRL 1.16 would gather it itself, but in a way in which no process gets the gradients of the others.
        """
        model: Any = self.model  # type: ignore[attr-defined]
        whole: Any = model.get_base_model() if isinstance(model, PeftModel) else model
        head = whole.get_output_embeddings()

        def gather(*_: Any) -> None:
            if isinstance(head, FSDPModule):
                head.unshard()

        whole.base_model.register_forward_pre_hook(gather)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)  # type: ignore[misc]
        if self.args.should_save:  # type: ignore[attr-defined]
            sign(Path(output_dir or self.args.output_dir), self.record)  # type: ignore[attr-defined]

    def log(self, logs: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """TRL's, with the count of rows that could not be decoded."""
        if unreadable := unreadable_rows(self.train_dataset):  # type: ignore[attr-defined]
            logs["unreadable_rows"] = unreadable
        super().log(logs, *args, **kwargs)  # type: ignore[misc]

    def _run_epoch(self, *args: Any, **more: Any) -> None:
        # transformers looks after a step only whether a run is over; one that was killed at its end would make another.
        trainer: Any = self
        stops = [c for c in trainer.callback_handler.callbacks if isinstance(c, EarlyStoppingCallback)]
        early = any(c.early_stopping_patience_counter >= c.early_stopping_patience for c in stops)
        if early or trainer.state.global_step >= trainer.state.max_steps:
            trainer.control.should_training_stop = True
        else:
            super()._run_epoch(*args, **more)  # type: ignore[misc]

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)  # type: ignore[misc]
        # `trainer_state.json` comes next and says that the checkpoint is complete: by then all have written theirs.
        self.accelerator.wait_for_everyone()  # type: ignore[attr-defined]

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """No card by TRL, which would name a data set and a base that it does not know; `_save` writes ours."""

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        target = self.model if model is None else model  # type: ignore[attr-defined]
        if isinstance(target, PeftModel) or self.is_fsdp_enabled or self.is_deepspeed_enabled:  # type: ignore[attr-defined]
            super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]
            return
        target.load_state_dict(load_model(resume_from_checkpoint, dtype=target.dtype).state_dict())

    def _load_best_model(self) -> None:
        if isinstance(self.model, PeftModel) or self.is_fsdp_enabled or self.is_deepspeed_enabled:  # type: ignore[attr-defined]
            super()._load_best_model()  # type: ignore[misc]
        else:
            self._load_from_checkpoint(self.state.best_model_checkpoint)  # type: ignore[attr-defined]


class SifSFTTrainer(_OurFolders, Evaluates, SFTTrainer):
    """TRL's trainer with our folders and evaluations."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        # What it reads of the rows, their lengths, is read without their pictures.
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        return super()._get_train_sampler(rows.with_format(None))


@dataclass(frozen=True)
class _Rolled:
    """A row of a generation batch with its completion, as TRL's `_generate` returns it."""

    row: dict[str, Any]
    prompt: list[int]
    tokens: list[int]
    completion: Any
    logps: list[float] | None


class SifGRPOTrainer(_OurFolders, Evaluates, GRPOTrainer):
    """TRL's trainer with each prompt once, plus the progress store, and the first-box metric that tells hacking.

    prefix_sharing: "on", "off", or "auto": where the first batch gives what TRL's own rows give.
    dynamic_sampling: rounds in which groups without spread are replaced; see `dynamic`.
    """

    args: GRPOConfig  # type: ignore[assignment]
    model: Any
    _tokenizer: Any

    def __init__(
        self,
        *args: Any,
        store: ProgressStore,
        rewards: Sequence[str],
        prefix_sharing: str = "auto",
        curriculum: Curriculum | None = None,
        dynamic_sampling: int = 0,
        **kwargs: Any,
    ) -> None:
        self.store, self.curriculum, self.dynamic_sampling = store, curriculum, dynamic_sampling
        # The full names: a user's `module:answer` is called answer by TRL as well.
        self.columns = list(rewards)
        super().__init__(*args, **kwargs)
        # What cannot share prompts goes through TRL: it knows other families, which count positions in their own ways.
        reason = why_not(self.model)
        self.once = reason is None
        if prefix_sharing == "on" and reason:
            raise InputError(f"prefix_sharing: on, but this model cannot: {reason}")
        self.sharing = prefix_sharing != "off" and self.once
        for policy in (self.model, self.ref_model) if self.once else ():
            if policy is not None:
                prepare(policy)
        self._unproven = self.sharing and prefix_sharing == "auto"
        if self._dist.fsdp_version == 1:
            raise InputError("fsdp_version: 1 is not supported here; take 2 (`sifthinker recipe fsdp2` names a file)")
        if self.once and not self.use_vllm and (unknown := unknown_fields(self.generation_config)):
            raise InputError(f"generation_kwargs: {', '.join(unknown)} cannot be had without vLLM; leave it out")
        self._vllm_agrees = False
        # By mode, since an evaluation may come between the steps that train on one generation batch.
        self._prompts: dict[str, Prompts] = {}
        self._rows: torch.Tensor | None = None
        self._inputs: list[dict[str, Any]] = []
        # What dynamic sampling has generated and scored; TRL is given it in place of new completions.
        self._held: tuple[list[_Rolled], torch.Tensor] | None = None
        # Ids and accuracies of all rows that were scored for the current generation batch.
        self._visits: list[tuple[str, float]] = []
        if dynamic_sampling and reason:
            raise InputError(f"dynamic_sampling: {dynamic_sampling}, but this model cannot: {reason}; set it to 0")

    def window(self) -> int:
        """The current generation window, which names a visit in the progress store."""
        return generation_window(self.state.global_step, self.args)

    @property
    def _group(self) -> int:
        """Completions of a prompt in training."""
        assert self.num_generations is not None  # TRL has a default
        return self.num_generations

    @property
    def _mode(self) -> str:
        return "train" if self.model.training else "eval"

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        # As TRL's, but groups stay together: the sampler has shuffled the prompts, and rows of one are worth more side
        # by side.
        if not self.once:
            return super()._prepare_inputs(generation_batch)
        if self._mode == "eval":
            return self._generate_and_score_completions(generation_batch)
        steps = self.args.steps_per_generation
        assert steps is not None  # TRL fills it in
        if self._step % (steps * self.num_iterations) == 0 or self._buffered_inputs is None:
            self._buffered_inputs = split_tensor_dict(self._generate_and_score_completions(generation_batch), steps)
        return self._buffered_inputs[self._step % steps]

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        # The log, where a loss that is no number ends the run, may be many steps away.
        if not all(bool(local(p).isfinite().all()) for p in self.model.parameters() if p.requires_grad):
            raise not_finite(self.state.global_step, "a weight is no number")
        if not self.once:
            return super()._generate_and_score_completions(inputs)
        if self.dynamic_sampling and self._mode == "train":
            self._held = self._with_spread(inputs)
            inputs = [rolled.row for rolled in self._held[0]]
        self._inputs = inputs
        output = super()._generate_and_score_completions(_without_pictures(inputs))
        self._held = None
        return {**output, "rows": self._prompts[self._mode].rows}

    def _generate(self, prompts: Any) -> Any:
        if self._held is None:
            return super()._generate(prompts)
        rolled = self._held[0]
        self._tokenize_prompts(prompts)
        logps = None if rolled[0].logps is None else [one.logps for one in rolled]
        tokens, completions = [one.tokens for one in rolled], [one.completion for one in rolled]
        return [one.prompt for one in rolled], tokens, None, completions, logps, {}, None, []

    def _roll(self, inputs: list[dict[str, Any]]) -> tuple[list[_Rolled], torch.Tensor]:
        """Completions of some rows, and their rewards by process, group, completion and function."""
        self._inputs = inputs
        prompts = [row["prompt"] for row in inputs]
        ids, tokens, _, completions, logps, *_ = super()._generate(prompts)
        rewards = self._score(_without_pictures(inputs), prompts, completions, tokens)
        rows = zip(inputs, ids, tokens, completions, logps or [None] * len(inputs), strict=True)
        by_process = rewards.view(self.accelerator.num_processes, -1, rewards.shape[-1])
        return [_Rolled(*row) for row in rows], by_process.unflatten(1, (-1, self._group))

    def _with_spread(self, inputs: list[dict[str, Any]]) -> tuple[list[_Rolled], torch.Tensor]:
        """A generation batch whose groups without spread were replaced, with its rewards, as far as rounds go.

        Every process generates as many new groups as the one that needs most, so that all take part in each step.
        """
        size, processes, me = self._group, self.accelerator.num_processes, self.accelerator.process_index
        weights = self.reward_weights.to(self.accelerator.device)
        rolled, rewards = self._roll(inputs)
        groups, extra, begun = _chunks(rolled, size), 0, tied(rewards, weights)
        used = set(gather_object([row["sample"].id for row in inputs]))
        ids = list(self.train_dataset.with_format(None).select_columns("id")["id"])  # type: ignore[union-attr]
        fresh = draw(ids, used, self.args.seed, self.window())
        for _ in range(self.dynamic_sampling):
            ties = tied(rewards, weights)
            needed = int(ties.sum(dim=1).max())
            numbers = list(islice(fresh, needed * processes))
            needed = len(numbers) // processes
            if not needed:
                break
            mine = [self.train_dataset[n] for n in numbers[me * needed : (me + 1) * needed]]  # type: ignore[index]
            new, earned = self._roll([row for row in mine for _ in range(size)])
            new_groups = _chunks(new, size)
            extra += len(new) * processes
            for process, place, number in places(ties, tied(earned, weights)):
                rewards[process, place] = earned[process, number]
                if process == me:
                    groups[place] = new_groups[number]
        left = tied(rewards, weights)
        metrics = self._metrics["train"]
        metrics["dynamic_sampling/refilled"].append((begun & ~left).float().mean().item())
        metrics["dynamic_sampling/left"].append(left.float().mean().item())
        metrics["dynamic_sampling/extra_rollouts"].append(extra)
        return [one for group in groups for one in group], rewards.flatten(0, 2)

    def _tokenize_prompts(self, prompts: Any) -> Any:
        if not self.once:
            ids, images, fields = super()._tokenize_prompts(prompts)
            # TRL marks questions in words by None among lists of pictures, which processors do not take.
            return ids, images and [pictures or [] for pictures in images], fields
        numbers: dict[str, int] = {}
        rows = [numbers.setdefault(row["sample"].id, len(numbers)) for row in self._inputs]
        firsts = [rows.index(n) for n in range(len(numbers))]
        pictures = [self._inputs[row]["images"] for row in firsts]
        shown = [prepare_multimodal_messages(prompts[r], images=p) for r, p in zip(firsts, pictures, strict=True)]
        ids, _, fields = super()._tokenize_prompts(shown)
        made = unique_prompts(self.model, rows, ids, fields, [len(p) for p in pictures])
        frozen = not any(p.requires_grad for p in image_model(self.model).visual.parameters())
        if frozen and not self.sharded:
            made.encode(self.model)
        if self.sharded:
            refuse_mixture([grid is not None for grid in made.grids])
        self._prompts[self._mode], self._rows = made, made.rows
        return [ids[n] for n in rows], None, {}

    def _generate_single_turn(
        self, prompt_ids: Any, images: Any, multimodal_fields: Any, num_generations: int, has_tool_images: bool = False
    ) -> Any:
        if not self.once:
            return super()._generate_single_turn(
                prompt_ids, images, multimodal_fields, num_generations, has_tool_images
            )
        if self.use_vllm:
            return self._ask_vllm(prompt_ids, num_generations)
        try:
            with unwrapped(self) as model:
                return complete(model, self._prompts[self._mode], self.generation_config), None
        except RuntimeError as error:
            if "probability tensor" not in str(error):
                raise
            raise not_finite(self.state.global_step, "the model's scores are no numbers") from error

    def _ask_vllm(self, prompt_ids: list[list[int]], group: int) -> tuple[list[list[int]], list[list[float]]]:
        if self.state.global_step != self._last_loaded_step:
            self.vllm_generation.sync_weights()
            self._last_loaded_step = self.state.global_step
        token = self.model.config.image_token_id
        given = [collapsed(ids, token) for ids in prompt_ids] if self.vllm_mode == "colocate" else prompt_ids
        pictures = [row["images"] or None for row in self._inputs]
        read, said, found, _ = self.vllm_generation.generate(prompts=given, images=pictures, num_generations=group)
        logps = [[top[0] for top in tokens] for tokens in found]
        if not self._vllm_agrees:
            plain = self.top_p == 1.0 and not self.top_k and not self.min_p and self.repetition_penalty == 1.0
            with unwrapped(self) as model:
                check_agreement(
                    model, self._prompts[self._mode], read, said, logps if plain else None, self.temperature
                )
            self._vllm_agrees = True
        return said, logps

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        self._rows = inputs.get("rows")
        return super()._compute_loss(model, inputs)

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Any,
        attention_mask: Any,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **pictures: Any,
    ) -> Any:
        given = input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, compute_aux_loss
        if not self.once:
            return super()._get_per_token_logps_and_entropies(model, *given, **pictures)
        prompts, rows = self._prompts[self._mode], self._rows
        assert rows is not None
        # Groups make chunks of their own number in each process; sharded weights want the same number of passes in all.
        at_once = None if self.sharded else batch_size

        def shared() -> Any:
            with self.accelerator.autocast():
                return log_probs(
                    model, prompts, rows, input_ids[:, -logits_to_keep:], attention_mask[:, -logits_to_keep:],
                    at_once, compute_entropy,
                )  # fmt: skip

        def stock() -> Any:
            numbers = rows.tolist()
            kinds = torch.zeros_like(input_ids)
            for row, n in enumerate(numbers):
                end = input_ids.shape[1] - logits_to_keep
                kinds[row, end - len(prompts.kinds[n]) : end] = prompts.kinds[n]
            pictures = prompts.pictures(numbers)
            counts = [0 if prompts.grids[n] is None else len(prompts.grids[n]) for n in numbers]
            more = {**pictures, "num_images": counts, "mm_token_type_ids": kinds} if pictures else {}
            return super(SifGRPOTrainer, self)._get_per_token_logps_and_entropies(model, *given, **more)

        if self._unproven:
            self._prove(shared, stock)
        if not self.sharing or compute_aux_loss:
            return stock()
        return *shared(), None

    def _prove(self, shared: Callable[[], Any], stock: Callable[[], Any]) -> None:
        """Compare both ways on the first batch; go on in TRL's if they differ, and say so."""
        with aside(self.model), torch.no_grad():
            ours, theirs = shared()[0].float(), stock()[0].float()
        # What the worst process has seen, so that all go on in the same way; nan stays nan.
        everywhere: Any = self.accelerator.gather((ours - theirs).abs().mean())
        off = everywhere.max().item()
        self._unproven = False
        exact = next(self.model.parameters()).dtype == torch.float32 and not self.args.bf16
        # Also where it is nan.
        if not off <= (SAME if exact else SAME_BF16):
            self.sharing = False
            warnings.warn(
                f"prefix_sharing: log-probabilities of shared rows differ from TRL's by {off:.2g} on average, so every "
                "completion gets a row of its own; please report this with model and versions",
                stacklevel=2,
            )

    def _get_train_sampler(self, dataset: Any = None) -> EpochOrder:
        sampler = super()._get_train_sampler(dataset)
        return EpochOrder(sampler, lambda: int((self.state.epoch or 0) + 1e-6), self.curriculum)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        if self._held is None:
            rewards = self._score(inputs, prompts, completions, completion_ids_list)
        else:
            rewards = self._held[1]
        samples = [row["sample"] for row in inputs]
        first = gather_object(
            [
                0.0 if trace.first_focus is None else area_hiou(trace.first_focus, sample)
                for trace, sample in zip(read_replies(completions, samples), samples, strict=True)
                if sample.boxes
            ]
        )
        if first:
            # Focus that rises while this falls is hacking: beginning badly on purpose.
            self._metrics[self._mode]["first_box_hiou"].append(sum(first) / len(first))
        if self.curriculum is not None and self._visits:
            self.curriculum.update([i for i, _ in self._visits], [accuracy for _, accuracy in self._visits])
        self._visits = []
        return rewards

    def _score(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        """TRL's gathered rewards, whole groups without what was not judged; in training they are stored as a visit."""
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if ANSWER in self.columns:
            # `rewards` is gathered, so every rank sees all rows, clears the same ones and writes the same entries.
            ids = gather_object([row["sample"].id for row in inputs])
            judged = [c for c in (ANSWER, PROGRESS) if c in self.columns]
            clear_groups(rewards, ids, [self.columns.index(c) for c in judged])
            if self._mode == "train":
                accuracies = rewards[:, self.columns.index(ANSWER)].tolist()
                self.store.update(ids, accuracies, self.window())
                self._visits += zip(ids, accuracies, strict=True)
        return rewards

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self.args.should_save:
            folder = Path(self._get_output_dir(trial=trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            folder.mkdir(parents=True, exist_ok=True)
            # First, because a checkpoint counts as complete when `trainer_state.json`, which comes last, is there.
            self.store.save(folder, self.state.global_step)
            if self.curriculum is not None:
                self.curriculum.save(folder)
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.store.load(checkpoint)
            if self.curriculum is not None:
                self.curriculum.load(checkpoint)


def _without_pictures(inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of which TRL has no pictures to repeat."""
    return [{k: v for k, v in row.items() if k != "images"} for row in inputs]


def _chunks(rows: list[_Rolled], size: int) -> list[list[_Rolled]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
