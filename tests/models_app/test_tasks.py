"""The tasks by their names: each may come twice, late, or for something that is gone."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from labeling_platform.celery import app
from models_app import services, tasks
from models_app.models import Evaluation, EvaluationRow, ModelVersion, TrainingImage, TrainingUpload


def test_the_story_from_upload_to_evaluation_with_every_message_twice(in_team, model, pictures, owner, csv_file):
    team = {"team_id": in_team.pk}
    upload = services.receive_training(model=model, file=csv_file(pictures.training_csv(10)), actor=owner)
    for _ in range(2):
        tasks.read_training(**team, upload_id=upload.pk)
    assert TrainingImage.objects.count() == 30
    version = services.start_training(model=model, actor=owner)
    for _ in range(2):
        tasks.train(**team, version_id=version.pk)
    version.refresh_from_db()
    assert (version.state, version.attempts) == ("ready", 1)
    model.refresh_from_db()
    lines = [pictures.at("circles", 70 + n) for n in range(3)]
    file = csv_file("\n".join(["image_url", *lines]) + "\n")
    evaluation = services.receive_evaluation(model=model, file=file, actor=owner)
    for _ in range(2):
        tasks.evaluate(**team, evaluation_id=evaluation.pk)
    assert EvaluationRow.objects.exclude(confidence=None).count() == 3
    evaluation.refresh_from_db()
    assert (evaluation.prediction_state, evaluation.attempts) == ("done", 1)


def test_what_is_gone_ends_the_task_quietly(in_team):
    tasks.read_training(team_id=in_team.pk, upload_id=0)
    tasks.train(team_id=in_team.pk, version_id=0)
    tasks.evaluate(team_id=in_team.pk, evaluation_id=0)
    tasks.train(team_id=0, version_id=0)


def test_another_teams_things_are_gone_for_a_task(in_team, other_team, model, pictures, add_data, owner):
    add_data(model, pictures.training_csv(10))
    version = services.start_training(model=model, actor=owner)
    tasks.train(team_id=other_team.pk, version_id=version.pk)
    version.refresh_from_db()
    assert version.state == "queued"


def test_the_sweep_sends_again_what_was_lost(
    in_team, model, trained, pictures, owner, csv_file, django_capture_on_commit_callbacks
):
    services.start_training(model=model, actor=owner)
    services.receive_training(model=model, file=csv_file("image_url,label\n"), actor=owner)
    services.receive_evaluation(model=model, file=csv_file("image_url\n"), actor=owner)
    ModelVersion.objects.filter(number=2).update(state="training", lease_until=Now() - timedelta(seconds=1))
    with django_capture_on_commit_callbacks() as young:
        tasks.sweep()
    assert len(young) == 1
    for kind in (TrainingUpload, Evaluation):
        kind.objects.update(created_at=Now() - timedelta(minutes=1))
    with django_capture_on_commit_callbacks() as sent:
        tasks.sweep()
    names = [(send.func.__self__.name, sorted(send.keywords["kwargs"])) for send in sent]
    assert names == [
        ("models.read_training", ["team_id", "upload_id"]),
        ("models.train", ["team_id", "version_id"]),
        ("models.evaluate", ["evaluation_id", "team_id"]),
    ]


def test_training_is_acknowledged_early_and_has_limits():
    for task in (tasks.train, tasks.train_remote):
        assert (task.acks_late, task.soft_time_limit, task.time_limit) == (False, 2100, 2400)


def test_what_asks_a_service_elsewhere_has_a_queue_of_its_own():
    names = sorted(name for name in app.tasks if name.startswith(("models.", "workflows.", "jobs.")))
    queues = {name: app.amqp.router.route({}, name)["queue"].name for name in names}
    assert {name for name, queue in queues.items() if queue == "remote"} == {
        "models.check_connection",
        "models.check_for_staff",
        "models.delete_remote",
        "models.evaluate_remote",
        "models.poll",
        "models.train_remote",
        "workflows.predict_remote",
    }
    assert (queues["models.train"], queues["workflows.predict"]) == ("train", "predict")
