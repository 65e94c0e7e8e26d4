"""Single sign-on against a real SAML provider on loopback: the way in, and every reason to refuse."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
import xmlsec
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from lxml import etree

from labeling_platform.accounts.addresses import vouch_for
from labeling_platform.accounts.checks import saml_fits_together
from labeling_platform.accounts.models import Activity, UsedAssertion, User

from ..conftest import PASSWORD
from .saml import NS, OWN_ID, IdentityProvider, key_pair, stamp
from .test_second_factor import SECRET, confirm
from .test_sign_in import at, new_address, try_in
from .totp import code_at

pytestmark = pytest.mark.usefixtures("own_cache")
START, ACS = "/accounts/sso/saml/login/", "/accounts/sso/saml/acs/"
ODD = "an answer that we cannot trust"
STATE = "does not fit this browser"


@pytest.fixture
def idp(db, settings) -> Iterator[IdentityProvider]:
    provider = IdentityProvider()
    settings.SOCIALACCOUNT_PROVIDERS = provider.app()
    settings.SSO_EMAIL_DOMAINS = ("corp.example",)
    yield provider
    provider.stop()


def begin(client: Client, address: str = START) -> str:
    """Press the button; the address at the provider that the page leads to."""
    page = client.post(address)
    assert page.status_code == 200, page.content.decode()
    return html.unescape(re.search(r'content="0;url=([^"]+)"', page.content.decode()).group(1))


def at_provider(address: str) -> str:
    """What the browser does at the provider: the answer that its page has to post."""
    page = requests.get(address, timeout=5).text
    return html.unescape(re.search(r'name="SAMLResponse" value="([^"]+)"', page).group(1))


def post(client: Client, answer: str):
    """The provider's page posts to us. As in a browser, no cookie of ours comes along; those that we set stay."""
    elsewhere = at(client.defaults["REMOTE_ADDR"]).post(ACS, {"SAMLResponse": answer, "RelayState": ""})
    client.cookies.update(elsewhere.cookies)
    return elsewhere


def come_back(client: Client, answer: str):
    posted = post(client, answer)
    return client.get(posted["Location"]) if posted.status_code == 302 else posted


def sign_on(client: Client, address: str = START):
    return come_back(client, at_provider(begin(client, address)))


def refused(client: Client, answer, words: str, status: int = 403) -> None:
    assert words in answer.content.decode()
    assert answer.status_code == status
    assert "_auth_user_id" not in client.session


def posts_nothing_lasting(client: Client, answer: str, words: str = ODD) -> None:
    """The answer is refused where it is posted: no session, no cookie, no used assertion, nobody."""
    before = Session.objects.count()
    posted = post(client, answer)
    assert (posted.cookies, Session.objects.count()) == ({}, before)
    refused(client, posted, words)
    assert (UsedAssertion.objects.count(), User.objects.count(), SocialAccount.objects.count()) == (0, 0, 0)


# --- the way in ----------------------------------------------------------------------------------------


def test_somebody_new_comes_in_and_is_told_about_teams(idp, all_scopes) -> None:
    client = at(new_address())
    assert "Sign in with Corp" in client.get("/accounts/login/").content.decode()
    address = begin(client)
    assert address.startswith(f"{idp.base}/sso?SAMLRequest=")
    answer = at_provider(address)
    [asked] = idp.questions
    assert (asked["issuer"], asked["acs"], asked["destination"]) == (
        OWN_ID,
        f"http://testserver{ACS}",
        f"{idp.base}/sso",
    )
    posted = post(client, answer)
    assert (posted.status_code, posted["Location"]) == (302, f"{ACS}finish/")
    [cookie] = posted.cookies.values()
    assert (cookie.key, cookie["httponly"], cookie["samesite"], cookie["path"]) == (
        "saml-answer", True, "Lax", f"{ACS}finish/",
    )  # fmt: skip
    page = client.get(posted["Location"], follow=True)
    assert "You are not in a team yet" in page.content.decode()
    user = User.objects.get(email="new@corp.example")
    assert (user.name, user.has_usable_password(), user.is_staff) == ("New", False, False)
    assert EmailAddress.objects.get(user=user).verified
    assert Activity.objects.filter(actor=user, verb="signed in").count() == 1
    account = SocialAccount.objects.get()
    assert (account.provider, account.uid) == ("saml", "person-1")
    assert account.extra_data == {"email": "new@corp.example", "email_verified": True, "name": "New"}


