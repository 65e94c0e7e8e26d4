"""Changes of state of reports go into the activity log.

The database writes them, so that no bulk update and no SQL by hand can forget to. Called by the function of accounts 0021.
"""

from django.db import migrations

LOG = """
CREATE TRIGGER log_state_change AFTER UPDATE OF state ON reports_app_report
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION activity_of_state('report state', 'report', 'state', '''report '' || ($1->>''id'') || '' of '' || coalesce((SELECT w.name FROM workflows_app_workflow w WHERE w.id = ($1->>''workflow_id'')::bigint), (SELECT j.title FROM jobs_app_job j WHERE j.id = ($1->>''job_id'')::bigint), '''')');
CREATE TRIGGER log_state_ends AFTER INSERT OR DELETE ON reports_app_report
    FOR EACH ROW EXECUTE FUNCTION activity_of_state('report state', 'report', 'state', '''report '' || ($1->>''id'') || '' of '' || coalesce((SELECT w.name FROM workflows_app_workflow w WHERE w.id = ($1->>''workflow_id'')::bigint), (SELECT j.title FROM jobs_app_job j WHERE j.id = ($1->>''job_id'')::bigint), '''')');
"""
UNDO = """
DROP TRIGGER log_state_ends ON reports_app_report;
DROP TRIGGER log_state_change ON reports_app_report;
"""


class Migration(migrations.Migration):

    dependencies = [("accounts", "0021_activity_append_only"), ("reports_app", "0005_same_team")]

    operations = [migrations.RunSQL(LOG, UNDO)]
