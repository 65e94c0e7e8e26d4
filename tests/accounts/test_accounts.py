"""Sign-in, home, switches, activity, the console, make_team."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labeling_platform.accounts import services
from labeling_platform.accounts.features import is_enabled
from labeling_platform.accounts.models import Activity, Feature, Membership, Organization, Team, TeamFeature, User
from labeling_platform.accounts.permissions import Role

from ..conftest import PASSWORD

ML = Feature.ML_ASSISTED_LABELING


def test_a_person_signs_in_with_e_mail_and_lands_in_the_team(owner, team) -> None:
    client = Client()
    answer = client.post("/accounts/login/", {"login": owner.email, "password": PASSWORD}, follow=True)
    assert answer.redirect_chain[-1][0] == reverse("models:list", args=[team.slug])


def test_a_wrong_password_is_said(owner) -> None:
    answer = Client().post("/accounts/login/", {"login": owner.email, "password": "wrong"})
    assert answer.status_code == 200
    assert "The e-mail address or the password is not right." in answer.content.decode()


def test_nobody_can_sign_up_unless_it_is_open(db) -> None:
    page = Client().get("/accounts/signup/").content.decode()
    assert 'name="password1"' not in page


def test_contributors_land_on_their_jobs(contributor, team, client_for) -> None:
    answer = client_for(contributor).get("/", follow=True)
    assert answer.redirect_chain[-1][0] == reverse("contribute:list", args=[team.slug])


def test_staff_without_a_team_land_in_the_console(csm, client_for) -> None:
    assert client_for(csm).get("/")["Location"] == "/admin/"


def test_people_without_a_team_are_told_what_to_do(db, client_for) -> None:
    user = User.objects.create_user("alone@example.com", "x")
    assert "You are not in a team yet" in client_for(user).get("/").content.decode()


def test_a_switch_goes_on_and_off_and_is_logged(team, csm, all_scopes) -> None:
    services.switch_feature(team=team, feature=ML, on=False, actor=csm, reason="trial over")
    assert not is_enabled(team, ML)
    services.switch_feature(team=team, feature=ML, on=True, actor=csm)
    assert is_enabled(team, ML)
    verbs = list(Activity.objects.filter(team=team, actor=csm).values_list("verb", flat=True))
    assert verbs == ["feature switched on", "feature switched off"]


def test_a_switch_with_an_end_goes_off_by_itself(team) -> None:
    services.switch_feature(team=team, feature=ML, on=True, actor=None, until=timezone.now() - timedelta(seconds=1))
    assert not is_enabled(team, ML)


def test_slugs_are_made_unique(db) -> None:
    slugs = [services.create_team(organization="Acme", name="Shoes").slug for _ in range(3)]
    assert slugs == ["shoes", "shoes-2", "shoes-3"]


def test_the_activity_page_lists_what_happened(team, owner, client_for) -> None:
    page = client_for(owner).get(reverse("teams:activity", args=[team.slug])).content.decode()
    assert "Feature switched on" in page


@pytest.mark.parametrize("name", ["user", "organization", "team", "activity"])
def test_the_console_shows_its_lists(name, csm, client_for, team) -> None:
    client = client_for(csm)
    assert client.get(reverse(f"admin:accounts_{name}_changelist")).status_code == 200
    if name != "activity":
        assert client.get(reverse(f"admin:accounts_{name}_add")).status_code == 200


@pytest.mark.parametrize("app", ["models_app", "jobs_app", "workflows_app", "reports_app"])
def test_the_console_index_shows_every_app(app, csm, client_for) -> None:
    assert f"/admin/{app}/" in client_for(csm).get("/admin/").content.decode()


def test_staff_make_a_team_with_people_and_switch(csm, client_for, db, all_scopes) -> None:
    person = User.objects.create_user("new@example.com", "x")
    organization = Organization.objects.create(name="Acme")
    data = {
        "organization": organization.pk, "name": "Shoes", "slug": "shoes",
        "features-TOTAL_FORMS": 1, "features-INITIAL_FORMS": 0, "features-0-name": ML, "features-0-reason": "trial",
        "features-0-until_0": "", "features-0-until_1": "",
        "memberships-TOTAL_FORMS": 1, "memberships-INITIAL_FORMS": 0, "memberships-0-user": person.pk,
        "memberships-0-role": "owner",
    }  # fmt: skip
    answer = client_for(csm).post(reverse("admin:accounts_team_add"), data)
    assert answer.status_code == 302, answer.context["errors"]
    team = Team.objects.get(slug="shoes")
    switch = TeamFeature.objects.get(team=team)
    assert (switch.name, switch.reason, switch.enabled_by) == (ML, "trial", csm)
    assert Membership.objects.get(team=team).role == Role.OWNER


def test_the_console_switches_many_teams(csm, client_for, team) -> None:
    url = reverse("admin:accounts_team_changelist")
    client_for(csm).post(url, {"action": "switch_off", "_selected_action": [team.pk]})
    assert not is_enabled(team, ML)


def test_the_log_cannot_be_changed_in_the_console(csm, client_for, team, all_scopes) -> None:
    entry = Activity.objects.first()
    client = client_for(csm)
    assert client.get(reverse("admin:accounts_activity_add")).status_code == 403
    assert client.post(reverse("admin:accounts_activity_change", args=[entry.pk]), {"verb": "x"}).status_code == 403
    assert client.post(reverse("admin:accounts_activity_delete", args=[entry.pk]), {"post": "yes"}).status_code == 403


def test_the_console_is_for_staff(owner, client_for) -> None:
    assert client_for(owner).get("/admin/")["Location"].startswith("/admin/login/")


def test_make_team(db, monkeypatch, all_scopes) -> None:
    monkeypatch.setenv("TEAM_PASSWORD", PASSWORD)
    call_command("make_team", "Shoes", "owner:a@example.com", "viewer:b@example.com", feature=[ML], verbosity=0)
    team = Team.objects.get(slug="shoes")
    assert sorted(team.memberships.values_list("user__email", "role")) == [
        ("a@example.com", "owner"),
        ("b@example.com", "viewer"),
    ]
    assert is_enabled(team, ML)


@pytest.mark.parametrize("person", ["boss:a@example.com", "owner:nobody"])
def test_make_team_names_what_is_wrong(db, person) -> None:
    with pytest.raises(CommandError, match="write role:e-mail"):
        call_command("make_team", "Shoes", person)
    assert Team.objects.count() == 0


def test_only_the_console_gets_the_wider_content_policy(csm, owner, team, client_for) -> None:
    console = client_for(csm).get("/admin/")["Content-Security-Policy"]
    page = client_for(owner).get(reverse("jobs:list", args=[team.slug]))["Content-Security-Policy"]
    assert "'unsafe-eval'" in console
    assert "unsafe" not in page
