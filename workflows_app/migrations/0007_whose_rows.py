"""Triggers in the place of three foreign keys of a row: to its upload, and through that to its workflow and team.

A foreign key looks its target up for every single row. These look up each upload once for all rows of a statement
(transition tables), hold it against deletion as a foreign key does (FOR KEY SHARE), and also see to it that upload,
workflow and team belong together. An upload takes its rows along when it goes; its own foreign keys are ordinary.
"""

from django.db import migrations

GUARD = """
CREATE FUNCTION workflows_check_owner() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    owner record;
BEGIN
    FOR owner IN SELECT DISTINCT upload_id, workflow_id, team_id FROM fresh LOOP
        PERFORM 1 FROM workflows_app_workflowupload u
        WHERE u.id = owner.upload_id AND u.workflow_id = owner.workflow_id AND u.team_id = owner.team_id
        FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE foreign_key_violation USING
                MESSAGE = format('rows of upload %s are not of workflow %s and team %s',
                                 owner.upload_id, owner.workflow_id, owner.team_id),
                CONSTRAINT = 'workflow_row_whose', TABLE = 'workflows_app_workflowrow';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION workflows_keep_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE foreign_key_violation USING
        MESSAGE = 'a row stays with its upload, workflow and team', CONSTRAINT = 'workflow_row_whose';
END $$;

CREATE FUNCTION workflows_delete_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM workflows_app_workflowrow r USING gone WHERE r.upload_id = gone.id;
    RETURN NULL;
END $$;

CREATE TRIGGER check_owner AFTER INSERT ON workflows_app_workflowrow REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION workflows_check_owner();
CREATE TRIGGER keep_owner BEFORE UPDATE OF upload_id, workflow_id, team_id ON workflows_app_workflowrow
    FOR EACH ROW WHEN ((OLD.upload_id, OLD.workflow_id, OLD.team_id)
                       IS DISTINCT FROM (NEW.upload_id, NEW.workflow_id, NEW.team_id))
    EXECUTE FUNCTION workflows_keep_owner();
CREATE TRIGGER delete_rows AFTER DELETE ON workflows_app_workflowupload REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION workflows_delete_rows();
"""
BACK = """
DROP TRIGGER check_owner ON workflows_app_workflowrow;
DROP TRIGGER keep_owner ON workflows_app_workflowrow;
DROP TRIGGER delete_rows ON workflows_app_workflowupload;
DROP FUNCTION workflows_check_owner;
DROP FUNCTION workflows_keep_owner;
DROP FUNCTION workflows_delete_rows;
"""


class Migration(migrations.Migration):
    dependencies = [("workflows_app", "0006_rows_at_scale")]
    operations = [migrations.RunSQL(GUARD, BACK)]
