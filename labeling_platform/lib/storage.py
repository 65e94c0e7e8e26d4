"""Files: names of our own, written aside and renamed, so that a name never points at half a file."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils.deconstruct import deconstructible
from django_scopes import get_scope

CHUNK = 1024 * 1024


@deconstructible
class SafeFileStorage(FileSystemStorage):
    """Local files that survive a crash in mid-write.

    Django's own FileSystemStorage leaves a truncated file under the final name when the disk fills up
    (measured in reference/reliability.md A5); this one writes `.part-<uuid>`, syncs, then renames.
    """

    def _save(self, name: str, content: IO[Any]) -> str:
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.parent / f".part-{uuid.uuid4().hex}"
        try:
            with open(part, "xb") as out:
                out.writelines(_pieces(content))
                out.flush()
                os.fsync(out.fileno())
            os.rename(part, target)
        finally:
            part.unlink(missing_ok=True)
        return name


def _pieces(content: IO[Any]) -> Iterator[bytes]:
    if isinstance(content, File):
        for piece in content.chunks(CHUNK):
            yield piece if isinstance(piece, bytes) else piece.encode()
        return
    while piece := content.read(CHUNK):
        yield piece


def new_name(team_id: int, area: str, suffix: str) -> str:
    """A fresh storage name: never the user's own file name, so it can hold no path and no surprise."""
    return f"t/{team_id}/{area}/{uuid.uuid4().hex}{suffix}"


def save_upload(file: File[Any], *, team_id: int, area: str, suffix: str = ".csv") -> tuple[str, int, str]:
    """Store an uploaded file as it came. Returns (storage name, size in bytes, sha256 hex)."""
    digest, size = hashlib.sha256(), 0
    for piece in file.chunks(CHUNK):
        digest.update(piece)
        size += len(piece)
    file.seek(0)
    name = default_storage.save(new_name(team_id, area, suffix), file)
    return name, size, digest.hexdigest()


def save_bytes(data: bytes, *, team_id: int, area: str, suffix: str) -> str:
    """Store bytes under a fresh name and return the name."""
    return default_storage.save(new_name(team_id, area, suffix), ContentFile(data))


def _keep_to_the_team(name: str) -> None:
    """The second wall of files: inside a team's scope, only names below its own folder are opened or deleted.

    Raises FileNotFoundError, as for a file that is gone: whose it is, is nobody's business.
    """
    scope = get_scope()
    team = scope.get("team")
    if team is not None and scope.get("_enabled", True) and not name.startswith(f"t/{team.pk}/"):
        raise FileNotFoundError(name)


def open_file(name: str) -> BinaryIO:
    """Open a stored file for reading. Raises FileNotFoundError when it is gone, or not of the team of the scope."""
    _keep_to_the_team(name)
    return default_storage.open(name, "rb")  # type: ignore[return-value]


def read_bytes(name: str) -> bytes:
    with open_file(name) as file:
        return file.read()


def delete_file(name: str) -> None:
    """Delete a stored file; a name that does not exist is no error."""
    if name:
        _keep_to_the_team(name)
        default_storage.delete(name)


def files_of_team(team_id: int, *, without: Collection[str] = ()) -> Iterator[str]:
    """The names of everything stored for a team, but that of some areas (`new_name` says what an area is)."""
    top = f"t/{team_id}"
    for area in _listed(top)[0]:
        if area not in without:
            yield from _below(f"{top}/{area}")


def size_of_team(team_id: int, *, without: Collection[str] = ()) -> int:
    """How many bytes a team's files take. Looks at every one of them."""
    return sum(_size(name) for name in files_of_team(team_id, without=without))


def delete_folders_of_team(team_id: int) -> None:
    """Delete what is left of a team's folders once its files are gone. Object storage has no folders."""
    if isinstance(default_storage, FileSystemStorage):
        shutil.rmtree(default_storage.path(f"t/{team_id}"), ignore_errors=True)


def _below(folder: str) -> Iterator[str]:
    folders, files = _listed(folder)
    yield from (f"{folder}/{name}" for name in files)
    for name in folders:
        yield from _below(f"{folder}/{name}")


def _listed(folder: str) -> tuple[list[str], list[str]]:
    try:
        return default_storage.listdir(folder)
    except FileNotFoundError:
        return [], []


def _size(name: str) -> int:
    try:
        return default_storage.size(name)
    except FileNotFoundError:
        return 0
