"""Connections to services elsewhere, the choice of them, and what a training there needs."""

import django.db.models.deletion
import django.db.models.functions.text
import django.db.models.manager
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0024_wall_of_support'),
        ('models_app', '0007_log_states'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='modelversion',
            name='next_poll_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='modelversion',
            name='poll_seconds',
            field=models.FloatField(db_default=10.0, default=10.0),
        ),
        migrations.AddField(
            model_name='modelversion',
            name='remote_token',
            field=models.CharField(blank=True, db_default='', default='', max_length=40),
        ),
        migrations.AddField(
            model_name='modelversion',
            name='submitted_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name='WatsonConnection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('url', models.CharField(max_length=300)),
                ('auth', models.CharField(choices=[('iam', 'Key, exchanged for short-lived tokens (IAM)'), ('basic', 'User name and password'), ('bearer', 'Bearer token'), ('none', 'Nothing')], default='iam', max_length=10)),
                ('iam_url', models.CharField(blank=True, max_length=300)),
                ('username', models.CharField(blank=True, max_length=150)),
                ('secret_sealed', models.TextField(blank=True, editable=False)),
                ('at_once', models.PositiveSmallIntegerField(default=8)),
                ('state', models.CharField(choices=[('ok', 'Works'), ('broken', 'Broken'), ('paused', 'Paused')], default='ok', max_length=10)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('checked_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('team', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.team')),
            ],
            options={
                'verbose_name': 'Watson connection',
                'ordering': ['name', 'id'],
                'base_manager_name': 'everywhere',
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('everywhere', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='RemoteLeftover',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ref', models.CharField(blank=True, max_length=200)),
                ('remote_token', models.CharField(blank=True, max_length=40)),
                ('attempts', models.IntegerField(default=0)),
                ('next_try_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('team', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.team')),
                ('connection', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='models_app.watsonconnection')),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='ConnectionUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('connection_name', models.CharField(max_length=100)),
                ('month', models.DateField()),
                ('images', models.BigIntegerField(default=0)),
                ('team', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.team')),
                ('connection', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='models_app.watsonconnection')),
            ],
            options={
                'ordering': ['-month', 'connection_name'],
            },
        ),
        migrations.AddField(
            model_name='custommodel',
            name='connection',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='models_app.watsonconnection'),
        ),
        migrations.AddField(
            model_name='modelversion',
            name='connection',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='models_app.watsonconnection'),
        ),
        migrations.AddConstraint(
            model_name='watsonconnection',
            constraint=models.UniqueConstraint(models.F('team'), django.db.models.functions.text.Lower('name'), name='connection_name_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='watsonconnection',
            constraint=models.CheckConstraint(condition=models.Q(('auth__in', ['iam', 'basic', 'bearer', 'none'])), name='connection_auth'),
        ),
        migrations.AddConstraint(
            model_name='watsonconnection',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['ok', 'broken', 'paused'])), name='connection_state'),
        ),
        migrations.AddConstraint(
            model_name='watsonconnection',
            constraint=models.CheckConstraint(condition=models.Q(('at_once__gte', 1), ('at_once__lte', 20)), name='connection_at_once'),
        ),
        migrations.AddConstraint(
            model_name='connectionuse',
            constraint=models.UniqueConstraint(fields=('team', 'connection', 'month'), name='connection_use_once'),
        ),
    ]
