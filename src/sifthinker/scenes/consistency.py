"""Scores of questions that count only together: complementary prompts, mirrored twins, rotated options, abstention.

Pure functions of what was right; groups that miss a member are errors, never passes. Sources: SURDS (both prompts of a
pair), 3DSRBench (arXiv 2412.07825: FlipEval, CircularEval), SpatialUncertain (arXiv 2605.30557; it gives no formulas,
those of abstention are ours). Asking the twin of a question is `twins`' business.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from ..errors import InputError

# --- complementary prompts ---------------------------------------------------------------------------------------


def paired(rows: Iterable[tuple[Hashable, bool]]) -> float:
    """Share of pairs of which both prompts are right, from (pair, right) rows.

    Raises `InputError` for a pair that has not exactly two rows, and when there is none.

    >>> paired([("a", True), ("a", True), ("b", True), ("b", False)])
    0.5
    """
    groups: dict[Hashable, list[bool]] = defaultdict(list)
    for pair, right in rows:
        groups[pair].append(right)
    for pair, rights in groups.items():
        if len(rights) != 2:
            raise InputError(f"pair {pair!r} has {len(rights)} answers, expected 2")
    if not groups:
        raise InputError("no pairs to score")
    return fmean(all(rights) for rights in groups.values())


# --- FlipEval and CircularEval -----------------------------------------------------------------------------------

SETTINGS = ("vanilla", "flip", "circular", "flip_circular")
_ID = re.compile(r"(?P<base>.+?)(?P<flip>-flip)?(?:-(?P<turn>\d))?", re.DOTALL)


def parse_id(name: str) -> tuple[str, bool, int]:
    """(question, whether mirrored, rotation of the options) of a sample's id `question[-flip][-rotation]`.

    >>> parse_id("7f3a-flip-2"), parse_id("7f3a")
    (('7f3a', True, 2), ('7f3a', False, 0))
    """
    match = _ID.fullmatch(name)
    if not match:
        raise InputError(f"{name!r} is not an id of a question: expected question[-flip][-rotation]")
    return match["base"], match["flip"] is not None, int(match["turn"] or 0)


def flip_circular(rows: Iterable[tuple[str, bool]], options: Mapping[str, int]) -> dict[str, float]:
    """Accuracy in the four settings of 3DSRBench, from (id, right) rows.

    vanilla: every row. flip: a question and its mirror image. circular: every rotation of its options. flip_circular:
    all of them. A group counts when all of its rows are right; scores are means over groups.
    options: number of options of each question (keys without `-flip` and rotation); all its rotations, of both
    sides, must be there once. Raises `InputError` where they are not.

    >>> flip_circular([("q", True), ("q-1", True), ("q-flip", True), ("q-flip-1", False)], {"q": 2})
    {'vanilla': 0.75, 'flip': 0.5, 'circular': 0.5, 'flip_circular': 0.0}
    """
    found: dict[str, dict[tuple[bool, int], bool]] = defaultdict(dict)
    for name, right in rows:
        base, flip, turn = parse_id(name)
        if (flip, turn) in found[base]:
            raise InputError(f"{name} occurs twice")
        found[base][flip, turn] = right
    if not found:
        raise InputError("no questions to score")
    groups: dict[str, dict[Hashable, list[bool]]] = {setting: defaultdict(list) for setting in SETTINGS}
    for base, variants in found.items():
        _complete(base, set(variants), options)
        for (flip, turn), right in variants.items():
            keys = ((base, flip, turn), (base, turn), (base, flip), base)
            for setting, key in zip(SETTINGS, keys, strict=True):
                groups[setting][key].append(right)
    return {setting: fmean(all(rights) for rights in group.values()) for setting, group in groups.items()}


def _complete(base: str, variants: set[tuple[bool, int]], options: Mapping[str, int]) -> None:
    if base not in options:
        raise InputError(f"question {base}: its number of options is not given")
    wanted = {(flip, turn) for flip in (False, True) for turn in range(options[base])}
    if variants != wanted:
        missing, extra = (sorted(map(_suffix, part)) for part in (wanted - variants, variants - wanted))
        raise InputError(f"question {base} is not complete: missing {missing}, not expected {extra}")


def _suffix(variant: tuple[bool, int]) -> str:
    flip, turn = variant
    return ("-flip" if flip else "") + f"-{turn}"


def chance(options: int) -> dict[str, float]:
    """What guessing scores in each setting, for questions with so many options.

    >>> chance(2)["flip_circular"]
    0.0625
    """
    return {s: float(options) ** -n for s, n in zip(SETTINGS, (1, 2, options, 2 * options), strict=True)}


# --- abstention --------------------------------------------------------------------------------------------------

CANNOT = "cannot be determined"
"""The option that is right where the picture leaves the question open."""
CLEAN = "clean"
"""The condition in which the question can be answered; in every other one, abstaining is right."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer. pair: the question it belongs to. condition: "clean", or how the picture leaves the question open.
    right: as graded. abstained: whether it says that the answer cannot be determined."""

    pair: str
    condition: str
    right: bool
    abstained: bool


def abstention(verdicts: Iterable[Verdict]) -> dict[str, float | None]:
    """Scores of abstention, each in [0, 1]; None where nothing is counted.

    accuracy of each condition ("accuracy.clean"); precision: of the abstentions, how many are right; recall: of the
    questions left open, how many are abstained from; over_abstention: the same of those that can be answered;
    paired: the clean question answered and the open one abstained from, over pairs.
    Raises `InputError` for a pair that is not one clean and one open question.
    """
    rows = list(verdicts)
    pairs: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in rows:
        pairs[verdict.pair].append(verdict)
    for pair, members in pairs.items():
        if len(members) != 2 or sum(v.condition == CLEAN for v in members) != 1:
            conditions = [v.condition for v in members]
            raise InputError(f"pair {pair} has the conditions {conditions}, expected {CLEAN} and one other")
    accuracies = {
        f"accuracy.{condition}": _share([v.right for v in rows if v.condition == condition])
        for condition in sorted({v.condition for v in rows})
    }
    return accuracies | {
        "precision": _share([v.condition != CLEAN for v in rows if v.abstained]),
        "recall": _share([v.abstained for v in rows if v.condition != CLEAN]),
        "over_abstention": _share([v.abstained for v in rows if v.condition == CLEAN]),
        "paired": _share([all(map(_well, members)) for members in pairs.values()]),
    }


def _well(verdict: Verdict) -> bool:
    return verdict.right and not verdict.abstained if verdict.condition == CLEAN else verdict.abstained


def _share(values: list[bool]) -> float | None:
    return fmean(values) if values else None
