"""The Quality tab of a job: its test questions, how they are made, what people answer, and how they are spread."""

from __future__ import annotations

import random
from collections import Counter
from io import StringIO
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import F, Max, Min, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling_platform.accounts.permissions import EDIT, VIEW
from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib import htmx
from labeling_platform.lib.csvio import CsvWriter
from labeling_platform.lib.errors import Refused

from . import services, tasks
from .design import Design, read_gold_form, render_gold_form
from .forms import GoldsFromFinalizedForm, GoldsFromModelForm
from .models import Job, Judgment, TestQuestion, Unit
from .presenting import get_job, page_context
from .quality import guessable, wants_review
from .querysets import SAMPLE, given_answers, gold_list, rows_people_agree_on, rows_without_gold
from .states import GoldSource, UnitState

GOLDS_PER_PAGE = 50
ADVISED = "50 to 100"
SORTS = {"missed": "missed_share", "contested": "contested_share"}
SHOWN = {
    "on": "Switched on",
    "off": "Switched off",
    "review": "To be reviewed",
    "contested": "Contested",
}


def _context(request: TeamRequest, job: Job, section: str, **more: Any) -> dict[str, Any]:
    """What all pages of the tab show."""
    pages = [("list", "Test questions", "jobs:quality"), ("spread", "Distribution", "jobs:distribution")]
    if request.membership.may(EDIT):
        pages.insert(1, ("make", "Make test questions", "jobs:gold_make"))
    sections = [
        {"label": label, "active": name == section, "url": reverse(url, args=[request.team.slug, job.pk])}
        for name, label, url in pages
    ]
    return page_context(request, job, "quality", sections=sections, **more)


# --- the list ----------------------------------------------------------------------------------------


@require_safe
@team_view(may=VIEW)
def quality(request: TeamRequest, pk: int) -> HttpResponse:
    """What the test questions do now, and all of them with what became of them."""
    job = get_job(pk)
    golds = gold_list(job)
    to_review = [
        found.pk
        for found in golds.filter(unit__state=UnitState.GOLDEN, new_missed__gt=0, new_contested__gt=0)
        if _wants_review(found)
    ]
    state, sort = request.GET.get("state", ""), request.GET.get("sort", "")
    golds = _filtered(golds, state, to_review)
    order = [F(SORTS[sort]).desc(nulls_last=True), "pk"] if sort in SORTS else ["-pk"]
    page = Paginator(golds.order_by(*order), GOLDS_PER_PAGE).get_page(request.GET.get("page"))
    labels = _labels(services.design_of(job))
    context = _context(
        request,
        job,
        "list",
        plan=services.plan_of(job),
        page=page,
        cards=[_card(request, gold, labels) for gold in page],
        has_any=page.paginator.count or TestQuestion.objects.filter(job=job).exists(),
        to_review=len(to_review),
        state=state,
        states=SHOWN.items(),
        sort=sort,
    )
    return htmx.render(request, "jobs/job_quality.html", context, partial="golds")


def _filtered(golds: QuerySet[Any], state: str, to_review: list[int]) -> QuerySet[Any]:
    if state == "on":
        return golds.filter(unit__state=UnitState.GOLDEN)
    if state == "off":
        return golds.filter(unit__state=UnitState.HIDDEN_GOLD)
    if state == "review":
        return golds.filter(pk__in=to_review)
    return golds.filter(contested__gt=0) if state == "contested" else golds


def _wants_review(gold: Any) -> bool:
    return wants_review(seen=gold.new_seen, missed=gold.new_missed, contested=gold.new_contested)


Labels = dict[str, tuple[str, dict[str, str]]]


def _labels(design: Design) -> Labels:
    """Per question its label and the labels of its answers."""
    return {
        question.name: (question.label, {option.value: option.label for option in question.options})
        for question in design.questions
    }


