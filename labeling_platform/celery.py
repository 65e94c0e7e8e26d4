"""The Celery application; queues, routes and the beat schedule stand in settings.py."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labeling_platform.settings")

app = Celery("labeling_platform")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
