"""The page API of a team: tokens for programs, made, shown once, listed, revoked."""

from __future__ import annotations

import time
from typing import Any

from allauth.account.authentication import get_authentication_records
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST, require_safe

from labeling_platform.lib.errors import Refused

from .forms import focus_first_error
from .models import ApiToken, Membership
from .permissions import EDIT, MANAGE
from .scopes import Scope, scopes_to_give
from .tenancy import TeamRequest, team_view
from .token_forms import TokenForm
from .tokens import make_token, revoke_token

PER_PAGE = 50
SIGNED_IN_LATELY = 300  # seconds


@never_cache
@require_safe
@team_view(may=EDIT)
def tokens(request: TeamRequest) -> HttpResponse:
    """Tokens, and the form to make one. Who manages the team sees all of them, others their own."""
    return _page(request)


def _page(request: TeamRequest, *, form: TokenForm | None = None, status: int = 200, **more: Any) -> HttpResponse:
    found = ApiToken.objects.select_related("created_by")
    if not request.membership.may(MANAGE):
        found = found.filter(created_by=request.user)
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    makers = Membership.objects.filter(team=request.team, user__in={one.created_by_id for one in page})
    roles = dict(makers.values_list("user_id", "role"))
    context = {
        "page": page,
        "rows": [_row(one, roles) for one in page],
        "all_of_team": request.membership.may(MANAGE),
        "form": form or TokenForm(role=request.membership.role),
        "base_url": request.build_absolute_uri("/api/v1"),
        **more,
    }
    return render(request, "accounts/tokens.html", context, status=status)


def _row(token: ApiToken, roles: dict[int, str]) -> dict[str, Any]:
    """A token with what it is now: `live`, and in words why it does not work or no longer does all it says."""
    role = roles.get(token.created_by_id or 0)
    lost = [] if role is None else [scope for scope in token.scopes if Scope(scope) not in scopes_to_give(role)]
    state, color, live, note = "Works", "green", True, ""
    if token.revoked_at is not None:
        state, color, live = "Revoked", "secondary", False
    elif token.expires_at <= timezone.now():
        state, color, live = "Expired", "secondary", False
    elif role is None or token.created_by is None or not token.created_by.is_active:
        state, color, note = "Does not work", "yellow", "Who made it is no longer in the team."
    elif lost:
        note = f"The role of who made it no longer allows: {', '.join(lost)}."
        state, color = ("Does not work", "yellow") if len(lost) == len(token.scopes) else ("Works in part", "yellow")
    scopes = ", ".join(str(Scope(scope).label) for scope in token.scopes)
    return {"token": token, "scopes": scopes, "state": state, "color": color, "live": live, "note": note}


@never_cache
@require_POST
@sensitive_variables("issued")
@team_view(may=EDIT)
def make(request: TeamRequest) -> HttpResponse:
    """Make a token and show it, this one time; who signed in a while ago is asked for the password before.

    A session that somebody else sits down at is not enough for a way in that lasts (reference/reliability.md C6).
    """
    if not _has_signed_in_lately(request):
        messages.info(request, "Confirm that it is you, then make the token.")
        back = reverse("teams:tokens", kwargs={"team_slug": request.team.slug})
        return redirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': back})}")
    form = TokenForm(request.POST, role=request.membership.role)
    if form.is_valid():
        try:
            issued = make_token(team=request.team, actor=request.user, **form.cleaned_data)
        except Refused as refused:
            form.add_error(refused.code if refused.code in form.fields else None, refused.message)
        else:
            return _page(request, made=issued.token, made_text=issued.text)
    return _page(request, form=focus_first_error(form), status=422)


def _has_signed_in_lately(request: TeamRequest) -> bool:
    """Whether the person signed in, or confirmed to be the one, within the last minutes, in whatever way.

    Who has no password here, but a sign-in elsewhere, cannot be asked for one.
    """
    if not request.user.has_usable_password():
        return True
    records = get_authentication_records(request, request.user)
    return any(time.time() - record.get("at", 0) < SIGNED_IN_LATELY for record in records)


@require_POST
@team_view(may=EDIT)
def revoke(request: TeamRequest, token_pk: int) -> HttpResponse:
    """End a token now: one's own, or any of the team's for who manages it."""
    found = ApiToken.objects.select_related("team")
    if not request.membership.may(MANAGE):
        found = found.filter(created_by=request.user)
    token: ApiToken = get_object_or_404(found, pk=token_pk)
    if revoke_token(token=token, actor=request.user):
        messages.success(request, f"“{token.name}” is revoked. Programs that use it get in no more.")
    return redirect("teams:tokens", team_slug=request.team.slug)
