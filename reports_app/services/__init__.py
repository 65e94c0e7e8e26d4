"""What can be done with reports: ask for one, build it, keep it for a while."""

from .building import GAVE_UP, MAX_ATTEMPTS, build_report, fail_report
from .keeping import expire_reports, file_name, find_unbuilt
from .requesting import request_job_report, request_report

__all__ = [
    "GAVE_UP",
    "MAX_ATTEMPTS",
    "build_report",
    "expire_reports",
    "fail_report",
    "file_name",
    "find_unbuilt",
    "request_job_report",
    "request_report",
]
