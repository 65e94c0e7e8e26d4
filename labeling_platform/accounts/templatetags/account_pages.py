"""Template tags of the pages about one's own account."""

from __future__ import annotations

from allauth.socialaccount.adapter import get_adapter
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
def sign_on_name(request: HttpRequest) -> str:
    """Name of the single sign-on; empty when none is set up."""
    return next((provider.name for provider in get_adapter().list_providers(request)), "")
