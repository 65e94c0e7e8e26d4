"""Encrypts the secrets of all connections anew, with the newest key: before a key leaves SECRET_KEY_FALLBACKS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django_scopes import scopes_disabled

from labeling_platform.lib.sealing import Unsealable
from models_app import services


class Command(BaseCommand):
    help = "Encrypt the secrets of connections with SECRET_KEY; then a key can be taken out of SECRET_KEY_FALLBACKS."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with scopes_disabled():
                done = services.reseal_secrets()
        except Unsealable as error:
            raise CommandError(f"No key that is set opens the secret of {error}. Enter it anew on its page.") from None
        self.stdout.write(f"{done} secrets are encrypted with the newest key.")
