"""What rows wanted and contributors judged before those were columns."""

from django.db import migrations

FILL = """
UPDATE jobs_app_unit unit SET wanted = job.judgments_per_unit
FROM jobs_app_job job WHERE job.id = unit.job_id AND unit.state IN ('judgable', 'finalized');
UPDATE jobs_app_contributor contributor SET judged = found.n, pages_done = found.pages
FROM (
    SELECT contributor_id, count(*) AS n, count(DISTINCT page_id) AS pages
    FROM jobs_app_judgment GROUP BY contributor_id
) found
WHERE found.contributor_id = contributor.id;
"""


class Migration(migrations.Migration):
    dependencies = [("jobs_app", "0002_quality")]
    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
