"""The work that goes on while parts break: a team, a model, a workflow with a job, uploads, and everything twice."""

from __future__ import annotations

import csv
import io
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from django.core.files.base import ContentFile
from django.db import connections
from django_scopes import scope, scopes_disabled

from bench.team import make_team
from bench.team import train as train_model
from jobs_app import tasks as jobs_tasks
from jobs_app.models import Job
from jobs_app.services import NewUnit, add_units, create_routing_job
from labeling_platform.accounts.models import Team
from labeling_platform.lib.uploads import UploadState
from models_app import services as models_services
from models_app import tasks as models_tasks
from models_app.models import CustomModel, TrainingUpload
from workflows_app import services, tasks
from workflows_app.models import Workflow, WorkflowKind, WorkflowRow, WorkflowUpload

from .plan import GOOD, Plan, Row
from .product import say

CLASSES = ("boots", "sandals", "sneakers")
TRAINING_ROWS = 12
JUDGMENTS, UNITS_PER_PAGE = 2, 10
DELIVERED_AGAIN, ROUTED_AGAIN = 5, 20
PATIENCE, ROUTED_SECONDS = 90.0, 20.0
Done = TypeVar("Done")


@dataclass
class Workload:
    """What was set up, and what the product acknowledged of it."""

    plan: Plan
    host: str
    team: Team
    job: Job
    workflow: Workflow
    uploads: list[int] = field(default_factory=list)

    def upload(self, name: str, rows: Sequence[Row]) -> None:
        """Upload rows as a client does: again, until the product says that it has them."""
        lines = [(f"http://{self.host}/{row.path}", str(row.number)) for row in rows]
        file = _csv(["image_url", "number"], lines, name)

        def receive() -> WorkflowUpload:
            with scope(team=self.team):
                there = WorkflowUpload.objects.filter(workflow=self.workflow, original_name=name).first()
                return there or services.receive_rows(workflow=self.workflow, file=file, actor=None)

        upload = patiently(f"upload {name}", receive)
        self.uploads.append(upload.pk)
        hint(lambda: tasks.read_rows.delay(team_id=self.team.pk, upload_id=upload.pk))

    def run_uploads(self, began: float) -> None:
        """Every upload of the plan at its time."""
        for number, (at, rows) in enumerate(self.plan.uploads):
            time.sleep(max(0.0, began + at - time.monotonic()))
            self.upload(f"part-{number}.csv", rows)
            say(f"[{time.monotonic() - began:6.1f} s] {len(rows)} rows uploaded")
        connections.close_all()

    def again(self, dice: random.Random) -> None:
        """Every message several times, and some rows sent to people a second time, as by a worker that is behind."""
        team = self.team.pk
        for _ in range(DELIVERED_AGAIN):
            hint(lambda: tasks.predict.delay(team_id=team, workflow_id=self.workflow.pk))
            hint(tasks.sweep.delay)
            hint(jobs_tasks.sweep.delay)
            for upload in self.uploads:
                hint(lambda pk=upload: tasks.read_rows.delay(team_id=team, upload_id=pk))  # type: ignore[misc]
        deadline = time.monotonic() + ROUTED_SECONDS
        while not patiently("routing again", lambda: self._route_again(dice)):
            if time.monotonic() > deadline:
                raise LookupError("no row was sent to people")
            time.sleep(0.2)

    def _route_again(self, dice: random.Random) -> int:
        """Send some rows to people that are there already; returns how many."""
        with scope(team=self.team):
            routed = list(WorkflowRow.objects.filter(workflow=self.workflow, unit__isnull=False)[:2000])
            some = dice.sample(routed, min(ROUTED_AGAIN, len(routed)))
            add_units(
                job=self.job, items=[NewUnit(f"workflow-row:{row.pk}", row.image_url, {"number": "?"}) for row in some]
            )
            return len(some)


def set_up(plan: Plan, host: str) -> Workload:
    """A trained model of the backend that is known beforehand, and its Model then Job workflow, launched and empty."""
    team = make_team("chaos")
    model = _train(team, host)
    with scope(team=team):
        job = create_routing_job(model=model, actor=None, title="Chaos", judgments_per_unit=JUDGMENTS)
        Job.objects.filter(pk=job.pk).update(units_per_page=UNITS_PER_PAGE)
        workflow = services.create_workflow(
            team=team,
            actor=None,
            name="Chaos",
            kind=WorkflowKind.MODEL_THEN_JOB,
            model=model,
            job=job,
            threshold=Decimal("0.8"),
        )
        accepted = {problem.code for problem in services.launch_problems(workflow=workflow)}
        workflow = services.launch(workflow=workflow, actor=None, confirmed=accepted)
        job = Job.objects.select_related("team").get(pk=job.pk)
    return Workload(plan, host, team, job, workflow)


def _train(team: Team, host: str) -> CustomModel:
    rows = [
        (f"http://{host}/{GOOD}/{1_000_000 + place}.jpg", CLASSES[place % len(CLASSES)])
        for place in range(TRAINING_ROWS * len(CLASSES))
    ]
    with scope(team=team):
        model = models_services.create_model(team=team, name="Chaos", actor=None, backend="digest")
        file = _csv(["image_url", "label"], rows, "training.csv")
        upload = models_services.receive_training(model=model, file=file, actor=None)
        models_tasks.read_training.delay(team_id=team.pk, upload_id=upload.pk)
        final = TrainingUpload.objects.filter(pk=upload.pk, state__in=UploadState.final())
        deadline = time.monotonic() + PATIENCE
        while not final.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
    train_model(team, model)
    with scope(team=team):
        return CustomModel.objects.select_related("current", "team").get(pk=model.pk)


def _csv(columns: Sequence[str], rows: Sequence[Sequence[str]], name: str) -> ContentFile[Any]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return ContentFile(text.getvalue().encode(), name=name)


def patiently(what: str, do: Callable[[], Done]) -> Done:
    """Do it again, over a new connection, until it works. Raises what went wrong last after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return do()
        except Exception as error:
            if time.monotonic() > deadline:
                raise
            say(f"{what}: {type(error).__name__}, once more")
            connections.close_all()
            time.sleep(0.5)


def hint(send: Callable[[], object]) -> None:
    """Send a message, which may be lost: the broker may be down just now."""
    try:
        with scopes_disabled():
            send()
    except Exception as error:
        say(f"a message was not sent: {type(error).__name__}")
