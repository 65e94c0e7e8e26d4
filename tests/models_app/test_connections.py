"""Connections to services elsewhere: what may be saved, who may see what, what is kept of a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.db.models.functions import Now
from django.urls import reverse
from django_scopes import scope, scopes_disabled

from labeling_platform.accounts.models import Activity, Team
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.sealing import Unsealable, reseal, seal, unseal
from labeling_platform.lib.turns import AllBusy, turn
from models_app import services, tasks
from models_app.backends.base import AuthFailed, Misconfigured, QuotaExceeded
from models_app.hosts import ENDED_WORDS, NONE_LISTED, url_problem
from models_app.models import TEST_LIFE, ConnectionUse, CustomModel, ModelVersion, WatsonConnection
from models_app.remote import open_remote
from models_app.services import Access
from tests.vr3.server import KEY, WireServer, json_fault, wire_server

URL = "https://gpu.example.com/instances/1"


@pytest.fixture
def allowed(settings) -> None:
    settings.WATSON_HOSTS = ("gpu.example.com", "other.example.com", "127.0.0.1:9")
    settings.CLASSIFIER_BACKENDS = ("local", "watson")


@pytest.fixture
def made(in_team, allowed, owner) -> WatsonConnection:
    return services.save_connection(team=in_team, actor=owner, access=Access("GPU", URL, secret="top-secret-key"))


@pytest.fixture
def wire(settings) -> Iterator[WireServer]:
    with wire_server() as server:
        settings.WATSON_HOSTS = (server.url.split("/")[2],)
        settings.CLASSIFIER_BACKENDS = ("local", "watson")
        yield server


@pytest.fixture
def worked(monkeypatch) -> list[Callable[[], None]]:
    """What workers are to do; calling one does it."""
    waiting: list[Callable[[], None]] = []
    for task in (tasks.check_connection, tasks.check_for_staff):
        monkeypatch.setattr(task, "delay", lambda task=task, **ids: waiting.append(partial(task, **ids)))
    monkeypatch.setattr("django.db.transaction.on_commit", lambda work, **how: work())
    return waiting


def answered(client, test: str) -> str:
    """The page with the connections after a test that a worker did."""
    client.post(test)
    connection_pk = int(test.rstrip("/").split("/")[-2])
    with scopes_disabled():
        team = WatsonConnection.everywhere.get(pk=connection_pk).team or Team.objects.get(slug="footwear")
    tasks.check_connection(team_id=team.pk, connection_id=connection_pk)
    return str(client.get(test, follow=True).content.decode())


# --- hosts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "hosts", "wanted"),
    [
        ("https://a.example/x", "a.example", ""),
        ("https://A.example:443", "a.example", ""),
        ("https://a.example:8443", "a.example:8443", ""),
        ("http://a.example:8000", "a.example:8000", ""),
        ("http://[::1]:8000", "[::1]:8000", ""),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", ""),
        ("http://a.example", "a.example", "Use https://"),
        ("http://a.example:443", "a.example", "Use https://"),
        ("https://a.example:8443", "a.example", "is not among"),
        ("https://b.a.example", "a.example", "is not among"),
        ("https://a.example.evil.example", "a.example", "is not among"),
        ("http://127.0.0.1:8000", "a.example", "is not among"),
        ("http://localhost:8000", "127.0.0.1:8000", "is not among"),
        ("https://a.example", "", NONE_LISTED),
        ("https://me:x@a.example", "a.example", "Leave out the user name"),
        ("https://a.example?x=1", "a.example", "from ? or #"),
        ("https://a.example\\@b.example", "a.example", "plain letters"),
        ("ftp://a.example", "a.example", "not an address"),
        ("a.example", "a.example", "not an address"),
        ("https://a.example:x", "a.example", "not an address"),
        ("https://gateway.watsonplatform.net/x", "gateway.watsonplatform.net", ENDED_WORDS),
        ("https://api.us-south.visual-recognition.watson.cloud.ibm.com", "a.example", ENDED_WORDS),
        ("https://api.watson.cloud.ibm.com.", "a.example", ENDED_WORDS),
    ],
)
def test_a_connection_talks_to_listed_hosts_only(url: str, hosts: str, wanted: str) -> None:
    found = url_problem(url, hosts.split(","))
    assert (found == "") is (wanted == "")
    assert wanted in found


# --- secrets --------------------------------------------------------------------------------------------------


def test_a_secret_is_encrypted_and_survives_a_change_of_key(settings) -> None:
    sealed = seal("my key")
    assert "my key" not in sealed
    old, settings.SECRET_KEY = settings.SECRET_KEY, "new-" + "1" * 60
    with pytest.raises(Unsealable):
        unseal(sealed)
    settings.SECRET_KEY_FALLBACKS = [old]
    assert unseal(sealed) == "my key"
    fresh = reseal(sealed)
    settings.SECRET_KEY_FALLBACKS = []
    assert unseal(fresh) == "my key"
    assert (seal(""), unseal("")) == ("", "")


def test_all_secrets_are_sealed_anew_by_one_command(made, settings, capsys) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new-" + "1" * 60, [settings.SECRET_KEY]
    call_command("reseal_secrets")
    assert capsys.readouterr().out == "1 secrets are encrypted with the newest key.\n"
    settings.SECRET_KEY_FALLBACKS = []
    made.refresh_from_db()
    assert unseal(made.secret_sealed) == "top-secret-key"
    settings.SECRET_KEY = "another-" + "2" * 60
    with pytest.raises(CommandError, match="No key that is set opens the secret of connection"):
        call_command("reseal_secrets")
    with pytest.raises(Misconfigured, match="Enter it anew"):
        open_remote(made)


def test_no_page_and_no_log_has_the_secret(made, owner, client_for, caplog) -> None:
    client = client_for(owner)
    for name in ("connections", "connection_edit", "connection_delete"):
        kwargs = {"team_slug": "footwear"} | ({} if name == "connections" else {"connection_pk": made.pk})
        page = client.get(reverse(f"models:{name}", kwargs=kwargs))
        assert page.status_code == 200
        assert "top-secret-key" not in page.content.decode()
        assert made.secret_sealed not in page.content.decode()
    address = reverse("models:connection_edit", kwargs={"team_slug": "footwear", "connection_pk": made.pk})
    bad = client.post(address, {"name": "GPU", "url": "http://nowhere.example", "auth": "iam", "secret": "half-typed"})
    assert bad.status_code == 422
    assert "half-typed" not in bad.content.decode()
    assert "top-secret-key" not in repr(vars(made))
    assert "secret" not in repr(Access("GPU", URL, secret="secret"))
    assert "top-secret-key" not in caplog.text
    assert "top-secret-key" not in str(list(Activity.objects.values()))


def test_a_secret_goes_only_where_it_was_entered_for(made, in_team, owner) -> None:
    same = services.save_connection(team=in_team, actor=owner, access=Access("Renamed", URL), connection=made)
    assert unseal(same.secret_sealed) == "top-secret-key"
    for moved in (
        Access("GPU", "https://other.example.com"),
        Access("GPU", URL, iam_url="https://other.example.com"),
        Access("GPU", URL, auth="bearer"),
    ):
        made.refresh_from_db()
        with pytest.raises(Refused) as caught:
            services.save_connection(team=in_team, actor=owner, access=moved, connection=made)
        assert caught.value.code == "secret"


# --- saving ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "field"),
    [
        (Access("", URL, secret="k"), "name"),
        (Access("gpu", URL, secret="k"), "name"),
        (Access("A", "https://nowhere.example", secret="k"), "url"),
        (Access("A", URL, iam_url="https://nowhere.example", secret="k"), "iam_url"),
        (Access("A", URL), "secret"),
        (Access("A", URL, secret="two words"), "secret"),
        (Access("A", URL, auth="basic", secret="k"), "username"),
        (Access("A", URL, auth="magic", secret="k"), "auth"),
        (Access("A", URL, secret="k", at_once=21), "at_once"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(made, in_team, owner, access: Access, field: str) -> None:
    with pytest.raises(Refused) as caught:
        services.save_connection(team=in_team, actor=owner, access=access)
    assert caught.value.code == field


def test_a_host_that_is_no_longer_listed_is_not_asked(made, settings) -> None:
    settings.WATSON_HOSTS = ("other.example.com",)
    with pytest.raises(Misconfigured, match=r"gpu\.example\.com is not among"):
        open_remote(made)


def test_the_pages_make_change_test_and_delete(wire, in_team, owner, client_for) -> None:
    client, at = client_for(owner), {"team_slug": "footwear"}
    wire.auth = "basic"
    form = {"name": "Wire", "url": wire.url, "auth": "basic", "username": "apikey", "secret": "wrong", "at_once": "4"}
    assert client.post(reverse("models:connection_new", kwargs=at), form).status_code == 302
    made = WatsonConnection.objects.get()
    test = reverse("models:connection_test", kwargs=at | {"connection_pk": made.pk})
    assert "does not accept the credentials" in answered(client, test)
    made.refresh_from_db()
    assert (made.state, made.created_by, made.at_once) == ("broken", owner, 4)
    edit = reverse("models:connection_edit", kwargs=at | {"connection_pk": made.pk})
    assert client.post(edit, form | {"secret": KEY}).status_code == 302
    assert "The service answers and accepts the credentials." in answered(client, test)
    made.refresh_from_db()
    assert (made.state, made.reason) == ("ok", "")
    model = CustomModel.objects.create(team=in_team, name="M", backend="watson", connection=made)
    delete = reverse("models:connection_delete", kwargs=at | {"connection_pk": made.pk})
    assert client.post(delete).status_code == 422
    model.delete()
    assert client.post(delete).status_code == 302
    assert not WatsonConnection.objects.exists()
    said = Activity.objects.filter(verb__startswith="connection").order_by("pk").values_list("verb", flat=True)
    assert list(said) == [
        "connection made", "connection broken", "connection changed", "connection deleted",
    ]  # fmt: skip


def test_a_service_that_is_away_does_not_break_a_connection(in_team, owner, settings) -> None:
    settings.WATSON_HOSTS, settings.CLASSIFIER_BACKENDS = ("127.0.0.1:9",), ("watson",)
    access = Access("Away", "http://127.0.0.1:9", auth="none")
    made = services.save_connection(team=in_team, actor=owner, access=access)
    assert services.check_connection(connection=made).message == "The service could not be reached."
    made.refresh_from_db()
    assert (made.state, made.reason) == ("ok", "The service could not be reached.")


def test_a_test_is_done_by_a_worker_while_the_page_waits(wire, in_team, owner, client_for, worked) -> None:
    made = services.save_connection(team=in_team, actor=owner, access=Access("W", wire.url, auth="none"))
    client, at = client_for(owner), {"team_slug": "footwear"}
    test = reverse("models:connection_test", kwargs=at | {"connection_pk": made.pk})
    line = client.post(test, headers={"HX-Request": "true"}).content.decode()
    assert "Asking …" in line
    assert 'hx-trigger="every 2s"' in line
    assert wire.requests == []
    assert "is being asked" in client.post(test, follow=True).content.decode()  # without JavaScript, and once only
    assert len(worked) == 1
    assert "Asking …" in client.get(test, headers={"HX-Request": "true"}).content.decode()
    worked.pop()()
    line = client.get(test, headers={"HX-Request": "true"}).content.decode()
    assert "The service answers and accepts the credentials." in line
    assert "hx-trigger" not in line
    assert client.get(test).url == reverse("models:connections", kwargs=at)
    made.refresh_from_db()
    assert (made.test_ok, made.test_asked_at, made.is_asking) == (True, None, False)
    assert made.tested_at is not None
    tasks.check_connection(team_id=in_team.pk, connection_id=made.pk)  # the message came twice
    assert len(wire.requests) == 1


def test_a_test_that_nobody_did_is_said_and_can_be_asked_for_again(made) -> None:
    assert services.ask_for_test(connection=made)
    assert not services.ask_for_test(connection=made)
    WatsonConnection.objects.update(test_asked_at=Now() - TEST_LIFE - timedelta(seconds=1))
    made.refresh_from_db()
    assert (made.is_asking, made.test_was_lost) == (False, True)
    assert services.ask_for_test(connection=made)
    assert made.is_asking


def test_what_was_tested_is_forgotten_when_the_connection_changes(made, in_team, owner) -> None:
    made.tested_at, made.test_ok, made.test_words = made.created_at, True, "Yes."
    made.save()
    services.save_connection(team=in_team, actor=owner, access=Access("GPU", URL, secret="k"), connection=made)
    made.refresh_from_db()
    assert (made.tested_at, made.test_ok, made.test_words) == (None, None, "")


def test_a_team_tests_a_connection_for_all(wire, in_team, owner, client_for, worked) -> None:
    with scopes_disabled():
        shared = services.save_connection(team=None, actor=None, access=Access("All", wire.url, auth="none"))
    test = reverse("models:connection_test", kwargs={"team_slug": "footwear", "connection_pk": shared.pk})
    assert "The service answers" in answered(client_for(owner), test)


def test_staff_test_connections_in_the_background(wire, csm, client_for, worked) -> None:
    with scopes_disabled():
        shared = services.save_connection(team=None, actor=None, access=Access("All", wire.url, auth="none"))
    form = {"action": "test_connections", "_selected_action": [shared.pk]}
    page = client_for(csm).post(reverse("admin:models_app_watsonconnection_changelist"), form, follow=True)
    assert "One connection is being asked." in page.content.decode()
    assert wire.requests == []
    worked.pop()()
    with scopes_disabled():
        assert WatsonConnection.everywhere.get().test_words == "The service answers and accepts the credentials."


def test_redirects_are_not_followed(wire, in_team, owner) -> None:
    made = services.save_connection(team=in_team, actor=owner, access=Access("W", wire.url, auth="none"))
    wire.fail("list", json_fault(302, {}, headers={"Location": f"{wire.url}/v3/elsewhere"}))
    assert not services.check_connection(connection=made).ok
    assert len(wire.requests) == 1


def test_a_broken_or_paused_connection_is_not_asked(made) -> None:
    for state, kind in (("broken", AuthFailed), ("paused", QuotaExceeded)):
        made.state, made.reason = state, "Because."
        with pytest.raises(kind, match="Because"):
            open_remote(made)
        open_remote(made, even_if_ill=True)


# --- whose ----------------------------------------------------------------------------------------------------


@pytest.fixture
def shared(allowed, db) -> WatsonConnection:
    with scopes_disabled():
        return services.save_connection(team=None, actor=None, access=Access("For all", URL, secret="k"))


def test_all_teams_read_a_shared_connection_and_none_writes_it(shared, made, team, other_team) -> None:
    for whose, names in ((team, {"GPU", "For all"}), (other_team, {"For all"})):
        with scope(team=whose):
            assert {one.name for one in services.connections_of(whose)} == names
            assert {one.name for one in WatsonConnection.everywhere.all()} == names
            assert WatsonConnection.everywhere.filter(team=None).update(name="Mine") == 0
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM models_app_watsonconnection WHERE team_id IS NULL")
                assert cursor.rowcount == 0
            with pytest.raises(ProgrammingError), transaction.atomic():
                WatsonConnection.everywhere.create(team=None, name="X", url=URL)


def test_outside_of_every_scope_there_are_none(shared) -> None:
    assert WatsonConnection.everywhere.count() == 0


def test_a_model_takes_a_connection_of_its_team_or_of_all(shared, made, team, other_team) -> None:
    with scope(team=other_team):
        services.create_model(team=other_team, name="A", actor=None, connection=shared)
        with pytest.raises(Refused) as caught:
            services.create_model(team=other_team, name="B", actor=None, connection=made)
        assert caught.value.code == "connection"
        with pytest.raises(IntegrityError), transaction.atomic():
            CustomModel.objects.create(team=other_team, name="B", backend="watson", connection=made)


def test_the_database_keeps_a_connection_that_is_used(made, in_team) -> None:
    CustomModel.objects.create(team=in_team, name="M", backend="watson", connection=made)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM models_app_watsonconnection WHERE id = %s", [made.pk])


def test_the_choice_is_there_only_when_there_is_one(in_team, allowed, owner, client_for, settings) -> None:
    client, new = client_for(owner), reverse("models:new", kwargs={"team_slug": "footwear"})
    assert "Where it is trained" not in client.get(new).content.decode()
    assert client.post(new, {"name": "Local"}).status_code == 302
    made = services.save_connection(team=in_team, actor=owner, access=Access("GPU", URL, secret="k"))
    assert "Connection “GPU”, at gpu.example.com" in client.get(new).content.decode()
    assert client.post(new, {"name": "Nowhere", "backend": "999"}).status_code == 422
    assert client.post(new, {"name": "Remote", "backend": str(made.pk)}).status_code == 302
    chosen = CustomModel.objects.values_list("name", "backend", "connection").order_by("pk")
    assert list(chosen) == [("Local", "local", None), ("Remote", "watson", made.pk)]
    settings.CLASSIFIER_BACKENDS = ("local",)
    assert "Where it is trained" not in client.get(new).content.decode()


def test_the_forms_speak_of_the_limits_of_the_backend() -> None:
    few = {"a": 12, "b": 60}
    assert services.training_advice(counts=few).refusals == []
    assert services.training_advice(counts=few, backend="watson").refusals == [
        "a: 12 pictures, at least 13 are needed. Add 1 more."
    ]


# --- turns and ledger -------------------------------------------------------------------------------------------


def test_at_most_so_many_at_once() -> None:
    with turn("test", places=2), turn("test", places=2):
        with pytest.raises(AllBusy), turn("test", places=2, wait=0.3):
            pass
    with turn("test", places=1):
        pass


def test_a_place_of_the_dead_comes_free() -> None:
    left = turn("dead", places=1, life=0.5)
    left.__enter__()
    with turn("dead", places=1, wait=5):
        pass


def test_the_ledger_adds_up_and_outlives_the_connection(made, in_team, owner) -> None:
    backend = open_remote(made)
    backend._meter(3)
    backend._meter(4)
    assert [(line["name"], line["images"]) for line in services.ledger(team=in_team)] == [("GPU", 7)]
    services.delete_connection(connection=made, actor=owner)
    assert list(ConnectionUse.objects.values_list("connection", "connection_name", "images")) == [(None, "GPU", 7)]


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_asks_as_often_for_one_as_for_three(
    count, in_team, allowed, owner, client_for, django_assert_num_queries
) -> None:
    for number in range(count):
        services.save_connection(team=in_team, actor=owner, access=Access(f"C{number}", URL, secret="k"))
    client = client_for(owner)
    address = reverse("models:connections", kwargs={"team_slug": "footwear"})
    client.get(address)
    with django_assert_num_queries(9):
        assert client.get(address).status_code == 200


# --- the console ------------------------------------------------------------------------------------------------


def test_staff_make_a_connection_for_all_and_never_see_its_secret(allowed, csm, client_for) -> None:
    client, add = client_for(csm), reverse("admin:models_app_watsonconnection_add")
    form = {"name": "All", "url": "https://nowhere.example/", "auth": "iam", "secret": "staff-key", "at_once": "8"}
    page = client.post(add, form)
    assert "is not among the services" in page.content.decode()
    assert "staff-key" not in page.content.decode()
    assert client.post(add, form | {"url": URL + "/"}).status_code == 302
    with scopes_disabled():
        made = WatsonConnection.everywhere.get()
    assert (made.team, made.url, made.created_by, unseal(made.secret_sealed)) == (None, URL, csm, "staff-key")
    change = reverse("admin:models_app_watsonconnection_change", args=[made.pk])
    page = client.get(change).content.decode()
    assert "staff-key" not in page
    assert made.secret_sealed not in page
    assert client.post(change, form | {"url": URL, "secret": "", "name": "Renamed"}).status_code == 302
    assert (
        "enter the secret again"
        in client.post(change, form | {"url": "https://other.example.com", "secret": ""}).content.decode()
    )
    with scopes_disabled():
        assert unseal(WatsonConnection.everywhere.get(name="Renamed").secret_sealed) == "staff-key"
    assert (
        client.post(reverse("admin:models_app_watsonconnection_delete", args=[made.pk]), {"post": "yes"}).status_code
        == 302
    )


def test_a_version_keeps_the_choice(made, in_team) -> None:
    model = services.create_model(team=in_team, name="M", actor=None, connection=made)
    version = ModelVersion.objects.create(
        team=in_team, model=model, number=1, backend=model.backend, connection=model.connection
    )
    assert (version.backend, version.connection) == ("watson", made)
