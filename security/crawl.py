"""wapiti as a signed-in person over a running server: crawl, fuzz every parameter and form, report as JSON."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

MODULES = "crlf,csp,cookieflags,exec,file,http_headers,permanentxss,redirect,sql,timesql,xss"
PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "pages": (
        "/",
        (
            "/accounts/logout/", "/accounts/password", "/accounts/2fa", "/accounts/sessions", "/delete/", "/people/",
            "/pictures/", "/samples/", "/admin/",
        ),
    ),
    "account": ("/accounts/", ("/accounts/logout/", "/accounts/sessions")),
    "console": ("/admin/", ("/admin/logout/", "/admin/accounts/user/", "/do/delete/")),
    "api": ("/api/v1/", ()),
}  # fmt: skip
"""Where a scan begins, and what it leaves out: signing out, ending sessions, changing oneself, deleting would only end
it; hundreds of pictures would only fill it."""


def sign_in(base: str, email: str, password: str) -> str:
    """The cookies of somebody who has just signed in, as a header's value. Raises ValueError when that failed."""
    jar = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    page = browser.open(f"{base}/accounts/login/", timeout=20).read().decode()
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    fields = {"login": email, "password": password, "csrfmiddlewaretoken": found[1] if found else ""}
    request = urllib.request.Request(
        f"{base}/accounts/login/", urllib.parse.urlencode(fields).encode(), {"Referer": f"{base}/accounts/login/"}
    )
    browser.open(request, timeout=20).read()
    cookies = {cookie.name: cookie.value or "" for cookie in jar}
    if not any("session" in name for name in cookies):
        raise ValueError(f"{email} could not sign in")
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def crawl(
    program: Path, base: str, door: list[str], *, seconds: int, folder: Path, part: str = "pages"
) -> dict[str, Any]:
    """Run wapiti so long at most over a part. Returns its report; the crawler's own store goes into `folder`.

    `door` lets it in: cookies, or for the API a token. The API has no links: its OpenAPI document says what there is.
    """
    report = folder / "wapiti.json"
    start, excluded = PARTS[part]
    more = ["--swagger", f"{base}/api/v1/openapi.json"] if part == "api" else []
    command = [
        str(program), "-u", f"{base}{start}", *door, "-m", MODULES, "--scope", "folder", "-d", "8", "-t", "15",
        "--max-links-per-page", "60", "--max-files-per-dir", "30", "--max-parameters", "30", "-S", "normal",
        "--max-scan-time", str(seconds // 4), "--max-attack-time", str(max(5, seconds // 15)), "--tasks", "4",
        "--store-session", str(folder), "--store-config", str(folder), "-f", "json", "-o", str(report), "-v", "1",
        "--no-bugreport", "--flush-session", *more,
        *(word for path in excluded for word in ("-x", f"{base}*{path}*")),
    ]  # fmt: skip
    with open(folder / "wapiti.log", "wb") as log:
        try:
            subprocess.run(command, stdout=log, stderr=log, timeout=seconds + 120, check=False)
        except subprocess.TimeoutExpired:
            return {"unfinished": True, "vulnerabilities": {}}
    found: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {"unfinished": True}
    return found


def findings(report: dict[str, Any]) -> list[str]:
    """One line for each thing that wapiti reports: what and where, then how."""
    return [
        f"{kind} {item.get('method')} {item.get('path')}: {item.get('parameter') or ''} {item.get('info')}"
        for part in ("vulnerabilities", "anomalies")
        for kind, items in (report.get(part) or {}).items()
        for item in items
    ]
