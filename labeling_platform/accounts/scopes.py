"""What an API token may be used for: one table says which scope each operation of the API takes."""

from __future__ import annotations

from enum import nonmember

from django.db import models
from django.utils.translation import gettext_lazy as _

from .permissions import EDIT, VIEW, may


class Scope(models.TextChoices):
    """What a token allows. `action` is what its creator's role must allow for it to work (permissions.py)."""

    READ = "read", _("Read")
    WRITE = "write", _("Write")
    DOWNLOAD = "download", _("Download")

    notes = nonmember(
        {
            "read": _("Look at models, evaluations, workflows, jobs, rows and the state of reports."),
            "write": _("Make models, workflows and jobs, upload files, train, launch, pause, and ask for reports."),
            "download": _("Download the files of reports."),
        }
    )
    actions = nonmember({"read": VIEW, "write": EDIT, "download": VIEW})

    @property
    def action(self) -> str:
        return str(self.actions[self.value])


OPERATIONS: dict[Scope, tuple[str, ...]] = {
    Scope.READ: (
        "get_me",
        "list_models", "get_model", "get_training_upload", "list_versions", "get_version",
        "list_evaluations", "get_evaluation", "list_evaluation_rows",
        "list_jobs", "get_job", "list_job_uploads", "get_job_upload", "get_job_launch", "list_units",
        "list_workflows", "get_workflow", "list_workflow_uploads", "get_workflow_upload", "get_workflow_launch",
        "list_workflow_rows",
        "list_reports", "get_report",
    ),
    Scope.WRITE: (
        "create_model", "upload_training_data", "start_training", "cancel_training", "create_evaluation",
        "create_job", "upload_job_rows", "confirm_job_upload", "discard_job_upload", "launch_job", "pause_job",
        "resume_job",
        "create_workflow", "upload_workflow_rows", "confirm_workflow_upload", "discard_workflow_upload",
        "launch_workflow", "turn_off_workflow", "turn_on_workflow", "retry_failed_rows",
        "request_workflow_report", "request_job_report", "cancel_report",
    ),
    Scope.DOWNLOAD: ("download_report",),
}  # fmt: skip
"""The operations that each scope allows, by the names that the OpenAPI document gives them."""


def scope_of(operation: str) -> Scope:
    """The scope that an operation takes. Raises LookupError for one that the table does not know."""
    for scope, operations in OPERATIONS.items():
        if operation in operations:
            return scope
    raise LookupError(f"no scope allows the operation {operation}: add it to accounts/scopes.py")


def scopes_to_give(role: str) -> list[Scope]:
    """The scopes that a member with this role may give to a token: what the role allows, never more."""
    return [scope for scope in Scope if may(role, scope.action)]
