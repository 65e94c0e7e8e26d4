"""The validators of `validates="a b c"` (domain.md 1.6): what they are called, what they ask, what they say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

from .tree import meant

WHOLE = re.compile(r"[+-]?[0-9]{1,30}")


@dataclass(frozen=True)
class Validator:
    """`holds` gets the value and the numbers after the colon; `message` is filled with those numbers."""

    message: str
    holds: Callable[[str, list[int]], bool]
    arguments: int = 0
    example: str = ""


def _email(value: str) -> bool:
    return re.fullmatch(r"[^@\s]{1,64}@[^@\s]{1,190}\.[^@\s.]{2,}", value) is not None


def _url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", value)


def _date(value: str) -> bool:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _phone(value: str) -> bool:
    digits = re.sub(r"[^0-9]", "", value)
    return re.fullmatch(r"\+?[0-9 ()./-]{5,30}", value) is not None and 5 <= len(digits) <= 15


VALIDATORS: dict[str, Validator] = {
    "required": Validator("Choose an answer.", lambda value, _: bool(value.strip())),
    "integer": Validator("Write a whole number.", lambda value, _: WHOLE.fullmatch(value) is not None),
    "positiveInteger": Validator(
        "Write a whole number above 0.", lambda value, _: re.fullmatch(r"\+?0*[1-9][0-9]{0,29}", value) is not None
    ),
    "numeric": Validator(
        "Write a number.",
        lambda value, _: re.fullmatch(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})", value) is not None,
    ),
    "digits": Validator("Write digits only.", lambda value, _: re.fullmatch(r"[0-9]+", value) is not None),
    "integerRange": Validator(
        "Write a whole number from {0} to {1}.",
        lambda value, limits: WHOLE.fullmatch(value) is not None and limits[0] <= int(value) <= limits[1],
        arguments=2,
        example="integerRange:1,10",
    ),
    "url": Validator("Write an address that begins with http:// or https://.", lambda value, _: _url(value)),
    "email": Validator("Write an e-mail address.", lambda value, _: _email(value)),
    "date": Validator("Write a date as year-month-day, like 2025-03-31.", lambda value, _: _date(value)),
    "phone": Validator("Write a phone number with 5 to 15 digits.", lambda value, _: _phone(value)),
    "wordCountMin": Validator(
        "Write at least {0} word(s).",
        lambda value, limits: len(value.split()) >= limits[0],
        arguments=1,
        example="wordCountMin:8",
    ),
    "wordCountMax": Validator(
        "Write at most {0} word(s).",
        lambda value, limits: len(value.split()) <= limits[0],
        arguments=1,
        example="wordCountMax:50",
    ),
}
KNOWN = ", ".join(rule.example or name for name, rule in VALIDATORS.items())


def validator_problem(written: str) -> tuple[str, str] | None:
    """(code, message) of what is wrong with one word of `validates`; None when it can be used."""
    name, _, _ = written.partition(":")
    rule = VALIDATORS.get(name)
    if rule is None:
        return "unknown_validator", f"“{written}” is not a validator.{meant(name, VALIDATORS)} Known are: {KNOWN}."
    numbers = _numbers(written)
    if not rule.arguments and written != name:
        return "bad_validator", f"“{name}” takes nothing after it. Write {name}."
    if numbers is None or len(numbers) != rule.arguments:
        return "bad_validator", f"“{written}” lacks its number(s). Write for example {rule.example}."
    if rule.arguments == 1 and numbers[0] < 1:
        return "bad_validator", f"The number in “{written}” must be 1 or more."
    if rule.arguments == 2 and numbers[0] > numbers[1]:
        return "bad_validator", f"In “{written}” the first number is above the second. Swap them."
    return None


def holds(written: str, value: str) -> bool:
    """Whether a value passes one (valid) word of `validates`."""
    return VALIDATORS[written.partition(":")[0]].holds(value, _numbers(written) or [])


def message(written: str) -> str:
    return VALIDATORS[written.partition(":")[0]].message.format(*(_numbers(written) or []))


def _numbers(written: str) -> list[int] | None:
    """The numbers after the colon; None when they are none."""
    _, colon, rest = written.partition(":")
    if not colon:
        return []
    parts = rest.split(",")
    if not all(re.fullmatch(r"-?[0-9]{1,15}", part) for part in parts):
        return None
    return [int(part) for part in parts]
