"""What can be done with models."""

from .catalog import (
    create_model,
    deletion_refusal,
    delete_model,
    receive_evaluation,
    receive_training,
)