def _words(labels: Labels, answers: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    """Answers as people read them: (question, [answer, ...])."""
    return [
        (label, [options.get(value, value) for value in answers[name]])
        for name, (label, options) in labels.items()
        if answers.get(name)
    ]


def _card(request: TeamRequest, gold: Any, labels: Labels) -> dict[str, Any]:
    on = gold.unit.state == UnitState.GOLDEN
    return {
        "gold": gold,
        "on": on,
        "picture": picture_url(request.team, gold.unit.image_url) if gold.unit.image_url else "",
        "answers": _words(labels, gold.answers),
        "source": GoldSource(gold.source).label,
        "review": on and _wants_review(gold),
    }


# --- making ------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@team_view(may=EDIT)
def gold_make(request: TeamRequest, pk: int) -> HttpResponse:
    """The ways to make test questions; POST does it for many at once, from the model or from finalized rows."""
    job = get_job(pk)
    way = request.POST.get("way", "")
    from_model = GoldsFromModelForm(request.POST if way == "model" else None)
    typed: Any = request.POST if way == "finalized" else request.GET if request.htmx and request.GET else None
    from_finalized = GoldsFromFinalizedForm(typed)
    form = {"model": from_model, "finalized": from_finalized}.get(way)
    if form is not None and form.is_valid():
        try:
            said = _make_many(request, job, way, form.cleaned_data)
        except Refused as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, said)
            return redirect("jobs:quality", team_slug=request.team.slug, pk=job.pk)
    design = services.design_of(job)
    context = _context(
        request,
        job,
        "make",
        from_model=from_model,
        from_finalized=from_finalized,
        more_columns=sorted(set(design.columns) - {"image_url"}),
        candidates=rows_without_gold(job).exists(),
        qualify=rows_people_agree_on(job, _agreement(from_finalized)).count(),
        upload_url=reverse("jobs:data", args=[request.team.slug, job.pk]),
        example=_example(design),
        plan=services.plan_of(job),
    )
    status = 422 if request.method == "POST" else 200
    return htmx.render(request, "jobs/job_quality_make.html", context, partial="qualify", status=status)


def _make_many(request: TeamRequest, job: Job, way: str, numbers: dict[str, int]) -> str:
    """Make them, and say what was done."""
    if way == "model":
        there = TestQuestion.objects.filter(job=job, source=GoldSource.MODEL).count()
        made = services.make_golds_from_model(job=job, per_answer=numbers["per_answer"], actor=request.user)
        return f"{_count(made)} made from training pictures{f'; {there:,} were there already' if there else ''}."
    made = services.make_golds_from_finalized(
        job=job, count=numbers["count"], minimum_agreement=numbers["minimum_agreement"] / 100, actor=request.user
    )
    if not made:
        raise Refused("No finalized row qualifies. Lower the agreement, or wait for more answers.", code="none_qualify")
    return f"{_count(made)} made from finalized rows."


def _count(number: int) -> str:
    return f"{number:,} test question{'' if number == 1 else 's'}"


def _agreement(form: GoldsFromFinalizedForm) -> float:
    """The agreement in the form as a share; when it is no good, the one offered."""
    form.is_valid()
    typed = getattr(form, "cleaned_data", {}).get("minimum_agreement")
    return int(typed or form.fields["minimum_agreement"].initial) / 100


def _example(design: Design) -> list[list[str]]:
    """An upload with two test questions and a row, for this design: header and lines."""
    columns = list(dict.fromkeys(["image_url", *design.columns]))
    asked = [question for question in design.questions if question.gold]
    header = [*columns, "_golden", *(f"{q.name}{part}" for q in asked for part in ("_gold", "_gold_reason"))]
    lines = [header]
    for number in range(3):
        cells = [f"https://example.com/{number + 1}.jpg" if name == "image_url" else "…" for name in columns]
        golden = number < 2
        for question in asked:
            right = question.values[: number + 1] if question.options else ["right answer"]
            cells += ["\n".join(right), "Why this is right."] if golden else ["", ""]
        cells.insert(len(columns), "TRUE" if golden else "")
        lines.append(cells)
    return lines


