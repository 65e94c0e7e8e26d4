"""A cache of its own for tests of limits: those of allauth live there, under keys that other tests use too."""

from __future__ import annotations

import secrets

import pytest


@pytest.fixture
def own_cache(settings) -> None:
    backend = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": secrets.token_hex(8)}}
