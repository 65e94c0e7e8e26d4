"""Models as classifiers: their ids and statuses, made and extended from zips, deleted, erased.

Differences to the service: names are unique in a team; a second update while one runs is refused (there, the last one
won); class names hold what labels here may hold (labels.py), because they become answers of jobs; training pictures
are kept until the classifier is deleted, whatever X-Watson-Learning-Opt-Out says.

All pictures of a zip are trained on, as there: a client that wants to measure keeps its own holdout back, and another
instance of this platform does. The scores are calibrated by cross-validation on them (backends/head.py).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import IO

from django.db import transaction
from django.db.models import QuerySet

from labeling_platform.accounts import quotas
from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.services import record
from labeling_platform.lib import storage, stored
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.images import FetchError, inspect_image
from labeling_platform.lib.uploads import UploadState

from .. import services
from ..ingest import MAX_TRAINING_IMAGES
from ..labels import LabelProblem, clean_label
from ..models import NEGATIVE, CustomModel, ModelVersion, TrainingImage, TrainingUpload
from ..querysets import latest_versions
from ..states import VersionState
from . import zips
from .shapes import Classifier

BUILT_IN = frozenset({"default", "food", "explicit"})
"""Classifiers of the service that needed no training. There are none here."""
FEWEST_PER_ZIP = 10
SUFFIX = "_positive_examples"
NO_CUSTOMER = "-"
_FORBIDDEN = re.compile(r"[$*\-{}\\|/'\"`\[\]\x00-\x1f\x7f]")
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9._]")
_ID = re.compile(r"[A-Za-z0-9._]*_(\d{10,18})")
_UNDER_WAY = frozenset({VersionState.QUEUED, VersionState.TRAINING})
_REMOTE = ("watson",)


@dataclass(frozen=True)
class Examples:
    """One zip of a request: the class that its pictures show."""

    label: str
    filename: str
    file: IO[bytes]


@dataclass(frozen=True)
class Stored:
    """A picture that was kept and has no row yet."""

    address: str
    content_hash: str
    size: int
    line: int


@dataclass
class Batch:
    """What one zip gave."""

    label: str
    filename: str
    pictures: list[Stored] = field(default_factory=list)
    ignored: int = 0


# --- ids, statuses ------------------------------------------------------------------------------------


def id_of(model: CustomModel) -> str:
    """The public id: the name without what ids cannot hold, and the model's number with ten digits."""
    return f"{_NOT_IN_IDS.sub('', model.name)}_{model.pk:010d}"


def all_models() -> QuerySet[CustomModel]:
    """The models that are classifiers here: trained, or in training, by a backend of this installation."""
    return (
        CustomModel.objects.exclude(backend__in=_REMOTE)
        .filter(pk__in=ModelVersion.objects.values("model"))
        .select_related("current", "team")
        .order_by("pk")
    )


def find_model(classifier_id: str) -> CustomModel | None:
    """The model with this id among those of the scope; None when there is none."""
    found = _ID.fullmatch(classifier_id)
    model = all_models().filter(pk=int(found[1])).first() if found else None
    return model if model is not None and id_of(model) == classifier_id else None


def describe(models: Sequence[CustomModel]) -> list[Classifier]:
    """What the API says of the models, in three queries however many they are."""
    newest = latest_versions(models)
    labels: dict[int, set[str]] = {}
    rows = TrainingImage.objects.filter(model__in=models, dropped=False).order_by()
    for pk, label in rows.values_list("model_id", "label").distinct():
        labels.setdefault(pk, set()).add(label)
    return [_classifier(model, newest[model.pk], labels.get(model.pk, set())) for model in models]


