"""What is known about the running of the platform as a whole. No data of teams: these tables have no team."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Count(models.Model):
    """A difference: since `at` there are `n` more of `name` (counters.py)."""

    name = models.CharField(max_length=40)
    n = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.n} {self.name}"


class WorkerSign(models.Model):
    """When a worker last did something that came to it through the broker."""

    worker = models.CharField(max_length=200, primary_key=True)
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.worker
