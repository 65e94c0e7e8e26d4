"""What staff may do in the console: one table, asked by every page of Django's admin.

Staff without superuser are customer success managers. They look at everything there is a page for, look after
organizations, teams, members and switches, and everything else goes through the team's page (console/pages.py) and its
services. They make no accounts and change neither passwords, addresses, rights nor second factors: whoever can
change those can become anybody. Superusers may everything that a page does not refuse to all.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend

MAY_CHANGE = {
    "accounts.add_organization",
    "accounts.change_organization",
    "accounts.add_team",
    "accounts.change_team",
    "accounts.add_membership",
    "accounts.change_membership",
    "accounts.delete_membership",
    "accounts.add_teamfeature",
    "accounts.change_teamfeature",
    "accounts.delete_teamfeature",
    "accounts.change_user",
    "models_app.add_watsonconnection",
    "models_app.change_watsonconnection",
    "models_app.delete_watsonconnection",
}
MAY_LOOK_IN = {"accounts", "models_app", "jobs_app", "workflows_app", "reports_app"}


class ConsoleRights(BaseBackend):
    """An authentication backend that signs nobody in; it says what staff may."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        if not (user_obj.is_active and user_obj.is_staff):
            return False
        app, _, name = perm.partition(".")
        return perm in MAY_CHANGE or (app in MAY_LOOK_IN and name.startswith("view_"))

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        return bool(user_obj.is_active and user_obj.is_staff and app_label in MAY_LOOK_IN)
