"""An answer's reference to its token holds the team, as in 0004_same_team. Each step can be done again."""

from django.db import migrations

KEY = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS accounts_apitoken_of_team ON accounts_apitoken (id, team_id)"
LINK = """
ALTER TABLE accounts_apianswer DROP CONSTRAINT IF EXISTS apianswer_token_same_team;
ALTER TABLE accounts_apianswer ADD CONSTRAINT apianswer_token_same_team
    FOREIGN KEY (token_id, team_id) REFERENCES accounts_apitoken (id, team_id) DEFERRABLE INITIALLY DEFERRED;
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0025_api_answers")]
    operations = [
        migrations.RunSQL("SET lock_timeout = 0", migrations.RunSQL.noop),
        migrations.RunSQL(KEY, "DROP INDEX IF EXISTS accounts_apitoken_of_team"),
        migrations.RunSQL("SET lock_timeout = '2s'", "SET lock_timeout = 0"),
        migrations.RunSQL(LINK, "ALTER TABLE accounts_apianswer DROP CONSTRAINT IF EXISTS apianswer_token_same_team"),
    ]
