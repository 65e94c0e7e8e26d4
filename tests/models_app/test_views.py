"""Pages of models, as people with different roles see them."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling_platform.accounts.models import Activity, Feature
from labeling_platform.accounts.services import switch_feature
from labeling_platform.lib import storage
from models_app import services
from models_app.classify import file_of
from models_app.models import CustomModel, ModelVersion, TrainingUpload


@pytest.fixture
def at(team):
    """The address of a page of the team's models."""

    def url(name: str, **kwargs) -> str:
        return reverse(f"models:{name}", kwargs={"team_slug": team.slug, **kwargs})

    return url


def text(response) -> str:
    return " ".join(response.content.decode().split())


def test_an_empty_list_says_what_to_do(client_for, mate, at):
    page = text(client_for(mate).get(at("list")))
    assert "No model yet" in page
    assert at("new") in page
    assert "/samples/training.csv" in page


def test_a_model_is_created_with_a_name(client_for, mate, at, in_team):
    response = client_for(mate).post(at("new"), {"name": "  Foot   wear "})
    model = CustomModel.objects.get()
    assert (model.name, model.created_by) == ("Foot wear", mate)
    assert response.url == at("detail", pk=model.pk)


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "Give the model a name"), ("SHAPES", "already a model named"), ("x" * 151, "150 characters")],
)
def test_a_name_that_cannot_be_used_is_refused_at_the_field(client_for, mate, at, model, name, words):
    response = client_for(mate).post(at("new"), {"name": name})
    assert response.status_code == 422
    assert words in text(response)
    assert CustomModel.objects.count() == 1


def test_the_list_shows_state_accuracy_and_rows(client_for, viewer, at, model, trained):
    page = text(client_for(viewer).get(at("list")))
    for words in ("Shapes", "Ready", "version 1 in service", "45"):
        assert words in page
    assert at("new") not in page


def queries_of(client, url: str) -> int:
    with CaptureQueriesContext(connection) as found:
        assert client.get(url).status_code == 200
    return len(found)


def test_the_list_costs_the_same_for_one_and_three(client_for, mate, at, model, owner, in_team):
    client = client_for(mate)
    client.get(at("list"))
    one = queries_of(client, at("list"))
    services.create_model(team=in_team, name="Two", actor=owner)
    services.create_model(team=in_team, name="Three", actor=owner)
    assert queries_of(client, at("list")) == one


def test_pages_cost_the_same_for_one_and_three_uploads(client_for, mate, at, model, trained, owner, add_data, csv_file):
    client = client_for(mate)
    for name in ("detail", "evaluate", "images"):
        client.get(at(name, pk=model.pk))
    services.receive_evaluation(model=model, file=csv_file("image_url\n"), actor=owner)
    before = [queries_of(client, at(name, pk=model.pk)) for name in ("detail", "evaluate", "images")]
    for number in range(2):
        add_data(model, f"image_url,label\nhttps://e.com/{number}.jpg,circles\n")
        services.receive_evaluation(model=model, file=csv_file("image_url\n"), actor=owner)
    assert [queries_of(client, at(name, pk=model.pk)) for name in ("detail", "evaluate", "images")] == before


def test_an_upload_is_kept_and_waits_to_be_read(client_for, mate, at, model, csv_file, pictures):
    response = client_for(mate).post(at("upload", pk=model.pk), {"file": csv_file(pictures.training_csv(2))})
    assert response.url == at("detail", pk=model.pk)
    upload = TrainingUpload.objects.get()
    assert (upload.state, upload.original_name, upload.created_by) == ("received", "training.csv", mate)
    page = text(client_for(mate).get(at("detail", pk=model.pk)))
    assert "Waiting to be read" in page
    assert 'hx-trigger="every 2s"' in page


def test_no_file_and_a_file_that_is_too_large_are_refused_at_the_field(client_for, mate, at, model, csv_file, settings):
    client = client_for(mate)
    response = client.post(at("upload", pk=model.pk))
    assert (response.status_code, "Choose a CSV file first." in text(response)) == (422, True)
    settings.CSV_MAX_BYTES = 10
    response = client.post(at("upload", pk=model.pk), {"file": csv_file("image_url,label\n")})
    assert (response.status_code, "at most" in text(response)) == (422, True)
    assert not TrainingUpload.objects.exists()


def test_the_train_tab_shows_counts_advice_and_problems(client_for, mate, at, model, add_data, pictures):
    upload = add_data(model, pictures.training_csv(12) + "nope,circles\n" + f"{pictures.url}/x.jpg,two words\n")
    page = text(client_for(mate).get(at("detail", pk=model.pk)))
    assert "36 of 38 rows added" in page
    assert "circles: 12 pictures. The model will be much better with at least 50." in page
    assert "150 to 200 pictures" in page
    assert "disabled" not in page.partition("Begin Training")[0].rpartition("<button")[2]
    detail = text(client_for(mate).get(at("upload_detail", pk=model.pk, upload_pk=upload.pk)))
    assert "two_words" in detail
    assert ">38</td>" in detail


