"""Template tags of the pages about one's own account."""

from __future__ import annotations

from collections.abc import Iterable

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialAccount
from django import template
from django.http import HttpRequest

from .. import second_factor, sessions

register = template.Library()
register.filter("device", sessions.device)


@register.simple_tag
def passkey_obstacle(request: HttpRequest) -> str:
    """Why passkeys do not work at this address; empty when they do."""
    return second_factor.passkey_obstacle(request)


@register.simple_tag
def address_for_passkeys(request: HttpRequest) -> str:
    """This page's address at which passkeys work, when we know one."""
    return second_factor.address_for_passkeys(request)


@register.simple_tag
def sign_on_ways(request: HttpRequest) -> list[dict[str, str]]:
    """The single sign-ons that are set up: their id, name and where they begin."""
    return [
        {"id": provider.id, "name": provider.name, "address": provider.get_login_url(request)}
        for provider in get_adapter().list_providers(request)
    ]


@register.filter
def way_name(ways: list[dict[str, str]], provider: str) -> str:
    """What the single sign-on of an account is called; its id when it is not set up any more."""
    return next((way["name"] for way in ways if way["id"] == provider), provider)


@register.filter
def not_connected(ways: list[dict[str, str]], accounts: Iterable[SocialAccount]) -> list[dict[str, str]]:
    """The single sign-ons that a person has no account of."""
    have = {account.provider for account in accounts}
    return [way for way in ways if way["id"] not in have]
