"""What can be done with workflows: set up, data, launching, and the dispatch of rows."""

from workflows_app.ingest import read_rows

from .data import cancel_upload, clear_canceled, confirm_upload, discard_upload, find_canceled, receive_rows
from .dispatch import (
    Claim,
    Hint,
    claim_rows,
    extend_leases,
    fail_poisoned,
    find_hints,
    find_unread,
    finish_rows,
    hands_wanted,
    predict_rows,
    release_rows,
    retry_failed,
)
from .flushing import flush_routed
from .launching import LaunchProblem, job_problems, launch, launch_problems, turn_off, turn_on, upload_problem
from .setup import (
    Automation,
    JobChoice,
    ModelChoice,
    automation,
    create_workflow,
    delete_workflow,
    edit_workflow,
    job_choices,
    knows_distances,
    model_choices,
)

__all__ = [
    "Automation",
    "Claim",
    "Hint",
    "JobChoice",
    "LaunchProblem",
    "ModelChoice",
    "automation",
    "cancel_upload",
    "claim_rows",
    "clear_canceled",
    "confirm_upload",
    "create_workflow",
    "delete_workflow",
    "discard_upload",
    "edit_workflow",
    "extend_leases",
    "fail_poisoned",
    "find_hints",
    "find_unread",
    "find_canceled",
    "finish_rows",
    "flush_routed",
    "hands_wanted",
    "job_choices",
    "job_problems",
    "knows_distances",
    "launch",
    "launch_problems",
    "model_choices",
    "predict_rows",
    "read_rows",
    "receive_rows",
    "release_rows",
    "retry_failed",
    "turn_off",
    "turn_on",
    "upload_problem",
]
