"""Names on the wire: what a label is called over there, and how a training carries its token.

Class names of Visual Recognition v3 must not have ``$ * - { } \\ | / ' " ` [ ]`` in them (reference/watson.md 1.3),
so "T-shirt" is illegal. Labels that are legal and safe keep their names, others are sent as c001, c002...
"""

from __future__ import annotations

import re
from collections.abc import Sequence

NEGATIVE = "negative_examples"
"""The label whose pictures become the set of negatives; it is never a class over there."""
SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ ]{0,58}[A-Za-z0-9_]|[A-Za-z0-9_]")
RESERVED = re.compile(r"(?:.*_)?positive_examples|negative_examples|name|negative|default|food|explicit", re.IGNORECASE)
SLUG_LENGTH = 40


def make_aliases(classes: Sequence[str]) -> dict[str, str]:
    """The name to send for each label but the negatives: unique without regard to case, always the same."""
    positives = [label for label in classes if label != NEGATIVE]
    folded = [label.casefold() for label in positives]
    kept = {
        label
        for label in positives
        if SAFE.fullmatch(label) and not RESERVED.fullmatch(label) and folded.count(label.casefold()) == 1
    }
    taken = {label.casefold() for label in kept}
    aliases, number = {}, 0
    for label in positives:
        if label in kept:
            aliases[label] = label
            continue
        number += 1
        while f"c{number:03}" in taken:
            number += 1
        aliases[label] = f"c{number:03}"
    return aliases


def training_name(name: str, token: str) -> str:
    """`<slug> <token>`: plain letters, so that no server has trouble with it."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:SLUG_LENGTH].strip("-")
    return f"{slug or 'model'} {token}"


def carries(name: object, token: str) -> bool:
    """Is this the name of the training with the token?"""
    return isinstance(name, str) and name.rpartition(" ")[2] == token


def metadata_of(customer_id: str) -> str:
    """The value of X-Watson-Metadata: letters, digits and underscore only."""
    return "customer_id=" + re.sub(r"[^A-Za-z0-9_]", "_", customer_id)
