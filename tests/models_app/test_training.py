"""From Begin Training to a version in service."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from labeling_platform.accounts.models import Activity
from labeling_platform.lib import storage
from labeling_platform.lib.errors import Refused
from models_app import services
from models_app.classify import file_of
from models_app.models import HoldoutPrediction, ModelVersion, PictureFeatures, TrainingImage
from models_app.services.claims import Lost, claim
from models_app.services.run import _train as train_claimed
from models_app.services.run import order_outcomes
from models_app.states import VersionState


def train(model, owner) -> ModelVersion:
    version = services.start_training(model=model, actor=owner)
    services.run_training(version=version)
    version.refresh_from_db()
    model.refresh_from_db()
    return version


def test_a_version_learns_from_pixels_and_goes_into_service(model, pictures, add_data, owner):
    add_data(model, pictures.training_csv(15))
    trained = train(model, owner)
    assert model.current == trained
    assert trained.outcomes == ["circles", "squares", "stripes"]
    held_out = TrainingImage.objects.filter(model=model, holdout=True).count()
    assert (trained.rows_trained, trained.rows_holdout, trained.images_failed) == (45 - held_out, held_out, 0)
    assert 9 <= held_out <= 12
    assert trained.metrics["accuracy"] > 0.6
    assert trained.metrics["accuracy_low"] < trained.metrics["accuracy"]
    assert trained.metrics["accuracy_high"] <= 1
    assert sum(map(sum, trained.metrics["confusion"])) == held_out
    assert HoldoutPrediction.objects.filter(version=trained).count() == held_out
    assert storage.read_bytes(file_of(trained.ref))
    verbs = list(
        Activity.objects.exclude(verb__endswith=" state")
        .exclude(verb="model in service")
        .order_by("pk")
        .values_list("verb", flat=True)
    )
    assert verbs[-2:] == ["training started", "training finished"]


def test_more_data_makes_a_new_version_and_keeps_the_holdout(model, trained, pictures, add_data, owner):
    held_out = set(TrainingImage.objects.filter(model=model, holdout=True).values_list("pk", flat=True))
    add_data(model, pictures.training_csv(5, first=15))
    assert services.news(model=model) == services.News(added=15)
    pictures.asked.clear()
    second = train(model, owner)
    assert (second.number, second.state, model.current_id) == (2, "ready", second.pk)
    assert len(pictures.asked) == 15
    now = set(TrainingImage.objects.filter(model=model, holdout=True).values_list("pk", flat=True))
    assert held_out < now
    assert second.rows_trained + second.rows_holdout == 60


def test_pictures_that_cannot_be_had_are_left_out_with_a_reason(model, pictures, add_data, owner):
    broken = f"{pictures.url}/text.jpg,circles\n{pictures.url}/gone.jpg,circles\n"
    add_data(model, pictures.training_csv(11) + broken)
    version = train(model, owner)
    assert (version.state, version.images_failed) == ("ready", 2)
    assert version.rows_trained + version.rows_holdout == 33
    failed = TrainingImage.objects.filter(model=model).exclude(error_code="").order_by("pk")
    assert [image.error_code for image in failed] == ["not_an_image", "not_found"]
    assert failed[0].error_message == "This is not a JPG or PNG picture."


def test_a_passing_failure_is_tried_again(model, pictures, add_data, owner, monkeypatch):
    monkeypatch.setattr("models_app.services.run.PAUSES", (0.0, 0.0))
    add_data(model, pictures.training_csv(10))
    pictures.fail_first.update({"circles-0000": 2, "circles-0001": 9})
    version = train(model, owner)
    assert version.state == "failed"
    assert "circles: 9 pictures" in version.error
    assert TrainingImage.objects.get(image_url=pictures.at("circles", 0)).error_code == ""
    assert TrainingImage.objects.get(image_url=pictures.at("circles", 1)).error_code == "server_busy"


def test_a_failed_training_leaves_the_last_good_version_in_service(model, trained, pictures, add_data, owner):
    add_data(model, "image_url,label\n" + "".join(f"{pictures.url}/gone-{n}.jpg,boots\n" for n in range(10)))
    second = train(model, owner)
    assert second.state == "failed"
    assert "boots" in second.error
    assert model.current == trained


@pytest.mark.parametrize(
    ("per_class", "shapes", "words"),
    [
        (0, (), "Upload training data first."),
        (12, ("circles",), "at least two different labels"),
        (9, ("circles", "squares"), "circles: 9 pictures, at least 10 are needed"),
    ],
)
def test_data_that_cannot_train_is_refused(model, pictures, add_data, owner, per_class, shapes, words):
    if per_class:
        add_data(model, pictures.training_csv(per_class, shapes=shapes))
    with pytest.raises(Refused, match=words):
        services.start_training(model=model, actor=owner)
    assert not ModelVersion.objects.exists()


def test_advice_follows_the_numbers():
    few = services.training_advice(counts={"a": 20, "b": 60})
    assert (few.refusals, len(few.warnings), len(few.hints)) == ([], 1, 1)
    many = services.training_advice(counts={"a": 2600, "b": 2600})
    assert (many.refusals, many.warnings, len(many.hints)) == ([], [], 1)
    assert "5,000" in many.hints[0]
    assert len(services.training_advice(counts={"A": 60, "a": 60}).warnings) == 1


def test_one_training_at_a_time(model, pictures, add_data, owner):
    add_data(model, pictures.training_csv(10))
    services.start_training(model=model, actor=owner)
    with pytest.raises(Refused, match="trained already"):
        services.start_training(model=model, actor=owner)


def test_no_training_while_a_file_is_being_read(model, pictures, add_data, owner, csv_file):
    add_data(model, pictures.training_csv(10))
    services.receive_training(model=model, file=csv_file("image_url,label\n"), actor=owner)
    with pytest.raises(Refused, match="still being read"):
        services.start_training(model=model, actor=owner)


def test_a_version_is_trained_once(model, trained):
    assert not services.run_training(version=trained)


def test_a_canceled_training_stops_and_changes_nothing(model, pictures, add_data, owner):
    add_data(model, pictures.training_csv(10))
    version = services.start_training(model=model, actor=owner)
    held = claim(version)
    assert services.cancel_training(version=version, actor=owner)
    assert not services.cancel_training(version=version, actor=owner)
    with pytest.raises(Lost):
        train_claimed(held)
    version.refresh_from_db()
    assert (version.state, version.error, version.done) == ("canceled", "", 0)
    assert services.start_training(model=model, actor=owner).number == 2


def test_a_killed_worker_is_followed_by_another_three_times_at_most(model, pictures, add_data, owner, all_scopes):
    add_data(model, pictures.training_csv(10))
    version = services.start_training(model=model, actor=owner)
    for attempt in (1, 2, 3):
        held = claim(version)
        assert held is not None
        assert held.version.attempts == attempt
        assert services.release_expired_trainings() == 0
        ModelVersion.objects.update(lease_until=Now() - timedelta(seconds=1))
        assert services.release_expired_trainings() == 1
        version.refresh_from_db()
        assert version.state == ("queued" if attempt < 3 else "failed")
    assert "interrupted 3 times" in version.error


def test_a_worker_that_lost_its_lease_writes_nothing(model, pictures, add_data, owner, all_scopes):
    add_data(model, pictures.training_csv(10))
    version = services.start_training(model=model, actor=owner)
    late = claim(version)
    ModelVersion.objects.update(lease_until=Now() - timedelta(seconds=1))
    services.release_expired_trainings()
    assert claim(version) is not None
    with pytest.raises(Lost):
        late.write(done=5)
    assert not services.fail_training(version=late.version, reason="late", token=late.version.token)
    version.refresh_from_db()
    assert (version.state, version.done) == ("training", 0)


def test_features_are_kept_by_content(model, trained, in_team):
    assert PictureFeatures.objects.filter(team=in_team, version=trained.feature_version).count() == 45


def test_negative_examples_come_last():
    assert order_outcomes({"negative_examples", "zebra", "Apple"}) == ["Apple", "zebra", "negative_examples"]


def test_moves_of_a_version():
    assert VersionState.final() == {"ready", "failed", "canceled"}
