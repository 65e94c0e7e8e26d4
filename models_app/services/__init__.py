"""What can be done with models: each function is one thing the product can do."""

from ..ingest import read_evaluation, read_training
from .catalog import (
    create_model,
    delete_model,
    deletion_refusal,
    receive_evaluation,
    receive_training,
)
from .evaluation import (
    HoldoutAccuracy,
    Snapshot,
    holdout_accuracy,
    release_expired_evaluations,
    run_evaluation,
    take_snapshot,
    unfinished_evaluations,
)
from .run import run_training
from .training import (
    Advice,
    News,
    cancel_training,
    fail_training,
    news,
    queued_trainings,
    release_expired_trainings,
    start_training,
    training_advice,
    unread_uploads,
)

__all__ = [
    "Advice",
    "HoldoutAccuracy",
    "News",
    "Snapshot",
    "cancel_training",
    "create_model",
    "delete_model",
    "deletion_refusal",
    "fail_training",
    "holdout_accuracy",
    "news",
    "queued_trainings",
    "read_evaluation",
    "read_training",
    "receive_evaluation",
    "receive_training",
    "release_expired_evaluations",
    "release_expired_trainings",
    "run_evaluation",
    "run_training",
    "start_training",
    "take_snapshot",
    "training_advice",
    "unfinished_evaluations",
    "unread_uploads",
]
