from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "labeling_platform.accounts"
    label = "accounts"
    verbose_name = "Teams and people"

    def ready(self) -> None:
        from . import checks, sessions, sign_in_log  # noqa: F401 - they register themselves
