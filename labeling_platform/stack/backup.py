"""One archive of everything, and back again: the database, the files, the signing key.

The dump is one consistent moment of the database, taken while the platform runs. Files are never changed once they are
written, so those that the dump names are there: they are linked aside before and after it, in case one is deleted
meanwhile. An archive is written aside and renamed, a restore is built aside and renamed: neither is ever half there.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import secrets
import shutil
import subprocess
import tarfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from .places import PROJECT, Places, StackError, prepare_places, secret
from .postgres import ADMIN, DATABASE, OWNER, Postgres
from .supervisor import AlreadyRunning, held

FORMAT = 1
MANIFEST, DUMP, KEY, FILES = "manifest.json", "database.dump", "secret_key", "files/"
CHUNK = 1024 * 1024
Say = Callable[[str], None]


@dataclass(frozen=True)
class Reach:
    """How PostgreSQL's programs reach the database. The password stands in the environment, never in arguments."""

    programs: Path | None
    environment: Mapping[str, str]

    def run(self, program: str, *arguments: str, **how: Any) -> None:
        """Run one of PostgreSQL's programs. Raises StackError with what it said."""
        path = str(self.programs / program) if self.programs else shutil.which(program)
        if path is None:
            raise StackError(
                f"{program} is not on the PATH. Install PostgreSQL's client programs, as new as the server."
            )
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", **self.environment}
        done = subprocess.run([path, *arguments], env=env, stderr=subprocess.PIPE, check=False, **how)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise StackError(f"{program} failed:\n" + "\n".join(said.splitlines()[:8]))


def _external() -> Reach | None:
    """The database that the environment names, when it is not the embedded one."""
    url = os.environ.get("DATABASE_OWNER_URL") or os.environ.get("DATABASE_URL")
    if not url:
        return None
    parts = urlsplit(url)
    found = {
        "PGHOST": unquote(parts.hostname or ""), "PGPORT": str(parts.port or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")),
        "PGUSER": unquote(parts.username or ""), "PGPASSWORD": unquote(parts.password or ""),
    }  # fmt: skip
    return Reach(None, {name: value for name, value in found.items() if value})


def _embedded(places: Places) -> Reach:
    found = {
        "PGHOST": str(places.sockets),
        "PGUSER": ADMIN,
        "PGPASSWORD": secret(places, ADMIN),
        "PGDATABASE": DATABASE,
    }
    return Reach(places.binaries, found)


@contextlib.contextmanager
def _database(places: Places) -> Iterator[Reach]:
    """The data directory's database: the running one, or started for as long as this takes."""
    if (external := _external()) is not None:
        yield external
        return
    try:
        with held(places):
            if not (places.postgres / "PG_VERSION").exists():
                raise StackError(f"There is nothing to back up in {places.data}.")
            with _started(places):
                yield _embedded(places)
    except AlreadyRunning:
        yield _embedded(places)


@contextlib.contextmanager
def _started(places: Places) -> Iterator[Postgres]:
    postgres = Postgres(places)
    postgres.start()
    try:
        yield postgres
    finally:
        postgres.child.ask_to_stop()
        postgres.child.wait_stopped()


# --- backup ------------------------------------------------------------------------------------------


def back_up(data: Path, target: Path, *, say: Say = print) -> Path:
    """Write everything of a data directory into one archive, at `target` or with a name of its own in that folder.

    The platform may run. Returns the archive's path. Raises StackError when there is nothing, or a file is in the way.
    """
    if not _external() and not (data / "run").is_dir():
        raise StackError(f"There is nothing to back up in {data}.")
    now = datetime.now(UTC)
    if target.is_dir():
        target = target / f"labeling-{now:%Y%m%d-%H%M%S}.tar"
    if target.exists():
        raise StackError(f"{target} is there already; choose another name.")
    places = prepare_places(data)
    work = places.run / f"backup-{secrets.token_hex(4)}"
    part = target.with_name(f".{target.name}.part-{secrets.token_hex(4)}")
    work.mkdir(mode=0o700)
    try:
        bucket = os.environ.get("S3_BUCKET", "")
        with _database(places) as reach:
            if not bucket:
                _link(places.data / "files", work / "files")
            say("dumping the database")
            with open(work / DUMP, "wb") as out:
                reach.run("pg_dump", "--format=custom", "--no-password", stdout=out)
        if not bucket:
            _link(places.data / "files", work / "files")
        _copy_key(places, work)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            count = _write_archive(file, work, {"created": now.isoformat(), "bucket": bucket})
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, target)
    finally:
        part.unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)
    say(f"wrote {target} ({count} files, {target.stat().st_size:,} bytes). Keep it as secret as the platform itself.")
    if bucket:
        say(f"Files are in the bucket {bucket}, not in the archive. Copy it now: aws s3 sync s3://{bucket} FOLDER")
    if os.environ.get("SECRET_KEY") or os.environ.get("SECRET_KEY_FILE"):
        say("The signing key comes from the environment, not from here. Keep it: second factors need it.")
    return target


