"""Stored texts stay texts: every text column of every row holds an attack, and every page is looked at."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django_scopes import scopes_disabled

from jobs_app.models import Job, TestQuestion
from labeling_platform.accounts.models import Invitation, User
from labeling_platform.accounts.services import record
from labeling_platform.lib.guards import FILE_POLICY

from .nasty import EVERYTHING, MARK, NASTY, dangers, saturate, short
from .test_tenancy import TABLE, World, address, make_world

PROJECT = Path(__file__).resolve().parent.parent
TURNS = int(os.environ.get("NASTY_TURNS", "2"))
"""24 turns put every attack into every short column once; the long ones hold all of them at once in each turn."""

PAGES = [name for name, (methods, _) in TABLE.items() if "GET" in methods]


def design(turn: int) -> str:
    """A design that is right and shows the attacks, and one that is only attacks."""
    if turn % 2:
        return EVERYTHING
    text = quoteattr(short(turn, 1))
    radios = "".join(f"<cml:radio label={quoteattr(nasty)} value='{number}'/>" for number, nasty in enumerate(NASTY))
    return (
        f"<p class={text} title={text}>{EVERYTHING.replace('cml:', '')}</p><img src='{{{{image_url}}}}' alt={text}/>"
        f"<p>{{{{sku}}}} {{{{list}}}}</p><a href='{{{{sku}}}}'>link</a><a href={text}>link</a>"
        f"<cml:text label={text} name='note' instructions={text} default={text}/>"
        f"<cml:radios label={text} name='image_category' validates='required' gold='true' instructions={text}>"
        f"{radios}</cml:radios>"
    )


def nasty_world(world: World, turn: int, team: Any = None) -> int:
    """Attacks in every text of every row (of the team, when one is given)."""
    written = saturate(turn, team=team)
    mine = {"team": world["team"]}
    with scopes_disabled():
        Job.objects.filter(**mine).update(cml=design(turn), instructions=EVERYTHING)
        TestQuestion.objects.filter(**mine).update(
            answers={"image_category": ["1"]}, reasons={"image_category": EVERYTHING}
        )
        Invitation.objects.filter(**mine).update(email=f"{NASTY[turn]}@x.example"[:254], max_uses=1)
        record(team=world["team"], actor=world["people"]["owner"], verb="job made", obj=world["job"])
        for key in ("team", "people"):
            found = world[key]
            for thing in found.values() if isinstance(found, dict) else [found]:
                thing.refresh_from_db()
    return written


def look(client: Client, url: str, **data: Any) -> tuple[int, str]:
    response = client.get(url, data)
    kind = response.get("Content-Type", "")
    if "attachment" in response.get("Content-Disposition", ""):
        assert response["Content-Security-Policy"] == FILE_POLICY
        assert response["X-Content-Type-Options"] == "nosniff"
        assert "html" not in kind
        assert "\n" not in response["Content-Disposition"]
        return response.status_code, ""
    return response.status_code, response.content.decode() if "html" in kind else ""


@pytest.fixture
def world(db: None) -> World:
    with scopes_disabled():
        return make_world("ours")


def test_no_page_of_a_team_takes_a_text_for_more(world: World, client_for, csm: User, tmp_path: Path) -> None:
    shown, looked = set(), 0
    for turn in range(TURNS):
        assert nasty_world(world, turn) > 60
        owner, worker = (client_for(world["people"][role]) for role in ("owner", "contributor"))
        for name in PAGES:
            url = address(name, world, world["team"])
            for client in (worker,) if name.startswith("contribute:") else (owner,):
                for headers in ({}, {"HTTP_HX_REQUEST": "true"})[: 1 + turn % 2]:
                    client.defaults.update(headers)
                    status, page = look(client, url)
                    client.defaults.clear()
                    assert status in {200, 302, 404, 409}, f"{name}: {status}"
                    assert dangers(page) == [], f"turn {turn}, {name}"
                    looked += 1
                    if MARK in page:
                        shown.add(name)
                        (tmp_path / f"{turn}-{name.replace(':', '-')}-{len(headers)}.html").write_text(page)
    assert looked >= TURNS * len(PAGES)
    print(f"{len(NASTY)} attacks, {looked} pages looked at, {len(shown)} of {len(PAGES)} show one")
    assert len(shown) > 45, sorted(set(PAGES) - shown)
    parsed_by_a_browser(tmp_path)


def parsed_by_a_browser(folder: Path) -> None:
    """The same pages through Chromium's own parser: what it makes of them has none of it either."""
    if os.environ.get("BROWSER_MISSING") or not (os.environ.get("CHROMIUM_PATH") or shutil.which("chromium")):
        return
    command = [sys.executable, "-m", "tests.nasty_parse", str(folder)]
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["pages"] == len(list(folder.glob("*.html")))
    assert found["dangers"] == []


def test_no_page_of_the_console_takes_a_text_for_more(world: World, client_for, csm: User) -> None:
    nasty_world(world, 0)
    client, looked = client_for(csm), 0
    for model in admin.site._registry:
        response = client.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"))
        if response.status_code == 200:
            found = [part for part in dangers(response.content.decode()) if MARK in part or "raw" in part]
            assert found == [], model
            looked += 1
    assert looked > 8


@pytest.mark.parametrize("text", NASTY)
def test_no_page_without_a_team_repeats_what_it_was_asked(text: str, db: None) -> None:
    client = Client()
    for url, data in (
        ("/accounts/login/", {"next": text}),
        (f"/t/{MARK}/{text.replace('/', '')}", {}),
        (f"/invite/{text.replace('/', '')}/", {}),
        ("/nowhere", {text: text}),
    ):
        status, page = look(client, url, **data)
        assert status in {200, 301, 302, 404, 410}
        assert dangers(page) == []
    answer = client.post("/accounts/login/", {"login": text, "password": text, "next": text})
    assert dangers(answer.content.decode()) == []


def test_names_of_files_stay_names(world: World, client_for) -> None:
    """A name with quotes, lines, slashes: one header, saved as text, never shown as a page."""
    for name in ('a"; filename="b.html', "a\r\nSet-Cookie: x=1", "../../etc/passwd", "<b>.html", "ü" * 80, "a.html"):
        with scopes_disabled():
            type(world["rows"]).objects.update(original_name=name)
        response = client_for(world["people"]["owner"]).get(address("jobs:upload_file", world, world["team"]))
        assert response.status_code == 200
        assert response["Content-Type"].startswith("text/csv")
        assert response["Content-Disposition"].startswith("attachment")
        assert not response.cookies


def test_a_picture_of_a_team_is_drawn_anew_and_sandboxed(world: World, client_for) -> None:
    response = client_for(world["people"]["owner"]).get(address("teams:picture", world, world["team"]))
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Type"] in {"image/jpeg", "image/svg+xml"}


def test_the_look_finds_what_it_looks_for() -> None:
    for text in NASTY:
        page = f'<p>{text}</p><a title="{text}"></a><textarea>{text}</textarea>'
        if "<" in text or '"' in text:
            assert dangers(page), text
    assert dangers(f"<a href=\" java\nscript:alert('{MARK}')\">x</a>")
    assert dangers('<p title="&lt;xss7f&gt;">&lt;xss7f&gt;</p>') == []
