"""What the console's pages show, made in the running platform. Called there by `manage shell`, as monitor_seed is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib import admin
from django.urls import reverse
from django_scopes import scopes_disabled

from labeling_platform.accounts import services, support
from labeling_platform.accounts.models import Team, TeamUsage, User
from tests.console.test_matrix import STAFF
from tests.test_tenancy import make_world

SECRET = "JBSWY3DPEHPK3PXP"
EMAIL = "console@e2e.example"
OPENED = ["accounts.user", "accounts.team", "accounts.activity", "models_app.modelversion", "workflows_app.workflow"]
"""The kinds of which a page of one thing is looked at: with an inline, with JSON, with buttons."""


def seed(password: str) -> None:
    """A member of staff with a second factor, a team with one of everything, one that leaves; prints addresses."""
    with scopes_disabled():
        staff = User.objects.create_user(EMAIL, password, name="Casey Console", is_staff=True, is_superuser=True)
        TOTP.activate(staff, SECRET)
        RecoveryCodes.activate(staff)
        team = make_world("console")["team"]
        for back in range(3):
            day = datetime.now(UTC).date() - timedelta(days=back)
            TeamUsage.objects.update_or_create(team=team, day=day, defaults={"rows": 40, "predictions": 30 + back})
        support.add_note(team=team, text="Asks for more rows in May.", actor=staff, pinned=True)
        support.pause_team(team=team, message="The pictures are moving.", actor=staff)
        leaving = services.create_team(organization="Leaving", name="Leaving", slug="leaving")
        support.ask_for_deletion(team=leaving, typed="Leaving", reason="The contract ended.", actor=staff)
        print(json.dumps({"own": _own(team, leaving), "forms": _forms(), "lists": _lists()}))


def _own(team: Team, leaving: Team) -> dict[str, str]:
    """The pages that are ours, by name."""
    page = reverse("admin:team_page", args=[team.pk])
    return {
        "dashboard": reverse("admin:index"),
        "teams": reverse("admin:team_find"),
        "no team": reverse("admin:team_find") + "?q=nobody+at+all",
        "team": page,
        "leaving": reverse("admin:team_page", args=[leaving.pk]),
        "log": reverse("admin:log"),
        "no line": reverse("admin:log") + "?q=nothing+like+it",
        "password": reverse("admin:password_change"),
    }


def _lists() -> list[str]:
    """Unfold's lists of each kind that staff see."""
    return [reverse(f"admin:{label.replace('.', '_')}_changelist") for label, letters in STAFF.items() if letters]


def _forms() -> list[str]:
    """Unfold's other pages: one thing of the kinds OPENED, forms, a history, a question before deleting."""
    found, kinds = [], {kind._meta.label_lower: kind for kind in admin.site._registry}
    for label in OPENED:
        thing = kinds[label]._default_manager.order_by("-pk").first()
        found.append(reverse(f"admin:{label.replace('.', '_')}_change", args=[thing.pk]))
    found += [reverse(f"admin:{name}_add") for name in ("accounts_team", "models_app_watsonconnection")]
    person = User.objects.get(email=EMAIL)
    found += [reverse(f"admin:accounts_user_{page}", args=[person.pk]) for page in ("history", "delete")]
    return [*found, reverse("admin:auth_user_password_change", args=[person.pk])]
