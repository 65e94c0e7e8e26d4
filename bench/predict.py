"""How fast pictures are answered end to end, against decoding and inference alone on the same cores."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psutil
from django.conf import settings
from django.db.models import Max
from django_scopes import scope

from workflows_app.models import Workflow, WorkflowRow

from .bare import PROCESSES, bare_rates
from .pictures import Picture, PictureSet, some_of_each
from .product import Running, say, wait_for
from .team import launch, make_team, new_model, train, upload_rows, upload_training, waiting_rows

WARM_UP = 64


def run(product: Running, base: str, pictures: PictureSet, *, rows: int | None, repeat: int = 1) -> dict[str, Any]:
    """Train on a few pictures, run all others through a workflow, and measure the bare rates before and after."""
    per_class = 20
    training = some_of_each(pictures.of("train") or pictures.pictures, per_class)
    known = {picture.path for picture in training}
    fresh = [picture for picture in pictures.pictures if picture.path not in known]
    warm, fresh = fresh[:WARM_UP], fresh[WARM_UP:][:rows] * repeat
    workflow = _prepare(base, training, warm, fresh)
    files = [pictures.root / picture.path for picture in fresh[: len(fresh) // repeat]]
    before = bare_rates(files, settings.EMBEDDER, settings.CLASSIFIER_CACHE_DIR)
    say(f"bare: {before}")
    with _Memory(product.pid("worker")) as memory:
        workflow = launch(workflow.team, workflow)
        wait_for("predicting", lambda: not waiting_rows(workflow.team, workflow), every=0.5)
    seconds = _seconds(workflow)
    after = bare_rates(files, settings.EMBEDDER, settings.CLASSIFIER_CACHE_DIR)
    say(f"bare again: {after}")
    bare, inference = ((a + b) / 2 for a, b in zip(before, after, strict=True))
    rate = len(fresh) / seconds
    return {
        "set": pictures.name,
        "embedder": settings.EMBEDDER,
        "rows": len(fresh),
        "repeat": repeat,
        "processes": PROCESSES,
        "images_per_s": round(rate, 1),
        "bare_images_per_s": round(bare, 1),
        "ratio": round(rate / bare, 3),
        "inference_images_per_s": round(inference, 1),
        "bare_before": round(before[0], 1),
        "bare_after": round(after[0], 1),
        "peak_rss_mb": round(memory.peak / 1e6, 1),
        "rss_mb_at_thirds": [round(value / 1e6, 1) for value in memory.at_thirds()],
    }


def _prepare(base: str, training: Sequence[Picture], warm: Sequence[Picture], rows: Sequence[Picture]) -> Workflow:
    """A workflow ready to launch, and workers that have their network loaded (by another model's few rows)."""
    team = make_team("predict")
    for name, some in (("warm up", warm), ("measured", rows)):
        model = new_model(team, name)
        upload_training(team, model, base, training)
        train(team, model)
        workflow = upload_rows(team, model, base, some)
        if some is warm:
            workflow = launch(team, workflow)
            wait_for("warming up", lambda held=workflow: not waiting_rows(team, held))  # type: ignore[misc]
    return workflow


def _seconds(workflow: Workflow) -> float:
    """From the launch to the last answer, by the database's clock."""
    with scope(team=workflow.team):
        last = WorkflowRow.objects.filter(workflow=workflow).aggregate(last=Max("predicted_at"))["last"]
    assert isinstance(last, datetime)
    assert workflow.launched_at is not None
    return (last - workflow.launched_at).total_seconds()


class _Memory:
    """Watches the largest process below (and with) a process."""

    def __init__(self, pid: int) -> None:
        self.root = psutil.Process(pid)
        self.samples: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            sizes = [one.memory_info().rss for one in [self.root, *self.root.children(recursive=True)]]
            self.samples.append(max(sizes))

    @property
    def peak(self) -> int:
        return max(self.samples, default=0)

    def at_thirds(self) -> list[int]:
        """The largest size within each third of the time: equal when memory is flat."""
        size = max(1, len(self.samples) // 3)
        return [max(part) for start in range(3) if (part := self.samples[start * size : (start + 1) * size])]
