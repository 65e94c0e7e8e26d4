"""Row-level security: a statement sees and writes rows of the team in the setting app.team, and of no other.

The setting is sent by labeling_platform/lib/wall.py. It is '' (not NULL) after a transaction that had set it, hence
nullif. The owner of the tables is not bound by policies, so migrations and backups see everything.
"""

from django.db import migrations

TABLES = ["report"]

UP = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_team ON {table}
    USING (team_id = (SELECT nullif(current_setting('app.team', true), '')::bigint));
CREATE POLICY every_team ON {table} TO labeling_operator USING (true);
"""
DOWN = """
DROP POLICY every_team ON {table};
DROP POLICY one_team ON {table};
ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [("reports_app", "0003_formats_and_cancel"), ("accounts", "0003_wall")]
    operations = [
        migrations.RunSQL(
            [UP.format(table=f"reports_app_{name}") for name in TABLES],
            [DOWN.format(table=f"reports_app_{name}") for name in TABLES],
        ),
    ]
