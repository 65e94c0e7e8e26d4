"""Changes of state of workflows and their files go into the activity log.

The database writes them, so that no bulk update and no SQL by hand can forget to. Called by the function of accounts 0021.
"""

from django.db import migrations

LOG = """
CREATE TRIGGER log_state_change AFTER UPDATE OF state ON workflows_app_workflow
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION activity_of_state('workflow state', 'workflow', 'state', '($1->>''name'')');
CREATE TRIGGER log_state_ends AFTER INSERT OR DELETE ON workflows_app_workflow
    FOR EACH ROW EXECUTE FUNCTION activity_of_state('workflow state', 'workflow', 'state', '($1->>''name'')');
CREATE TRIGGER log_state_change AFTER UPDATE OF state ON workflows_app_workflowupload
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION activity_of_state('workflow file state', 'workflowupload', 'state', '($1->>''original_name'')');
CREATE TRIGGER log_state_ends AFTER INSERT OR DELETE ON workflows_app_workflowupload
    FOR EACH ROW EXECUTE FUNCTION activity_of_state('workflow file state', 'workflowupload', 'state', '($1->>''original_name'')');
"""
UNDO = """
DROP TRIGGER log_state_ends ON workflows_app_workflowupload;
DROP TRIGGER log_state_change ON workflows_app_workflowupload;
DROP TRIGGER log_state_ends ON workflows_app_workflow;
DROP TRIGGER log_state_change ON workflows_app_workflow;
"""


class Migration(migrations.Migration):

    dependencies = [("accounts", "0021_activity_append_only"), ("workflows_app", "0009_same_team")]

    operations = [migrations.RunSQL(LOG, UNDO)]