def _classifier(model: CustomModel, newest: ModelVersion, labels: Iterable[str]) -> Classifier:
    current, explanation = model.current, ""
    if newest.status in _UNDER_WAY:
        status = "retraining" if current else "training"
    else:
        status = "ready" if current else "failed"
        if newest.state != VersionState.READY:
            explanation = newest.error or "The training was canceled."
    names = current.outcomes if current and status == "ready" else sorted(labels)
    return Classifier(
        classifier_id=id_of(model),
        name=model.name,
        status=status,
        owner=model.team.slug,
        created=model.created_at,
        retrained=current.finished_at if current and current.number > 1 else None,
        explanation=explanation,
        classes=[name for name in names if name != NEGATIVE],
    )


# --- making and extending -----------------------------------------------------------------------------


def label_of(part: str) -> str:
    """The class that a part's name means. Refuses names that classes cannot have (`class_name`)."""
    if part == NEGATIVE:
        return NEGATIVE
    name = part.removesuffix(SUFFIX)
    if name in {part, NEGATIVE}:
        raise Refused(f"The part {part[:80]} is neither negative_examples nor <class>{SUFFIX}.", code="class_name")
    if found := _FORBIDDEN.search(name):
        raise Refused(f"The class name {name[:80]!r} has the character {found[0]!r} in it.", code="class_name")
    try:
        return clean_label(name)
    except LabelProblem as problem:
        raise Refused(problem.message, code="class_name") from problem


def create_classifier(
    *, team: Team, name: str, examples: Sequence[Examples], actor: User | None, customer: str = ""
) -> ModelVersion:
    """Make a model from zips and queue its first training; the caller sends the task. Nothing is kept of a failure.

    Refuses fewer than two sets of examples or none that is positive, a zip that is none or has fewer than ten
    different pictures, what create_model and start_training refuse, and what is beyond the team's quota.
    """
    if not [one for one in examples if one.label != NEGATIVE] or len({one.label for one in examples}) < 2:
        message = "A classifier needs two sets of examples: two classes, or one class and negative_examples."
        raise Refused(message, code="too_few_sets")
    quotas.refuse_when_paused(team)
    with _kept(team, examples, customer) as batches:
        for batch in batches:
            if len(batch.pictures) < FEWEST_PER_ZIP:
                raise Refused(_too_few(batch), code="too_few_pictures")
        with transaction.atomic():
            model = services.create_model(team=team, name=name, actor=actor)
            _add(model, batches, actor)
            return services.start_training(model=model, actor=actor)


def update_classifier(
    *, model: CustomModel, examples: Sequence[Examples], actor: User | None, customer: str = ""
) -> ModelVersion:
    """Add the zips' pictures to a model and queue a training on everything; the version in service goes on meanwhile.

    Refuses no examples, a training that is under way, and what create_classifier refuses of zips and quotas.
    """
    if not examples:
        raise Refused("Send at least one set of examples.", code="too_few_sets")
    if ModelVersion.objects.filter(model=model, state__in=_UNDER_WAY).exists():
        raise Refused("This classifier is being trained. Wait until its status is ready.", code="already_training")
    quotas.refuse_when_paused(model.team)
    with _kept(model.team, examples, customer) as batches:
        for batch in batches:
            if not batch.pictures:
                raise Refused(_too_few(batch), code="too_few_pictures")
        with transaction.atomic():
            _add(model, batches, actor)
            return services.start_training(model=model, actor=actor)


def _too_few(batch: Batch) -> str:
    ignored = f" ({batch.ignored} files are no JPG or PNG, or came twice)" if batch.ignored else ""
    return (
        f"{batch.label}: {len(batch.pictures)} pictures{ignored}. Verify there are at least {FEWEST_PER_ZIP} "
        "pictures in the zip file, different from each other."
    )


@contextmanager
def _kept(team: Team, examples: Sequence[Examples], customer: str) -> Iterator[list[Batch]]:
    """The zips' pictures, stored; when what is done with them fails, they are deleted again."""
    names: list[str] = []
    try:
        yield [_store(team, one, customer or NO_CUSTOMER, names) for one in examples]
    except BaseException:
        for name in names:
            storage.delete_file(name)
        raise


