"""SAML in the real browser: our site and the provider's are two sites, so cookies and the strict policy count."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labeling_platform.accounts.models import User

from .saml import IdentityProvider

pytestmark = pytest.mark.e2e
PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def idp(settings) -> Iterator[IdentityProvider]:
    provider = IdentityProvider()
    settings.SOCIALACCOUNT_PROVIDERS = provider.app()
    settings.SSO_EMAIL_DOMAINS = ("corp.example",)
    yield provider
    provider.stop()


def walked(address: str) -> dict[str, Any]:
    if reason := os.environ.get("BROWSER_MISSING"):
        pytest.skip(f"no browser: {reason}")
    browser = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium") or shutil.which("google-chrome") or ""
    program = [sys.executable, "-m", "tests.accounts.saml_walk", address, browser]
    done = subprocess.run(program, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_browser_signs_in_although_it_keeps_the_session_from_the_other_site(live_server, idp) -> None:
    seen = walked(f"http://localhost:{live_server.thread.port}")
    assert (seen["errors"], seen["path"]) == ([], "/")
    assert "You are not in a team yet" in seen["words"]
    assert seen["steps"][:5] == [
        ["POST", "localhost", "/accounts/sso/saml/login/", ["csrftoken"]],
        ["GET", "127.0.0.1", "/sso", []],
        ["POST", "localhost", "/accounts/sso/saml/acs/", []],
        ["GET", "localhost", "/accounts/sso/saml/acs/finish/", ["csrftoken", "saml-answer", "sessionid"]],
        ["GET", "localhost", "/", ["csrftoken", "messages", "sessionid"]],
    ]
    assert User.objects.get().email == "new@corp.example"


def test_a_browser_is_told_that_it_was_not_signed_in(live_server, idp) -> None:
    idp.signs = set()
    seen = walked(f"http://localhost:{live_server.thread.port}")
    assert "an answer that we cannot trust" in seen["words"]
    assert seen["path"] == "/accounts/sso/saml/acs/"
    assert User.objects.count() == 0