def test_the_assertion_is_kept_until_it_is_over_and_nothing_else_is(idp) -> None:
    UsedAssertion.objects.create(digest="old", until=datetime.now(UTC) - timedelta(seconds=1))
    client = at(new_address())
    before = set(Session.objects.values_list("pk", flat=True))
    sign_on(client)
    [used] = UsedAssertion.objects.all()
    assert timedelta(minutes=4) < used.until - datetime.now(UTC) <= timedelta(minutes=5)
    assert set(Session.objects.values_list("pk", flat=True)) - before == {client.session.session_key}


def test_a_second_visit_is_the_same_person(idp) -> None:
    sign_on(at(new_address()))
    idp.person["email"] = "renamed@corp.example"
    client = at(new_address())
    sign_on(client)
    assert client.session["_auth_user_id"] == str(User.objects.get().pk)


def test_the_providers_metadata_is_enough(idp, settings) -> None:
    given = {"entity_id": "", "url": "", "certificate": "", "metadata": idp.metadata()}
    settings.SOCIALACCOUNT_PROVIDERS = idp.app(**given)
    client = at(new_address())
    assert sign_on(client)["Location"] == "/"


def test_either_of_two_certificates_may_sign(idp, settings) -> None:
    """While the provider changes its key, both count."""
    _, other = key_pair("Corp, before")
    settings.SOCIALACCOUNT_PROVIDERS = idp.app(certificate=f"{other}\n{idp.certificate}")
    assert sign_on(at(new_address()))["Location"] == "/"


def test_a_key_on_an_elliptic_curve_may_sign(idp, settings) -> None:
    idp.key, idp.certificate = key_pair("Corp", elliptic=True)
    idp.signature = xmlsec.Transform.ECDSA_SHA256
    settings.SOCIALACCOUNT_PROVIDERS = idp.app()
    assert sign_on(at(new_address()))["Location"] == "/"


@pytest.mark.parametrize("signs", [{"Assertion"}, {"Assertion", "Response"}], ids=["assertion", "both"])
def test_the_response_may_be_signed_too(idp, signs) -> None:
    idp.signs = signs
    assert sign_on(at(new_address()))["Location"] == "/"


def test_attributes_have_the_names_that_the_environment_says(idp, settings) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = idp.app(attributes={"email": "work", "name": "cn", "uid": "number"})
    idp.person = {"work": "N@Corp.Example", "cn": "Nora", "number": "17", "email": "other@corp.example"}
    sign_on(at(new_address()))
    assert list(User.objects.values_list("email", "name")) == [("n@corp.example", "Nora")]
    assert SocialAccount.objects.get().uid == "17"


def test_an_address_as_name_id_is_the_address(idp) -> None:
    idp.person = {"givenName": "Ann", "sn": "Lee"}
    idp.name_id, idp.name_format = "a@corp.example", "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
    sign_on(at(new_address()))
    assert list(User.objects.values_list("email", "name")) == [("a@corp.example", "Ann Lee")]


def test_with_a_key_of_our_own_questions_are_signed_and_answers_are_read_encrypted(idp, settings) -> None:
    key, certificate = key_pair("labeling")
    settings.SOCIALACCOUNT_PROVIDERS = idp.app(key=key, key_certificate=certificate)
    idp.encrypts_for = certificate
    client = at(new_address())
    assert sign_on(client)["Location"] == "/"
    assert idp.questions[0]["signature"]


def test_our_metadata_says_where_answers_go(idp) -> None:
    answer = at(new_address()).get("/accounts/sso/saml/metadata/")
    root = etree.fromstring(answer.content)
    assert root.get("entityID") == OWN_ID
    [service] = root.iter("{urn:oasis:names:tc:SAML:2.0:metadata}AssertionConsumerService")
    assert service.get("Location") == f"http://testserver{ACS}"
    assert root.get("validUntil") is None


