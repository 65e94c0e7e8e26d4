from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "labeling_platform.accounts"
    label = "accounts"
    verbose_name = "Teams and people"
