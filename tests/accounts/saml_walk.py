"""Chromium signs in by SAML, in a process of its own, and prints what it met. Arguments: our address, the browser."""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, Request, sync_playwright

from ..e2e.guide import launch_browser


def walk(page: Page, base: str) -> dict[str, Any]:
    steps: list[list[Any]] = []
    errors: list[str] = []

    def note(request: Request) -> None:
        if request.is_navigation_request():
            cookies = request.all_headers().get("cookie", "")
            names = sorted(part.split("=")[0].strip() for part in cookies.split(";") if part)
            steps.append([request.method, urlsplit(request.url).hostname, urlsplit(request.url).path, names])

    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{base}/accounts/login/")
    page.on("requestfinished", note)
    page.get_by_role("button", name="Sign in with Corp").click()
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url(f"{base}/**")
    page.wait_for_load_state()
    words = page.locator("main").inner_text()
    return {"steps": steps, "errors": errors, "words": words, "path": urlsplit(page.url).path}


def main(base: str, path: str) -> None:
    with sync_playwright() as playwright:
        browser = launch_browser(playwright, path)
        print(json.dumps(walk(browser.new_page(), base)))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
