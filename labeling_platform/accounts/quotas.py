"""How much a team may use. Services ask here where something is used, before it is done.

Each function refuses with numbers and says whom to ask; at the limit is allowed, above it is not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Sum
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from labeling_platform.lib import storage
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.words import count_of

from .models import Team, TeamMeter, TeamQuota, TeamUsage, User
from .services import record

ASK = "Ask your Customer Success Manager for more."
PAUSED = "Your Customer Success Manager has paused this team: {message} Nothing new begins until it goes on."
COUNTED = {"rows", "images", "trainings"}
NOT_COUNTED = ("pictures",)
"""Areas of the storage that are no data of the team: our copies of pictures, which it can neither make nor delete."""


@dataclass(frozen=True)
class Limits:
    """What a team may use, from its quota or else from the settings."""

    rows_per_upload: int
    rows_per_month: int
    images_per_month: int
    trainings_per_day: int
    storage_bytes: int


NAMES = tuple(field.name for field in fields(Limits))


def limits_of(team: Team) -> Limits:
    """What the team may use now."""
    own: dict[str, Any] = TeamQuota.objects.filter(team=team).values(*NAMES).first() or {}
    chosen = {name: value for name, value in own.items() if value is not None}
    return Limits(**{name: int(settings.QUOTAS[name]) for name in NAMES} | chosen)


@transaction.atomic
def set_quota(*, team: Team, actor: User | None, reason: str, limits: dict[str, int | None]) -> TeamQuota:
    """Change what the team may use (None: as all teams). Refuses without a reason and a limit that is negative."""
    if not reason.strip():
        raise Refused("Say why this team's quota changes; it is kept with it.", code="reason")
    if any(value is not None and value < 0 for value in limits.values()):
        raise Refused("A limit is 0 or more.", code="negative")
    before = TeamQuota.objects.filter(team=team).values(*NAMES).first() or dict.fromkeys(NAMES)
    after = before | {name: limits[name] for name in NAMES if name in limits}
    values = {**after, "reason": reason.strip()[:250], "changed_by": actor, "changed_at": timezone.now()}
    quota, _ = TeamQuota.objects.update_or_create(team=team, defaults=values)
    changed = [f"{name.replace('_', ' ')}: {_said(after[name])}" for name in NAMES if after[name] != before[name]]
    record(team=team, actor=actor, verb="quota changed", obj=team, reason=reason.strip()[:250], changed=changed)
    return quota


def _said(limit: int | None) -> str:
    return "as all teams" if limit is None else f"{limit:,}"


def refuse_when_paused(team: Team) -> None:
    """Refuses (code `team_paused`) while the team is paused."""
    found = Team.objects.filter(pk=team.pk, paused_at__isnull=False).values_list("pause_message", flat=True).first()
    if found is not None:
        raise Refused(PAUSED.format(message=found), code="team_paused")


@transaction.atomic
def use_rows(*, team: Team, rows: int) -> None:
    """Count the rows of a file. Refuses (codes `rows_per_upload`, `rows_per_month`) more than the team may use."""
    limits = limits_of(team)
    if rows > limits.rows_per_upload:
        raise Refused(
            f"This file has {count_of(rows, 'row')}; your team may upload at most {limits.rows_per_upload:,} in one "
            f"file. Split it, or ask your Customer Success Manager for more.",
            code="rows_per_upload",
        )
    _use(team, "rows", rows)
    used = _used(team, "rows", _month())
    if used > limits.rows_per_month:
        raise Refused(
            f"With the {count_of(rows, 'row')} of this file your team would have uploaded {used:,} this month; at most "
            f"{limits.rows_per_month:,} are possible. {_next_month()} {ASK}",
            code="rows_per_month",
        )


@transaction.atomic
def use_images(*, team: Team, images: int) -> None:
    """Count pictures that come to training data. Refuses (code `images_per_month`) more than the team may use."""
    limit = limits_of(team).images_per_month
    _use(team, "images", images)
    used = _used(team, "images", _month())
    if used > limit:
        raise Refused(
            f"With the {count_of(images, 'picture')} of this file your team would have added {used:,} training "
            f"pictures this month; at most {limit:,} are possible. {_next_month()} {ASK}",
            code="images_per_month",
        )


@transaction.atomic
def use_training(*, team: Team) -> None:
    """Count a training. Refuses (code `trainings_per_day`) more than the team may start on a day (UTC)."""
    limit = limits_of(team).trainings_per_day
    _use(team, "trainings", 1)
    used = _used(team, "trainings", _today())
    if used > limit:
        raise Refused(
            f"Your team has started {count_of(used - 1, 'training')} today; at most {limit:,} are possible a day. "
            f"A new day begins at 00:00 UTC. {ASK}",
            code="trainings_per_day",
        )


@transaction.atomic
def use_storage(*, team: Team, size: int) -> None:
    """Count a file that is about to be stored. Refuses (code `storage`) when the team's files would take too much.

    What was deleted since is found by measuring anew before anything is refused.
    """
    limit = limits_of(team).storage_bytes
    TeamMeter.objects.get_or_create(team=team)
    kept = TeamMeter.objects.select_for_update().get(team=team)
    if kept.stored + size > limit:
        kept.stored, kept.measured_at = measured(team), timezone.now()
        kept.save(update_fields=["stored", "measured_at"])
    if kept.stored + size > limit:
        raise Refused(
            f"This file has {filesizeformat(size)} and your team's files take {filesizeformat(kept.stored)}; at most "
            f"{filesizeformat(limit)} are possible. Delete models, workflows or jobs that you no longer need, or ask "
            "your Customer Success Manager for more.",
            code="storage",
        )
    TeamMeter.objects.filter(pk=kept.pk).update(stored=F("stored") + size)


def refuse_when_full(team: Team) -> None:
    """Refuses (code `storage`) when the team's files take all that they may: for a file whose size nobody knows yet."""
    limit = limits_of(team).storage_bytes
    kept = TeamMeter.objects.filter(team=team).first()
    if kept is not None and kept.stored >= limit and (stored := measured(team)) >= limit:
        raise Refused(
            f"Your team's files take {filesizeformat(stored)}; at most {filesizeformat(limit)} are possible. "
            f"Delete models, workflows or jobs that you no longer need. {ASK}",
            code="storage",
        )


