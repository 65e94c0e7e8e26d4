"""Triggers that write down how the counts of a workflow's rows change (labeling_platform/lib/tallies.py).

Whether people finished a routed row stands at its unit, so a change of units counts, too.
"""

from django.db import migrations

COUNT = """
ALTER TABLE workflows_app_rowtally ADD CONSTRAINT row_tally_of_workflow
    FOREIGN KEY (workflow_id) REFERENCES workflows_app_workflow ON DELETE CASCADE;
ALTER TABLE workflows_app_rowtally ADD CONSTRAINT row_tally_of_team
    FOREIGN KEY (team_id) REFERENCES accounts_team ON DELETE CASCADE;

CREATE FUNCTION workflows_count_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO workflows_app_rowtally (team_id, workflow_id, line, n)
        SELECT team_id, workflow_id, state, count(*) FROM fresh GROUP BY team_id, workflow_id, state;
        INSERT INTO workflows_app_rowtally (team_id, workflow_id, line, n)
        SELECT team_id, workflow_id, 'unlike', count(*) FROM fresh WHERE "unlike" GROUP BY team_id, workflow_id;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO workflows_app_rowtally (team_id, workflow_id, line, n)
        SELECT gone.team_id, gone.workflow_id, kind.line, -count(*) FROM gone
        LEFT JOIN jobs_app_unit unit ON unit.id = gone.unit_id
        CROSS JOIN LATERAL (VALUES
            (gone.state::text), (CASE WHEN gone."unlike" THEN 'unlike' END),
            (CASE unit.state WHEN 'finalized' THEN 'human' WHEN 'canceled' THEN 'canceled' END)
        ) AS kind(line)
        WHERE kind.line IS NOT NULL GROUP BY gone.team_id, gone.workflow_id, kind.line;
    ELSE
        INSERT INTO workflows_app_rowtally (team_id, workflow_id, line, n)
        SELECT team_id, workflow_id, line, sum(n) FROM (
            SELECT team_id, workflow_id, state::text AS line, 1 AS n FROM fresh
            UNION ALL SELECT team_id, workflow_id, state::text, -1 FROM gone
            UNION ALL SELECT team_id, workflow_id, 'unlike', 1 FROM fresh WHERE "unlike"
            UNION ALL SELECT team_id, workflow_id, 'unlike', -1 FROM gone WHERE "unlike"
        ) AS change GROUP BY team_id, workflow_id, line HAVING sum(n) <> 0;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION workflows_count_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO workflows_app_rowtally (team_id, workflow_id, line, n)
    SELECT r.team_id, r.workflow_id, change.line, sum(change.n)
    FROM (
        SELECT fresh.id, CASE fresh.state WHEN 'finalized' THEN 'human' ELSE fresh.state END AS line, 1 AS n
        FROM fresh JOIN gone ON gone.id = fresh.id
        WHERE fresh.state <> gone.state AND fresh.state IN ('finalized', 'canceled')
        UNION ALL
        SELECT gone.id, CASE gone.state WHEN 'finalized' THEN 'human' ELSE gone.state END, -1
        FROM fresh JOIN gone ON gone.id = fresh.id
        WHERE fresh.state <> gone.state AND gone.state IN ('finalized', 'canceled')
    ) AS change JOIN workflows_app_workflowrow r ON r.unit_id = change.id
    GROUP BY r.team_id, r.workflow_id, change.line HAVING sum(change.n) <> 0;
    RETURN NULL;
END $$;

CREATE TRIGGER count_rows_insert AFTER INSERT ON workflows_app_workflowrow REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION workflows_count_rows();
CREATE TRIGGER count_rows_update AFTER UPDATE ON workflows_app_workflowrow
    REFERENCING OLD TABLE AS gone NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION workflows_count_rows();
CREATE TRIGGER count_rows_delete AFTER DELETE ON workflows_app_workflowrow REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION workflows_count_rows();
CREATE TRIGGER count_people_update AFTER UPDATE ON jobs_app_unit REFERENCING OLD TABLE AS gone NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION workflows_count_people();

INSERT INTO workflows_app_rowtally (team_id, workflow_id, line, n)
SELECT r.team_id, r.workflow_id, kind.line, count(*)
FROM workflows_app_workflowrow r LEFT JOIN jobs_app_unit unit ON unit.id = r.unit_id
CROSS JOIN LATERAL (VALUES
    (r.state::text), (CASE WHEN r."unlike" THEN 'unlike' END),
    (CASE unit.state WHEN 'finalized' THEN 'human' WHEN 'canceled' THEN 'canceled' END)
) AS kind(line)
WHERE kind.line IS NOT NULL GROUP BY r.team_id, r.workflow_id, kind.line;
"""
BACK = """
DROP TRIGGER count_rows_insert ON workflows_app_workflowrow;
DROP TRIGGER count_rows_update ON workflows_app_workflowrow;
DROP TRIGGER count_rows_delete ON workflows_app_workflowrow;
DROP TRIGGER count_people_update ON jobs_app_unit;
DROP FUNCTION workflows_count_rows;
DROP FUNCTION workflows_count_people;
ALTER TABLE workflows_app_rowtally DROP CONSTRAINT row_tally_of_workflow;
ALTER TABLE workflows_app_rowtally DROP CONSTRAINT row_tally_of_team;
DELETE FROM workflows_app_rowtally;
"""


class Migration(migrations.Migration):
    dependencies = [("workflows_app", "0004_tallies"), ("jobs_app", "0005_count_units")]
    operations = [migrations.RunSQL(COUNT, BACK)]
