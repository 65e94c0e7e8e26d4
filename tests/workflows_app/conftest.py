"""A trained model with its evidence, a job that fits it, and workflows of both kinds with rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from jobs_app.models import Job
from jobs_app.services import create_routing_job
from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.tenancy import team_scope
from models_app.classify import Scored
from models_app.models import CustomModel, HoldoutPrediction, ModelVersion, TrainingImage, TrainingUpload
from workflows_app import services
from workflows_app.models import Workflow, WorkflowKind, WorkflowUpload

OUTCOMES = ["boots", "sneakers", "negative_examples"]
HELD_OUT = [("boots", 0.97), ("boots", 0.91), ("boots", 0.85), ("sneakers", 0.82), ("boots", 0.61)]
"""Label and confidence of pictures that the version took for boots: of five, four at 0.8, three of them right."""


@pytest.fixture
def scope(team: Team) -> Iterator[Team]:
    with team_scope(team):
        yield team


def make_model(team: Team, name: str = "Footwear") -> CustomModel:
    """A trained model with held-out predictions, without any training."""
    model = CustomModel.objects.create(team=team, name=name)
    version = ModelVersion.objects.create(
        team=team, model=model, number=1, state="ready", backend="local", outcomes=OUTCOMES, metrics={"accuracy": 0.8}
    )
    upload = TrainingUpload.objects.create(team=team, model=model, file="none", original_name="training.csv")
    for line, (label, confidence) in enumerate(HELD_OUT, 2):
        url = f"https://pictures.example/{line}.jpg"
        image = TrainingImage.objects.create(
            team=team, model=model, upload=upload, line=line, image_url=url, label=label, holdout=True
        )
        HoldoutPrediction.objects.create(
            team=team,
            version=version,
            image=image,
            label=label,
            scores=scored(boots=confidence).scores,
            predicted="boots",
            confidence=confidence,
        )
    model.current = version
    model.save(update_fields=["current"])
    return model


def scored(*, boots: float, unlike: bool = False) -> Scored:
    """An answer with this confidence in boots and the rest of it shared by the others."""
    rest = round((1 - boots) / 2, 6)
    return Scored(scores=[boots, rest, rest], predicted="boots", confidence=boots, distance=None, unlike=unlike)


def upload_csv(workflow: Workflow, text: str, actor: User | None = None, name: str = "new.csv") -> WorkflowUpload:
    """Receive and read a CSV."""
    file = SimpleUploadedFile(name, text.encode())
    upload = services.receive_rows(workflow=workflow, file=file, actor=actor)
    services.read_rows(upload=upload)
    upload.refresh_from_db()
    return upload


def csv_of(count: int, first: int = 1) -> str:
    lines = [f"https://pictures.example/new-{n}.jpg,SKU-{n}" for n in range(first, first + count)]
    return "\n".join(["image_url,sku", *lines, ""])


@pytest.fixture
def model(scope: Team) -> CustomModel:
    return make_model(scope)


@pytest.fixture
def job(model: CustomModel, owner: User) -> Job:
    """A routing job for the model, with automatic launching on."""
    job = create_routing_job(model=model, actor=owner)
    Job.objects.filter(pk=job.pk).update(auto_launch=True)
    job.refresh_from_db()
    return job


@pytest.fixture
def draft(model: CustomModel, job: Job, owner: User) -> Workflow:
    """A Model then Job workflow that is not launched, with three rows."""
    workflow = services.create_workflow(
        team=model.team, actor=owner, name="Shoes", kind=WorkflowKind.MODEL_THEN_JOB, model=model, job=job
    )
    upload_csv(workflow, csv_of(3), owner)
    return workflow


def launch_all(workflow: Workflow, actor: User | None = None) -> Workflow:
    """Launch with every warning confirmed."""
    warnings = [problem.code for problem in services.launch_problems(workflow=workflow)]
    services.launch(workflow=workflow, actor=actor, confirmed=warnings)
    return Workflow.objects.select_related("version", "job", "team", "model").get(pk=workflow.pk)


@pytest.fixture
def running(draft: Workflow, owner: User) -> Workflow:
    return launch_all(draft, owner)


@pytest.fixture
def model_only(scope: Team, owner: User) -> Workflow:
    """A running Model Only workflow with three rows."""
    workflow = services.create_workflow(
        team=scope, actor=owner, name="Model alone", kind=WorkflowKind.MODEL_ONLY, model=make_model(scope, "Alone")
    )
    upload_csv(workflow, csv_of(3), owner)
    return launch_all(workflow, owner)
