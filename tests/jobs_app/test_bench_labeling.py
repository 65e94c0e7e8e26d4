"""`script/bench labeling` reads the labeling page as a contributor's browser does; this keeps the two together."""

from __future__ import annotations

import pytest
from django.urls import reverse

from bench.labeling import Wrong, read
from jobs_app.services import pause_job

from .conftest import fill


@pytest.fixture
def work(client_for, contributor, team, running_job):
    browser, path = client_for(contributor), reverse("contribute:work", args=[team.slug, running_job.pk])

    def ask(form: dict[str, str] | None = None) -> tuple[int, str]:
        answer = browser.get(path) if form is None else browser.post(path, form, headers={"HX-Request": "true"})
        return answer.status_code, answer.content.decode()

    return ask


def submit(shown, work) -> tuple[int, str]:
    return work({"page": str(shown.page)} | dict.fromkeys(shown.fields.values(), "boots"))


def test_it_finds_the_page_and_the_next_one_until_no_row_is_left(work, running_job) -> None:
    units = fill(running_job, 2)
    first = read(*work())
    second = read(*submit(first, work))
    assert (list(first.fields), list(second.fields)) == ([units["k0"]], [units["k1"]])
    assert first.page != second.page
    assert read(*submit(second, work)) is None


def test_a_late_page_is_an_error(work, running_job) -> None:
    fill(running_job, 2)
    first = read(*work())
    running_job.pages.update(state="released")
    with pytest.raises(Wrong, match="ran out"):
        read(*submit(first, work))


def test_a_job_that_is_closed_and_any_other_status_are_errors(work, running_job) -> None:
    pause_job(job=running_job, actor=None)
    with pytest.raises(Wrong, match="neither"):
        read(*work())
    with pytest.raises(Wrong, match="status 422"):
        read(422, "")