@require_safe
@team_view(may=VIEW)
def gold_example(request: TeamRequest, pk: int) -> HttpResponse:
    """A CSV to fill in: the design's columns and what makes a row a test question."""
    header, *lines = _example(services.design_of(get_job(pk)))
    out = StringIO()
    writer = CsvWriter(out, header)
    for line in lines:
        writer.writerow(line)
    response = HttpResponse(out.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="test-questions.csv"'
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@team_view(may=EDIT)
def gold_row(request: TeamRequest, pk: int) -> HttpResponse:
    """Make test questions from rows, one after the other. Without `?unit=` a row that has none is chosen."""
    job = get_job(pk)
    rows = rows_without_gold(job)
    asked = request.POST.get("unit") or request.GET.get("unit") or ""
    if not asked:
        skipped = _number(request.GET.get("skip", ""))
        chosen = _any_row(rows.exclude(pk=skipped)) or rows.filter(pk=skipped).first()
        if chosen is None:
            return render(request, "jobs/job_quality_row.html", _context(request, job, "make", unit=None))
        return redirect(f"{request.path}?unit={chosen.pk}")
    unit = get_object_or_404(Unit, pk=_number(asked), job=job, state__in=UnitState.row_states())
    answers: dict[str, list[str]] = {}
    reasons: dict[str, str] = {}
    errors: dict[str, str] = {}
    if request.method == "POST":
        design = services.design_of(job)
        answers, reasons = read_gold_form(design, dict(request.POST.lists()))
        errors = services.check_gold_answers(design, answers)
        if not errors:
            try:
                gold = services.make_gold_from_row(unit=unit, answers=answers, reasons=reasons, actor=request.user)
            except Refused as refusal:
                errors = {"": refusal.message}
            else:
                return _after_row(request, job, gold)
    elif not rows.filter(pk=unit.pk).exists():
        messages.info(request, "This row is a test question already. Here is another one.")
        return redirect("jobs:gold_row", team_slug=request.team.slug, pk=job.pk)
    context = _context(
        request,
        job,
        "make",
        unit=unit,
        error=errors.get("", ""),
        fields=_draw(request, job, unit, answers, reasons, errors),
        said=_words(_labels(services.design_of(job)), _result(unit)),
        plan=services.plan_of(job),
        left=rows.count(),
    )
    return render(request, "jobs/job_quality_row.html", context, status=422 if errors else 200)


def _after_row(request: TeamRequest, job: Job, gold: TestQuestion) -> HttpResponse:
    address = reverse("jobs:gold", args=[request.team.slug, job.pk, gold.pk])
    messages.success(request, format_html('Saved. <a href="{}">See the test question</a>.', address))
    name = "jobs:gold_row" if request.POST.get("then") == "next" else "jobs:quality"
    return redirect(name, team_slug=request.team.slug, pk=job.pk)


def _any_row(rows: QuerySet[Unit]) -> Unit | None:
    """A row from anywhere in the data: files are often sorted, and the first rows of one are no fair sample."""
    ends = rows.aggregate(first=Min("pk"), last=Max("pk"))
    if ends["first"] is None:
        return None
    at = random.randint(ends["first"], ends["last"])  # noqa: S311 - a sample, no secret
    return rows.filter(pk__gte=at).order_by("pk").first() or rows.order_by("pk").first()


def _result(unit: Unit) -> dict[str, list[str]]:
    return {name: list(found.get("answers") or []) for name, found in unit.result.items()}


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


def _draw(
    request: TeamRequest,
    job: Job,
    unit: Unit,
    answers: dict[str, list[str]],
    reasons: dict[str, str],
    errors: dict[str, str] | None = None,
    *,
    locked: bool = False,
) -> SafeString:
    return render_gold_form(
        services.design_of(job),
        row={**unit.data, "image_url": unit.image_url},
        image_url_for=lambda url: picture_url(request.team, url, "large"),
        answers=answers,
        reasons=reasons,
        errors=errors,
        locked=locked,
    )


# --- one test question -------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@team_view(may=VIEW)
def gold_detail(request: TeamRequest, pk: int, gold_pk: int) -> HttpResponse:
    """One test question: what it accepts, who answered what, what they object; POST changes what it accepts."""
    job = get_job(pk)
    gold = get_object_or_404(gold_list(job), pk=gold_pk)
    if request.method == "POST" and not request.membership.may(EDIT):
        return render(request, "403.html", {"exception": "Your role in this team does not allow changes."}, status=403)
    answers, reasons, errors = gold.answers, gold.reasons, {}
    design = services.design_of(job)
    if request.method == "POST":
        answers, reasons = read_gold_form(design, dict(request.POST.lists()))
        errors = services.check_gold_answers(design, answers)
        if not errors:
            messages.success(request, _edit(request, gold, answers, reasons))
            tasks.settle_stale(job)
            return redirect("jobs:gold", team_slug=request.team.slug, pk=job.pk, gold_pk=gold.pk)
    labels = _labels(design)
    judgments = Judgment.objects.filter(unit=gold.unit).select_related("contributor__user").order_by("-pk")
    page = Paginator(judgments, GOLDS_PER_PAGE).get_page(request.GET.get("page"))
    context = _context(
        request,
        job,
        "one",
        card=_card(request, gold, labels),
        error=errors.get("", ""),
        fields=_draw(request, job, gold.unit, answers, reasons, errors, locked=not request.membership.may(EDIT)),
        page=page,
        judgments=[{"judgment": judgment, "answers": _words(labels, judgment.answers)} for judgment in page],
        contests=judgments.exclude(contest="")[:GOLDS_PER_PAGE],
        can_review=gold.new_contested or gold.new_missed,
    )
    return render(request, "jobs/job_quality_gold.html", context, status=422 if errors else 200)


def _edit(request: TeamRequest, gold: TestQuestion, answers: dict[str, list[str]], reasons: dict[str, str]) -> str:
    """Change what is accepted; say how many are scored again and how many of them are forgiven."""
    given = Judgment.objects.filter(unit=gold.unit_id)
    missed = list(given.filter(missed=True).values_list("pk", flat=True))
    changed = services.edit_test_question(question=gold, answers=answers, reasons=reasons, actor=request.user)
    if not changed:
        return "Saved. Nobody's accuracy changes by it."
    forgiven = given.filter(pk__in=missed, missed=False).count()
    parts = [f"{forgiven:,} forgiven"] if forgiven else []
    parts += [f"{changed - forgiven:,} now counted as missed"] if changed > forgiven else []
    people = "1 person is" if changed == 1 else f"{changed:,} people are"
    return f"Saved. {people} scored again: {', '.join(parts)}."


@require_POST
@team_view(may=EDIT)
def gold_action(request: TeamRequest, pk: int, gold_pk: int, what: str) -> HttpResponse:
    """Switch a test question on or off, or say that it was looked at and is right."""
    job = get_job(pk)
    gold: TestQuestion = get_object_or_404(TestQuestion.objects.select_related("unit"), pk=gold_pk, job=job)
    if what == "review":
        services.review_test_question(question=gold, actor=request.user)
        messages.success(request, "Marked as reviewed. It is tagged again only for new misses and contests.")
    elif services.switch_test_question(question=gold, on=what == "on", actor=request.user):
        tasks.settle_stale(job)
        messages.success(
            request,
            "Switched on. Its misses count again."
            if what == "on"
            else "Switched off. It is served no more, and its misses count no more.",
        )
    return redirect("jobs:gold", team_slug=request.team.slug, pk=job.pk, gold_pk=gold.pk)


# --- how answers are spread --------------------------------------------------------------------------


@require_safe
@team_view(may=VIEW)
def distribution(request: TeamRequest, pk: int) -> HttpResponse:
    """Accepted answers of the test questions beside the answers of finalized rows, per question."""
    job = get_job(pk)
    switched_on = TestQuestion.objects.filter(job=job, unit__state=UnitState.GOLDEN)
    accepted = list(switched_on.values_list("answers", flat=True))
    given = given_answers(job)
    questions = [
        _spread(question, [found[question.name] for found in accepted if found.get(question.name)], given)
        for question in services.design_of(job).questions
        if question.gold and question.options
    ]
    context = _context(request, job, "spread", questions=questions, golds=len(accepted), sample=SAMPLE)
    return render(request, "jobs/job_quality_spread.html", context)


def _spread(question: Any, accepted: list[list[str]], given: dict[str, dict[str, int]]) -> dict[str, Any]:
    counts = Counter(answer for answers in accepted for answer in answers)
    found = given.get(question.name, {})
    rows = sum(found.values())
    easy = guessable(counts, len(accepted))
    labels = {option.value: option.label for option in question.options}
    return {
        "question": question,
        "golds": len(accepted),
        "rows": rows,
        "accepted": [
            (labels[value], counts[value] / len(accepted) if accepted else 0, "", "yellow" if value == easy else "")
            for value in labels
        ],
        "given": [(labels[value], found.get(value, 0) / rows if rows else 0, "", "gray") for value in labels],
        "easy": labels.get(easy, "") if easy else "",
        "without": [label for value, label in labels.items() if accepted and not counts[value]],
    }