def test_an_account_is_joined_by_an_address_that_the_provider_answers_for(idp, owner) -> None:
    User.objects.filter(pk=owner.pk).update(email="owner@corp.example")
    owner.refresh_from_db()
    vouch_for(user=owner)
    idp.person["email"] = "Owner@Corp.Example"
    client = at(new_address())
    assert sign_on(client)["Location"] == "/"
    assert client.session["_auth_user_id"] == str(owner.pk)
    assert client.get("/", follow=True).redirect_chain[-1][0].startswith("/t/footwear/")
    assert try_in(at(new_address()), owner.email).status_code == 302


def test_who_took_an_address_without_confirming_it_loses_the_account(idp, owner) -> None:
    User.objects.filter(pk=owner.pk).update(email="new@corp.example")
    EmailAddress.objects.create(user=owner, email="new@corp.example", primary=True, verified=False)
    sign_on(at(new_address()))
    owner.refresh_from_db()
    assert not owner.has_usable_password()
    assert try_in(at(new_address()), "new@corp.example", PASSWORD).status_code == 200


def test_a_second_factor_is_asked_for_all_the_same(idp) -> None:
    sign_on(at(new_address()))
    user = User.objects.get()
    TOTP.activate(user, SECRET)
    client = at(new_address())
    assert sign_on(client)["Location"] == "/accounts/2fa/authenticate/"
    assert "_auth_user_id" not in client.session
    client.post("/accounts/2fa/authenticate/", {"code": code_at(SECRET, time.time())})
    assert client.session["_auth_user_id"] == str(user.pk)


def test_a_person_connects_and_disconnects(idp, owner) -> None:
    vouch_for(user=owner)
    client = at(new_address())
    try_in(client, owner.email)
    confirm(client)
    assert "Connect Corp" in client.get("/accounts/3rdparty/").content.decode()
    sign_on(client, f"{START}?process=connect")
    account = SocialAccount.objects.get(user=owner)
    assert "Corp, since" in client.get("/accounts/3rdparty/").content.decode()
    client.post("/accounts/3rdparty/", {"account": account.pk})
    assert SocialAccount.objects.count() == 0


def test_both_kinds_of_sign_on_may_be_set_up(idp, settings) -> None:
    oidc = {"provider_id": "sso", "name": "Other", "client_id": "x", "settings": {"server_url": "http://127.0.0.1:1"}}
    settings.SOCIALACCOUNT_PROVIDERS = idp.app() | {"sso": {"APPS": [oidc]}}
    page = at(new_address()).get("/accounts/login/").content.decode()
    assert ("Sign in with Corp" in page, "Sign in with Other" in page) == (True, True)


# --- signatures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("signs", [set(), {"Response"}], ids=["nothing", "the response only"])
def test_an_assertion_that_is_not_signed_is_refused(idp, signs) -> None:
    idp.signs = signs
    client = at(new_address())
    posts_nothing_lasting(client, at_provider(begin(client)))


def test_an_assertion_signed_by_another_key_is_refused(idp) -> None:
    idp.key, idp.certificate = key_pair("Corp")
    client = at(new_address())
    posts_nothing_lasting(client, at_provider(begin(client)))


@pytest.mark.parametrize(
    ("signature", "digest"),
    [(xmlsec.Transform.RSA_SHA1, xmlsec.Transform.SHA256), (xmlsec.Transform.RSA_SHA256, xmlsec.Transform.SHA1)],
    ids=["signature", "digest"],
)
def test_sha1_is_refused(idp, signature, digest) -> None:
    idp.signature, idp.digest = signature, digest
    client = at(new_address())
    posts_nothing_lasting(client, at_provider(begin(client)))


def test_a_word_changed_after_signing_is_refused(idp) -> None:
    def touch(root) -> None:
        root.find(".//saml:AttributeValue", NS).text = "boss@corp.example"

    idp.last_touch = touch
    client = at(new_address())
    posts_nothing_lasting(client, at_provider(begin(client)))


