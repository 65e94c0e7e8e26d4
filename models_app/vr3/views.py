"""The operations of the API (watson.md 1.2): each loads, checks, calls a service and answers in the service's words."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from labeling_platform.accounts.api_access import ApiRequest, count_use, creator_of
from labeling_platform.accounts.scopes import Scope
from labeling_platform.lib.api import ApiError

from .. import services, tasks
from ..models import CustomModel, ModelVersion
from . import classifiers, classifying, identity
from .door import endpoint, open_endpoint
from .multipart import EXAMPLES, MB, Form, read_form
from .shapes import Problem, Shape, json_answer

MOST_ZIP = 100 * MB
MOST_CLASSIFY = MOST_ZIP + MB
CUSTOMER = re.compile(r"[A-Za-z0-9_]{1,100}")
METADATA = re.compile(r"\s*customer_id\s*=\s*(.*?)\s*")
QUERY = ("url", "threshold", "owners", "classifier_ids")


# --- classify -----------------------------------------------------------------------------------------


def classify(request: ApiRequest) -> HttpResponseBase:
    """POST: pictures in the body and by address. What the query says counts where the body says nothing."""
    with read_form(request, most=MOST_CLASSIFY, most_file=MOST_ZIP) as form:
        return _classified(request, form)


def classify_url(request: ApiRequest) -> HttpResponseBase:
    """GET: one picture by its address, as older clients ask."""
    return _classified(request, Form())


def _classified(request: ApiRequest, form: Form) -> HttpResponseBase:
    form.texts = {name: request.GET[name] for name in QUERY if name in request.GET} | form.texts
    threshold = classifying.threshold_of(form.texts)
    if not form.files and not form.texts.get("url"):
        raise Problem(400, "There is no picture: send images_file or url.", error_id="input_error")
    asked = classifying.asked_for(form.texts)
    with classifying.place():
        found = classifying.classify(asked=asked, pictures=classifying.pictures_of(form), threshold=threshold)
    return json_answer(found)


# --- classifiers --------------------------------------------------------------------------------------


def list_classifiers(request: ApiRequest) -> HttpResponseBase:
    """All of the team's; with verbose=true all that is known of them."""
    found = classifiers.describe(list(classifiers.all_models()))
    verbose = request.GET.get("verbose", "").lower() == "true"
    return json_answer({"classifiers": [one.full() if verbose else one.brief() for one in found]})


def get_classifier(request: ApiRequest, classifier_id: str) -> HttpResponseBase:
    """One of the team's."""
    return _described(_model(classifier_id))


def create_classifier(request: ApiRequest) -> HttpResponseBase:
    """Zips of examples become a model, and its training begins."""
    with _training_form(request) as form:
        version = classifiers.create_classifier(
            team=request.team,
            name=form.texts.get("name", ""),
            examples=_examples(form),
            actor=request.actor,
            customer=_customer_of(request),
        )
    return _trained(version)


def update_classifier(request: ApiRequest, classifier_id: str) -> HttpResponseBase:
    """More examples, and a training on everything."""
    model = _model(classifier_id)
    with _training_form(request) as form:
        version = classifiers.update_classifier(
            model=model, examples=_examples(form), actor=request.actor, customer=_customer_of(request)
        )
    return _trained(version)


def delete_classifier(request: ApiRequest, classifier_id: str) -> HttpResponseBase:
    """The model with all its data; a training that runs stops."""
    services.delete_model(model=_model(classifier_id), actor=request.actor)
    return json_answer({})


def core_ml_model(request: ApiRequest, classifier_id: str) -> HttpResponseBase:
    """There is none, and the classifier says so, too (`core_ml_enabled`)."""
    _model(classifier_id)
    raise Problem(404, "Core ML models are not available on this server.")


def delete_user_data(request: ApiRequest) -> HttpResponseBase:
    """Erase what was sent for a customer, done when answered."""
    customer = request.GET.get("customer_id", "")
    if not CUSTOMER.fullmatch(customer):
        raise Problem(400, "The parameter customer_id is missing: letters, digits and underscores.")
    classifiers.erase_customer(team=request.team, customer=customer, actor=request.actor)
    return json_answer({}, status=202)


def _model(classifier_id: str) -> CustomModel:
    model = classifiers.find_model(classifier_id)
    if model is None:
        raise Problem(404, f"There is no classifier {classifier_id[:100]}.")
    return model


def _described(model: CustomModel) -> HttpResponseBase:
    return json_answer(classifiers.describe([model])[0].full())


def _trained(version: ModelVersion) -> HttpResponseBase:
    tasks.train.delay_on_commit(team_id=version.team_id, version_id=version.pk)
    return _described(classifiers.all_models().get(pk=version.model_id))


def _training_form(request: HttpRequest) -> AbstractContextManager[Form]:
    return read_form(request, most=settings.VR3_MAX_BYTES, most_file=MOST_ZIP)


def _examples(form: Form) -> list[classifiers.Examples]:
    return [
        classifiers.Examples(classifiers.label_of(part.name), part.filename, part.file)
        for part in form.files
        if part.name.endswith(EXAMPLES)
    ]


def _customer_of(request: HttpRequest) -> str:
    """The customer that the header X-Watson-Metadata names. Raises Problem for a name that cannot be one."""
    found = METADATA.fullmatch(request.headers.get("X-Watson-Metadata", ""))
    if found is None:
        return ""
    if not CUSTOMER.fullmatch(found[1]):
        raise Problem(400, "The customer_id in X-Watson-Metadata has other than letters, digits and underscores.")
    return found[1]


# --- the rest -----------------------------------------------------------------------------------------


def identity_token(request: HttpRequest) -> HttpResponseBase:
    """An access token for an API token that works."""
    with read_form(request, most=MB, most_file=MB) as form:
        grant, key = form.texts.get("grant_type", ""), form.texts.get("apikey", "")
    if grant != identity.GRANT:
        raise Problem(400, f"The grant type must be {identity.GRANT}.")
    token = identity.find_token(key.strip())
    if token is None:
        raise Problem(400, "Provided API key could not be found.")
    try:
        creator_of(token)
        count_use(token)
    except ApiError as error:
        status = 400 if error.status == 401 else error.status
        raise Problem(status, error.message, headers=error.headers if status == 429 else None) from error
    return json_answer(identity.access_token(token))


READ, WRITE = Scope.READ, Scope.WRITE
classify_view = endpoint(Shape.CLASSIFY, {"POST": (READ, classify), "GET": (READ, classify_url)})
classifiers_view = endpoint(Shape.CLASSIFIERS, {"GET": (READ, list_classifiers), "POST": (WRITE, create_classifier)})
classifier_view = endpoint(
    Shape.CLASSIFIERS,
    {"GET": (READ, get_classifier), "POST": (WRITE, update_classifier), "DELETE": (WRITE, delete_classifier)},
)
core_ml_view = endpoint(Shape.CLASSIFIERS, {"GET": (READ, core_ml_model)})
user_data_view = endpoint(Shape.CLASSIFIERS, {"DELETE": (WRITE, delete_user_data)})
identity_view = open_endpoint(Shape.IDENTITY, "POST", identity_token)
