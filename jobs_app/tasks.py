"""The asynchronous story of jobs: pages whose time ran out are given back."""

from __future__ import annotations

import logging

from celery import shared_task
from django_scopes import scopes_disabled

from .services import release_expired_pages

log = logging.getLogger(__name__)


@shared_task(name="jobs.sweep")
def sweep() -> None:
    """Give back expired pages of all teams."""
    with scopes_disabled():
        released = release_expired_pages()
    if released:
        log.info("gave back %s expired pages", released)
