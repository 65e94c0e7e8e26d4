"""Row-level security of what support keeps of teams, as in 0003_wall."""

from django.db import migrations

TABLES = ["teamquota", "teamusage", "teammeter", "teamnote", "teamdeletion"]
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
    dependencies = [("accounts", "0023_activity_purge")]
    operations = [
        migrations.RunSQL(
            [UP.format(table=f"accounts_{name}") for name in TABLES],
            [DOWN.format(table=f"accounts_{name}") for name in TABLES],
        ),
    ]