def test_a_comment_in_an_address_does_not_shorten_it(idp) -> None:
    """CVE-2018-0489 and others: `boss@corp.example<!---->.evil.example` was read as the boss's address."""
    idp.person["email"] = "boss@corp.example.evil.example"

    def touch(root) -> None:
        value = root.find(".//saml:AttributeValue", NS)
        value.text = "boss@corp.example"
        value.append(etree.Comment(""))
        value[-1].tail = ".evil.example"

    idp.last_touch = touch
    client = at(new_address())
    refused(client, sign_on(client), "may not sign in here")
    assert User.objects.count() == 0


def evil_copy(root) -> etree._Element:
    """The signed assertion once more, unsigned, with another number and person."""
    copy = etree.fromstring(etree.tostring(root.find("saml:Assertion", NS)))
    copy.remove(copy.find("ds:Signature", NS))
    copy.set("ID", "_evil")
    copy.find(".//saml:NameID", NS).text = "boss"
    copy.find(".//saml:AttributeValue", NS).text = "boss@corp.example"
    return copy


def wrap_before(root) -> None:
    root.insert(2, evil_copy(root))


def wrap_after(root) -> None:
    root.append(evil_copy(root))


def wrap_inside(root) -> None:
    """The evil assertion is the outer one and holds the signed one."""
    signed, evil = root.find("saml:Assertion", NS), evil_copy(root)
    root.replace(signed, evil)
    evil.append(signed)


def wrap_in_the_signature(root) -> None:
    """The evil assertion carries the signature, whose Object holds the signed one."""
    signed, evil = root.find("saml:Assertion", NS), evil_copy(root)
    signature = signed.find("ds:Signature", NS)
    signed.remove(signature)
    evil.insert(1, signature)
    etree.SubElement(signature, f"{{{NS['ds']}}}Object").append(signed)
    root.append(evil)


def wrap_in_extensions(root) -> None:
    signed, evil = root.find("saml:Assertion", NS), evil_copy(root)
    extensions = etree.Element(f"{{{NS['samlp']}}}Extensions")
    root.replace(signed, evil)
    extensions.append(signed)
    root.insert(1, extensions)


def wrap_with_the_same_number(root) -> None:
    evil = evil_copy(root)
    evil.set("ID", root.find("saml:Assertion", NS).get("ID"))
    root.insert(2, evil)


def wrap_the_response(root) -> None:
    """The signed assertion lies in a whole response inside of the evil one."""
    evil, inner = evil_copy(root), etree.fromstring(etree.tostring(root))
    inner.set("ID", "_inner")
    root.replace(root.find("saml:Assertion", NS), evil)
    extensions = etree.Element(f"{{{NS['samlp']}}}Extensions")
    extensions.append(inner)
    root.insert(1, extensions)


def wrap_by_reference_to_nothing(root) -> None:
    """The signature names the evil assertion, whose digest it does not have."""
    signed, evil = root.find("saml:Assertion", NS), evil_copy(root)
    signature = signed.find("ds:Signature", NS)
    signature.find(".//ds:Reference", NS).set("URI", "#_evil")
    evil.insert(1, signature)
    root.replace(signed, evil)


WRAPPINGS = [
    wrap_before, wrap_after, wrap_inside, wrap_in_the_signature, wrap_in_extensions, wrap_with_the_same_number,
    wrap_the_response, wrap_by_reference_to_nothing,
]  # fmt: skip


@pytest.mark.parametrize("signs", [{"Assertion"}, {"Assertion", "Response"}], ids=["assertion", "both"])
@pytest.mark.parametrize("wrap", WRAPPINGS, ids=lambda wrap: wrap.__name__)
def test_a_signed_assertion_carries_no_other_one_in(idp, wrap, signs) -> None:
    idp.last_touch, idp.signs = wrap, signs
    client = at(new_address())
    posts_nothing_lasting(client, at_provider(begin(client)))


# --- what is fetched or computed before a signature is checked -------------------------------------------


