"""Rows can wait to be launched together. The new check is validated apart, so that nobody waits for the table."""

import django.core.validators
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

STATES = ["new", "queued", "judgable", "finalized", "canceled", "golden", "hidden_gold"]


class Migration(migrations.Migration):
    dependencies = [("jobs_app", "0007_upload_canceled")]

    operations = [
        migrations.AddField(
            model_name="job",
            name="auto_launch_threshold",
            field=models.PositiveSmallIntegerField(
                default=1,
                db_default=1,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(1000),
                ],
            ),
        ),
        migrations.AddField(
            model_name="job",
            name="auto_launch_timeout",
            field=models.PositiveIntegerField(
                blank=True,
                default=60,
                db_default=60,
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(86400),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="unit",
            name="state",
            field=models.CharField(
                choices=[
                    ("new", "Not launched"),
                    ("queued", "Waiting to be launched"),
                    ("judgable", "Waiting for judgments"),
                    ("finalized", "Finalized"),
                    ("canceled", "Canceled"),
                    ("golden", "Test question"),
                    ("hidden_gold", "Test question, switched off"),
                ],
                default="new",
                max_length=12,
            ),
        ),
        migrations.RemoveConstraint(model_name="unit", name="unit_state"),
        AddConstraintNotValid(
            model_name="unit",
            constraint=models.CheckConstraint(condition=models.Q(("state__in", STATES)), name="unit_state"),
        ),
    ]