def _link(source: Path, target: Path) -> None:
    """Link all finished files aside; what is there already stays. A file that goes meanwhile is no error."""
    for path in source.rglob("*") if source.is_dir() else ():
        if path.is_dir() or path.name.startswith(".part-"):
            continue
        to = target / path.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            try:
                os.link(path, to)
            except PermissionError:
                shutil.copy2(path, to)


def _copy_key(places: Places, work: Path) -> None:
    """The signing key: sessions, links in mails and second factors are worth nothing without it."""
    path = places.data / "secrets" / "secret_key"
    if path.exists() and not (os.environ.get("SECRET_KEY") or os.environ.get("SECRET_KEY_FILE")):
        shutil.copyfile(path, work / KEY)


class _Hashed:
    """A file that reckons the SHA-256 of what is read from it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self.file.read(size)
        self.digest.update(piece)
        return piece


def _write_archive(file: IO[bytes], work: Path, facts: dict[str, Any]) -> int:
    """Write all of `work` as a tar whose last member is the manifest; returns how many files of people are in it."""
    members: dict[str, dict[str, Any]] = {}
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(work.rglob("*")):
            if path.is_dir():
                continue
            info = tarfile.TarInfo(path.relative_to(work).as_posix())
            info.size, info.mtime, info.mode = path.stat().st_size, int(path.stat().st_mtime), 0o600
            with open(path, "rb") as source:
                hashed = _Hashed(source)
                tar.addfile(info, hashed)  # type: ignore[arg-type]  # it is only read from
            members[info.name] = {"sha256": hashed.digest.hexdigest(), "size": info.size}
        version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
        manifest = json.dumps({"format": FORMAT, "version": version, **facts, "members": members}, indent=1).encode()
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode = len(manifest), 0o600
        tar.addfile(info, io.BytesIO(manifest))
    return sum(name.startswith(FILES) for name in members)


# --- restore -----------------------------------------------------------------------------------------


def check_archive(archive: Path) -> dict[str, Any]:
    """The manifest of an archive all of whose members are as it says. Raises StackError for anything else."""
    try:
        with tarfile.open(archive, "r:") as tar:
            names = tar.getnames()
            member = tar.extractfile(MANIFEST) if MANIFEST in names else None
            if member is None:
                raise StackError(f"{archive} is no complete backup: it has no manifest.")
            manifest: dict[str, Any] = json.load(member)
            if manifest.get("format") != FORMAT:
                raise StackError(f"{archive} is a backup of format {manifest.get('format')}; this reads {FORMAT}.")
            expected = manifest["members"]
            if sorted(names) != sorted([*expected, MANIFEST]) or DUMP not in expected:
                raise StackError(f"{archive} does not hold what its manifest says.")
            for info in tar:
                if info.name != MANIFEST:
                    _check_member(archive, tar, info, expected[info.name])
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise StackError(f"{archive} cannot be read as a backup: {error}") from error
    return manifest


def _check_member(archive: Path, tar: tarfile.TarFile, info: tarfile.TarInfo, expected: Mapping[str, Any]) -> None:
    path, file = PurePosixPath(info.name), tar.extractfile(info)
    allowed = info.name in {DUMP, KEY} or info.name.startswith(FILES)
    if file is None or not info.isreg() or path.is_absolute() or ".." in path.parts or not allowed:
        raise StackError(f"{archive} has a member that does not belong there: {info.name}")
    if hashlib.file_digest(file, "sha256").hexdigest() != expected["sha256"]:  # type: ignore[arg-type]
        raise StackError(f"{archive} is damaged: {info.name} is not what was written.")


def restore(data: Path, archive: Path, *, force: bool = False, say: Say = print) -> None:
    """Make a data directory from an archive. What is there already is kept beside it, and only touched with `force`.

    Refuses a platform that runs, a directory with anything in it (without `force`), and an archive that is not whole.
    """
    data = data.absolute()
    say("checking the archive")
    manifest = check_archive(archive)
    _refuse_running(data)
    external = _external()
    full = data.is_dir() and any(data.iterdir())
    if external is None and full and not force:
        raise StackError(
            f"{data} is not empty. Choose another directory, or --force: it is then kept under another name."
        )
    if external is not None:
        _restore_external(external, data, archive, force=force, say=say)
    else:
        data.parent.mkdir(parents=True, exist_ok=True)
        _swap(_build(data, archive, say), data, full=full, say=say)
    if manifest["bucket"]:
        say(f"Files are not in the archive: they were in the bucket {manifest['bucket']}. Copy it back, too.")
    if KEY not in manifest["members"]:
        say("The signing key is not in the archive: set SECRET_KEY to the one that was used before.")
    say(f"restored what was backed up at {manifest['created']}")


def _refuse_running(data: Path) -> None:
    path = data / "run" / "lock"
    if path.exists():
        with open(path, "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StackError(f"The platform runs from {data}. Stop it first.") from error


def _build(data: Path, archive: Path, say: Say) -> Path:
    """A whole data directory beside the one that is wanted; nothing is left of it when something goes wrong."""
    fresh = data.with_name(f".{data.name}.restoring-{secrets.token_hex(4)}")
    places = prepare_places(fresh)
    try:
        with held(places):
            _unpack(archive, places.run / "restore", places.data / "files")
            if (places.run / "restore" / KEY).exists():
                (places.data / "secrets").mkdir(exist_ok=True, mode=0o700)
                os.rename(places.run / "restore" / KEY, places.data / "secrets" / "secret_key")
            Postgres(places).prepare()
            with _started(places) as postgres:
                postgres.make_roles()
                say("restoring the database")
                _load(_embedded(places), places.run / "restore" / DUMP, f"--role={OWNER}")
        shutil.rmtree(places.run / "restore")
    except BaseException:
        home = places.postgres.parent
        shutil.rmtree(fresh, ignore_errors=True)
        if home != fresh:
            shutil.rmtree(home, ignore_errors=True)
        raise
    return fresh


def _load(reach: Reach, dump: Path, *more: str) -> None:
    """Load a dump, all of it or nothing. Rights follow from the roles (postgres.py), not from the dump."""
    how = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--no-password", *more]
    reach.run("pg_restore", *how, f"--dbname={reach.environment['PGDATABASE']}", str(dump), stdout=subprocess.DEVNULL)
    reach.run("psql", "--no-psqlrc", "--quiet", "--command=ANALYZE", stdout=subprocess.DEVNULL)


def _unpack(archive: Path, work: Path, files: Path) -> None:
    """Dump and key go to `work`, the files of people to `files`; the archive was checked before."""
    work.mkdir(mode=0o700, parents=True)
    with tarfile.open(archive, "r:") as tar:
        for info in tar:
            if info.name == MANIFEST:
                continue
            to = files / info.name.removeprefix(FILES) if info.name.startswith(FILES) else work / info.name
            to.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(info)
            assert source is not None, "checked before"
            descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                shutil.copyfileobj(source, out, CHUNK)


def _swap(fresh: Path, data: Path, *, full: bool, say: Say) -> None:
    if full:
        kept = data.with_name(f"{data.name}.before-{datetime.now(UTC):%Y%m%d-%H%M%S}")
        os.rename(data, kept)
        say(f"kept what was there as {kept}")
    try:
        os.rename(fresh, data)
    except OSError as error:
        raise StackError(f"{data} cannot be replaced ({error.strerror}); the restored data is in {fresh}.") from error


def _restore_external(reach: Reach, data: Path, archive: Path, *, force: bool, say: Say) -> None:
    """Into a database of one's own, in one transaction; the files come last, when nothing can fail any more."""
    files, work = data / "files", data / "run" / f"restore-{secrets.token_hex(4)}"
    if files.is_dir() and any(files.iterdir()) and not force:
        raise StackError(f"{files} is not empty. Empty it, or --force: it is then kept under another name.")
    try:
        _unpack(archive, work, work / "files")
        say("restoring the database")
        # Without --clean a database that has our tables already refuses the first one, and nothing is changed.
        _load(reach, work / DUMP, *(["--clean", "--if-exists"] if force else []))
        if (work / "files").is_dir():
            if files.exists():
                os.rename(files, files.with_name(f"files.before-{datetime.now(UTC):%Y%m%d-%H%M%S}"))
            os.rename(work / "files", files)
    finally:
        shutil.rmtree(work, ignore_errors=True)
