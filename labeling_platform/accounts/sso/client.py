"""Talking with the provider: its description, its tokens and what they say about a person."""

from __future__ import annotations

import hmac
from typing import Any

import jwt
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import HttpRequest
from django.urls import reverse

# Signatures by the provider's private key only: with HS256 our own secret could sign, and "none" signs nothing.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
CLOCK_SECONDS = 60
KEPT = ("sub", "email", "email_verified", "name", "preferred_username")
WELL_KNOWN = "/.well-known/openid-configuration"
NEEDED = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")


class BrokenProvider(OAuth2Error):  # type: ignore[misc]
    """The provider answered something that is not OpenID Connect, or not meant for us."""


class SignOnClient(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """One conversation with the provider. `nonce` is what this browser's state expects in the token."""

    nonce = ""

    def __init__(self, request: HttpRequest, provider_id: str = "sso") -> None:
        super().__init__(request, provider_id)

    @property
    def openid_config(self) -> dict[str, Any]:
        """The provider's description, which must be complete and name the issuer that was asked (Discovery 4.3)."""
        if not hasattr(self, "_openid_config"):
            address = self.get_provider().server_url
            config = self._get(address)
            if [name for name in NEEDED if not isinstance(config.get(name), str)]:
                raise BrokenProvider("The description of the provider is not complete.")
            if config["issuer"].rstrip("/") != address.removesuffix(WELL_KNOWN).rstrip("/"):
                raise BrokenProvider("The provider describes another issuer than the one in SSO_OIDC_URL.")
            self._openid_config = config
        return dict(self._openid_config)

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        return request.build_absolute_uri(reverse("sso_callback"))

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> SocialLogin:
        """What the provider says about the person. Raises OAuth2Error unless the token is signed, fresh and for us."""
        claims = self._claims(app, kwargs["response"].get("id_token") or "")
        facts = dict(claims)
        if endpoint := self.openid_config.get("userinfo_endpoint"):
            info = self._get(endpoint, Authorization=f"Bearer {token.token}")
            if info.get("sub") != claims["sub"]:  # OpenID Connect Core 5.3.2
                raise BrokenProvider("The provider told about another person.")
            facts |= info
        kept = {name: facts[name] for name in KEPT if name in facts}
        kept["email"] = str(kept.get("email") or "").strip().lower()
        kept["email_verified"] = kept.get("email_verified") in (True, "true")
        return self.get_provider().sociallogin_from_response(request, {"userinfo": kept})

    def _claims(self, app: Any, id_token: str) -> dict[str, Any]:
        """The checked contents of the ID token (OpenID Connect Core 3.1.3.7)."""
        try:
            claims: dict[str, Any] = jwt.decode(
                id_token,
                self._key(id_token),
                algorithms=ALGORITHMS,
                audience=app.client_id,
                issuer=self.openid_config["issuer"],
                leeway=CLOCK_SECONDS,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except jwt.PyJWTError as error:
            raise BrokenProvider(f"The ID token was refused ({type(error).__name__}).") from error
        if not self.nonce or not hmac.compare_digest(str(claims.get("nonce", "")).encode(), self.nonce.encode()):
            raise BrokenProvider("The ID token was made for another visit.")
        if claims.get("azp", app.client_id) != app.client_id:
            raise BrokenProvider("The ID token was made for another program.")
        return claims

    def _key(self, id_token: str) -> Any:
        wanted = jwt.get_unverified_header(id_token).get("kid")
        keys = jwt.PyJWKSet.from_dict(self._get(self.openid_config["jwks_uri"])).keys
        for key in keys:
            if key.public_key_use in (None, "sig") and (key.key_id == wanted or (wanted is None and len(keys) == 1)):
                return key
        raise BrokenProvider("The provider does not know the key of its token.")

    def _get(self, address: str, **headers: str) -> dict[str, Any]:
        with get_adapter().get_requests_session() as session:
            answer = session.get(address, headers=headers, allow_redirects=False)
            answer.raise_for_status()
            found = answer.json()
        if not isinstance(found, dict):
            raise BrokenProvider("The provider answered something that is not OpenID Connect.")
        return found
