"""How answers look: errors in the shapes that clients of the service know, classifiers, times. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from django.http import JsonResponse

ERROR_IDS = {400: "parameter_error", 404: "parameter_error", 413: "limit_exceeded"}
"""`error_id` where nothing better is said. The service's set was open; clients must not depend on it."""


class Shape(Enum):
    """Which of the service's shapes an address answers errors in."""

    CLASSIFIERS = "A"
    CLASSIFY = "B"
    IDENTITY = "G"


class Problem(Exception):
    """An answer that is an error. `images` go along where the service told problems by picture."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error_id: str = "",
        quota: bool = False,
        images: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.quota, self.images = status, message, quota, images
        self.error_id = error_id or ERROR_IDS.get(status, "server_error" if status >= 500 else "input_error")
        self.headers = dict(headers or {})


def problem_of_picture(code: int, description: str, error_id: str) -> dict[str, Any]:
    """The `error` of one picture among others (shape C)."""
    return {"code": code, "description": description, "error_id": error_id}


def error_body(shape: Shape, problem: Problem) -> dict[str, Any]:
    """The error in the shape of the address; a quota that is used up says so as the service's gateway did (D)."""
    if shape is Shape.IDENTITY:
        code = "BXNIM0415E" if problem.status == 400 else "BXNIM0109E"
        return {"errorCode": code, "errorMessage": problem.message}
    if problem.quota:
        return {"code": problem.status, "error": problem.message, "status": "ERROR", "statusInfo": problem.message}
    if shape is Shape.CLASSIFIERS:
        return {"code": problem.status, "error": problem.message}
    body: dict[str, Any] = {"error": problem_of_picture(problem.status, problem.message, problem.error_id)}
    if problem.images:
        body |= {"images": list(problem.images), "images_processed": 0}
    return body


def error_answer(shape: Shape, problem: Problem) -> JsonResponse:
    """The error as clients get it."""
    answer = json_answer(error_body(shape, problem), status=problem.status)
    for name, value in problem.headers.items():
        answer[name] = value
    return answer


def json_answer(body: Mapping[str, Any], *, status: int = 200) -> JsonResponse:
    """JSON that nobody keeps."""
    answer = JsonResponse(body, status=status, json_dumps_params={"ensure_ascii": False})
    answer["Cache-Control"] = "no-store"
    return answer


def time_of(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z, as the service wrote times."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Classifier:
    """What the API says of one model."""

    classifier_id: str
    name: str
    status: str
    owner: str
    created: datetime
    retrained: datetime | None = None
    explanation: str = ""
    classes: list[str] = field(default_factory=list)

    def brief(self) -> dict[str, Any]:
        return {"classifier_id": self.classifier_id, "name": self.name, "status": self.status}

    def full(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            **self.brief(),
            "owner": self.owner,
            "created": time_of(self.created),
            "updated": time_of(self.retrained or self.created),
            "core_ml_enabled": False,
            "classes": [{"class": name} for name in self.classes],
        }
        if self.retrained:
            found["retrained"] = time_of(self.retrained)
        if self.explanation:
            found["explanation"] = self.explanation
        return found
