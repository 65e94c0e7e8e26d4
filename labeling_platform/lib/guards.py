"""What every request and every answer passes: a limit before the body is read, and headers for browsers."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string

Answer = Callable[[HttpRequest], HttpResponseBase]
FEATURES = (
    "accelerometer", "autoplay", "bluetooth", "browsing-topics", "camera", "display-capture", "encrypted-media",
    "fullscreen", "geolocation", "gyroscope", "hid", "idle-detection", "local-fonts", "magnetometer", "microphone",
    "midi", "payment", "picture-in-picture", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
"""What a browser could offer to a page and no page here needs. Passkeys (publickey-credentials-*) stay."""

PERMISSIONS = ", ".join(f"{feature}=()" for feature in FEATURES)
FILE_POLICY = "sandbox; default-src 'none'"


class SecurityHeaders:
    """Middleware: no powers for pages, no use of our answers by other sites, and files never act as pages.

    An answer that is saved as a file gets a policy of its own: even a browser that showed it would run nothing.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        if response.headers.get("Content-Disposition", "").startswith("attachment"):
            response.headers["Content-Security-Policy"] = FILE_POLICY
        return response


class BodyLimit:
    """Middleware: a request that says it is larger than REQUEST_MAX_BYTES is answered 413 before it is read.

    One that says no length is read as empty by Django, so this limit holds for every request.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        declared = request.META.get("CONTENT_LENGTH") or "0"
        if not (declared.isascii() and declared.isdigit()):
            return HttpResponse("The length of the request is not a number.", status=400, content_type="text/plain")
        if int(declared[:20]) > settings.REQUEST_MAX_BYTES:
            limit = f"{settings.CSV_MAX_BYTES // 1_000_000:,} MB"
            return HttpResponse(render_to_string("413.html", {"limit": limit}, request), status=413)
        return self.get_response(request)
