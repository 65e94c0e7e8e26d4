"""From a stored CSV to rows: pictures to train on, or pictures to predict.

A reader holds the lock on its upload's row for as long as it reads, in one transaction that turns the upload
ready. So a reader that dies leaves nothing behind, a second one does nothing, and whoever comes after the death
starts afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from labeling_platform.accounts import quotas
from labeling_platform.lib.csvio import CsvLimits, CsvProblem, CsvReader, CsvRefused, open_csv
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.images import FetchError, check_url
from labeling_platform.lib.storage import open_file
from labeling_platform.lib.uploads import MAX_PROBLEMS_KEPT, CsvUpload, UploadState

from .labels import LabelProblem, clean_label
from .models import CustomModel, Evaluation, EvaluationRow, TrainingImage, TrainingUpload
from .states import PredictionState

MAX_TRAINING_IMAGES = 20_000
"""Pictures a model can be trained on; far above the 5,000 after which little is gained (design §6.7)."""


HOLDOUT = {"": None, "true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
"""What the optional column `holdout` may say: set aside, trained on, or (empty) for the platform to decide."""


@dataclass
class Findings:
    """What reading a file brought: counts, and the first MAX_PROBLEMS_KEPT problems."""

    read: int = 0
    good: int = 0
    bad: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)

    def note(self, line: int | None, column: str | None, code: str, message: str) -> None:
        """Count a line that is left out, and keep why."""
        self.bad += 1
        if len(self.problems) < MAX_PROBLEMS_KEPT:
            self.problems.append({"line": line, "column": column, "code": code, "message": message})


class Known(NamedTuple):
    """Where a picture's address was seen first: its label, the place in words, and whether it was dropped there."""

    label: str
    place: str
    dropped: bool = False


def read_training(*, upload: TrainingUpload) -> bool:
    """Read an uploaded CSV of training data: add its good lines as pictures, list the others by line.

    A file that cannot be read at all becomes refused with the reason, and is kept. Returns False when there was
    nothing to do: read already, or another worker is reading it.
    """
    return _read(upload, _add_training_images)


def read_evaluation(*, evaluation: Evaluation) -> bool:
    """Read an evaluation's CSV (at most settings.EVALUATION_MAX_ROWS lines) into rows that wait for prediction.

    Returns whether its rows are there now, by this call or an earlier one.
    """
    if _read(evaluation, _add_evaluation_rows):
        rows = Evaluation.objects.filter(pk=evaluation.pk, state=UploadState.REFUSED)
        rows.update(prediction_state=PredictionState.FAILED)
    return Evaluation.objects.filter(pk=evaluation.pk, state=UploadState.READY).exists()


def _read(upload: Any, add: Callable[[Any, CsvReader, Findings], None]) -> bool:
    kind: Any = type(upload)
    UploadState.move(kind.objects.filter(pk=upload.pk), UploadState.READING)
    with transaction.atomic():
        locked = kind.objects.select_for_update(skip_locked=True, no_key=True).filter(
            pk=upload.pk, state=UploadState.READING
        )
        fresh: CsvUpload | None = locked.first()
        if fresh is None:
            return False
        found, columns, refusal = Findings(), [], ""
        try:
            with transaction.atomic(), open_file(fresh.file) as file:
                reader = open_csv(file, **_shape(fresh))
                columns = list(reader.columns)
                add(fresh, reader, found)
                if not found.read:
                    raise Refused("The file has a header line but no rows.", code="no_rows")
        except CsvRefused as refused:
            refusal = refused.problem.message
        except Refused as refused:
            refusal = refused.message
        except FileNotFoundError:
            refusal = "The stored file is gone. Upload it again."
        outcome: dict[str, Any] = {"refusal": refusal} if refusal else {"rows_ok": found.good}
        UploadState.move(
            kind.objects.filter(pk=fresh.pk),
            UploadState.REFUSED if refusal else UploadState.READY,
            columns=columns,
            rows_read=found.read,
            rows_bad=found.bad,
            problems=found.problems,
            finished_at=Now(),
            **outcome,
        )
    return True


