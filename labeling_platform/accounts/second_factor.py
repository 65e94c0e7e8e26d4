"""The second factor: who must have one, and what passkeys are bound to."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode, urlsplit

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from .models import User

FACTORS = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]
OPEN_CONSOLE_PAGES = {"login", "logout"}


class SecondFactorAdapter(DefaultMFAAdapter):
    """allauth's second factor, in our words."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "add_email_blocked": "Remove your second factor first: an account that has one cannot get another address.",
        "incorrect_code": "The code is not right. Codes change every 30 seconds: type the newest one.",
        "unverified_email": "Confirm your e-mail address first: open the link in the mail that we sent to it.",
    }

    def _get_site_name(self) -> str:
        return str(settings.MFA_TOTP_ISSUER)

    def generate_authenticator_name(self, user: User, kind: Authenticator.Type) -> str:
        number = Authenticator.objects.filter(user=user, type=kind).count() + 1
        return "Passkey" if number == 1 else f"Passkey {number}"


class AddPasskeyForm(AddWebAuthnForm):  # type: ignore[misc]
    """A name, and whether the passkey signs in alone, which is what most people have passkeys for."""

    passwordless = forms.BooleanField(
        label="Sign in with it alone, without a password",
        required=False,
        initial=True,
        help_text="The device must be able to check a fingerprint, a face or a PIN. Off: it is a second factor only.",
    )


class SecondFactorOfStaff:
    """Middleware: staff without a second factor get to the page where they set one up, and to no console page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        match = request.resolver_match
        if match is None or "admin" not in match.namespaces or match.url_name in OPEN_CONSOLE_PAGES:
            return None
        user = request.user
        if not isinstance(user, User) or not user.is_staff or not must_set_up(user):
            return None
        messages.warning(
            request, "The console needs a second factor. Set up an authenticator app or a passkey here, then come back."
        )
        return redirect("mfa_index")


def must_set_up(user: User) -> bool:
    """Whether this person may not go on before they have a second factor. Recovery codes alone are none."""
    return settings.STAFF_NEEDS_SECOND_FACTOR and user.is_staff and not has_second_factor(user)


def has_second_factor(user: User) -> bool:
    return bool(Authenticator.objects.filter(user=user, type__in=FACTORS).exists())


def console_sign_in(request: HttpRequest) -> HttpResponse:
    """The console's own sign-in page: everybody signs in at the same door, where limits and second factor are."""
    target = request.GET.get("next") or reverse("admin:index")
    if not request.user.is_authenticated:
        return redirect(f"{reverse('account_login')}?{urlencode({'next': target})}")
    if request.user.is_staff:
        return redirect("admin:index")
    raise PermissionDenied("The console is for Customer Success Managers. You are signed in with another account.")


def passkey_obstacle(request: HttpRequest) -> str:
    """Why a browser refuses passkeys at the address of this request; empty when it does not.

    WebAuthn binds a passkey to a domain, so addresses made of numbers have none (WebAuthn Level 2, 5.1.3), and
    browsers offer it over https only, with an exception for localhost.
    """
    parts = urlsplit(request.build_absolute_uri("/"))
    host = parts.hostname or ""
    try:
        ip_address(host)
    except ValueError:
        if parts.scheme == "https" or host == "localhost" or host.endswith(".localhost"):
            return ""
        return "Passkeys need https. This page was opened without it."
    return (
        f"Passkeys are bound to a host name, and this page was opened at the number {host}. Open the platform by its "
        "name to use them."
    )


def address_for_passkeys(request: HttpRequest) -> str:
    """The same page under the name localhost, when it was opened at a loopback number; else empty."""
    parts = urlsplit(request.build_absolute_uri())
    host = parts.hostname or ""
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        return ""
    if not is_loopback or "localhost" not in settings.ALLOWED_HOSTS:
        return ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://localhost{port}{parts.path}"
