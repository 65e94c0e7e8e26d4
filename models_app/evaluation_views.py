"""The Evaluate tab: upload unlabelled pictures, look at the predictions snapshot."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest
from labeling_platform.lib import htmx
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.forms import CsvFileForm

from . import services, tasks
from .forms import SnapshotFilter
from .models import CustomModel, Evaluation
from .presenting import page_context
from .querysets import evaluation_counts
from .views import as_download, get_model, may_edit, may_view


@require_safe
@may_view
def evaluate(request: TeamRequest, pk: int) -> HttpResponse:
    """Earlier evaluations, and a form to upload the next one."""
    return evaluate_page(request, get_model(request, pk), CsvFileForm())


@require_POST
@may_edit
def evaluate_upload(request: TeamRequest, pk: int) -> HttpResponse:
    """Take in a CSV to evaluate; it is read and predicted in the background."""
    model = get_model(request, pk)
    form = CsvFileForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            found = services.receive_evaluation(model=model, file=form.cleaned_data["file"], actor=request.user)
            tasks.evaluate.delay_on_commit(team_id=request.team.pk, evaluation_id=found.pk)
            return redirect("models:evaluation", team_slug=request.team.slug, pk=model.pk, evaluation_pk=found.pk)
        except Refused as refused:
            form.add_error("file", refused.message)
    return evaluate_page(request, model, form, status=422)


def evaluate_page(request: TeamRequest, model: CustomModel, form: CsvFileForm, status: int = 200) -> HttpResponse:
    evaluations: list[Any] = list(
        Evaluation.objects.filter(model=model).select_related("version", "created_by").order_by("-pk")[:50]
    )
    counts = evaluation_counts(evaluations)
    for evaluation in evaluations:
        evaluation.count = counts.get(evaluation.pk)
    context = {
        **page_context(request, model, "evaluate"),
        "form": form,
        "evaluations": evaluations,
        "live": any(not evaluation.is_answered for evaluation in evaluations),
    }
    return htmx.render(request, "models/evaluate.html", context, partial="earlier", status=status)


def get_evaluation(request: TeamRequest, pk: int, evaluation_pk: int) -> Evaluation:
    found = Evaluation.objects.select_related("model", "version", "created_by")
    return get_object_or_404(found, pk=evaluation_pk, model_id=pk, team=request.team)


@require_safe
@may_view
def evaluation(request: TeamRequest, pk: int, evaluation_pk: int) -> HttpResponse:
    """The predictions snapshot: pictures with their predictions, filtered by class and minimum confidence."""
    found = get_evaluation(request, pk, evaluation_pk)
    form = SnapshotFilter(request.GET or None, outcomes=found.version.outcomes)
    label, minimum, order = form.chosen
    snapshot = services.take_snapshot(evaluation=found, label=label, minimum=minimum, order=order)
    rows: list[Any] = list(snapshot.rows)
    for row in rows:
        row.picture = picture_url(request.team, row.image_url, "small")
    context = {
        **page_context(request, found.model, "evaluate"),
        "evaluation": found,
        "count": evaluation_counts([found]).get(found.pk),
        "form": form,
        "chosen": {"label": label, "minimum": minimum, "order": order},
        "snapshot": snapshot,
        "rows": rows,
        "bars": [(outcome, count) for outcome, count in snapshot.by_class],
        "accuracy": services.holdout_accuracy(version=found.version, label=label, minimum=minimum),
    }
    return htmx.render(request, "models/evaluation.html", context, partial="snapshot")


@require_safe
@may_edit
def evaluation_file(request: TeamRequest, pk: int, evaluation_pk: int) -> Any:
    """The uploaded file exactly as it came."""
    return as_download(get_evaluation(request, pk, evaluation_pk))
