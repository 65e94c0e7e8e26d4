"""What pages show of rows: the results of each question, the judgments behind them, the source columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.urls import reverse

from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest

from .design import Answers, Design, Question, routing_question
from .models import Job, JobUpload, Judgment, Unit

SAME_TRUST = 0.0005
"""Trusts that differ by less than this are shown as the same."""


@dataclass(frozen=True)
class ResultView:
    """What people came to on one question: the winning answers and every answer's share, best first."""

    label: str
    answer: str
    confidence: float | None
    shares: list[tuple[str, float]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    variance: float | None = None


@dataclass(frozen=True)
class RowView:
    """A row in the list."""

    unit: Unit
    url: str
    picture: str
    results: list[ResultView]
    cells: list[tuple[str, str]]

    @property
    def answer(self) -> str:
        return next((result.answer for result in self.results if result.answer), "")

    @property
    def share(self) -> float | None:
        return next((result.confidence for result in self.results if result.answer), None)


@dataclass(frozen=True)
class JudgmentView:
    """One person's answers to a row, and what they count."""

    judgment: Judgment
    name: str
    answers: list[tuple[str, str]]
    trust: float
    trust_then: float | None
    time: str
    rows_on_page: int


def row_views(
    request: TeamRequest, job: Job, design: Design, units: Sequence[Unit], columns: Sequence[str]
) -> list[RowView]:
    """Rows for the list, with their cells in the order of `columns`."""
    return [
        RowView(
            unit=unit,
            url=reverse("jobs:unit", args=[request.team.slug, job.pk, unit.pk]),
            picture=picture_url(request.team, unit.image_url) if unit.image_url else "",
            results=result_views(design, unit.result),
            cells=[(column, _text(unit.data.get(column))) for column in columns],
        )
        for unit in units
    ]


def result_views(design: Design, results: Mapping[str, Any]) -> list[ResultView]:
    """A row's results in the order of the design; then those of questions that the design has no longer."""
    names = [question.name for question in design.questions if question.name in results]
    names += sorted(set(results) - set(names))
    return [_result_view(name, design.question(name), results[name]) for name in names]


def _result_view(name: str, question: Question | None, result: Mapping[str, Any]) -> ResultView:
    shares: dict[str, float] = dict(result.get("shares") or {})
    if question is not None and question.kind in {"radios", "select"}:
        shares |= {value: 0.0 for value in question.values if value not in shares}
    won = list(result.get("answers") or [])
    answers = [_words(answer) for answer in won]
    ranked = sorted(shares.items(), key=lambda pair: (-pair[1], pair[0] not in won))
    return ResultView(
        label=question.label if question else name,
        answer=", ".join(answers),
        confidence=result.get("confidence"),
        shares=[(_words(answer), share) for answer, share in ranked],
        answers=answers if result.get("method") == "all" else [],
        variance=result.get("variance"),
    )


def _words(answer: str) -> str:
    """A set of ticked boxes counts as one answer with a line for each; here they stand in one line."""
    return answer.replace("\n", ", ")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return "" if value is None else str(value)


def source_cells(unit: Unit, columns: Sequence[str]) -> list[tuple[str, str]]:
    """The row's columns and values; `columns` say the order, which the database does not keep."""
    known = [column for column in columns if column in unit.data]
    rest = sorted(set(unit.data) - set(known))
    return [(column, _text(unit.data[column])) for column in [*known, *rest]]


def upload_of(unit: Unit) -> tuple[JobUpload, int] | None:
    """The uploaded file that the row or test question came with, and its line; None when it came otherwise."""
    kind, _, rest = unit.key.removeprefix("gold:").partition(":")
    number, _, line = rest.partition(":")
    if kind != "upload" or not number.isdigit() or not line.isdigit():
        return None
    upload = JobUpload.objects.filter(pk=int(number), job=unit.job_id).first()
    return (upload, int(line)) if upload else None


def judgment_views(design: Design, judgments: Sequence[Judgment]) -> list[JudgmentView]:
    """Judgments that come with their contributor's user and their page."""
    return [_judgment_view(design, judgment) for judgment in judgments]


def _judgment_view(design: Design, judgment: Judgment) -> JudgmentView:
    now = judgment.contributor.trust
    return JudgmentView(
        judgment=judgment,
        name=str(judgment.contributor.user),
        answers=answer_words(design, judgment.answers),
        trust=now,
        trust_then=judgment.trust if abs(judgment.trust - now) >= SAME_TRUST else None,
        time=duration(judgment.created_at - judgment.started_at),
        rows_on_page=len(judgment.page.unit_ids),
    )


def answer_words(design: Design, answers: Answers) -> list[tuple[str, str]]:
    """(question, answers) of what somebody answered or a test question accepts, in the order of the design."""
    names = [question.name for question in design.questions if question.name in answers]
    names += sorted(set(answers) - set(names))
    labels = {question.name: question.label for question in design.questions}
    return [(labels.get(name, name), ", ".join(answers[name])) for name in names]


def duration(time: timedelta) -> str:
    """How long something took: 8 s, 2 min 5 s, 1 h 3 min."""
    seconds = max(0, round(time.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s" if seconds % 60 else f"{seconds // 60} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


@dataclass(frozen=True)
class Comparison:
    """What the model thought of a row, beside what people came to."""

    machine: str
    machine_confidence: float | None
    people: str
    people_confidence: float | None

    @property
    def same(self) -> bool | None:
        """Whether both say the same; None while people have not answered."""
        return self.machine == self.people if self.people else None


def comparison_of(job: Job, design: Design, unit: Unit) -> Comparison | None:
    """The machine's label beside the people's answer to the question it is an answer of; None without a label."""
    if not unit.machine:
        return None
    label = str(unit.machine.get("label") or "")
    question = routing_question(design, job.outcomes) if job.outcomes else None
    question = question or next((question for question in design.questions if label in question.values), None)
    result = unit.result.get(question.name, {}) if question else {}
    return Comparison(
        machine=label,
        machine_confidence=unit.machine.get("confidence"),
        people=", ".join(result.get("answers") or []),
        people_confidence=result.get("confidence"),
    )
