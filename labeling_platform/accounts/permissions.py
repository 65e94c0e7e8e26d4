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


ROLE_NOTES = {
    Role.OWNER: _("Does everything, and says who the owners are."),
    Role.ADMIN: _("Does everything, but cannot make, change or remove owners."),
    Role.MEMBER: _("Makes models, workflows, jobs and reports, and labels rows."),
    Role.VIEWER: _("Looks at everything, changes nothing."),
    Role.CONTRIBUTOR: _("Labels rows of jobs and sees nothing else."),
}


def may(role: str, action: str) -> bool:
    """Whether a member with this role may do `action` (enter, view, edit, label or manage)."""
    return action in Role.allows[role]


def stands_at(role: str, other: str) -> bool:
    """Whether `role` is `other` or above it: owner, admin, member, viewer, contributor."""
    order = Role.values
    return order.index(role) <= order.index(other)


def may_give(giver: str, role: str) -> bool:
    """Whether a member with the role `giver` may give `role` to somebody.

    Who manages the team gives every role up to the own one; who may make jobs can bring contributors to them.
    """
    if may(giver, MANAGE):
        return stands_at(giver, role)
    return may(giver, EDIT) and role == Role.CONTRIBUTOR
