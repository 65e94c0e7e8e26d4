"""The provider, found by allauth because this package is an installed app. One at most, from the environment."""

from __future__ import annotations

import secrets
from typing import Any

from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from requests import RequestException

from .client import BrokenProvider, SignOnClient


class SignOnProvider(OpenIDConnectProvider):  # type: ignore[misc]
    """OpenID Connect with PKCE and nonce; nothing in the link decides what is asked of the provider."""

    id = "sso"
    name = "Single sign-on"
    oauth2_adapter_class = SignOnClient
    pkce_enabled_default = True
    supports_token_authentication = False

    def get_login_url(self, request: HttpRequest, **kwargs: Any) -> str:
        return f"{reverse('sso_login')}?{urlencode(kwargs)}" if kwargs else reverse("sso_login")

    def get_callback_url(self) -> str:
        return reverse("sso_callback")

    def get_scope_from_request(self, request: HttpRequest) -> list[str]:
        return list(self.get_scope())

    def get_auth_params_from_request(self, request: HttpRequest, action: str) -> dict[str, str]:
        return {}

    def redirect(self, request: HttpRequest, process: str, **kwargs: Any) -> HttpResponse:
        """Send the person to the provider. The nonce stays in the session's state and has to come back signed."""
        nonce = secrets.token_urlsafe(24)
        kwargs["auth_params"] = {"nonce": nonce}
        response: HttpResponse
        try:
            response = super().redirect(request, process, nonce=nonce, **kwargs)
        except (RequestException, BrokenProvider) as error:
            response = render_authentication_error(request, self, exception=error)
        return response


provider_classes = [SignOnProvider]
