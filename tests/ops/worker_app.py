"""The Celery application of a worker process that a test starts: the real one, with the backend `tiny`."""

import time

from labeling_platform.celery import app
from models_app.backends import KINDS

KINDS["tiny"] = "tests.workflows_app.conftest.TinyBackend"

__all__ = ["app"]


@app.task(name="tests.hang", time_limit=2)
def hang() -> None:
    """Run for longer than it may."""
    time.sleep(300)
