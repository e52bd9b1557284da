from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sifthinker import evaluate as evaluation
from sifthinker.benchmarks import Options, Score
from sifthinker.benchmarks.words import score_words
from sifthinker.depth import DepthMap, write_depth
from sifthinker.engines import Reply, Request, ScriptedEngine
from sifthinker.errors import InputError
from sifthinker.evaluate import evaluate
from sifthinker.geometry import WHOLE, Box
from sifthinker.metrics import HEADLINE
from sifthinker.rewards.depth import tolerance
from sifthinker.runs import read_metrics, read_run
from sifthinker.sample import Sample
from sifthinker.tables import comparison_summary, summary
from sifthinker.trace import Area, Step, Trace, format_trace

SIZE = (60, 40)


def make_sample(index: int, **changes: Any) -> Sample:
    rng = np.random.default_rng(index)
    pixels = rng.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    depth = DepthMap(np.tile(np.linspace(0.0, 1.0, SIZE[0], dtype=np.float32), (SIZE[1], 1)))
    x = 0.1 + 0.05 * (index % 10)
    fields: dict[str, Any] = {
        "id": f"item-{index}",
        "image": Image.fromarray(pixels),
        "question": f"What is it in {index}?",
        "answer": ("red", "blue")[index % 2],
        "depth": depth,
        "boxes": (Box(x, 0.2, x + 0.3, 0.7),),
        "meta": {"task": ("color", "shape")[index % 3 == 0], "answer_kind": "text"},
    }
    return Sample(**fields | changes)


def gold_trace(sample: Sample) -> Trace:
    depth = sample.depth_map()

    def area(boxes: Sequence[Box]) -> Area:
        boxes = [b.quantized() for b in boxes]
        return Area(tuple(boxes), tuple(None if depth is None else depth.relative().box_mean(b) for b in boxes))

    steps = (Step(area([WHOLE]), "I look around."), Step(area(sample.boxes), "There it is."))
    return Trace(steps, sample.answer)


@dataclass
class Toy:
    """A benchmark of ten small pictures."""

    samples: list[Sample] = field(default_factory=lambda: [make_sample(i) for i in range(10)])
    name: str = "toy"
    version: str = "1"

    @property
    def n(self) -> int:
        return len(self.samples)

    def load(self) -> Iterator[Sample]:
        return iter(self.samples)

    def score(self, trace: Trace, sample: Sample) -> Score:
        return score_words(trace, sample)


def perfect(bench: Toy) -> ScriptedEngine:
    replies = {s.id: format_trace(gold_trace(s)) for s in bench.samples}
    return ScriptedEngine(lambda request: replies[request.id])


def always(text: str) -> ScriptedEngine:
    return ScriptedEngine(lambda request: text)


class Counting(ScriptedEngine):
    """Remembers what it was asked; fails for chosen ids."""

    def __init__(self, bench: Toy, failing: Sequence[str] = (), error: str = "HTTP 500: out of order") -> None:
        replies = {s.id: format_trace(gold_trace(s)) for s in bench.samples}
        super().__init__(lambda request: replies[request.id])
        self.model_id = "counting"
        self.asked: list[str] = []
        self.failing, self.error = set(failing), error

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked += [r.id for r in requests]
        replies = super().generate(requests)
        return [Reply(r.id, None, error=self.error) if r.id in self.failing else r for r in replies]


def test_perfect_replies_earn_everything(tmp_path: Path) -> None:
    bench = Toy()
    result = evaluate(perfect(bench), bench, tmp_path)
    for name in ("answer_accuracy", "hiou", "valid_rate", "answer_accuracy_lenient"):
        assert result[name]["value"] == 1.0, name
        assert 0.6 < result[name]["low"] < 1.0
        assert result[name]["high"] == 1.0
    assert result["depth_error"]["value"] < 0.001
    assert {name: found["value"] for name, found in result["rewards"].items()} == dict.fromkeys(
        ("form", "answer", "focus", "correction", "depth"), 1.0
    )
    assert (result["n"], result["n_scored"], result["n_unparsed"], result["n_failed"]) == (10, 10, 0, 0)
    assert result["ok"]
    assert result["bounds"] is None
    assert result == read_metrics(tmp_path)


def test_headline_metrics_have_exactly_value_low_high(tmp_path: Path) -> None:
    result = evaluate(always("no idea"), Toy(), tmp_path)
    for name in HEADLINE:
        assert set(result[name]) == {"value", "low", "high"}
    json.dumps(result, allow_nan=False)


