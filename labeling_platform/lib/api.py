"""What all operations of the HTTP API share: one shape for every error, types of parameters, pages of lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar

from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.datastructures import MultiValueDict
from ninja import NinjaAPI, Schema
from ninja.errors import HttpError, ValidationError
from pydantic import ConfigDict, Field, StringConstraints

from .errors import Refused
from .forms import CsvFileForm
from .paging import MOST_ID, KeyPage
from .uploads import CsvUpload

ROOT = "/api/v1/"
MOST_ITEMS, USUAL_ITEMS = 100, 50

Id = Annotated[int, Field(ge=1, le=MOST_ID)]
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=500)]
"""Text that the database can hold."""
Limit = Annotated[int, Field(ge=1, le=MOST_ITEMS, description="How many items a page has at most.")]
After = Annotated[
    str,
    StringConstraints(pattern=r"^([0-9eE.+~-]{1,60})?$"),
    Field(description="`next` of the page before; empty for the first page."),
]
T = TypeVar("T")

MESSAGES = {
    400: ("bad_request", "The request cannot be understood. Check its body and its content type."),
    403: ("forbidden", "This is not allowed."),
    404: ("not_found", "There is nothing at this address that this token may see."),
    405: ("method_not_allowed", "This address does not know that method; the header Allow says which it knows."),
    413: ("too_large", "The request is too large."),
    429: ("too_many_requests", "Too many requests. Wait for the seconds that the header Retry-After says."),
    500: ("server_error", "Something went wrong on our side. Try again; if it stays, report the request id."),
}


class ErrorBody(Schema):
    code: str = Field(description="The reason, for programs.", examples=["not_found"])
    message: str = Field(description="The reason, for people: what is wrong and what to do.")
    fields: dict[str, str] | None = Field(
        None, description="What is wrong with single fields of the request, by their names."
    )
    request_id: str = Field(description="Name it when you ask for help. The header X-Request-ID has it, too.")


class ErrorOut(Schema):
    """Every error looks like this, whatever its status."""

    error: ErrorBody


class In(Schema):
    """What a request carries: fields that nobody knows are refused, so that a typing error is not passed over."""

    model_config = ConfigDict(extra="forbid")


def example(**fields: Any) -> ConfigDict:
    """The model_config of a request's body with this example."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [fields]})


class Page(Schema, Generic[T]):
    """Part of a list. Go on with `?after=<next>` until `next` is null."""

    items: list[T]
    next: str | None = Field(None, description="Where the next page begins; null when this is the last one.")


