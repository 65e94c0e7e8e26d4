"""An index for the reference of rows to their version.

Without it PostgreSQL reads all rows of all teams for each version that is deleted, to see that none needs it.
"""

from django.db import migrations, models

INDEX = models.Index(fields=["version"], name="row_of_version", condition=models.Q(version__isnull=False))
UP = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS row_of_version ON workflows_app_workflowrow (version_id)
    WHERE version_id IS NOT NULL
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("workflows_app", "0011_paused")]
    operations = [
        migrations.RunSQL("SET lock_timeout = 0", migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(UP, "DROP INDEX IF EXISTS row_of_version")],
            state_operations=[migrations.AddIndex("workflowrow", INDEX)],
        ),
        migrations.RunSQL("SET lock_timeout = '2s'", "SET lock_timeout = 0"),
    ]
