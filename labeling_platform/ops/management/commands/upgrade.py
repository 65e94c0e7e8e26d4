"""`migrate` for a platform that people are using: it never stands in a queue for a lock with everybody behind it."""

from __future__ import annotations

import time
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection

from labeling_platform.lib.wall import OPERATOR

LOCK_TIMEOUT = "2s"
TRIES, PAUSE = 10, 3.0
NOT_AVAILABLE = "55P03"


class Command(BaseCommand):
    help = "Bring the schema up to date; gives up a lock that it cannot have at once, and tries again."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tries", type=int, default=TRIES)

    def handle(self, *args: Any, **options: Any) -> None:
        _need_operator()
        for turn in range(1, options["tries"] + 1):
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_TIMEOUT])
                call_command("migrate", interactive=False, verbosity=options["verbosity"])
                return
            except OperationalError as error:
                if getattr(error.__cause__, "pgcode", None) != NOT_AVAILABLE:
                    raise
                connection.close()
                self.stderr.write(f"a table is in use (try {turn} of {options['tries']}); trying again")
                time.sleep(PAUSE)
        raise CommandError("The schema is not up to date: a table was in use all the time. Nothing is half done.")


def _need_operator() -> None:
    """The policies of the tables name this role; only an administrator of the server can make it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [OPERATOR])
        if cursor.fetchone() is None:
            raise CommandError(
                f"The database has no role {OPERATOR} yet. As an administrator of PostgreSQL, run: "
                f"CREATE ROLE {OPERATOR} NOLOGIN; GRANT {OPERATOR} TO <the application's role>, <the owner> "
                f"WITH INHERIT FALSE, SET TRUE; and give it rights as docker/postgres-init.sh does."
            )
