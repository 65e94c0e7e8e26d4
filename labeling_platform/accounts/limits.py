"""Limits of sign-in: what django-axes counts, for whom, and how a lock is told.

Wrong tries count for the pair of e-mail address and client address. Never for the person alone: else anybody could
lock anybody out. The counters are rows of PostgreSQL, so an emptied cache opens nothing.
"""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from labeling_platform.lib.clients import client_address


def tried_email(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """The e-mail address of a try to sign in, in lower case: an address written otherwise is the same person."""
    given = credentials or {}
    text = given.get("email") or given.get("username") or request.POST.get("login") or ""
    return str(text).strip().lower()


def counted_address(request: HttpRequest) -> str | None:
    """The client address that tries count for. Of IPv6 it is the /64 network: a client has all addresses of it."""
    address = client_address(request)
    if address is None or ip_address(address).version == 4:
        return address
    return str(ip_network(f"{address}/64", strict=False).network_address)


def locked_until_minutes(request: HttpRequest, *, email: str) -> int:
    """Whole minutes until this person may try again from this address."""
    found = AccessAttempt.objects.filter(username=email, ip_address=counted_address(request))
    last = found.aggregate(last=Max("attempt_time"))["last"] or timezone.now()
    left: timedelta = last + settings.AXES_COOLOFF_TIME - timezone.now()
    return max(1, -(-int(left.total_seconds()) // 60))


def mark_locked(request: HttpRequest, response: HttpResponse | None, credentials: Any) -> HttpResponse:
    """What django-axes answers to a locked try: the form as it is, which says when to try again, with status 429."""
    answer = response or HttpResponse("Too many wrong tries. Try again later.", content_type="text/plain")
    answer.status_code = 429
    return answer