def measured(team: Team) -> int:
    """How many bytes the team's files take, counted file by file."""
    return storage.size_of_team(team.pk, without=NOT_COUNTED)


def measure(team: Team) -> int:
    """Measure the team's files anew and keep the sum; returns it."""
    stored = measured(team)
    values = {"stored": stored, "measured_at": timezone.now()}
    TeamMeter.objects.update_or_create(team=team, defaults=values)
    return stored


def used_now(team: Team) -> dict[str, int]:
    """What the team has used of each limit: this month, today, and in its largest file (not known: 0)."""
    kept = TeamMeter.objects.filter(team=team).first()
    return asdict(
        Limits(
            rows_per_upload=0,
            rows_per_month=_used(team, "rows", _month()),
            images_per_month=_used(team, "images", _month()),
            trainings_per_day=_used(team, "trainings", _today()),
            storage_bytes=kept.stored if kept else 0,
        )
    )


def _use(team: Team, what: str, amount: int) -> None:
    """Add to today's row and keep it locked until the transaction ends, so that others who use it wait."""
    if what not in COUNTED:
        raise ValueError(what)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO accounts_teamusage (team_id, day, {what}) VALUES (%s, %s, %s)"  # noqa: S608 - of COUNTED
            f" ON CONFLICT (team_id, day) DO UPDATE SET {what} = accounts_teamusage.{what} + excluded.{what}",
            [team.pk, _today(), amount],
        )


def _used(team: Team, what: str, since: date) -> int:
    found = TeamUsage.objects.filter(team=team, day__gte=since).aggregate(n=Sum(what))["n"]
    return int(found or 0)


def _today() -> date:
    return datetime.now(UTC).date()


def _month() -> date:
    return _today().replace(day=1)


def _next_month() -> str:
    first = (_month().replace(day=28) + timedelta(days=4)).replace(day=1)
    return f"The count begins anew on {first.day} {first:%B} (UTC)."
