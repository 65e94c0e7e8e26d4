"""Jobs: a design, units (rows) to answer, pages held by contributors, judgments and their aggregate."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from labeling_platform.accounts.models import TeamOwned
from models_app.models import CustomModel

from .states import JobState, PageState, UnitState


class Job(TeamOwned):
    """A labeling task for people. `model` is the classifier the job was made for (its answers are the outcomes).

    `outcomes` are the values of the routing question when the job was made for a model.
    """

    title = models.CharField(max_length=254)
    model = models.ForeignKey(CustomModel, null=True, blank=True, on_delete=models.PROTECT, related_name="jobs")
    outcomes = ArrayField(models.CharField(max_length=100), default=list)
    instructions = models.TextField(blank=True)
    cml = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=JobState.choices, default=JobState.UNORDERED)
    judgments_per_unit = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(20)]
    )
    units_per_page = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(50)]
    )
    auto_launch = models.BooleanField(default=False)
    seconds_per_page = models.PositiveIntegerField(default=1800, validators=[MinValueValidator(30)])
    design_frozen_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    launched_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=models.Q(state__in=JobState.values), name="job_state")]

    def __str__(self) -> str:
        return self.title

    @property
    def status(self) -> JobState:
        return JobState(self.state)


class Unit(TeamOwned):
    """A row of a job.

    `key` names where the unit comes from and is unique in the job, so that the same source row can never
    become two units. `slots` = judgments still wanted that nobody holds: wanted - open leases - judgments;
    every change of it happens in the transaction that makes or ends a lease, under the unit's row lock.
    `shares` holds the aggregated share per value of the routing question once finalized.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="units")
    key = models.CharField(max_length=80)
    data = models.JSONField(default=dict)
    image_url = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=UnitState.choices, default=UnitState.NEW)
    golden = models.BooleanField(default=False)
    slots = models.SmallIntegerField(default=0)
    judgments_count = models.PositiveSmallIntegerField(default=0)
    result = models.JSONField(default=dict)
    shares = models.JSONField(null=True)
    agreement = models.FloatField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finalized_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["job", "key"], name="unit_once"),
            models.CheckConstraint(condition=models.Q(state__in=UnitState.values), name="unit_state"),
            models.CheckConstraint(condition=models.Q(slots__gte=0), name="unit_slots_not_negative"),
        ]
        indexes = [
            models.Index(fields=["job", "id"], name="unit_open", condition=models.Q(state="judgable", slots__gt=0)),
            models.Index(fields=["job", "state"], name="unit_by_state"),
        ]

    @property
    def status(self) -> UnitState:
        return UnitState(self.state)


class Contributor(TeamOwned):
    """One person's standing in one job. Trust is 1.0 while a job has no test questions."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="contributors")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    trust = models.FloatField(default=1.0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "user"], name="contributor_once")]


class Page(TeamOwned):
    """The units a contributor holds until `expires_at` (the lease); submitted once, or given back."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="pages")
    contributor = models.ForeignKey(Contributor, on_delete=models.CASCADE, related_name="pages")
    state = models.CharField(max_length=10, choices=PageState.choices, default=PageState.OPEN)
    unit_ids = ArrayField(models.BigIntegerField())
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["contributor"], condition=models.Q(state="open"), name="one_open_page_each")
        ]
        indexes = [models.Index(fields=["expires_at"], name="page_expiry", condition=models.Q(state="open"))]


class Judgment(TeamOwned):
    """One contributor's answers for one unit. `trust` is the contributor's at the time of submission."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="judgments")
    unit = models.ForeignKey(Unit, on_delete=models.CASCADE, related_name="judgments")
    contributor = models.ForeignKey(Contributor, on_delete=models.CASCADE, related_name="judgments")
    page = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="judgments")
    answers = models.JSONField()
    trust = models.FloatField(default=1.0)
    tainted = models.BooleanField(default=False)
    started_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["unit", "contributor"], name="judgment_once")]
        indexes = [models.Index(fields=["job", "-id"], name="judgment_newest")]
