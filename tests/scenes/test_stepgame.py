"""The solver of StepGame: right on every story that is there, and silent on damaged ones."""

import random
import re

import pytest

from sifthinker.benchmarks import open_benchmark
from sifthinker.scenes.stepgame import CANNOT, HINT, QUESTION, Solved, follow, solve
from sifthinker.scenes.stepgame_sentences import OFFSETS, Link, read_link

ASK = QUESTION.format(x="A", y="C")
OPPOSITE = {label: next(k for k, v in OFFSETS.items() if v == (-x, -y)) for label, (x, y) in OFFSETS.items()}
CHAIN = "A is above B. C is to the left of B. "


@pytest.fixture(scope="module")
def stories(shared_data):
    return list(open_benchmark(f"stepgame:{shared_data / 'stepgame'}").load())


def test_every_story_is_solved(stories):
    assert len(stories) == 2000
    wrong = [s.id for s in stories if not isinstance(f := solve(s.question), Solved) or f.label != s.answer]
    assert wrong == []


def test_chains_are_as_long_as_files_say_and_questions_need_a_part_of_them(stories):
    for sample in stories:
        if "clean" in sample.id:
            assert sample.question.count("\n") == sample.meta["hops"]
        assert 1 <= len(solve(sample.question).path) <= sample.meta["hops"]


@pytest.mark.parametrize(
    ("sentence", "link"),
    [
        ("A is above B at 10 o'clock.", ("A", "upper-left", "B")),
        ("A is at B’s 9 o'clock.", ("A", "left", "B")),
        ("B is over there and A is on the left.", ("A", "left", "B")),
        ("If B is the center of a clock face, A is located between 2 and 3.", ("A", "upper-right", "B")),
        ("A and B are in a horizontal line with B on the right.", ("A", "left", "B")),
        ("A and B are next to each other with B at the bottom A on the top.", ("A", "above", "B")),
        ("A is positioned in the front right corner of B.", ("A", "upper-right", "B")),
        ("I is slightly off center to the top left and A is slightly off center to the bottom right.",
         ("I", "upper-left", "A")),
        ("The objects A and B are over there. The object B is lower and slightly to the left of the object A.",
         ("B", "lower-left", "A")),
        ("Seen from K, the way to A points to 12 o'clock.", ("A", "above", "K")),
    ],
)  # fmt: skip
def test_sentences(sentence, link):
    found = read_link(sentence)
    assert found in (Link(*link), Link(*link).turned)


@pytest.mark.parametrize(
    ("sentence", "why"),
    [
        ("A is near B.", "unknown relation"),
        ("A hovers above B.", "unknown verb"),
        ("A is B.", "no relation"),
        ("A is and to the left of B.", "a word is gone"),
        ("A is above.", "a letter is gone"),
        ("A is above A.", "one letter"),
        ("A is above B and C.", "three letters"),
        ("A is above B at 4 o'clock.", "above, and below"),
        ("A is at B's 13 o'clock.", "no such hour"),
        ("A and B are next to each other with A on the left and B on the left.", "both left"),
        ("A is not above B.", "more than a pattern"),
        ("A is above B", "no period"),
        (
            "The objects A and C are over there. The object A is below and slightly to the left of the object B.",
            "three",
        ),
        ("", "nothing"),
    ],
)
def test_damaged_sentences_say_nothing(sentence, why):
    assert read_link(sentence) is None, why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not the question"),
        (CHAIN, "is not the question"),
        (CHAIN + "Where is A?", "is not the question"),
        (ASK, "nothing is said about A"),
        ("A is above B. " + ASK, "nothing is said about C"),
        ("A is above B. C is above D. " + ASK, "no links lead from C to A"),
        (CHAIN + "C is above B. " + ASK, "contradicts the rest"),
        (CHAIN + "D is above E. D is below E. " + ASK, "what is said about D and E contradicts"),
        (CHAIN + "D jumps over E. " + ASK, "'D jumps over E.'"),
        (CHAIN + "The objects A and B are there. " + ASK, "'The objects A and B are there.'"),
        (CHAIN + QUESTION.format(x="A", y="A"), "A is asked for relative to itself"),
    ],
)
def test_damaged_stories_are_refused(text, why):
    found = solve(text)
    assert isinstance(found, str)
    assert found.startswith(f"{CANNOT}: ")
    assert why in found


def test_dropped_words_and_unknown_verbs_never_change_an_answer_unseen(stories):
    """With a word less a story is refused, or the shorter sentence is one of StepGame's own and is read as it is."""
    rng = random.Random(0)
    refused = 0
    picked = rng.sample(stories, 400)
    for sample in picked:
        *story, question = sample.question.removesuffix(f" {HINT}").split("\n")
        index = rng.randrange(len(story))
        words = story[index].split()
        gone = words.pop(rng.randrange(len(words)))
        found = solve("\n".join([*story[:index], " ".join(words), *story[index + 1 :], question]))
        refused += isinstance(found, str)
        if isinstance(found, Solved) and found.label != sample.answer:
            assert gone.strip(".,").lower() in {"left", "right", "upper", "lower", "above", "below", "top", "bottom"}
        story[index] = re.sub(r"\b(is|are|presents)\b", "floats", story[index], count=1)
        assert isinstance(solve("\n".join([*story, question])), str)
    assert refused > 0.8 * len(picked)


def test_a_missing_link_breaks_a_clean_chain(stories):
    for sample in [s for s in stories if "clean" in s.id and s.meta["hops"] > 1][::9]:
        *story, question = sample.question.split("\n")
        needed = [{link.a, link.b} for link in solve(sample.question).path]
        index = next(i for i, s in enumerate(story) if {read_link(s).a, read_link(s).b} == needed[len(needed) // 2])
        del story[index]
        assert isinstance(solve("\n".join([*story, question])), str)


def test_a_turned_link_contradicts_or_changes_the_answer(stories):
    """In clean chains every link counts: with one link turned round, coordinates move by two steps."""
    for sample in [s for s in stories if "clean" in s.id][::9]:
        found = solve(sample.question)
        links = list(found.path)
        links[0] = Link(links[0].a, OPPOSITE[links[0].label], links[0].b)
        other = follow(links, found.x, found.y)
        assert other.places[-1] != found.places[-1]


def test_asked_the_other_way_round(stories):
    for sample in stories[::7]:
        found = solve(sample.question)
        text = sample.question.replace(QUESTION.format(x=found.x, y=found.y), QUESTION.format(x=found.y, y=found.x))
        assert solve(text).label == OPPOSITE[sample.answer]
