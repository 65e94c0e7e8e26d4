"""Training: asked for by a person, claimed by one worker under a lease, finished in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Count, Max, Q
from django.db.models.functions import Now

from labeling_platform.accounts import quotas
from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.uploads import UploadState

from ..backends import REMOTE
from ..backends.base import BackendError, check_counts
from ..labels import similar_labels
from ..models import CustomModel, DataChange, ModelVersion, TrainingUpload
from ..querysets import class_counts, in_use
from ..remote import is_remote, limits_of, open_remote
from ..states import ChangeKind, VersionState
from .leftovers import leave_remote

MAX_ATTEMPTS = 3
RESEND_AFTER = timedelta(seconds=15)
SEED = 1
INTERRUPTED = (
    "The training was interrupted {times} times (its worker was killed or ran out of memory). Try again; "
    "if it happens again, train with fewer pictures or tell your Customer Success Manager."
)


@dataclass(frozen=True)
class Advice:
    """What is to be said about the training data: refusals (no training), warnings, and hints."""

    refusals: list[str]
    warnings: list[str]
    hints: list[str]


def training_advice(*, counts: dict[str, int], backend: str = "local") -> Advice:
    """What is to be said of so many pictures by label under the backend's limits, before it is sent (design §6.7).

    Asks the rules, not the backend: loading it would cost every web process a second and 150 MB. The backend's
    own `validate` has the last word when the training has its pictures.
    """
    problems = check_counts(counts, limits_of(backend)) if counts else []
    by_level: dict[str, list[str]] = {"error": [], "warning": [], "advice": []}
    for problem in problems:
        by_level[problem.level].append(problem.message)
    return Advice(by_level["error"], by_level["warning"] + similar_labels(counts), by_level["advice"])


@dataclass(frozen=True)
class News:
    """What the training data gained since the last training that was asked for."""

    added: int = 0
    relabeled: int = 0
    dropped: int = 0
    restored: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.relabeled or self.dropped or self.restored)


def news(*, model: CustomModel) -> News:
    """Pictures and changes that came after the last training that was asked for."""
    newest = ModelVersion.objects.filter(model=model).exclude(state=VersionState.CANCELED).first()
    added = in_use(model).filter(pk__gt=newest.last_image_id if newest else 0).count()
    if newest is None:
        return News(added)
    changes = DataChange.objects.filter(model=model, created_at__gt=newest.created_at)
    counts = dict(changes.order_by().values_list("kind").annotate(n=Count("image", distinct=True)))
    return News(
        added,
        counts.get(ChangeKind.RELABELED, 0),
        counts.get(ChangeKind.DROPPED, 0),
        counts.get(ChangeKind.RESTORED, 0),
    )


def start_training(*, model: CustomModel, actor: User | None) -> ModelVersion:
    """Queue a training on everything the model has now; the caller sends the task.

    Refuses while another training of the model waits or runs, while an upload is still being read, while its connection
    is broken or paused, when the data cannot train (the reasons `training_advice` gives), while the team is paused, and
    when it has started as many trainings today as it may.
    """
    with transaction.atomic():
        # Waits for a reader that adds pictures to this model, so that the cut by id below is a clean one.
        CustomModel.objects.select_for_update(no_key=True).get(pk=model.pk)
        if TrainingUpload.objects.filter(model=model).exclude(state__in=UploadState.final()).exists():
            raise Refused("An uploaded file is still being read. Wait until it is ready.", code="still_reading")
        images = in_use(model)
        if not images.exists():
            raise Refused("Upload training data first.", code="no_data")
        advice = training_advice(counts=class_counts(model), backend=model.backend)
        if advice.refusals:
            raise Refused(" ".join(advice.refusals), code="not_enough_data")
        _refuse_ill_connection(model)
        quotas.refuse_when_paused(model.team)
        newest = ModelVersion.objects.filter(model=model).aggregate(n=Max("number"))["n"] or 0
        try:
            with transaction.atomic():
                version = ModelVersion.objects.create(
                    team=model.team,
                    model=model,
                    number=newest + 1,
                    backend=model.backend,
                    connection_id=model.connection_id,
                    total=images.count(),
                    last_image_id=images.aggregate(last=Max("pk"))["last"] or 0,
                    created_by=actor,
                )
        except IntegrityError:
            raise Refused("This model is being trained already.", code="already_training") from None
        quotas.use_training(team=model.team)
        record(team=model.team, actor=actor, verb="training started", obj=model, version=version.number)
    return version


def _refuse_ill_connection(model: CustomModel) -> None:
    if not is_remote(model.backend):
        return
    try:
        open_remote(model.connection)
    except BackendError as error:
        raise Refused(error.message, code=error.code) from None


def cancel_training(*, version: ModelVersion, actor: User | None) -> bool:
    """Cancel a training that waits or runs; its worker stops at its next step. Returns whether it was in time."""
    with transaction.atomic():
        rows = ModelVersion.objects.filter(pk=version.pk)
        moved = VersionState.move(rows, VersionState.CANCELED, finished_at=Now(), lease_until=None)
        if moved:
            leave_remote(version=rows.get())
            record(team=version.team, actor=actor, verb="training canceled", obj=version.model, version=version.number)
    return bool(moved)


def fail_training(*, version: ModelVersion, reason: str, token: int | None = None) -> bool:
    """End a training with a reason in words; the version in service stays. With `token`, only its holder may."""
    with transaction.atomic():
        rows = ModelVersion.objects.filter(pk=version.pk)
        if token is not None:
            rows = rows.filter(token=token)
        moved = VersionState.move(rows, VersionState.FAILED, error=reason, finished_at=Now(), lease_until=None)
        if moved:
            leave_remote(version=rows.get())
            record(
                team=version.team,
                actor=None,
                verb="training failed",
                obj=version.model,
                version=version.number,
                reason=reason,
            )
    return bool(moved)


def unread_uploads() -> list[tuple[int, int]]:
    """(team id, upload id) of uploads that nobody has read yet. For the sweep: needs scopes disabled."""
    waiting = TrainingUpload.objects.exclude(state__in=UploadState.final()).filter(created_at__lt=Now() - RESEND_AFTER)
    return list(waiting.order_by("pk").values_list("team_id", "pk")[:200])


def queued_trainings(*, remote: bool) -> list[tuple[int, int]]:
    """(team id, version id) of trainings that wait for a worker: on this platform, or on services elsewhere.

    For the sweep: needs scopes disabled.
    """
    due = Q(next_poll_at=None) | Q(next_poll_at__lte=Now())
    kind = Q(backend__in=REMOTE) if remote else ~Q(backend__in=REMOTE)
    waiting = ModelVersion.objects.filter(due, kind, state=VersionState.QUEUED)
    return list(waiting.order_by("pk").values_list("team_id", "pk")[:100])


def release_expired_trainings() -> int:
    """Put trainings whose worker went silent back to the queue, or fail them after MAX_ATTEMPTS.

    For the sweep: needs scopes disabled. Returns how many it found.
    """
    expired = ModelVersion.objects.filter(state=VersionState.TRAINING, lease_until__lt=Now()).select_related(
        "model", "team"
    )
    found = list(expired)
    for version in found:
        if version.attempts >= MAX_ATTEMPTS:
            reason = INTERRUPTED.format(times=version.attempts)
            fail_training(version=version, token=version.token, reason=reason)
        else:
            VersionState.move(expired.filter(pk=version.pk, token=version.token), VersionState.QUEUED, lease_until=None)
    return len(found)
