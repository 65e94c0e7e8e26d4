"""Jobs: a design, units (rows) to answer, pages held by contributors, judgments and their aggregate."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from labeling_platform.accounts.models import Team, TeamOwned
from labeling_platform.lib.tallies import Tally
from labeling_platform.lib.uploads import ResumableUpload
from models_app.models import CustomModel

from .states import ContributorState, GoldSource, JobState, PageKind, PageState, UnitState

MAX_UNITS_PER_PAGE = 50
MAX_LAUNCHED_TOGETHER = 1000


class Job(TeamOwned):
    """A labeling task for people. `model` is the classifier the job was made for (its answers are the outcomes).

    `outcomes` are the values of the routing question when the job was made for a model. What each setting
    means is said in reference/domain.md 2.3; None means "as the rule says" (see `quality.py`).
    """

    title = models.CharField(max_length=254)
    model = models.ForeignKey(CustomModel, null=True, blank=True, on_delete=models.PROTECT, related_name="jobs")
    outcomes = ArrayField(models.CharField(max_length=100), default=list)
    copied_from = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    instructions = models.TextField(blank=True)
    cml = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=JobState.choices, default=JobState.UNORDERED)
    judgments_per_unit = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(20)]
    )
    units_per_page = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(MAX_UNITS_PER_PAGE)]
    )
    golds_per_page = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(20)]
    )
    pages_per_gold = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    quiz_length = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(50)]
    )
    minimum_accuracy = models.PositiveSmallIntegerField(default=70, validators=[MaxValueValidator(100)])
    max_judgments_per_contributor = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    min_seconds_per_page = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(600)])
    seconds_per_page = models.PositiveIntegerField(default=1800, validators=[MinValueValidator(30)])
    min_confidence = models.DecimalField(
        max_digits=4, decimal_places=3, null=True, blank=True, validators=[MinValueValidator(0), MaxValueValidator(1)]
    )
    confidence_fields = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    max_judgments_per_unit = models.PositiveSmallIntegerField(null=True, blank=True, validators=[MaxValueValidator(50)])
    units_remain_finalized = models.BooleanField(default=False)
    in_upload_order = models.BooleanField(default=True)
    show_machine_label = models.BooleanField(default=False)
    grid = models.BooleanField(default=False)
    auto_launch = models.BooleanField(default=False)
    auto_launch_threshold = models.PositiveSmallIntegerField(
        default=1, db_default=1, validators=[MinValueValidator(1), MaxValueValidator(MAX_LAUNCHED_TOGETHER)]
    )
    auto_launch_timeout = models.PositiveIntegerField(
        null=True, blank=True, default=60, db_default=60, validators=[MinValueValidator(1), MaxValueValidator(86_400)]
    )
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


class JobUpload(TeamOwned, ResumableUpload):
    """A CSV of rows for a job. Lines with `_golden` true become test questions: those are `rows_golden`.

    `forced`: its rows are added although their columns are others than those of the rows that are there.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="uploads")
    rows_golden = models.IntegerField(default=0)
    forced = models.BooleanField(default=False)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["job", "sha256"], name="job_upload_sha256")]


