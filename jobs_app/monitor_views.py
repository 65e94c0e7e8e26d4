"""The Monitor tab of a job: how far it is, how well it goes, and how people compare with the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from labeling_platform.accounts.models import Feature
from labeling_platform.accounts.permissions import LABEL, VIEW
from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib import htmx
from labeling_platform.lib.words import duration

from . import services
from .against import BANDS, Comparison, compared_rows, comparison_of, filtered
from .alerts import Alert, alerts_of
from .design import Question, routing_question
from .models import Job, Judgment, Unit
from .monitoring import (
    NEWEST,
    Crowd,
    Progress,
    agreement_of,
    crowd_of,
    disputed_rows,
    latest_judgments,
    often_missed,
    progress_of,
    throughput_of,
    times_of,
)
from .presenting import get_job, page_context
from .querysets import SAMPLE, given_answers
from .states import JobState

BIG = 20_000
ROWS_PER_PAGE = 60
PICTURES = 14


def monitor_context(request: TeamRequest, job: Job, section: str, **more: Any) -> dict[str, Any]:
    """What all pages of the tab show."""
    pages = [
        ("overview", "Overview", "jobs:detail"),
        ("contributors", "Contributors", "jobs:contributors"),
        ("against", "Model against people", "jobs:against"),
    ]
    sections = [
        {"label": label, "active": name == section, "url": reverse(url, args=[request.team.slug, job.pk])}
        for name, label, url in pages
    ]
    return page_context(request, job, "monitor", sections=sections, **more)


def page_url(request: TeamRequest, name: str, *args: int) -> str:
    """The address of a page of the job; "" when there is no such page."""
    try:
        return reverse(name, args=[request.team.slug, *args])
    except NoReverseMatch:
        return ""


# --- overview ----------------------------------------------------------------------------------------


@require_safe
@team_view(may=VIEW)
def job_detail(request: TeamRequest, pk: int) -> HttpResponse:
    """Overview: where the job stands, asked for again every few seconds; the figures below are asked for once.

    Who asks again says what they saw last (`seen`, `state`): the same again is not drawn anew, so that nobody loses
    their place on the page; a job in another state is another page. `?show=all` brings the figures with the page,
    for browsers without JavaScript.
    """
    job = get_job(pk)
    if request.htmx and request.GET.get("state", job.state) != job.state:
        return HttpResponse(headers={"HX-Refresh": "true"})
    progress, plan = progress_of(job), services.plan_of(job)
    crowd = crowd_of(job, plan)
    alerts = alerts_of(job.state, progress, crowd, plan, minimum_accuracy=job.minimum_accuracy, now=timezone.now())
    words = _pace_words(job, progress)
    seen = _mark(replace(progress, pace=None, last_at=None), crowd, alerts, words)
    if request.htmx and request.GET.get("seen") == seen:
        return HttpResponse(status=204)
    context = monitor_context(
        request,
        job,
        "overview",
        progress=progress,
        crowd=crowd,
        plan=plan,
        alerts=[_alert(request, job, alert) for alert in alerts],
        crowd_note=_crowd_words(crowd),
        judgment_words=f"{progress.got:,} of {progress.wanted:,}{' or more' if progress.open_ended else ''}",
        pace_words=words,
        seen=seen,
        poll=15 if progress.total > BIG or job.state != JobState.RUNNING else 3,
        parts=[(name, reverse("jobs:part", args=[request.team.slug, job.pk, name])) for name in PARTS],
    )
    if request.GET.get("show") == "all" and not request.htmx:
        for part in PARTS.values():
            context |= part(request, job)
        context["shown"] = True
    return htmx.render(request, "jobs/job_detail.html", context, partial="progress")


def _mark(*shown: Any) -> str:
    """The same for the same things shown."""
    return blake2b(repr(shown).encode(), digest_size=8).hexdigest()


def _alert(request: TeamRequest, job: Job, alert: Alert) -> dict[str, str]:
    may_label = request.membership.may(LABEL)
    url = page_url(request, alert.to, job.pk) if alert.to and (alert.to != "contribute:job" or may_label) else ""
    return {"tone": alert.tone, "title": alert.title, "text": alert.text, "url": url, "label": alert.label}


def _crowd_words(crowd: Crowd) -> str:
    parts = [
        (crowd.working, "working"),
        (crowd.in_quiz, "in the quiz"),
        (crowd.removed, "removed"),
        (crowd.stopped, "stopped or rejected"),
    ]
    return ", ".join(f"{count:,} {words}" for count, words in parts if count) or "nobody yet"


def _pace_words(job: Job, progress: Progress) -> str:
    """When the job will be done, as far as anybody can say."""
    if not progress.waiting:
        return ""
    if progress.pace is None:
        return "No judgment came in the last hour, so there is no telling when the job will be finished."
    pace = f"{progress.pace:,.0f} judgments an hour at the last hour's pace"
    if job.state != JobState.RUNNING or progress.seconds_left is None:
        return f"{pace}."
    least = "at least " if progress.open_ended else ""
    return f"{pace}: {least}{duration(progress.seconds_left)} to go."


@require_safe
@team_view(may=VIEW)
def monitor_part(request: TeamRequest, pk: int, part: str) -> HttpResponse:
    """One card of figures, fetched after the page and when somebody asks for newer ones."""
    job = get_job(pk)
    context = {"job": job, "can_edit": False, **PARTS[part](request, job)}
    return render(request, f"jobs/monitor_{part}.html", context)


def _warnings(request: TeamRequest, job: Job) -> dict[str, Any]:
    return {
        "often_missed": [
            {
                "line": line,
                "picture": picture_url(request.team, line.unit.image_url) if line.unit.image_url else "",
                "url": page_url(request, "jobs:gold", job.pk, line.unit.test_question.pk),
            }
            for line in often_missed(job)[:6]
        ]
    }


def _pace(request: TeamRequest, job: Job) -> dict[str, Any]:
    return {"throughput": throughput_of(job)}


def _times(request: TeamRequest, job: Job) -> dict[str, Any]:
    return {"times": times_of(job), "newest": NEWEST}


def _agreement(request: TeamRequest, job: Job) -> dict[str, Any]:
    alone = job.judgments_per_unit == 1 and job.min_confidence is None
    return {"agreement": agreement_of(job), "alone": alone}


def _disputed(request: TeamRequest, job: Job) -> dict[str, Any]:
    return {"disputed": [_row_card(request, job, unit) for unit in disputed_rows(job)[:PICTURES]]}


def _answers(request: TeamRequest, job: Job) -> dict[str, Any]:
    """What finalized rows came to, per question; of written answers only how many different ones there are."""
    counted = given_answers(job)
    questions: list[dict[str, Any]] = []
    for question in services.design_of(job).questions:
        found = counted.get(question.name, {})
        total = sum(found.values())
        if question.options and question.kind != "ratings":
            extra = [value for value in found if value not in question.values]
            names = {option.value: option.label for option in question.options}
            bars = [(names.get(value, value), found.get(value, 0)) for value in [*question.values, *extra]]
        else:
            bars = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:8]
        shares = [
            (label, count / total, f"{count:,} rows" if count != 1 else "1 row") for label, count in bars if total
        ]
        questions.append({"label": question.label, "total": total, "kinds": len(found), "bars": shares})
    most = max((question["total"] for question in questions), default=0)
    return {"questions": questions, "sample": SAMPLE, "sampled": most >= SAMPLE, "answered": most > 0}


def _latest(request: TeamRequest, job: Job) -> dict[str, Any]:
    design = services.design_of(job)
    cards = [
        _row_card(request, job, judgment.unit)
        | {
            "words": answer_words(design.questions, judgment),
            "name": str(judgment.contributor.user),
            "at": judgment.created_at,
            "tainted": judgment.tainted,
            "person_url": reverse("jobs:contributor", args=[request.team.slug, job.pk, judgment.contributor_id]),
        }
        for judgment in latest_judgments(job, PICTURES)
    ]
    return {"latest": cards}


def _row_card(request: TeamRequest, job: Job, unit: Unit) -> dict[str, Any]:
    """A row with its picture, its shares best first, and its page."""
    questions = services.design_of(job).questions
    asked = next((question for question in questions if unit.result.get(question.name, {}).get("shares")), None)
    shares = sorted(unit.result[asked.name]["shares"].items(), key=lambda pair: -pair[1]) if asked else []
    names = {option.value: option.label for option in asked.options} if asked else {}
    return {
        "unit": unit,
        "picture": picture_url(request.team, unit.image_url) if unit.image_url else "",
        "shares": [(", ".join(names.get(one, one) for one in value.split("\n")), share) for value, share in shares],
        "url": page_url(request, "jobs:unit", job.pk, unit.pk),
    }


def answer_words(questions: list[Question], judgment: Judgment) -> str:
    """What somebody answered to a row, with the labels of the answers."""
    found = []
    for question in questions:
        names = {option.value: option.label for option in question.options}
        found += [names.get(value, value) for value in judgment.answers.get(question.name, ())]
    return ", ".join(found)


PARTS: dict[str, Callable[[TeamRequest, Job], dict[str, Any]]] = {
    "warnings": _warnings,
    "pace": _pace,
    "times": _times,
    "agreement": _agreement,
    "answers": _answers,
    "disputed": _disputed,
    "latest": _latest,
}


# --- model against people ----------------------------------------------------------------------------


@require_safe
@team_view(may=VIEW)
def against(request: TeamRequest, pk: int) -> HttpResponse:
    """What the model said of the rows it was unsure of, and what people answered."""
    job = get_job(pk)
    question = routing_question(services.design_of(job), job.outcomes) if job.outcomes else None
    found = comparison_of(job, question.name) if question else Comparison()
    url = reverse("jobs:against_rows", args=[request.team.slug, job.pk])
    context = monitor_context(
        request,
        job,
        "against",
        question=question,
        comparison=found,
        rows_url=url,
        model_url=page_url(request, "models:detail", job.model_id) if job.model_id and _sees_models(request) else "",
        bands=[(place, band) for place, band in enumerate(found.bands) if band.rows],
        bins=[(band.low, band.high, band.agreed, band.differed) for band in found.bands],
    )
    return render(request, "jobs/job_against.html", context)


def _sees_models(request: TeamRequest) -> bool:
    return Feature.ML_ASSISTED_LABELING in request.features


@require_safe
@team_view(may=VIEW)
def against_rows(request: TeamRequest, pk: int) -> HttpResponse:
    """The rows behind a cell or a band, newest first; `label` is people's answer, `predicted` the model's."""
    job = get_job(pk)
    asked = {name: request.GET.get(name, "") for name in ("label", "predicted", "band", "agreed", "before")}
    question = routing_question(services.design_of(job), job.outcomes) if job.outcomes else None
    rows = filtered(
        compared_rows(job, question.name if question else ""),
        answer=asked["label"],
        said=asked["predicted"],
        band=_whole(asked["band"], BANDS),
        agreed={"yes": True, "no": False}.get(asked["agreed"]),
    ).order_by("-pk")
    if before := _whole(asked["before"], 2**63):
        rows = rows.filter(pk__lt=before)
    found = list(rows[: ROWS_PER_PAGE + 1])
    shown = found[:ROWS_PER_PAGE]
    query = request.GET.copy()
    query["before"] = str(shown[-1].pk) if len(found) > ROWS_PER_PAGE else ""
    context = monitor_context(
        request,
        job,
        "against",
        cards=[_row_card(request, job, unit) for unit in shown],
        words=_words_of(asked),
        older=f"?{query.urlencode()}" if query["before"] else "",
        first=not asked["before"],
    )
    return render(request, "jobs/job_against_rows.html", context)


def _whole(text: str, below: int) -> int | None:
    """A whole number from the query; None for anything else."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else below
    return number if number < below else None


def _words_of(asked: dict[str, str]) -> str:
    """The filter in words."""
    found = []
    if asked["label"]:
        found.append(f"people answered “{asked['label']}”")
    if asked["predicted"]:
        found.append(f"the model said “{asked['predicted']}”")
    if (band := _whole(asked["band"], BANDS)) is not None:
        found.append(f"the model's confidence was {band * 100 // BANDS}% to {(band + 1) * 100 // BANDS}%")
    if asked["agreed"] in {"yes", "no"}:
        found.append("people agreed with the model" if asked["agreed"] == "yes" else "people did not agree with it")
    return "Rows where " + " and ".join(found) if found else "All rows that a model had seen"
