"""Makes a connection of a team from the command line; the secret comes from the environment, not from arguments."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling_platform.accounts.models import Team
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib.errors import Refused
from models_app import services
from models_app.models import MOST_AT_ONCE
from models_app.states import Auth


class Command(BaseCommand):
    help = "Make a Watson connection of a team and test it. The secret is read from CONNECTION_SECRET. Prints its id."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--team", required=True, help="the team's slug")
        parser.add_argument("--auth", choices=Auth.values, default=Auth.IAM.value)
        parser.add_argument("--username", default="")
        parser.add_argument("--iam-url", default="")
        parser.add_argument("--at-once", type=int, choices=range(1, MOST_AT_ONCE + 1), default=8, metavar="N")
        parser.add_argument("name")
        parser.add_argument("url", help="everything before /v3")

    def handle(self, *args: Any, **options: Any) -> None:
        team = Team.objects.filter(slug=options["team"]).first()
        if team is None:
            raise CommandError(f"There is no team {options['team']}.")
        names = ("name", "url", "auth", "username", "iam_url", "at_once")
        access = services.Access(
            **{name: options[name] for name in names}, secret=os.environ.get("CONNECTION_SECRET", "")
        )
        with team_scope(team):
            try:
                made = services.save_connection(team=team, actor=None, access=access)
            except Refused as refused:
                raise CommandError(refused.message) from None
            health = services.check_connection(connection=made)
        self.stderr.write(f"{made}: {health.message}")
        self.stdout.write(str(made.pk))
