"""Pictures that came with a request: files of the team, read by its trainings and pages, named by nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from labeling_platform.accounts.pictures import picture_bytes
from labeling_platform.lib import stored
from labeling_platform.lib.images import FetchError, check_url
from models_app import ingest, services
from models_app.classify import Unreadable, load_pictures
from models_app.models import CustomModel, TrainingImage

from .conftest import draw


def keep(team: Any, name: str = "circles-0001") -> str:
    return stored.keep_picture(draw(name), "JPEG", team_id=team.pk, folder="-")


def test_a_stored_picture_opens_for_its_team_only(in_team: Any, other_team: Any) -> None:
    address = keep(in_team)
    assert stored.read_picture(address, team_id=in_team.pk).data == draw("circles-0001")
    assert picture_bytes(in_team, address, "small")[:3] == b"\xff\xd8\xff"
    model = stored.SCHEME + f"t/{in_team.pk}/models/x.model"
    up = stored.SCHEME + f"t/{in_team.pk}/vr3/../training/x.csv"
    for wrong, team in (
        (address, other_team),
        (model, in_team),
        (up, in_team),
        (stored.SCHEME + "/etc/passwd", in_team),
    ):
        with pytest.raises(FetchError, match="not a stored picture"):
            stored.read_picture(wrong, team_id=team.pk)
    with pytest.raises(FetchError, match="gone"):
        stored.read_picture(address.replace(".jpg", "x.jpg"), team_id=in_team.pk)


def test_no_file_of_a_customer_can_name_a_stored_picture(
    in_team: Any, model: CustomModel, add_data: Any, csv_file: Any, owner: Any
) -> None:
    address = keep(in_team)
    with pytest.raises(FetchError):
        check_url(address)
    upload = add_data(model, f"image_url,label\n{address},circles\nhttp://a.example/1.jpg,circles\n")
    assert (upload.rows_ok, [problem["code"] for problem in upload.problems]) == (1, ["scheme_not_allowed"])
    assert not TrainingImage.objects.filter(image_url__startswith=stored.SCHEME).exists()


def test_only_a_training_reads_stored_pictures(in_team: Any, settings: Any) -> None:
    class Backend:
        def prepare(self, data: bytes) -> int:
            return len(data)

    address = keep(in_team)
    ((_, refused),) = load_pictures([(1, address)], Backend())  # type: ignore[arg-type]
    assert isinstance(refused, Unreadable)
    assert refused.code == "scheme_not_allowed"
    ((_, had),) = load_pictures([(1, address)], Backend(), stored_by=in_team)  # type: ignore[arg-type]
    assert had.prepared == len(draw("circles-0001"))  # type: ignore[union-attr]


def test_an_evaluation_with_a_stored_picture_is_refused(
    in_team: Any, model: CustomModel, trained: Any, csv_file: Any, owner: Any
) -> None:
    file = csv_file(f"image_url\n{keep(in_team)}\n")
    evaluation = services.receive_evaluation(model=model, file=file, actor=owner)
    assert not ingest.read_evaluation(evaluation=evaluation)
