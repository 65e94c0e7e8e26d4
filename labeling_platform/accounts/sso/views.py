"""To the provider and back."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.decorators import login_not_required
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from .client import SignOnClient


class CallbackView(OAuth2CallbackView):
    """allauth's way back, which hands the nonce of the state to the client."""

    def _get_state(self, request: HttpRequest, provider: Any) -> Any:
        state, response = super()._get_state(request, provider)
        self.adapter.nonce = (state or {}).get("nonce", "")
        return state, response


@never_cache
@login_not_required
def login(request: HttpRequest) -> HttpResponse:
    """Send the person to the provider, by a page: browsers hold a form's redirect against form-action of the CSP."""
    response = _run(OAuth2LoginView, request)
    if response.status_code != 302:
        return response
    return render(request, "socialaccount/login_redirect.html", {"redirect_to": response["Location"]})


@never_cache
@login_not_required
def callback(request: HttpRequest) -> HttpResponse:
    """The person comes back with a code."""
    return _run(CallbackView, request)


def _run(view: Any, request: HttpRequest) -> HttpResponse:
    try:
        return view.adapter_view(SignOnClient(request))(request)
    except SocialApp.DoesNotExist as error:
        raise Http404("Single sign-on is not set up here.") from error
