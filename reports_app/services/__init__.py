"""What can be done with reports: ask for one, build it, keep it for a while."""

from .building import GAVE_UP, MAX_ATTEMPTS, build_report, fail_report
from .keeping import expire_reports, file_name, find_unbuilt, media_type
from .requesting import cancel_report, latest_report, request_job_report, request_report

__all__ = [
    "GAVE_UP",
    "MAX_ATTEMPTS",
    "build_report",
    "cancel_report",
    "expire_reports",
    "fail_report",
    "file_name",
    "find_unbuilt",
    "latest_report",
    "media_type",
    "request_job_report",
    "request_report",
]
