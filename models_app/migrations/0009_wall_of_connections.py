"""Row-level security of connections, and triggers in the place of foreign keys to them.

A connection is a team's, or (no team) for all: these each team may read and none may change. A reference to one may
cross from a team to "all", which a foreign key that holds the team cannot say; the triggers do, hold the connection
against deletion as a foreign key does (FOR KEY SHARE), and refuse its deletion while something needs it. They run as
the owner of the tables, since a team may not lock a row that is for all.
"""

from django.db import migrations

MINE = "(SELECT nullif(current_setting('app.team', true), '')::bigint)"
WALL = f"""
ALTER TABLE {{table}} ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_team ON {{table}} USING (team_id = {MINE});
CREATE POLICY every_team ON {{table}} TO labeling_operator USING (true);
"""
NO_WALL = """
DROP POLICY every_team ON {table};
DROP POLICY one_team ON {table};
ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;
"""
TABLES = ["models_app_watsonconnection", "models_app_connectionuse", "models_app_remoteleftover"]
SHARED = f"""
CREATE POLICY shared ON models_app_watsonconnection FOR SELECT USING (team_id IS NULL AND {MINE} IS NOT NULL);
"""
CHILDREN = ["custommodel", "modelversion", "connectionuse", "remoteleftover"]
GUARD = """
CREATE FUNCTION models_check_connection() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM models_app_watsonconnection c
    WHERE c.id = NEW.connection_id AND (c.team_id IS NULL OR c.team_id = NEW.team_id) FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE foreign_key_violation USING
            MESSAGE = format('connection %s is not for team %s', NEW.connection_id, NEW.team_id),
            CONSTRAINT = 'connection_same_team', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION models_keep_connection() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM models_app_custommodel WHERE connection_id = OLD.id)
        OR EXISTS (SELECT 1 FROM models_app_modelversion WHERE connection_id = OLD.id)
        OR EXISTS (SELECT 1 FROM models_app_remoteleftover WHERE connection_id = OLD.id) THEN
        RAISE foreign_key_violation USING
            MESSAGE = format('connection %s is in use', OLD.id), CONSTRAINT = 'connection_in_use';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER keep_connection AFTER DELETE ON models_app_watsonconnection
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION models_keep_connection();
"""
NO_GUARD = """
DROP TRIGGER keep_connection ON models_app_watsonconnection;
DROP FUNCTION models_keep_connection;
DROP FUNCTION models_check_connection;
"""
CHECK = """
CREATE TRIGGER check_connection BEFORE INSERT OR UPDATE OF connection_id, team_id ON models_app_{child}
    FOR EACH ROW WHEN (NEW.connection_id IS NOT NULL) EXECUTE FUNCTION models_check_connection();
"""


class Migration(migrations.Migration):
    dependencies = [("models_app", "0008_connections")]
    operations = [
        migrations.RunSQL([WALL.format(table=table) for table in TABLES], [NO_WALL.format(table=table) for table in TABLES]),
        migrations.RunSQL(SHARED, "DROP POLICY shared ON models_app_watsonconnection"),
        migrations.RunSQL(GUARD, NO_GUARD),
        migrations.RunSQL(
            [CHECK.format(child=child) for child in CHILDREN],
            [f"DROP TRIGGER check_connection ON models_app_{child}" for child in CHILDREN],
        ),
    ]
