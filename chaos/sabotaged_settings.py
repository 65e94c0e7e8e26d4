"""The product's settings with one of its safeguards taken away; only ever used by the harness."""

import os

from labeling_platform.settings import *  # noqa: F403
from labeling_platform.settings import CELERY_BEAT_SCHEDULE, INSTALLED_APPS

from .sabotage import VARIABLE

if os.environ[VARIABLE] == "token":
    INSTALLED_APPS = [*INSTALLED_APPS, "chaos.sabotage.NoTokenCheck"]
if os.environ[VARIABLE] == "sweeper":
    CELERY_BEAT_SCHEDULE = {name: line for name, line in CELERY_BEAT_SCHEDULE.items() if not name.endswith(".sweep")}
