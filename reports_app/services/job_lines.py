"""The CSV reports of a job: what a line is and which columns it has (reference/domain.md 4.6)."""

from __future__ import annotations

from decimal import Decimal

from psycopg2 import sql

from jobs_app.design import Question

from ..kinds import CONFIDENCES, DATES, MIN_CONFIDENCE, UNTRUSTED
from ..models import Report
from .job_rows import GOLDEN, UNIT_ID, UNIT_STATE, UNITS, Subject, subject_of
from .lines import NULL, Cell, Lines, all_of, at, decimal, flag, joined, moment, text_at

CHANNEL = "internal"
NOT_KEPT = ("_country", "_region", "_city", "_ip")
"""Columns of Appen's full report that stay empty: this platform does not keep where a contributor is."""


def full_lines(report: Report) -> Lines:
    """One line per judgment of a wanted row, trusted ones only unless others were asked for."""
    subject = subject_of(report)
    style = subject.options[DATES]
    cells = [
        UNIT_ID,
        Cell("_created_at", moment(sql.SQL("j.created_at"), style)),
        GOLDEN,
        Cell("_id", sql.SQL("j.id")),
        Cell("_missed", flag(sql.SQL("j.missed"))),
        Cell("_started_at", moment(sql.SQL("j.started_at"), style)),
        Cell("_tainted", flag(sql.SQL("j.tainted"))),
        Cell("_channel", sql.Literal(CHANNEL)),
        Cell("_trust", decimal(sql.SQL("c.trust"))),
        Cell("_worker_id", sql.SQL("c.id")),
        *(Cell(name, NULL) for name in NOT_KEPT),
        *(Cell(question.name, joined(at("j.answers", question.name)), free=True) for question in subject.questions),
    ]
    golds = [
        Cell(f"{question.name}_gold", joined(at("t.answers", question.name)), free=True) for question in subject.golds
    ]
    ours = [cell.name for cell in [*cells, *golds]]
    conditions: list[sql.Composable] = [subject.wanted_rows()]
    if not subject.options[UNTRUSTED]:
        conditions.append(sql.SQL("NOT j.tainted"))
    return Lines(
        cells=[*cells, *subject.source_cells(ours), *golds],
        table=sql.SQL("{} JOIN jobs_app_judgment j ON j.unit_id = u.id").format(UNITS),
        joins=sql.SQL(
            "JOIN jobs_app_contributor c ON c.id = j.contributor_id"
            " LEFT JOIN jobs_app_testquestion t ON t.unit_id = u.id"
        ),
        where=all_of(conditions),
        order=[sql.SQL("u.id"), sql.SQL("j.id")],
    )


def aggregated_lines(report: Report) -> Lines:
    """One line per wanted row: what its trusted judgments came to, as the row's result says it."""
    subject = subject_of(report)
    cells = [
        UNIT_ID,
        GOLDEN,
        UNIT_STATE,
        Cell("_trusted_judgments", sql.SQL("judged.count")),
        Cell("_last_judgment_at", moment(sql.SQL("judged.last"), subject.options[DATES])),
        *(cell for question in subject.questions for cell in _result_cells(subject, question)),
    ]
    source = subject.source_cells([cell.name for cell in cells])
    return Lines(
        cells=[*cells, *sorted(source, key=lambda cell: cell.name)],
        table=UNITS,
        joins=sql.SQL(
            "CROSS JOIN LATERAL (SELECT count(*) AS count, max(j.created_at) AS last FROM jobs_app_judgment j"
            " WHERE j.unit_id = u.id AND NOT j.tainted) AS judged"
        ),
        where=subject.wanted_rows(),
        order=[sql.SQL("u.id")],
    )


def _result_cells(subject: Subject, question: Question) -> list[Cell]:
    """A question's answers, and how sure they are: one confidence for each answer, or the variance of a mean."""
    name, options = question.name, subject.options
    answers: sql.Composable = joined(at("u.result", name, "answers"))
    if options[MIN_CONFIDENCE]:
        answers = sql.SQL("CASE WHEN {} THEN NULL ELSE {} END").format(
            is_unsure(name, options[MIN_CONFIDENCE]), answers
        )
    cells = [Cell(name, answers, free=True)]
    if question.aggregation == "avg":
        cells.append(Cell(f"{name}:variance", decimal(text_at("u.result", name, "variance"))))
    else:
        cells.append(Cell(f"{name}:confidence", _confidences(name)))
    if options[CONFIDENCES]:
        cells.append(Cell(f"{name}:confidences", all_shares(name)))
    return cells


