"""Test questions: made from rows, pictures and files; edited with forgiveness; switched; contested, reviewed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused
from models_app.models import HoldoutPrediction, TrainingImage

from ..design import Design, routing_question
from ..models import Contributor, Job, Judgment, TestQuestion, Unit
from ..quality import is_missed, shuffled
from ..querysets import rows_people_agree_on
from ..states import GoldSource, UnitState
from .results import design_of

ALREADY = "This row is a test question of the job already."
MAX_REASON, MAX_CONTEST = 2000, 2000
SAID = ("image", "predicted", "confidence")
GoldAnswers = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class NewGold:
    """A test question to make. `key` says what it comes from; the same never becomes a second one of a job.

    `machine` is what a model thought of it, as of a row: without it, it could be told from the rows of a job that
    shows contributors the model's answers.
    """

    key: str
    image_url: str
    answers: dict[str, list[str]]
    reasons: dict[str, str] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] | None = None


def check_gold_answers(design: Design, answers: GoldAnswers) -> dict[str, str]:
    """What is wrong with accepted answers, by question name ("" for the whole); empty when they can be used."""
    errors = {}
    for question in design.questions:
        given = [answer for answer in answers.get(question.name, ()) if answer.strip()]
        if given and not question.gold:
            errors[question.name] = "This question takes no part in test questions (gold is false in the design)."
        elif question.options and (unknown := [answer for answer in given if answer not in question.values]):
            known = ", ".join(question.values)
            errors[question.name] = f"“{unknown[0][:50]}” is not one of the answers: {known}."
    if not errors and not any(answer.strip() for values in answers.values() for answer in values):
        errors[""] = "Say the right answer of at least one question."
    return errors


@transaction.atomic
def add_golds(*, job: Job, items: Sequence[NewGold], source: GoldSource, actor: User | None) -> int:
    """Make test questions whose answers were checked before; returns how many are new. Repeating it changes nothing."""
    keys = [f"gold:{item.key}"[:80] for item in items]
    there = set(Unit.objects.filter(job=job, key__in=keys).values_list("key", flat=True))
    fresh = {key: item for key, item in zip(keys, items, strict=True) if key not in there}
    units = Unit.objects.bulk_create(
        [
            Unit(
                team_id=job.team_id,
                job=job,
                key=key,
                data=item.data,
                image_url=item.image_url,
                machine=item.machine,
                state=UnitState.GOLDEN,
            )
            for key, item in fresh.items()
        ],
        batch_size=1000,
    )
    TestQuestion.objects.bulk_create(
        [
            TestQuestion(
                team_id=job.team_id,
                job=job,
                unit=unit,
                source=source,
                answers=_clean(item.answers),
                reasons=_clean_reasons(item.reasons),
                created_by=actor,
            )
            for unit, item in zip(units, fresh.values(), strict=True)
        ],
        batch_size=1000,
    )
    if units:
        record(team=job.team, actor=actor, verb="test questions made", obj=job, count=len(units), source=str(source))
    return len(units)


def _clean(answers: GoldAnswers) -> dict[str, list[str]]:
    kept = {name: list(dict.fromkeys(v.strip() for v in values if v.strip())) for name, values in answers.items()}
    return {name: values for name, values in kept.items() if values}


def _clean_reasons(reasons: Mapping[str, str]) -> dict[str, str]:
    return {name: text.strip()[:MAX_REASON] for name, text in reasons.items() if text.strip()}


def make_gold_from_row(
    *, unit: Unit, answers: GoldAnswers, reasons: Mapping[str, str], actor: User | None
) -> TestQuestion:
    """Copy a row as a test question (domain.md 3.1); the row itself stays what it is.

    Refuses answers that the design does not know (code bad_answers), and a row that is a test question already.
    """
    _refuse_bad_answers(unit.job, answers)
    gold = NewGold(f"unit:{unit.pk}", unit.image_url, _clean(answers), dict(reasons), unit.data, unit.machine)
    if not add_golds(job=unit.job, items=[gold], source=GoldSource.ROW, actor=actor):
        raise Refused(ALREADY, code="exists")
    return TestQuestion.objects.select_related("unit").get(job=unit.job, unit__key=f"gold:{gold.key}")


def _refuse_bad_answers(job: Job, answers: GoldAnswers) -> None:
    if errors := check_gold_answers(design_of(job), answers):
        raise Refused(" ".join(errors.values()), code="bad_answers")


def make_golds_from_model(*, job: Job, per_answer: int, actor: User | None) -> int:
    """Make test questions from the training pictures of the job's model: their labels are known.

    Up to `per_answer` for each answer of the routing question, those first whose label a person confirmed; pictures
    that are dropped, unreadable, or doubted to be labelled wrong are left out. Returns how many were made; refuses a
    job without a model, and a design without the routing question.
    """
    if job.model is None:
        raise Refused("This job was not made for a model, so there are no labelled pictures to take.", code="no_model")
    question = routing_question(design_of(job), job.outcomes)
    if question is None:
        raise Refused("No question of the design has the model's classes as answers.", code="no_routing_question")
    items: list[NewGold] = []
    for label in question.values:
        pictures = TrainingImage.objects.filter(model=job.model, label=label, dropped=False, error_code="")
        found = dict(pictures.exclude(doubts__isnull=False, confirmed=False).values_list("pk", "confirmed"))
        mixed = shuffled(job.pk, list(found))
        chosen = sorted(mixed, key=lambda pk: not found[pk])[:per_answer]
        urls = TrainingImage.objects.in_bulk(chosen)
        said = HoldoutPrediction.objects.filter(version=job.model.current, image__in=chosen)
        heard = {pk: {"label": name, "confidence": share} for pk, name, share in said.values_list(*SAID)}
        items += [
            NewGold(
                f"image:{pk}",
                urls[pk].image_url,
                {question.name: [label]},
                data={"image_url": urls[pk].image_url},
                # A picture that the model learned from gets the label it was learned with.
                machine=heard.get(pk, {"label": label}),
            )
            for pk in chosen
        ]
    return add_golds(job=job, items=items, source=GoldSource.MODEL, actor=actor)


def make_golds_from_finalized(*, job: Job, count: int, minimum_agreement: float, actor: User | None) -> int:
    """Make up to `count` test questions from finalized rows whose people agreed (domain.md 3.1).

    Taken are rows with two or more trusted judgments and an agreement of at least `minimum_agreement`, turn by turn
    from each answer, so that no answer is easy to guess. Returns how many were made.
    """
    rows = rows_people_agree_on(job, minimum_agreement)
    design = design_of(job)
    by_answer: dict[str, list[NewGold]] = {}
    for unit in rows.order_by("-agreement", "pk")[: 20 * count]:
        answers = {
            question.name: _result_answers(unit, question.name)
            for question in design.questions
            if question.gold and question.options and question.kind != "ratings"
        }
        if not check_gold_answers(design, answers):
            item = NewGold(f"unit:{unit.pk}", unit.image_url, _clean(answers), data=unit.data, machine=unit.machine)
            by_answer.setdefault(repr(item.answers), []).append(item)
    return add_golds(job=job, items=_in_turns(by_answer.values(), count), source=GoldSource.FINALIZED, actor=actor)


def _result_answers(unit: Unit, name: str) -> list[str]:
    """What people came to; several ticked answers are one there, each on its line (see `aggregate`)."""
    found = unit.result.get(name, {}).get("answers", [])
    return [answer for joined in found for answer in joined.split("\n")]


def _in_turns(groups: Iterable[list[NewGold]], count: int) -> list[NewGold]:
    waiting = [list(group) for group in groups]
    chosen: list[NewGold] = []
    while len(chosen) < count and any(waiting):
        chosen += [group.pop(0) for group in waiting if group]
    return chosen[:count]


@transaction.atomic
def edit_test_question(
    *, question: TestQuestion, answers: GoldAnswers, reasons: Mapping[str, str], actor: User | None
) -> int:
    """Change what a test question accepts, and score everybody who answered it again; returns how many changed.

    Contributors who were wrong by the old answers and are right now are forgiven. Their standing follows when they
    are settled. Refuses answers that the design does not know.
    """
    question = _lock_for_scoring(question)
    job = question.job
    _refuse_bad_answers(job, answers)
    question.answers, question.reasons = _clean(answers), _clean_reasons(reasons)
    question.reviewed_at = timezone.now()
    question.save(update_fields=["answers", "reasons", "reviewed_at"])
    design, changed = design_of(job), []
    for judgment in Judgment.objects.filter(unit=question.unit, missed__isnull=False):
        missed = is_missed(design, question.answers, judgment.answers)
        if missed != judgment.missed:
            judgment.missed, judgment.forgiven = missed, not missed
            changed.append(judgment)
    Judgment.objects.bulk_update(changed, ["missed", "forgiven"], batch_size=500)
    Contributor.objects.filter(pk__in=[judgment.contributor_id for judgment in changed]).update(stale=True)
    record(
        team=job.team, actor=actor, verb="test question edited", obj=job, unit=question.unit_id, changed=len(changed)
    )
    return len(changed)


def _lock_for_scoring(question: TestQuestion) -> TestQuestion:
    """Lock a test question and everybody who answered it, so that no answer is scored by what was accepted before.

    Who submits holds their contributor's lock and then shares the question's: hence contributors first, and once
    more those who came in between. The advisory lock keeps two such changes in one job apart.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('test questions'), %s)", [question.job_id % 2**31])
    scored = Judgment.objects.filter(unit=question.unit_id, missed__isnull=False)
    people = Contributor.objects.filter(pk__in=scored.values("contributor")).order_by("pk")
    list(people.select_for_update(no_key=True))
    locked = TestQuestion.objects.select_for_update(no_key=True, of=("self",)).select_related("job__team", "unit")
    question = locked.get(pk=question.pk)
    list(people.select_for_update(no_key=True))
    return question


