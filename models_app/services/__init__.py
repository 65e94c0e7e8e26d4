"""What can be done with models: each function is one thing the product can do."""

from ..access import Access
from ..ingest import read_evaluation, read_training
from .catalog import (
    create_model,
    delete_model,
    deletion_refusal,
    receive_evaluation,
    receive_training,
)
from .connections import (
    ask_for_test,
    check_connection,
    choosable_connections,
    connection_refusal,
    connections_of,
    delete_connection,
    fill_connection,
    ledger,
    reseal_secrets,
    save_connection,
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
from .leftovers import delete_remote, due_leftovers, leave_all, waits_for_services
from .remote_training import due_polls, poll_training
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
    "Access",
    "Advice",
    "HoldoutAccuracy",
    "News",
    "Snapshot",
    "ask_for_test",
    "cancel_training",
    "check_connection",
    "choosable_connections",
    "connection_refusal",
    "connections_of",
    "create_model",
    "delete_connection",
    "delete_model",
    "delete_remote",
    "deletion_refusal",
    "due_leftovers",
    "due_polls",
    "fail_training",
    "fill_connection",
    "holdout_accuracy",
    "leave_all",
    "ledger",
    "news",
    "poll_training",
    "queued_trainings",
    "read_evaluation",
    "read_training",
    "receive_evaluation",
    "receive_training",
    "release_expired_evaluations",
    "release_expired_trainings",
    "reseal_secrets",
    "run_evaluation",
    "run_training",
    "save_connection",
    "start_training",
    "take_snapshot",
    "training_advice",
    "unfinished_evaluations",
    "unread_uploads",
    "waits_for_services",
]
