"""Breaking the product itself, to prove that the harness would notice. Nothing of this is reachable from the product.

token: a worker may finish a row although somebody else has claimed it since. unique: no key says any more that a row
becomes one unit, and a contributor judges a unit once. sweeper: nobody sends lost messages again.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import psycopg2
from django.apps import AppConfig

KINDS = ("token", "unique", "sweeper")
SETTINGS = "chaos.sabotaged_settings"
VARIABLE = "CHAOS_SABOTAGE"
DROP_KEYS = """
ALTER TABLE jobs_app_unit DROP CONSTRAINT unit_once;
ALTER TABLE jobs_app_judgment DROP CONSTRAINT judgment_once;
DROP INDEX workflow_row_of_unit;
"""


def drop_keys(connection: psycopg2.extensions.connection) -> None:
    """Take away what the database itself says against doubles."""
    with connection.cursor() as cursor:
        cursor.execute(DROP_KEYS)


class NoTokenCheck(AppConfig):
    """Installed in the sabotaged product: whoever comes last may write."""

    name = "chaos"
    label = "chaos_sabotage"

    def ready(self) -> None:
        dispatch: Any = import_module("workflows_app.services.dispatch")
        check = " AND r.token = d.token"
        assert check in dispatch._FINISH
        dispatch._FINISH = dispatch._FINISH.replace(check, "")
        lock: Callable[[Any, dict[int, Any]], set[int]] = dispatch._lock

        def lock_all(workflow: Any, lines: dict[int, Any]) -> set[int]:
            lock(workflow, lines)
            return set(lines)

        dispatch._lock = lock_all
