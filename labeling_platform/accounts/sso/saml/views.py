"""To the provider and back. The way back has two steps, since browsers keep cookies from another site's POST."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from allauth.account.internal.decorators import login_not_required
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import complete_social_login, render_authentication_error
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.base.views import BaseLoginView
from allauth.socialaccount.sessions import LoginSession
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from labeling_platform.lib.errors import Refused

from ..adapter import ODD, STATE, refuse
from .provider import Answer, SamlProvider, acs_url
from .seen import use_once

log = logging.getLogger(__name__)
COOKIE, KEY = "saml-answer", "answer"
WAY_BACK_SECONDS = 300
WORDS = {
    "odd": (ODD, 403),
    "denied": ("The sign-in service did not let you in. Try again, or ask who runs that service.", 403),
    "unasked": ("Start the sign-in from here: one that the sign-in service began by itself is not taken.", 403),
}


class LoginView(BaseLoginView):  # type: ignore[misc]
    provider_id = SamlProvider.id


@never_cache
@login_not_required
def login(request: HttpRequest) -> HttpResponse:
    """Send the person to the provider, by a page: browsers hold a form's redirect against form-action of the CSP."""
    provider_or_404(request)
    response = LoginView.as_view()(request)
    if response.status_code != 302:
        return response
    return render(request, "socialaccount/login_redirect.html", {"redirect_to": response["Location"]})


@never_cache
@csrf_exempt
@login_not_required
def acs(request: HttpRequest) -> HttpResponse:
    """The provider's page posts the answer here. It is checked, and kept for the next step, to which the browser
    brings its cookies. Only a checked answer leaves anything in the database."""
    provider = provider_or_404(request)
    if request.method != "POST":
        return refuse(request, STATE, 405)
    from . import messages

    posted = request.POST.get("SAMLResponse", "")
    try:
        answer, assertion_id, until = messages.read(provider.app.settings, acs_url(request), posted)
        if not provider.knows(answer):
            raise messages.BadAnswer("it does not name the person, or by a name that changes with each visit")
        use_once(assertion_id=assertion_id, until=until)
    except messages.BadAnswer as error:
        log.warning("single sign-on: a SAML answer was refused: %s", str(error)[:300])
        return _refuse_posted(request, *WORDS[error.kind])
    except Refused as refused:
        log.warning("single sign-on: a SAML answer was refused: %s", refused.code)
        return _refuse_posted(request, refused.message, 403)
    response = HttpResponseRedirect(reverse("saml_finish"))
    kept = _between(request)
    kept.store[KEY] = asdict(answer)
    kept.store.set_expiry(WAY_BACK_SECONDS)
    kept.save(response)
    response.cookies[COOKIE]["httponly"] = True
    return response


@never_cache
@login_not_required
@require_safe
def finish(request: HttpRequest) -> HttpResponse:
    """The browser that asked comes for the answer; any other has no use for it."""
    provider = provider_or_404(request)
    kept = _between(request)
    found: dict[str, Any] | None = kept.store.get(KEY)
    kept.delete()
    if not found:
        return refuse(request, STATE, 400)
    answer = Answer(**found)
    person = provider.sociallogin_from_response(request, answer)
    try:
        person.state = provider.unstash_redirect_state(request, answer.request_id)
    except PermissionDenied:
        return refuse(request, STATE, 400)
    response: HttpResponse = complete_social_login(request, person)
    return response


@login_not_required
@require_safe
def metadata(request: HttpRequest) -> HttpResponse:
    """Our description, which the provider's administrators import."""
    provider = provider_or_404(request)
    from . import messages

    try:
        content = messages.description(provider.app.settings, acs_url(request))
    except ValueError as error:
        response: HttpResponse = render_authentication_error(request, provider, exception=error)
        return response
    return HttpResponse(content, content_type="application/samlmetadata+xml")


def provider_or_404(request: HttpRequest) -> SamlProvider:
    try:
        return get_adapter().get_provider(request, SamlProvider.id)
    except SocialApp.DoesNotExist as error:
        raise Http404("Single sign-on by SAML is not set up here.") from error


def _refuse_posted(request: HttpRequest, text: str, status: int) -> HttpResponse:
    """The browser sent no cookies along; a new one against forged forms would spoil the forms that are open there."""
    response = refuse(request, text, status)
    request.META.pop("CSRF_COOKIE_NEEDS_UPDATE", None)
    return response


def _between(request: HttpRequest) -> LoginSession:
    """A session of its own for what lies between the two steps; the person's own is not there in the first."""
    return LoginSession(request, "saml_answer", COOKIE)
