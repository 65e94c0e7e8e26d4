"""Pages of a team that belong to no app: home, pictures."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from . import viewing
from .memberships import teams_of
from .models import Feature, User
from .permissions import ENTER, LABEL, VIEW
from .pictures import SIZES, FetchError, picture_bytes, read_token
from .tenancy import TeamRequest, team_view

PLACEHOLDER = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 240" width="240" height="240">'
    '<rect width="240" height="240" fill="#8a94a6" fill-opacity=".14"/>'
    '<g fill="none" stroke="#8a94a6" stroke-width="6" stroke-linecap="round" stroke-linejoin="round">'
    '<path d="M60 84h120v84H60z"/><path d="M60 150l36-30 27 24 21-15 36 30"/><path d="M48 48l144 144"/></g></svg>'
)


@require_safe
@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Send a person to the team they were in last, else to their first; staff without a team to the console;
    others to a page that says what to do.
    """
    teams = teams_of(request.user)  # type: ignore[arg-type]
    last = request.user.last_team_id  # type: ignore[union-attr]
    for team in sorted(teams, key=lambda team: team.pk != last):
        return redirect("teams:home", team_slug=team.slug)
    if request.user.is_staff:  # type: ignore[union-attr]
        return redirect("admin:index")
    return render(request, "accounts/no_team.html")


@require_safe
@team_view(may=ENTER)
def team_home(request: TeamRequest) -> HttpResponse:
    """The part of the site where this role works. Who enters a team comes back to it after the next sign-in."""
    if request.user.last_team_id != request.team.pk and not request.looks_only:
        User.objects.filter(pk=request.user.pk).update(last_team=request.team)
    if not request.membership.may(VIEW):
        return redirect("contribute:list", team_slug=request.team.slug)
    if Feature.ML_ASSISTED_LABELING in request.features:
        return redirect("models:list", team_slug=request.team.slug)
    return redirect("jobs:list", team_slug=request.team.slug)


@require_POST
@login_required
def view_as_stop(request: HttpRequest) -> HttpResponse:
    """Stop looking at a team's pages, and go back to the console."""
    viewing.end(request, why="stopped")
    return redirect("admin:index" if request.user.is_staff else "home")  # type: ignore[union-attr]


@require_safe
@team_view(may=ENTER)
def picture(request: TeamRequest, size: str, token: str) -> HttpResponse:
    """Our own copy of a picture; a drawing of a broken picture, with the reason as header, when there is none."""
    if size not in SIZES or not (request.membership.may(VIEW) or request.membership.may(LABEL)):
        raise Http404
    image_url = read_token(request.team, token)
    if image_url is None:
        raise Http404
    try:
        response = HttpResponse(picture_bytes(request.team, image_url, size), content_type="image/jpeg")
        response["Cache-Control"] = "private, max-age=86400, immutable"
    except FetchError as error:
        response = HttpResponse(PLACEHOLDER, content_type="image/svg+xml")
        response["Cache-Control"] = "no-store"
        response["X-Picture-Error"] = error.code
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response
