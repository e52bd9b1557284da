"""Whether a text is English, as far as that is easily seen."""

from __future__ import annotations

import re
import unicodedata

WORDS = re.compile(r"[^\W\d_]+")
_SMALL = (
    "a an the this that these it its i my me we there here and or but so not no of to in on at by for from with as is "
    "are was be has have do does can may must which what where who how when if then than now one part look see"
)
SMALL_WORDS = frozenset(_SMALL.split())
"""Short words of which English prose has about two in five, and other languages few."""
FEW_WORDS = 20
LEAST_COMMON = 0.15


def not_english(text: str) -> str | None:
    """Why a text is not English, as far as that is easily seen: letters of another script, or 20 words and more of
    which hardly any is one of the small words of English. Shorter texts in Latin letters pass."""
    letters = [letter for letter in text if letter.isalpha()]
    foreign = [letter for letter in letters if not unicodedata.name(letter, "").startswith("LATIN")]
    if len(foreign) > 0.1 * len(letters):
        return f"{len(foreign)} of {len(letters)} letters are of another script"
    words = WORDS.findall(text.casefold())
    if len(words) >= FEW_WORDS and sum(word in SMALL_WORDS for word in words) < LEAST_COMMON * len(words):
        return "hardly any common English word in them"
    return None