def test_metrics_without_items_are_null(tmp_path: Path) -> None:
    bench = Toy([make_sample(i, depth=None, boxes=(), answer="") for i in range(3)])
    result = evaluate(always("<think>"), bench, tmp_path)
    nothing = {"value": None, "low": None, "high": None}
    assert result["answer_accuracy"] == result["hiou"] == result["depth_error"] == nothing
    assert result["n_no_gold"] == 3
    assert result["valid_rate"]["value"] == 0.0
    assert "–" in summary(result)


@pytest.mark.parametrize(
    ("reply", "outcome", "reason"),
    [
        ("", "unparsed", "empty"),
        (" \n", "unparsed", "empty"),
        ("<think>\n<area>[{", "unparsed", "truncated"),
        ("<think></think><answer>re", "unparsed", "truncated"),
        ("<think></think>", "unparsed", "no_answer"),
        ("I'm sorry, I can't help with that.", "unparsed", "refused"),
        ("<think></think><answer>red</answer>", "scored", ""),
        ("red", "scored", ""),
    ],
)
def test_outcomes(tmp_path: Path, reply: str, outcome: str, reason: str) -> None:
    bench = Toy([make_sample(0)])
    result = evaluate(always(reply), bench, tmp_path)
    [item] = read_run(tmp_path)[1]
    assert (item["outcome"], item["reason"]) == (outcome, reason)
    assert item["raw_reply"] == reply
    assert result["answer_accuracy"]["value"] == float(outcome == "scored")
    assert result["unparsed"] == ({reason: 1} if reason else {})


def test_reply_cut_off_by_the_token_limit_is_truncated(tmp_path: Path) -> None:
    class Cut(ScriptedEngine):
        def generate(self, requests: Sequence[Request]) -> list[Reply]:
            return [replace(reply, finish_reason="length") for reply in super().generate(requests)]

    result = evaluate(Cut(lambda request: "red and then"), Toy([make_sample(0)]), tmp_path)
    assert result["unparsed"] == {"truncated": 1}


def test_a_missing_answer_is_never_filled_with_gold(tmp_path: Path) -> None:
    bench = Toy()
    replies = {s.id: format_trace(gold_trace(s)).split("<answer>")[0] for s in bench.samples}
    result = evaluate(ScriptedEngine(lambda request: replies[request.id]), bench, tmp_path)
    assert result["answer_accuracy"]["value"] == 0.0
    assert result["n_unparsed"] == 10
    assert result["hiou"]["value"] == 1.0


def test_permuting_golds_changes_no_extraction(tmp_path: Path) -> None:
    bench = Toy()
    swapped = Toy([replace(s, answer={"red": "blue", "blue": "red"}[s.answer]) for s in bench.samples])
    engine = perfect(bench)
    assert evaluate(engine, bench, tmp_path / "a")["answer_accuracy"]["value"] == 1.0
    assert evaluate(engine, swapped, tmp_path / "b")["answer_accuracy"]["value"] == 0.0
    first, second = (read_run(tmp_path / name)[1] for name in "ab")
    assert [i["extraction"] for i in first] == [i["extraction"] for i in second]


def test_extraction_says_where_in_the_reply(tmp_path: Path) -> None:
    bench = Toy([make_sample(0)])
    evaluate(perfect(bench), bench, tmp_path)
    [item] = read_run(tmp_path)[1]
    start, end = item["extraction"]["span"]
    assert item["raw_reply"][start:end] == "red"
    assert item["extraction"]["rule"] == "text.whole"


def test_choice_letters_are_found_inside_of_long_replies(tmp_path: Path) -> None:
    bench = Toy([make_sample(0, answer="B", choices=("left", "right"))])
    evaluate(always("<think>(A) or (B)?</think>\nWell. The answer is (B)."), bench, tmp_path)
    [item] = read_run(tmp_path)[1]
    assert (item["extraction"]["value"], item["extraction"]["rule"]) == ("B", "letter.phrase")
    start, end = item["extraction"]["span"]
    assert item["raw_reply"][start:end] == "B"
    assert start > item["raw_reply"].index("</think>")


def test_strict_and_lenient_readings_are_told_apart(tmp_path: Path) -> None:
    bench = Toy([make_sample(0, answer="B", choices=("left", "right"))])
    result = evaluate(always("<answer>A dog stands to the right</answer>"), bench, tmp_path)
    assert result["answer_accuracy"]["value"] == 0.0
    assert result["answer_accuracy_lenient"]["value"] == 1.0
    assert result["unparsed"] == {"no_answer": 1}


