"""Feature switches: whether a team has a feature now."""

from __future__ import annotations

from django.db.models import Q
from django.utils import timezone
from django_scopes import scope

from .models import Feature, Team, TeamFeature

CONTACT = "Contact your Customer Success Manager for access to this feature."


def enabled_features(team: Team) -> set[str]:
    """Names of the features that are on for the team at this moment."""
    now = timezone.now()
    with scope(team=team):
        on = TeamFeature.objects.filter(Q(until=None) | Q(until__gt=now), team=team)
        return set(on.values_list("name", flat=True))


def is_enabled(team: Team, feature: Feature) -> bool:
    return feature in enabled_features(team)
