"""What each task is worth to somebody who does not look: `python bench/blind.py [TASK ...] [--json]`.

For each task, learned from questions of the training stream and measured on as many held-out ones as `--n` says:

constant: the best constant answer (what `--model blind` says). language: a logistic regression from the words of the
question (and of its options: their words, their order by value, what they share with the question) to the answer.
chance: one of the options at random (those that the question names), or one of the answers where at most 16 occur;
null for quantities.

Results with Wilson intervals in bench/results/blind.json, which docs/tasks.md shows; naming tasks measures these anew.
A question about a story in words is seen whole by `language`, which knows its words and pairs of words but no order.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from sifthinker.benchmarks.scenes import HELD_OUT
from sifthinker.engines.blind import best_constant, candidates, questions
from sifthinker.grading import grade_answer
from sifthinker.normalize import quantities
from sifthinker.sample import Sample
from sifthinker.scenes.generate import scene_config
from sifthinker.scenes.tasks import TASKS
from sifthinker.statistics import wilson

RESULTS = Path(__file__).parent / "results" / "blind.json"
SIZE = (96, 96)
SEEDS = (0, HELD_OUT)
FEW = 16


def words(text: str) -> list[str]:
    single = text.lower().replace("?", " ?").replace(".", " .").split()
    return single + [f"{a} {b}" for a, b in pairwise(single)]


def option_features(sample: Sample, option: str) -> dict[str, float]:
    """What can be told of an option without looking."""
    values = [found[0].value if (found := quantities(choice)) else None for choice in sample.choices]
    mine = values[sample.choices.index(option)]
    known = {f"option {word}": 1.0 for word in words(option)}
    if mine is not None and None not in values:
        known[f"rank {sorted(values).index(mine)} of {len(values)}"] = 1.0  # type: ignore[type-var]
    lengths = sorted(len(choice) for choice in sample.choices)
    known[f"length {lengths.index(len(option))}"] = 1.0
    asked = set(sample.question.lower().split())
    known["shared"] = sum(word in asked for word in option.lower().split()) / max(len(option.split()), 1)
    alike = [sum(word in other.split() for word in option.split()) for other in sample.choices if other != option]
    known["alike"] = sum(alike) / max(len(alike) * len(option.split()), 1)
    known |= {f"{word} & {option}": 1.0 for word in words(sample.question)[:80]}
    return known


class Language:
    """The answer that the words of a question suggest."""

    def __init__(self, train: Sequence[Sample]) -> None:
        from sklearn.feature_extraction import DictVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        self.model = make_pipeline(DictVectorizer(), LogisticRegression(C=0.3, max_iter=500))
        self.only: str | None = None
        if train[0].choices:
            rows = [(option_features(s, c), c == s.answer) for s in train for c in s.choices]
        else:
            tried = candidates(train)
            rows = [
                (dict.fromkeys(words(s.question), 1.0), max(tried, key=lambda a, s=s: grade_answer(a, s) or 0.0))
                for s in train
            ]
        if len({label for _, label in rows}) == 1:
            self.only = str(rows[0][1])
        else:
            self.model.fit([row for row, _ in rows], [label for _, label in rows])

    def answer(self, sample: Sample) -> str:
        if self.only is not None:
            return self.only
        if sample.choices:
            right = self.model.predict_proba([option_features(sample, c) for c in sample.choices])[:, 1]
            return sample.choices[int(right.argmax())]
        return str(self.model.predict([dict.fromkeys(words(sample.question), 1.0)])[0])


def options(sample: Sample) -> list[str]:
    """The options of a question: its own, or the answer and the wrong answers if it names them all."""
    if sample.choices:
        return list(sample.choices)
    said = [sample.answer, *sample.meta.get("distractors", [])]
    return said if len(said) > 1 and all(answer in sample.question for answer in said) else []


def chance(train: Sequence[Sample]) -> float | None:
    kind, answers = TASKS[train[0].meta["task"]].answer_kind, {s.answer for s in train}
    if all(map(options, train)):
        return sum(1 / len(options(s)) for s in train) / len(train)
    return 1 / len(answers) if kind not in ("number", "box") and len(answers) <= FEW else None


def measure(task: str, n: int) -> tuple[str, dict]:
    objects = scene_config([task], SIZE).objects
    train, held_out = (questions(task, SIZE, objects, n, seed) for seed in SEEDS)
    constant, language = best_constant(train), Language(train)
    odds = chance(train)
    result = {"n": len(held_out), "chance": None if odds is None else round(odds, 3)}
    for name, say in (("constant", lambda s: constant), ("language", language.answer)):
        earned = sum(grade_answer(say(s), s) or 0.0 for s in held_out)
        low, high = wilson(earned, len(held_out))
        result[name] = [round(x, 3) for x in (earned / len(held_out), low, high)]
    return task, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", help="only these; the others keep their figures")
    parser.add_argument("--n", type=int, default=500, help="questions to learn from, and as many to measure on")
    parser.add_argument("--cores", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    args = parser.parse_args()
    known = json.loads(RESULTS.read_text())["tasks"] if args.tasks and RESULTS.exists() else {}
    names = args.tasks or list(TASKS)
    with ProcessPoolExecutor(args.cores, get_context("spawn")) as pool:
        waiting = [pool.submit(measure, name, args.n) for name in names]
        for done in tqdm(as_completed(waiting), desc="blind", unit="task", total=len(waiting)):
            name, result = done.result()
            known[name] = result
            if not args.json:
                tqdm.write(f"{name:34} {json.dumps(result)}")
    tasks = {name: known[name] for name in TASKS if name in known}
    result = {"tasks": tasks, "seeds": SEEDS, "command": f"python bench/blind.py --n {args.n}"}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    if args.json:
        json.dump(result, sys.stdout)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
