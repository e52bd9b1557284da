"""What is done to rewards after they are gathered from all processes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sifthinker.errors import InputError
from sifthinker.training import evaluation, sharded, trl_adapter, windows
from sifthinker.training.curriculum import Curriculum
from sifthinker.training.progress import ProgressStore
from tests.training import mini

NAN = float("nan")


def gathered(
    monkeypatch: pytest.MonkeyPatch,
    columns: list[str],
    ranks: list[list[tuple[str, list[float]]]],
    rank: int,
    curriculum: Curriculum | None = None,
):
    """`_calculate_rewards` in process `rank` of several: what it returns, and the store it wrote.

    ranks: of each process the sample id and the rewards of every row.
    """
    samples = {s.id: s for s, _ in mini.pairs(3)}
    rows = [row for part in ranks for row in part]
    monkeypatch.setattr(trl_adapter, "gather_object", lambda mine: [i for i, _ in rows] if mine[0] in samples else mine)
    monkeypatch.setattr(
        trl_adapter.GRPOTrainer, "_calculate_rewards", lambda *_: torch.tensor([values for _, values in rows])
    )
    trainer: Any = object.__new__(trl_adapter.SifGRPOTrainer)
    trainer.columns, trainer.store, trainer.curriculum = columns, ProgressStore(), curriculum
    trainer.model, trainer._metrics = SimpleNamespace(training=True), {"train": {"first_box_hiou": []}}
    trainer.window, trainer._held, trainer._visits = lambda: 0, None, []
    inputs = [{"sample": samples[i]} for i, _ in ranks[rank]]
    completions = [[{"role": "assistant", "content": ""}] for _ in inputs]
    return trainer._calculate_rewards(inputs, None, completions, None), trainer.store


def test_a_group_with_one_unjudged_reply_is_unjudged_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ["form", "answer", "progress"]
    # mini-1 straddles the two processes; the judge failed in the first, which has cleared its own part.
    ranks = [
        [("mini-0", [1.0, 1.0, 0.0]), ("mini-0", [1.0, 0.0, 0.0]), ("mini-1", [1.0, NAN, NAN])],
        [("mini-1", [0.0, 1.0, 0.5]), ("mini-2", [1.0, 1.0, 0.0]), ("mini-2", [1.0, 1.0, 0.0])],
    ]
    first, first_store = gathered(monkeypatch, columns, ranks, 0)
    second, second_store = gathered(monkeypatch, columns, ranks, 1)
    assert torch.equal(first.isnan(), second.isnan())
    assert first.isnan().tolist() == [[False] * 3] * 2 + [[False, True, True]] * 2 + [[False] * 3] * 2
    for store in (first_store, second_store):
        assert [store.previous(f"mini-{i}", 1) for i in range(3)] == [0.5, None, 1.0]


def test_every_process_draws_the_same_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has seen half of the replies itself; mini-0 went well, mini-1 straddles the two, mini-2 failed."""
    ranks = [[("mini-0", [1.0]), ("mini-0", [1.0]), ("mini-1", [1.0])], [("mini-1", [0.0]), ("mini-2", [0.0])]]
    drawn, outcomes = [], []
    for rank in range(2):
        given = [f"mini-{n}" for n in range(6)], ["color"] * 6
        curriculum = Curriculum("confidence", *given, size=2, seed=0, shuffle=True, lag=0)
        curriculum.draw()
        gathered(monkeypatch, ["answer"], ranks, rank, curriculum)
        drawn.append(curriculum.draw())
        outcomes.append(curriculum.known)
    assert outcomes == [{"mini-0": 1.0, "mini-1": 0.5, "mini-2": 0.0}] * 2
    assert drawn[0] == drawn[1]


def test_the_store_reads_the_built_in_answer_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [[("mini-0", [9.0, 1.0]), ("mini-0", [9.0, 0.0])]]
    _, store = gathered(monkeypatch, ["mc:answer_of_mine", "answer"], rows, 0)
    assert store.previous("mini-0", 1) == 0.5
    _, store = gathered(monkeypatch, ["mc:answer", "form"], rows, 0)
    assert len(store) == 0, "a function of the user's that is called answer is not the accuracy"


def test_the_order_of_an_epoch_does_not_depend_on_the_epochs_before() -> None:
    from trl.trainer.utils import RepeatSampler

    def order(epoch: int) -> list[int]:
        return list(windows.EpochOrder(RepeatSampler(range(9), 2, seed=3), lambda: epoch))

    assert order(1) == order(1) != order(0)
    assert sorted(order(1)) == sorted([*range(9), *range(9)])
    assert order(0) == list(RepeatSampler(range(9), 2, seed=3)), "the first epoch is TRL's"


def test_sharded_weights_want_pictures_in_all_prompts_or_in_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharded, "gather_object", lambda mine: [*mine, True])
    sharded.refuse_mixture([True, True])
    with pytest.raises(InputError, match="questions with and without pictures in one batch"):
        sharded.refuse_mixture([False])


def test_where_weights_are_sharded_all_processes_ask_as_often() -> None:
    def shares(total: int, processes: int, cut: bool) -> list[list[int]]:
        trainers: list[Any] = [
            SimpleNamespace(accelerator=SimpleNamespace(process_index=n, num_processes=processes), sharded=cut)
            for n in range(processes)
        ]
        return [evaluation.share(trainer, total) for trainer in trainers]

    assert shares(5, 2, cut=False) == [[0, 2, 4], [1, 3]]
    assert shares(5, 2, cut=True) == [[0, 2, 4], [1, 3, 0]]
    assert shares(2, 5, cut=True) == [[0], [1], [0], [1], [0]]
