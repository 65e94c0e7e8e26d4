"""Sign-ins, sign-outs, passwords and second factors go into the activity log; such lines belong to no team."""

from __future__ import annotations

from typing import Any

from allauth.account import signals as account
from allauth.mfa import signals as mfa
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django_scopes import scopes_disabled

from .models import User
from .services import record

OF_ACCOUNTS = {
    "password set": account.password_set,
    "password changed": account.password_changed,
    "password reset": account.password_reset,
    "e-mail address changed": account.email_changed,
    "e-mail address added": account.email_added,
    "e-mail address removed": account.email_removed,
    "second factor added": mfa.authenticator_added,
    "second factor removed": mfa.authenticator_removed,
    "second factor made anew": mfa.authenticator_reset,
    "second factor was wrong": mfa.authentication_failed,
}
UNKNOWN = "an address that nobody here has"


def _write(verb: str, person: User | None, *, actor: User | None, **data: Any) -> None:
    with scopes_disabled():
        record(team=None, actor=actor, verb=verb, obj=person, **data)


@receiver(user_logged_in, dispatch_uid="activity_signed_in")
def signed_in(sender: Any, user: User, **kwargs: Any) -> None:
    _write("signed in", user, actor=user)


@receiver(user_logged_out, dispatch_uid="activity_signed_out")
def signed_out(sender: Any, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        _write("signed out", user, actor=user)


@receiver(user_login_failed, dispatch_uid="activity_sign_in_failed")
def sign_in_failed(sender: Any, credentials: dict[str, Any], **kwargs: Any) -> None:
    """Name the person whose address was typed. What is nobody's address is not kept: it may be a password."""
    typed = next((str(credentials[name]) for name in ("email", "username", "login") if credentials.get(name)), "")
    person = User.objects.filter(email__iexact=typed.strip()[:254]).first() if typed and "\x00" not in typed else None
    _write("sign-in failed", person, actor=None, **({} if person else {"who": UNKNOWN}))


def _listen(verb: str, signal: Any) -> None:
    def write(sender: Any, user: User | None = None, authenticator: Any = None, **kwargs: Any) -> None:
        more = {"factor": str(authenticator.type)} if authenticator is not None else {}
        # Who typed a wrong code may not be the person; who changes a password is.
        _write(verb, user, actor=None if verb.endswith("wrong") else user, **more)

    signal.connect(write, weak=False, dispatch_uid=f"activity {verb}")


for _verb, _signal in OF_ACCOUNTS.items():
    _listen(_verb, _signal)
