"""What a failed request means: the table of reference/watson.md 4.7. Nothing of requests or the SDK gets out.

Bodies come in seven shapes (reference/watson.md 1.6); the SDK's own reading of them is not enough.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any

from ..base import (
    AuthFailed,
    BackendError,
    InvalidTrainingData,
    Misconfigured,
    ModelNotFound,
    Permanent,
    QuotaExceeded,
    RateLimited,
    TooLarge,
    Transient,
)

LONGEST_PAUSE = 3600.0
USUAL_PAUSE = 60.0
TEXT_LENGTH = 300
ABOUT_ONE = {"poll", "delete", "classify"}
"""Requests about one classifier: 404 means that it is gone."""
NOT_THE_SERVICE = "What answers at this address does not speak Visual Recognition v3. Check the service URL."


class Rejected(Permanent):
    """The service refuses this request (400); on classify a smaller one may do."""


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Raise whatever goes wrong with a request as an error of backends.base. Action: sign_in, create, or another."""
    import requests

    try:
        from ibm_cloud_sdk_core import ApiException
    except ImportError as error:  # pragma: no cover
        raise _no_sdk() from error
    try:
        yield
    except ApiException as error:
        raise from_answer(error.status_code, error.http_response, action) from error
    except requests.exceptions.SSLError as error:
        raise Misconfigured(
            "The service's TLS certificate is not valid for this address. Correct the URL or the certificate.",
            code="tls",
        ) from error
    except (requests.exceptions.InvalidHeader, UnicodeError) as error:
        raise bad_credentials() from error
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidSchema,
    ) as error:
        raise Misconfigured("The service URL is not a valid address.", code="bad_url") from error
    except requests.exceptions.Timeout as error:
        raise Transient("The service did not answer in time.", code="timeout") from error
    except (requests.exceptions.JSONDecodeError, RecursionError) as error:
        raise Misconfigured(NOT_THE_SERVICE, code="not_the_service") from error
    except (requests.exceptions.RequestException, OSError) as error:
        raise Transient("The service could not be reached.", code="unreachable") from error


def bad_credentials() -> Misconfigured:
    """For credentials that cannot even be sent."""
    return Misconfigured("The credentials are incomplete or have characters that cannot be.", code="bad_credentials")


def _no_sdk() -> Misconfigured:
    return Misconfigured("IBM's SDK (ibm-watson 5.3) is not installed here.", code="no_sdk")


def from_answer(status: int, response: Any, action: str) -> BackendError:
    """The error of an answer with this status."""
    body = _json_of(response)
    text = _text_of(body)
    if status == 429:
        return RateLimited("The service asks for a pause.", retry_after=_pause(response))
    if status >= 500:
        return Transient(f"The service has a problem ({status}){_said(text)}", code="service_error")
    if action == "sign_in":
        return _from_sign_in(status, body, text)
    return _from_refusal(status, body, text, action, empty=not getattr(response, "content", b""))


def _from_sign_in(status: int, body: Any, text: str) -> BackendError:
    if isinstance(body, dict) and status in {400, 401, 403}:
        return AuthFailed(f"The token service does not accept the key{_said(text)}", code="auth_failed")
    return Misconfigured(
        f"What answers at the token service's address is none ({status}). Check it.", code="not_the_service"
    )


def _from_refusal(status: int, body: Any, text: str, action: str, *, empty: bool) -> BackendError:
    if status == 413:
        return TooLarge("The service takes no request of this size.", code="too_large")
    if status == 403 and isinstance(body, dict) and "statusInfo" in body and not _about_key(text):
        return QuotaExceeded(f"The plan's quota is used up{_said(text)}", code="quota_exceeded")
    if status in {401, 403}:
        return AuthFailed(f"The service does not accept the credentials{_said(text)}", code="auth_failed")
    if _is_gone(status, body, text, action, empty=empty):
        return ModelNotFound("The service does not have this classifier any more. Train the model again.")
    if status != 400 or not isinstance(body, dict):
        return Misconfigured(NOT_THE_SERVICE, code="not_the_service")
    if action == "create":
        return InvalidTrainingData(f"The service refuses the training data{_said(text)}", code="invalid_training_data")
    return Rejected(f"The service refuses the request{_said(text)}", code="rejected")


def _is_gone(status: int, body: Any, text: str, action: str, *, empty: bool) -> bool:
    """404 for one classifier, unless it is the page of some other server; a classify may say so with 400 (shape C')."""
    if status == 404:
        return action in ABOUT_ONE and (empty or isinstance(body, dict))
    return action == "classify" and "classifier" in text.lower()


def _about_key(text: str) -> bool:
    """Shape D came for a bad key too: `invalid-api-key`."""
    return re.search(r"key|credential|permission|unauthor", text, re.IGNORECASE) is not None


def _json_of(response: Any) -> Any:
    try:
        return response.json()
    except (AttributeError, ValueError, RecursionError):
        return None


def _text_of(body: Any) -> str:
    """What the service said, in whichever of its shapes."""
    if not isinstance(body, dict):
        return ""
    readers: tuple[Callable[[dict[str, Any]], Any], ...] = (
        lambda it: it["error"]["description"],
        lambda it: it["error"]["message"],
        lambda it: it["error"] if isinstance(it["error"], str) else None,
        lambda it: it["errors"][0]["message"],
        lambda it: it["errorMessage"],
        lambda it: it["statusInfo"],
        lambda it: it["images"][0]["error"]["description"],
        lambda it: it["message"],
        lambda it: it["description"],
    )
    for read in readers:
        try:
            found = read(body)
        except (KeyError, IndexError, TypeError):
            continue
        if isinstance(found, str) and found.strip():
            return clean(found)
    return ""


def clean(text: str) -> str:
    """A stranger's words for people: one line, no control characters, not too long."""
    return re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip()[:TEXT_LENGTH].strip()


def _said(text: str) -> str:
    return f": {text.rstrip('.')}." if text else "."


def _pause(response: Any) -> float:
    """Seconds of a Retry-After header, a number or a date; at most an hour."""
    value = str(getattr(response, "headers", {}).get("Retry-After", "")).strip()
    if value.isdecimal():
        return min(float(value), LONGEST_PAUSE)
    try:
        return min(max(0.0, parsedate_to_datetime(value).timestamp() - time.time()), LONGEST_PAUSE)
    except (ValueError, TypeError, OverflowError):
        return USUAL_PAUSE