def test_begin_training_is_disabled_with_the_reason_beside_it(client_for, mate, at, model, add_data, pictures):
    add_data(model, pictures.training_csv(9, shapes=("circles", "squares")))
    page = text(client_for(mate).get(at("detail", pk=model.pk)))
    assert "circles: 9 pictures, at least 10 are needed. Add 1 more." in page
    assert "disabled" in page.partition("Begin Training")[0].rpartition("<button")[2]
    response = client_for(mate).post(at("train", pk=model.pk), follow=True)
    assert "at least 10 are needed" in text(response)
    assert not ModelVersion.objects.exists()


def test_a_refused_file_says_why_and_can_be_downloaded(client_for, mate, at, model, add_data):
    upload = add_data(model, "image_url,class\nhttps://e.com/1.jpg,boots\n")
    client = client_for(mate)
    assert "the column label is missing" in text(client.get(at("detail", pk=model.pk)))
    response = client.get(at("upload_file", pk=model.pk, upload_pk=upload.pk))
    assert b"".join(response.streaming_content) == b"image_url,class\nhttps://e.com/1.jpg,boots\n"
    assert response["Content-Disposition"] == 'attachment; filename="training.csv"'


def test_training_is_begun_watched_and_canceled(client_for, mate, at, model, add_data, pictures):
    add_data(model, pictures.training_csv(10))
    client = client_for(mate)
    assert client.post(at("train", pk=model.pk)).status_code == 302
    version = ModelVersion.objects.get()
    assert (version.state, version.total, version.created_by) == ("queued", 30, mate)
    assert "Waiting for a free worker" in text(client.get(at("detail", pk=model.pk)))
    details = {"fetched": 12, "embedded": 8}
    ModelVersion.objects.update(state="training", stage="fetching", done=8, images_failed=1, details=details)
    fragment = text(client.get(at("detail", pk=model.pk), headers={"HX-Request": "true"}))
    assert "<html" not in fragment
    assert 'id="model-status" hx-swap-oob="true"' in fragment
    assert "12 of 30" in fragment
    assert "8 of 30" in fragment
    assert "1 picture could not be had so far" in fragment
    client.post(at("cancel", pk=model.pk))
    version.refresh_from_db()
    assert version.state == "canceled"
    assert 'hx-trigger="every 2s"' not in text(client.get(at("detail", pk=model.pk)))


def test_the_figures_of_a_trained_version(client_for, viewer, at, model, trained):
    client = client_for(viewer)
    for page in (at("detail", pk=model.pk), at("version", pk=model.pk, number=1)):
        words = text(client.get(page))
        for expected in ("Rows trained", "Holdout", "95% interval", "Precision", "Recall", "F1", "Log-loss", "circles"):
            assert expected in words
    assert "Begin Training" not in text(client.get(at("detail", pk=model.pk)))


def test_a_failed_training_says_why(client_for, mate, at, model, trained, owner):
    version = services.start_training(model=model, actor=owner)
    services.fail_training(version=version, reason="boots: 3 pictures could be had.")
    page = text(client_for(mate).get(at("detail", pk=model.pk)))
    assert "boots: 3 pictures could be had." in page
    assert "The version before it stays in service." in page
    assert "failed" in text(client_for(mate).get(at("version", pk=model.pk, number=2))).lower()


def test_pictures_and_holdout_are_shown_as_pictures(client_for, viewer, at, model, trained):
    client = client_for(viewer)
    page = text(client.get(at("images", pk=model.pk), {"label": "circles"}))
    assert page.count("<img") == 15
    assert "127.0.0.1:" not in page
    assert "No picture fits the filter" in text(client.get(at("images", pk=model.pk), {"show": "errors"}))
    held_out = text(client.get(at("holdout", pk=model.pk, number=1)))
    assert held_out.count("<img") == trained.rows_holdout
    assert "No held-out picture here" in text(client.get(at("holdout", pk=model.pk, number=1), {"label": "none"}))


def test_the_predictions_snapshot(client_for, mate, viewer, at, model, trained, pictures, csv_file):
    lines = [pictures.at(shape, 60 + n) for n in range(2) for shape in ("circles", "squares")]
    file = csv_file("\n".join(["image_url", *lines, f"{pictures.url}/gone.jpg"]) + "\n", "new.csv")
    response = client_for(mate).post(at("evaluate_upload", pk=model.pk), {"file": file})
    found = model.evaluations.get()
    assert response.url == at("evaluation", pk=model.pk, evaluation_pk=found.pk)
    client = client_for(viewer)
    assert "Reading the file" in text(client.get(response.url))
    assert services.read_evaluation(evaluation=found)
    assert "0 of 5" in text(client.get(response.url))
    services.run_evaluation(evaluation=found)
    page = text(client.get(response.url))
    assert page.count("picture-card ") + page.count('picture-card"') == 5
    assert "There is nothing at this address (404)." in page
    assert "held-out pictures of all classes were right" in page
    assert 'hx-trigger="every 2s"' not in page
    chosen = client.get(
        response.url, {"label": "circles", "minimum": "0.3", "order": "low"}, headers={"HX-Request": "true"}
    )
    assert "predicted as circles with a confidence of at least 0.3" in text(chosen)
    assert "<html" not in text(chosen)
    assert client.get(response.url, {"label": "zebra", "minimum": "seven"}).status_code == 200
    assert "new.csv" in text(client.get(at("evaluate", pk=model.pk)))


