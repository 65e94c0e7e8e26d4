"""Assertions that were used. They are rows of PostgreSQL, so an emptied cache lets none in twice."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.utils import timezone

from labeling_platform.lib.errors import Refused

from ...models import UsedAssertion


def use_once(*, assertion_id: str, until: datetime) -> None:
    """Write down that this assertion was used; forget those that are over by now.

    Refuses one that was used before (`replayed`), whoever brings it.
    """
    UsedAssertion.objects.filter(until__lt=timezone.now()).delete()
    digest = hashlib.sha256(assertion_id.encode()).hexdigest()
    _, is_new = UsedAssertion.objects.get_or_create(digest=digest, defaults={"until": until})
    if not is_new:
        raise Refused("This sign-in was used before. Start again from here.", code="replayed")
