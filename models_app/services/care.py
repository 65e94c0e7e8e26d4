"""Looking after training data: every change is a person's, is written down, and counts from the next training on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Count, QuerySet

from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused

from ..labels import LabelProblem, clean_label
from ..models import CustomModel, DataChange, LabelDoubt, ModelVersion, TrainingImage
from ..querysets import class_counts, in_use
from ..states import ChangeKind, VersionState


def _lock(model: CustomModel) -> None:
    """Refuses while a training reads the data, and keeps one from beginning until the change is made."""
    CustomModel.objects.select_for_update(no_key=True).get(pk=model.pk)
    if ModelVersion.objects.filter(model=model).exclude(state__in=VersionState.final()).exists():
        raise Refused(
            "The model is being trained on this data. Change it when the training has ended, or cancel the training.",
            code="training",
        )


def _note(
    images: Sequence[TrainingImage], kind: ChangeKind, actor: User | None, before: dict[int, str], to_label: str = ""
) -> None:
    DataChange.objects.bulk_create(
        DataChange(
            team_id=image.team_id,
            model_id=image.model_id,
            image=image,
            kind=kind,
            from_label=before[image.pk],
            to_label=to_label,
            actor=actor,
        )
        for image in images
    )


@transaction.atomic
def relabel(*, model: CustomModel, image_id: int, label: str, actor: User | None) -> bool:
    """Give a picture another label. False when it has that label already.

    Refuses a label that is none of the model's, and any change while the model is being trained.
    """
    _lock(model)
    image = _pictures(model, [image_id])[0]
    try:
        label = clean_label(label)
    except LabelProblem as problem:
        raise Refused(problem.message, code="label") from None
    if label not in class_counts(model):
        raise Refused(f"“{label}” is no class of this model. Choose one of its classes.", code="label")
    if label == image.label:
        return False
    before = {image.pk: image.label}
    image.label, image.confirmed = label, True
    image.save(update_fields=["label", "confirmed"])
    _note([image], ChangeKind.RELABELED, actor, before, label)
    record(team=model.team, actor=actor, verb="label changed", obj=model, image=image.pk)
    return True


@transaction.atomic
def confirm(*, model: CustomModel, image_id: int, actor: User | None) -> bool:
    """Say that a doubtful label is right: it is not doubted again. False when that was said before."""
    _lock(model)
    image = _pictures(model, [image_id])[0]
    if image.confirmed:
        return False
    image.confirmed = True
    image.save(update_fields=["confirmed"])
    _note([image], ChangeKind.CONFIRMED, actor, {image.pk: image.label}, image.label)
    return True


@transaction.atomic
def drop(*, model: CustomModel, image_ids: Sequence[int], actor: User | None) -> int:
    """Take pictures out of the training data; they stay listed and can be taken back. Returns how many it were."""
    _lock(model)
    images = [image for image in _pictures(model, image_ids) if not image.dropped]
    TrainingImage.objects.filter(pk__in=[image.pk for image in images]).update(dropped=True)
    _note(images, ChangeKind.DROPPED, actor, {image.pk: image.label for image in images})
    if images:
        record(team=model.team, actor=actor, verb="pictures dropped", obj=model, count=len(images))
    return len(images)


@transaction.atomic
def restore(*, model: CustomModel, image_id: int, actor: User | None) -> bool:
    """Take a dropped picture back. False when it was not dropped."""
    _lock(model)
    image = _pictures(model, [image_id])[0]
    if not image.dropped:
        return False
    TrainingImage.objects.filter(pk=image.pk).update(dropped=False)
    _note([image], ChangeKind.RESTORED, actor, {image.pk: image.label}, image.label)
    record(team=model.team, actor=actor, verb="picture taken back", obj=model, image=image.pk)
    return True


def _pictures(model: CustomModel, image_ids: Sequence[int]) -> list[TrainingImage]:
    found = list(TrainingImage.objects.filter(model=model, pk__in=image_ids).order_by("pk"))
    if not found:
        raise Refused("This picture is not in the training data any more.", code="gone")
    return found


def drop_broken(*, model: CustomModel, actor: User | None) -> int:
    """Drop every picture that could not be had at the last training; returns how many."""
    ids = list(broken_links(model=model).values_list("pk", flat=True))
    return drop(model=model, image_ids=ids, actor=actor) if ids else 0


def keep_one(*, model: CustomModel, image_id: int, actor: User | None) -> int:
    """Keep this picture of its group of near-duplicates and drop the others; returns how many were dropped."""
    image = _pictures(model, [image_id])[0]
    if image.group is None:
        return 0
    others = in_use(model).filter(group=image.group).exclude(pk=image.pk).values_list("pk", flat=True)
    return drop(model=model, image_ids=list(others), actor=actor) if others else 0


# --- what to look at ------------------------------------------------------------------------------------


def open_doubts(*, model: CustomModel) -> QuerySet[LabelDoubt]:
    """Labels that the version in service doubts and nobody has decided about, worst first."""
    doubts = LabelDoubt.objects.filter(version=model.current_id, image__dropped=False, image__confirmed=False)
    return doubts.select_related("image").order_by("pk")


def broken_links(*, model: CustomModel) -> QuerySet[TrainingImage]:
    """Pictures that could not be had at the last training."""
    return in_use(model).exclude(error_code="").order_by("label", "pk")


@dataclass
class Group:
    """Near-duplicate pictures. `labels` has more than one when somebody labelled the same picture differently."""

    number: int
    labels: int
    images: list[TrainingImage] = field(default_factory=list)


def duplicate_groups(*, model: CustomModel) -> Any:
    """Groups of more than one picture: number, size, labels; conflicting labels first, then the largest."""
    groups = in_use(model).filter(error_code="", group__isnull=False).order_by().values("group")
    counted = groups.annotate(size=Count("pk"), labels=Count("label", distinct=True)).filter(size__gt=1)
    return counted.order_by("-labels", "-size", "group")


def with_images(*, model: CustomModel, groups: Sequence[dict[str, int]], most: int = 12) -> list[Group]:
    """The groups with their first pictures, in one query."""
    found = {row["group"]: Group(row["group"], row["labels"]) for row in groups}
    for image in in_use(model).filter(group__in=found).order_by("pk"):
        if image.group in found and len(found[image.group].images) < most:
            found[image.group].images.append(image)
    return list(found.values())


def balance_words(counts: dict[str, int]) -> str:
    """Advice on classes that are much smaller than the largest; empty when there is none to give."""
    if len(counts) < 2:
        return ""
    largest = max(counts, key=lambda label: counts[label])
    small = [label for label, count in sorted(counts.items(), key=lambda one: one[1]) if count * 5 < counts[largest]]
    if not small:
        return ""
    return (
        f"{largest} has {counts[largest]:,} pictures, more than five times as many as {', '.join(small[:5])}. "
        "The model will be surer of the large class than of the small ones: add pictures of those first."
    )
