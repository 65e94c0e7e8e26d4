"""The JSON Lines report of a job: one object per row, with its judgments and results (reference/domain.md 2.5, 4.6)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from psycopg2 import sql

from jobs_app.design import Question

from ..columns import keep_apart
from ..kinds import CONFIDENCES, ISO, MIN_CONFIDENCE, UNTRUSTED
from ..models import Report
from .job_lines import all_shares, is_unsure
from .job_rows import IMAGE_URL, IS_GOLDEN, UNITS, Subject, subject_of
from .lines import MOST_ARGUMENTS, NULL, Cell, Lines, at, listed, moment, text_at

JUDGMENTS = "judgments"
ANSWER_OF_ONE = {"agg", "avg"}
"""Aggregations that come to one answer; the others give a list."""


@dataclass(frozen=True)
class Json:
    """An expression whose text is JSON already."""

    text: sql.Composable


Pairs = Iterable[tuple[str, sql.Composable | Json]]


def json_lines(report: Report) -> Lines:
    """One object per wanted row. Times are ISO 8601, confidences and trust have four decimals."""
    subject = subject_of(report)
    return Lines(
        cells=[Cell("", _unit(subject).text)],
        table=UNITS,
        joins=sql.SQL(
            "LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE NOT j.tainted) AS count,"
            " count(*) FILTER (WHERE j.missed) AS missed, count(j.contested_at) AS contested"
            " FROM jobs_app_judgment j WHERE j.unit_id = u.id) AS judged ON true"
        ),
        where=subject.wanted_rows(),
        order=[sql.SQL("u.id")],
        is_json=True,
    )


def _unit(subject: Subject) -> Json:
    picture = sql.Literal(IMAGE_URL)
    data = sql.SQL(
        "CASE WHEN u.image_url = '' THEN u.data ELSE jsonb_build_object({}, u.image_url) || u.data END"
    ).format(picture)
    return _object(
        [
            ("id", sql.SQL("u.id")),
            ("job_id", sql.SQL("u.job_id")),
            ("state", sql.SQL("u.state")),
            ("golden", IS_GOLDEN),
            ("judgments_count", sql.SQL("judged.count")),
            ("missed_count", sql.SQL("judged.missed")),
            ("contested_count", sql.SQL("judged.contested")),
            ("agreement", _number(sql.SQL("u.agreement"))),
            ("created_at", moment(sql.SQL("u.created_at"), ISO)),
            ("finalized_at", moment(sql.SQL("u.finalized_at"), ISO)),
            ("data", data),
            ("results", _results(subject)),
        ]
    )


def _results(subject: Subject) -> Json:
    # A question called "judgments" would hide the list of judgments; so it is orig_judgments here.
    names = keep_apart([question.name for question in subject.questions], {JUDGMENTS})
    fields = [(name, _result(subject, question)) for name, question in zip(names, subject.questions, strict=True)]
    return _object([(JUDGMENTS, _judgments(subject)), *fields])


def _result(subject: Subject, question: Question) -> Json:
    options, name = subject.options, question.name
    if question.aggregation == "avg":
        answer: sql.Composable = sql.SQL("({})::numeric").format(text_at("u.result", name, "answers", 0))
    elif question.aggregation in ANSWER_OF_ONE:
        answer = text_at("u.result", name, "answers", 0)
    else:
        answer = at("u.result", name, "answers")
    if options[MIN_CONFIDENCE]:
        answer = sql.SQL("CASE WHEN {} THEN NULL ELSE {} END").format(is_unsure(name, options[MIN_CONFIDENCE]), answer)
    pairs: list[tuple[str, sql.Composable | Json]] = [
        ("agg", answer),
        ("confidence", _number(text_at("u.result", name, "confidence"))),
    ]
    if question.aggregation == "avg":
        pairs.append(("variance", _number(text_at("u.result", name, "variance"))))
    if options[CONFIDENCES]:
        pairs.append(("confidences", Json(all_shares(name))))
    return _object(pairs)


def _judgments(subject: Subject) -> Json:
    judgment = _object(
        [
            ("id", sql.SQL("j.id")),
            ("unit_id", sql.SQL("j.unit_id")),
            ("worker_id", sql.SQL("c.id")),
            ("trust", _number(sql.SQL("j.trust"))),
            ("worker_trust", _number(sql.SQL("c.trust"))),
            ("tainted", sql.SQL("j.tainted")),
            ("missed", sql.SQL("j.missed")),
            ("started_at", moment(sql.SQL("j.started_at"), ISO)),
            ("created_at", moment(sql.SQL("j.created_at"), ISO)),
            ("acknowledged_at", moment(sql.SQL("j.acknowledged_at"), ISO)),
            ("data", _object(((question.name, _answer(question)) for question in subject.questions), skip_null=True)),
        ]
    )
    found = sql.SQL(
        "(SELECT '[' || coalesce(string_agg({judgment}, ', ' ORDER BY j.id), '') || ']' FROM jobs_app_judgment j"
        " JOIN jobs_app_contributor c ON c.id = j.contributor_id WHERE j.unit_id = u.id{trusted})"
    )
    trusted = sql.SQL("" if subject.options[UNTRUSTED] else " AND NOT j.tainted")
    return Json(found.format(judgment=judgment.text, trusted=trusted))


def _answer(question: Question) -> sql.Composable:
    """What was answered: one text, or a list where several answers are possible; NULL when the question was hidden."""
    several = question.kind == "checkboxes" or question.multiple
    return at("j.answers", question.name) if several else text_at("j.answers", question.name, 0)


def _number(value: sql.Composable) -> sql.Composed:
    return sql.SQL("trim_scale(round(({})::numeric, 4))").format(value)


def _object(pairs: Pairs, *, skip_null: bool = False) -> Json:
    """A JSON object with its keys in this order.

    Put together as text: json_build_object takes no more than fifty pairs, and json_object_agg over a list of
    VALUES is several times slower.
    """
    members: list[sql.Composable] = []
    for name, value in pairs:
        text = value.text if isinstance(value, Json) else sql.SQL("to_json({})::text").format(value)
        if not skip_null:
            text = sql.SQL("coalesce({}, 'null')").format(text)
        members.append(sql.SQL("{} || {}").format(sql.Literal(f"{json.dumps(name)}: "), text))
    while len(members) > MOST_ARGUMENTS:
        groups = [members[first : first + MOST_ARGUMENTS] for first in range(0, len(members), MOST_ARGUMENTS)]
        members = [sql.SQL("nullif(concat_ws(', ', {}), '')").format(listed(group)) for group in groups]
    return Json(sql.SQL("('{{' || concat_ws(', ', {}) || '}}')").format(listed(members or [NULL])))
