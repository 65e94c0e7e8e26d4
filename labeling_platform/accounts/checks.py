"""What `manage.py check --deploy` says about the settings of this app."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from django.conf import settings
from django.core import checks


@checks.register(checks.Tags.security)
def proxies_are_addresses(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """A proxy that is written wrong would fail each sign-in, or be trusted by nobody."""
    found: list[checks.CheckMessage] = []
    for proxy in settings.TRUSTED_PROXIES:
        try:
            ip_network(proxy, strict=False)
        except ValueError:
            found.append(
                checks.Error(
                    f"TRUSTED_PROXIES: “{proxy}” is neither an address nor a network.",
                    hint="Write numbers like 10.0.0.5 or 10.0.0.0/8, separated by commas.",
                    id="accounts.E001",
                )
            )
    return found


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


@checks.register(checks.Tags.security)
def saml_fits_together(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Single sign-on by SAML that is set up half, or lets nobody in."""
    apps: Any = settings.SOCIALACCOUNT_PROVIDERS.get("saml", {}).get("APPS")
    if not apps:
        return []
    from .sso.saml import messages  # it loads xmlsec

    try:
        messages.both_sides(apps[0]["settings"], f"{settings.PUBLIC_URL.rstrip('/')}/accounts/sso/saml/acs/")
    except ValueError as error:
        return [
            checks.Error(
                f"Single sign-on by SAML is not set up: {error}",
                hint="Set SSO_SAML_METADATA_FILE, or SSO_SAML_ENTITY_ID, SSO_SAML_URL and SSO_SAML_CERTIFICATE_FILE.",
                id="accounts.E002",
            )
        ]
    if settings.SSO_EMAIL_DOMAINS:
        return []
    return [
        checks.Warning(
            "By SAML, only people come in whose address the provider calls verified, which few providers do.",
            hint="Set SSO_EMAIL_DOMAINS to the domains that the provider answers for.",
            id="accounts.W003",
        )
    ]