def is_unsure(name: str, minimum: str) -> sql.Composed:
    """Whether a question's confidence, as reports show it, is below `minimum`; not true where it has none."""
    value = text_at("u.result", name, "confidence")
    return sql.SQL("coalesce(round(({})::numeric, 4) < {}, false)").format(value, sql.Literal(Decimal(minimum)))


def _confidences(name: str) -> sql.Composed:
    """The confidence of each answer that stands in the answer's cell, one on each line."""
    return sql.SQL(
        "(SELECT string_agg({share}, E'\\n' ORDER BY each.place)"
        " FROM jsonb_array_elements_text({answers}) WITH ORDINALITY AS each(text, place))"
    ).format(
        share=decimal(sql.SQL("({} ->> each.text)").format(at("u.result", name, "shares"))),
        answers=at("u.result", name, "answers"),
    )


def all_shares(name: str) -> sql.Composed:
    """The confidence of every answer that was given, best first, as a JSON object; NULL when there is none."""
    return sql.SQL(
        "(SELECT '{{' || string_agg(to_json(each.key)::text || ': ' || {share}, ', '"
        " ORDER BY each.value::numeric DESC, each.key) || '}}' FROM jsonb_each_text({shares}) AS each(key, value))"
    ).format(share=decimal(sql.SQL("each.value")), shares=at("u.result", name, "shares"))


def source_lines(report: Report) -> Lines:
    """One line per row, whatever its state: what was uploaded, then its id and state."""
    subject = subject_of(report)
    ours = [UNIT_ID, UNIT_STATE]
    return Lines(
        cells=[*subject.source_cells([cell.name for cell in ours]), *ours],
        table=UNITS,
        where=subject.wanted_rows(),
        order=[sql.SQL("u.id")],
    )


def gold_lines(report: Report) -> Lines:
    """One line per test question; shares of all its judgments, untrusted ones too, by today's accepted answers."""
    subject = subject_of(report)
    cells = [UNIT_ID, UNIT_STATE]
    for question in subject.golds:
        cells += [
            Cell(f"{question.name}_gold", joined(at("t.answers", question.name)), free=True),
            Cell(f"{question.name}_gold_reason", text_at("t.reasons", question.name), free=True),
        ]
    cells += [
        Cell("_judgments", sql.SQL("judged.count")),
        Cell("_pct_missed", _percent("missed")),
        Cell("_pct_contested", _percent("contested")),
    ]
    return Lines(
        cells=cells,
        table=sql.SQL("{} JOIN jobs_app_testquestion t ON t.unit_id = u.id").format(UNITS),
        joins=sql.SQL(
            "CROSS JOIN LATERAL (SELECT count(*) AS count, count(*) FILTER (WHERE j.missed) AS missed,"
            " count(*) FILTER (WHERE j.contested_at IS NOT NULL) AS contested FROM jobs_app_judgment j"
            " WHERE j.unit_id = u.id) AS judged"
        ),
        where=subject.of_job(),
        order=[sql.SQL("u.id")],
    )


def _percent(counted: str) -> sql.Composed:
    return decimal(sql.SQL(f"100.0 * judged.{counted} / nullif(judged.count, 0)"), 1)


def workset_lines(report: Report) -> Lines:
    """One line per contributor of the job."""
    subject = subject_of(report)
    style = subject.options[DATES]
    return Lines(
        cells=[
            Cell("_worker_id", sql.SQL("c.id")),
            Cell("name", sql.SQL("coalesce(nullif(person.name, ''), person.email)"), free=True),
            Cell("trust", decimal(sql.SQL("c.trust"))),
            Cell("state", sql.SQL("c.state")),
            Cell("judgments", sql.SQL("judged.count")),
            Cell("seen", sql.SQL("c.seen")),
            Cell("missed", sql.SQL("c.missed")),
            Cell("forgiven", sql.SQL("judged.forgiven")),
            Cell("first_judgment_at", moment(sql.SQL("judged.first"), style)),
            Cell("last_judgment_at", moment(sql.SQL("judged.last"), style)),
        ],
        table=sql.SQL("jobs_app_contributor c"),
        joins=sql.SQL(
            "JOIN accounts_user person ON person.id = c.user_id"
            " CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE j.missed IS NULL) AS count,"
            " count(*) FILTER (WHERE j.forgiven) AS forgiven, min(j.created_at) AS first, max(j.created_at) AS last"
            " FROM jobs_app_judgment j WHERE j.contributor_id = c.id) AS judged"
        ),
        where=subject.of_job("c"),
        order=[sql.SQL("c.id")],
    )
