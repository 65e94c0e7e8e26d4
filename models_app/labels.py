"""What a class label may look like. Pure.

Labels become answer values of jobs (CML) and parts of report headers, so they hold no spaces, quotes or commas.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

NEGATIVE = "negative_examples"
"""The label of pictures that show none of the classes (the request's own word)."""

MAX_LENGTH = 100
_ALLOWED = re.compile(r"[A-Za-z0-9_.\-]+")
_OTHERS = re.compile(r"[^A-Za-z0-9_.\-]+")
_NEGATIVE_LOOKALIKES = {"negative", "negatives", "negative_example", "negativeexamples", "negative_examples", "other"}


class LabelProblem(ValueError):
    """A label that cannot be used; `code` names the reason, the text says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def clean_label(raw: str) -> str:
    """The label without surrounding white space. Upper and lower case are different labels.

    Raises LabelProblem when it is empty, longer than MAX_LENGTH characters, or has characters other than
    English letters, digits, underscore, dot and hyphen.
    """
    label = raw.strip()
    if not label:
        raise LabelProblem("label_empty", "The label is empty. Write the class of this picture.")
    if len(label) > MAX_LENGTH:
        raise LabelProblem(
            "label_too_long", f"The label has {len(label)} characters; at most {MAX_LENGTH} are possible. Shorten it."
        )
    if not _ALLOWED.fullmatch(label):
        raise LabelProblem("label_characters", _characters_message(label))
    return label


def suggest_label(label: str) -> str:
    """The nearest label that is allowed: accents dropped, every run of other characters one underscore."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return _OTHERS.sub("_", plain).strip("_")


def _characters_message(label: str) -> str:
    suggestion = suggest_label(label)
    advice = f" Write “{suggestion}” instead." if suggestion else " Choose another name."
    if _ALLOWED.fullmatch(label.replace(" ", "")):
        return f"The label “{label}” has a space in it; labels are also the answer values of jobs.{advice}"
    shown = " ".join(sorted({char for char in label if _OTHERS.fullmatch(char)}))[:60]
    return (
        f"The label “{label}” has characters that cannot be used ({shown}); "
        f"use letters A-Z, digits, underscore, dot and hyphen.{advice}"
    )


def similar_labels(labels: Iterable[str]) -> list[str]:
    """Sentences about labels that are probably meant to be one: same but for case, or almost `negative_examples`."""
    notes: list[str] = []
    seen: dict[str, str] = {}
    for label in sorted(labels):
        key = label.lower()
        if key in seen:
            notes.append(f"“{seen[key]}” and “{label}” differ only in upper and lower case and are two classes.")
        seen.setdefault(key, label)
        if label != NEGATIVE and key.replace("-", "_").replace(".", "_") in _NEGATIVE_LOOKALIKES:
            notes.append(f"If “{label}” holds pictures that show none of your classes, call it “{NEGATIVE}”.")
    return notes
