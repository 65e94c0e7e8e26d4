"""Changes of state of models, trainings and their files go into the activity log.

The database writes them, so that no bulk update and no SQL by hand can forget to. Called by the function of accounts 0021.
"""

from django.db import migrations

LOG = """
CREATE TRIGGER log_current_change AFTER UPDATE OF current_id ON models_app_custommodel
    FOR EACH ROW WHEN (OLD.current_id IS DISTINCT FROM NEW.current_id)
    EXECUTE FUNCTION activity_of_state('model in service', 'custommodel', 'current_id', '($1->>''name'')');
CREATE TRIGGER log_state_change AFTER UPDATE OF state ON models_app_modelversion
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION activity_of_state('training state', 'modelversion', 'state', '(SELECT m.name FROM models_app_custommodel m WHERE m.id = ($1->>''model_id'')::bigint) || '' version '' || ($1->>''number'')');
CREATE TRIGGER log_state_ends AFTER INSERT OR DELETE ON models_app_modelversion
    FOR EACH ROW EXECUTE FUNCTION activity_of_state('training state', 'modelversion', 'state', '(SELECT m.name FROM models_app_custommodel m WHERE m.id = ($1->>''model_id'')::bigint) || '' version '' || ($1->>''number'')');
CREATE TRIGGER log_state_change AFTER UPDATE OF state ON models_app_trainingupload
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION activity_of_state('training file state', 'trainingupload', 'state', '($1->>''original_name'')');
CREATE TRIGGER log_state_ends AFTER INSERT OR DELETE ON models_app_trainingupload
    FOR EACH ROW EXECUTE FUNCTION activity_of_state('training file state', 'trainingupload', 'state', '($1->>''original_name'')');
CREATE TRIGGER log_state_change AFTER UPDATE OF state ON models_app_evaluation
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION activity_of_state('evaluation file state', 'evaluation', 'state', '($1->>''original_name'')');
CREATE TRIGGER log_state_ends AFTER INSERT OR DELETE ON models_app_evaluation
    FOR EACH ROW EXECUTE FUNCTION activity_of_state('evaluation file state', 'evaluation', 'state', '($1->>''original_name'')');
CREATE TRIGGER log_prediction_state_change AFTER UPDATE OF prediction_state ON models_app_evaluation
    FOR EACH ROW WHEN (OLD.prediction_state IS DISTINCT FROM NEW.prediction_state)
    EXECUTE FUNCTION activity_of_state('evaluation state', 'evaluation', 'prediction_state', '($1->>''original_name'')');
"""
UNDO = """
DROP TRIGGER log_prediction_state_change ON models_app_evaluation;
DROP TRIGGER log_state_ends ON models_app_evaluation;
DROP TRIGGER log_state_change ON models_app_evaluation;
DROP TRIGGER log_state_ends ON models_app_trainingupload;
DROP TRIGGER log_state_change ON models_app_trainingupload;
DROP TRIGGER log_state_ends ON models_app_modelversion;
DROP TRIGGER log_state_change ON models_app_modelversion;
DROP TRIGGER log_current_change ON models_app_custommodel;
"""


class Migration(migrations.Migration):

    dependencies = [("accounts", "0021_activity_append_only"), ("models_app", "0006_same_team")]

    operations = [migrations.RunSQL(LOG, UNDO)]
