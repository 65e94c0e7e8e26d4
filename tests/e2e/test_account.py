"""One's own account in a browser: passkeys with Chromium's virtual authenticator, sessions, pages in both themes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import Running, is_error
from .test_invite import check

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def device(browser: Browser) -> Iterator[Page]:
    """A window on a device that keeps passkeys; faults in the console, such as breaches of the CSP, fail the test."""
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if is_error(message) else None)
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    yield page
    context.close()
    assert errors == []


def enter(page: Page, base: str, running: Running, name: str) -> None:
    page.goto(f"{base}/accounts/login/")
    page.get_by_label("Email").fill(f"{name}@e2e.example")
    page.get_by_label("Password").fill(running.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{base}/t/e2e/**")


def test_a_passkey_is_made_renamed_used_and_removed(running: Running, device: Page) -> None:
    page, base = device, running.base.replace("127.0.0.1", "localhost")
    enter(page, base, running, "vi")
    page.goto(f"{base}/accounts/profile/")
    findings = check(page)
    page.goto(f"{base}/accounts/2fa/")
    findings += check(page)
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Password").fill(running.password)
    page.get_by_role("button", name="Confirm").click()
    findings += check(page)
    page.get_by_label("Name").fill("Laptop")
    page.get_by_role("button", name="Add the passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    findings += check(page)
    page.get_by_role("link", name="Back").click()
    page.get_by_role("link", name="Manage 1 passkey").click()
    findings += check(page)
    page.get_by_role("link", name="Rename Laptop").click()
    page.get_by_label("Name").fill("Old laptop")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("cell", name="Old laptop Signs in alone")).to_be_visible()

    page.goto(f"{base}/accounts/sessions/")
    findings += check(page)
    page.get_by_role("button", name="Sign out here").click()
    page.goto(f"{base}/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(f"{base}/t/e2e/**")

    page.goto(f"{base}/accounts/2fa/webauthn/")
    page.get_by_role("link", name="Remove Old laptop").click()
    if page.get_by_role("heading", name="Confirm that it is you").is_visible():
        page.get_by_label("Password").fill(running.password)
        page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("You have no passkey yet.")).to_be_visible()
    assert findings == []


def test_a_page_opened_at_a_number_says_where_passkeys_work(running: Running, device: Page) -> None:
    device.goto(f"{running.base}/accounts/login/")
    expect(device.get_by_text("Passkeys are bound to a host name")).to_be_visible()
    expect(device.get_by_role("button", name="Sign in with a passkey")).to_have_count(0)
    device.get_by_role("link", name="Open this page at localhost").click()
    expect(device.get_by_role("button", name="Sign in with a passkey")).to_be_visible()


def test_the_team_menu_works_by_keyboard_and_leads_from_account_pages_to_a_team(running: Running, device: Page) -> None:
    page, base = device, running.base.replace("127.0.0.1", "localhost")
    enter(page, base, running, "bo")
    page.goto(f"{base}/accounts/profile/")
    page.set_viewport_size({"width": 390, "height": 800})
    menu = page.locator(".team-button")
    menu.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator(".team-menu").get_by_role("link", name="E2E")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base}/t/e2e/**")
