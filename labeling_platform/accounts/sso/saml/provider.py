"""The provider, found by allauth because this package is an installed app. One at most, from the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from allauth.socialaccount import app_settings
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.saml.provider import SAMLProvider
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode

TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
# Attributes that Entra ID, Okta, Keycloak, Shibboleth and Google send by themselves; SSO_SAML_ATTRIBUTES names others.
ATTRIBUTES = {
    "uid": [
        "urn:oasis:names:tc:SAML:attribute:subject-id",
        "urn:oasis:names:tc:SAML:attribute:pairwise-id",
        "http://schemas.microsoft.com/identity/claims/objectidentifier",
    ],
    "email": ["email", "mail", "urn:oid:0.9.2342.19200300.100.1.3", f"{CLAIMS}/emailaddress"],
    "email_verified": ["email_verified", "http://schemas.auth0.com/email_verified"],
    "name": [
        "name",
        "displayName",
        "urn:oid:2.16.840.1.113730.3.1.241",
        "http://schemas.microsoft.com/identity/claims/displayname",
    ],
    "first_name": ["firstName", "givenName", "urn:oid:2.5.4.42", f"{CLAIMS}/givenname"],
    "last_name": ["lastName", "sn", "urn:oid:2.5.4.4", f"{CLAIMS}/surname"],
}


@dataclass(frozen=True)
class Answer:
    """What a checked assertion says: whose question it answers and who the person is, in the words of SAML."""

    request_id: str
    name_id: str | None = None
    name_id_format: str | None = None
    attributes: dict[str, list[str]] = field(default_factory=dict)

    def get_attributes(self) -> dict[str, list[str]]:
        return self.attributes

    def get_nameid(self) -> str | None:
        return self.name_id

    def get_nameid_format(self) -> str | None:
        return self.name_id_format


class SamlProvider(SAMLProvider):  # type: ignore[misc]
    """SAML 2.0, asked by a redirect and answered by a POST. Sign-ins that nobody here asked for are not taken."""

    id = "saml"
    name = "Single sign-on"

    def __init__(self, request: HttpRequest, app: SocialApp) -> None:
        mapping = ATTRIBUTES | app.settings.get("attributes", {})
        app.settings = app.settings | {"attribute_mapping": mapping}
        super().__init__(request, app=app)

    def get_login_url(self, request: HttpRequest, **kwargs: Any) -> str:
        return f"{reverse('saml_login')}?{urlencode(kwargs)}" if kwargs else reverse("saml_login")

    def redirect(
        self, request: HttpRequest, process: str, next_url: str | None = None, data: Any = None, **kwargs: Any
    ) -> HttpResponse:
        """Send the person to the provider. The number of the question stays in the session and has to come back."""
        from . import messages

        try:
            address, request_id = messages.question(self.app.settings, acs_url(request))
        except ValueError as error:
            refused: HttpResponse = render_authentication_error(request, self, exception=error)
            return refused
        self.stash_redirect_state(request, process, next_url, data, state_id=request_id, **kwargs)
        return HttpResponseRedirect(address)

    def extract_common_fields(self, data: Answer) -> dict[str, Any]:
        """Address, name, and whether the address counts as verified: the provider says so of the address, or it
        answers for the domain because who runs the platform named the domain (SSO_EMAIL_DOMAINS)."""
        found = super().extract_common_fields(data)
        email = str(found.get("email") or "").strip().lower()
        vouched = email.rpartition("@")[2] in settings.SSO_EMAIL_DOMAINS
        parts = (str(found.get(part) or "") for part in ("first_name", "last_name"))
        return {
            "email": email,
            "email_verified": found.get("email_verified", vouched) is True,
            "name": found.get("name") or " ".join(part for part in parts if part),
        }

    def extract_extra_data(self, data: Answer) -> dict[str, Any]:
        return self.extract_common_fields(data)

    def knows(self, answer: Answer) -> bool:
        """Whether the answer names the person by something that stays the same at the next visit."""
        uid = self.extract_uid(answer)
        by_attribute = bool(self._extract(answer).get("uid"))
        if not by_attribute and answer.name_id_format == TRANSIENT:
            return False
        return bool(uid) and len(uid) <= app_settings.UID_MAX_LENGTH


def acs_url(request: HttpRequest) -> str:
    """Where the provider's answer has to go: the address that the person came by, as for OpenID Connect."""
    return request.build_absolute_uri(reverse("saml_acs"))


provider_classes = [SamlProvider]
