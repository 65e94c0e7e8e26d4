"""A team's classifiers: training data, trained versions, evaluations."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django_scopes import ScopedManager

from labeling_platform.accounts.models import Team, TeamOwned
from labeling_platform.lib.uploads import CsvUpload, UploadState

from .labels import NEGATIVE
from .states import Auth, ChangeKind, ConnectionState, PredictionState, VersionState

__all__ = [
    "NEGATIVE",
    "ConnectionUse",
    "CustomModel",
    "DataChange",
    "Evaluation",
    "EvaluationRow",
    "HoldoutPrediction",
    "LabelDoubt",
    "ModelVersion",
    "PictureFeatures",
    "RemoteLeftover",
    "TrainingImage",
    "TrainingUpload",
    "WatsonConnection",
]
MOST_AT_ONCE = 20
TEST_LIFE = timedelta(minutes=3)
"""A test takes a minute and a half at most; one that has no result after this was lost."""


class WatsonConnection(models.Model):
    """A service that speaks IBM Watson Visual Recognition v3, and how to sign in to it. No team: for all teams.

    `secret_sealed` is encrypted (lib/sealing.py) and goes to the service only: no page, log or message has it.
    `objects` has a team's own connections; what a team may use are these and those for all (`everywhere`, which
    row-level security cuts down to that). A test is asked for (`test_asked_at`) and done by a worker, one at a time;
    what came of the last one stands in `tested_at`, `test_ok` and `test_words`.
    """

    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=100)
    url = models.CharField(max_length=300)
    auth = models.CharField(max_length=10, choices=Auth.choices, default=Auth.IAM)
    iam_url = models.CharField(max_length=300, blank=True)
    username = models.CharField(max_length=150, blank=True)
    secret_sealed = models.TextField(blank=True, editable=False)
    at_once = models.PositiveSmallIntegerField(default=8)
    state = models.CharField(max_length=10, choices=ConnectionState.choices, default=ConnectionState.OK)
    reason = models.CharField(max_length=500, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    test_asked_at = models.DateTimeField(null=True, blank=True, editable=False)
    tested_at = models.DateTimeField(null=True, blank=True)
    test_ok = models.BooleanField(null=True)
    test_words = models.CharField(max_length=500, blank=True, default="", db_default="")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    if TYPE_CHECKING:
        objects = models.Manager()
    else:
        objects = ScopedManager(team="team")
    everywhere = models.Manager()

    class Meta:
        ordering = ["name", "id"]
        base_manager_name = "everywhere"
        verbose_name = "Watson connection"
        constraints = [
            models.UniqueConstraint("team", Lower("name"), name="connection_name_once", nulls_distinct=False),
            models.CheckConstraint(condition=models.Q(auth__in=Auth.values), name="connection_auth"),
            models.CheckConstraint(condition=models.Q(state__in=ConnectionState.values), name="connection_state"),
            models.CheckConstraint(
                condition=models.Q(at_once__gte=1, at_once__lte=MOST_AT_ONCE), name="connection_at_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def status(self) -> ConnectionState:
        return ConnectionState(self.state)

    @property
    def is_asking(self) -> bool:
        """Whether a test that was asked for is still under way."""
        return self.test_asked_at is not None and timezone.now() - self.test_asked_at < TEST_LIFE

    @property
    def test_was_lost(self) -> bool:
        """Whether a test was asked for and nobody did it."""
        return self.test_asked_at is not None and not self.is_asking


def _to_connection(**options: Any) -> Any:
    """A reference to a connection of the same team or of all; triggers (migration 0009) see to it, a foreign key
    that holds the team could not."""
    return models.ForeignKey(WatsonConnection, null=True, blank=True, db_constraint=False, related_name="+", **options)


class CustomModel(TeamOwned):
    """An image classifier that a team trains. `current` is the version in service."""

    name = models.CharField(max_length=150)
    backend = models.CharField(max_length=20, default="local")
    connection = _to_connection(on_delete=models.PROTECT)
    current = models.ForeignKey("ModelVersion", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint("team", Lower("name"), name="model_name_once")]

    def __str__(self) -> str:
        return self.name


class TrainingUpload(TeamOwned, CsvUpload):
    """A CSV of training data (`image_url,label`)."""

    model = models.ForeignKey(CustomModel, on_delete=models.CASCADE, related_name="uploads")

    class Meta:
        ordering = ["-id"]


class TrainingImage(TeamOwned):
    """One labelled picture of a model's training data.

    `holdout` is decided at the first training that could use the picture and never changes afterwards:
    a picture once held out stays held out (design §6.5), or by the file's own column. None: not decided yet.
    A `dropped` picture is kept but counts for nothing; `confirmed` means that a person looked at its label.
    """

    model = models.ForeignKey(CustomModel, on_delete=models.CASCADE, related_name="images")
    upload = models.ForeignKey(TrainingUpload, on_delete=models.CASCADE, related_name="images")
    line = models.IntegerField()
    image_url = models.TextField()
    label = models.CharField(max_length=100)
    content_hash = models.CharField(max_length=64, blank=True)
    holdout = models.BooleanField(null=True)
    group = models.IntegerField(null=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=300, blank=True)
    dropped = models.BooleanField(default=False)
    confirmed = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["model", "image_url"], name="training_image_once")]
        indexes = [models.Index(fields=["model", "label"], name="training_image_label")]

    def __str__(self) -> str:
        return f"{self.label}: {self.image_url}"


class DataChange(TeamOwned):
    """What a person did to one picture of the training data; never changed or deleted while the picture is there.

    It counts from the next training on; versions that were trained before keep their own figures.
    """

    model = models.ForeignKey(CustomModel, on_delete=models.CASCADE, related_name="data_changes")
    image = models.ForeignKey(TrainingImage, on_delete=models.CASCADE, related_name="changes")
    kind = models.CharField(max_length=10, choices=ChangeKind.choices)
    from_label = models.CharField(max_length=100)
    to_label = models.CharField(max_length=100, blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]


class PictureFeatures(TeamOwned):
    """What a backend keeps of one picture (design of backends/base.py): computed once per content and version."""

    content_hash = models.CharField(max_length=64)
    version = models.CharField(max_length=80)
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "version", "content_hash"], name="picture_features_once")
        ]


class ModelVersion(TeamOwned):
    """One training of a model, and what came out of it.

    `outcomes` are the classes in the order of every scores array, `negative_examples` last. `metrics` are
    computed on the 20% holdout only. `token` and `lease_until` fence a worker that was thought dead.

    A training on a service elsewhere: `remote_token` is part of the name that it has there, written before it is sent,
    so that it is found again after any fault; no worker waits for it, `next_poll_at` says when to ask again.
    """

    model = models.ForeignKey(CustomModel, on_delete=models.CASCADE, related_name="versions")
    number = models.IntegerField()
    state = models.CharField(max_length=10, choices=VersionState.choices, default=VersionState.QUEUED)
    backend = models.CharField(max_length=20)
    connection = _to_connection(on_delete=models.PROTECT)
    ref = models.CharField(max_length=200, blank=True)
    feature_version = models.CharField(max_length=80, blank=True)
    outcomes = ArrayField(models.CharField(max_length=100), default=list)
    stage = models.CharField(max_length=20, blank=True)
    done = models.IntegerField(default=0)
    total = models.IntegerField(default=0)
    last_image_id = models.BigIntegerField(default=0)
    images_failed = models.IntegerField(default=0)
    rows_trained = models.IntegerField(default=0)
    rows_holdout = models.IntegerField(default=0)
    metrics = models.JSONField(default=dict)
    details = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    token = models.BigIntegerField(default=0)
    attempts = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    remote_token = models.CharField(max_length=40, blank=True, default="", db_default="")
    submitted_at = models.DateTimeField(null=True, blank=True)
    next_poll_at = models.DateTimeField(null=True, blank=True)
    poll_seconds = models.FloatField(default=10.0, db_default=10.0)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["model", "number"], name="version_number_once"),
            models.UniqueConstraint(
                fields=["model"],
                condition=models.Q(state__in=["queued", "training"]),
                name="one_training_at_a_time",
            ),
            models.CheckConstraint(condition=models.Q(state__in=VersionState.values), name="version_state"),
        ]

    def __str__(self) -> str:
        return f"{self.model} version {self.number}"

    @property
    def status(self) -> VersionState:
        return VersionState(self.state)

    @property
    def is_final(self) -> bool:
        return self.state in VersionState.final()


class LabelDoubt(TeamOwned):
    """A picture whose label is likely wrong, as one version's cross-validation saw it (doubts.py)."""

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="doubts")
    image = models.ForeignKey(TrainingImage, on_delete=models.CASCADE, related_name="doubts")
    given = models.CharField(max_length=100)
    suggested = models.CharField(max_length=100)
    given_score = models.FloatField()
    suggested_score = models.FloatField()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["version", "image"], name="label_doubt_once")]


