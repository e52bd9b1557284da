"""What can become of a row: it is kept, or it is rejected for one reason."""

from __future__ import annotations

from dataclasses import dataclass

from ..sample import Sample
from ..trace import Trace


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that does not enter the data set.

    Its words can always be written as UTF-8.

    id: of the sample, or of the place in the file where no sample could be read (`file.jsonl:12`).
    reason: one short name; the manifest counts rows by it. `REASONS` explains each.
    detail: what was found, for a person.
    """

    id: str
    reason: str
    detail: str = ""

    def __post_init__(self) -> None:
        for name in ("id", "detail"):
            # Half characters, and bytes of file names that are no UTF-8, as they are written in Python.
            words = getattr(self, name).encode("utf-8", "backslashreplace").decode()
            object.__setattr__(self, name, words)


@dataclass(frozen=True, slots=True)
class Kept:
    """A sample with its gold trace (None where the set is only asked), and who wrote its words, if that is known."""

    sample: Sample
    trace: Trace | None
    annotator: str = ""


REASONS: dict[str, str] = {
    "bad_json": "the line is not a JSON object",
    "malformed_row": "a field is missing or of the wrong type",
    "box_malformed": "a box is not four numbers",
    "box_not_finite": "a box has a number that is not finite",
    "box_inverted": "right edge left of left edge, or bottom above top",
    "box_empty": "a box has no area",
    "box_outside": "a box leaves the image by more than rounding",
    "frames_disagree": "the two forms in which the row gives its box contradict each other",
    "no_boxes": "the row gives no box for its evidence",
    "image_missing": "no file with this name",
    "image_ambiguous": "several files with this name in different folders, and the row does not say which",
    "image_unreadable": "the image file is damaged, no photo, or of a kind that is not read",
    "size_mismatch": "photo, declared size and depth map do not all have the same size",
    "no_question": "no exact question can be made of this image",
    "answer_in_question": "asked is where a thing is, and the words for the thing say it",
    "ambiguous_position": "the object lies too close to the border between two answers",
    "no_depth_pair": "a photo without a depth map that belongs to it",
    "depth_encoding_unknown": "nothing says what the numbers in the depth file mean",
    "depth_missing": "no depth file for this photo",
    "depth_ambiguous": "several depth files with this name in different folders",
    "depth_unreadable": "the depth file is damaged, or not depth",
    "depth_not_estimated": "the depth model cannot take a photo of this shape",
    "depth_flat": "the depth map has one and the same depth everywhere",
    "no_depth_in_box": "the depth map has no valid pixel inside a gold box",
    "empty_question": "no question",
    "empty_answer": "no gold answer",
    "tag_in_text": "question, answer or an option holds a tag of the trace grammar, or <image>",
    "question_unclear": "the row does not say what kind of answer it wants, or its options are equal",
    "answer_unreadable": "the gold answer is none of the kind that the row asks for (no option, no number, ...)",
    "gold_is_whole": "a gold box covers the whole image, so there is nothing to focus on",
    "too_small": "a gold box is too small to be seen",
    "duplicate_id": "an earlier row has this id",
    "duplicate_question": "an earlier row asks the same about the same photo",
    "annotator_invalid": "the annotator's words failed the checks in every try",
    "annotator_failed": "the annotator did not answer",
    "gold_reward": "the gold trace does not earn full marks from every reward",
}
"""Every reason of the package's own sources, and what it says about the row."""
