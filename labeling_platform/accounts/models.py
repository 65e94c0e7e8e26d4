"""Organizations, teams, people, feature switches and the activity log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_scopes import ScopedManager

from .permissions import Role, may
from .scopes import Scope


class UserManager(BaseUserManager["User"]):
    """People sign in with their e-mail address; there are no user names."""

    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Made by who runs the platform, so the address counts as verified."""
        user = self.create_user(email, password, is_staff=True, is_superuser=True, **fields)
        addresses = apps.get_model("account", "EmailAddress").objects
        addresses.create(user=user, email=user.email, verified=True, primary=True)
        return user


class User(AbstractUser):
    """A person. Staff are customer success managers; everybody else acts through memberships."""

    username = None  # type: ignore[assignment]
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=150, blank=True)
    last_team = models.ForeignKey(
        "Team", null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()  # type: ignore[assignment,misc]

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_once")]

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name or self.email


class Organization(models.Model):
    """A customer: the holder of teams."""

    name = models.CharField(max_length=150, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Team(models.Model):
    """The tenant. Models, workflows and jobs belong to one team; its slug stands in every URL.

    While `paused_at` is set, nothing new begins in it and `pause_message` stands on its pages. `deletion_due_at`: when
    it will be deleted. `closed_at`: its deletion has begun, and nobody gets in any more.
    """

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="teams")
    name = models.CharField(max_length=150)
    slug = models.SlugField(max_length=60, unique=True)
    needs_second_factor = models.BooleanField(
        default=False, db_default=False, help_text=_("Members without a second factor get no page of the team.")
    )
    created_at = models.DateTimeField(auto_now_add=True)
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    pause_message = models.CharField(max_length=500, blank=True, default="", db_default="", editable=False)
    deletion_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True, editable=False)
    people = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="teams")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One person's role in one team."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)
    if TYPE_CHECKING:
        objects = models.Manager()
    else:
        objects = ScopedManager(team="team")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "user"], name="membership_once"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role"),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()})"

    def may(self, action: str) -> bool:
        return may(self.role, action)


class Feature(models.TextChoices):
    """Features that customer success managers switch per team."""

    ML_ASSISTED_LABELING = "ml_assisted_labeling", _("Machine learning assisted data labeling")


class TeamFeature(models.Model):
    """A feature switched on for a team, by whom, why and until when. No row, or a past `until`, means off."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="features")
    name = models.CharField(max_length=50, choices=Feature.choices)
    enabled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    enabled_at = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=250, blank=True)
    if TYPE_CHECKING:
        objects = models.Manager()
    else:
        objects = ScopedManager(team="team")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "name"], name="team_feature_once")]

    def __str__(self) -> str:
        return self.get_name_display()


class TeamOwned(models.Model):
    """Base of every tenant table. A query outside a team's scope raises ScopeError (django-scopes)."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    if TYPE_CHECKING:
        objects = models.Manager()
    else:
        objects = ScopedManager(team="team")

    class Meta:
        abstract = True


class Activity(models.Model):
    """Who did what, when, in which team. Written by services and by triggers on states; the database lets nobody
    change or delete a line (migration 0021), but takes the link to a person who is deleted.

    `actor_name` says who it was even then; no actor and no name: the system. `ip` is shortened (lib/addresses.py).
    """

    team = models.ForeignKey(Team, null=True, on_delete=models.PROTECT, related_name="+")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_name = models.CharField(max_length=254, blank=True, default="", db_default="")
    verb = models.CharField(max_length=60)
    object_type = models.CharField(max_length=40, blank=True)
    object_id = models.BigIntegerField(null=True)
    object_name = models.CharField(max_length=255, blank=True)
    data = models.JSONField(default=dict)
    ip = models.CharField(max_length=50, blank=True, default="", db_default="")
    request_id = models.CharField(max_length=64, blank=True, default="", db_default="")
    created_at = models.DateTimeField(auto_now_add=True)
    if TYPE_CHECKING:
        objects = models.Manager()
    else:
        objects = ScopedManager(team="team")

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["team", "-id"], name="activity_of_team")]
        verbose_name_plural = "activity log"

    def __str__(self) -> str:
        return f"{self.verb} {self.object_name}".strip()


INVITATION_PATH = r"^([A-Za-z0-9_-]+/)*$"
"""Where an invitation may lead inside its team: folders only, so no other host, team or query can be written."""
SHA256_HEX = r"^[0-9a-f]{64}$"


