"""What `manage.py check --deploy` says about settings of ours that are unsafe in production.

With `--database default` it also looks at the database role that the product signs in with.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's own name
from django.db import connections

from .urls import Allowance, parse_allowances

OURS = tuple(ipaddress.ip_network(text) for text in ("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10"))
ROLE = """
SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb,
       (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND pg_has_role(current_user, c.relowner, 'USAGE')),
       has_schema_privilege(current_user, 'public', 'CREATE')
FROM pg_roles WHERE rolname = current_user
"""


@register(Tags.security, deploy=True)
def pictures_come_from_elsewhere(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The fetcher must reach neither this machine nor the cloud's metadata service."""
    return [
        Error(
            f"IMAGE_FETCH_ALLOW lets pictures be fetched from this machine ({entry.host}).",
            hint="Take it out; it is for development and the demo.",
            id="lib.E001",
        )
        for entry in parse_allowances(tuple(settings.IMAGE_FETCH_ALLOW))
        if _is_ours(entry)
    ]


def _is_ours(entry: Allowance) -> bool:
    if entry.network is None:
        return entry.host == "localhost" or entry.host.endswith(".localhost")
    return any(own.version == entry.network.version and own.overlaps(entry.network) for own in OURS)


@register(Tags.security, deploy=True)
def secrets_are_set(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A deployment speaks https, has a token for its figures and a way to send mail."""
    found: list[CheckMessage] = []
    if not settings.PUBLIC_URL.startswith("https://"):
        found.append(
            Error("PUBLIC_URL is not https.", hint="Put the platform behind a proxy that does TLS.", id="lib.E002")
        )
    if settings.DEBUG:
        found.append(Error("DEBUG is on: error pages show settings and code.", hint="Unset DEBUG.", id="lib.E003"))
    if len(settings.METRICS_TOKEN) < 16:
        found.append(
            Warning(
                "METRICS_TOKEN is missing or too short (16 characters); behind a proxy everybody is “this machine”.",
                hint="Set it to a long random text, and give it to what reads /metrics.",
                id="lib.W001",
            )
        )
    if str(settings.EMAIL_BACKEND).endswith("console.EmailBackend"):
        found.append(
            Warning("EMAIL_URL prints mail into the log.", hint="Set it to your mail server.", id="lib.W002"),
        )
    if any(host.strip() in {"*", ""} for host in settings.ALLOWED_HOSTS):
        found.append(Error("ALLOWED_HOSTS takes every host name.", hint="Name your own.", id="lib.E004"))
    return found


@register(Tags.database, deploy=True)
def role_is_small(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """The role of DATABASE_URL may neither own tables nor pass row-level security by."""
    return [
        Error(problem, hint="Use the role labeling_app (docker/postgres-init.sh makes it).", id="lib.E005")
        for alias in databases or []
        for problem in role_problems(connections[alias])
    ]


def role_problems(connection: Any) -> list[str]:
    """What the role that this connection is signed in with can do and should not, as sentences."""
    with connection.cursor() as cursor:
        cursor.execute(ROLE)
        superuser, bypasses, makes_roles, makes_databases, owned, creates = cursor.fetchone()
    said = {
        "The database role is a superuser.": superuser,
        "The database role bypasses row-level security.": bypasses,
        "The database role can make roles.": makes_roles,
        "The database role can make databases.": makes_databases,
        f"The database role owns {owned} tables (itself or through another role).": owned and not superuser,
        "The database role can make tables.": creates and not superuser,
    }
    return [text for text, true in said.items() if true]
