"""Make a team and its people from the command line, for set-up scripts. Passwords come from the environment."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from labeling_platform.accounts import services
from labeling_platform.accounts.addresses import vouch_for
from labeling_platform.accounts.models import Feature, Team, User
from labeling_platform.accounts.permissions import Role


class Command(BaseCommand):
    help = "Make a team; people as ROLE:E-MAIL. TEAM_PASSWORD is the password of people who are new."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("people", nargs="*", metavar="role:e-mail")
        parser.add_argument("--organization", default="")
        parser.add_argument("--slug", default="")
        parser.add_argument("--feature", action="append", default=[], choices=Feature.values)

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        name, slug = options["name"], options["slug"]
        if slug and Team.objects.filter(slug=slug).exists():
            raise CommandError(f"There is a team {slug} already.")
        team = services.create_team(organization=options["organization"] or name, name=name, slug=slug)
        for text in options["people"]:
            role, _, email = text.partition(":")
            if role not in Role.values or "@" not in email:
                raise CommandError(f"{text}: write role:e-mail, the role one of {', '.join(Role.values)}.")
            user = User.objects.filter(email=email.lower()).first() or self._new(email)
            services.set_role(team=team, user=user, role=Role(role))
        for feature in options["feature"]:
            services.switch_feature(team=team, feature=Feature(feature), on=True, actor=None, reason="make_team")
        self.stdout.write(team.slug)

    def _new(self, email: str) -> User:
        password = os.environ.get("TEAM_PASSWORD", "")
        if not password:
            raise CommandError(f"Set TEAM_PASSWORD: {email} is a new person and needs a password.")
        user = User.objects.create_user(email, password, name=email.split("@", maxsplit=1)[0].title())
        vouch_for(user=user)
        return user
