"""The activity log can only be added to, whoever asks; and the function by which other tables log their states.

Allowed are two things. A person who is deleted is taken out of `actor` (nothing else of the line may change). And the
function activity_purge(team) deletes the lines of one team: it runs as the tables' owner, and only for a team whose
deletion was asked for, was not taken back, is due and has begun.
"""

from django.db import migrations

GUARD = """
CREATE FUNCTION activity_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.actor_id IS NULL AND to_jsonb(NEW) - 'actor_id' = to_jsonb(OLD) - 'actor_id' THEN
            RETURN NEW;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        IF current_setting('app.purging', true) = OLD.team_id::text AND current_user =
            (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = TG_RELID) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the activity log can only be added to (% refused)', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER activity_no_change BEFORE UPDATE OR DELETE ON accounts_activity
    FOR EACH ROW EXECUTE FUNCTION activity_guard();
CREATE TRIGGER activity_no_truncate BEFORE TRUNCATE ON accounts_activity
    FOR EACH STATEMENT EXECUTE FUNCTION activity_guard();
ALTER TABLE accounts_activity ENABLE ALWAYS TRIGGER activity_no_change;
ALTER TABLE accounts_activity ENABLE ALWAYS TRIGGER activity_no_truncate;

CREATE FUNCTION activity_of_state() RETURNS trigger LANGUAGE plpgsql AS $$
-- Arguments: what it is called, the model's name, the column, and what the thing is called as SQL of $1 (the row as JSON).
DECLARE
    thing jsonb;
    called text;
    old_state text;
    new_state text;
    who bigint := nullif(current_setting('app.actor', true), '')::bigint;
BEGIN
    IF TG_OP <> 'INSERT' THEN thing := to_jsonb(OLD); old_state := thing ->> TG_ARGV[2]; END IF;
    IF TG_OP <> 'DELETE' THEN thing := to_jsonb(NEW); new_state := thing ->> TG_ARGV[2]; END IF;
    IF old_state IS NOT DISTINCT FROM new_state THEN RETURN NULL; END IF;
    EXECUTE 'SELECT ' || TG_ARGV[3] INTO called USING thing;
    INSERT INTO accounts_activity
        (team_id, actor_id, actor_name, verb, object_type, object_id, object_name, data, ip, request_id, created_at)
    SELECT (thing ->> 'team_id')::bigint, person.id, coalesce(left(coalesce(nullif(person.name, ''), person.email), 254), ''),
        TG_ARGV[0], TG_ARGV[1], (thing ->> 'id')::bigint, left(coalesce(called, ''), 255),
        jsonb_build_object('from', old_state, 'to', new_state), '',
        left(coalesce(current_setting('app.request_id', true), ''), 64), clock_timestamp()
    FROM (VALUES (1)) AS always LEFT JOIN accounts_user person ON person.id = who;
    RETURN NULL;
END $$;

CREATE TRIGGER log_feature AFTER INSERT OR UPDATE OR DELETE ON accounts_teamfeature
    FOR EACH ROW EXECUTE FUNCTION activity_of_state('feature state', 'teamfeature', 'name', '($1->>''name'')');
"""
UNDO = """
DROP TRIGGER log_feature ON accounts_teamfeature;
DROP FUNCTION activity_of_state();
DROP TRIGGER activity_no_truncate ON accounts_activity;
DROP TRIGGER activity_no_change ON accounts_activity;
DROP FUNCTION activity_guard();
"""


class Migration(migrations.Migration):

    dependencies = [("accounts", "0020_activity_who_and_where")]

    operations = [migrations.RunSQL(GUARD, UNDO)]
