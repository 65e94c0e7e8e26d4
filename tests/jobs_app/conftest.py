"""A model that counts as trained, its job, and rows in it."""

from __future__ import annotations

import pytest

from jobs_app.models import Job
from jobs_app.services import NewUnit, add_units, create_routing_job, freeze_design
from models_app.models import CustomModel, ModelVersion
from models_app.states import VersionState

OUTCOMES = ["boots", "sneakers", "negative_examples"]


@pytest.fixture
def model(in_team) -> CustomModel:
    model = CustomModel.objects.create(team=in_team, name="Footwear")
    model.current = ModelVersion.objects.create(
        team=in_team, model=model, number=1, state=VersionState.READY, outcomes=OUTCOMES, backend="local"
    )
    model.save(update_fields=["current"])
    return model


@pytest.fixture
def job(model) -> Job:
    return create_routing_job(model=model, actor=None, title="Which is it?")


@pytest.fixture
def running_job(job) -> Job:
    freeze_design(job=job)
    job.refresh_from_db()
    return job


def fill(job: Job, count: int, start: int = 0) -> dict[str, int]:
    items = [NewUnit(f"k{n}", f"http://pictures.example/{n}.jpg", {"sku": str(n)}) for n in range(start, start + count)]
    return add_units(job=job, items=items)
