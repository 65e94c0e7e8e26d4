"""What a requester should know or do about a running job, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from labeling_platform.lib.words import count_of, duration

from .monitoring import Crowd, Progress
from .quality import Plan
from .states import JobState

QUIET = timedelta(minutes=15)
"""A job in which nobody holds a page and nobody submitted one for so long has nobody who works on it."""
FEWEST_IN_QUIZ = 3


@dataclass(frozen=True)
class Alert:
    """A message; `to` names the page that helps (a URL name of a job's page) and `label` its button."""

    tone: str
    title: str
    text: str
    to: str = ""
    label: str = ""


def alerts_of(
    state: str, progress: Progress, crowd: Crowd, plan: Plan, *, minimum_accuracy: int, now: datetime
) -> list[Alert]:
    """What is worth saying now, most urgent first."""
    found = [*_about_state(state, progress)]
    if state == JobState.RUNNING:
        found += [*_about_work(progress, now)]
    if state in {JobState.RUNNING, JobState.PAUSED}:
        found += [*_about_people(progress, crowd, plan, minimum_accuracy)]
    return found


def _about_state(state: str, progress: Progress) -> Iterator[Alert]:
    new = count_of(progress.new, "row is", "rows are")
    if state == JobState.UNORDERED:
        text = "Nobody sees this job yet. Launch its rows, or launch a workflow that sends rows to it."
        yield Alert("info", "Not launched yet", text, "jobs:launch", "Launch")
    elif state == JobState.PAUSED:
        text = "Contributors get no new rows until the job is resumed. What they hold can still be submitted."
        yield Alert("warning", "Paused", text)
    elif state == JobState.CANCELED:
        yield Alert(
            "info", "Canceled", "Nobody is asked any more. Finished rows keep their results.", "reports:job", "Results"
        )
    elif state == JobState.FINISHED:
        rest = f" {new} not launched yet." if progress.new else ""
        text = f"{count_of(progress.finalized, 'row')} finalized, none waits.{rest}"
        yield Alert("success", "Finished", text, "reports:job", "Results")
    elif not progress.total:
        text = "Rows come from workflows that route to this job, or from a file that you upload."
        yield Alert("info", "There are no rows yet", text, "jobs:data", "Add rows")
    elif progress.new and not progress.waiting:
        yield Alert("info", "Nothing to do for contributors", f"{new} not launched yet.", "jobs:launch", "Launch")


def _about_work(progress: Progress, now: datetime) -> Iterator[Alert]:
    quiet_for = now - progress.last_at if progress.last_at else None
    if progress.waiting and not progress.people and (quiet_for is None or quiet_for > QUIET):
        since = f" The last judgment came {duration(quiet_for.total_seconds())} ago." if quiet_for else ""
        text = f"{count_of(progress.waiting, 'row waits', 'rows wait')} for people.{since} Tell your contributors."
        yield Alert("warning", "Nobody is working on this job", text, "contribute:job", "Label rows")


def _about_people(progress: Progress, crowd: Crowd, plan: Plan, minimum_accuracy: int) -> Iterator[Alert]:
    tried = crowd.passed + crowd.failed
    if tried >= FEWEST_IN_QUIZ and crowd.failed > crowd.passed:
        text = (
            f"{crowd.failed:,} of {count_of(tried, 'person', 'people')} did not reach {minimum_accuracy}%. "
            "Look at the test questions that are missed most, or write clearer instructions."
        )
        yield Alert("warning", "Most people fail the quiz", text, "jobs:quality", "Test questions")
    if progress.waiting and crowd.maxed_out and 2 * crowd.maxed_out >= crowd.working:
        text = (
            f"{crowd.maxed_out:,} of {count_of(crowd.working, 'contributor')} can get no more pages: they have "
            "answered all test questions, or as many rows as one person may."
        )
        yield Alert("warning", "Contributors have reached their limit", text, "jobs:quality", "Add test questions")
    if progress.waiting and plan.golds and plan.missing:
        text = f"{count_of(plan.missing, 'more is', 'more are')} needed. Until then every answer is trusted."
        yield Alert("info", "Test questions are not used yet", text, "jobs:quality", "Test questions")
