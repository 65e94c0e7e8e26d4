"""The Check data tab: what it lists, what one can do there, and what is written down."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling_platform.accounts.models import Activity
from labeling_platform.lib.errors import Refused
from models_app import services
from models_app.models import DataChange, HoldoutPrediction, LabelDoubt, TrainingImage
from models_app.services import care


@pytest.fixture
def at(team):
    """The address of a page of the team's models."""

    def url(name: str, **kwargs) -> str:
        return reverse(f"models:{name}", kwargs={"team_slug": team.slug, **kwargs})

    return url


def train(model, owner):
    version = services.start_training(model=model, actor=owner)
    services.run_training(version=version)
    version.refresh_from_db()
    model.refresh_from_db()
    return version


def doubt(version, count=1):
    images = TrainingImage.objects.filter(model=version.model, label="circles")[:count]
    for image in images:
        LabelDoubt.objects.create(
            team=version.team,
            version=version,
            image=image,
            given="circles",
            suggested="squares",
            given_score=0.1,
            suggested_score=0.9,
        )
    return list(images)


def test_a_planted_wrong_label_is_doubted_and_one_click_mends_it(
    model, pictures, add_data, owner, client_for, mate, at
):
    text = pictures.training_csv(15).replace("circles-0003.jpg,circles", "circles-0003.jpg,stripes")
    add_data(model, text)
    version = train(model, owner)
    wrong = TrainingImage.objects.get(image_url__endswith="circles-0003.jpg")
    found = LabelDoubt.objects.get(version=version, image=wrong)
    assert (found.given, found.suggested) == ("stripes", "circles")
    client = client_for(mate)
    assert "Change to circles" in client.get(at("care", pk=model.pk)).content.decode()
    client.post(at("change_data", pk=model.pk), {"action": "relabel", "image": wrong.pk, "label": "circles"})
    wrong.refresh_from_db()
    assert (wrong.label, wrong.holdout is not None) == ("circles", True)
    change = DataChange.objects.get()
    assert (change.kind, change.from_label, change.to_label, change.actor) == (
        "relabeled",
        "stripes",
        "circles",
        mate,
    )
    assert not care.open_doubts(model=model).exists()
    assert services.news(model=model) == services.News(relabeled=1)
    assert "1 label changed" in client.get(at("detail", pk=model.pk)).content.decode()


def test_a_new_version_uses_the_change_and_the_old_one_keeps_its_figures(trained, model, owner):
    before = list(HoldoutPrediction.objects.filter(version=trained).order_by("pk").values_list("label", flat=True))
    held_out = HoldoutPrediction.objects.filter(version=trained, label="circles").first().image
    care.relabel(model=model, image_id=held_out.pk, label="squares", actor=owner)
    newer = train(model, owner)
    now = HoldoutPrediction.objects.filter(version=trained).order_by("pk").values_list("label", flat=True)
    assert list(now) == before
    assert HoldoutPrediction.objects.get(version=newer, image=held_out).label == "squares"
    assert newer.number == 2


def test_dropped_pictures_count_for_nothing_until_they_are_taken_back(trained, model, owner):
    image = TrainingImage.objects.filter(model=model, holdout=False).first()
    assert care.drop(model=model, image_ids=[image.pk], actor=owner) == 1
    assert care.drop(model=model, image_ids=[image.pk], actor=owner) == 0
    newer = train(model, owner)
    assert newer.rows_trained == trained.rows_trained - 1
    assert care.restore(model=model, image_id=image.pk, actor=owner)
    assert not care.restore(model=model, image_id=image.pk, actor=owner)
    assert train(model, owner).rows_trained == trained.rows_trained
    assert [change.kind for change in DataChange.objects.all()] == ["restored", "dropped"]


def test_a_dropped_picture_that_is_uploaded_again_stays_out(trained, model, owner, pictures, add_data):
    image = TrainingImage.objects.filter(model=model).first()
    care.drop(model=model, image_ids=[image.pk], actor=owner)
    upload = add_data(model, f"image_url,label\n{image.image_url},{image.label}\n")
    assert [problem["code"] for problem in upload.problems] == ["dropped"]


def test_a_confirmed_label_is_not_doubted_again(trained, model, owner):
    (image,) = doubt(trained)
    assert care.confirm(model=model, image_id=image.pk, actor=owner)
    assert not care.confirm(model=model, image_id=image.pk, actor=owner)
    assert not care.open_doubts(model=model).exists()


