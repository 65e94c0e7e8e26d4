"""The WSGI application that gunicorn serves: loaded once (--preload), then forked."""

import os
from importlib import import_module

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labeling_platform.settings")

application = get_wsgi_application()
import_module("labeling_platform.urls")  # else each process reads them while its first visitor waits