class Unit(TeamOwned):
    """A row of a job, or (states golden and hidden_gold) the row of a test question.

    `key` names where the unit comes from and is unique in the job, so that the same source row can never
    become two units. `slots` = judgments still wanted that nobody holds: `wanted` - open leases - trusted
    judgments; every change of it happens in the transaction that makes or ends a lease, under the unit's row
    lock. `judgments_count` counts trusted judgments only. `position` is the order in which rows are handed
    out (0: as uploaded). `shares` holds the aggregated share per value of the routing question once finalized.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="units", db_index=False)
    key = models.CharField(max_length=80)
    data = models.JSONField(default=dict)
    image_url = models.TextField(blank=True)
    state = models.CharField(max_length=12, choices=UnitState.choices, default=UnitState.NEW)
    position = models.IntegerField(default=0)
    wanted = models.SmallIntegerField(default=0)
    slots = models.SmallIntegerField(default=0)
    judgments_count = models.PositiveSmallIntegerField(default=0)
    machine = models.JSONField(null=True)
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
            models.Index(
                fields=["job", "position", "id"], name="unit_to_give", condition=models.Q(state="judgable", slots__gt=0)
            ),
            models.Index(fields=["job", "id"], name="unit_newest"),
            models.Index(fields=["job", "state", "id"], name="unit_by_state"),
            models.Index(
                fields=["job", "agreement", "id"],
                name="unit_by_agreement",
                condition=models.Q(agreement__isnull=False),
            ),
            GinIndex(
                fields=["result"],
                name="unit_by_answer",
                opclasses=["jsonb_path_ops"],
                condition=models.Q(state="finalized"),
            ),
        ]

    @property
    def status(self) -> UnitState:
        return UnitState(self.state)

    @property
    def is_golden(self) -> bool:
        return self.state in UnitState.golden_states()


class TestQuestion(TeamOwned):
    """What is known about a golden unit: accepted answers and reasons by question name (domain.md 3).

    `answers` = {question: [accepted, ...]}; `key` says what it was made from, so that nothing becomes a test
    question of a job twice. `reviewed_at`: somebody looked at its misses and contests and left it as it is.
    """

    __test__ = False  # not a class of tests, whatever its name

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="test_questions")
    unit = models.OneToOneField(Unit, on_delete=models.CASCADE, related_name="test_question")
    source = models.CharField(max_length=12, choices=GoldSource.choices, default=GoldSource.ROW)
    answers = models.JSONField(default=dict)
    reasons = models.JSONField(default=dict)
    reviewed_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]


class Contributor(TeamOwned):
    """One person's standing in one job. Trust is 1.0 while a job has no test questions.

    `seen` and `missed` count test questions, quiz included; `trust` is what they give. `stale` asks for a
    second look: answers of test questions changed, or results still rest on an older trust. `after` is where
    the person got to in the order of the rows (position, unit id): the next page is looked for behind it.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="contributors")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=10, choices=ContributorState.choices, default=ContributorState.WORKING)
    trust = models.FloatField(default=1.0)
    seen = models.PositiveIntegerField(default=0)
    missed = models.PositiveIntegerField(default=0)
    judged = models.PositiveIntegerField(default=0)
    pages_done = models.PositiveIntegerField(default=0)
    too_fast = models.PositiveSmallIntegerField(default=0)
    stale = models.BooleanField(default=False)
    after_position = models.IntegerField(default=-1)
    after_unit = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "user"], name="contributor_once"),
            models.CheckConstraint(condition=models.Q(state__in=ContributorState.values), name="contributor_state"),
        ]
        indexes = [models.Index(fields=["job"], name="contributor_stale", condition=models.Q(stale=True))]

    @property
    def status(self) -> ContributorState:
        return ContributorState(self.state)


class Page(TeamOwned):
    """The units a contributor holds until `expires_at` (the lease), in the order shown; submitted once, or given back.

    A quiz page has test questions only; on a work page they stand hidden among the rows.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="pages")
    contributor = models.ForeignKey(Contributor, on_delete=models.CASCADE, related_name="pages")
    kind = models.CharField(max_length=4, choices=PageKind.choices, default=PageKind.WORK)
    state = models.CharField(max_length=10, choices=PageState.choices, default=PageState.OPEN)
    unit_ids = ArrayField(models.BigIntegerField())
    golds = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["contributor"], condition=models.Q(state="open"), name="one_open_page_each")
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="page_expiry", condition=models.Q(state="open")),
            models.Index(fields=["job"], name="page_open", condition=models.Q(state="open")),
        ]


class Judgment(TeamOwned):
    """One contributor's answers for one unit. `trust` is the contributor's at the time of submission.

    `tainted` ones count for nothing. On test questions `missed` says whether the answer was wrong by what is
    accepted today, and `forgiven` that it was counted as a miss before; `contest` is what the contributor
    objected, `acknowledged_at` when they had seen the right answer.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="judgments")
    unit = models.ForeignKey(Unit, on_delete=models.CASCADE, related_name="judgments")
    contributor = models.ForeignKey(Contributor, on_delete=models.CASCADE, related_name="judgments")
    page = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="judgments")
    answers = models.JSONField()
    trust = models.FloatField(default=1.0)
    tainted = models.BooleanField(default=False)
    missed = models.BooleanField(null=True)
    forgiven = models.BooleanField(default=False)
    contest = models.TextField(blank=True)
    contested_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["unit", "contributor"], name="judgment_once")]
        indexes = [
            models.Index(fields=["job", "-id"], name="judgment_newest"),
            models.Index(fields=["contributor"], name="judgment_gold", condition=models.Q(missed__isnull=False)),
            models.Index(fields=["contributor", "created_at"], name="judgment_by_person"),
        ]


class UnitTally(TeamOwned, Tally):
    """How many units of a job are in a state (`line`), and "judgments" that count; written by triggers only."""

    # The constraints stand in the migration: they cascade in the database, behind what the triggers still write.
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="+", db_constraint=False)

    class Meta:
        indexes = [models.Index(fields=["job", "line"], name="unit_tally")]