def test_nothing_changes_while_the_model_is_being_trained(trained, model, owner):
    services.start_training(model=model, actor=owner)
    image = TrainingImage.objects.filter(model=model).first()
    with pytest.raises(Refused) as refused:
        care.drop(model=model, image_ids=[image.pk], actor=owner)
    assert refused.value.code == "training"
    assert not DataChange.objects.exists()


@pytest.mark.parametrize("label", ["triangles", "", "two words"])
def test_a_label_that_is_no_class_is_refused(trained, model, owner, label):
    image = TrainingImage.objects.filter(model=model).first()
    with pytest.raises(Refused) as refused:
        care.relabel(model=model, image_id=image.pk, label=label, actor=owner)
    assert refused.value.code == "label"


def test_the_label_it_has_is_no_change(trained, model, owner):
    image = TrainingImage.objects.filter(model=model).first()
    assert not care.relabel(model=model, image_id=image.pk, label=image.label, actor=owner)
    assert not DataChange.objects.exists()


def test_too_many_dropped_is_refused_at_training_by_class(trained, model, owner):
    ids = TrainingImage.objects.filter(model=model, label="circles").values_list("pk", flat=True)[:6]
    care.drop(model=model, image_ids=list(ids), actor=owner)
    with pytest.raises(Refused, match="circles: 9 pictures"):
        services.start_training(model=model, actor=owner)


def test_one_of_a_group_is_kept(trained, model, owner):
    images = list(TrainingImage.objects.filter(model=model, label="circles")[:3])
    TrainingImage.objects.filter(model=model).update(group=None)
    TrainingImage.objects.filter(pk__in=[image.pk for image in images]).update(group=7)
    TrainingImage.objects.filter(pk=images[2].pk).update(label="squares")
    (group,) = care.with_images(model=model, groups=list(care.duplicate_groups(model=model)))
    assert (group.labels, [image.pk for image in group.images]) == (2, [image.pk for image in images])
    assert care.keep_one(model=model, image_id=images[0].pk, actor=owner) == 2
    assert not care.duplicate_groups(model=model).exists()


def test_broken_links_are_dropped_at_once(trained, model, owner):
    image = TrainingImage.objects.filter(model=model).first()
    TrainingImage.objects.filter(pk=image.pk).update(error_code="not_found", error_message="Nothing there.")
    assert care.drop_broken(model=model, actor=owner) == 1
    assert care.drop_broken(model=model, actor=owner) == 0
    assert Activity.objects.filter(verb="pictures dropped").count() == 1


def test_balance_names_small_classes():
    assert "boots" in care.balance_words({"boots": 10, "hats": 100})
    assert care.balance_words({"boots": 50, "hats": 100}) == ""
    assert care.balance_words({"boots": 5}) == ""


@pytest.mark.parametrize("show", ["labels", "duplicates", "links", "balance", "history", "nonsense"])
def test_every_section_can_be_opened(client_for, viewer, at, model, trained, show):
    page = client_for(viewer).get(at("care", pk=model.pk), {"show": show})
    assert page.status_code == 200
    assert b'name="action"' not in page.content


def test_as_many_queries_for_three_doubts_as_for_one(client_for, mate, at, model, trained):
    client = client_for(mate)
    counts = []
    for count in (1, 3):
        LabelDoubt.objects.all().delete()
        doubt(trained, count)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(at("care", pk=model.pk)).content.count(b"Change to squares") == count
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    "sent",
    [
        {"action": "drop", "image": "0"},
        {"action": "drop", "image": "x"},
        {"action": "explode", "image": "1"},
        {"action": "relabel"},
        {},
    ],
)
def test_a_change_that_makes_no_sense_is_refused_in_words(client_for, mate, at, model, trained, sent):
    response = client_for(mate).post(at("change_data", pk=model.pk), sent, follow=True)
    assert response.status_code == 200
    assert b"note tone-red" in response.content or b"tone-red" in response.content
    assert not DataChange.objects.exists()


def test_one_goes_back_to_where_one_came_from_and_nowhere_else(client_for, mate, at, model, trained):
    image = TrainingImage.objects.filter(model=model).first()
    client, here = client_for(mate), at("images", pk=model.pk)
    sent = {"action": "drop", "image": image.pk, "back": here}
    assert client.post(at("change_data", pk=model.pk), sent).url == here
    for elsewhere in ("https://evil.example/", "//evil.example/"):
        sent = {"action": "restore", "image": image.pk, "back": elsewhere}
        assert client.post(at("change_data", pk=model.pk), sent).url == at("care", pk=model.pk)
