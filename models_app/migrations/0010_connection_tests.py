"""A test of a connection is done by a worker: when it was asked for, and what came of the last one."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('models_app', '0009_wall_of_connections'),
    ]

    operations = [
        migrations.AddField(
            model_name='watsonconnection',
            name='test_asked_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='watsonconnection',
            name='test_ok',
            field=models.BooleanField(null=True),
        ),
        migrations.AddField(
            model_name='watsonconnection',
            name='test_words',
            field=models.CharField(blank=True, db_default='', default='', max_length=500),
        ),
        migrations.AddField(
            model_name='watsonconnection',
            name='tested_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