def test_depth_error_is_the_mean_distance_to_the_true_depth(tmp_path: Path) -> None:
    sample = make_sample(0)
    gold = gold_trace(sample)
    box, true = gold.steps[1].area.boxes[0], gold.steps[1].area.depths[0]
    assert true is not None
    wrong = Step(Area((box,), (true + 0.2,)), "There it is.")
    # The whole image may have any depth: it is no focus.
    whole = Step(Area((WHOLE,), (0.9,)), "I look around.")
    reply = format_trace(Trace((whole, wrong), "red"))
    result = evaluate(always(reply), Toy([sample]), tmp_path)
    assert result["depth_error"]["value"] == pytest.approx(0.2, abs=0.001)
    assert result["counts"]["depth_error"] == 1
    assert result["depth_within_tolerance"]["value"] == 0.0
    nothing = evaluate(always("<answer>red</answer>"), Toy([sample]), tmp_path / "none")
    assert nothing["depth_error"]["value"] is None
    assert nothing["counts"]["depth_error"] == 0
    assert nothing["depth_within_tolerance"]["value"] is None


def test_depths_within_the_tolerance_of_the_reward_count(tmp_path: Path) -> None:
    sample = make_sample(0)
    box, true = (area := gold_trace(sample).steps[1].area).boxes[0], area.depths[0]
    assert true is not None
    near, far, none = true + 0.9 * tolerance(true), true + 1.1 * tolerance(true), None
    steps = tuple(Step(Area((box,), (d,)), "There.") for d in (near, far, none))
    for count, share in ((1, 1.0), (2, 1 / 2), (3, 1 / 3)):
        result = evaluate(always(format_trace(Trace(steps[:count], "red"))), Toy([sample]), tmp_path / str(count))
        assert result["depth_within_tolerance"]["value"] == pytest.approx(share)


def test_failed_is_neither_wrong_nor_right(tmp_path: Path) -> None:
    bench = Toy()
    engine = Counting(bench, failing=["item-3", "item-7"])
    result = evaluate(engine, bench, tmp_path, batch_size=4)
    assert (result["n"], result["n_scored"], result["n_failed"]) == (10, 8, 2)
    assert result["failed"] == {"HTTP 500": 2}
    assert result["answer_accuracy"]["value"] == 1.0
    assert result["bounds"] == [0.8, 1.0]
    assert not result["ok"]
    assert not result["complete"]
    assert "incomplete" in summary(result)
    assert evaluate(engine, bench, tmp_path, allow_failed=True)["ok"]


def test_only_failed_items_are_asked_again(tmp_path: Path) -> None:
    bench = Toy()
    evaluate(Counting(bench, failing=["item-3", "item-7"]), bench, tmp_path)
    engine = Counting(bench)
    result = evaluate(engine, bench, tmp_path)
    assert engine.asked == ["item-3", "item-7"]
    assert (result["n_scored"], result["n_failed"]) == (10, 0)
    assert [i["item_id"] for i in read_run(tmp_path)[1]] == [s.id for s in bench.samples]
    lines = (tmp_path / "items.jsonl").read_text().splitlines()
    assert len(lines) == 10


def test_a_sample_that_cannot_be_asked_is_failed_and_loses_no_other(tmp_path: Path) -> None:
    bench = Toy([make_sample(0), make_sample(1, image="nowhere.jpg"), make_sample(2)])
    replies = {s.id: format_trace(gold_trace(make_sample(i))) for i, s in enumerate(bench.samples)}
    result = evaluate(ScriptedEngine(lambda request: replies[request.id]), bench, tmp_path)
    assert (result["n_scored"], result["failed"]) == (2, {"bad_sample": 1})
    assert "no such image file" in read_run(tmp_path)[1][1]["error"]


def test_limit_and_growing_a_run(tmp_path: Path) -> None:
    bench = Toy()
    assert evaluate(Counting(bench), bench, tmp_path, limit=4)["n"] == 4
    engine = Counting(bench)
    assert evaluate(engine, bench, tmp_path)["n"] == 10
    assert engine.asked == [f"item-{i}" for i in range(4, 10)]
    with pytest.raises(InputError, match="holds a run with limit None, more than 3"):
        evaluate(engine, bench, tmp_path, limit=3)


