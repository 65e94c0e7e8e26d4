"""A team in the running product: uploads, trains and launches by the services and tasks that its pages use."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.core.files.base import ContentFile
from django_scopes import scope

from labeling_platform.accounts.models import Feature, Team
from labeling_platform.accounts.services import create_team, switch_feature
from labeling_platform.lib.uploads import UploadState
from models_app import services as models_services
from models_app import tasks as models_tasks
from models_app.models import CustomModel, ModelVersion, TrainingUpload
from models_app.states import VersionState
from workflows_app import services as workflows_services
from workflows_app import tasks as workflows_tasks
from workflows_app.models import Workflow, WorkflowKind, WorkflowRow, WorkflowUpload
from workflows_app.states import RowState

from .pictures import Picture, address_of
from .product import say, wait_for


@dataclass(frozen=True)
class Trained:
    """A version in service and how long its training took from the click to ready, in seconds."""

    version: ModelVersion
    seconds: float


def make_team(name: str) -> Team:
    """A team that may use models."""
    team = create_team(organization=name, name=name, slug=name)
    switch_feature(team=team, feature=Feature.ML_ASSISTED_LABELING, on=True, actor=None, reason="bench")
    return team


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> ContentFile[Any]:
    """An uploaded CSV file."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return ContentFile(text.getvalue().encode(), name="pictures.csv")


def upload_training(
    team: Team, model: CustomModel, base: str, pictures: Sequence[Picture], held_out: Sequence[Picture] = ()
) -> None:
    """Upload pictures as training data and wait until they are read.

    With `held_out` those are the version's holdout and all others are trained on; without, the product decides.
    """
    said = "false" if held_out else ""
    rows = [(address_of(base, picture), picture.label, said) for picture in pictures]
    rows += [(address_of(base, picture), picture.label, "true") for picture in held_out]
    file = as_csv(["image_url", "label", "holdout"], rows)
    with scope(team=team):
        upload = models_services.receive_training(model=model, file=file, actor=None)
        models_tasks.read_training.delay(team_id=team.pk, upload_id=upload.pk)
        found = TrainingUpload.objects.filter(pk=upload.pk, state__in=UploadState.final())
        wait_for("reading the training data", found.exists)


def train(team: Team, model: CustomModel) -> Trained:
    """Begin Training, and wait for its end. Raises SystemExit when it fails."""
    with scope(team=team):
        began = time.monotonic()
        version = models_services.start_training(model=model, actor=None)
        models_tasks.train.delay(team_id=team.pk, version_id=version.pk)
        wait_for("training", ModelVersion.objects.filter(pk=version.pk, state__in=VersionState.final()).exists)
        seconds = time.monotonic() - began
        version = ModelVersion.objects.select_related("model").get(pk=version.pk)
        if version.state != VersionState.READY:
            raise SystemExit(f"The training failed: {version.error}")
    say(f"trained on {version.rows_trained} pictures, {version.rows_holdout} held out, {seconds:.1f} s")
    return Trained(version, seconds)


def new_model(team: Team, name: str) -> CustomModel:
    with scope(team=team):
        return models_services.create_model(team=team, name=name, actor=None)


def upload_rows(team: Team, model: CustomModel, base: str, pictures: Sequence[Picture]) -> Workflow:
    """A Model Only workflow of the model with these pictures as rows, not launched yet."""
    with scope(team=team):
        workflow = workflows_services.create_workflow(
            team=team,
            actor=None,
            name=f"Rows of {model.name}",
            kind=WorkflowKind.MODEL_ONLY,
            model=CustomModel.objects.select_related("current").get(pk=model.pk),
            threshold=Decimal("0.8"),
        )
        rows = [(address_of(base, picture), str(place)) for place, picture in enumerate(pictures)]
        upload = workflows_services.receive_rows(
            workflow=workflow, file=as_csv(["image_url", "place"], rows), actor=None
        )
        workflows_tasks.read_rows.delay(team_id=team.pk, upload_id=upload.pk)
        found = WorkflowUpload.objects.filter(pk=upload.pk, state__in=UploadState.final())
        wait_for("reading the rows", found.exists)
        return workflow


def launch(team: Team, workflow: Workflow) -> Workflow:
    """Launch as the button does."""
    with scope(team=team):
        problems = workflows_services.launch_problems(workflow=workflow)
        accepted = {problem.code for problem in problems}
        launched = workflows_services.launch(workflow=workflow, actor=None, confirmed=accepted)
        workflows_tasks.predict.delay(team_id=team.pk, workflow_id=workflow.pk)
        return launched


def waiting_rows(team: Team, workflow: Workflow) -> bool:
    """Whether a row has no answer yet."""
    with scope(team=team):
        return WorkflowRow.objects.filter(workflow=workflow, state=RowState.AWAITING).exists()


def predict_all(team: Team, model: CustomModel, base: str, pictures: Sequence[Picture]) -> list[WorkflowRow]:
    """The pictures through a Model Only workflow, by place in `pictures`. Raises SystemExit when one failed."""
    workflow = launch(team, upload_rows(team, model, base, pictures))
    wait_for("predicting", lambda: not waiting_rows(team, workflow))
    with scope(team=team):
        rows = sorted(WorkflowRow.objects.filter(workflow=workflow), key=lambda row: int(row.cells[1]))
    if failed := [row for row in rows if row.scores is None]:
        raise SystemExit(f"{len(failed)} pictures could not be predicted: {failed[0].error_message}")
    return rows