def declared(answer: str, doctype: str, entity: str = "") -> str:
    text = base64.b64decode(answer).decode().replace("New</saml:AttributeValue>", f"{entity}</saml:AttributeValue>")
    return base64.b64encode(f"{doctype}{text}".encode()).decode()


BOMB = "".join(f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefghi", "bcdefghij", strict=True))


@pytest.mark.parametrize(
    ("inside", "entity"),
    [
        ("", ""),
        (f'<!ENTITY a "aaaaaaaaaa">{BOMB}', "&j;"),
        ('<!ENTITY x SYSTEM "file:///etc/passwd">', "&x;"),
        ('<!ENTITY x SYSTEM "{base}/stolen">', "&x;"),
        ('<!ENTITY % x SYSTEM "{base}/stolen"> %x;', ""),
    ],
    ids=["a doctype", "a bomb", "a file", "an address", "a parameter"],
)
def test_a_document_that_declares_something_is_refused(idp, inside, entity) -> None:
    client = at(new_address())
    answer = at_provider(begin(client))
    began = time.monotonic()
    posts_nothing_lasting(client, declared(answer, f"<!DOCTYPE x [{inside.replace('{base}', idp.base)}]>", entity))
    assert time.monotonic() - began < 2
    assert len(idp.paths) == 1


def transformed(algorithm: str):
    def touch(root) -> None:
        root.find(".//ds:Transform", NS).set("Algorithm", algorithm)

    return touch


def elsewhere(root) -> None:
    root.find(".//ds:Reference", NS).set("URI", "http://127.0.0.1:1/")


def key_elsewhere(root) -> None:
    info = root.find(".//ds:X509Data", NS).getparent()
    etree.SubElement(info, f"{{{NS['ds']}}}RetrievalMethod").set("URI", "http://127.0.0.1:1/")


def two_things(root) -> None:
    info = root.find(".//ds:SignedInfo", NS)
    info.append(etree.fromstring(etree.tostring(info.find("ds:Reference", NS))))


@pytest.mark.parametrize(
    "touch",
    [
        transformed("http://www.w3.org/TR/1999/REC-xslt-19991116"),
        transformed("http://www.w3.org/TR/1999/REC-xpath-19991116"),
        transformed("http://www.w3.org/2002/06/xmldsig-filter2"),
        elsewhere,
        key_elsewhere,
        two_things,
    ],
    ids=["xslt", "xpath", "filter", "reference", "key", "two"],
)
def test_a_signature_that_leads_elsewhere_is_refused_unread(idp, touch, caplog) -> None:
    idp.last_touch = touch
    client = at(new_address())
    posts_nothing_lasting(client, at_provider(begin(client)))
    reasons = ("of a kind that is not taken", "about something elsewhere", "about more than one thing")
    assert any(reason in caplog.text for reason in reasons)


TRANSFORM = f'<ds:Transform Algorithm="{xmlsec.Transform.EXCL_C14N.href}"/>'
PREFIXES = '<ec:InclusiveNamespaces xmlns:ec="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList="{}"/>'
VALUE = "<saml:AttributeValue>"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<ds:Transforms>", "<ds:Transforms>" + TRANSFORM * 2_300),
        (TRANSFORM, f"{TRANSFORM[:-2]}>{PREFIXES.format('a ' * 50_000)}</ds:Transform>"),
        (VALUE, VALUE + "<a/>" * 40_000),
        (VALUE, VALUE[:-1] + "".join(f' n{number}=""' for number in range(16_000)) + ">"),
        (VALUE, VALUE[:-1] + "".join(f' xmlns:n{number}="u"' for number in range(9_000)) + ">"),
        (VALUE, VALUE + "".join(f'<n{number}:a xmlns:n{number}="u"/>' for number in range(4_900))),
        (VALUE, VALUE + "<a>" * 20_000 + "</a>" * 20_000),
    ],
    ids=["transforms", "prefixes", "elements", "attributes", "namespaces", "both", "depth"],
)
def test_an_answer_that_would_cost_much_costs_little(idp, before, after) -> None:
    """5,000 transforms took nine minutes before they were counted, and anybody may post them."""
    client = at(new_address())
    text = base64.b64decode(at_provider(begin(client))).decode()
    assert before in text
    began = time.process_time()
    posts_nothing_lasting(client, base64.b64encode(text.replace(before, after, 1).encode()).decode())
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "inside",
    ['<xenc11:DerivedKey xmlns:xenc11="http://www.w3.org/2009/xmlenc11#"/>', '<xenc:AgreementMethod Algorithm="x"/>'],
    ids=["derived", "agreed"],
)
def test_a_key_that_has_to_be_computed_is_refused(idp, settings, inside, caplog) -> None:
    key, certificate = key_pair("labeling")
    settings.SOCIALACCOUNT_PROVIDERS = idp.app(key=key, key_certificate=certificate)
    idp.encrypts_for = certificate
    client = at(new_address())
    text = (
        base64.b64decode(at_provider(begin(client)))
        .decode()
        .replace("</xenc:EncryptedData>", f"{inside}</xenc:EncryptedData>")
    )
    posts_nothing_lasting(client, base64.b64encode(text.encode()).decode())
    assert "its key is to be computed" in caplog.text


