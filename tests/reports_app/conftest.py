"""The workflows of tests/workflows_app, for reports."""

from tests.workflows_app.conftest import draft, job, model, model_only, running, scope

__all__ = ["draft", "job", "model", "model_only", "running", "scope"]
