"""Whether a text before the last gives the answer away, as far as words show it; paraphrases pass."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise, takewhile

from ...sample import Sample
from ..expand import Stage
from .language import SMALL_WORDS, WORDS

_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_JUDGED = {"yes": ["yes", "true", "correct"], "no": ["no", "false", "wrong", "incorrect", "not true", "not correct"]}
_ANSWER_IS = re.compile(
    r"(?<!\bif the )(?<!\bif this )(?<!\bwhether the )(?<!\bwhether this )"
    r"\b(?:answer|statement|claim)\s*(?:is|:|must be|will be|would be)\s*([\"'“(]*(?:an?\s|the\s)?)"
)
_LETTER_IS = re.compile(
    r"(?:\b[Aa]nswer(?: is|:)|\b[Ii]t(?: is|['’]s)|\bmust be|\b[Oo]ption|\b[Cc]hoice)\s+[\"'“(]*([A-Z])\b(?!\s+\w)"
)
_BEGINS_WITH = re.compile(r"\W*(yes|no)\s*[,.;:!–—]")
_QUOTED = re.compile(r'"([^"]+)"')
_ONE = re.compile(r"\b(?:only|just|exactly) one\b|\bone (\w{3,})")
_CONTRAST = re.compile(r"\b(?:not|rather|instead|but|than)\b|n['’]t\b")
_BEFORE, _AFTER, _WORD_GOES_ON = re.compile(r"(?<![\w.])"), re.compile(r"(?!\w|\.\d)"), re.compile(r"\w")
_ARTICLE = re.compile(r"^(?:an?|the)\s+")


def gives_away(text: str, stage: Stage, sample: Sample) -> bool:
    """Whether a text before the last says the answer.

    In any part: "the answer is ..." with the answer, "it must be B". Where the evidence is not in view yet (the whole
    photo, parts that do not help): the answer's words at all, except where they only repeat the question, or list all
    that may be the answer ("left or right", but not "left, not right"); and a yes or no before all else in the photo.
    """
    said, names = text.casefold(), _answer_names(sample)
    letter = _letter(sample)
    if any(found[1] == letter for found in _LETTER_IS.finditer(text)) or any(
        _begins(said, name, range(found.start(1), found.end() + 1))
        for found in _ANSWER_IS.finditer(said)
        for name in names
    ):
        return True
    if stage.role not in ("whole", "distractor"):
        return False
    if stage.role == "whole" and (first := _BEGINS_WITH.match(said)) and first[1] == names[0]:
        return True
    question, others = sample.question.casefold(), _other_answers(sample)
    for told in (question.strip(), *_QUOTED.findall(question)):  # what is asked about, whatever it is called
        said = said.replace(told, "")
    if "one" in names and any(found[1] is None or _counted(found[1], question) for found in _ONE.finditer(said)):
        return True
    offered = bool(others) and all(_find(question, other) >= 0 for other in others)
    return any(
        _find(said, name) >= 0
        and (offered or _find(question, name) < 0)
        and not (others and _only_listed(said, [name, *others]))
        for name in names
        if not _too_common(name)
    )


def _letter(sample: Sample) -> str:
    """The answer's letter where it is an option, else nothing."""
    letter = _plain(sample.answer).strip("()").upper()
    return letter if len(letter) == 1 and 0 <= ord(letter) - 65 < len(sample.choices) else ""


def _answer_names(sample: Sample) -> list[str]:
    """What the answer may be called: its words without article, a number also in letters, an option by its text."""
    answer, letter = _plain(sample.answer), _letter(sample).casefold()
    if letter:
        return [_plain(sample.choices[ord(letter) - 97]), f"({letter})", f"option {letter}"]
    if answer.isdecimal():
        return [answer, *_NUMBERS.split()[int(answer) : int(answer) + 1]]
    return _JUDGED.get(answer, [answer])


def _other_answers(sample: Sample) -> list[str]:
    """What else the answer might be: the other options, or what the question names beside it before and after "or"."""
    if sample.choices:
        return [_plain(choice) for n, choice in enumerate(sample.choices) if chr(65 + n) != _letter(sample)]
    answer = WORDS.findall(_plain(sample.answer))
    for before, after in pairwise(re.split(r"\bor\b", sample.question.casefold())):
        *listed, last = re.split(r"[;:.?!]", before)[-1].rstrip(", ").split(",")
        # What stands before the list has words of its own: "Which is nearer, the cube or the ball?"
        names = takewhile(lambda part: _content(part) == WORDS.findall(_plain(part)), reversed(listed))
        offered = [*(word for part in (*names, last) for word in _content(part)[-1:]), *_content(after)[:1]]
        if set(answer) & set(offered):
            return [word for word in offered if word not in answer]
    return []


def _content(text: str) -> list[str]:
    return [word for word in WORDS.findall(text) if word not in SMALL_WORDS]


def _counted(word: str, question: str) -> bool:
    """Whether this word after "one" is what the question is about, and not a small one as in "one of"."""
    return word in question and word not in SMALL_WORDS


def _only_listed(text: str, options: Sequence[str]) -> bool:
    """Whether a text names all options, and sets none of them against the others."""
    places = [_find(text, option) for option in options]
    return min(places) >= 0 and not _CONTRAST.search(text, min(places), max(places))


def _plain(text: str) -> str:
    return _ARTICLE.sub("", text.casefold().strip().rstrip("."))


def _too_common(name: str) -> bool:
    """Words that a text may hold without meaning the answer."""
    return name in ("", "one", "a", "i") or name in _JUDGED["yes"] or name in _JUDGED["no"]


# Names are found as they are: a regular expression for each would have to be compiled first, which takes far longer.


def _begins(text: str, name: str, places: Iterable[int]) -> bool:
    """Whether the words of `name`, whole, begin at one of these places."""
    return any(text.startswith(name, at) and not _WORD_GOES_ON.match(text, at + len(name)) for at in places)


def _find(text: str, name: str) -> int:
    """Where `name` stands in the text as whole words; -1: nowhere."""
    at = text.find(name) if name else -1
    while at >= 0 and not (_BEFORE.match(text, at) and _AFTER.match(text, at + len(name))):
        at = text.find(name, at + 1)
    return at
