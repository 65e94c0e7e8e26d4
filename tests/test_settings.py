"""Settings of production: what browsers are told, where secrets come from, what the checks complain about."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core import signing
from django.db import connection
from django.test import Client
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

from labeling_platform.lib.checks import pictures_come_from_elsewhere, role_problems, secrets_are_set
from labeling_platform.lib.environment import Variables
from labeling_platform.lib.guards import FEATURES, FILE_POLICY

PROJECT = Path(__file__).resolve().parent.parent
PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "labeling_platform.settings",
    "SECRET_KEY": "kJ8s-aZ72mQxv0dR5tYhB31nLw9cUeGfPi4oTyXzVq6SbMlHrD",
    "PUBLIC_URL": "https://labeling.example.com",
    "ALLOWED_HOSTS": "labeling.example.com",
    "METRICS_TOKEN": "a-token-of-more-than-16-characters",
    "EMAIL_URL": "smtp://mail.example.com:25",
    "IMAGE_FETCH_ALLOW": "",
}
DIRECTIVES = {
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:", "font-src 'self'",
    "connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'", "manifest-src 'self'",
}  # fmt: skip


def production(*arguments: str, unset: tuple[str, ...] = (), **more: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in (os.environ | PRODUCTION | more).items() if name not in unset}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False)


def test_a_deployment_as_the_example_has_it_passes_every_check() -> None:
    done = production("manage.py", "check", "--deploy", "--fail-level", "WARNING", "--database", "default")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_careless_deployment_is_told_everything() -> None:
    careless = {
        "PUBLIC_URL": "http://labeling.example.com",
        "DEBUG": "true",
        "METRICS_TOKEN": "",
        "IMAGE_FETCH_ALLOW": "127.0.0.1:9000,10.0.0.0/8",
        "EMAIL_URL": "consolemail://",
        "ALLOWED_HOSTS": "*",
        "CLASSIFIER_BACKENDS": "local,digest",
    }
    done = production("manage.py", "check", "--deploy", "--fail-level", "WARNING", **careless)
    assert done.returncode == 1
    said = {
        "lib.E001", "lib.E002", "lib.E003", "lib.E004", "lib.W001", "lib.W002", "models_app.E001", "security.W018",
    }  # fmt: skip
    assert [name for name in said if name not in done.stderr] == []


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        ("", False), ("10.0.0.0/8", False), ("pictures.example:8080", False), ("127.0.0.1:9000", True),
        ("[::1]:80", True),
        ("localhost", True), ("a.localhost:80", True), ("0.0.0.0/0", True), ("169.254.169.254", True), ("::/0", True),
    ],
)  # fmt: skip
def test_this_machine_is_no_source_of_pictures(allowed: str, refused: bool, settings: Any) -> None:
    settings.IMAGE_FETCH_ALLOW = tuple(filter(None, [allowed]))
    assert [found.id for found in pictures_come_from_elsewhere(None)] == (["lib.E001"] if refused else [])


def test_the_checks_are_quiet_about_good_settings(settings: Any) -> None:
    settings.PUBLIC_URL, settings.METRICS_TOKEN, settings.ALLOWED_HOSTS = "https://a.example", "x" * 16, ["a.example"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    assert secrets_are_set(None) == []


@pytest.mark.django_db
def test_the_role_of_the_product_is_small_and_that_of_migrations_is_not() -> None:
    assert role_problems(connection) == []
    owner = settings.DATABASE_OWNER_URL or os.environ.get("DATABASE_OWNER_URL", "")
    if not owner:
        pytest.skip("one role only")
    import environ
    import psycopg2

    found = environ.Env.db_url_config(owner)
    with psycopg2.connect(
        host=found["HOST"] or None, port=found["PORT"] or None, user=found["USER"], password=found["PASSWORD"],
        dbname=connection.settings_dict["NAME"],
    ) as other:  # fmt: skip
        said = " ".join(role_problems(other))
    assert "tables (itself or through another role)" in said
    assert "can make tables" in said


SHOW = """
import json, os, django; django.setup()
from django.conf import settings as s
print(json.dumps({name: str(getattr(s, name)) for name in dir(s) if name.isupper()} | {
    "AWS": os.environ.get("AWS_SECRET_ACCESS_KEY", "")}))
