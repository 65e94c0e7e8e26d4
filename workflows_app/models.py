"""Workflows: a model, perhaps a job, a threshold, and the rows that go through them."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from jobs_app.models import Job, Unit
from labeling_platform.accounts.models import Team, TeamOwned
from labeling_platform.lib.tallies import Tally
from labeling_platform.lib.uploads import ResumableUpload, UploadState
from models_app.models import CustomModel, ModelVersion

from .states import RowState, WorkflowState


class WorkflowKind(models.TextChoices):
    MODEL_ONLY = "model_only", _("Model Only")
    MODEL_THEN_JOB = "model_then_job", _("Model then Job")


class Workflow(TeamOwned):
    """A model in at most one workflow (one-to-one); a job may serve several.

    `version`, `outcomes` and the routing are frozen at launch; every row remembers the version that scored it.
    `served_at`: when a worker last turned to its rows (teams take turns). While `paused_at` is set, by the console,
    none of its rows is handed out and `pause_message` stands on its pages; its state stays what it is.
    """

    name = models.CharField(max_length=150)
    kind = models.CharField(max_length=20, choices=WorkflowKind.choices)
    model = models.OneToOneField(CustomModel, on_delete=models.PROTECT, related_name="workflow")
    job = models.ForeignKey(Job, null=True, blank=True, on_delete=models.PROTECT, related_name="workflows")
    threshold = models.DecimalField(max_digits=4, decimal_places=3, default=Decimal("0.8"))
    route_unlike = models.BooleanField(default=True)
    state = models.CharField(max_length=10, choices=WorkflowState.choices, default=WorkflowState.DRAFT)
    version = models.ForeignKey(ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    outcomes = ArrayField(models.CharField(max_length=100), default=list)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    launched_at = models.DateTimeField(null=True, blank=True)
    served_at = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    pause_message = models.CharField(max_length=500, blank=True, default="", db_default="")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=WorkflowState.values), name="workflow_state"),
            models.CheckConstraint(
                condition=models.Q(threshold__gt=Decimal("0.5"), threshold__lte=Decimal(1)),
                name="workflow_threshold",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def status(self) -> WorkflowState:
        return WorkflowState(self.state)

    @property
    def routes_to_people(self) -> bool:
        return self.kind == WorkflowKind.MODEL_THEN_JOB


class WorkflowUpload(TeamOwned, ResumableUpload):
    """A CSV of unlabelled data; `columns` are its headers in order (image_url among them).

    With a `key_column`, a row whose key is in the workflow already is left out: `rows_repeated` says how many.
    """

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="uploads")
    key_column = models.CharField(max_length=100, blank=True)
    rows_repeated = models.IntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["workflow", "sha256"], name="workflow_upload_sha256")]

    @property
    def is_moving(self) -> bool:
        """Whether something is still done with it, so that looking again is worth it."""
        return not self.held and (not self.is_final or (self.state == UploadState.CANCELED and not self.finished_at))

    @property
    def rows_listed(self) -> int:
        """How many lines have a problem that is listed, or would be if there were room."""
        return self.rows_bad + self.rows_repeated


class WorkflowRow(TeamOwned):
    """One uploaded line on its way: claimed in chunks under a lease, scored, decided, perhaps routed.

    `key` is the cell of the upload's key column, if it has one: once in a workflow. `cells` are the values of the
    upload's columns in order. `token` rises with every claim; a worker may only finish a row with the token it was
    given (fencing, reference/reliability.md B2). `scores` follow the workflow's outcomes. Whether a person answered is
    read through `unit`, never copied here.
    """

    # A foreign key is checked row by row, which takes most of the time of adding a million of them. Here triggers
    # check whose the rows of a statement are all at once (migration 0007): upload, workflow and team together.
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    workflow = models.ForeignKey(
        Workflow, on_delete=models.CASCADE, related_name="rows", db_constraint=False, db_index=False
    )
    upload = models.ForeignKey(
        WorkflowUpload, on_delete=models.CASCADE, related_name="rows", db_constraint=False, db_index=False
    )
    line = models.IntegerField()
    key = models.CharField(max_length=200, null=True)  # noqa: DJ001 - null: no key, and no entry in the index
    image_url = models.TextField()
    cells = ArrayField(models.TextField())
    state = models.CharField(max_length=10, choices=RowState.choices, default=RowState.AWAITING)
    attempts = models.SmallIntegerField(default=0)
    token = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True)
    # The workflow holds the version that it was launched with; it needs no second hold for each of its rows.
    version = models.ForeignKey(
        ModelVersion, null=True, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    scores = ArrayField(models.FloatField(), null=True)
    predicted = models.CharField(max_length=100, blank=True)
    confidence = models.FloatField(null=True)
    unlike = models.BooleanField(default=False)
    reason = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=300, blank=True)
    predicted_at = models.DateTimeField(null=True)
    unit = models.ForeignKey(Unit, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["upload", "line"], name="workflow_row_once"),
            models.UniqueConstraint(
                fields=["workflow", "key"], name="workflow_row_key", condition=models.Q(key__isnull=False)
            ),
            models.UniqueConstraint(
                fields=["unit"], name="workflow_row_of_unit", condition=models.Q(unit__isnull=False)
            ),
            models.CheckConstraint(condition=models.Q(state__in=RowState.values), name="workflow_row_state"),
            models.CheckConstraint(
                condition=~models.Q(state__in=["confident", "routed"])
                | models.Q(scores__isnull=False, confidence__isnull=False),
                name="scored_rows_have_scores",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["awaiting", "failed"]) | models.Q(scores__isnull=True),
                name="unscored_rows_have_none",
            ),
            models.CheckConstraint(
                condition=models.Q(state="routed", unit__isnull=False) | ~models.Q(state="routed"),
                name="routed_rows_have_units",
            ),
        ]
        # No index names what a claim changes (token, attempts, lease_until, not_before), and pages are filled by half
        # (migration 0006): so the new version of a claimed row stays in its page and no index has to be written.
        indexes = [
            models.Index(fields=["workflow", "id"], name="row_in_order"),
            models.Index(fields=["workflow", "state", "id"], name="row_by_state"),
            models.Index(
                fields=["workflow", "confidence", "id"],
                name="row_by_confidence",
                condition=models.Q(confidence__isnull=False),
            ),
            models.Index(
                fields=["workflow", "predicted", "confidence", "id"],
                name="row_by_class",
                condition=models.Q(confidence__isnull=False),
            ),
            # For the deletion of versions: the database looks whether a row needs one.
            models.Index(fields=["version"], name="row_of_version", condition=models.Q(version__isnull=False)),
        ]

    @property
    def row_state(self) -> RowState:
        return RowState(self.state)


class RowTally(TeamOwned, Tally):
    """How many rows of a workflow are in a state, and of those how many people finished; written by triggers only.

    `line` is a RowState, or "unlike" (unlike the training data), "human" (routed and finalized by people),
    "canceled" (routed and withdrawn in the job).
    """

    # The constraints stand in the migration: they cascade in the database, behind what the triggers still write.
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="+", db_constraint=False)

    class Meta:
        indexes = [models.Index(fields=["workflow", "line"], name="row_tally")]