class HoldoutPrediction(TeamOwned):
    """What a version said of one held-out picture: the evidence behind every accuracy figure."""

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="holdout")
    image = models.ForeignKey(TrainingImage, on_delete=models.CASCADE, related_name="+")
    label = models.CharField(max_length=100)
    scores = ArrayField(models.FloatField())
    predicted = models.CharField(max_length=100)
    confidence = models.FloatField()
    distance = models.FloatField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "image"], name="holdout_prediction_once")]


class Evaluation(TeamOwned, CsvUpload):
    """An unlabelled CSV of at most 100 pictures, predicted by one version: the predictions snapshot."""

    model = models.ForeignKey(CustomModel, on_delete=models.CASCADE, related_name="evaluations")
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="evaluations")
    prediction_state = models.CharField(max_length=10, choices=PredictionState.choices, default=PredictionState.WAITING)
    error = models.TextField(blank=True)
    attempts = models.IntegerField(default=0)
    token = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    @property
    def is_answered(self) -> bool:
        """Whether nothing more will change: refused at reading, or every row has its answer, or given up."""
        return self.state == UploadState.REFUSED or self.prediction_state in PredictionState.final()

    @property
    def prediction_status(self) -> PredictionState:
        return PredictionState(self.prediction_state)


class EvaluationRow(TeamOwned):
    """One picture of an evaluation with the version's answer, or the reason why there is none."""

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="rows")
    line = models.IntegerField()
    image_url = models.TextField()
    scores = ArrayField(models.FloatField(), null=True)
    predicted = models.CharField(max_length=100, blank=True)
    confidence = models.FloatField(null=True)
    distance = models.FloatField(null=True)
    unlike = models.BooleanField(default=False)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["line"]
        constraints = [models.UniqueConstraint(fields=["evaluation", "line"], name="evaluation_row_once")]


class ConnectionUse(TeamOwned):
    """The ledger: how many pictures a team sent over a connection in a month (UTC). It outlives the connection."""

    connection = _to_connection(on_delete=models.SET_NULL)
    connection_name = models.CharField(max_length=100)
    month = models.DateField()
    images = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-month", "connection_name"]
        constraints = [models.UniqueConstraint(fields=["team", "connection", "month"], name="connection_use_once")]


class RemoteLeftover(TeamOwned):
    """A classifier on a service elsewhere that is to be deleted there: by its id, or by its token without one."""

    connection = _to_connection(on_delete=models.PROTECT)
    ref = models.CharField(max_length=200, blank=True)
    remote_token = models.CharField(max_length=40, blank=True)
    attempts = models.IntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
