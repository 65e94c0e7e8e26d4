"""In a transaction of its own: validating reads the table under a lock that lets everybody read and write."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("jobs_app", "0008_launch_together")]
    operations = [ValidateConstraint(model_name="unit", name="unit_state")]
