"""What can be done with jobs, their units and their pages."""

from .dispatch import (
    InvalidAnswers,
    Submission,
    page_units,
    release_expired_pages,
    release_page,
    submit_page,
    take_page,
    upcoming_pictures,
)
from .jobs import (
    cancel_job,
    check_routing,
    create_routing_job,
    freeze_design,
    launch_job,
    pause_job,
    resume_job,
    save_design,
    save_settings,
)
from .units import NewUnit, add_units

__all__ = [
    "InvalidAnswers",
    "NewUnit",
    "Submission",
    "add_units",
    "cancel_job",
    "check_routing",
    "create_routing_job",
    "freeze_design",
    "launch_job",
    "page_units",
    "pause_job",
    "release_expired_pages",
    "release_page",
    "resume_job",
    "save_design",
    "save_settings",
    "submit_page",
    "take_page",
    "upcoming_pictures",
]
