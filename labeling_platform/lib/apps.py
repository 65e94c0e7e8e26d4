"""The floor of the project as a Django app, for its template tags."""

from django.apps import AppConfig


class LibConfig(AppConfig):
    name = "labeling_platform.lib"
    label = "lib"