def test_a_cipher_that_lies_elsewhere_is_not_fetched(idp, settings) -> None:
    key, certificate = key_pair("labeling")
    settings.SOCIALACCOUNT_PROVIDERS = idp.app(key=key, key_certificate=certificate)
    idp.encrypts_for = certificate

    def touch(root) -> None:
        data = root.find(".//xenc:EncryptedData/xenc:CipherData", NS)
        data.remove(data[0])
        etree.SubElement(data, f"{{{NS['xenc']}}}CipherReference").set("URI", f"{idp.base}/stolen")

    idp.last_touch = touch
    client = at(new_address())
    posts_nothing_lasting(client, at_provider(begin(client)))
    assert len(idp.paths) == 1


def test_an_encrypted_assertion_without_a_signature_is_refused(idp, settings) -> None:
    key, certificate = key_pair("labeling")
    settings.SOCIALACCOUNT_PROVIDERS = idp.app(key=key, key_certificate=certificate)
    idp.encrypts_for, idp.signs = certificate, set()
    client = at(new_address())
    posts_nothing_lasting(client, at_provider(begin(client)))


@pytest.mark.parametrize("text", ["", "x", "PHg+", "\x00", "é", "PD94", "A" * 300_000], ids=lambda text: repr(text[:4]))
def test_nonsense_is_refused(idp, text) -> None:
    posts_nothing_lasting(at(new_address()), text)


# --- for whom, when, what for --------------------------------------------------------------------------


def minutes(number: float) -> str:
    return stamp(datetime.now(UTC) + timedelta(minutes=number))


@pytest.mark.parametrize(
    "facts",
    [
        {"audience": "<saml:AudienceRestriction><saml:Audience>other</saml:Audience></saml:AudienceRestriction>"},
        {"audience": ""},
        {"recipient": "http://testserver/elsewhere/"},
        {"recipient": f"http://testserver{ACS}more/"},
        {"acs": "http://other.example/acs/"},
        {"issuer": "http://another.example/"},
        {"confirmed_request": ""},
        {"confirmed_request": "_another"},
        {"request": ""},
    ],
    ids=[
        "audience", "no audience", "recipient", "longer recipient", "destination", "issuer", "no question",
        "another question", "question in the assertion only",
    ],
)  # fmt: skip
def test_an_assertion_that_is_not_for_this_is_refused(idp, facts) -> None:
    idp.facts = facts
    client = at(new_address())
    posts_nothing_lasting(client, at_provider(begin(client)))


@pytest.mark.parametrize(("since", "until"), [(-20, -10), (-20, 0), (10, 20)], ids=["over", "just over", "not yet"])
def test_an_assertion_of_another_time_is_refused(idp, since, until) -> None:
    idp.facts = {"since": minutes(since), "until": minutes(until)}
    client = at(new_address())
    posts_nothing_lasting(client, at_provider(begin(client)))


