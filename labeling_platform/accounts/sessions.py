"""Where a person is signed in: kept up to date cheaply, and named in words."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

SEEN, SEEN_EVERY_SECONDS = "seen_at", 300
BROWSERS = [
    ("Edg(?:e|A|iOS)?/", "Edge"),
    ("OPR/|Opera", "Opera"),
    ("Firefox/|FxiOS/", "Firefox"),
    ("Chrome/|CriOS/|Chromium/", "Chrome"),
    ("Safari/", "Safari"),
]
SYSTEMS = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X|Macintosh", "Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
]


class LastSeen:
    """Middleware: notes when and from where a session was used last, once in five minutes.

    allauth's own middleware does so at every request, which costs each labeling page four statements.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Without the cookie nobody is asked, so that answers for everybody do not depend on cookies.
        may_know = settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated
        if may_know and time.time() - request.session.get(SEEN, 0) > SEEN_EVERY_SECONDS:
            request.session[SEEN] = time.time()
            UserSession.objects.create_from_request(request)
        return self.get_response(request)


@receiver(user_logged_in)
def note_first_use(request: HttpRequest, **kwargs: Any) -> None:
    """A sign-in counts as use; allauth keeps the session's row then."""
    request.session[SEEN] = time.time()


def device(user_agent: str) -> str:
    """Browser and system in words, like “Firefox on Linux”, as far as the header of the browser tells."""
    browser = _first(BROWSERS, user_agent)
    system = _first(SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "Unknown device"


def _first(names: list[tuple[str, str]], text: str) -> str:
    return next((name for pattern, name in names if re.search(pattern, text)), "")