class Invitation(TeamOwned):
    """An offer of a role in the team, by e-mail to one address or as a link that several people may use.

    Who knows the token may accept. Only its SHA-256 is kept: what stands here cannot be used to get in.
    """

    role = models.CharField(max_length=12, choices=Role.choices)
    email = models.EmailField(blank=True, help_text=_("Empty: a link."))
    path = models.CharField(max_length=200, blank=True, help_text=_("Where in the team the person arrives."))
    token_hash = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    max_uses = models.PositiveIntegerField(null=True, blank=True, help_text=_("Empty: any number of people."))
    uses = models.PositiveIntegerField(default=0)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="invitation_role"),
            models.CheckConstraint(condition=models.Q(path__regex=INVITATION_PATH), name="invitation_path_in_team"),
            models.CheckConstraint(condition=models.Q(token_hash__regex=SHA256_HEX), name="invitation_hash"),
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("created_at")), name="invitation_ends_after_it_begins"
            ),
            models.CheckConstraint(
                condition=models.Q(max_uses=None) | models.Q(max_uses__gte=1, uses__lte=models.F("max_uses")),
                name="invitation_not_used_too_often",
            ),
            models.CheckConstraint(
                condition=models.Q(email="") | models.Q(max_uses__isnull=False, max_uses=1),
                name="invitation_by_email_serves_one",
            ),
        ]
        indexes = [
            models.Index(fields=["team", "-id"], name="invitation_open", condition=models.Q(revoked_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()}, {self.email or 'by link'}"


class Acceptance(TeamOwned):
    """Somebody came into the team by an invitation. Once each: a person who was removed needs a new one."""

    invitation = models.ForeignKey(Invitation, on_delete=models.CASCADE, related_name="acceptances")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["invitation", "user"], name="acceptance_once")]


class ApiToken(TeamOwned):
    """A program's way into the team. Only its SHA-256 is kept; `prefix` is the part that people may see.

    It never allows more than its creator may do at that moment, and ends with the creator's place in the team.
    `last_used_at` is written at most once a minute.
    """

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=20)
    token_hash = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=12, choices=Scope.choices))
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "API token"
        constraints = [
            models.CheckConstraint(condition=models.Q(token_hash__regex=SHA256_HEX), name="api_token_hash"),
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=Scope.values, scopes__len__gte=1), name="api_token_scopes"
            ),
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("created_at")), name="api_token_ends_after_it_begins"
            ),
        ]
        indexes = [models.Index(fields=["team", "-id"], name="api_token_of_team")]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class ApiAnswer(TeamOwned):
    """What a token's request with an Idempotency-Key was answered, to be answered again (idempotency.py)."""

    token = models.ForeignKey(
        ApiToken, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )  # the constraint holds the team, too (migration 0026)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["token", "team", "key"], name="api_answer_once"),
            models.CheckConstraint(condition=models.Q(fingerprint__regex=SHA256_HEX), name="api_answer_fingerprint"),
        ]

    def __str__(self) -> str:
        return self.key


class TeamQuota(TeamOwned):
    """How much a team may use where that differs from what all may (settings.QUOTAS): by whom, when and why.

    None: as all. Rows are those of files for workflows and jobs, pictures those of training data; months and days are
    those of UTC. Storage are the files of the team without our copies of its pictures.
    """

    rows_per_upload = models.PositiveBigIntegerField(_("rows in a file"), null=True, blank=True)
    rows_per_month = models.PositiveBigIntegerField(_("rows a month"), null=True, blank=True)
    images_per_month = models.PositiveBigIntegerField(_("training pictures a month"), null=True, blank=True)
    trainings_per_day = models.PositiveIntegerField(_("trainings a day"), null=True, blank=True)
    storage_bytes = models.PositiveBigIntegerField(_("storage in bytes"), null=True, blank=True)
    reason = models.CharField(max_length=250)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team"], name="team_quota_once")]


class TeamUsage(TeamOwned):
    """What a team used on one day (UTC). Rows, images and trainings are counted as they are used, under this row's
    lock, so that no limit is passed by two at once; the rest is read from other tables by a sweep (console/usage.py).
    """

    day = models.DateField()
    rows = models.BigIntegerField(default=0, db_default=0)
    images = models.BigIntegerField(default=0, db_default=0)
    trainings = models.IntegerField(default=0, db_default=0)
    predictions = models.BigIntegerField(default=0, db_default=0)
    judgments = models.BigIntegerField(default=0, db_default=0)
    errors = models.BigIntegerField(default=0, db_default=0)
    storage_bytes = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        ordering = ["day"]
        constraints = [models.UniqueConstraint(fields=["team", "day"], name="team_usage_once")]


class TeamMeter(TeamOwned):
    """Where the counting of a team's use stands.

    `stored`: how many bytes its files take, added to with every upload and measured anew now and then. `seen`: the sums
    that the last sweep of usage read, so that the next one knows what is new.
    """

    stored = models.BigIntegerField(default=0, db_default=0)
    measured_at = models.DateTimeField(null=True)
    seen = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team"], name="team_meter_once")]


class TeamNote(TeamOwned):
    """What a customer success manager wants to remember of a team. The team does not see it."""

    text = models.TextField(max_length=5000)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    pinned = models.BooleanField(default=False)

    class Meta:
        ordering = ["-pinned", "-id"]


class TeamDeletion(TeamOwned):
    """That a team is to be deleted at `due_at`, with all it has; until then it can be taken back."""

    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    asked_at = models.DateTimeField(default=timezone.now)
    reason = models.CharField(max_length=250)
    due_at = models.DateTimeField()
    canceled_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["team"], condition=models.Q(canceled_at=None), name="one_deletion_at_a_time"
            ),
            models.CheckConstraint(
                condition=models.Q(canceled_at=None) | models.Q(started_at=None), name="deletion_not_back_once_begun"
            ),
        ]


class UsedAssertion(models.Model):
    """An assertion of a SAML provider that somebody signed in with, kept until it is over: it works once."""

    digest = models.CharField(primary_key=True, max_length=64)
    until = models.DateTimeField(db_index=True)