def test_an_assertion_counts_as_good_for_a_day_at_most(idp) -> None:
    idp.facts = {"until": minutes(60 * 24 * 365)}
    assert sign_on(at(new_address()))["Location"] == "/"
    assert UsedAssertion.objects.get().until <= datetime.now(UTC) + timedelta(days=1)


def test_a_sign_in_that_nobody_asked_for_is_refused(idp) -> None:
    idp.facts = {"request": "", "confirmed_request": ""}
    answer = idp.answer({"id": "", "acs": f"http://testserver{ACS}"})
    posts_nothing_lasting(at(new_address()), answer, "Start the sign-in from here")


def test_the_same_assertion_works_once(idp) -> None:
    client = at(new_address())
    answer = at_provider(begin(client))
    assert come_back(client, answer)["Location"] == "/"
    client.post("/accounts/logout/")
    cache.clear()
    for other in (client, at(new_address())):
        refused(other, post(other, answer), "was used before")


def test_two_at_the_same_moment_are_one(idp) -> None:
    """The second finds the first one's row, whatever browser it is in."""
    client = at(new_address())
    answer = at_provider(begin(client))
    assert [post(at(new_address()), answer).status_code for _ in range(3)] == [302, 403, 403]


def test_an_answer_to_another_browser_is_refused(idp) -> None:
    answer = at_provider(begin(at(new_address())))
    client = at(new_address())
    refused(client, come_back(client, answer), STATE, 400)


def test_a_question_is_answered_once(idp) -> None:
    client = at(new_address())
    at_provider(begin(client))
    [question] = idp.questions
    come_back(client, idp.answer(question))
    client.post("/accounts/logout/")
    refused(client, come_back(client, idp.answer(question)), STATE, 400)


def test_the_last_step_alone_signs_nobody_in(idp) -> None:
    client = at(new_address())
    refused(client, client.get(f"{ACS}finish/"), STATE, 400)
    refused(client, client.get(ACS), STATE, 405)


def test_the_last_step_works_once(idp) -> None:
    client = at(new_address())
    posted = post(client, at_provider(begin(client)))
    client.get(posted["Location"])
    client.post("/accounts/logout/")
    refused(client, client.get(posted["Location"]), STATE, 400)


# --- who -----------------------------------------------------------------------------------------------


def test_without_an_address_nobody_comes_in(idp) -> None:
    del idp.person["email"]
    client = at(new_address())
    refused(client, sign_on(client), "did not tell your e-mail address")
    assert User.objects.count() == 0


def test_an_account_that_is_not_connected_is_not_joined_by_a_foreign_address(idp, owner) -> None:
    """The provider answers for its own domains; of others it can say what it likes."""
    vouch_for(user=owner)
    idp.person["email"] = owner.email
    client = at(new_address())
    refused(client, sign_on(client), "may not sign in here")
    assert SocialAccount.objects.count() == 0


@pytest.mark.parametrize(
    ("said", "domains", "may"),
    [("true", (), True), ("false", (), False), (None, (), False), ("false", ("corp.example",), False)],
)
def test_an_address_counts_as_verified_when_somebody_says_so(idp, settings, said, domains, may) -> None:
    settings.SSO_EMAIL_DOMAINS = domains
    if said is not None:
        idp.person["email_verified"] = said
    client = at(new_address())
    answer = sign_on(client)
    if may:
        assert "_auth_user_id" in client.session
    else:
        refused(client, answer, "has not verified your e-mail address")


def test_a_name_that_changes_with_each_visit_names_nobody(idp) -> None:
    idp.name_format = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
    client = at(new_address())
    posts_nothing_lasting(client, at_provider(begin(client)))


@pytest.mark.parametrize("name", ["", "x" * 192])
def test_a_name_that_cannot_be_kept_names_nobody(idp, name) -> None:
    idp.name_id = name
    client = at(new_address())
    posts_nothing_lasting(client, at_provider(begin(client)))


def test_somebody_switched_off_stays_out(idp) -> None:
    sign_on(at(new_address()))
    User.objects.update(is_active=False)
    client = at(new_address())
    sign_on(client)
    assert "_auth_user_id" not in client.session


