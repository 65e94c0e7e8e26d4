"""Connections of a team to services that speak the Watson Visual Recognition v3 protocol, and what went over them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from labeling_platform.accounts.forms import focus_first_error
from labeling_platform.accounts.models import Feature
from labeling_platform.accounts.permissions import MANAGE
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib.errors import Refused

from . import services, tasks
from .forms import ConnectionForm
from .hosts import host_of
from .models import WatsonConnection

may_manage = team_view(may=MANAGE, feature=Feature.ML_ASSISTED_LABELING)


@require_safe
@may_manage
def connections(request: TeamRequest) -> HttpResponse:
    """The team's connections and those for all teams, and the ledger."""
    found = services.connections_of(request.team)
    context = {
        "rows": [_row(one) for one in found],
        "ledger": services.ledger(team=request.team),
        "allowed": _is_allowed(),
    }
    return render(request, "models/connections.html", context)


def _row(one: WatsonConnection) -> dict[str, Any]:
    return {"connection": one, "host": host_of(one.url), "own": one.team_id is not None}


def _is_allowed() -> bool:
    return "watson" in settings.CLASSIFIER_BACKENDS and bool(settings.WATSON_HOSTS)


@never_cache
@sensitive_post_parameters("secret")
@require_http_methods(["GET", "HEAD", "POST"])
@may_manage
def connection_new(request: TeamRequest) -> HttpResponse:
    """Ask for a connection and make it."""
    return _edit(request, None)


@never_cache
@sensitive_post_parameters("secret")
@require_http_methods(["GET", "HEAD", "POST"])
@may_manage
def connection_edit(request: TeamRequest, connection_pk: int) -> HttpResponse:
    """Change a connection of the team's own."""
    return _edit(request, _get_own(request, connection_pk))


@sensitive_variables("form")
def _edit(request: TeamRequest, connection: WatsonConnection | None) -> HttpResponse:
    form = ConnectionForm(request.POST if request.method == "POST" else None, connection=connection)
    if request.method == "POST" and form.is_valid():
        try:
            saved = services.save_connection(
                team=request.team, actor=request.user, access=form.access, connection=connection
            )
        except Refused as refused:
            form.add_error(refused.code if refused.code in form.fields else None, refused.message)
        else:
            messages.success(request, f"“{saved.name}” is saved. Test it before you train with it.")
            return redirect("models:connections", team_slug=request.team.slug)
    status = 422 if form.errors else 200
    context: dict[str, Any] = {
        "form": focus_first_error(form) if form.errors else form,
        "connection": connection,
        "hosts": settings.WATSON_HOSTS,
        "allowed": _is_allowed(),
    }
    return render(request, "models/connection_edit.html", context, status=status)


def _get_own(request: TeamRequest, pk: int) -> WatsonConnection:
    return get_object_or_404(WatsonConnection.objects.select_related("team"), pk=pk, team=request.team)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@may_manage
def connection_test(request: TeamRequest, connection_pk: int) -> HttpResponse:
    """Have a worker ask the service whether it is there and accepts us; the connection's line, while the page waits."""
    usable = {one.pk: one for one in services.connections_of(request.team)}
    connection = usable.get(connection_pk)
    if connection is None:
        raise Http404
    if request.method == "POST" and services.ask_for_test(connection=connection):
        tasks.check_connection.delay_on_commit(team_id=request.team.pk, connection_id=connection.pk)
    if request.htmx:
        return render(request, "models/_connection_row.html", {"row": _row(connection)})
    if request.method == "POST":
        messages.info(request, f"“{connection}” is being asked. Reload this page in a moment to see the answer.")
    return redirect("models:connections", team_slug=request.team.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@may_manage
def connection_delete(request: TeamRequest, connection_pk: int) -> HttpResponse:
    """Ask before deleting a connection, and delete it."""
    connection, status = _get_own(request, connection_pk), 200
    if request.method == "POST":
        try:
            services.delete_connection(connection=connection, actor=request.user)
            messages.success(request, f"“{connection.name}” was deleted.")
            return redirect("models:connections", team_slug=request.team.slug)
        except Refused:
            status = 422
    context = {"connection": connection, "reason": services.connection_refusal(connection=connection)}
    return render(request, "models/connection_delete.html", context, status=status)
