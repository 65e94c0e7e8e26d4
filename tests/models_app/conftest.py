"""Real pictures on a real (loopback) web server, and models trained on them by the real services."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image, ImageDraw

from labeling_platform.accounts.models import Team, User
from models_app import ingest, services
from models_app.classify import TeamArtifacts
from models_app.models import (
    CustomModel,
    HoldoutPrediction,
    ModelVersion,
    PictureFeatures,
    TrainingImage,
    TrainingUpload,
)

SHAPES = ("circles", "squares", "stripes")


def draw(name: str) -> bytes:
    """A small JPEG named like circles-0012: the shape of its class with varied place, size and shade."""
    shape = name.partition("-")[0]
    dice = random.Random(name)
    size = 64
    image = Image.new("RGB", (size, size), tuple(dice.randint(90, 255) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    colour = tuple(dice.randint(0, 235) for _ in range(3))
    left, top, side = dice.randint(4, 16), dice.randint(4, 16), dice.randint(24, 40)
    if shape == "circles":
        pen.ellipse([left, top, left + side, top + side], fill=colour)
    elif shape == "squares":
        pen.rectangle([left, top, left + side, top + side], fill=colour)
    else:
        for offset in range(left, size, 10):
            pen.line([offset, 0, offset + top, size], fill=colour, width=4)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88)
    return out.getvalue()


@dataclass
class PictureServer:
    """Where the pictures are, what was asked for, and which paths fail first."""

    url: str
    asked: list[str] = field(default_factory=list)
    fail_first: dict[str, int] = field(default_factory=dict)

    def at(self, shape: str, number: int) -> str:
        return f"{self.url}/{shape}-{number:04d}.jpg"

    def training_csv(self, per_class: int, *, first: int = 0, shapes: tuple[str, ...] = SHAPES) -> str:
        """A CSV with pictures first, first + 1, ... of every class."""
        lines = [f"{self.at(shape, first + n)},{shape}" for n in range(per_class) for shape in shapes]
        return "image_url,label\n" + "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def _server() -> Iterator[PictureServer]:
    state = PictureServer("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/").removesuffix(".jpg")
            state.asked.append(name)
            if state.fail_first.get(name, 0) > 0:
                state.fail_first[name] -= 1
                self.send_error(503)
            elif name.partition("-")[0] in SHAPES:
                self.answer(draw(name))
            elif name == "text":
                self.answer(b"this is no picture")
            else:
                self.send_error(404)

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def pictures(_server: PictureServer, settings) -> PictureServer:
    """The picture server, allowed to be fetched from."""
    settings.IMAGE_FETCH_ALLOW = (_server.url.removeprefix("http://"),)
    _server.asked.clear()
    _server.fail_first.clear()
    return _server


@pytest.fixture(autouse=True)
def _classifier(settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One cache for all tests: the embedder is built once."""
    settings.CLASSIFIER_CACHE_DIR = tmp_path_factory.getbasetemp().parent / "classifier"


def _csv_file(text: str | bytes, name: str = "training.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode() if isinstance(text, str) else text, content_type="text/csv")


@pytest.fixture
def csv_file() -> Callable[..., SimpleUploadedFile]:
    """A CSV as a browser would upload it."""
    return _csv_file


@pytest.fixture
def model(in_team: Team, owner: User) -> CustomModel:
    return services.create_model(team=in_team, name="Shapes", actor=owner)


@pytest.fixture
def add_data(owner: User) -> Callable[[CustomModel, str | bytes], TrainingUpload]:
    """Upload a CSV of training data and read it."""

    def add(model: CustomModel, text: str | bytes) -> TrainingUpload:
        upload = services.receive_training(model=model, file=_csv_file(text), actor=owner)
        ingest.read_training(upload=upload)
        upload.refresh_from_db()
        return upload

    return add


IMAGE_FIELDS = ("line", "image_url", "label", "content_hash", "holdout", "group")
VERSION_FIELDS = (
    *("number", "state", "backend", "feature_version", "outcomes", "total", "metrics", "details"),
    *("rows_trained", "rows_holdout"),
)
HOLDOUT_FIELDS = ("label", "scores", "predicted", "confidence", "distance")


@dataclass
class Kept:
    """What one real training left in the tables and the storage, to be put back without training again."""

    images: list[dict[str, Any]]
    features: list[dict[str, Any]]
    version: dict[str, Any]
    holdout: list[dict[str, Any]]
    head: bytes

    @classmethod
    def of(cls, version: ModelVersion) -> Kept:
        images = TrainingImage.objects.filter(model=version.model).order_by("pk")
        return cls(
            list(images.values(*IMAGE_FIELDS)),
            list(PictureFeatures.objects.values("content_hash", "version", "data")),
            {name: getattr(version, name) for name in VERSION_FIELDS},
            list(version.holdout.order_by("pk").values(*HOLDOUT_FIELDS, "image__image_url")),
            TeamArtifacts().load(version.ref),
        )

    def put_back(self, model: CustomModel, owner: User) -> ModelVersion:
        team = {"team": model.team}
        upload = TrainingUpload.objects.create(
            **team, model=model, original_name="training.csv", state="ready", created_by=owner
        )
        images = TrainingImage.objects.bulk_create(
            [TrainingImage(**team, **fields, model=model, upload=upload) for fields in self.images]
        )
        PictureFeatures.objects.bulk_create([PictureFeatures(**team, **fields) for fields in self.features])
        ref = TeamArtifacts().save("head", self.head)
        version = ModelVersion.objects.create(
            **team, **self.version, model=model, ref=ref, last_image_id=images[-1].pk, created_by=owner
        )
        by_url = {image.image_url: image for image in images}
        HoldoutPrediction.objects.bulk_create(
            HoldoutPrediction(
                **team,
                version=version,
                image=by_url[fields["image__image_url"]],
                **{name: fields[name] for name in HOLDOUT_FIELDS},
            )
            for fields in self.holdout
        )
        CustomModel.objects.filter(pk=model.pk).update(current=version)
        return version


_kept: list[Kept] = []


@pytest.fixture
def trained(model: CustomModel, pictures: PictureServer, add_data, owner: User) -> ModelVersion:
    """The model's first version, trained on 3 classes of 15 pictures. Trained once, then put back for each test."""
    if _kept:
        version = _kept[0].put_back(model, owner)
    else:
        add_data(model, pictures.training_csv(15))
        version = services.start_training(model=model, actor=owner)
        assert services.run_training(version=version)
        version.refresh_from_db()
        assert version.state == "ready", version.error
        _kept.append(Kept.of(version))
    model.refresh_from_db()
    pictures.asked.clear()
    return version
