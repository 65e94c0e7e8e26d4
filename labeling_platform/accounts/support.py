"""What customer success managers do with a team in the console: pauses, notes, asking for its deletion."""

from __future__ import annotations

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.formats import date_format

from labeling_platform.lib.errors import Refused

from .models import Team, TeamDeletion, TeamNote, User
from .services import record

MESSAGE_LENGTH, NOTE_LENGTH, REASON_LENGTH = 500, 5000, 250


def _text(text: str, most: int, missing: str) -> str:
    text = text.replace("\x00", "").strip()
    if not text:
        raise Refused(missing, code="missing")
    if len(text) > most:
        raise Refused(f"This has {len(text):,} characters; at most {most:,} fit.", code="too_long")
    return text


def _locked(team: Team) -> Team:
    return Team.objects.select_for_update(no_key=True).get(pk=team.pk)


@transaction.atomic
def pause_team(*, team: Team, message: str, actor: User | None) -> Team:
    """Let nothing new begin in the team: no rows are handed out, no training starts, no file is taken in.

    What is under way ends, and people go on with the rows they have. The message stands on every page of the team.
    Refuses (codes) without a message (`missing`) or with a long one (`too_long`), and when it is paused (`state`).
    """
    message = _text(message, MESSAGE_LENGTH, "Write a message: the team reads it on all its pages.")
    team = _locked(team)
    if team.paused_at is not None:
        raise Refused("This team is paused already.", code="state")
    team.paused_at, team.pause_message = timezone.now(), message
    team.save(update_fields=["paused_at", "pause_message"])
    record(team=team, actor=actor, verb="team paused", obj=team, message=message)
    return team


@transaction.atomic
def resume_team(*, team: Team, actor: User | None) -> Team:
    """Let the team go on. Refuses when it is not paused (code `state`)."""
    team = _locked(team)
    if team.paused_at is None:
        raise Refused("This team is not paused.", code="state")
    team.paused_at, team.pause_message = None, ""
    team.save(update_fields=["paused_at", "pause_message"])
    record(team=team, actor=actor, verb="team resumed", obj=team)
    return team


@transaction.atomic
def add_note(*, team: Team, text: str, actor: User, pinned: bool = False) -> TeamNote:
    """Write a note about the team that only staff see. Refuses an empty or a long one."""
    text = _text(text, NOTE_LENGTH, "Write something first.")
    return TeamNote.objects.create(team=team, text=text, author=actor, pinned=pinned)


@transaction.atomic
def ask_for_deletion(*, team: Team, typed: str, reason: str, actor: User) -> TeamDeletion:
    """Have the team deleted with all it has, after settings.TEAM_DELETION_WAIT; until then it can be taken back.

    Refuses (codes) when what was typed is not the team's name (`name`), without a reason (`missing`), and when it was
    asked for already (`state`).
    """
    if typed.strip() != team.name:
        raise Refused(f"Type the team's name, “{team.name}”, to confirm.", code="name")
    reason = _text(reason, REASON_LENGTH, "Say why the team is deleted; it is kept in the log.")
    team = _locked(team)
    due = timezone.now() + settings.TEAM_DELETION_WAIT
    try:
        with transaction.atomic():
            asked = TeamDeletion.objects.create(team=team, asked_by=actor, reason=reason, due_at=due)
    except IntegrityError:
        raise Refused("The deletion of this team was asked for already.", code="state") from None
    team.deletion_due_at = due
    team.save(update_fields=["deletion_due_at"])
    said = date_format(due, "j F Y H:i") + " UTC"
    record(team=team, actor=actor, verb="deletion of the team asked for", obj=team, reason=reason, due=said)
    return asked


@transaction.atomic
def take_back_deletion(*, team: Team, actor: User) -> None:
    """Keep the team after all. Refuses when nothing was asked for, or the deletion has begun (code `state`)."""
    team = _locked(team)
    open_ones = TeamDeletion.objects.filter(team=team, canceled_at=None, started_at=None)
    if not open_ones.update(canceled_at=timezone.now()):
        raise Refused("There is no deletion of this team that could be taken back.", code="state")
    team.deletion_due_at = None
    team.save(update_fields=["deletion_due_at"])
    record(team=team, actor=actor, verb="deletion of the team taken back", obj=team)


def due_deletions() -> list[Team]:
    """Teams whose deletion is due or has begun. Needs scopes disabled."""
    due = TeamDeletion.objects.filter(canceled_at=None, due_at__lte=timezone.now())
    return [deletion.team for deletion in due.select_related("team").order_by("due_at")]


@transaction.atomic
def begin_deletion(*, team: Team) -> bool:
    """Close the team for everybody, so that its deletion can begin. False when it is not due (any more).

    From here on it cannot be taken back. Repeating it changes nothing more.
    """
    team = _locked(team)
    due = TeamDeletion.objects.filter(team=team, canceled_at=None, due_at__lte=timezone.now())
    if not due.exists():
        return False
    if due.filter(started_at=None).update(started_at=timezone.now()):
        team.closed_at = timezone.now()
        team.save(update_fields=["closed_at"])
        record(team=team, actor=None, verb="deletion of the team began", obj=team)
    return True
