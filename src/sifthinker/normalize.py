"""Words and numbers as people write them, in one form that can be compared.

`normalize` for texts, `same_text` to compare two of them, `quantities` for the numbers in a text with their units.
Which part of a reply is the answer is `grading`'s business. Stemming, synonyms and other languages' number words
are left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

_ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
NUMBER_WORDS = {word: value for value, word in enumerate(_ONES + _TEENS)} | {w: 10 * i for i, w in enumerate(_TENS, 2)}
"""Number words and their values; compounds up to ninety-nine are put together by `number_word`."""

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "km": 1000.0, "in": 0.0254, "ft": 0.3048}
"""Metres in one of each unit."""

_UNIT_NAMES = {
    "m": ("m", "meter", "meters", "metre", "metres"),
    "cm": ("cm", "centimeter", "centimeters", "centimetre", "centimetres"),
    "mm": ("mm", "millimeter", "millimeters", "millimetre", "millimetres"),
    "km": ("km", "kilometer", "kilometers", "kilometre", "kilometres"),
    "in": ("in", "inch", "inches"),
    "ft": ("ft", "foot", "feet"),
}
_UNITS = {name: unit for unit, names in _UNIT_NAMES.items() for name in names}
_OTHER_UNITS = frozenset({
    "yd", "yard", "yards", "mi", "mile", "miles", "px", "pixel", "pixels", "deg", "degree", "degrees", "percent", "kg",
    "g", "lb", "lbs", "s", "sec", "seconds", "min", "minutes", "parsec", "parsecs", "dm", "nm", "µm", "um", "%", "°",
})  # fmt: skip

# "A is closer", "A and B": before these words, and at the end, "a" is a name and not an article.
_ARTICLE = re.compile(r"(?<!\S)(?:an?|the)\s+(?!(?:is|are|was|were|and|or|has|have|than|to)\b)(?=[^\s.,-]|[.-]+\d)")

_SYMBOLS = "%$€£°"
_TOKEN = re.compile(rf"(?<![^\s.,-])-(?=\.?\d)|\d+(?:[.,]\d+)*|(?<![\d.])\.\d+|[^\s\d.,{_SYMBOLS}-]+|[{_SYMBOLS}]")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")


def normalize(text: str) -> str:
    """A text without case, punctuation, articles and spelling of numbers; two texts that say the same become equal.

    >>> normalize("The two  dogs."), normalize("2 dogs"), normalize("$1,200.50")
    ('2 dogs', '2 dogs', '$ 1200.5')
    >>> normalize("A is closer"), normalize("a closer one")
    ('a is closer', 'closer 1')
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).replace("−", "-")
    folded = re.sub(r"(?<=\w)['’](?=\w)", "", folded)
    plain = "".join(c if c.isalnum() or c in _SYMBOLS or c in ".,-" or _is_mark(c) else " " for c in folded)
    tokens = [part for token in _TOKEN.findall(_ARTICLE.sub("", plain)) for part in _spell(token)]
    return " ".join(_with_digits(tokens))


def same_text(a: str, b: str) -> bool:
    """Whether two texts say the same after `normalize`; texts of punctuation only are compared as they are."""
    left, right = normalize(a), normalize(b)
    if left or right:
        return left == right
    return bool(a.strip()) and a.strip() == b.strip()


def number_word(text: str) -> int | None:
    """The value of a text that is a number word, zero to ninety-nine; None for any other ("a" is not one).

    >>> number_word("Twenty-one"), number_word("a"), number_word("two dogs")
    (21, None, None)
    """
    words = text.casefold().replace("-", " ").split()
    if len(words) == 1:
        return NUMBER_WORDS.get(words[0])
    if len(words) == 2 and words[0] in _TENS and words[1] in _ONES[1:]:
        return NUMBER_WORDS[words[0]] + NUMBER_WORDS[words[1]]
    return None


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _spell(token: str) -> Iterator[str]:
    """Numbers in their shortest form: 1,200 is 1200, 2.50 is 2.5, 07 is 7; a comma list falls apart."""
    if not token[-1].isdigit():
        yield token
        return
    if _THOUSANDS.fullmatch(token):
        token = token.replace(",", "")
    for part in token.split(","):
        whole, dot, decimals = part.partition(".")
        if "." in decimals:
            yield part
            continue
        decimals = decimals.rstrip("0")
        yield (whole.lstrip("0") or "0") + (f".{decimals}" if dot and decimals else "")


def _with_digits(tokens: list[str]) -> list[str]:
    """Number words as digits, and a minus sign joined to its number."""
    found: list[str] = []
    index = 0
    while index < len(tokens):
        pair = " ".join(tokens[index : index + 2])
        if tokens[index] == "-" and index + 1 < len(tokens):
            found.append("-" + tokens[index + 1])
            index += 2
        elif index + 1 < len(tokens) and (value := number_word(pair)) is not None:
            found.append(str(value))
            index += 2
        else:
            value = number_word(tokens[index])
            found.append(tokens[index] if value is None else str(value))
            index += 1
    return found


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in a text: its value, its unit (a key of `METRES`, another unit as written, or None), its place."""

    value: float
    unit: str | None
    start: int
    end: int


_NUMBER = re.compile(
    r"(?<![\w.])(?:(?<![\d)])[-+−])?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?(?!\.?\d)"
    r"|(?<![\w.])[-+−]?\.\d+(?!\.?\d)"
)
_UNIT = re.compile(r"(\s?)([A-Za-zµ]+|[%°])")


def quantities(text: str) -> list[Quantity]:
    """The numbers of a text in order, each with the unit that follows it; number words are not looked at.

    >>> [(q.value, q.unit) for q in quantities("a 35 cm cup, 1,200 m away")]
    [(35.0, 'cm'), (1200.0, 'm')]
    """
    found = []
    for match in _NUMBER.finditer(text):
        unit, end = _unit_after(text, match.end())
        value = float(match.group().replace(",", "").replace("−", "-"))
        if not isfinite(value):
            continue
        found.append(Quantity(value, unit, match.start(), end))
    return found


def unit_name(word: str) -> str | None:
    """The key of `METRES` for a unit as written, None for an unknown one."""
    return _UNITS.get(word.strip().rstrip(".").lower())


def _unit_after(text: str, position: int) -> tuple[str | None, int]:
    match = _UNIT.match(text, position)
    if not match:
        return None, position
    word = match[2].lower()
    if word == "in" and match[1] and re.match(r"\s+\w", text[match.end() : match.end() + 20]):
        return None, position  # "3 in the picture" has no inches
    if word in _UNITS:
        return _UNITS[word], match.end()
    return (word, match.end()) if word in _OTHER_UNITS else (None, position)
