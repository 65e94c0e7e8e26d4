"""What the contributor's pages show: cards, figures, the rows of a page, missed test questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest
from labeling_platform.lib.errors import Refused

from . import services
from .design import Answers, Design, Question, render_design, visible
from .design.liquid import fill
from .design.render import KEYS
from .grid import Sheet, picture_sources, sheet_of
from .models import Contributor, Job, Judgment, Page, Unit
from .quality import Plan, is_enough, is_missed, make_plan
from .querysets import MOST_COUNTED, JobForMe, judged_since
from .states import ContributorState, PageKind

PRELOADED = 12
CONTESTED = "Thank you. The owners of the job read what you wrote; if you are right, the miss is taken back."
MOST_ANSWERS_BY_KEY = 9
Row = Mapping[str, Any]


# --- the list and the job's page -------------------------------------------------------------------------


@dataclass(frozen=True)
class Card:
    """A job on the list. `closed` says why there is nothing to do for this person; "" when there is.

    `quiz`: a quiz comes first.
    """

    job: Job
    place: Contributor | None
    waiting: str
    held: bool
    closed: str
    quiz: bool

    @property
    def begun(self) -> bool:
        return self.held or (self.place is not None and (self.place.judged > 0 or self.place.seen > 0))


def card_of(found: JobForMe) -> Card:
    """The card of a job: open when this person can get a page now, as far as a list can know."""
    plan = _plan(found.job, found.golds)
    refusal = services.why_closed(job=found.job, contributor=found.place, plan=plan)
    barred = refusal is not None and refusal.code.startswith("contributor_")
    if refusal is not None and (barred or not found.held):
        closed = _in_words(refusal, found.job, found.place)
    elif found.held or found.waiting:
        closed = ""
    else:
        closed = "Nothing is waiting for you just now. The job comes back to the top when there are rows."
    return Card(found.job, found.place, counted(found.waiting), found.held, closed, _quiz_comes(plan, found.place))


def _quiz_comes(plan: Plan, place: Contributor | None) -> bool:
    return plan.active and (place is None or place.state == ContributorState.QUIZ)


def _plan(job: Job, golds: int) -> Plan:
    return make_plan(
        golds=golds,
        units_per_page=job.units_per_page,
        quiz_length=job.quiz_length,
        golds_per_page=job.golds_per_page,
        pages_per_gold=job.pages_per_gold,
    )


def _in_words(refusal: Refused, job: Job, place: Contributor | None) -> str:
    """The reason, with the figures when it is the accuracy."""
    if refusal.code != "contributor_removed" or place is None:
        return refusal.message
    right = place.seen - place.missed
    return f"{refusal.message} You had {right} of {place.seen} right; {job.minimum_accuracy}% is asked for."


def grouped_cards(found: Iterable[JobForMe]) -> list[tuple[str, str, list[Card]]]:
    """The cards by what there is to do: (anchor, heading, cards), without empty groups."""
    cards = [card_of(item) for item in found]
    groups = [
        ("in-progress", "In progress", [card for card in cards if not card.closed and card.begun]),
        ("new", "New", [card for card in cards if not card.closed and not card.begun]),
        ("nothing", "Done, or nothing to do now", [card for card in cards if card.closed]),
    ]
    return [group for group in groups if group[2]]


def counted(number: int) -> str:
    """A number that was counted up to MOST_COUNTED."""
    return f"{MOST_COUNTED - 1}+" if number >= MOST_COUNTED else str(number)


def job_facts(job: Job, contributor: Contributor | None, plan: Plan) -> dict[str, Any]:
    """What a person should know before they begin, for the job's page."""
    quiz = _quiz_comes(plan, contributor)
    length = min(plan.quiz_length, plan.golds)
    return {
        "plan": plan,
        "quiz": quiz,
        "quiz_length": length,
        "quiz_enough": enough_of(length, job.minimum_accuracy),
        "passed": plan.active and not quiz,
        "minutes": job.seconds_per_page // 60 if job.seconds_per_page % 60 == 0 else None,
        "most_rows": min(
            (n for n in (plan.max_rows if plan.active else None, job.max_judgments_per_contributor) if n), default=None
        ),
        "sheet": sheet_for(job),
        "several": job.units_per_page > 1,
    }


def enough_of(length: int, minimum_accuracy: int) -> int:
    """How many of a quiz's test questions must be right."""
    return next(right for right in range(length + 1) if is_enough(length, length - right, minimum_accuracy))


# --- the work page ---------------------------------------------------------------------------------------


def sheet_for(job: Job) -> Sheet | None:
    """The contact sheet, when the job asks for one and its design can be shown so."""
    return sheet_of(services.design_of(job)) if job.grid else None


def figures(contributor: Contributor | None) -> dict[str, Any]:
    """One's own figures in this job. Bounded work: no count grows with the rows or the days."""
    if contributor is None:
        return {}
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    return {"place": contributor, "today": counted(judged_since(contributor, midnight))}


