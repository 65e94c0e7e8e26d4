"""The console's own pages: the overview, finding teams, a team's page and what it does, the log of all teams."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import unfold
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_scopes import scopes_disabled

from jobs_app.models import Job
from labeling_platform.accounts import quotas
from labeling_platform.accounts.features import is_enabled
from labeling_platform.accounts.models import Activity, Feature, TeamDeletion, TeamFeature, TeamNote, TeamUsage
from labeling_platform.accounts.services import create_team
from labeling_platform.console import figures
from labeling_platform.ops.models import WorkerSign
from models_app.models import CustomModel, ModelVersion
from tests.conftest import make_person
from workflows_app.models import Workflow, WorkflowRow, WorkflowUpload

ML = Feature.ML_ASSISTED_LABELING


@pytest.fixture
def client(db, client_for):
    return client_for(make_person("success", is_staff=True))


@pytest.fixture
def do(client, team):
    def act(what: str, **data):
        return client.post(reverse("admin:team_do", args=[team.pk, what]), data)

    return act


@pytest.fixture
def workflow(team, all_scopes) -> Workflow:
    model = CustomModel.objects.create(team=team, name="Boots")
    version = ModelVersion.objects.create(team=team, model=model, number=1, backend="local", state="ready")
    workflow = Workflow.objects.create(
        team=team, name="Spring", kind="model_only", model=model, state="running", version=version
    )
    upload = WorkflowUpload.objects.create(team=team, workflow=workflow, file="f", original_name="o", state="ready")
    for line, state in enumerate(["awaiting", "failed", "failed"]):
        WorkflowRow.objects.create(
            team=team, workflow=workflow, upload=upload, line=line, image_url="x", cells=[], state=state, attempts=1
        )
    return workflow


def text(answer) -> str:
    return answer.content.decode()


# --- overview -----------------------------------------------------------------------------------------


def test_the_overview_shows_figures_and_plots(client, team, workflow) -> None:
    TeamUsage.objects.create(team=team, day=datetime.now(UTC).date(), rows=120, predictions=90, errors=2)
    WorkerSign.objects.create(worker="worker@one", at=timezone.now())
    WorkerSign.objects.create(worker="worker@two", at=timezone.now() - timedelta(hours=2))
    page = text(client.get("/admin/"))
    assert "Workers: 1 of 2 alive" in page
    assert "silent for about 2 hours" in page
    assert "Oldest row that waits" in page
    assert page.count('class="chart"') == 2
    assert "Footwear" in page


def test_the_overview_of_nothing_says_so(client) -> None:
    page = text(client.get("/admin/"))
    assert "No worker has given a sign of life" in page
    assert "Nothing was used in the last 30 days" in page
    assert 'class="chart"' not in page


def test_plots_load_nothing_from_other_hosts(client, team, all_scopes) -> None:
    TeamUsage.objects.create(team=team, day=datetime.now(UTC).date(), rows=1)
    answer = client.get("/admin/")
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert 'src="http' not in text(answer)


def test_usage_per_team_names_the_biggest_and_adds_up_the_rest(team, other_team, all_scopes) -> None:
    today = datetime.now(UTC).date()
    teams = [team, other_team, *(create_team(organization="Acme", name=f"T{n}") for n in range(7))]
    for n, one in enumerate(teams):
        TeamUsage.objects.create(team=one, day=today, predictions=100 - n)
        TeamUsage.objects.create(team=one, day=today - timedelta(days=figures.DAYS), predictions=5000)
    plot = json.loads(figures.predictions_by_team()["data"])
    assert [line["label"] for line in plot["datasets"]] == ["Footwear", "Rivals", "T0", "T1", "T2", "T3", "Other teams"]
    assert [line["data"][-1] for line in plot["datasets"]] == [100, 99, 98, 97, 96, 95, 94 + 93 + 92]
    assert sum(sum(line["data"]) for line in plot["datasets"]) == sum(range(92, 101))


# --- finding a team -----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["foot", "FOOTWEAR", "acme", "owner@example", "foot acme"])
def test_a_team_is_found(words, client, team, owner, other_team) -> None:
    answer = client.get(reverse("admin:team_find"), {"q": words})
    assert (answer.status_code, answer.url) == (302, reverse("admin:team_page", args=[team.pk]))


def test_all_teams_are_listed_and_none_is_found(client, team, other_team) -> None:
    page = text(client.get(reverse("admin:team_find")))
    assert "Footwear" in page
    assert "Rivals" in page
    assert "No team has all of this" in text(client.get(reverse("admin:team_find"), {"q": "nobody \x00"}))


# --- a team's page ------------------------------------------------------------------------------------


def test_the_page_shows_what_the_team_has(client, team, owner, workflow) -> None:
    page = text(client.get(reverse("admin:team_page", args=[team.pk])))
    for words in (
        "Spring",
        "Boots",
        "owner@example.com",
        "Retry failed rows",
        "Machine learning assisted",
        "The team has no job",
    ):
        assert words in page  # fmt: skip


def test_the_page_takes_as_many_queries_for_three_of_each(client, team, workflow, django_assert_num_queries) -> None:
    url = reverse("admin:team_page", args=[team.pk])
    Job.objects.create(team=team, title="J")
    client.get(url)
    with CaptureQueriesContext(connection) as asked:
        client.get(url)
    for n in range(2):
        model = CustomModel.objects.create(team=team, name=f"M{n}")
        ModelVersion.objects.create(team=team, model=model, number=1, backend="local", state="training")
        Workflow.objects.create(team=team, name=f"W{n}", kind="model_only", model=model)
        Job.objects.create(team=team, title=f"J{n}")
    with django_assert_num_queries(len(asked)):
        client.get(url)


def test_a_feature_is_switched_with_reason_and_end(do, team, all_scopes) -> None:
    day = (timezone.now() + timedelta(days=3)).date()
    assert do("feature-on", feature=ML, reason="trial", until=day.isoformat()).status_code == 302
    switch = TeamFeature.objects.get(team=team)
    assert (switch.reason, switch.until.date(), switch.enabled_by.name) == ("trial", day + timedelta(days=1), "Success")
    assert do("feature-off", feature=ML, reason="over").status_code == 302
    assert not is_enabled(team, ML)


def test_a_quota_is_changed(do, team, all_scopes) -> None:
    assert do("quota", rows_per_month="500", trainings_per_day="", reason="paid").status_code == 302
    assert quotas.limits_of(team).rows_per_month == 500


def test_notes_are_kept_and_pinned(do, client, team, all_scopes) -> None:
    do("note", text="Call <b>Ann</b> first")
    do("note", text="Second", pinned="on")
    page = text(client.get(reverse("admin:team_page", args=[team.pk])))
    assert page.index("Second") < page.index("Call &lt;b&gt;Ann")
    do("pin", pk=TeamNote.objects.get(pinned=True).pk)
    assert not TeamNote.objects.filter(pinned=True).exists()


def test_a_workflow_is_paused_and_resumed_and_its_rows_tried_again(do, workflow) -> None:
    assert do("pause-workflow", workflow=workflow.pk, message="Wait.").status_code == 302
    workflow.refresh_from_db()
    assert (workflow.pause_message, workflow.state) == ("Wait.", "running")
    assert do("resume-workflow", pk=workflow.pk).status_code == 302
    assert do("retry-rows", pk=workflow.pk).status_code == 302
    workflow.refresh_from_db()
    assert workflow.paused_at is None
    assert set(WorkflowRow.objects.values_list("state", flat=True)) == {"awaiting"}


def test_a_stuck_training_is_canceled(do, workflow) -> None:
    version = ModelVersion.objects.create(
        team=workflow.team, model=workflow.model, number=2, backend="local", state="training"
    )
    assert do("cancel-training", pk=version.pk).status_code == 302
    version.refresh_from_db()
    assert version.state == "canceled"
    assert Activity.objects.filter(verb="training canceled", actor__name="Success").exists()
    by_trigger = Activity.objects.filter(verb="training state", object_id=version.pk).first()
    assert (by_trigger.data, by_trigger.actor_name) == ({"from": "training", "to": "canceled"}, "Success")


def test_a_team_is_paused_and_goes_on(do, team) -> None:
    do("pause", message="The invoice is open.")
    team.refresh_from_db()
    assert team.pause_message == "The invoice is open."
    do("resume")
    team.refresh_from_db()
    assert team.paused_at is None


def test_a_deletion_is_asked_for_and_taken_back(do, team, all_scopes) -> None:
    do("delete", typed="Footwear", reason="left")
    team.refresh_from_db()
    assert team.deletion_due_at == TeamDeletion.objects.get().due_at
    do("take-back")
    team.refresh_from_db()
    assert team.deletion_due_at is None


@pytest.mark.parametrize(
    ("what", "data", "words"),
    [
        ("feature-on", {"feature": ML}, "Reason: This field is required."),
        ("feature-on", {"feature": ML, "reason": "x", "until": "2001-01-01"}, "This day is over"),
        ("quota", {"rows_per_month": "-1", "reason": "x"}, "Rows a month"),
        ("quota", {"rows_per_month": "many", "reason": "x"}, "Rows a month"),
        ("quota", {"trainings_per_day": str(2**40), "reason": "x"}, "Trainings a day"),
        ("note", {"text": " "}, "Note: This field is required."),
        ("pause", {"message": ""}, "Message to the team"),
        ("resume", {}, "This team is not paused."),
        ("delete", {"typed": "footwear", "reason": "x"}, "Type the team’s name".replace("’", "&#x27;")),
        ("take-back", {}, "There is no deletion of this team"),
        ("view-as", {"role": "owner", "reason": "x"}, "Look as"),
    ],
)
def test_what_is_refused_is_said_where_it_was_asked_for(what, data, words, do) -> None:
    answer = do(what, **data)
    assert answer.status_code == 422
    page = text(answer)
    assert 'role="alert"' in page
    assert words in page


@pytest.mark.parametrize("what", ["pause-workflow", "resume-workflow", "retry-rows", "cancel-training", "pin"])
def test_things_of_another_team_are_not_found(what, client, workflow, other_team) -> None:
    version = workflow.version
    note = TeamNote.objects.create(team=workflow.team, text="x")
    pk = {"cancel-training": version.pk, "pin": note.pk}.get(what, workflow.pk)
    answer = client.post(
        reverse("admin:team_do", args=[other_team.pk, what]), {"pk": pk, "workflow": pk, "message": "x"}
    )
    assert answer.status_code == 404


def test_nonsense_is_not_found(client, team) -> None:
    assert client.post(reverse("admin:team_do", args=[team.pk, "explode"])).status_code == 404
    assert client.get(reverse("admin:team_page", args=[10**9])).status_code == 404
    assert client.get(reverse("admin:log"), {"team": "x"}).status_code == 404
    assert client.get(reverse("admin:team_do", args=[team.pk, "pause"])).status_code == 405


# --- exports and the log ------------------------------------------------------------------------------


def rows(answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_usage_is_exported(client, team, other_team, all_scopes) -> None:
    day = datetime.now(UTC).date()
    TeamUsage.objects.create(team=team, day=day, rows=7, storage_bytes=9)
    TeamUsage.objects.create(team=other_team, day=day, rows=8)
    found = rows(client.get(reverse("admin:team_usage_csv", args=[team.pk])))
    assert [(line["day"], line["team"], line["rows"], line["storage_bytes"]) for line in found] == [
        (day.isoformat(), "Footwear", "7", "9")
    ]
    assert [line["rows"] for line in rows(client.get(reverse("admin:usage_csv")))] == ["7", "8"]
    assert Activity.objects.filter(verb="usage exported").count() == 2


def test_the_log_of_all_teams_is_searched_and_exported(client, team, other_team) -> None:
    page = text(client.get(reverse("admin:log"), {"q": "created"}))
    assert "Footwear" in page
    assert "Rivals" in page
    page = text(client.get(reverse("admin:log"), {"q": "created", "team": team.pk}))
    assert "Rivals" not in page
    assert "Signed in" in text(client.get(reverse("admin:log"), {"kind": "signin"}))
    found = rows(client.get(reverse("admin:log_csv"), {"q": "team created"}))
    assert {line["team"] for line in found} == {"Footwear", "Rivals"}
    with scopes_disabled():
        assert Activity.objects.filter(team=None, verb="activity log exported").count() == 1
    assert "Nothing found" in text(client.get(reverse("admin:log"), {"q": "no such words"}))


def test_unfolds_base_is_the_one_that_ours_was_made_of() -> None:
    """templates/admin/base.html is unfold's with landmarks: when unfold's changes, ours is made anew."""
    original = Path(unfold.__file__).parent / "templates" / "admin" / "base.html"
    assert hashlib.sha256(original.read_bytes()).hexdigest() == (
        "2ce9250b3c649e3a1d3c7ea52308a2858c60374b76089c29a838c7cc870dbcf0"
    )
