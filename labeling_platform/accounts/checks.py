"""What `manage.py check --deploy` says about the settings of this app."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks


@checks.register(checks.Tags.security, deploy=True)
def people_are_safe(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """A platform that is reached from outside asks staff for a second factor and checks addresses."""
    found: list[checks.CheckMessage] = []
    if not settings.PUBLIC_URL.startswith("https://"):
        return found
    if not settings.STAFF_NEEDS_SECOND_FACTOR:
        found.append(
            checks.Warning(
                "Staff reach the console with a password alone.",
                hint="Set STAFF_NEEDS_SECOND_FACTOR=true; without it, one stolen password opens every team.",
                id="accounts.W001",
            )
        )
    if settings.ACCOUNT_EMAIL_VERIFICATION != "mandatory":
        found.append(
            checks.Warning(
                "People get in with e-mail addresses that may not be theirs.",
                hint="Set EMAIL_VERIFICATION=mandatory, or leave it empty.",
                id="accounts.W002",
            )
        )
    return found
