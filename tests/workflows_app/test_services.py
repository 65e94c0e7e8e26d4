"""Making, launching, switching workflows, and uploading to them; one short test per refusal."""

from __future__ import annotations

from decimal import Decimal
from threading import Barrier, Thread

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from jobs_app.models import Job
from labeling_platform.accounts.models import Activity
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.uploads import UploadState
from models_app.models import CustomModel, ModelVersion
from tests.workflows_app.conftest import OUTCOMES, csv_of, launch_all, make_model, upload_csv
from workflows_app import services
from workflows_app.models import Workflow, WorkflowKind, WorkflowRow, WorkflowUpload
from workflows_app.states import WorkflowState

THEN_JOB, ALONE = WorkflowKind.MODEL_THEN_JOB, WorkflowKind.MODEL_ONLY


def create(model, owner, *, name="Shoes", kind=THEN_JOB, **fields):
    return services.create_workflow(team=model.team, actor=owner, name=name, kind=kind, model=model, **fields)


def refusal(call, *args, **kwargs) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        call(*args, **kwargs)
    return refused.value.code, refused.value.message


# --- create, edit, delete ---------------------------------------------------------------------------


def test_creates_a_draft(model, job, owner):
    workflow = create(model, owner, job=job, threshold=Decimal("0.9"), route_unlike=True)
    workflow.refresh_from_db()
    assert (workflow.state, workflow.model, workflow.job) == (WorkflowState.DRAFT, model, job)
    assert (workflow.threshold, workflow.route_unlike) == (Decimal("0.9"), True)
    assert Activity.objects.filter(verb="workflow created", object_id=workflow.pk, actor=owner).exists()


def test_the_threshold_is_0_8_unless_chosen(model, job, owner):
    assert create(model, owner, job=job).threshold == Decimal("0.8")


def test_model_only_keeps_no_job(model, job, owner):
    assert create(model, owner, kind=ALONE, job=job).job is None


@pytest.mark.parametrize("threshold", ["0.5", "1.01"])
def test_refuses_a_threshold(model, job, owner, threshold):
    code, message = refusal(create, model, owner, job=job, threshold=Decimal(threshold))
    assert (code, message) == ("threshold", "The threshold must be more than 0.5 and at most 1.")


def test_refuses_no_name(model, owner):
    assert refusal(create, model, owner, name="  ", kind=ALONE)[0] == "name"


def test_refuses_no_job(model, owner):
    assert refusal(create, model, owner)[0] == "job"


def test_refuses_an_untrained_model(scope, owner):
    untrained = CustomModel.objects.create(team=scope, name="New")
    assert refusal(create, untrained, owner, kind=ALONE) == ("model", "New: Not trained yet.")


def test_refuses_a_model_that_is_in_a_workflow(draft, job, owner):
    code, message = refusal(create, draft.model, owner, name="Second", job=job)
    assert code == "model"
    assert "Shoes" in message


def test_refuses_a_job_whose_answers_are_not_the_outcomes(model, job, owner):
    ModelVersion.objects.filter(pk=model.current_id).update(outcomes=[*OUTCOMES, "sandals"])
    model = CustomModel.objects.select_related("current").get(pk=model.pk)
    assert refusal(create, model, owner, job=job)[0] == "job"


def test_a_job_may_serve_two_workflows(draft, job, owner):
    assert create(make_model(draft.team, "Second"), owner, job=job).job == draft.job


def test_choices_say_why_not(draft, scope, owner):
    untrained = CustomModel.objects.create(team=scope, name="New")
    free = make_model(scope, "Free")
    reasons = {choice.model: choice.reason for choice in services.model_choices()}
    assert reasons[untrained] == "Not trained yet."
    assert reasons[free] == ""
    assert "“Shoes”" in reasons[draft.model]
    assert {choice.model: choice.selectable for choice in services.model_choices(workflow=draft)}[draft.model]


def test_job_choices_put_fitting_jobs_first(model, job, owner):
    Job.objects.create(team=model.team, title="Something else", outcomes=["a", "b"])
    choices = services.job_choices(model=model)
    assert [(choice.job.title, choice.selectable) for choice in choices] == [
        (job.title, True),
        ("Something else", False),
    ]


def test_edits_a_draft(draft, owner):
    changed = services.edit_workflow(
        workflow=draft, actor=owner, name="Alone", kind=ALONE, model=draft.model, job=draft.job
    )
    changed.refresh_from_db()
    assert (changed.name, changed.kind, changed.job) == ("Alone", ALONE, None)


def test_a_launched_workflow_is_neither_edited_nor_deleted(running, owner):
    kwargs = {"name": "x", "kind": ALONE, "model": running.model}
    assert refusal(services.edit_workflow, workflow=running, actor=owner, **kwargs)[0] == "launched"
    assert refusal(services.delete_workflow, workflow=running, actor=owner)[0] == "launched"


def test_deletes_a_draft_with_its_rows(draft, owner):
    services.delete_workflow(workflow=draft, actor=owner)
    assert not Workflow.objects.exists()
    assert not WorkflowRow.objects.exists()


# --- the threshold on the held-out pictures ----------------------------------------------------------


@pytest.mark.parametrize(
    ("threshold", "automated", "correct"), [("0.8", 4, 3), ("0.85", 3, 3), ("0.9", 2, 2), ("0.501", 5, 4), ("1", 0, 0)]
)
def test_automation_at_a_threshold(model, threshold, automated, correct):
    found = services.automation(version=model.current, threshold=Decimal(threshold))
    assert (found.total, found.automated, found.correct) == (5, automated, correct)
    assert found.accuracy == (correct / automated if automated else None)


