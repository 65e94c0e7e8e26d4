"""From an uploaded CSV to pictures to train on, or to predict."""

from __future__ import annotations

import pytest

from labeling_platform.accounts.models import Activity
from labeling_platform.lib import storage
from labeling_platform.lib.uploads import UploadState
from models_app import ingest, services
from models_app.labels import LabelProblem, clean_label, similar_labels, suggest_label
from models_app.models import TrainingImage, TrainingUpload

HOST = "https://pictures.example.com"


def rows_of(upload) -> list[tuple[int, str, str]]:
    return list(TrainingImage.objects.filter(upload=upload).values_list("line", "image_url", "label"))


def codes(upload) -> list[tuple[int, str]]:
    return [(problem["line"], problem["code"]) for problem in upload.problems]


def test_good_rows_become_pictures(model, add_data):
    upload = add_data(model, f"image_url,label,note\n{HOST}/1.jpg,boots,x\n{HOST}/2.jpg, sneakers ,y\n")
    assert (upload.state, upload.rows_read, upload.rows_ok, upload.rows_bad) == ("ready", 2, 2, 0)
    assert upload.columns == ["image_url", "label", "note"]
    assert rows_of(upload) == [(2, f"{HOST}/1.jpg", "boots"), (3, f"{HOST}/2.jpg", "sneakers")]
    assert upload.finished_at is not None
    verbs = list(Activity.objects.exclude(verb__endswith=" state").order_by("pk").values_list("verb", flat=True))
    assert verbs[-2:] == ["model created", "training data uploaded"]


def test_bad_rows_are_listed_by_line_and_the_good_ones_added(model, add_data):
    long = "x" * 101
    text = (
        "image_url,label\r\n"
        f"{HOST}/1.jpg,boots\r\n"
        "not an address,boots\r\n"
        f"{HOST}/3.jpg,\r\n"
        f"{HOST}/4.jpg,{long}\r\n"
        f"{HOST}/5.jpg,ankle boots\r\n"
        f'{HOST}/6.jpg,"a ""quoted"" one"\r\n'
        f"{HOST}/1.jpg,boots\r\n"
        f"{HOST}/1.jpg,sandals\r\n"
        f"{HOST}/9.jpg\r\n"
    )
    upload = add_data(model, "\ufeff" + text)
    assert (upload.state, upload.rows_read, upload.rows_ok, upload.rows_bad) == ("ready", 9, 1, 8)
    found = dict(codes(upload))
    del found[3]
    assert found == {
        4: "label_empty",
        5: "label_too_long",
        6: "label_characters",
        7: "label_characters",
        8: "already_there",
        9: "other_label",
        10: "ragged",
    }
    words = {problem["line"]: problem["message"] for problem in upload.problems}
    assert "ankle_boots" in words[6]
    assert "101 characters" in words[5]
    assert "line 2" in words[8]
    assert "“boots” in line 2" in words[9]
    assert "“sandals” here" in words[9]


def test_a_picture_of_an_earlier_upload_is_not_added_again(model, add_data):
    first = add_data(model, f"image_url,label\n{HOST}/1.jpg,boots\n")
    again = add_data(model, f"image_url,label\n{HOST}/1.jpg,boots\n{HOST}/1.jpg,sandals\n{HOST}/2.jpg,boots\n")
    assert codes(again) == [(2, "already_there"), (3, "other_label")]
    assert "line 2 of training.csv" in again.problems[0]["message"]
    assert (len(rows_of(first)), len(rows_of(again))) == (1, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"image_url,label\n", "no rows"),
        (b"image_url,class\nhttps://e.com/1.jpg,boots\n", "label is missing"),
        (b"image_url,label,label\nhttps://e.com/1.jpg,a,b\n", "there twice"),
        (b"image_url;label\nhttps://e.com/1.jpg;boots\n", "semicolons"),
        (b"image_url,label\nhttps://e.com/1.jpg,boots\nhttps://e.com/2.jpg,b\xff\n", "Line 3: the file is not UTF-8"),
        (b"PK\x03\x04" + b"\0" * 40, "Excel"),
        ("image_url,label\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_kept(model, add_data, content, words):
    upload = add_data(model, content)
    assert upload.state == "refused"
    assert words in upload.refusal
    assert rows_of(upload) == []
    assert storage.read_bytes(upload.file) == content


def test_quoted_line_breaks_and_nul_are_named_by_line(model, add_data):
    upload = add_data(model, f'image_url,label,note\n{HOST}/1.jpg,boots,"two\nlines"\n{HOST}/2.jpg,bo\0ots,x\n')
    assert rows_of(upload) == [(2, f"{HOST}/1.jpg", "boots")]
    assert codes(upload) == [(4, "nul")]


def test_more_pictures_than_a_model_takes_are_refused(model, add_data, monkeypatch):
    monkeypatch.setattr(ingest, "MAX_TRAINING_IMAGES", 2)
    upload = add_data(model, "image_url,label\n" + "".join(f"{HOST}/{n}.jpg,boots\n" for n in range(3)))
    assert upload.state == "refused"
    assert "line 4" in upload.refusal
    assert rows_of(upload) == []


def test_reading_twice_changes_nothing(model, add_data):
    upload = add_data(model, f"image_url,label\n{HOST}/1.jpg,boots\n")
    assert not ingest.read_training(upload=upload)
    assert len(rows_of(upload)) == 1


def test_a_reader_that_died_is_followed_by_another(model, owner, csv_file):
    upload = services.receive_training(
        model=model, file=csv_file(f"image_url,label\n{HOST}/1.jpg,boots\n"), actor=owner
    )
    UploadState.move(TrainingUpload.objects.filter(pk=upload.pk), UploadState.READING)
    assert ingest.read_training(upload=upload)
    assert len(rows_of(upload)) == 1


def test_a_lost_file_is_said(model, owner, csv_file):
    upload = services.receive_training(model=model, file=csv_file("image_url,label\n"), actor=owner)
    storage.delete_file(upload.file)
    ingest.read_training(upload=upload)
    upload.refresh_from_db()
    assert (upload.state, upload.refusal) == ("refused", "The stored file is gone. Upload it again.")


@pytest.mark.parametrize(
    ("raw", "suggestion"),
    [("ankle boots", "ankle_boots"), ("T-shirt / top", "T-shirt_top"), ("größe", "groe"), ("靴", "")],
)
def test_a_label_that_cannot_be_used_comes_with_a_suggestion(raw, suggestion):
    assert suggest_label(raw) == suggestion
    with pytest.raises(LabelProblem) as caught:
        clean_label(raw)
    assert caught.value.code == "label_characters"
    assert suggestion in caught.value.message


def test_labels_keep_their_case_and_lose_white_space_around():
    assert clean_label("  Ankle-Boots_2.0\t") == "Ankle-Boots_2.0"


def test_labels_that_look_alike_are_pointed_out():
    assert len(similar_labels(["Boots", "boots", "negatives", "sandals"])) == 2
    assert similar_labels(["boots", "negative_examples"]) == []
