"""Triggers that write down how the counts of units and judgments change (labeling_platform/lib/tallies.py).

The foreign key cascades in the database: units that are deleted with their job still write a difference.
"""

from django.db import migrations

COUNT = """
ALTER TABLE jobs_app_unittally ADD CONSTRAINT unit_tally_of_job
    FOREIGN KEY (job_id) REFERENCES jobs_app_job ON DELETE CASCADE;
ALTER TABLE jobs_app_unittally ADD CONSTRAINT unit_tally_of_team
    FOREIGN KEY (team_id) REFERENCES accounts_team ON DELETE CASCADE;

CREATE FUNCTION jobs_count_units() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO jobs_app_unittally (team_id, job_id, line, n)
        SELECT team_id, job_id, state, count(*) FROM fresh GROUP BY team_id, job_id, state;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO jobs_app_unittally (team_id, job_id, line, n)
        SELECT team_id, job_id, state, -count(*) FROM gone GROUP BY team_id, job_id, state;
    ELSE
        INSERT INTO jobs_app_unittally (team_id, job_id, line, n)
        SELECT team_id, job_id, state, sum(n) FROM (
            SELECT team_id, job_id, state, 1 AS n FROM fresh
            UNION ALL SELECT team_id, job_id, state, -1 FROM gone
        ) AS change GROUP BY team_id, job_id, state HAVING sum(n) <> 0;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION jobs_count_judgments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO jobs_app_unittally (team_id, job_id, line, n)
        SELECT team_id, job_id, 'judgments', count(*) FROM fresh
        WHERE missed IS NULL AND NOT tainted GROUP BY team_id, job_id;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO jobs_app_unittally (team_id, job_id, line, n)
        SELECT team_id, job_id, 'judgments', -count(*) FROM gone
        WHERE missed IS NULL AND NOT tainted GROUP BY team_id, job_id;
    ELSE
        INSERT INTO jobs_app_unittally (team_id, job_id, line, n)
        SELECT team_id, job_id, 'judgments', sum(n) FROM (
            SELECT team_id, job_id, 1 AS n FROM fresh WHERE missed IS NULL AND NOT tainted
            UNION ALL SELECT team_id, job_id, -1 FROM gone WHERE missed IS NULL AND NOT tainted
        ) AS change GROUP BY team_id, job_id HAVING sum(n) <> 0;
    END IF;
    RETURN NULL;
END $$;
"""
TRIGGERS = """
CREATE TRIGGER count_{what}_insert AFTER INSERT ON {table} REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION jobs_count_{what}();
CREATE TRIGGER count_{what}_update AFTER UPDATE ON {table} REFERENCING OLD TABLE AS gone NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION jobs_count_{what}();
CREATE TRIGGER count_{what}_delete AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION jobs_count_{what}();
"""
NOW = """
INSERT INTO jobs_app_unittally (team_id, job_id, line, n)
SELECT team_id, job_id, state, count(*) FROM jobs_app_unit GROUP BY team_id, job_id, state;
INSERT INTO jobs_app_unittally (team_id, job_id, line, n)
SELECT team_id, job_id, 'judgments', count(*) FROM jobs_app_judgment
WHERE missed IS NULL AND NOT tainted GROUP BY team_id, job_id;
"""
BACK = """
DROP TRIGGER count_units_insert ON jobs_app_unit;
DROP TRIGGER count_units_update ON jobs_app_unit;
DROP TRIGGER count_units_delete ON jobs_app_unit;
DROP TRIGGER count_judgments_insert ON jobs_app_judgment;
DROP TRIGGER count_judgments_update ON jobs_app_judgment;
DROP TRIGGER count_judgments_delete ON jobs_app_judgment;
DROP FUNCTION jobs_count_units;
DROP FUNCTION jobs_count_judgments;
ALTER TABLE jobs_app_unittally DROP CONSTRAINT unit_tally_of_job;
ALTER TABLE jobs_app_unittally DROP CONSTRAINT unit_tally_of_team;
DELETE FROM jobs_app_unittally;
"""


class Migration(migrations.Migration):
    dependencies = [("jobs_app", "0004_tallies")]
    operations = [
        migrations.RunSQL(
            COUNT
            + TRIGGERS.format(what="units", table="jobs_app_unit")
            + TRIGGERS.format(what="judgments", table="jobs_app_judgment")
            + NOW,
            BACK,
        )
    ]
