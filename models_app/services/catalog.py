"""Making, renaming and deleting models, and taking in their files."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.core.files import File
from django.db import IntegrityError, models, transaction

from labeling_platform.accounts import quotas
from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.pictures import copies_of
from labeling_platform.accounts.services import record
from labeling_platform.lib import storage, stored
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.uploads import receive

from ..classify import file_of
from ..models import (
    CustomModel,
    Evaluation,
    EvaluationRow,
    HoldoutPrediction,
    ModelVersion,
    TrainingImage,
    TrainingUpload,
    WatsonConnection,
)
from .connections import choosable_connections
from .leftovers import LEFT_ALREADY, leave_remote

NAME_LENGTH = 150


def create_model(
    *, team: Team, name: str, actor: User | None, backend: str = "local", connection: WatsonConnection | None = None
) -> CustomModel:
    """Make an empty model, with a connection one that is trained on its service (and `backend` is of no matter).

    Refuses a name that is empty, too long or already taken in the team (any case), and a connection that the team may
    not use (code `connection`).
    """
    if connection is not None:
        backend = "watson"
        if connection not in choosable_connections(team):
            raise Refused("Choose one of the connections that your team may use.", code="connection")
    name = " ".join(name.split())
    if not name:
        raise Refused("Give the model a name.", code="name_missing")
    if len(name) > NAME_LENGTH:
        raise Refused(
            f"This name has {len(name)} characters; at most {NAME_LENGTH} are possible.", code="name_too_long"
        )
    try:
        with transaction.atomic():
            model = CustomModel.objects.create(
                team=team, name=name, backend=backend, connection=connection, created_by=actor
            )
            record(team=team, actor=actor, verb="model created", obj=model)
    except IntegrityError:
        raise Refused(
            f"There is already a model named “{name}” in this team. Choose another name.", code="name_taken"
        ) from None
    return model


def receive_training(*, model: CustomModel, file: File[Any], actor: User | None) -> TrainingUpload:
    """Keep a CSV of training data; `read_training` reads it later. Refuses when the team is paused or has no room."""
    with transaction.atomic():
        quotas.refuse_when_paused(model.team)
        quotas.use_storage(team=model.team, size=file.size or 0)
        upload = receive(TrainingUpload, file, team=model.team, actor=actor, area="training", model=model)
        record(team=model.team, actor=actor, verb="training data uploaded", obj=model, upload=upload.pk)
    return upload


def receive_evaluation(*, model: CustomModel, file: File[Any], actor: User | None) -> Evaluation:
    """Keep a CSV for the current version to predict. Refuses while the model has no trained version, or as above."""
    if model.current is None:
        raise Refused("Train the model first: there is no version that could predict.", code="not_trained")
    with transaction.atomic():
        quotas.refuse_when_paused(model.team)
        quotas.use_storage(team=model.team, size=file.size or 0)
        evaluation = receive(
            Evaluation, file, team=model.team, actor=actor, area="evaluation", model=model, version=model.current
        )
        record(team=model.team, actor=actor, verb="evaluation uploaded", obj=model, evaluation=evaluation.pk)
    return evaluation


def users_of_model(*, model: CustomModel) -> list[str]:
    """What keeps the model from being deleted, in words: `workflow “Shop”`, `job “Which shoe?”`.

    Read from the foreign keys that protect the model, so that this app need not know who points at it.
    """
    names: list[str] = []
    for relation in CustomModel._meta.related_objects:
        if relation.on_delete is not models.PROTECT:
            continue
        kind = relation.related_model._meta.verbose_name
        users = relation.related_model._default_manager.filter(team=model.team, **{relation.field.name: model})
        names += [f"{kind} “{user}”" for user in users]
    return names


def deletion_refusal(*, model: CustomModel) -> str:
    """Why the model cannot be deleted now, naming what uses it; empty when it can."""
    users = users_of_model(model=model)
    return f"“{model}” is used by {' and '.join(users)}. Delete that first, then the model." if users else ""


def stored_files(model: CustomModel) -> list[str]:
    """The files of the model's pictures that came without an address, and of our copies of them."""
    pictures = TrainingImage.objects.filter(model=model, image_url__startswith=stored.SCHEME)
    addresses = list(pictures.values_list("image_url", flat=True))
    copies = [name for address in addresses for name in copies_of(model.team, address)]
    return [stored.file_of(address) for address in addresses] + copies


def delete_model(*, model: CustomModel, actor: User | None) -> None:
    """Delete a model with its data, versions, evaluations and files.

    Refuses while a workflow or a job uses it, naming them. A training that runs stops at its next step. What it has on
    a service elsewhere is deleted there afterwards.
    """
    with transaction.atomic():
        CustomModel.objects.select_for_update().get(pk=model.pk)
        if reason := deletion_refusal(model=model):
            raise Refused(reason, code="in_use")
        versions = ModelVersion.objects.filter(model=model)
        for version in versions.exclude(connection=None).exclude(state__in=LEFT_ALREADY).select_related("team"):
            leave_remote(version=version)
        files = [
            *TrainingUpload.objects.filter(model=model).values_list("file", flat=True),
            *Evaluation.objects.filter(model=model).values_list("file", flat=True),
            *(file_of(ref) for ref in versions.filter(connection=None).exclude(ref="").values_list("ref", flat=True)),
            *stored_files(model),
        ]
        record(team=model.team, actor=actor, verb="model deleted", obj=model)
        HoldoutPrediction.objects.filter(version__model=model).delete()
        EvaluationRow.objects.filter(evaluation__model=model).delete()
        TrainingImage.objects.filter(model=model).delete()
        model.delete()
        for name in files:
            transaction.on_commit(partial(storage.delete_file, name), robust=True)
