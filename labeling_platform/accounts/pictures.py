"""Pictures on pages: our own copies, made when first looked at, never the customer's URL in a browser.

A browser that loaded the customer's URL would tell that host who is looking, and could be shown anything
(reference/reliability.md C4). The address of a copy is signed for one team, ends, and the view checks membership.
"""

from __future__ import annotations

import hashlib
import time

from django.core import signing
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.urls import reverse

from labeling_platform.lib.images import FetchError, fetch_image, policy_from_settings, thumbnail
from labeling_platform.lib.stored import is_stored, read_picture

from .models import Team

SIZES = {"small": 240, "large": 1024}
WEEK = 7 * 24 * 3600


def picture_url(team: Team, image_url: str, size: str = "small") -> str:
    """Address of our own copy of the picture at `image_url`; `size` is small (240 px) or large (1024 px).

    It works for one to two weeks, and is the same for a picture all week, so a browser that loaded it before has it.
    """
    token = _signer(team).sign_object([_week(), image_url], compress=True)
    return reverse("teams:picture", kwargs={"team_slug": team.slug, "size": size, "token": token})


def read_token(team: Team, token: str) -> str | None:
    """The image URL in the token, or None when it was not signed for this team or is too old."""
    try:
        week, image_url = _signer(team).unsign_object(token)
    except (signing.BadSignature, ValueError):
        return None
    return str(image_url) if _week() - week in {0, 1} else None


def _week() -> int:
    return int(time.time() // WEEK)


def _signer(team: Team) -> signing.Signer:
    return signing.Signer(salt=f"picture:{team.pk}")


def copies_of(team: Team, image_url: str) -> list[str]:
    """The names that our copies of a picture have in the storage, whether they were made or not."""
    digest = hashlib.sha256(image_url.encode()).hexdigest()
    return [f"t/{team.pk}/pictures/{digest[:2]}/{digest}-{size}.jpg" for size in SIZES]


def picture_bytes(team: Team, image_url: str, size: str) -> bytes:
    """Our JPEG copy of the picture, fetched and stored the first time. Raises FetchError when it cannot be had."""
    digest = hashlib.sha256(image_url.encode()).hexdigest()
    name = f"t/{team.pk}/pictures/{digest[:2]}/{digest}-{size}.jpg"
    try:
        with default_storage.open(name, "rb") as file:
            return bytes(file.read())
    except FileNotFoundError:
        pass
    if is_stored(image_url):
        fetched = read_picture(image_url, team_id=team.pk)
    else:
        fetched = fetch_image(image_url, policy_from_settings())
    data = thumbnail(fetched.data, SIZES[size])
    default_storage.save(name, ContentFile(data))
    return data


__all__ = ["SIZES", "FetchError", "copies_of", "picture_bytes", "picture_url", "read_token"]