def _store(team: Team, examples: Examples, folder: str, names: list[str]) -> Batch:
    """Each different JPG or PNG of the zip once; what is neither is counted and left out."""
    if not zips.is_zip(examples.file):
        raise Refused(f"The examples of {examples.label} are no zip file.", code="not_a_zip")
    batch, seen = Batch(examples.label, examples.filename), set[str]()
    for line, (_, data) in enumerate(zips.files_in(examples.file, zips.TRAINING), 1):
        digest = hashlib.sha256(data or b"").hexdigest()
        try:
            kind = inspect_image(data or b"")[0]
        except FetchError:
            kind = ""
        if data is None or not kind or digest in seen:
            batch.ignored += 1
            continue
        seen.add(digest)
        address = stored.keep_picture(data, kind, team_id=team.pk, folder=folder)
        names.append(stored.file_of(address))
        batch.pictures.append(Stored(address, digest, len(data), line))
    return batch


def _add(model: CustomModel, batches: Sequence[Batch], actor: User | None) -> None:
    """Make rows of stored pictures; a picture that the class has already is not added twice, its file is deleted."""
    CustomModel.objects.select_for_update(no_key=True).get(pk=model.pk)
    rows = TrainingImage.objects.filter(model=model)
    known, count = set(rows.values_list("label", "content_hash")), rows.count()
    for batch in batches:
        fresh = [one for one in batch.pictures if (batch.label, one.content_hash) not in known]
        known |= {(batch.label, one.content_hash) for one in fresh}
        count += len(fresh)
        if count > MAX_TRAINING_IMAGES:
            raise Refused(f"A classifier holds at most {MAX_TRAINING_IMAGES:,} pictures.", code="too_many_images")
        size = sum(one.size for one in fresh)
        quotas.use_images(team=model.team, images=len(fresh))
        quotas.use_storage(team=model.team, size=size)
        upload = _upload(model, batch, len(fresh), size, actor)
        TrainingImage.objects.bulk_create(
            [
                TrainingImage(
                    team=model.team, model=model, upload=upload, line=one.line, image_url=one.address,
                    label=batch.label, content_hash=one.content_hash, holdout=False,
                )
                for one in fresh
            ],
            batch_size=1000,
        )  # fmt: skip
        for one in set(batch.pictures) - set(fresh):
            transaction.on_commit(partial(storage.delete_file, stored.file_of(one.address)), robust=True)


def _upload(model: CustomModel, batch: Batch, added: int, size: int, actor: User | None) -> TrainingUpload:
    """What the pages show of a zip, beside the CSVs. The zip itself is not kept: its pictures are."""
    name = (batch.filename or f"{batch.label}.zip").replace("\x00", "")[-255:]
    upload = TrainingUpload.objects.create(
        team=model.team, model=model, original_name=name, size=size, state=UploadState.READY, created_by=actor,
        columns=["image", "label"], rows_read=len(batch.pictures) + batch.ignored, rows_ok=added,
    )  # fmt: skip
    record(team=model.team, actor=actor, verb="training data uploaded", obj=model, upload=upload.pk)
    return upload


# --- erasing ------------------------------------------------------------------------------------------


def erase_customer(*, team: Team, customer: str, actor: User | None) -> int:
    """Delete the classifiers that have pictures of this customer, with all their data; returns how many they were.

    Refuses, and deletes none, when one is used by a workflow or a job (`in_use`).
    """
    folder = stored.folder_of(team.pk, customer)
    with transaction.atomic():
        pictures = TrainingImage.objects.filter(image_url__startswith=folder)
        found = list(CustomModel.objects.filter(pk__in=pictures.values("model")).select_related("team"))
        for model in found:
            services.delete_model(model=model, actor=actor)
        record(team=team, actor=actor, verb="customer data erased", about=customer, models=len(found))
    return len(found)
