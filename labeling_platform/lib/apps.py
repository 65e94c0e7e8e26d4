"""The floor of the project as a Django app: its template tags, and the Celery application for every process.

The import makes ours the application that tasks are sent through; without it a web process would send them
through a default one that has no broker.
"""

from django.apps import AppConfig

from labeling_platform.celery import app as celery_app

__all__ = ["LibConfig", "celery_app"]


class LibConfig(AppConfig):
    name = "labeling_platform.lib"
    label = "lib"

    def ready(self) -> None:
        from . import checks, wall  # noqa: F401 - the first registers itself, the second builds itself onto connections
