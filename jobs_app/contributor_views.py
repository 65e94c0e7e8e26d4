"""The contributor's place: jobs to work on, instructions, and the labeling page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from labeling_platform.accounts.permissions import LABEL
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib import htmx
from labeling_platform.lib.errors import Refused

from . import contributor_presenting as presenting
from . import services, tasks
from .design import Answers, clean_instructions
from .models import Contributor, Job, Judgment, Page
from .querysets import jobs_to_work_on, rows_waiting_for
from .states import JobState, PageState

NOTHING = "no_rows"
FOR_GOOD = {"contributor_removed", "contributor_flagged", "contributor_rejected", "job_canceled", "maxed_out", "enough"}
"""Reasons after which looking again by itself would bring nothing."""


def _job(pk: int) -> Job:
    return get_object_or_404(Job.objects.exclude(state=JobState.UNORDERED), pk=pk)


def _place(request: TeamRequest, job: Job) -> Contributor | None:
    return Contributor.objects.filter(job=job, user=request.user).first()


@require_safe
@team_view(may=LABEL)
def contribute_list(request: TeamRequest) -> HttpResponse:
    """Cards of the jobs: in progress, new, and those with nothing to do just now."""
    groups = presenting.grouped_cards(jobs_to_work_on(request.user))
    return htmx.render(request, "contribute/list.html", {"groups": groups}, partial="cards")


@require_safe
@team_view(may=LABEL)
def contribute_job(request: TeamRequest, pk: int) -> HttpResponse:
    """Instructions first, then what comes, then Start."""
    job = _job(pk)
    place, plan = _place(request, job), services.plan_of(job)
    held = place is not None and Page.objects.filter(contributor=place, state=PageState.OPEN).exists()
    refusal = services.why_closed(job=job, contributor=place, plan=plan)
    if refusal is not None and held and not refusal.code.startswith("contributor_"):
        refusal = None  # what one holds can be finished
    waiting = rows_waiting_for(user=request.user, job_ids=[job.pk]).get(job.pk, 0)
    context = {
        "job": job,
        "place": place,
        "instructions": clean_instructions(job.instructions),
        "refusal": refusal,
        "waiting": presenting.counted(waiting),
        **presenting.job_facts(job, place, plan),
    }
    return render(request, "contribute/job.html", context)


@dataclass(frozen=True)
class Notice:
    """What to tell above the next page; `tone` is error, warning or success."""

    text: str = ""
    tone: str = "warning"
    title: str = ""


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@team_view(may=LABEL)
@transaction.non_atomic_requests  # what is written is one service's transaction: no lock is held while a page is drawn
def work(request: TeamRequest, pk: int) -> HttpResponse:
    """The labeling page. GET shows the page this person holds, or a new one; POST submits and shows the next."""
    job = _job(pk)
    if request.method == "POST":
        return _submit(request, job)
    return _next_page(request, job, Notice())


def _submit(request: TeamRequest, job: Job) -> HttpResponse:
    page_id = _number(request.POST.get("page"))
    try:
        turn = services.submit_and_take(
            job=job, page_id=page_id, user=request.user, submitted=dict(request.POST.lists())
        )
    except Page.DoesNotExist as error:
        raise Http404 from error
    except services.InvalidAnswers as invalid:
        return _show(request, job, _page(page_id), answers=invalid.answers, errors=invalid.errors, status=422)
    except Refused as refusal:
        return _go_on(request, job, Notice(refusal.message))
    done = turn.submission
    if done.too_fast and not done.removed:
        notice = Notice(done.too_fast, "error", "Not saved")
        return _show(request, job, _page(page_id), answers=done.answers, notice=notice, status=422)
    if done.too_fast:
        messages.error(request, done.too_fast)
        address = reverse("contribute:list", args=[request.team.slug])
        return HttpResponseClientRedirect(address) if request.htmx else redirect(address)
    if shown := _number(request.POST.get("shown")):
        services.acknowledge_misses(job=job, user=request.user, until=shown)
    if done.stale:
        tasks.settle.delay_on_commit(team_id=request.team.pk, contributor_id=done.contributor_id)
    return _go_on(request, job, _outcome(job, done), turn)


def _page(page_id: int) -> Page:
    return Page.objects.select_related("contributor").get(pk=page_id)


def _outcome(job: Job, done: services.Submission) -> Notice:
    """What a submit came to, in words; nothing in the usual case."""
    if done.passed_quiz is None:
        return Notice()
    asked = done.test_questions
    score = f"You had {asked - done.missed} of {asked} test questions right."
    if done.passed_quiz:
        return Notice(f"{score} From now on your answers count.", "success", "You passed the quiz")
    needed = presenting.enough_of(asked, job.minimum_accuracy)
    return Notice(f"{score} {needed} were needed.", "error", "You did not pass the quiz")


def _go_on(request: TeamRequest, job: Job, notice: Notice, turn: services.Turn | None = None) -> HttpResponse:
    """After a submit: the next page at once, or without htmx by a redirect, so that loading again submits nothing."""
    if request.htmx and turn is not None and (turn.page or turn.refusal):
        code = turn.refusal.code if turn.refusal is not None else ""
        return _show(request, job, turn.page, notice=notice, closed=turn.refusal, code=code)
    if request.htmx:
        return _next_page(request, job, notice)
    if notice.text:
        level = {"success": messages.SUCCESS, "error": messages.ERROR}.get(notice.tone, messages.WARNING)
        messages.add_message(request, level, f"{notice.title}. {notice.text}" if notice.title else notice.text)
    return redirect("contribute:work", team_slug=request.team.slug, pk=job.pk)


def _next_page(request: TeamRequest, job: Job, notice: Notice) -> HttpResponse:
    closed = None
    try:
        page = services.take_page(job=job, user=request.user)
    except Refused as refusal:
        page, closed = None, refusal
    code = closed.code if closed is not None else NOTHING
    if page is None and request.method == "GET" and request.GET.get("was") == code:
        return HttpResponse(status=204)  # a poll finds what is on the screen already: leave it alone
    return _show(request, job, page, notice=notice, closed=closed, code=code)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 18 else 0


def _show(
    request: TeamRequest,
    job: Job,
    page: Page | None,
    *,
    answers: Mapping[int, Answers] | None = None,
    errors: Mapping[int, Mapping[str, str]] | None = None,
    notice: Notice | None = None,
    closed: Refused | None = None,
    code: str = "",
    status: int = 200,
) -> HttpResponse:
    place = page.contributor if page is not None else _place(request, job)
    context: dict[str, Any] = {
        "job": job,
        "unit_page": page,
        "notice": notice,
        "closed": closed,
        "code": code,
        "polls": page is None and code not in FOR_GOOD,
        "errors": errors,
        **presenting.figures(place),
        **presenting.misses_shown(request, job, place),
    }
    if page is not None:
        context |= presenting.page_parts(request, job, page, answers=answers, errors=errors)
    if not request.htmx:
        context |= {"instructions": clean_instructions(job.instructions), "grid": presenting.sheet_for(job) is not None}
    return htmx.render(request, "contribute/work.html", context, partial="unit", status=status)


@require_POST
@team_view(may=LABEL)
def give_back(request: TeamRequest, pk: int) -> HttpResponse:
    """Return the rows one holds to the others and go back to the list."""
    job = _job(pk)
    held = Page.objects.filter(job=job, contributor__user=request.user, state=PageState.OPEN)
    for page in held:
        services.release_page(page=page)
    return redirect("contribute:list", team_slug=request.team.slug)


@require_POST
@team_view(may=LABEL)
def acknowledge(request: TeamRequest, pk: int) -> HttpResponse:
    """The contributor has seen the right answers that were shown (up to judgment `shown`)."""
    job = _job(pk)
    services.acknowledge_misses(job=job, user=request.user, until=_number(request.POST.get("shown")))
    if request.htmx:
        return HttpResponse()
    return redirect("contribute:work", team_slug=request.team.slug, pk=job.pk)


@require_POST
@team_view(may=LABEL)
def contest(request: TeamRequest, pk: int, judgment_pk: int) -> HttpResponse:
    """Object to a missed test question; the owners of the job read it."""
    job = _job(pk)
    missed = Judgment.objects.select_related("contributor", "unit__test_question").filter(job=job, missed=True)
    judgment: Judgment = get_object_or_404(missed, pk=judgment_pk)
    text, error = request.POST.get("text", ""), ""
    try:
        services.contest(judgment=judgment, user=request.user, text=text)
    except Refused as refusal:
        error = refusal.message
        if refusal.code == "not_yours":
            messages.error(request, error)
            return redirect("contribute:work", team_slug=request.team.slug, pk=job.pk)
    if not request.htmx:
        if error:
            messages.error(request, error)
        else:
            messages.success(request, presenting.CONTESTED)
        return redirect("contribute:work", team_slug=request.team.slug, pk=job.pk)
    miss = presenting.miss_of(request, job, judgment) | {"contested": not error, "error": error, "text": text}
    context = {"job": job, "miss": miss, "contested_note": presenting.CONTESTED}
    return render(request, "contribute/_miss.html", context, status=422 if error else 200)
