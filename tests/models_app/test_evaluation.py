"""Evaluations and the predictions snapshot."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from labeling_platform.lib.errors import Refused
from models_app import ingest, services
from models_app.models import Evaluation, EvaluationRow, HoldoutPrediction


@pytest.fixture
def evaluate(model, trained, owner, csv_file):
    """Upload, read and predict a CSV."""

    def run(text: str) -> Evaluation:
        found = services.receive_evaluation(model=model, file=csv_file(text, "new.csv"), actor=owner)
        if ingest.read_evaluation(evaluation=found):
            services.run_evaluation(evaluation=found)
        found.refresh_from_db()
        return found

    return run


@pytest.fixture
def snapshot_csv(pictures) -> str:
    lines = [pictures.at(shape, 50 + n) for n in range(4) for shape in ("circles", "squares", "stripes")]
    return "\n".join(["image_url", *lines, f"{pictures.url}/gone.jpg"]) + "\n"


def test_every_row_is_predicted_or_says_why_not(evaluate, snapshot_csv):
    found = evaluate(snapshot_csv)
    assert (found.state, found.prediction_state, found.rows_ok) == ("ready", "done", 13)
    rows = list(EvaluationRow.objects.filter(evaluation=found))
    assert [row.line for row in rows] == list(range(2, 15))
    assert all(row.predicted in found.version.outcomes and 0 < row.confidence <= 1 for row in rows[:-1])
    assert (rows[-1].error_code, rows[-1].confidence) == ("not_found", None)


def test_the_snapshot_filters_and_counts(evaluate, snapshot_csv):
    found = evaluate(snapshot_csv)
    everything = services.take_snapshot(evaluation=found)
    assert (len(everything.rows), everything.total, everything.errors, everything.waiting) == (13, 12, 1, 0)
    assert sum(count for _, count in everything.by_class) == 12
    label, count = max(everything.by_class, key=lambda pair: pair[1])
    chosen = services.take_snapshot(evaluation=found, label=label)
    assert len(chosen.rows) == count
    assert {row.predicted for row in chosen.rows} == {label}
    highest = max(row.confidence for row in everything.rows if row.confidence is not None)
    sure = services.take_snapshot(evaluation=found, minimum=highest)
    assert sure.total == len(sure.rows) < 12
    assert all(row.confidence == highest for row in sure.rows)
    ranked = services.take_snapshot(evaluation=found, order="low").rows
    confidences = [row.confidence for row in ranked if row.confidence is not None]
    assert confidences == sorted(confidences)
    assert ranked[-1].error_code == "not_found"
    assert [row.error_code for row in services.take_snapshot(evaluation=found, label="!").rows] == ["not_found"]


def test_the_holdout_says_how_often_such_predictions_are_right(trained):
    points = list(HoldoutPrediction.objects.filter(version=trained))
    everything = services.holdout_accuracy(version=trained)
    assert (everything.share.hits, everything.share.count) == (
        sum(p.label == p.predicted for p in points),
        trained.rows_holdout,
    )
    assert everything.share.value == trained.metrics["accuracy"]
    of_class = services.holdout_accuracy(version=trained, label="circles", minimum=0.4)
    expected = [p.label == "circles" for p in points if p.predicted == "circles" and p.confidence >= 0.4]
    assert (of_class.share.hits, of_class.share.count) == (sum(expected), len(expected))
    assert "predicted as circles with a confidence of at least 0.4" in of_class.words
    nothing = services.holdout_accuracy(version=trained, minimum=1.0)
    assert nothing.share.value is None
    assert "nothing can be said" in nothing.words


def test_101_rows_are_refused_by_number(evaluate, pictures):
    found = evaluate("image_url\n" + "".join(f"{pictures.at('circles', n)}\n" for n in range(101)))
    assert (found.state, found.prediction_state) == ("refused", "failed")
    assert "has 101 rows; at most 100" in found.refusal
    assert not EvaluationRow.objects.exists()
    assert found.is_answered


def test_100_rows_are_taken(model, trained, owner, csv_file):
    text = "image_url\r\n" + "".join(f"https://e.com/{n}.jpg\r\n" for n in range(100))
    found = services.receive_evaluation(model=model, file=csv_file(text), actor=owner)
    assert ingest.read_evaluation(evaluation=found)
    assert EvaluationRow.objects.filter(evaluation=found).count() == 100


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("url\nhttps://e.com/1.jpg\n", "image_url is missing"),
        ("image_url\n", "no rows"),
        ("image_url\nnope\n", "usable"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(evaluate, text, words):
    found = evaluate(text)
    assert (found.state, found.prediction_state) == ("refused", "failed")
    assert words in found.refusal


def test_nothing_can_be_evaluated_before_training(model, owner, csv_file):
    with pytest.raises(Refused, match="Train the model first"):
        services.receive_evaluation(model=model, file=csv_file("image_url\n"), actor=owner)


def test_a_dead_worker_is_followed_by_another_that_keeps_the_answers(
    model, trained, owner, csv_file, snapshot_csv, all_scopes
):
    found = services.receive_evaluation(model=model, file=csv_file(snapshot_csv), actor=owner)
    ingest.read_evaluation(evaluation=found)
    first = EvaluationRow.objects.filter(evaluation=found).first()
    EvaluationRow.objects.filter(pk=first.pk).update(error_code="kept", error_message="kept")
    Evaluation.objects.update(
        prediction_state="predicting", token=5, attempts=1, lease_until=Now() - timedelta(seconds=1)
    )
    assert services.release_expired_evaluations() == 1
    assert services.run_evaluation(evaluation=found)
    first.refresh_from_db()
    assert first.error_code == "kept"
    found.refresh_from_db()
    assert (found.prediction_state, found.token, found.attempts) == ("done", 6, 2)


def test_three_dead_workers_end_it_in_words(model, trained, owner, csv_file, snapshot_csv, all_scopes):
    found = services.receive_evaluation(model=model, file=csv_file(snapshot_csv), actor=owner)
    Evaluation.objects.update(prediction_state="predicting", attempts=3, lease_until=Now() - timedelta(seconds=1))
    services.release_expired_evaluations()
    found.refresh_from_db()
    assert found.prediction_state == "failed"
    assert "Upload the file again" in found.error


def test_an_evaluation_is_predicted_once(evaluate, snapshot_csv):
    found = evaluate(snapshot_csv)
    assert not services.run_evaluation(evaluation=found)
