"""Every address of the console, asked for by everybody, against a written table: only staff get in."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse
from django_scopes import scopes_disabled

from labeling_platform.accounts.models import Membership, Organization, Team, TeamFeature, User
from labeling_platform.console.team_actions import ACTIONS
from tests.conftest import make_person
from tests.test_tenancy import make_world

# What a member of staff who is no superuser gets, page by page of each model:
# L list, V one (looked at), C one (changed), A added, D deleted, * actions that change something.
# What is not in it answers 403 to staff; everybody else gets the sign-in page, whatever it is.
STAFF: dict[str, str] = {
    "accounts.user": "LVC",
    "accounts.organization": "LVCA",
    "accounts.team": "LVCA*",
    "accounts.activity": "LV",
    "models_app.custommodel": "LV",
    "models_app.modelversion": "LV*",
    "models_app.trainingupload": "LV",
    "models_app.evaluation": "LV",
    "models_app.watsonconnection": "LVA*",
    "jobs_app.job": "LV",
    "workflows_app.workflow": "LV*",
    "workflows_app.workflowupload": "LV",
    "workflows_app.workflowrow": "LV",
    "reports_app.report": "LV",
    "account.emailaddress": "",
    "account.emailconfirmation": "",
    "socialaccount.socialaccount": "",
    "socialaccount.socialapp": "",
    "socialaccount.socialtoken": "",
    "usersessions.usersession": "",
    "axes.accessattempt": "",
    "axes.accesslog": "",
    "axes.accessfailurelog": "",
}
# The console's own pages: name -> (method, what staff get).
OWN: dict[str, tuple[str, int]] = {
    "index": ("GET", 200),
    "search": ("GET", 200),
    "team_find": ("GET", 200),
    "team_page": ("GET", 200),
    "team_do": ("POST", 422),
    "team_usage_csv": ("GET", 200),
    "usage_csv": ("GET", 200),
    "log": ("GET", 200),
    "log_csv": ("GET", 200),
    "password_change": ("GET", 200),
    "password_change_done": ("GET", 200),
    "jsi18n": ("GET", 200),
    "autocomplete": ("GET", 403),
    "view_on_site": ("GET", 404),
    "app_list": ("GET", 200),
    "auth_user_password_change": ("GET", 403),
}
OPEN = {"login", "logout"}
"""The two pages that are there for people who are not in yet, or any more."""
OUTSIDE = ["anonymous", "stranger", "viewer", "contributor", "member", "owner"]
ACTIONS_OF_ALL = {"delete_selected"}


def patterns(resolver: Any, prefix: str = "") -> list[tuple[str, URLPattern]]:
    found: list[tuple[str, URLPattern]] = []
    for item in resolver:
        if isinstance(item, URLResolver):
            found += patterns(item.url_patterns, prefix + str(item.pattern))
        else:
            found.append((prefix + str(item.pattern), item))
    return found


def all_patterns() -> list[tuple[str, URLPattern]]:
    return patterns(admin.site.urls[0])


def labels() -> dict[str, Any]:
    return {kind._meta.label_lower: kind for kind in admin.site._registry}


def kind_of(name: str | None) -> tuple[str, str]:
    """accounts_team_change -> (accounts.team, change); other names -> ("", name)."""
    for label, kind in labels().items():
        start = f"{kind._meta.app_label}_{kind._meta.model_name}_"
        if name and name.startswith(start):
            return label, name.removeprefix(start)
    return "", name or ""


LETTERS = {"changelist": "L", "change": "V", "history": "V", "add": "A", "delete": "D"}


@pytest.fixture
def world(db):
    with scopes_disabled():
        found = make_world("ours")
        found["other"] = make_world("theirs")
        yield found


def objects(world) -> dict[str, Any]:
    """One object of each kind that has a page, as far as there is one."""
    with scopes_disabled():
        return {label: kind._default_manager.order_by("pk").first() for label, kind in labels().items()}


def addresses(world) -> list[tuple[str, str, str]]:
    """(label or "", page, address) of everything in the console."""
    found = []
    things = objects(world)
    for path, item in all_patterns():
        label, page = kind_of(item.name)
        if item.name is None:  # Django's redirect from /<pk>/ to /<pk>/change/, and its catch-all
            page = "redirect"
        pk = getattr(things.get(label), "pk", None) or 1
        address = (
            path.replace("<path:object_id>", str(pk))
            .replace("<id>", str(pk))
            .replace("<int:pk>", str(world["team"].pk))
        )
        address = address.replace("<slug:what>", "note").replace("<path:url>", "nothing")
        address = address.replace("<int:content_type_id>", "1").replace("<path:object_id>", "1")
        address = re.sub(r"^\^?\(\?P<app_label>[^)]*\)/\$$", "accounts/", address)
        found.append((label, page, "/admin/" + address))
    return found


def person(name: str, world) -> Client:
    client = Client()
    if name == "anonymous":
        return client
    if name == "stranger":
        user = world["other"]["people"]["owner"]
    elif name == "staff":
        user = make_person("success", is_staff=True)
    else:
        user = world["people"][name]
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


COUNT: Counter[str] = Counter()


def test_every_model_of_the_console_has_a_line() -> None:
    assert set(labels()) - set(STAFF) == set()


def test_every_page_of_the_console_has_a_line() -> None:
    pages = {kind_of(item.name)[1] for _, item in all_patterns() if kind_of(item.name)[0] == "" and item.name}
    assert pages - set(OWN) - OPEN == set()


@pytest.mark.parametrize("who", OUTSIDE)
def test_nobody_but_staff_gets_in(who, world, record_property) -> None:
    client = person(who, world)
    asked = 0
    for label, page, address in addresses(world):
        if page in OPEN:
            continue
        for method in ("get", "post"):
            answer = getattr(client, method)(address)
            asked += 1
            assert answer.status_code == 302, (label, page, address, answer.status_code)
            assert answer["Location"].startswith("/admin/login/?next="), (address, answer["Location"])
    assert asked > 150
    record_property("asked", asked)
    print(f"asked {asked} as {who}")


def test_staff_get_what_the_table_says(world) -> None:
    client, asked = person("staff", world), 0
    things = objects(world)
    for label, page, address in addresses(world):
        if not label:
            continue
        may, there = STAFF[label], things.get(label) is not None
        letter = LETTERS.get(page)
        if letter is None or (not there and letter in "VD"):
            continue
        answer = client.get(address)
        asked += 1
        assert answer.status_code == (200 if letter in may else 403), (label, page, answer.status_code)
        if letter == "V" and page == "change":
            answer = client.post(address, {"_save": "Save"})
            asked += 1
            # Saved, or the form again: what counts is that those who may not change get 403.
            assert (answer.status_code != 403) == ("C" in may), (label, answer.status_code)
    assert asked > 50


def test_staff_get_the_consoles_own_pages(world) -> None:
    client = person("staff", world)
    for label, page, address in addresses(world):
        if not label and page in OWN:
            method, status = OWN[page]
            assert getattr(client, method.lower())(address).status_code == status, (page, address)


def test_actions_are_those_of_the_table(world) -> None:
    client = person("staff", world)
    request = client.get("/admin/").wsgi_request
    for label, kind in labels().items():
        own = set(admin.site._registry[kind].get_actions(request)) - ACTIONS_OF_ALL
        if not STAFF[label]:
            continue  # staff do not get the list that would offer them
        assert bool(own) == ("*" in STAFF[label]), (label, own)
        allowed = set(admin.site._registry[kind].get_actions(request))
        assert "delete_selected" not in allowed, label


def test_actions_are_refused_to_everybody_else(world) -> None:
    for who in OUTSIDE:
        client = person(who, world)
        for label, kind in labels().items():
            if "*" in STAFF[label]:
                url = reverse(f"admin:{kind._meta.app_label}_{kind._meta.model_name}_changelist")
                for action in ("switch_on", "switch_off", "cancel_trainings", "turn_off", "retry_failed_rows"):
                    answer = client.post(url, {"action": action, "_selected_action": [1]})
                    assert answer["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("what", ACTIONS)
@pytest.mark.parametrize("who", OUTSIDE)
def test_what_a_teams_page_can_do_is_refused_to_everybody_else(who, what, world) -> None:
    with scopes_disabled():
        before = list(Team.objects.order_by("pk").values())
    answer = person(who, world).post(
        reverse("admin:team_do", args=[world["team"].pk, what]),
        {"reason": "x", "message": "x", "text": "x", "typed": "Ours", "role": "viewer", "pk": 1, "workflow": 1},
    )
    assert answer.status_code == 302
    assert answer["Location"].startswith("/admin/login/")
    with scopes_disabled():
        assert list(Team.objects.order_by("pk").values()) == before


# --- staff cannot become more than they are -----------------------------------------------------------


@pytest.fixture
def success(db) -> User:
    return make_person("success", is_staff=True)


EVIL = {
    "email": "evil@example.com", "name": "Renamed", "is_active": "on", "is_staff": "on", "is_superuser": "on",
    "password": "x", "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0,
}  # fmt: skip


def test_staff_cannot_make_themselves_superuser(success, csm, client_for) -> None:
    for target in (success, csm):
        answer = client_for(success).post(reverse("admin:accounts_user_change", args=[target.pk]), EVIL)
        assert answer.status_code == 403
        target.refresh_from_db()
        assert (target.is_superuser, target.email.startswith("evil")) == (target == csm, False)


def test_staff_change_a_customers_name_and_nothing_more(success, owner, client_for) -> None:
    answer = client_for(success).post(reverse("admin:accounts_user_change", args=[owner.pk]), EVIL)
    assert answer.status_code == 302
    before = owner.password
    owner.refresh_from_db()
    assert (owner.name, owner.email, owner.is_staff, owner.is_superuser, owner.password) == (
        "Renamed", "owner@example.com", False, False, before,
    )  # fmt: skip


def test_staff_cannot_set_anybodys_password(success, owner, csm, client_for) -> None:
    for target in (owner, csm, success):
        url = reverse("admin:auth_user_password_change", args=[target.pk])
        data = {"password1": "new correct horse", "password2": "new correct horse", "usable_password": "true"}
        assert client_for(success).post(url, data).status_code == 403
        target.refresh_from_db()
        assert not target.check_password("new correct horse")


def test_staff_see_no_password_hash(success, owner, client_for) -> None:
    page = client_for(success).get(reverse("admin:accounts_user_change", args=[owner.pk])).content.decode()
    assert "argon2" not in page
    assert "is_superuser" not in page


def test_staff_make_and_delete_no_accounts(success, owner, client_for) -> None:
    client = client_for(success)
    assert client.post(reverse("admin:accounts_user_add"), EVIL).status_code == 403
    assert client.post(reverse("admin:accounts_user_delete", args=[owner.pk]), {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [owner.pk], "post": "yes"}
    client.post(reverse("admin:accounts_user_changelist"), data)
    assert User.objects.filter(pk=owner.pk).exists()


def team_form(team: Team, **more: Any) -> dict[str, Any]:
    return {
        "organization": team.organization_id, "name": team.name, "slug": team.slug,
        "features-TOTAL_FORMS": 0, "features-INITIAL_FORMS": 0,
        "memberships-TOTAL_FORMS": 1, "memberships-INITIAL_FORMS": 0, **more,
    }  # fmt: skip


def test_staff_put_others_into_a_team_but_not_themselves(success, outsider, team, client_for) -> None:
    with scopes_disabled():
        TeamFeature.objects.all().delete()
    url = reverse("admin:accounts_team_change", args=[team.pk])
    for user, status in ((success, 200), (outsider, 302)):
        data = team_form(team, **{"memberships-0-user": user.pk, "memberships-0-role": "owner"})
        assert client_for(success).post(url, data).status_code == status
        with scopes_disabled():
            assert Membership.objects.filter(team=team, user=user).exists() == (status == 302)


def test_nobody_deletes_a_team_past_the_waiting_time(csm, team, client_for) -> None:
    assert (
        client_for(csm).post(reverse("admin:accounts_team_delete", args=[team.pk]), {"post": "yes"}).status_code == 403
    )
    data = {"action": "delete_selected", "_selected_action": [team.pk], "post": "yes"}
    client_for(csm).post(reverse("admin:accounts_team_changelist"), data)
    assert Team.objects.filter(pk=team.pk).exists()


def test_a_person_who_is_no_longer_staff_is_out(success, client_for) -> None:
    client = client_for(success)
    assert client.get("/admin/").status_code == 200
    User.objects.filter(pk=success.pk).update(is_staff=False)
    assert client.get("/admin/").status_code == 302


def test_staff_make_an_organization(success, client_for) -> None:
    client_for(success).post(reverse("admin:accounts_organization_add"), {"name": "New", "_save": "Save"})
    assert Organization.objects.filter(name="New").exists()
