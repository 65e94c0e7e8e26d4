"""The table of lib/caching.py: what the cache holds while Redis is away. It belongs to no team and to no model."""

from django.db import migrations

UP = """
CREATE TABLE cache_while_away (
    key varchar(64) PRIMARY KEY,
    value text NOT NULL,
    expires timestamptz NOT NULL
);
CREATE INDEX cache_while_away_expires ON cache_while_away (expires);
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0027_used_assertions")]
    operations = [migrations.RunSQL(UP, "DROP TABLE cache_while_away")]
