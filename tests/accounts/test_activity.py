"""The activity log: nobody changes it, nothing is missing from it, and people can read and take it away."""

from __future__ import annotations

import csv
import io

import environ
import psycopg2
import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_scopes import scopes_disabled

from jobs_app.models import Job, JobUpload
from labeling_platform.accounts import wording
from labeling_platform.accounts.models import Activity, TeamFeature, User
from labeling_platform.accounts.services import record, set_role
from labeling_platform.lib.addresses import shortened
from models_app.models import CustomModel, Evaluation, ModelVersion, TrainingUpload
from reports_app.models import Report
from tests.conftest import PASSWORD
from tests.test_architecture import OWN_STATES
from workflows_app.models import Workflow, WorkflowUpload

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE accounts_activity SET verb = 'nothing happened'",
        "UPDATE accounts_activity SET actor_id = NULL, actor_name = ''",
        "DELETE FROM accounts_activity",
        "SET LOCAL app.purging = '{team}'; DELETE FROM accounts_activity",
    ],
)
def test_the_database_refuses_to_change_a_line(sql, team, owner, all_scopes) -> None:
    record(team=team, actor=owner, verb="tried")
    before = list(Activity.objects.values())
    with pytest.raises(DatabaseError, match="can only be added to"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(sql.format(team=team.pk))
    assert list(Activity.objects.values()) == before


@pytest.mark.parametrize("sql", ["TRUNCATE accounts_activity", "DELETE FROM accounts_activity"])
def test_not_even_the_owner_of_the_tables_changes_it(sql, db) -> None:
    """The trigger against TRUNCATE is off in the other tests, which empty tables between them."""
    owner = environ.Env.db_url_config(environ.Env().str("DATABASE_OWNER_URL"))
    settings = connection.settings_dict
    other = psycopg2.connect(
        host=settings["HOST"], port=settings["PORT"] or None, dbname=settings["NAME"],
        user=owner["USER"], password=owner["PASSWORD"], options="-c lock_timeout=5s",
    )  # fmt: skip
    try:
        with other.cursor() as cursor:
            cursor.execute("ALTER TABLE accounts_activity ENABLE ALWAYS TRIGGER activity_no_truncate")
            if sql.startswith("DELETE"):
                cursor.execute("INSERT INTO accounts_activity (verb, object_type, object_name, data, created_at)"
                               " VALUES ('x', '', '', '{}', now())")  # fmt: skip
            with pytest.raises(psycopg2.Error, match="can only be added to"):
                cursor.execute(sql)
    finally:
        other.rollback()
        other.close()


def test_a_person_who_is_deleted_keeps_the_name_in_the_log(team, all_scopes) -> None:
    person = User.objects.create_user("ann@example.com", "x", name="Ann")
    line = record(team=team, actor=person, verb="tried")
    person.delete()
    line.refresh_from_db()
    assert (line.actor_id, line.actor_name, wording.who(line)) == (None, "Ann", "Ann")


def made(team):
    """One of each thing whose states are logged, in (thing, column, from, to)."""
    model = CustomModel.objects.create(team=team, name="M")
    version = ModelVersion.objects.create(team=team, model=model, number=1, backend="local")
    kept = {"team": team, "file": "f", "original_name": "mine.csv"}
    job = Job.objects.create(team=team, title="J")
    workflow = Workflow.objects.create(team=team, name="W", kind="model_only", model=model)
    return [
        (version, "state", "queued", "training"),
        (TrainingUpload.objects.create(model=model, **kept), "state", "received", "reading"),
        (Evaluation.objects.create(model=model, version=version, **kept), "state", "received", "reading"),
        (Evaluation.objects.first(), "prediction_state", "waiting", "failed"),
        (job, "state", "unordered", "running"),
        (JobUpload.objects.create(job=job, **kept), "state", "received", "reading"),
        (workflow, "state", "draft", "running"),
        (WorkflowUpload.objects.create(workflow=workflow, **kept), "state", "received", "reading"),
        (Report.objects.create(team=team, workflow=workflow), "state", "queued", "building"),
    ]


def lines_of(thing) -> list[tuple[str, str | None, str | None]]:
    found = Activity.objects.filter(object_type=thing._meta.model_name, object_id=thing.pk).order_by("pk")
    return [(line.team_id, line.data.get("from"), line.data.get("to")) for line in found if "to" in line.data]


def test_bulk_updates_and_sql_by_hand_are_in_the_log(team, all_scopes) -> None:
    for thing, column, before, after in made(team):
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {thing._meta.db_table} SET {column} = %s", [after])
            cursor.execute(f"UPDATE {thing._meta.db_table} SET {column} = %s", [after])
        assert lines_of(thing)[-1] == (team.pk, before, after)
        assert len(lines_of(thing)) == (3 if column == "prediction_state" else 2)


def test_beginning_and_end_are_in_the_log_and_who_asked(team, owner, all_scopes) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.actor', %s, true)", [str(owner.pk)])
    job = Job.objects.create(team=team, title="J")
    Job.objects.filter(pk=job.pk).delete()
    lines = Activity.objects.filter(verb="job state").order_by("pk")
    assert [(wording.what(line), line.actor, line.actor_name) for line in lines] == [
        ("Job: not launched", owner, "Owner"),
        ("Job: not launched → deleted", owner, "Owner"),
    ]
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.actor', '', true)")


def test_a_switch_by_hand_is_in_the_log(team, all_scopes) -> None:
    TeamFeature.objects.filter(team=team).delete()
    line = Activity.objects.first()
    assert (wording.what(line), wording.on_what(line), wording.who(line)) == (
        "Feature is off", "Machine learning assisted data labeling", "The system",
    )  # fmt: skip


def test_every_state_has_words() -> None:
    logged = {"VersionState", "PredictionState", "UploadState", "JobState", "WorkflowState", "ReportState"}
    values = {value for kind in OWN_STATES if kind.__name__ in logged for value in kind.values}
    assert values - set(wording.STATES) == set()


# --- sign-in ------------------------------------------------------------------------------------------


def verbs() -> list[str]:
    with scopes_disabled():
        return list(Activity.objects.filter(team=None).order_by("pk").values_list("verb", flat=True))


def test_signing_in_and_out_and_failing_to(owner) -> None:
    client = Client()
    for password in ("wrong", PASSWORD):
        client.post(reverse("account_login"), {"login": owner.email, "password": password})
    client.post(reverse("account_logout"))
    client.post(reverse("account_login"), {"login": "hunter2@nowhere.example", "password": "x"})
    assert [verb for verb in verbs() if verb.startswith("sign")] == [
        "sign-in failed", "signed in", "signed out", "sign-in failed",
    ]  # fmt: skip
    with scopes_disabled():
        failed, unknown = Activity.objects.filter(verb="sign-in failed").order_by("pk")
        assert (failed.object_id, failed.actor, failed.ip) == (owner.pk, None, "127.0.0.0/24")
        assert unknown.data == {"who": "an address that nobody here has"}
        assert len(unknown.request_id) == 32


def test_a_new_password_is_in_the_log(owner, client_for) -> None:
    data = {"oldpassword": PASSWORD, "password1": "another correct horse", "password2": "another correct horse"}
    answer = client_for(owner).post(reverse("account_change_password"), data)
    assert answer.status_code == 302
    assert "password changed" in verbs()


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_addresses_are_shortened(address, kept) -> None:
    assert shortened(address) == kept


# --- reading it ---------------------------------------------------------------------------------------


def page_of(client, team, **query) -> str:
    answer = client.get(reverse("teams:activity", args=[team.slug]), query)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def lines(team, owner, mate):
    with scopes_disabled():
        record(team=team, actor=owner, verb="workflow turned off", about="Spring shop")
        record(team=team, actor=mate, verb="report requested", about="=cmd()", reason="for the board")
        record(team=team, actor=None, verb="training finished", about="Boots")


@pytest.mark.parametrize(
    ("query", "shown", "hidden"),
    [
        ({"q": "spring OFF"}, "Spring shop", "=cmd()"),
        ({"q": "board"}, "=cmd()", "Spring shop"),
        ({"q": "mate"}, "=cmd()", "Spring shop"),
        ({"kind": "reports"}, "=cmd()", "Spring shop"),
        ({"person": "system"}, "Boots", "Spring shop"),
        ({"since": "2999-01-01"}, "Nothing found", "Spring shop"),
        ({"until": "2000-01-01"}, "Nothing found", "Spring shop"),
        ({"q": "\x00"}, "Spring shop", "Nothing found"),
        ({"since": "tomorrow", "kind": "nothing", "person": "-1"}, "Spring shop", "Nothing found"),
    ],
)
def test_the_log_is_searched(query, shown, hidden, lines, team, owner, client_for) -> None:
    page = page_of(client_for(owner), team, **query)
    assert shown in page
    assert hidden not in page


def test_the_log_is_searched_by_person(lines, team, owner, mate, client_for) -> None:
    page = page_of(client_for(owner), team, person=str(mate.pk))
    assert "=cmd()" in page
    assert "Spring shop" not in page


def test_the_log_goes_on_by_key(team, owner, client_for, all_scopes) -> None:
    for number in range(120):
        record(team=team, actor=owner, verb=f"step {number:03}")
    client = client_for(owner)
    first = page_of(client, team, q="step")
    assert "Step 119" in first
    assert "Step 069" not in first
    line = Activity.objects.get(verb="step 070")
    second = page_of(client, team, q="step", after=line.pk)
    assert "Step 069" in second
    assert "Step 070" not in second


def test_the_log_takes_as_many_queries_for_many_lines(team, owner, client_for, django_assert_num_queries) -> None:
    client = client_for(owner)
    page_of(client, team)
    with CaptureQueriesContext(connection) as asked:
        page_of(client, team)
    with scopes_disabled():
        for _ in range(5):
            record(team=team, actor=owner, verb="more")
    with django_assert_num_queries(len(asked)):
        page_of(client, team)


def test_the_log_is_exported_safe_for_spreadsheets(lines, team, owner, client_for) -> None:
    answer = client_for(owner).get(reverse("teams:activity_csv", args=[team.slug]), {"kind": "reports"})
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [(row["who"], row["what"], row["on"], row["details"]) for row in rows] == [
        ("Mate", "Report requested", "'=cmd()", "reason: for the board")
    ]
    with scopes_disabled():
        assert Activity.objects.filter(team=team, verb="activity log exported", actor=owner).count() == 1
        assert Activity.objects.filter(team=team, verb="file downloaded", actor=owner).count() == 1


def test_the_log_of_another_team_is_not_in_it(lines, team, other_team, outsider, client_for) -> None:
    assert "Spring shop" not in page_of(client_for(outsider), other_team)
    answer = client_for(outsider).get(reverse("teams:activity_csv", args=[other_team.slug]))
    assert "Spring shop" not in b"".join(answer.streaming_content).decode()


def test_downloads_are_in_the_log(team, viewer, client_for, all_scopes) -> None:
    from labeling_platform.lib import storage

    model = CustomModel.objects.create(team=team, name="M")
    workflow = Workflow.objects.create(team=team, name="W", kind="model_only", model=model)
    file = storage.save_bytes(b"a\n", team_id=team.pk, area="reports", suffix=".csv")
    report = Report.objects.create(
        team=team, workflow=workflow, state="ready", file=file, finished_at=timezone.now(), as_of=timezone.now()
    )
    assert client_for(viewer).get(reverse("reports:download", args=[team.slug, report.pk])).status_code == 200
    line = Activity.objects.get(verb="report downloaded")
    assert (line.actor, line.ip) == (viewer, "127.0.0.0/24")
    assert line.object_name.endswith(".csv")


def test_roles_are_in_the_log(team, mate, owner, all_scopes) -> None:
    from labeling_platform.accounts.permissions import Role

    set_role(team=team, user=mate, role=Role.ADMIN, actor=owner)
    line = Activity.objects.first()
    assert (wording.what(line), wording.on_what(line), wording.details(line)) == ("Role set", "Mate", "role: admin")
