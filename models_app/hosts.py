"""Which services a connection may talk to: the operator's list, and none of IBM's that have ended.

Pure: no Django. Asked when a connection is saved and again whenever it is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

ENDED = (".watson.cloud.ibm.com", ".watsonplatform.net")
ENDED_WORDS = (
    "IBM's hosted Visual Recognition ended on 2021-12-01; nothing answers at this address any more. A connection "
    "talks to another server that speaks its protocol, for example another instance of this platform."
)
NONE_LISTED = (
    "This installation allows no service yet, so no connection can be made. Who runs it names the allowed ones in the "
    "setting WATSON_HOSTS."
)
USUAL = {"https": 443, "http": 80}


def url_problem(url: str, allowed: Iterable[str]) -> str:
    """Why this address cannot be used, in words; empty when it can.

    `allowed` are entries host (https on its usual port) or host:port (https or http on that port).
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return "This is not an address. It begins with https:// and a host."
    if problem := _shape_problem(url, parts, host):
        return problem
    if f".{host}".endswith(ENDED):
        return ENDED_WORDS
    entries = {entry.strip().lower() for entry in allowed if entry.strip()}
    if not entries:
        return NONE_LISTED
    name = f"[{host}]" if ":" in host else host
    if f"{name}:{port or USUAL[parts.scheme]}" in entries:
        return ""
    if name in entries and (port or 443) == 443:
        return "" if parts.scheme == "https" else f"Use https:// for {host}: the key would be sent for all to read."
    return (
        f"{name}{f':{port}' if port else ''} is not among the services that this installation allows. Who runs it adds "
        "them to the setting WATSON_HOSTS."
    )


def _shape_problem(url: str, parts: SplitResult, host: str) -> str:
    if not url.isascii() or any(sign.isspace() or sign == "\\" for sign in url):
        return "An address has plain letters and no spaces."
    if parts.scheme not in USUAL or not host:
        return "This is not an address. It begins with https:// and a host."
    if parts.username is not None or parts.password is not None:
        return "Leave out the user name and password here; there are fields of their own for them."
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return "Leave out everything from ? or # on."
    return ""


def origin_of(url: str) -> str:
    """The address without its path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def host_of(url: str) -> str:
    """Host and port, for people."""
    return urlsplit(url).netloc
