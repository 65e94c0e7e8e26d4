"""The OpenAPI document of the API, and a page that says the same to people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from ninja.responses import NinjaJSONEncoder

from labeling_platform.lib.api import ROOT

from .api import api

Json = dict[str, Any]
ERRORS = {
    400: "The request cannot be read.",
    401: "No token that works: token_missing, token_unknown, token_expired, token_revoked or token_ended.",
    403: "The token's scope, its creator's role, or the team's features do not allow this: scope, role or feature.",
    404: "There is no such thing, or it belongs to another team.",
    409: "Not now: the state of the thing does not allow it. The code says why.",
    413: "The request or its file is too large.",
    422: "Some fields are wrong; `fields` says which.",
    429: "Too many requests with this token; Retry-After says for how many seconds to wait.",
}
REQUEST_ID = {"description": "The id of the request, for questions about it.", "schema": {"type": "string"}}


@lru_cache(maxsize=1)
def document() -> Json:
    """The OpenAPI document, made once."""
    found: Json = json.loads(json.dumps(api.get_openapi_schema(path_prefix=ROOT), cls=NinjaJSONEncoder))
    example = {"error": {"code": "not_found", "message": "There is nothing at this address.", "request_id": "5f0c"}}
    found["components"]["schemas"]["ErrorOut"]["examples"] = [example]
    found["components"]["securitySchemes"]["ApiTokenAuth"]["description"] = "A token of the page API of your team."
    for _, _, details in operations(found):
        for parameter in details["parameters"]:
            parameter["schema"].pop("title", None)
        details["responses"] = {status: details["responses"][status] for status in sorted(details["responses"])}
        for status, answer in details["responses"].items():
            answer["headers"] = {"X-Request-ID": deepcopy(REQUEST_ID)}
            answer["description"] = ERRORS.get(int(status), answer["description"])
        wait = {"description": "Seconds to wait.", "schema": {"type": "integer"}, "required": True}
        details["responses"]["429"]["headers"]["Retry-After"] = wait
    return found


def operations(found: Json) -> Iterator[tuple[str, str, Json]]:
    """(method, path, details) of every operation of a document."""
    for path, methods in found["paths"].items():
        for method, details in methods.items():
            yield method.upper(), path, details


@require_safe
def openapi(request: HttpRequest) -> JsonResponse:
    """The OpenAPI document. It holds no secrets and needs no token."""
    answer = JsonResponse(document())
    answer["Cache-Control"] = "public, max-age=300"
    return answer


@require_safe
def api_docs(request: HttpRequest) -> HttpResponse:
    """How to use the API, and every operation."""
    context = {"base_url": request.build_absolute_uri(ROOT).rstrip("/"), "sections": sections(), "errors": ERRORS}
    return render(request, "api/docs.html", context)


@lru_cache(maxsize=1)
def sections() -> list[tuple[str, list[Json]]]:
    """The operations by tag, as the page shows them."""
    found: dict[str, list[Json]] = {}
    schemas = document()["components"]["schemas"]
    for method, path, details in operations(document()):
        ok = next(status for status in details["responses"] if status < "400")
        found.setdefault(details["tags"][0], []).append(
            {
                "method": method,
                "path": path.removeprefix(ROOT.rstrip("/")),
                "id": details["operationId"],
                "summary": details["summary"],
                "description": details.get("description", "").replace("`", ""),
                "parameters": [*_parameters(details), *_body(details, schemas)],
                "status": ok,
                "answer": _answer(details["responses"][ok], schemas),
                "errors": [status for status in details["responses"] if status >= "400"],
            }
        )
    return list(found.items())


def _parameters(details: Json) -> list[Json]:
    return [
        {
            "name": one["name"],
            "place": one["in"],
            "type": _type(one["schema"]),
            "required": one["required"],
            "about": one.get("description", "").replace("`", ""),
        }
        for one in details["parameters"]
    ]


def _body(details: Json, schemas: Json) -> list[Json]:
    """The fields of the request's body."""
    content = details.get("requestBody", {}).get("content", {})
    return [field for kind, body in content.items() for field in _fields(body["schema"], schemas, _place(kind))]


def _place(kind: str) -> str:
    return {"application/json": "JSON", "multipart/form-data": "form"}.get(kind, kind)


def _fields(schema: Json, schemas: Json, place: str) -> list[Json]:
    found = _resolved(schema, schemas)
    required = found.get("required", [])
    return [
        {
            "name": name,
            "place": place,
            "type": _type(field),
            "required": name in required,
            "about": field.get("description", "").replace("`", ""),
        }
        for name, field in found.get("properties", {}).items()
    ]


def _answer(answer: Json, schemas: Json) -> list[Json]:
    """The fields of the answer; of the items, when it is a page of a list."""
    schema = next(iter(answer.get("content", {}).values()), {}).get("schema", {})
    found = _resolved(schema, schemas)
    if found.get("type") == "array":
        return _fields(found["items"], schemas, "item")
    if set(found.get("properties", {})) == {"items", "next"}:
        return _fields(found["properties"]["items"]["items"], schemas, "item")
    return _fields(found, schemas, "")


def _resolved(schema: Json, schemas: Json) -> Json:
    found: Json = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def _type(schema: Json) -> str:
    """The type of a field in a word or two."""
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "$ref" in schema:
        name = str(schema["$ref"].rpartition("/")[2])
        values = document()["components"]["schemas"][name].get("enum")
        return ", ".join(values) if values else name.removesuffix("Out")
    if "enum" in schema:
        return ", ".join(str(one) for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("format") == "binary":
        return "file"
    return {"date-time": "time"}.get(schema.get("format", ""), str(schema.get("type", "anything")))
