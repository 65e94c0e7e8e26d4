"""Who did it, even when the person is gone, and from where: expand only."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("accounts", "0017_team_needs_second_factor")]

    operations = [
        migrations.AddField("activity", "actor_name", models.CharField(blank=True, db_default="", default="", max_length=254)),
        migrations.AddField("activity", "ip", models.CharField(blank=True, db_default="", default="", max_length=50)),
        migrations.AddField("activity", "request_id", models.CharField(blank=True, db_default="", default="", max_length=64)),
        migrations.AlterField(
            "activity",
            "team",
            models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.team"),
        ),
    ]
