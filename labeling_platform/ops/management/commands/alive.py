"""Whether a worker (or "beat") gave a sign of life lately; for the health checks of containers."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling_platform.ops.signs import silence_of


class Command(BaseCommand):
    help = "Exit code 0 when the worker gave a sign of life within so many seconds, otherwise 1."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("worker", help="its name, for example worker@host, or beat")
        parser.add_argument("--within", type=float, default=120.0, metavar="SECONDS")

    def handle(self, *args: Any, **options: Any) -> None:
        silence = silence_of(options["worker"])
        if silence is None or silence > options["within"]:
            said = "never" if silence is None else f"{silence:.0f} s ago"
            raise CommandError(f"the last sign of life of {options['worker']}: {said}", returncode=1)
        self.stdout.write(f"{silence:.0f} s ago")