def _shape(upload: CsvUpload) -> dict[str, Any]:
    required = ["image_url", "label"] if isinstance(upload, TrainingUpload) else ["image_url"]
    return {"required": required, "limits": CsvLimits(max_rows=settings.CSV_MAX_ROWS)}


def _rows(reader: CsvReader, found: Findings) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, values by column) of every readable row; the others go to `found`."""
    for row in reader:
        found.read += 1
        if isinstance(row, CsvProblem):
            found.note(row.line, row.column, row.code, row.message)
        else:
            yield row.line, dict(zip(reader.columns, row.values, strict=True))


def _address(line: int, values: dict[str, str], found: Findings) -> str | None:
    try:
        address = values["image_url"].strip()
        check_url(address)
    except FetchError as error:
        found.note(line, "image_url", error.code, error.message)
        return None
    return address


def _add_training_images(upload: TrainingUpload, reader: CsvReader, found: Findings) -> None:
    # One reader of a model at a time: the next one must see the pictures this one adds.
    CustomModel.objects.select_for_update(no_key=True).get(pk=upload.model_id)
    known = _known_pictures(upload.model_id)
    fresh: list[TrainingImage] = []
    for line, values in _rows(reader, found):
        address = _address(line, values, found)
        if address is None:
            continue
        try:
            label = clean_label(values["label"])
        except LabelProblem as problem:
            found.note(line, "label", problem.code, problem.message)
            continue
        said = values.get("holdout", "").strip().lower()
        if said not in HOLDOUT:
            message = f"“{said[:20]}” is neither true nor false. Leave it empty to let the platform decide."
            found.note(line, "holdout", "bad_holdout", message)
            continue
        if seen := known.get(address):
            found.note(line, "image_url", *_seen_before(seen, label))
            continue
        if len(known) >= MAX_TRAINING_IMAGES:
            raise Refused(
                f"With line {line} the model would have more than {MAX_TRAINING_IMAGES:,} pictures. "
                "After 5,000 little more is gained: upload a smaller selection.",
                code="too_many_images",
            )
        known[address] = Known(label, f"line {line}")
        fresh.append(
            TrainingImage(
                team_id=upload.team_id,
                model_id=upload.model_id,
                upload=upload,
                line=line,
                image_url=address,
                label=label,
                holdout=HOLDOUT[said],
            )
        )
    quotas.use_images(team=upload.team, images=len(fresh))
    found.good = len(TrainingImage.objects.bulk_create(fresh, batch_size=1000))


def _known_pictures(model_id: int) -> dict[str, Known]:
    rows = TrainingImage.objects.filter(model=model_id).select_related("upload")
    fields = rows.values_list("image_url", "label", "line", "upload__original_name", "dropped")
    return {url: Known(label, f"line {line} of {name}", dropped) for url, label, line, name, dropped in fields}


def _seen_before(seen: Known, label: str) -> tuple[str, str]:
    if seen.dropped:
        return "dropped", "This picture was dropped on the Check data tab and stays out. Take it back there. Skipped."
    if seen.label == label:
        return "already_there", f"Already there: the same picture and label stand in {seen.place}. Skipped."
    message = (
        f"This picture has the label “{seen.label}” in {seen.place} and “{label}” here. "
        "A picture has one label: correct the file. Skipped here."
    )
    return "other_label", message


def _add_evaluation_rows(evaluation: Evaluation, reader: CsvReader, found: Findings) -> None:
    rows: list[EvaluationRow] = []
    for line, values in _rows(reader, found):
        if found.read > settings.EVALUATION_MAX_ROWS:
            continue  # the file is refused, but the refusal says how many rows it has
        address = _address(line, values, found)
        if address is not None:
            rows.append(EvaluationRow(team_id=evaluation.team_id, evaluation=evaluation, line=line, image_url=address))
    if found.read > settings.EVALUATION_MAX_ROWS:
        raise Refused(
            f"This file has {found.read:,} rows; at most {settings.EVALUATION_MAX_ROWS} can be evaluated at a time. "
            "Upload a part of it, or put the model in a workflow.",
            code="too_many_rows",
        )
    if found.read and not rows:
        raise Refused("No row of this file has a usable picture address; see the list of rows.", code="no_rows")
    found.good = len(EvaluationRow.objects.bulk_create(rows))