@transaction.atomic
def switch_test_question(*, question: TestQuestion, on: bool, actor: User | None) -> bool:
    """Switch a test question on or off; off, it is served no more and its misses count no more. False: it was so."""
    question = _lock_for_scoring(question)
    to = UnitState.GOLDEN if on else UnitState.HIDDEN_GOLD
    if not UnitState.move(Unit.objects.filter(pk=question.unit_id), to):
        return False
    missers = Judgment.objects.filter(unit=question.unit_id, missed=True).values("contributor")
    Contributor.objects.filter(pk__in=missers).update(stale=True)
    verb = f"test question switched {'on' if on else 'off'}"
    record(team=question.job.team, actor=actor, verb=verb, obj=question.job, unit=question.unit_id)
    return True


def review_test_question(*, question: TestQuestion, actor: User | None) -> None:
    """Say that a test question was looked at and is right as it is; contests up to now are answered by that."""
    TestQuestion.objects.filter(pk=question.pk).update(reviewed_at=timezone.now())
    record(team=question.job.team, actor=actor, verb="test question reviewed", obj=question.job, unit=question.unit_id)


def contest(*, judgment: Judgment, user: User, text: str) -> None:
    """Object to a missed test question, with a reason. Refuses without one, and for somebody else's judgment."""
    if judgment.contributor.user_id != user.pk or judgment.missed is None:
        raise Refused("You can only contest your own answers to test questions.", code="not_yours")
    if not text.strip():
        raise Refused("Say why your answer should count.", code="no_reason")
    now = timezone.now()
    Judgment.objects.filter(pk=judgment.pk).update(
        contest=text.strip()[:MAX_CONTEST], contested_at=now, acknowledged_at=now
    )


def acknowledge_misses(*, job: Job, user: User, until: int | None = None) -> int:
    """The contributor has seen the right answers of the test questions missed so far (up to judgment id `until`)."""
    mine = Judgment.objects.filter(job=job, contributor__user=user, missed=True, acknowledged_at=None)
    if until is not None:
        mine = mine.filter(pk__lte=until)
    return mine.update(acknowledged_at=timezone.now())


def misses_to_show(*, job: Job, user: User, limit: int = 50) -> list[Judgment]:
    """Missed test questions whose right answer the contributor has not confirmed to have seen, newest first."""
    found = Judgment.objects.filter(
        contributor__job=job, contributor__user=user, missed=True, acknowledged_at=None, unit__state=UnitState.GOLDEN
    )
    return list(found.select_related("unit__test_question").order_by(F("pk").desc())[:limit])
