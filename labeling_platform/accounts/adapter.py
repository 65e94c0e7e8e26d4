"""How django-allauth behaves here."""

from __future__ import annotations

import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.internal import ratelimit
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest

from labeling_platform.lib.clients import client_address

from .limits import locked_until_minutes, tried_email

log = logging.getLogger(__name__)
NOT_SENT = "The mail could not be sent. Try again in some minutes; if it happens again, tell who runs this platform."


class AccountAdapter(DefaultAccountAdapter):
    """People are made by staff or invited; open sign-up is a setting, off by default."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": "The e-mail address or the password is not right. Check both and try again.",
        "too_many_login_attempts": "There were too many wrong tries. Wait some minutes, then try again.",
        "incorrect_password": "This is not your password. Try again.",
        "incorrect_code": "The code is not right. Look at the newest one and try again.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(settings.SIGNUP_OPEN)

    def get_client_ip(self, request: HttpRequest) -> str:
        address = client_address(request)
        if address is None:
            raise PermissionDenied("The address of the client is not known.")
        return address

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Slow down addresses only. allauth's own limit is by person, with which anybody could lock anybody out."""
        self._login_failed_rl_usage = ratelimit.consume(request, app="allauth.account", action="sign_in_failed")
        if not self._login_failed_rl_usage:
            raise ValidationError(
                "There were too many wrong tries from your network. Wait a minute, then try again.", code="slowed_down"
            )

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        if getattr(request, "axes_locked_out", False):
            minutes = locked_until_minutes(request, email=tried_email(request, credentials))
            wait = "1 minute" if minutes == 1 else f"{minutes} minutes"
            raise ValidationError(
                f"There were too many wrong tries for this e-mail address from your network. Try again in {wait}. "
                "If you have forgotten your password, set a new one.",
                code="locked",
            )

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a mail; a mail server that is away must not take the page with it."""
        try:
            super().send_mail(template_prefix, email, context)
        except OSError as error:  # smtplib's errors are OSErrors too
            log.warning("mail %s was not sent (%s)", template_prefix, type(error).__name__)
            if self.request is not None:
                messages.error(self.request, NOT_SENT)
