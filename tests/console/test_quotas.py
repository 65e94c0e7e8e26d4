"""How much a team may use: exactly at each limit, one above it, and what is said then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from jobs_app import ingest as jobs_ingest
from jobs_app import services as jobs
from jobs_app.models import Job, Unit
from jobs_app.services import create_routing_job
from labeling_platform.accounts import quotas, support
from labeling_platform.accounts.models import Activity, TeamMeter, TeamUsage
from labeling_platform.lib import storage
from labeling_platform.lib.errors import Refused
from models_app import ingest as models_ingest
from models_app import services as models
from models_app.models import CustomModel, ModelVersion, TrainingImage, TrainingUpload
from reports_app import services as reports
from reports_app.models import Report
from workflows_app import services as workflows
from workflows_app.models import Workflow, WorkflowRow

OUTCOMES = ["boots", "sneakers", "negative_examples"]


def csv_of(rows: int, *, label: str = "", first: int = 0) -> SimpleUploadedFile:
    head = "image_url,label\n" if label else "image_url\n"
    tail = f",{label}" if label else ""
    lines = "".join(f"https://pictures.example/{first + n}.jpg{tail}\n" for n in range(rows))
    return SimpleUploadedFile("rows.csv", (head + lines).encode())


@pytest.fixture
def model(in_team) -> CustomModel:
    model = CustomModel.objects.create(team=in_team, name="Footwear")
    model.current = ModelVersion.objects.create(
        team=in_team, model=model, number=1, state="ready", outcomes=OUTCOMES, backend="local"
    )
    model.save()
    return model


@pytest.fixture
def workflow(model) -> Workflow:
    return Workflow.objects.create(
        team=model.team, name="W", kind="model_only", model=model, state="running", version=model.current,
        outcomes=OUTCOMES,
    )  # fmt: skip


@pytest.fixture
def limited(team, csm):
    def limit(**limits: int) -> None:
        quotas.set_quota(team=team, actor=csm, reason="trial", limits=limits)

    return limit


def read(upload):
    workflows.read_rows(upload=upload)
    upload.refresh_from_db()
    return upload


# --- rows ---------------------------------------------------------------------------------------------


def test_a_file_may_have_as_many_rows_as_the_limit(workflow, limited, mate) -> None:
    limited(rows_per_upload=3)
    upload = read(workflows.receive_rows(workflow=workflow, file=csv_of(3), actor=mate))
    assert (upload.state, WorkflowRow.objects.count()) == ("ready", 3)


def test_a_file_with_more_rows_is_refused_with_numbers(workflow, limited, mate) -> None:
    limited(rows_per_upload=3)
    upload = read(workflows.receive_rows(workflow=workflow, file=csv_of(4), actor=mate))
    assert (upload.state, WorkflowRow.objects.count()) == ("refused", 0)
    assert upload.refusal == (
        "This file has 4 rows; your team may upload at most 3 in one file. Split it, or ask your Customer Success "
        "Manager for more."
    )
    assert TeamUsage.objects.filter(rows__gt=0).count() == 0


def test_rows_of_a_month_are_counted_over_files_of_workflows_and_jobs(workflow, model, limited, mate) -> None:
    limited(rows_per_month=5)
    job = create_routing_job(model=model, actor=mate, title="J")
    read(workflows.receive_rows(workflow=workflow, file=csv_of(2), actor=mate))
    upload = jobs.receive_rows(job=job, file=csv_of(3, first=9), actor=mate)
    jobs_ingest.read_rows(upload=upload)
    upload.refresh_from_db()
    assert (upload.state, Unit.objects.count()) == ("ready", 3)
    above = read(workflows.receive_rows(workflow=workflow, file=csv_of(1, first=20), actor=mate))
    assert above.state == "refused"
    assert above.refusal.startswith(
        "With the 1 row of this file your team would have uploaded 6 this month; at most 5 are possible. "
        "The count begins anew on 1 "
    )
    assert above.refusal.endswith("(UTC). Ask your Customer Success Manager for more.")
    assert TeamUsage.objects.get().rows == 5


def test_a_job_refuses_rows_above_the_limit_too(model, limited, mate) -> None:
    limited(rows_per_month=2)
    job = create_routing_job(model=model, actor=mate, title="J")
    upload = jobs.receive_rows(job=job, file=csv_of(3), actor=mate)
    jobs_ingest.read_rows(upload=upload)
    upload.refresh_from_db()
    assert (upload.state, Unit.objects.count()) == ("refused", 0)


def test_rows_of_last_month_do_not_count(team, workflow, limited, mate) -> None:
    limited(rows_per_month=2)
    last = datetime.now(UTC).date().replace(day=1) - timedelta(days=1)
    TeamUsage.objects.create(team=team, day=last, rows=1000)
    assert read(workflows.receive_rows(workflow=workflow, file=csv_of(2), actor=mate)).state == "ready"


def test_a_file_whose_reader_died_is_counted_once(workflow, mate, team) -> None:
    upload = workflows.receive_rows(workflow=workflow, file=csv_of(2), actor=mate)
    read(upload)
    type(upload).objects.filter(pk=upload.pk).update(state="reading", last_line=0, lease_until=None)
    WorkflowRow.objects.all().delete()
    read(upload)
    assert TeamUsage.objects.get().rows == 2


# --- training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pictures", "state", "kept"), [(4, "ready", 4), (5, "refused", 0)])
def test_training_pictures_of_a_month(pictures, state, kept, model, limited, mate) -> None:
    limited(images_per_month=4)
    upload = models.receive_training(model=model, file=csv_of(pictures, label="boots"), actor=mate)
    models_ingest.read_training(upload=upload)
    upload.refresh_from_db()
    assert (upload.state, TrainingImage.objects.count()) == (state, kept)
    if kept == 0:
        assert "would have added 5 training pictures this month; at most 4 are possible" in upload.refusal


def ready_to_train(model) -> None:
    upload = TrainingUpload.objects.create(team=model.team, model=model, file="f", original_name="o", state="ready")
    TrainingImage.objects.bulk_create(
        TrainingImage(team=model.team, model=model, upload=upload, line=n, image_url=f"https://p/{n}", label=label)
        for n, label in enumerate(["boots", "sneakers"] * 12)
    )


def test_trainings_of_a_day(model, limited, mate) -> None:
    ready_to_train(model)
    limited(trainings_per_day=2)
    for _ in range(2):
        models.cancel_training(version=models.start_training(model=model, actor=mate), actor=mate)
    with pytest.raises(Refused) as refused:
        models.start_training(model=model, actor=mate)
    assert refused.value.code == "trainings_per_day"
    assert refused.value.message == (
        "Your team has started 2 trainings today; at most 2 are possible a day. A new day begins at 00:00 UTC. "
        "Ask your Customer Success Manager for more."
    )
    assert ModelVersion.objects.count() == 3
    assert TeamUsage.objects.get().trainings == 2


def test_the_page_says_it_where_training_was_asked_for(model, limited, mate, client_for) -> None:
    from django.urls import reverse

    ready_to_train(model)
    limited(trainings_per_day=0)
    answer = client_for(mate).post(reverse("models:train", args=[model.team.slug, model.pk]), follow=True)
    assert "Your team has started 0 trainings today" in answer.content.decode()


# --- storage ------------------------------------------------------------------------------------------


def test_files_may_take_all_the_room_and_no_more(workflow, limited, mate, team) -> None:
    size = csv_of(3).size
    limited(storage_bytes=size)
    workflows.receive_rows(workflow=workflow, file=csv_of(3), actor=mate)
    with pytest.raises(Refused) as refused:
        workflows.receive_rows(workflow=workflow, file=csv_of(1), actor=mate)
    assert refused.value.code == "storage"
    assert "at most" in refused.value.message
    assert quotas.measured(team) == size


def test_what_was_deleted_makes_room_at_once(workflow, limited, mate, team) -> None:
    size = csv_of(3).size
    limited(storage_bytes=size)
    upload = workflows.receive_rows(workflow=workflow, file=csv_of(3), actor=mate)
    storage.delete_file(upload.file)
    workflows.receive_rows(workflow=workflow, file=csv_of(3, first=5), actor=mate)
    assert TeamMeter.objects.get().stored == size


def test_our_copies_of_pictures_take_no_room(team) -> None:
    storage.save_bytes(b"x" * 100, team_id=team.pk, area="pictures", suffix=".jpg")
    storage.save_bytes(b"x" * 10, team_id=team.pk, area="models/deep", suffix=".bin")
    assert quotas.measured(team) == 10


def test_a_report_needs_room(workflow, limited, mate) -> None:
    workflows.receive_rows(workflow=workflow, file=csv_of(3), actor=mate)
    limited(storage_bytes=csv_of(3).size)
    with pytest.raises(Refused) as refused:
        reports.request_report(workflow=workflow, actor=mate)
    assert refused.value.code == "storage"
    assert not Report.objects.exists()
    limited(storage_bytes=csv_of(3).size + 1)
    reports.request_report(workflow=workflow, actor=mate)


@pytest.mark.parametrize("receive", ["training", "evaluation", "job"])
def test_every_kind_of_file_needs_room(receive, model, limited, mate) -> None:
    job = Job.objects.create(team=model.team, title="J")
    limited(storage_bytes=0)
    ask = {
        "training": lambda: models.receive_training(model=model, file=csv_of(1, label="x"), actor=mate),
        "evaluation": lambda: models.receive_evaluation(model=model, file=csv_of(1), actor=mate),
        "job": lambda: jobs.receive_rows(job=job, file=csv_of(1), actor=mate),
    }
    with pytest.raises(Refused) as refused:
        ask[receive]()
    assert refused.value.code == "storage"


# --- the quota itself ---------------------------------------------------------------------------------


def test_a_team_without_a_quota_has_what_all_have(in_team, settings) -> None:
    settings.QUOTAS = {**settings.QUOTAS, "rows_per_month": 7}
    assert quotas.limits_of(in_team).rows_per_month == 7


def test_a_quota_keeps_why_and_who_and_is_logged(in_team, csm) -> None:
    quota = quotas.set_quota(team=in_team, actor=csm, reason="trial", limits={"trainings_per_day": 0})
    quota = quotas.set_quota(team=in_team, actor=csm, reason="paid", limits={"trainings_per_day": None})
    assert (quota.reason, quota.changed_by, quota.trainings_per_day) == ("paid", csm, None)
    lines = Activity.objects.filter(verb="quota changed").order_by("pk").values_list("data", flat=True)
    assert [line["changed"] for line in lines] == [["trainings per day: 0"], ["trainings per day: as all teams"]]


@pytest.mark.parametrize(("reason", "limit", "code"), [(" ", 1, "reason"), ("x", -1, "negative")])
def test_a_quota_is_refused(reason, limit, code, in_team, csm) -> None:
    with pytest.raises(Refused) as refused:
        quotas.set_quota(team=in_team, actor=csm, reason=reason, limits={"rows_per_month": limit})
    assert refused.value.code == code


# --- pauses -------------------------------------------------------------------------------------------


def test_a_paused_workflow_hands_out_no_rows(workflow, mate, csm) -> None:
    read(workflows.receive_rows(workflow=workflow, file=csv_of(3), actor=mate))
    workflows.pause(workflow=workflow, message="We look into the errors.", actor=csm)
    assert workflows.claim_rows(workflow=workflow, limit=9) == []
    assert (workflows.next_turn(), workflows.find_hints()) == (None, [])
    workflow.refresh_from_db()
    assert workflow.state == "running"
    workflows.resume(workflow=workflow, actor=csm)
    assert workflows.next_turn() is not None
    assert len(workflows.claim_rows(workflow=workflow, limit=9)) == 3


def test_a_paused_team_hands_out_no_rows_and_takes_none(workflow, team, mate, csm) -> None:
    ready_to_train(workflow.model)
    read(workflows.receive_rows(workflow=workflow, file=csv_of(3), actor=mate))
    support.pause_team(team=team, message="The invoice is open.", actor=csm)
    assert workflows.claim_rows(workflow=workflow, limit=9) == []
    assert (workflows.next_turn(), workflows.find_hints()) == (None, [])
    for ask in (
        lambda: workflows.receive_rows(workflow=workflow, file=csv_of(1), actor=mate),
        lambda: models.start_training(model=workflow.model, actor=mate),
    ):
        with pytest.raises(Refused) as refused:
            ask()
        assert refused.value.code == "team_paused"
        assert "The invoice is open." in refused.value.message
    support.resume_team(team=team, actor=csm)
    assert len(workflows.claim_rows(workflow=workflow, limit=9)) == 3


def test_the_team_reads_why_it_is_paused(workflow, team, mate, csm, client_for) -> None:
    from django.urls import reverse

    workflows.pause(workflow=workflow, message="We look into the errors.", actor=csm)
    support.pause_team(team=team, message="The invoice is open.", actor=csm)
    page = client_for(mate).get(reverse("workflows:detail", args=[team.slug, workflow.pk])).content.decode()
    assert "We look into the errors." in page
    assert "The invoice is open." in page


@pytest.mark.parametrize(("message", "code"), [(" ", "message"), ("x" * 501, "message")])
def test_a_pause_needs_a_message(message, code, workflow, csm) -> None:
    with pytest.raises(Refused) as refused:
        workflows.pause(workflow=workflow, message=message, actor=csm)
    assert refused.value.code == code


def test_only_a_running_workflow_is_paused_and_only_a_paused_one_resumed(workflow, csm) -> None:
    for ask in (
        lambda: workflows.resume(workflow=workflow, actor=csm),
        lambda: [workflows.pause(workflow=workflow, message="x", actor=csm) for _ in range(2)],
    ):
        with pytest.raises(Refused) as refused:
            ask()
        assert refused.value.code == "state"
