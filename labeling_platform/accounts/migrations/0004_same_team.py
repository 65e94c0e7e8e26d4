"""Foreign keys that hold the team, too: a row of one team cannot point at a row of another.

Foreign keys do not see row-level security, so a plain one lets a row point at what its team may not see
(reference/reliability.md C5). Each is replaced: the new one is checked as often as the old one was. Every step is a
transaction of its own and can be done again, so an upgrade that was cut off goes on.
"""

from collections.abc import Iterator

from django.db import migrations

LINKS = [
    ("accounts_acceptance", "invitation_id", "accounts_invitation"),
]
PARENTS = [
    "accounts_invitation",
]
KEY = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {parent}_of_team ON {parent} (id, team_id)"
NO_KEY = "DROP INDEX IF EXISTS {parent}_of_team"
LINK = """
ALTER TABLE {child} DROP CONSTRAINT IF EXISTS {name};
ALTER TABLE {child} ADD CONSTRAINT {name} FOREIGN KEY ({column}, team_id) REFERENCES {parent} (id, team_id)
    DEFERRABLE INITIALLY DEFERRED NOT VALID;
DO $$
DECLARE
    old text;
BEGIN
    SELECT conname INTO old FROM pg_constraint
    WHERE conrelid = '{child}'::regclass AND contype = 'f' AND array_length(conkey, 1) = 1 AND conkey[1] = (
        SELECT attnum FROM pg_attribute WHERE attrelid = '{child}'::regclass AND attname = '{column}'
    );
    IF old IS NOT NULL THEN
        EXECUTE format('ALTER TABLE {child} DROP CONSTRAINT %I', old);
    END IF;
END $$;
"""
CHECK = "ALTER TABLE {child} VALIDATE CONSTRAINT {name}"
BACK = """
ALTER TABLE {child} ADD CONSTRAINT {name}_alone FOREIGN KEY ({column}) REFERENCES {parent} (id)
    DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE {child} DROP CONSTRAINT {name};
"""


def links() -> Iterator[dict[str, str]]:
    for child, column, parent in LINKS:
        name = f"{child.removeprefix('accounts_')}_{column.removesuffix('_id')}_same_team"
        yield {"child": child, "column": column, "parent": parent, "name": name}


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0003_wall")]
    operations = [
        migrations.RunSQL("SET lock_timeout = 0", migrations.RunSQL.noop),
        *(migrations.RunSQL(KEY.format(parent=parent), NO_KEY.format(parent=parent)) for parent in PARENTS),
        migrations.RunSQL("SET lock_timeout = '2s'", "SET lock_timeout = 0"),
        *(migrations.RunSQL(LINK.format(**link), BACK.format(**link)) for link in links()),
        *(migrations.RunSQL(CHECK.format(**link), migrations.RunSQL.noop) for link in links()),
    ]
