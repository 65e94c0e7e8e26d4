from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "labeling_platform.demo"