def page_parts(
    request: TeamRequest,
    job: Job,
    page: Page,
    *,
    answers: Mapping[int, Answers] | None = None,
    errors: Mapping[int, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """The rows of a page as cards, or as tiles of a contact sheet. `answers` and `errors` are by unit id.

    What a model thought of a row is left out, unless the job says that contributors see it.
    """
    design, units = services.design_of(job), services.page_units(page)
    sheet = sheet_for(job)
    drawing = _Page(request, job, design, answers or {}, errors or {})
    context: dict[str, Any] = {
        "is_quiz": page.kind == PageKind.QUIZ,
        "seconds_left": max(0, round((page.expires_at - timezone.now()).total_seconds())),
        "enough": enough_of(len(units), job.minimum_accuracy),
        "sheet": sheet,
        "several": len(units) > 1,
    }
    if sheet is None:
        rows = [drawing.card(unit, number) for number, unit in enumerate(units, 1)]
        context["most_keys"] = max((len(question.options) for question in design.questions), default=0)
    else:
        rows = [drawing.tile(sheet, unit, number) for number, unit in enumerate(units, 1)]
        pairs = zip(sheet.question.options, KEYS, strict=False)
        context["choices"] = [{"value": option.value, "label": option.label, "key": key} for option, key in pairs]
        context["most_keys"] = len(sheet.question.options)
    context["most_keys"] = min(context["most_keys"], MOST_ANSWERS_BY_KEY)
    return context | {"rows": rows, "upcoming": _upcoming(request, job, page, sheet)}


def _upcoming(request: TeamRequest, job: Job, page: Page, sheet: Sheet | None) -> list[str]:
    count = min(job.units_per_page, PRELOADED)
    found = services.upcoming_pictures(contributor=page.contributor, count=count)
    return [picture_url(request.team, url, "large" if sheet is None else "small") for url in found]


@dataclass(frozen=True)
class _Page:
    request: TeamRequest
    job: Job
    design: Design
    answers: Mapping[int, Answers]
    errors: Mapping[int, Mapping[str, str]]

    def picture(self, url: str, size: str = "large") -> str:
        return picture_url(self.request.team, url, size)

    def card(self, unit: Unit, number: int) -> dict[str, Any]:
        drawn = render_design(
            self.design,
            row=row_of(unit),
            image_url_for=self.picture,
            prefix=services.prefix_of(unit.pk),
            answers=self.answers.get(unit.pk),
            errors=self.errors.get(unit.pk),
        )
        return {"unit": unit, "number": number, "drawn": drawn, "machine": self.machine_says(unit)}

    def machine_says(self, unit: Unit) -> str:
        """The model's answer in the design's words; "" when the job keeps it from contributors."""
        value = self.machine_label(unit)
        for question in self.design.questions:
            if value in question.values:
                return label_of(question, value, row_of(unit))
        return value

    def machine_label(self, unit: Unit) -> str:
        if not self.job.show_machine_label or not unit.machine:
            return ""
        return str(unit.machine.get("label") or "")

    def tile(self, sheet: Sheet, unit: Unit, number: int) -> dict[str, Any]:
        question, row = sheet.question, row_of(unit)
        given, url = self.answers.get(unit.pk), sheet.picture(row)
        if given is not None:
            chosen = next(iter(given.get(question.name, [])), "")
        elif (machine := self.machine_label(unit)) in question.values:
            chosen = machine
        else:
            chosen = next((option.value for option in question.options if option.preset), "")
        return {
            "unit": unit,
            "number": number,
            "name": services.prefix_of(unit.pk) + question.name,
            "small": self.picture(url, "small") if url else "",
            "large": self.picture(url) if url else "",
            "caption": sheet.caption(row),
            "chosen": chosen,
            "error": self.errors.get(unit.pk, {}).get(question.name, ""),
        }


def row_of(unit: Unit) -> dict[str, Any]:
    return {**unit.data, "image_url": unit.image_url}


def label_of(question: Question, value: str, row: Row) -> str:
    """An answer as contributors read it: the option's label, or what was written."""
    return next((fill(option.label, row) for option in question.options if option.value == value), value)


# --- missed test questions -------------------------------------------------------------------------------


def misses_shown(request: TeamRequest, job: Job, contributor: Contributor | None) -> dict[str, Any]:
    """The missed test questions that the contributor has not confirmed to have seen, oldest first."""
    if contributor is None or not contributor.missed:
        return {}
    found = services.misses_to_show(job=job, user=request.user)
    misses = [miss_of(request, job, judgment) for judgment in reversed(found)]
    return {"misses": misses, "shown": max((judgment.pk for judgment in found), default=0)}


def miss_of(request: TeamRequest, job: Job, judgment: Judgment) -> dict[str, Any]:
    """A missed test question: its picture, and for each question that was wrong both answers and the reason."""
    design, unit, gold = services.design_of(job), judgment.unit, judgment.unit.test_question
    row = row_of(unit)
    url = next((found for source in picture_sources(design) if (found := fill(source, row).strip())), "")
    asked = [question for question in design.questions if question.gold and gold.answers.get(question.name)]
    asked = [question for question in asked if visible(question, judgment.answers, design)]
    wrong = [q for q in asked if is_missed(design, {q.name: gold.answers[q.name]}, judgment.answers)]
    return {
        "judgment": judgment,
        "small": picture_url(request.team, url) if url else "",
        "large": picture_url(request.team, url, "large") if url else "",
        "texts": [(name, row[name]) for name in design.columns if row.get(name) and row[name] != url],
        "questions": [
            {
                "label": fill(question.label, row),
                "given": _labels(question, judgment.answers.get(question.name, []), row),
                "right": _labels(question, gold.answers[question.name], row),
                "all_of": question.exact and len(gold.answers[question.name]) > 1,
                "reason": gold.reasons.get(question.name, ""),
            }
            for question in wrong or asked
        ],
    }


def _labels(question: Question, values: Sequence[str], row: Row) -> list[str]:
    return [label_of(question, value, row) for value in values]
