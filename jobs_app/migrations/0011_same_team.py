"""Foreign keys that hold the team, too: a row of one team cannot point at a row of another.

Foreign keys do not see row-level security, so a plain one lets a row point at what its team may not see
(reference/reliability.md C5). Each is replaced: the new one is checked as often as the old one was. Every step is a
transaction of its own and can be done again, so an upgrade that was cut off goes on.
"""

from collections.abc import Iterator

from django.db import migrations

LINKS = [
    ("jobs_app_job", "model_id", "models_app_custommodel"),
    ("jobs_app_job", "copied_from_id", "jobs_app_job"),
    ("jobs_app_jobupload", "job_id", "jobs_app_job"),
    ("jobs_app_jobupload", "duplicate_of_id", "jobs_app_jobupload"),
    ("jobs_app_unit", "job_id", "jobs_app_job"),
    ("jobs_app_testquestion", "job_id", "jobs_app_job"),
    ("jobs_app_testquestion", "unit_id", "jobs_app_unit"),
    ("jobs_app_contributor", "job_id", "jobs_app_job"),
    ("jobs_app_page", "job_id", "jobs_app_job"),
    ("jobs_app_page", "contributor_id", "jobs_app_contributor"),
    ("jobs_app_judgment", "job_id", "jobs_app_job"),
    ("jobs_app_judgment", "unit_id", "jobs_app_unit"),
    ("jobs_app_judgment", "contributor_id", "jobs_app_contributor"),
    ("jobs_app_judgment", "page_id", "jobs_app_page"),
    ("jobs_app_unittally", "job_id", "jobs_app_job"),
]
PARENTS = [
    "jobs_app_job",
    "jobs_app_jobupload",
    "jobs_app_unit",
    "jobs_app_contributor",
    "jobs_app_page",
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
        name = f"{child.removeprefix('jobs_app_')}_{column.removesuffix('_id')}_same_team"
        yield {"child": child, "column": column, "parent": parent, "name": name}


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("jobs_app", "0010_wall"), ("models_app", "0006_same_team")]
    operations = [
        migrations.RunSQL("SET lock_timeout = 0", migrations.RunSQL.noop),
        *(migrations.RunSQL(KEY.format(parent=parent), NO_KEY.format(parent=parent)) for parent in PARENTS),
        migrations.RunSQL("SET lock_timeout = '2s'", "SET lock_timeout = 0"),
        *(migrations.RunSQL(LINK.format(**link), BACK.format(**link)) for link in links()),
        *(migrations.RunSQL(CHECK.format(**link), migrations.RunSQL.noop) for link in links()),
    ]