class ApiError(Exception):
    """An answer that is an error. Raised inside an operation; nothing that it did is kept."""

    def __init__(
        self,
        status: int,
        code: str = "",
        message: str = "",
        *,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        usual = MESSAGES.get(status, ("error", HTTPStatus(status).phrase))
        super().__init__(message or usual[1])
        self.status, self.code, self.message = status, code or usual[0], message or usual[1]
        self.fields, self.headers = dict(fields or {}), dict(headers or {})


def invalid(field: str, message: str) -> ApiError:
    """One field of the request is wrong."""
    return ApiError(422, "invalid", message, fields={field: message})


def error_answer(request: HttpRequest, error: ApiError) -> JsonResponse:
    """The error as every client sees it."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.fields:
        body["fields"] = error.fields
    body["request_id"] = getattr(request, "request_id", "")
    answer = JsonResponse({"error": body}, status=error.status, json_dumps_params={"ensure_ascii": False})
    for name, value in error.headers.items():
        answer[name] = value
    return answer


def refused_as_error(refused: Refused, fields: Mapping[str, str]) -> ApiError:
    """A refusal as an answer: 422 when its code belongs to a field of the request (`fields`), else 409."""
    if refused.code in fields:
        return ApiError(422, refused.code, refused.message, fields={fields[refused.code]: refused.message})
    return ApiError(409, refused.code, refused.message)


@contextmanager
def asking_to_confirm() -> Iterator[None]:
    """Says to programs how to confirm what people tick."""
    try:
        yield
    except Refused as refused:
        if refused.code != "unconfirmed":
            raise
        message = (
            "There are warnings that are not confirmed. GET this address to read them, then name them in `confirm`."
        )
        raise ApiError(409, "unconfirmed", message) from refused


def use_error_shape(api: NinjaAPI) -> None:
    """Let every error that an operation raises have our shape."""

    @api.exception_handler(ApiError)
    def own(request: HttpRequest, error: ApiError | type[ApiError]) -> JsonResponse:
        assert isinstance(error, ApiError)
        return error_answer(request, error)

    @api.exception_handler(Http404)
    def absent(request: HttpRequest, error: Http404 | type[Http404]) -> JsonResponse:
        return error_answer(request, ApiError(404))

    @api.exception_handler(HttpError)
    def unreadable(request: HttpRequest, error: HttpError | type[HttpError]) -> JsonResponse:
        return error_answer(request, ApiError(getattr(error, "status_code", 400)))

    @api.exception_handler(ValidationError)
    def wrong(request: HttpRequest, error: ValidationError | type[ValidationError]) -> JsonResponse:
        assert isinstance(error, ValidationError)
        return error_answer(request, _validation_error(error.errors))


def _validation_error(found: list[dict[str, Any]]) -> ApiError:
    """An id that is none is as absent as one that nothing has; all else is told by field."""
    if any(one["loc"][0] == "path" for one in found):
        return ApiError(404)
    fields: dict[str, str] = {}
    for one in found:
        names = [str(part) for part in one["loc"][1:] if part != "data"]
        fields.setdefault(".".join(names) or "body", str(one["msg"]))
    return ApiError(422, "invalid", "Some fields of the request are wrong: see `fields`.", fields=fields)


class ErrorShape:
    """Middleware: whatever else goes wrong under ROOT (no such address, method, host) has the shape of its errors."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer = self.get_response(request)
        if not request.path.startswith(ROOT):
            return answer
        if answer.status_code >= 400 and not answer.get("Content-Type", "").startswith("application/json"):
            answer = error_answer(request, ApiError(answer.status_code, headers=careful(answer)))
        if not answer.has_header("Cache-Control"):
            answer["Cache-Control"] = "no-store"
        answer["X-Content-Type-Options"] = "nosniff"
        return answer


def careful(answer: HttpResponseBase) -> dict[str, str]:
    """The headers of an answer that one put in its place keeps: Allow, and what makes browsers careful."""
    about_the_body = {"Content-Type", "Content-Length", "Content-Disposition", "Content-Language", "Content-Encoding"}
    return {name: value for name, value in answer.items() if name not in about_the_body}


def page_of(page: KeyPage[Any], items: list[Any]) -> dict[str, Any]:
    """A Page of what was made of the page's things."""
    return {"items": items, "next": page.next or None}


def checked_csv(file: UploadedFile) -> UploadedFile:
    """The uploaded file, by the rules of the pages' own form. Raises ApiError: 413 when it is too large."""
    form = CsvFileForm({}, MultiValueDict({"file": [file]}))
    if form.is_valid():
        return file
    (error,) = form.errors.as_data()["file"][:1]
    message = str(error.messages[0])
    raise ApiError(413, "too_large", message) if error.code == "too_large" else invalid("file", message)


class Problem(Schema):
    line: int | None = Field(description="The line of the file, the header being line 1; null: the file as a whole.")
    column: str | None
    code: str
    message: str


class UploadOut(Schema):
    """An uploaded file. It is read in the background: ask again until `state` is ready or refused."""

    id: int
    name: str = Field(description="The file's name as it was sent.")
    size: int
    state: str = Field(description="received, reading, ready, refused or canceled", examples=["ready"])
    rows_read: int
    rows_ok: int
    rows_bad: int
    problems: list[Problem] = Field(description="The first 100 problems by line.")
    refusal: str = Field(description="Why the file as a whole was refused; empty when it was not.")
    created_at: datetime
    finished_at: datetime | None


class HeldUploadOut(UploadOut):
    held: bool = Field(description="This file came before: confirm to add its rows again, or discard it.")


PROBLEMS_TOLD = 100


def upload_out(upload: CsvUpload) -> dict[str, Any]:
    """The fields of UploadOut; with those of HeldUploadOut when the upload can be held."""
    fields = ("name", "size", "state", "rows_read", "rows_ok", "rows_bad", "refusal", "created_at", "finished_at")
    found = {name: getattr(upload, name) for name in fields if name != "name"}
    found |= {"id": upload.pk, "name": upload.original_name, "problems": upload.problems[:PROBLEMS_TOLD]}
    return found | ({"held": upload.held} if hasattr(upload, "held") else {})