def test_a_refused_evaluation_says_why(client_for, mate, at, model, trained, csv_file, owner):
    lines = "".join(f"https://e.com/{n}.jpg\n" for n in range(101))
    found = services.receive_evaluation(model=model, file=csv_file("image_url\n" + lines), actor=owner)
    services.read_evaluation(evaluation=found)
    client = client_for(mate)
    assert "has 101 rows; at most 100" in text(client.get(at("evaluation", pk=model.pk, evaluation_pk=found.pk)))
    assert "has 101 rows; at most 100" in text(client.get(at("evaluate", pk=model.pk)))
    response = client.get(at("evaluation_file", pk=model.pk, evaluation_pk=found.pk))
    assert len(b"".join(response.streaming_content)) == found.size


def test_evaluating_before_training_is_refused(client_for, mate, at, model, csv_file):
    client = client_for(mate)
    assert "Nothing to evaluate yet" in text(client.get(at("evaluate", pk=model.pk)))
    response = client.post(at("evaluate_upload", pk=model.pk), {"file": csv_file("image_url\n")})
    assert response.status_code == 422


def test_a_model_is_deleted_after_a_question(client_for, mate, at, model, trained, in_team):
    client = client_for(mate)
    assert "cannot be undone" in text(client.get(at("delete", pk=model.pk)))
    assert client.post(at("delete", pk=model.pk)).url == at("list")
    assert not CustomModel.objects.exists()
    verbs = list(
        Activity.objects.exclude(verb__endswith=" state")
        .exclude(verb="model in service")
        .order_by("pk")
        .values_list("verb", flat=True)
    )
    assert verbs[-1] == "model deleted"


def test_deleting_a_model_deletes_its_files(model, trained, owner, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        services.delete_model(model=model, actor=owner)
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(file_of(trained.ref))


def test_a_model_in_use_is_not_deleted(client_for, mate, at, model, trained, in_team):
    workflows = CustomModel._meta.get_field("workflow").related_model
    workflows.objects.create(team=in_team, name="Shop", kind="model_only", model=model)
    client = client_for(mate)
    assert "is used by workflow “Shop”" in text(client.get(at("delete", pk=model.pk)))
    assert client.post(at("delete", pk=model.pk)).status_code == 422
    assert CustomModel.objects.exists()
    assert "Shop" in text(client.get(at("list")))


WRITES = ["upload", "train", "cancel", "delete", "evaluate_upload"]
READS = ["detail", "images", "evaluate"]


@pytest.mark.parametrize("name", WRITES)
def test_a_viewer_cannot_write(client_for, viewer, at, model, name):
    assert client_for(viewer).post(at(name, pk=model.pk)).status_code == 403


@pytest.mark.parametrize("name", ["upload", "train", "cancel", "evaluate_upload"])
def test_writing_takes_a_post(client_for, mate, at, model, name):
    assert client_for(mate).get(at(name, pk=model.pk)).status_code == 405


@pytest.mark.parametrize("name", READS + WRITES)
def test_an_outsider_finds_nothing(client_for, outsider, other_team, at, model, name):
    client = client_for(outsider)
    method = client.post if name in WRITES else client.get
    assert method(at(name, pk=model.pk)).status_code == 404
    assert method(reverse(f"models:{name}", kwargs={"team_slug": other_team.slug, "pk": model.pk})).status_code == 404


def test_without_the_feature_the_page_says_whom_to_ask(client_for, mate, at, team):
    switch_feature(team=team, feature=Feature.ML_ASSISTED_LABELING, on=False, actor=None)
    response = client_for(mate).get(at("list"))
    assert response.status_code == 403
    assert "Customer Success Manager" in text(response)


@pytest.mark.parametrize("name", ["custommodel", "modelversion", "trainingupload", "evaluation"])
def test_the_console_shows_everything_and_changes_nothing(client_for, csm, model, trained, add_data, name):
    add_data(model, "image_url,label\n")
    client = client_for(csm)
    assert client.get(reverse(f"admin:models_app_{name}_changelist")).status_code == 200
    assert client.get(reverse(f"admin:models_app_{name}_add")).status_code == 403


def test_the_console_cancels_a_training(client_for, csm, model, add_data, pictures, owner):
    add_data(model, pictures.training_csv(10))
    version = services.start_training(model=model, actor=owner)
    data = {"action": "cancel_trainings", "_selected_action": [version.pk]}
    client_for(csm).post(reverse("admin:models_app_modelversion_changelist"), data)
    version.refresh_from_db()
    assert version.state == "canceled"
