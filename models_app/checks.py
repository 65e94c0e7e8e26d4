"""What `manage.py check --deploy` says about classifiers."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from .backends import REHEARSAL


@register(Tags.security, deploy=True)
def no_rehearsal_backend(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A backend that only pretends to classify must not be offered to customers."""
    return [
        Error(
            f"CLASSIFIER_BACKENDS names “{kind}”, which answers without looking at pictures.",
            hint="Take it out; it is for rehearsals (script/chaos).",
            id="models_app.E001",
        )
        for kind in sorted(REHEARSAL & set(settings.CLASSIFIER_BACKENDS))
    ]
