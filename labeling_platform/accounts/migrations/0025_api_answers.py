"""Answers of the API that are given again (Idempotency-Key), with row-level security as in 0003_wall."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

TABLE = "accounts_apianswer"
UP = f"""
ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_team ON {TABLE}
    USING (team_id = (SELECT nullif(current_setting('app.team', true), '')::bigint));
CREATE POLICY every_team ON {TABLE} TO labeling_operator USING (true);
"""
DOWN = f"""
DROP POLICY every_team ON {TABLE};
DROP POLICY one_team ON {TABLE};
ALTER TABLE {TABLE} DISABLE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0024_wall_of_support")]
    operations = [
        migrations.CreateModel(
            name="ApiAnswer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=255)),
                ("fingerprint", models.CharField(max_length=64)),
                ("status", models.PositiveSmallIntegerField()),
                ("body", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ("team", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.team")),
                (
                    "token",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.apitoken",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("token", "team", "key"), name="api_answer_once"),
                    models.CheckConstraint(
                        condition=models.Q(("fingerprint__regex", "^[0-9a-f]{64}$")), name="api_answer_fingerprint"
                    ),
                ],
            },
        ),
        migrations.RunSQL(UP, DOWN),
    ]
