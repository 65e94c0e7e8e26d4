"""A trained model with its evidence, a job that fits it, and workflows of both kinds with rows."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from jobs_app.models import Job
from jobs_app.services import create_routing_job
from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.tenancy import team_scope
from models_app.backends import KINDS
from models_app.backends.base import ItemResult
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


def upload_csv(
    workflow: Workflow, text: str, actor: User | None = None, name: str = "new.csv", key_column: str = ""
) -> WorkflowUpload:
    """Receive and read a CSV."""
    file = SimpleUploadedFile(name, text.encode())
    upload = services.receive_rows(workflow=workflow, file=file, actor=actor, key_column=key_column)
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


# --- a model that really answers ----------------------------------------------------------------------


class TinyBackend:
    """A backend that reads its confidence in boots from the picture: the red of its first pixel, in per cent."""

    kind = "tiny"
    feature_version = "tiny-1"

    def __init__(self, **options: Any) -> None:
        self.options = options

    def prepare(self, data: bytes) -> int:
        with Image.open(io.BytesIO(data)) as picture:
            return int(picture.convert("RGB").getpixel((0, 0))[0])  # type: ignore[index]

    def features(self, prepared: Sequence[int]) -> list[bytes]:
        return [bytes([red]) for red in prepared]

    def predict(self, ref: str, features: Sequence[bytes]) -> list[ItemResult]:
        scores = [scored(boots=data[0] / 100).scores for data in features]
        return [ItemResult(dict(zip(OUTCOMES, row, strict=True)), distance=0.1) for row in scores]


class Pictures(BaseHTTPRequestHandler):
    """/97.png is a picture that TinyBackend is 97% sure of; others are missing, no picture, or busy."""

    def do_GET(self) -> None:
        name = self.path.strip("/").removesuffix(".png")
        if name.isdigit():
            out = io.BytesIO()
            Image.new("RGB", (40, 40), (int(name), 0, 0)).save(out, "PNG")
            self.answer(200, out.getvalue())
        else:
            self.answer({"missing": 404, "busy": 503}.get(name, 200), b"this is no picture")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@dataclass
class Tiny:
    """Makes workflows whose pictures come from a real server and whose model is TinyBackend."""

    team: Team
    job: Job
    url: str

    def csv(self, names: Sequence[str]) -> str:
        return "\n".join(["image_url", *(f"{self.url}/{name}.png" for name in names), ""])

    def running(self, names: Sequence[str], actor: User) -> Workflow:
        ModelVersion.objects.filter(team=self.team).update(backend="tiny", feature_version="tiny-1")
        workflow = services.create_workflow(
            team=self.team,
            actor=actor,
            name="Tiny",
            kind=WorkflowKind.MODEL_THEN_JOB,
            model=CustomModel.objects.select_related("current").get(pk=self.job.model_id),
            job=self.job,
        )
        upload_csv(workflow, self.csv(names), actor)
        return launch_all(workflow, actor)


@pytest.fixture
def tiny(scope: Team, job: Job, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tiny]:
    monkeypatch.setitem(KINDS, "tiny", f"{__name__}.TinyBackend")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    Thread(target=server.serve_forever, daemon=True).start()
    settings.IMAGE_FETCH_ALLOW = [f"127.0.0.1:{server.server_port}"]
    settings.CLASSIFIER_BACKENDS = ("local", "tiny")
    yield Tiny(scope, job, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