def test_another_run_in_the_folder_is_refused_unless_told(tmp_path: Path) -> None:
    bench = Toy()
    evaluate(Counting(bench), bench, tmp_path)
    with pytest.raises(InputError, match=r"holds another run: model_id counting \(now scripted:<lambda>\)"):
        evaluate(always("red"), bench, tmp_path)
    with pytest.raises(InputError, match="gen_params"):
        evaluate(Counting(bench), bench, tmp_path, temperature=0.7)
    assert evaluate(always("red"), bench, tmp_path, resume=False)["valid_rate"]["value"] == 0.0


def test_ids_must_be_unique_and_sets_not_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 ids are not unique, first item-0"):
        evaluate(always("red"), Toy([make_sample(0), make_sample(0)]), tmp_path / "a")
    with pytest.raises(InputError, match="has no items"):
        evaluate(always("red"), Toy([]), tmp_path / "b")


def test_constant_answer_is_the_best_one_of_each_task(tmp_path: Path) -> None:
    samples = [
        make_sample(i, answer=a, meta={"task": "t", "answer_kind": "text"}) for i, a in enumerate(("a b", "A b.", "c"))
    ]
    samples += [make_sample(9, answer="B", choices=("x", "y"), meta={"task": "u"})]
    result = evaluate(always("c"), Toy(samples), tmp_path)
    assert result["baselines"]["constant_answer"] == pytest.approx(3 / 4)
    assert result["baselines"]["chance"] is None
    assert result["tasks"]["t"]["constant_answer"] == pytest.approx(2 / 3)
    assert result["tasks"]["t"]["answer_accuracy"]["value"] == pytest.approx(1 / 3)


def test_questions_about_one_photo_are_one_unit(tmp_path: Path) -> None:
    """Ten questions about two photos are two observations: the interval must stay wide."""
    samples = [replace(make_sample(i), image=make_sample(i % 2).image) for i in range(10)]
    result = evaluate(always("<answer>red</answer>"), Toy(samples), tmp_path)
    assert (result["answer_accuracy"]["low"], result["answer_accuracy"]["high"]) == (0.0, 1.0)


def test_run_folder_says_what_was_run(tmp_path: Path) -> None:
    bench = Toy()
    evaluate(perfect(bench), bench, tmp_path, max_tokens=77, seed=5)
    run, items = read_run(tmp_path)
    assert run["gen_params"] == {"max_tokens": 77, "temperature": 0.0, "seed": 5}
    assert run["config"]["benchmark"] == "toy"
    assert {"sifthinker", "python", "versions", "git_commit", "prompt_hash", "extraction_version"} <= run.keys()
    assert len(items[0]["image_hashes"]) == 2
    assert (tmp_path / items[0]["pictures"][0]).exists()
    assert "base64" not in (tmp_path / "items.jsonl").read_text()


