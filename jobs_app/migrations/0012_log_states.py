"""Changes of state of jobs and their files go into the activity log.

The database writes them, so that no bulk update and no SQL by hand can forget to. Called by the function of accounts 0021.
"""

from django.db import migrations

LOG = """
CREATE TRIGGER log_state_change AFTER UPDATE OF state ON jobs_app_job
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION activity_of_state('job state', 'job', 'state', '($1->>''title'')');
CREATE TRIGGER log_state_ends AFTER INSERT OR DELETE ON jobs_app_job
    FOR EACH ROW EXECUTE FUNCTION activity_of_state('job state', 'job', 'state', '($1->>''title'')');
CREATE TRIGGER log_state_change AFTER UPDATE OF state ON jobs_app_jobupload
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION activity_of_state('job file state', 'jobupload', 'state', '($1->>''original_name'')');
CREATE TRIGGER log_state_ends AFTER INSERT OR DELETE ON jobs_app_jobupload
    FOR EACH ROW EXECUTE FUNCTION activity_of_state('job file state', 'jobupload', 'state', '($1->>''original_name'')');
"""
UNDO = """
DROP TRIGGER log_state_ends ON jobs_app_jobupload;
DROP TRIGGER log_state_change ON jobs_app_jobupload;
DROP TRIGGER log_state_ends ON jobs_app_job;
DROP TRIGGER log_state_change ON jobs_app_job;
"""


class Migration(migrations.Migration):

    dependencies = [("accounts", "0021_activity_append_only"), ("jobs_app", "0011_same_team")]

    operations = [migrations.RunSQL(LOG, UNDO)]
