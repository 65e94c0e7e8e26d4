"""How long a small team waits for its rows while a big team's fill the queue: `script/bench fairness --rows 20000`.

The small team's rows go through the product's own workers twice: alone, and beside the big team's in two workflows. The
classifier is the rehearsal backend, pictures come from the host of the harness (chaos/): what is measured is waiting.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django_scopes import scope

from labeling_platform.accounts.models import Team
from labeling_platform.lib.uploads import UploadState
from models_app import services as models_services
from models_app.models import CustomModel
from workflows_app import services, tasks
from workflows_app.models import Workflow, WorkflowKind, WorkflowUpload

from .pictures import Picture
from .product import say, wait_for
from .team import as_csv, launch, make_team, train, upload_training, waiting_rows

CLASSES = ("boots", "sandals", "sneakers")
SMALL = 100


def run(options: argparse.Namespace, host: str) -> Iterator[dict[str, Any]]:
    """One line: seconds from the upload of the small team's rows to their last answer, alone and beside the others."""
    small, big = make_team("small"), make_team("big")
    first = _workflow(small, host, "first")
    crowds = [_workflow(big, host, f"crowd {number}") for number in range(2)]
    alone = _seconds(small, first, host, SMALL, 0)
    rows = (options.rows or [20_000])[0]
    for number, crowd in enumerate(crowds):
        _upload(big, crowd, host, rows // 2, 1_000_000 * (number + 1))
    time.sleep(10)
    beside = _seconds(small, first, host, SMALL, 10_000)
    if not any(waiting_rows(big, crowd) for crowd in crowds):
        raise SystemExit("The big team was done before; use more rows.")
    yield {
        "small_rows": SMALL,
        "big_rows": rows,
        "alone_s": round(alone, 1),
        "beside_s": round(beside, 1),
        "target_s": round(2 * alone + 10, 1),
    }


def _workflow(team: Team, host: str, name: str) -> Workflow:
    """A launched Model Only workflow without rows, of a model of its own."""
    with scope(team=team):
        model = models_services.create_model(team=team, name=name, actor=None, backend="digest")
    pictures = [Picture(f"good/{900_000 + place}.jpg", CLASSES[place % 3], "train") for place in range(36)]
    upload_training(team, model, f"http://{host}", pictures)
    train(team, model)
    with scope(team=team):
        workflow = services.create_workflow(
            team=team,
            actor=None,
            name=name,
            kind=WorkflowKind.MODEL_ONLY,
            model=CustomModel.objects.select_related("current").get(pk=model.pk),
            threshold=Decimal("0.8"),
        )
    return launch(team, workflow)


def _upload(team: Team, workflow: Workflow, host: str, rows: int, first: int) -> None:
    """Upload rows as the page does."""
    file = as_csv(["image_url"], [(f"http://{host}/good/{first + number}.jpg",) for number in range(rows)])
    with scope(team=team):
        upload = services.receive_rows(workflow=workflow, file=file, actor=None)
        tasks.read_rows.delay(team_id=team.pk, upload_id=upload.pk)
        final = WorkflowUpload.objects.filter(pk=upload.pk, state__in=UploadState.final())
        wait_for("reading the rows", final.exists, every=0.05)


def _seconds(team: Team, workflow: Workflow, host: str, rows: int, first: int) -> float:
    began = time.monotonic()
    _upload(team, workflow, host, rows, first)
    wait_for("predicting", lambda: not waiting_rows(team, workflow), every=0.05)
    seconds = time.monotonic() - began
    say(f"{rows} rows of the small team: {seconds:.1f} s")
    return seconds
