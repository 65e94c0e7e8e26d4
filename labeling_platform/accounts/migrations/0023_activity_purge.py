"""The one way to delete lines of the activity log: of a team whose deletion has begun (see 0021)."""

from django.db import migrations

PURGE = """
CREATE FUNCTION activity_purge(team bigint, most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    gone integer;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM accounts_teamdeletion d WHERE d.team_id = team AND d.canceled_at IS NULL
                   AND d.started_at IS NOT NULL AND d.due_at <= clock_timestamp()) THEN
        RAISE EXCEPTION 'the deletion of team % has not begun', team USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM set_config('app.purging', team::text, true);
    DELETE FROM accounts_activity WHERE id IN (
        SELECT a.id FROM accounts_activity a WHERE a.team_id = team ORDER BY a.id LIMIT most);
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM set_config('app.purging', '', true);
    RETURN gone;
END $$;
"""


class Migration(migrations.Migration):

    dependencies = [("accounts", "0022_support")]

    operations = [migrations.RunSQL(PURGE, "DROP FUNCTION activity_purge(bigint, integer)")]
