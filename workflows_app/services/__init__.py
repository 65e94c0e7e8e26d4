"""What can be done with workflows: set up, data, launching, and the dispatch of rows."""

from workflows_app.ingest import read_rows

from .data import cancel_upload, clear_canceled, confirm_upload, discard_upload, find_canceled, receive_rows
from .dispatch import (
    Claim,
    claim_rows,
    extend_leases,
    fail_poisoned,
    find_unread,
    finish_rows,
    predict_rows,
    release_rows,
    retry_failed,
)
from .flushing import flush_routed
from .launching import LaunchProblem, job_problems, launch, launch_problems, turn_off, turn_on, upload_problem
from .pausing import pause, resume
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
from .turns import Hint, find_hints, hands_wanted, next_turn, runs_elsewhere, take_turn

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
    "find_canceled",
    "find_hints",
    "find_unread",
    "finish_rows",
    "flush_routed",
    "hands_wanted",
    "job_choices",
    "job_problems",
    "knows_distances",
    "launch",
    "launch_problems",
    "model_choices",
    "next_turn",
    "pause",
    "predict_rows",
    "read_rows",
    "receive_rows",
    "release_rows",
    "resume",
    "retry_failed",
    "runs_elsewhere",
    "take_turn",
    "turn_off",
    "turn_on",
    "upload_problem",
]