def test_automation_without_held_out_pictures_is_none(model):
    model.current.holdout.all().delete()
    assert services.automation(version=model.current, threshold=Decimal("0.8")) is None


# --- launching ---------------------------------------------------------------------------------------


def test_launch_freezes_version_outcomes_and_job_design(draft, owner):
    running = launch_all(draft, owner)
    assert running.state == WorkflowState.RUNNING
    assert running.launched_at is not None
    assert (running.version, running.outcomes) == (running.model.current, OUTCOMES)
    assert running.job.design_frozen_at is not None
    assert running.job.state == "running"


def test_a_later_training_does_not_change_a_launched_workflow(running):
    later = ModelVersion.objects.create(
        team=running.team, model=running.model, number=2, state="ready", backend="local", outcomes=["a", "b"]
    )
    CustomModel.objects.filter(pk=running.model_id).update(current=later)
    running.refresh_from_db()
    assert (running.version.number, running.outcomes) == (1, OUTCOMES)


def test_refuses_a_second_launch(running, owner):
    assert refusal(services.launch, workflow=running, actor=owner)[0] == "already_launched"


def test_refuses_unconfirmed_warnings(draft, owner):
    warnings = [problem.code for problem in services.launch_problems(workflow=draft)]
    assert warnings
    assert refusal(services.launch, workflow=draft, actor=owner, confirmed=warnings[1:])[0] == "unconfirmed"


def test_refuses_when_the_job_stopped_fitting(draft, owner):
    version = draft.model.current
    ModelVersion.objects.filter(pk=version.pk).update(outcomes=["boots", "sneakers", "sandals"])
    draft = Workflow.objects.select_related("model__current", "job").get(pk=draft.pk)
    problems = services.launch_problems(workflow=draft)
    assert not problems[0].warning
    confirmed = [problem.code for problem in problems]
    assert refusal(services.launch, workflow=draft, actor=owner, confirmed=confirmed)[0] == problems[0].code
    draft.refresh_from_db()
    assert draft.state == WorkflowState.DRAFT
    assert draft.job.design_frozen_at is None


def test_refuses_a_canceled_job(draft, owner):
    Job.objects.filter(pk=draft.job_id).update(state="canceled")
    assert refusal(services.launch, workflow=draft, actor=owner)[0] == "job_canceled"


def test_an_empty_workflow_and_a_paused_job_are_warnings(draft):
    WorkflowRow.objects.all().delete()
    Job.objects.filter(pk=draft.job_id).update(state="paused")
    draft = Workflow.objects.get(pk=draft.pk)
    codes = {problem.code for problem in services.launch_problems(workflow=draft) if problem.warning}
    assert {"no_rows", "job_paused"} <= codes


def test_turning_off_and_on(running, owner):
    assert services.turn_off(workflow=running, actor=owner).state == WorkflowState.OFF
    assert refusal(services.turn_off, workflow=running, actor=owner)[0] == "state"
    assert services.turn_on(workflow=running, actor=owner).state == WorkflowState.RUNNING
    assert refusal(services.turn_on, workflow=running, actor=owner)[0] == "state"


def test_a_draft_is_not_turned_on(draft, owner):
    assert refusal(services.turn_on, workflow=draft, actor=owner)[0] == "state"


@pytest.mark.django_db(transaction=True)
def test_two_tabs_launching_at_once_are_one_launch(draft, owner):
    confirmed = [problem.code for problem in services.launch_problems(workflow=draft)]
    barrier, answers = Barrier(2), []

    def tab():
        try:
            with team_scope(draft.team):
                barrier.wait()
                services.launch(workflow=draft, actor=owner, confirmed=confirmed)
                answers.append("launched")
        except Refused as refused:
            answers.append(refused.code)
        finally:
            connection.close()

    threads = [Thread(target=tab) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["already_launched", "launched"]
    assert Activity.objects.filter(verb="workflow launched").count() == 1


# --- uploads -----------------------------------------------------------------------------------------


def test_more_rows_while_running(running, owner):
    upload = upload_csv(running, csv_of(2, first=50), owner)
    assert upload.state == UploadState.READY
    assert WorkflowRow.objects.count() == 5


def test_the_same_file_twice_is_held_until_confirmed(draft, owner):
    again = upload_csv(draft, csv_of(3), owner)
    assert (again.held, again.state, again.duplicate_of.rows_ok) == (True, UploadState.RECEIVED, 3)
    assert WorkflowRow.objects.count() == 3
    services.confirm_upload(upload=again, actor=owner)
    services.read_rows(upload=again)
    assert WorkflowRow.objects.count() == 6


def test_a_held_file_can_be_discarded(draft, owner):
    again = upload_csv(draft, csv_of(3), owner)
    services.discard_upload(upload=again, actor=owner)
    assert WorkflowUpload.objects.count() == 1


def test_a_file_in_the_workflow_is_not_discarded(draft, owner):
    assert refusal(services.discard_upload, upload=WorkflowUpload.objects.get(), actor=owner)[0] == "state"


def test_refuses_uploads_when_the_job_can_no_longer_answer(running, owner):
    Job.objects.filter(pk=running.job_id).update(state="canceled")
    running = Workflow.objects.select_related("job").get(pk=running.pk)
    file = SimpleUploadedFile("more.csv", csv_of(1, first=9).encode())
    assert refusal(services.receive_rows, workflow=running, file=file, actor=owner)[0] == "upload"
    assert WorkflowUpload.objects.count() == 1