@pytest.fixture
def toy_by_name(monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The toy benchmark under the name `toy`, as `score` finds it."""
    from sifthinker.benchmarks import BENCHMARKS, Entry

    bench = Toy()

    def opened(path: str | None, options: Options) -> Toy:
        return bench

    monkeypatch.setitem(BENCHMARKS, "toy", Entry(opened, "ten pictures", "here", "none"))
    return bench


def test_score_grades_again_without_the_model(
    tmp_path: Path, toy_by_name: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = evaluate(perfect(toy_by_name), "toy", tmp_path)
    assert evaluation.score(tmp_path) == before
    monkeypatch.setattr("sifthinker.outcomes.REWARDS", {"half": lambda trace, sample: 0.5})
    after = evaluation.score(tmp_path)
    assert after["rewards"]["half"]["value"] == 0.5
    assert after["answer_accuracy"] == before["answer_accuracy"]


def test_score_refuses_a_set_that_changed(tmp_path: Path, toy_by_name: Toy) -> None:
    evaluate(perfect(toy_by_name), "toy", tmp_path)
    toy_by_name.version = "2"
    with pytest.raises(InputError, match="was 1, is now 2"):
        evaluation.score(tmp_path)
    toy_by_name.version = "1"
    del toy_by_name.samples[2]
    with pytest.raises(InputError, match="1 items are not in toy any more, first item-2"):
        evaluation.score(tmp_path)


def test_score_of_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run\.json"):
        evaluation.score(tmp_path)


def test_compare_pairs_by_id(tmp_path: Path) -> None:
    bench = Toy()
    evaluate(always("<answer>red</answer>"), bench, tmp_path / "a")
    turned = Toy(bench.samples[::-1])
    evaluate(perfect(bench), turned, tmp_path / "b")
    result = evaluation.compare(tmp_path / "a", tmp_path / "b")
    accuracy = result["answer_accuracy"]
    assert (accuracy["wins"], accuracy["losses"], accuracy["p"]) == (5, 0, 0.0625)
    assert accuracy["difference"]["value"] == pytest.approx(0.5)
    assert result["hiou"]["difference"]["value"] == pytest.approx(1.0)
    assert result["depth_error"]["n"] == 0
    assert result["depth_error"]["difference"]["value"] is None
    assert "10 items" in comparison_summary(result)


def test_compare_refuses_different_sets_unless_forced(tmp_path: Path) -> None:
    bench = Toy()
    evaluate(perfect(bench), bench, tmp_path / "a")
    other = Toy([*bench.samples[:9], replace(bench.samples[9], question="Else?")])
    evaluate(perfect(bench), other, tmp_path / "b", limit=10)
    evaluate(perfect(bench), bench, tmp_path / "c", limit=6)
    with pytest.raises(InputError, match="1 items were asked in other words, first item-9"):
        evaluation.compare(tmp_path / "a", tmp_path / "b")
    with pytest.raises(InputError, match="4 items are in one run only"):
        evaluation.compare(tmp_path / "a", tmp_path / "c")
    forced = evaluation.compare(tmp_path / "a", tmp_path / "c", force=True)
    assert forced["n"] == 6
    assert forced["warnings"]


def test_a_torn_last_line_is_asked_again(tmp_path: Path) -> None:
    bench = Toy()
    evaluate(Counting(bench), bench, tmp_path)
    path = tmp_path / "items.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    engine = Counting(bench)
    result = evaluate(engine, bench, tmp_path)
    assert engine.asked == ["item-9"]
    assert result["n_scored"] == 10


SLOW_RUN = """
import sys, time
from pathlib import Path
from sifthinker.evaluate import evaluate
from sifthinker.engines import ScriptedEngine
from tests.test_evaluate import Toy, make_sample

class Slow(ScriptedEngine):
    def generate(self, requests):
        time.sleep(0.05)
        return super().generate(requests)

engine = Slow(lambda request: "<answer>red</answer>")
engine.model_id = "slow"
evaluate(engine, Toy([make_sample(i) for i in range(40)]), sys.argv[1], batch_size=1)
"""


def test_killed_run_loses_and_doubles_nothing(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", SLOW_RUN, str(tmp_path)]
    env = os.environ | {"PYTHONPATH": f"{root}:{root / 'src'}"}
    process = subprocess.Popen(command, cwd=root, env=env, stderr=subprocess.DEVNULL)
    path = tmp_path / "items.jsonl"
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_bytes().count(b"\n") >= 5):
        assert time.monotonic() < deadline, "the run wrote nothing"
        assert process.poll() is None, "the run ended too early"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = path.read_bytes().count(b"\n")
    assert not (tmp_path / "metrics.json").exists()
    bench = Toy([make_sample(i) for i in range(40)])
    engine = Counting(bench)
    engine.model_id = "slow"
    result = evaluate(engine, bench, tmp_path)
    assert len(engine.asked) == 40 - kept
    assert result["n"] == 40
    assert [i["item_id"] for i in read_run(tmp_path)[1]] == [s.id for s in bench.samples]
    assert path.read_bytes().count(b"\n") == 40


def test_photos_get_depth_maps_from_elsewhere(tmp_path):
    item = tmp_path / "blink" / "val_Relative_Depth_1"
    item.mkdir(parents=True)
    Image.new("RGB", (64, 48), "gray").save(item / "image.png")
    request = {"query": "Which is closer? Select from the following choices.\n(A) A\n(B) B", "answer": "(A)"}
    (item / "request.json").write_text(json.dumps(request))
    maps = tmp_path / "depth"
    maps.mkdir()
    write_depth(DepthMap(np.tile(np.linspace(0, 1, 64), (48, 1))), maps / "image.png")
    asked = []

    def answer(request):
        asked.append(len(request.images))
        return "<answer>A</answer>"

    benchmark = f"blink:{tmp_path / 'blink'}"
    versions = set()
    for number, depth in enumerate(("source", str(maps))):
        out = tmp_path / str(number)
        evaluate(ScriptedEngine(answer), benchmark, out, depth=depth)
        versions.add(evaluation.score(out)["version"])
    assert asked == [1, 2]
    assert len(versions) == 2
    (maps / "image.png").unlink()
    with pytest.raises(InputError, match="no depth file for image"):
        evaluate(ScriptedEngine(answer), benchmark, tmp_path / "3", depth=str(maps))
