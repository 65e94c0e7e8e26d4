"""Who may do what: one table, one function."""

from __future__ import annotations

from enum import nonmember

from django.db import models
from django.utils.translation import gettext_lazy as _

ENTER, VIEW, EDIT, LABEL, MANAGE = "enter", "view", "edit", "label", "manage"


class Role(models.TextChoices):
    """A person's place in a team. What each may do is `allows`."""

    OWNER = "owner", _("Owner")
    ADMIN = "admin", _("Admin")
    MEMBER = "member", _("Member")
    VIEWER = "viewer", _("Viewer")
    CONTRIBUTOR = "contributor", _("Contributor")

    allows = nonmember(
        {
            "owner": {ENTER, VIEW, EDIT, LABEL, MANAGE},
            "admin": {ENTER, VIEW, EDIT, LABEL, MANAGE},
            "member": {ENTER, VIEW, EDIT, LABEL},
            "viewer": {ENTER, VIEW},
            "contributor": {ENTER, LABEL},
        }
    )


def may(role: str, action: str) -> bool:
    """Whether a member with this role may do `action` (enter, view, edit, label or manage)."""
    return action in Role.allows[role]
