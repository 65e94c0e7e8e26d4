"""Pictures that came with a request instead of an address: kept as files of the team, named `stored:<file>`.

Such a name stands where an image URL stands otherwise. Only services write it: `check_url` refuses the scheme, so no
CSV and no form can bring one, and it opens nothing but pictures that the same team has stored.
"""

from __future__ import annotations

import hashlib

from . import storage
from .images import FetchedImage, FetchError, inspect_image

SCHEME = "stored:"
AREA = "vr3"
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png"}


def keep_picture(data: bytes, kind: str, *, team_id: int, folder: str) -> str:
    """Store a picture of that kind (JPEG or PNG) below `folder` and return its name."""
    return SCHEME + storage.save_bytes(data, team_id=team_id, area=f"{AREA}/{folder}", suffix=SUFFIXES[kind])


def is_stored(address: str) -> bool:
    """Whether an image's address is the name of a stored picture."""
    return address.startswith(SCHEME)


def folder_of(team_id: int, folder: str) -> str:
    """What the names of all pictures in a folder of the team begin with."""
    return f"{SCHEME}t/{team_id}/{AREA}/{folder}/"


def file_of(address: str) -> str:
    """The storage's name of a stored picture."""
    return address.removeprefix(SCHEME)


def read_picture(address: str, *, team_id: int) -> FetchedImage:
    """A picture that this team has stored; also for threads, which know no scope. Raises FetchError as a fetch does."""
    name = file_of(address)
    if not name.startswith(f"t/{team_id}/{AREA}/") or ".." in name.split("/"):
        raise FetchError("address_refused", "This is not a stored picture of the team.")
    try:
        data = storage.read_bytes(name)
    except FileNotFoundError as error:
        raise FetchError("not_found", "The stored picture is gone.") from error
    kind, width, height = inspect_image(data)
    return FetchedImage(data, hashlib.sha256(data).hexdigest(), kind, width, height)
