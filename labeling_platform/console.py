"""The admin console of customer success managers, built on unfold."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest
from django_scopes import scopes_disabled
from unfold.sites import UnfoldAdminSite


class ConsoleSite(UnfoldAdminSite):
    """Every console page looks across teams, and says so here: this is the one place that opens all scopes."""

    site_title = "Customer success console"

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        inner = super().admin_view(view, cacheable)

        def across_teams(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            with scopes_disabled():
                response = inner(request, *args, **kwargs)
                if hasattr(response, "render") and not response.is_rendered:
                    response.render()
                return response

        return across_teams


class ConsoleConfig(AdminConfig):
    """django.contrib.admin with our site as the default one, so apps use plain @admin.register."""

    default_site = "labeling_platform.console.ConsoleSite"
