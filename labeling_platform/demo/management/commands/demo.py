"""Set up the demo: a team, its people, a trained model, a job and a running workflow.

It does what a newcomer would do by hand, through the same services and the same queue, so it needs the
workers to be running. Each step is skipped when it is there already, so it can be run again after an
interruption.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from jobs_app import services as jobs
from jobs_app.models import Job
from labeling_platform.accounts import services as accounts
from labeling_platform.accounts.addresses import vouch_for
from labeling_platform.accounts.models import Feature, Team, User
from labeling_platform.accounts.permissions import Role
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib.wall import acting
from labeling_platform.sample_views import table_bytes
from models_app import services as models
from models_app import tasks as model_tasks
from models_app.models import CustomModel, ModelVersion
from models_app.states import VersionState
from workflows_app import services as workflows
from workflows_app import tasks as workflow_tasks
from workflows_app.models import Workflow, WorkflowKind
from workflows_app.states import WorkflowState

PEOPLE = [
    ("owner@demo.example", "Olivia Owner", Role.OWNER),
    ("ann@demo.example", "Ann Contributor", Role.CONTRIBUTOR),
    ("bo@demo.example", "Bo Contributor", Role.CONTRIBUTOR),
]
MANAGER = ("csm@demo.example", "Casey Success")
INSTRUCTIONS = """<h2>What to do</h2>
<p>Look at the drawing and choose what kind of footwear it shows.</p>
<ul><li><strong>Boots</strong> cover the ankle.</li>
<li><strong>Sneakers</strong> are closed, flat and end below the ankle.</li>
<li><strong>Sandals</strong> are open: you could see toes or heel.</li>
<li>Anything that is not footwear is <strong>Other / none of these</strong>.</li></ul>"""
WAIT_SECONDS = 600


class Command(BaseCommand):
    help = "Make the demo team with pictures, a trained model and a running workflow."

    def handle(self, *args: Any, **options: Any) -> None:
        password = self._password()
        team, owner = self._people(password)
        with team_scope(team), acting(owner.pk):
            model = self._trained_model(team, owner)
            job = self._job(model, owner)
            self._workflow(team, model, job, owner)
        self.stdout.write("demo: ready")

    def _password(self) -> str:
        """One random password for the demo people, kept beside the data so that it can be shown again."""
        path = Path(settings.DATA_DIR) / "demo-signins.txt"
        if path.exists():
            return path.read_text().splitlines()[0].split(": ", 1)[1]
        password = "-".join(secrets.token_hex(2) for _ in range(3))
        lines = [f"password of all of them: {password}"]
        lines += [f"{email:22} {role.label.lower()} of the demo team" for email, _name, role in PEOPLE]
        lines += [f"{MANAGER[0]:22} customer success manager (admin console at /admin/)"]
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n")
        return password

    @transaction.atomic
    def _people(self, password: str) -> tuple[Team, User]:
        team = Team.objects.filter(slug="demo").first()
        if team is None:
            self.stdout.write("demo: making the team and its people")
            team = accounts.create_team(organization="Demo organization", name="Demo team", slug="demo")
        manager = self._person(*MANAGER, password, is_staff=True, is_superuser=True)
        for email, name, role in PEOPLE:
            accounts.set_role(team=team, user=self._person(email, name, password), role=role, actor=manager)
        accounts.switch_feature(team=team, feature=Feature.ML_ASSISTED_LABELING, on=True, actor=manager, reason="demo")
        return team, User.objects.get(email=PEOPLE[0][0])

    def _person(self, email: str, name: str, password: str, **fields: Any) -> User:
        user = User.objects.filter(email=email).first()
        if user is None:
            user = User.objects.create_user(email, password, name=name, **fields)
            vouch_for(user=user)
        return user

    def _trained_model(self, team: Team, owner: User) -> CustomModel:
        model = CustomModel.objects.filter(name="Footwear").first()
        if model is None:
            self.stdout.write("demo: uploading training data")
            model = models.create_model(team=team, name="Footwear", actor=owner)
            upload = models.receive_training(model=model, file=_file("training.csv"), actor=owner)
            model_tasks.read_training.delay(team_id=team.pk, upload_id=upload.pk)
        self._wait("reading the training data", lambda: all(u.is_final for u in model.uploads.all()))
        if not model.versions.exists():
            version = models.start_training(model=model, actor=owner)
            model_tasks.train.delay(team_id=team.pk, version_id=version.pk)
        self._wait("training", lambda: model.versions.latest("number").is_final, lambda: _stage(model))
        version = model.versions.latest("number")
        if version.state != VersionState.READY:
            raise CommandError(f"The demo model could not be trained: {version.error}")
        model.refresh_from_db()
        return model

    def _job(self, model: CustomModel, owner: User) -> Job:
        job = Job.objects.filter(model=model).first()
        if job is None:
            self.stdout.write("demo: making the job")
            job = jobs.create_routing_job(model=model, actor=owner, title="Which footwear is it?")
            Job.objects.filter(pk=job.pk).update(instructions=INSTRUCTIONS, units_per_page=3)
            job.refresh_from_db()
            jobs.make_golds_from_model(job=job, per_answer=5, actor=owner)
        return job

    def _workflow(self, team: Team, model: CustomModel, job: Job, owner: User) -> None:
        workflow = Workflow.objects.filter(model=model).first()
        if workflow is None:
            self.stdout.write("demo: building the workflow")
            workflow = workflows.create_workflow(
                team=team,
                actor=owner,
                name="Incoming footwear",
                kind=WorkflowKind.MODEL_THEN_JOB,
                model=model,
                job=job,
                threshold=Decimal("0.9"),
            )
            upload = workflows.receive_rows(workflow=workflow, file=_file("unlabeled.csv"), actor=owner)
            workflow_tasks.read_rows.delay(team_id=team.pk, upload_id=upload.pk)
        self._wait("reading the rows", lambda: all(u.is_final for u in workflow.uploads.all()))
        if workflow.state == WorkflowState.DRAFT:
            warnings = {problem.code for problem in workflows.launch_problems(workflow=workflow)}
            workflows.launch(workflow=workflow, actor=owner, confirmed=warnings)
            workflow_tasks.predict.delay(team_id=team.pk, workflow_id=workflow.pk)
        self._wait("predicting", lambda: not workflow.rows.filter(state="awaiting").exists())

    def _wait(self, what: str, done: Callable[[], bool], detail: Callable[[], str] = lambda: "") -> None:
        """Wait for the workers; say what is going on every few seconds."""
        began, said = time.monotonic(), ""
        while not done():
            line = f"demo: {what} {detail()}".rstrip()
            if line != said:
                self.stdout.write(line)
                said = line
            if time.monotonic() - began > WAIT_SECONDS:
                raise CommandError(f"Gave up waiting: {what}. Are the workers running? Try again: manage.py demo")
            time.sleep(0.5)


def _file(name: str) -> ContentFile[bytes]:
    return ContentFile(table_bytes(name), name=name)


def _stage(model: CustomModel) -> str:
    version: ModelVersion = model.versions.latest("number")
    step = version.total // 4 or 1
    return f"({version.stage} {version.done // step * step} of {version.total})" if version.total else ""
