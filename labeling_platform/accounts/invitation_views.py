"""The page of an invitation, outside of any team: says who offers what, and lets the person in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from allauth.account.utils import perform_login
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from labeling_platform.lib.attempts import allow_attempt
from labeling_platform.lib.errors import Refused

from .forms import AccountForm, focus_first_error
from .invitations import (
    Accepted,
    accept_invitation,
    find_invitation,
    is_meant_for,
    join_with_new_account,
    refusal,
)
from .memberships import membership_in
from .models import Invitation, User
from .permissions import ROLE_NOTES, Role, stands_at

ATTEMPTS, ATTEMPT_SECONDS = 60, 60
UNKNOWN = "The link is not complete, or the invitation is no longer kept. Ask whoever sent it for a new link."


def keeps_the_token(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The address of the page is a secret: no cache keeps it and no request names it as its referrer.

    `strict-origin` sends only the host. `no-referrer` would do the same and also make browsers send
    `Origin: null` with the page's forms, which the check against forged requests refuses.
    """

    @never_cache
    @wraps(view)
    def wrapped(request: HttpRequest, token: str) -> HttpResponse:
        response = view(request, token)
        response["Referrer-Policy"] = "strict-origin"
        response["X-Robots-Tag"] = "noindex"
        return response

    return wrapped


@sensitive_variables("token")
@sensitive_post_parameters("password1", "password2")
@keeps_the_token
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Show the invitation; POST accepts it, for a stranger with a new account."""
    if request.method == "POST" and not _may_try(request):
        return _too_many(request)
    found = find_invitation(token)
    if found is None:
        if request.method != "POST" and not _may_try(request):
            return _too_many(request)
        return _message(request, "This invitation is not known", UNKNOWN, status=404)
    if request.method != "POST":
        return _show(request, found)
    if request.user.is_authenticated:
        return _accept(request, found, token)
    return _sign_up(request, found, token)


def _may_try(request: HttpRequest) -> bool:
    who = get_adapter().get_client_ip(request)
    return allow_attempt("invitation", who, limit=ATTEMPTS, seconds=ATTEMPT_SECONDS)


def _accept(request: HttpRequest, found: Invitation, token: str) -> HttpResponse:
    try:
        accepted = accept_invitation(token=token, user=request.user)  # type: ignore[arg-type]
    except Refused as refused:
        return _refused(request, found, refused)
    return _enter(request, accepted)


def _sign_up(request: HttpRequest, found: Invitation, token: str) -> HttpResponse:
    if refused := refusal(invitation=found):
        return _refused(request, found, refused)
    form = AccountForm(request.POST, fixed_email=found.email)
    if form.is_valid():
        data = form.cleaned_data
        try:
            accepted = join_with_new_account(
                token=token, name=data["name"], email=data["email"], password=data["password1"]
            )
        except Refused as refused:
            if refused.code != "account_exists":
                return _refused(request, found, refused)
            words = "There is an account with this address already. {} with it; then you come back to this invitation."
            link = format_html('<a href="{}">Sign in</a>', _sign_in_url(request))
            form.add_error("email", format_html(words, link))
        else:
            return _sign_in(request, accepted)
    return _show(request, found, form=focus_first_error(form), status=422)


def _sign_in(request: HttpRequest, accepted: Accepted) -> HttpResponse:
    """Sign the new person in. Who came by a link confirms the address first, where the settings demand it."""
    entered = _enter(request, accepted)
    response: HttpResponse = perform_login(
        request, accepted.membership.user, redirect_url=entered["Location"], signup=True
    )
    return response


def _enter(request: HttpRequest, accepted: Accepted) -> HttpResponse:
    """Send the person to where the invitation leads, or to the team's start page."""
    team, role = accepted.membership.team, accepted.membership.get_role_display().lower()
    home = reverse("teams:home", kwargs={"team_slug": team.slug})
    if accepted.changed:
        messages.success(request, f"You are in the team {team} now, as {role}.")
    elif not accepted.leads_on:
        messages.info(request, f"You are in the team {team} already, as {role}. Your role was not changed.")
    return redirect(f"{home}{accepted.invitation.path}" if accepted.leads_on else home)


def _show(
    request: HttpRequest, found: Invitation, *, form: AccountForm | None = None, status: int = 200
) -> HttpResponse:
    user: User | None = request.user if request.user.is_authenticated else None  # type: ignore[assignment]
    place = membership_in(user, found.team.slug) if user else None
    is_in = bool(user and place and stands_at(place.role, found.role) and is_meant_for(invitation=found, user=user))
    refused = None if is_in else refusal(invitation=found, user=user)
    if refused:
        return _refused(request, found, refused)
    context: dict[str, Any] = {
        "invitation": found,
        "team": found.team,
        "role": found.get_role_display().lower(),
        "role_note": ROLE_NOTES[Role(found.role)],
        "place": place if is_in else None,
        "has_account": bool(found.email) and User.objects.filter(email__iexact=found.email).exists(),
        "form": form or AccountForm(fixed_email=found.email),
        "sign_in_url": _sign_in_url(request),
    }
    return render(request, "accounts/invitation.html", context, status=status)


def _sign_in_url(request: HttpRequest) -> str:
    return f"{reverse('account_login')}?{urlencode({'next': request.path})}"


def _refused(request: HttpRequest, found: Invitation, refused: Refused) -> HttpResponse:
    status = {"wrong_email": 403, "removed": 403}.get(refused.code, 410)
    title = "This invitation is for somebody else" if refused.code == "wrong_email" else "This invitation is over"
    return _message(request, title, refused.message, status=status, sign_out=refused.code == "wrong_email")


def _too_many(request: HttpRequest) -> HttpResponse:
    text = "There were many attempts from your network in a short time. Wait a minute, then try again."
    return _message(request, "Too many attempts", text, status=429)


def _message(request: HttpRequest, title: str, text: str, *, status: int, sign_out: bool = False) -> HttpResponse:
    context = {"title": title, "text": text, "status": status, "sign_out": sign_out}
    return render(request, "accounts/invitation_message.html", context, status=status)
