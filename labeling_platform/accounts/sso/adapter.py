"""Who may come in by single sign-on, and what is said to who may not."""

from __future__ import annotations

import logging
from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base.constants import AuthError
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from requests import RequestException

from ..models import User

log = logging.getLogger(__name__)
AWAY = "The sign-in service does not answer now. Try again in some minutes, or sign in with your password."
STATE = "The way back from the sign-in service does not fit this browser, or it took too long. Start again from here."
ODD = "The sign-in service sent an answer that we cannot trust, so you were not signed in. Tell who runs this platform."


class SignOnAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """People of the provider get an account. One that exists is joined by the provider's verified address only."""

    error_messages = DefaultSocialAccountAdapter.error_messages | {
        "no_password": "Set a password first: without this sign-in you could not get in.",
        "no_verified_email": "Confirm your e-mail address first: without this sign-in you could not get in.",
        "connected_other": "This sign-in belongs to another account here.",
    }

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Refuse who has no verified address, or one of a domain that is not allowed."""
        given = sociallogin.email_addresses
        address = next((one.email for one in given if one.verified), given[0].email if given else "")
        domains = settings.SSO_EMAIL_DOMAINS
        text = ""
        if not address:
            text = "The sign-in service did not tell your e-mail address. Tell who runs this platform."
        elif domains and address.rpartition("@")[2] not in domains:
            text = f"Addresses like {address} may not sign in here. Use your work address."
        elif not any(one.verified for one in given):
            text = "The sign-in service has not verified your e-mail address. Verify it there first."
        if text:
            raise ImmediateHttpResponse(refuse(request, text, 403))

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        user: User = sociallogin.user
        user.email = data.get("email") or ""
        user.name = str(data.get("name") or "")[:150]
        return user

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, extra_context: Any = None
    ) -> None:
        """Say in plain words what went wrong; the details are in the log."""
        if error == AuthError.CANCELLED:
            return
        log.warning("single sign-on: %s %s", error, f"{type(exception).__name__}: {exception}" if exception else "")
        if isinstance(exception, RequestException):
            raise ImmediateHttpResponse(refuse(request, AWAY, 502))
        if exception is None and "state_id" in (extra_context or {}):
            raise ImmediateHttpResponse(refuse(request, STATE, 400))
        raise ImmediateHttpResponse(refuse(request, ODD, 502))


def refuse(request: HttpRequest, text: str, status: int) -> HttpResponse:
    return render(request, "socialaccount/refused.html", {"text": text}, status=status)
