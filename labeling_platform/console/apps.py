from django.apps import AppConfig
from django.contrib.admin import apps as admin  # a module: its own default must not stand here beside ours


class ConsoleAdminConfig(admin.AdminConfig):
    """django.contrib.admin with our site as the default one, so apps use plain @admin.register."""

    default = False
    default_site = "labeling_platform.console.site.ConsoleSite"


class ConsoleConfig(AppConfig):
    """The console's own pages and tasks."""

    name = "labeling_platform.console"
    label = "console"
    default = True
