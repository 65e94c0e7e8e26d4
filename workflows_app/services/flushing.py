"""When a workflow has no more rows for now, what it left waiting in its job is launched."""

from __future__ import annotations

from jobs_app.services import launch_queued
from workflows_app.models import Workflow, WorkflowRow
from workflows_app.states import RowState


def flush_routed(*, workflow: Workflow) -> int:
    """Launch the rows that wait in the job to be launched together, once no row of the workflow awaits prediction.

    Returns how many. Whoever finishes the last rows looks afterwards, so nobody has to be sure to be the last; should
    a worker die in between, the job's timeout launches them.
    """
    job = workflow.job
    if job is None or job.auto_launch_threshold <= 1:
        return 0
    if WorkflowRow.objects.filter(workflow=workflow, state=RowState.AWAITING).exists():
        return 0
    return launch_queued(job=job)