def test_a_provider_that_says_no_is_told(idp) -> None:
    idp.facts = {"status": "Responder"}
    client = at(new_address())
    posts_nothing_lasting(client, at_provider(begin(client)), "did not let you in")


def test_a_link_alone_signs_nobody_in(idp) -> None:
    page = at(new_address()).get(START).content.decode()
    assert "http-equiv" not in page
    assert "Continue" in page


# --- set up or not -------------------------------------------------------------------------------------


PAIR, OTHER = key_pair("labeling"), key_pair("labeling")


@pytest.mark.parametrize(
    "broken",
    [
        {"certificate": ""},
        {"certificate": "x"},
        {"certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"},
        {"url": ""},
        {"url": "javascript:x"},
        {"key": "x", "key_certificate": PAIR[1]},
        {"key": PAIR[0]},
        {"key": PAIR[0], "key_certificate": OTHER[1]},
        {"metadata": "<x", "url": ""},
        {"metadata": "<x/>", "url": ""},
    ],
    ids=lambda broken: "+".join(f"{name} {value[:2]}" for name, value in broken.items()),
)
def test_a_set_up_that_does_not_fit_together_is_said(idp, settings, broken) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = idp.app(**broken)
    client = at(new_address())
    refused(client, client.post(START), ODD, 502)
    refused(client, client.get("/accounts/sso/saml/metadata/"), ODD, 502)
    refused(client, post(client, "x"), ODD)
    assert [found.id for found in saml_fits_together(None)] == ["accounts.E002"]


def test_the_checks_are_quiet_about_a_good_set_up(idp, settings) -> None:
    assert saml_fits_together(None) == []
    settings.SSO_EMAIL_DOMAINS = ()
    assert [found.id for found in saml_fits_together(None)] == ["accounts.W003"]
    settings.SOCIALACCOUNT_PROVIDERS = {}
    assert saml_fits_together(None) == []


def test_the_environment_sets_it_up(tmp_path) -> None:
    """Off without variables; each of them may be a file; the toolkit is not loaded before somebody signs in."""
    (tmp_path / "certificate.pem").write_text(PAIR[1])
    program = (
        "import json, sys, django; django.setup()\nfrom django.conf import settings\n"
        "print(json.dumps([settings.SOCIALACCOUNT_PROVIDERS, 'xmlsec' in sys.modules]))"
    )
    variables = {
        "SSO_SAML_ENTITY_ID": "https://idp.example",
        "SSO_SAML_URL": "https://idp.example/sso",
        "SSO_SAML_CERTIFICATE_FILE": str(tmp_path / "certificate.pem"),
        "SSO_SAML_ATTRIBUTES": "email=work,uid=number",
        "SSO_SAML_NAME": "Corp",
        "PUBLIC_URL": "https://labeling.example",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SSO_")}
    found = []
    for more in ({}, variables):
        given = kept | {"DJANGO_SETTINGS_MODULE": "labeling_platform.settings", "SECRET_KEY": "x" * 50} | more
        said = subprocess.run([sys.executable, "-c", program], env=given, capture_output=True, check=True).stdout
        found.append(json.loads(said))
    [app] = found[1][0]["saml"]["APPS"]
    assert found[0] == [{}, False]
    assert (app["name"], found[1][1]) == ("Corp", False)
    assert app["settings"] == {
        "entity_id": "https://idp.example",
        "url": "https://idp.example/sso",
        "certificate": PAIR[1].strip(),
        "metadata": "",
        "own_entity_id": "https://labeling.example/accounts/sso/saml/metadata/",
        "key": "",
        "key_certificate": "",
        "attributes": {"email": "work", "uid": "number"},
    }


def test_without_a_provider_there_is_no_button_and_no_page(db, settings) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = {}
    client = at(new_address())
    assert "/accounts/sso/" not in client.get("/accounts/login/").content.decode()
    for answer in (
        client.post(START),
        client.post(ACS),
        client.get(f"{ACS}finish/"),
        client.get(f"{ACS[:-4]}metadata/"),
    ):
        assert answer.status_code == 404
