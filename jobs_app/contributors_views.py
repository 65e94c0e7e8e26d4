"""The contributors of a job: how each of them works, and stopping, rejecting or letting in again."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from labeling_platform.accounts.models import Activity
from labeling_platform.accounts.permissions import EDIT, VIEW
from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib import htmx
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.words import count_of

from . import services
from .crowd import (
    NEWEST,
    SORTS,
    Agreed,
    agreements,
    at_stake,
    comparable,
    contributors_of,
    is_final,
    judged_by_all,
    judgments_of,
    tests_of,
)
from .design import Design
from .models import Contributor, Job, Judgment
from .monitor_views import answer_words, monitor_context, page_url
from .presenting import get_job
from .states import ContributorState, UnitState

PEOPLE_PER_PAGE = 25
JUDGMENTS_PER_PAGE = 48
DEEDS = {
    "contributor removed": "Removed: accuracy too low",
    "contributor stopped": "Stopped",
    "contributor rejected": "Rejected",
    "contributor readmitted": "Let in again",
}


@require_safe
@team_view(may=VIEW)
def contributors(request: TeamRequest, pk: int) -> HttpResponse:
    """Everybody who worked on the job, sortable, a page at a time."""
    job = get_job(pk)
    sort = request.GET.get("sort", "")
    sort = sort if sort in SORTS else "judgments"
    page = Paginator(contributors_of(job).order_by(*SORTS[sort][1], "pk"), PEOPLE_PER_PAGE).get_page(
        request.GET.get("page")
    )
    people = list(page.object_list)
    total = judged_by_all(job)
    agreed = agreements(services.design_of(job), people)
    context = monitor_context(
        request,
        job,
        "contributors",
        page=page,
        lines=[_line(request, job, person, total, agreed[person.pk]) for person in people],
        sort=sort,
        sorts=[(key, label) for key, (label, _) in SORTS.items()],
        newest=NEWEST,
    )
    return htmx.render(request, "jobs/job_contributors.html", context, partial="people")


def _line(request: TeamRequest, job: Job, person: Contributor, total: int, agreed: Agreed) -> dict[str, Any]:
    return {
        "person": person,
        "share": person.judged / total if total else None,
        "agreed": agreed,
        "url": reverse("jobs:contributor", args=[request.team.slug, job.pk, person.pk]),
    }


def _get_contributor(job: Job, pk: int) -> Any:
    return get_object_or_404(contributors_of(job), pk=pk)


@require_safe
@team_view(may=VIEW)
def contributor(request: TeamRequest, pk: int, contributor_pk: int) -> HttpResponse:
    """One contributor: figures, missed test questions, contests, the newest judgments, and what can be done."""
    job = get_job(pk)
    person = _get_contributor(job, contributor_pk)
    person.job = job
    design = services.design_of(job)
    before = request.GET.get("before", "")
    found = judgments_of(
        person, before=int(before[:18]) if before.isascii() and before.isdigit() else None, count=JUDGMENTS_PER_PAGE + 1
    )
    history = Activity.objects.filter(object_type="job", object_id=job.pk, data__user=person.user_id)
    context = monitor_context(
        request,
        job,
        "contributors",
        person=person,
        line=_line(request, job, person, judged_by_all(job), agreements(design, [person])[person.pk]),
        newest=NEWEST,
        cards=[_judgment_card(request, job, design, judgment) for judgment in found[:JUDGMENTS_PER_PAGE]],
        older=found[JUDGMENTS_PER_PAGE - 1].pk if len(found) > JUDGMENTS_PER_PAGE else None,
        first=not before,
        tests=[_test_card(request, job, design, judgment) for judgment in tests_of(person)],
        history=[(entry, DEEDS.get(entry.verb, entry.verb)) for entry in history.select_related("actor")[:20]],
        **_actions(request, job, person),
    )
    return render(request, "jobs/contributor_detail.html", context)


def _actions(request: TeamRequest, job: Job, person: Contributor) -> dict[str, Any]:
    """What may be done with the contributor, and what rejecting would undo, in words."""
    moves = ContributorState.moves[person.state]
    stake = at_stake(person)
    return {
        "can_stop": "flagged" in moves,
        "can_reject": "rejected" in moves,
        "can_readmit": person.state in {ContributorState.FLAGGED, ContributorState.REJECTED},
        "reject_words": _reject_words(stake.judgments, stake.finalized, stake.asked_again, keeps=person.job),
        "action_urls": {
            deed: reverse("jobs:contributor_action", args=[request.team.slug, job.pk, person.pk, deed])
            for deed in ("stop", "reject", "readmit")
        },
    }


def _reject_words(judgments: int, finalized: int, again: int, *, keeps: Job) -> str:
    if not judgments:
        return "None of this person's judgments counts now, so no row will be asked again."
    words = f"{count_of(judgments, 'judgment')} of this person will count for nothing."
    if finalized:
        words += f" {count_of(finalized, 'finished row opens', 'finished rows open')} again."
    elif keeps.units_remain_finalized:
        words += " Finished rows stay finished, as the job's settings say."
    return f"{words} {count_of(again, 'row')} will be asked again." if again else f"{words} No row will be asked again."


def _judgment_card(request: TeamRequest, job: Job, design: Design, judgment: Judgment) -> dict[str, Any]:
    unit = judgment.unit
    final = None
    if unit.state == UnitState.FINALIZED and unit.judgments_count > 1:
        same = [is_final(question, judgment.answers, unit.result) for question in comparable(design)]
        final = None if None in same or not same else all(same)
    return {
        "judgment": judgment,
        "unit": unit,
        "picture": picture_url(request.team, unit.image_url) if unit.image_url else "",
        "words": answer_words(design.questions, judgment),
        "final": final,
        "url": page_url(request, "jobs:unit", job.pk, unit.pk),
    }


def _test_card(request: TeamRequest, job: Job, design: Design, judgment: Judgment) -> dict[str, Any]:
    unit, gold = judgment.unit, judgment.unit.test_question
    names = {option.value: option.label for question in design.questions for option in question.options}
    accepted = [names.get(value, value) for values in gold.answers.values() for value in values]
    return {
        "judgment": judgment,
        "off": unit.state == UnitState.HIDDEN_GOLD,
        "picture": picture_url(request.team, unit.image_url) if unit.image_url else "",
        "words": answer_words(design.questions, judgment),
        "accepted": ", ".join(accepted),
        "url": page_url(request, "jobs:gold", job.pk, gold.pk),
    }


SAID = {
    "stop": "{} is stopped. What was submitted stays.",
    "reject": "{} is rejected. {} will be asked again.",
    "readmit": "{} may go on.",
}


@require_POST
@team_view(may=EDIT)
def contributor_action(request: TeamRequest, pk: int, contributor_pk: int, deed: str) -> HttpResponse:
    """Stop, reject or let in again."""
    job = get_job(pk)
    people = Contributor.objects.filter(job=job).select_related("user", "job")
    person: Contributor = get_object_or_404(people, pk=contributor_pk)
    again = at_stake(person).asked_again
    try:
        if deed == "stop":
            services.flag_contributor(contributor=person, actor=request.user)
        elif deed == "reject":
            services.reject_contributor(contributor=person, actor=request.user)
        else:
            services.readmit_contributor(contributor=person, actor=request.user)
    except Refused as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, SAID[deed].format(person.user, count_of(again, "row")))
    return redirect("jobs:contributor", team_slug=request.team.slug, pk=job.pk, contributor_pk=person.pk)