"""


def shown(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_https_brings_hsts_and_cookies_of_one_host() -> None:
    found = shown(production("-c", SHOW))
    assert found["SESSION_COOKIE_NAME"] == "__Host-sessionid"
    assert found["CSRF_COOKIE_NAME"] == "__Host-csrftoken"
    on = dict.fromkeys(("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_PRELOAD"), "True")
    on |= {"SESSION_COOKIE_HTTPONLY": "True", "CSRF_COOKIE_HTTPONLY": "True", "SECURE_SSL_REDIRECT": "True"}
    assert {name: found[name] for name in on} == on
    assert found["SECURE_HSTS_SECONDS"] == "31536000"
    assert found["SESSION_COOKIE_SAMESITE"] == "Lax"
    # A __Host- cookie with another path or a domain would be refused by browsers.
    assert (found["SESSION_COOKIE_PATH"], found["CSRF_COOKIE_PATH"]) == ("/", "/")
    assert (found["SESSION_COOKIE_DOMAIN"], found["CSRF_COOKIE_DOMAIN"]) == ("None", "None")


def test_every_secret_can_come_from_a_file(tmp_path: Path) -> None:
    values = {
        "SECRET_KEY": "from-a-file-" + "x9Kq" * 12,
        "DATABASE_URL": "postgres://someone:pass-from-file@db.example/labeling",
        "METRICS_TOKEN": "token-from-a-file-1234",
        "REDIS_URL": "redis://:broker-secret@valkey:6379/0",
        "AWS_SECRET_ACCESS_KEY": "aws-from-a-file",
        "EMAIL_URL": "smtp://user:mail-secret@mail.example.com:25",
    }
    files = {}
    for name, value in values.items():
        (tmp_path / name).write_text(value + "\n")
        files[f"{name}_FILE"] = str(tmp_path / name)
    found = shown(production("-c", SHOW, unset=(*values, "CELERY_BROKER_URL"), **files))
    assert found["SECRET_KEY"] == values["SECRET_KEY"]
    assert "'PASSWORD': 'pass-from-file'" in found["DATABASES"]
    assert found["METRICS_TOKEN"] == values["METRICS_TOKEN"]
    assert found["CELERY_BROKER_URL"] == values["REDIS_URL"]
    assert found["AWS"] == "aws-from-a-file"
    assert found["EMAIL_HOST_PASSWORD"] == "mail-secret"


def test_a_variable_comes_before_its_file_and_a_missing_file_is_named_without_its_path(tmp_path: Path) -> None:
    assert Variables({"A": "1", "A_FILE": "nowhere"})["A"] == "1"
    with pytest.raises(ValueError, match=r"^The file that A_FILE names cannot be read: FileNotFoundError\.$"):
        Variables({"A_FILE": "/nowhere/secret"})["A"]


def test_without_a_key_nothing_starts() -> None:
    done = production("-c", "import django; django.setup()", unset=("SECRET_KEY",))
    assert done.returncode == 1
    assert "Set SECRET_KEY or SECRET_KEY_FILE" in done.stderr


def test_what_an_earlier_key_signed_counts_until_it_is_taken_out(settings: Any) -> None:
    settings.SECRET_KEY = "old-" + "0" * 60
    signed = signing.dumps({"team": 1})
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new-" + "1" * 60, [settings.SECRET_KEY]
    assert signing.loads(signed) == {"team": 1}
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(signing.BadSignature):
        signing.loads(signed)


def test_a_change_of_key_signs_nobody_out(owner: Any, team: Any, client_for: Any, settings: Any) -> None:
    came, stayed_away = client_for(owner), client_for(owner)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new-" + "1" * 60, [settings.SECRET_KEY]
    page = reverse("jobs:list", args=[team.slug])
    assert came.get(page).status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert (came.get(page).status_code, stayed_away.get(page).status_code) == (200, 302)


def policy(response: Any) -> set[str]:
    return {part.strip() for part in response["Content-Security-Policy"].split(";") if part.strip()}


def test_every_answer_tells_browsers_to_be_careful(owner: Any, team: Any, client_for: Any) -> None:
    for response in (client_for(owner).get(reverse("jobs:list", args=[team.slug])), Client().get("/accounts/login/")):
        assert response.status_code == 200
        assert policy(response) == DIRECTIVES
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["X-Frame-Options"] == "DENY"
        assert response["Referrer-Policy"] == "same-origin"
        assert response["Cross-Origin-Opener-Policy"] == "same-origin"
        assert response["Cross-Origin-Resource-Policy"] == "same-origin"
        assert all(f"{feature}=()" in response["Permissions-Policy"] for feature in FEATURES)


def test_errors_and_files_carry_the_headers_too(owner: Any, team: Any, client_for: Any) -> None:
    missing = Client().get("/nowhere/")
    assert (missing.status_code, policy(missing)) == (404, DIRECTIVES)
    for nowhere in ("/api/v1/", "/api/v1/models/1/2/3"):  # answers that are put in the place of pages
        answer = Client().get(nowhere)
        assert (answer.status_code, answer["Content-Type"], policy(answer)) == (404, "application/json", DIRECTIVES)
        assert (answer["X-Frame-Options"], answer["Referrer-Policy"]) == ("DENY", "same-origin")
    file = Client().get("/samples/training.csv")
    assert (file.status_code, file["Content-Security-Policy"]) == (200, FILE_POLICY)
    assert file["X-Content-Type-Options"] == "nosniff"


def test_the_console_differs_in_two_words_only(csm: Any, client_for: Any) -> None:
    """Unfold evaluates expressions (Alpine) and has style attributes; nothing inline is run as a script."""
    page = client_for(csm).get("/admin/")
    assert policy(page) ^ DIRECTIVES == {
        "script-src 'self'", "script-src 'self' 'unsafe-eval'", "style-src-attr 'unsafe-inline'",
    }  # fmt: skip
    assert "<style" not in page.content.decode()


def test_the_consoles_colours_are_unfolds(rf: Any) -> None:
    """They stand in a file, for the pages may not have a style element."""
    colors = UnfoldAdminSite(name="x")._get_colors("COLORS", rf.get("/"))
    lines = [f"--color-{name}-{weight}: {value};" for name, of in colors.items() for weight, value in of.items()]
    text = (Path(settings.BASE_DIR) / "static" / "css" / "console-colors.css").read_text()
    assert [line.strip() for line in text.splitlines() if "--" in line] == lines


def test_a_request_too_large_is_refused_before_it_is_read(
    owner: Any, team: Any, client_for: Any, settings: Any
) -> None:
    settings.CSV_MAX_BYTES, settings.REQUEST_MAX_BYTES = 1_000_000, 1_000_000
    client = client_for(owner)
    address = reverse("workflows:list", args=[team.slug])
    answer = client.post(address, data=b"x" * 1_000_001, content_type="application/octet-stream")
    assert answer.status_code == 413
    assert "A CSV may have at most 1 MB" in answer.content.decode()
    for length in ("-5", "x", "1e9", "٣", " "):
        assert client.get(address, CONTENT_LENGTH=length).status_code == 400
    assert client.get(address, CONTENT_LENGTH="9" * 5000).status_code == 413
