"""Pages of workflows: the list, the wizard, launching, and the running workflow."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling_platform.accounts.models import Feature
from labeling_platform.accounts.permissions import EDIT, VIEW
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib import htmx
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.uploads import UploadState
from models_app.advisor import advise
from models_app.models import CustomModel

from . import services, tasks
from .forms import WorkflowForm
from .models import Workflow, WorkflowKind, WorkflowRow, WorkflowUpload
from .presenting import notices, pace, page_context, stats, threshold_words
from .querysets import briefs, counts
from .routing import check_threshold
from .states import WorkflowState

may_view = team_view(may=VIEW, feature=Feature.ML_ASSISTED_LABELING)
may_edit = team_view(may=EDIT, feature=Feature.ML_ASSISTED_LABELING)
CHOICES = ("name", "kind", "model", "job", "threshold", "route_unlike")


@require_safe
@may_view
def workflow_list(request: TeamRequest) -> HttpResponse:
    """All workflows of the team with where each stands."""
    workflows = Workflow.objects.select_related("model", "job", "version")
    page = Paginator(workflows, 25).get_page(request.GET.get("page"))
    figures = briefs(page.object_list)
    lines = [{"workflow": workflow, "figures": figures[workflow.pk]} for workflow in page]
    context = {"page": page, "lines": lines, "can_edit": request.membership.may(EDIT)}
    return render(request, "workflows/workflow_list.html", context)


def get_workflow(request: TeamRequest, pk: int) -> Workflow:
    """The team's workflow, or 404."""
    found = Workflow.objects.select_related("model__current", "job", "version", "team", "created_by")
    return get_object_or_404(found, pk=pk, team=request.team)


def to_workflow(request: TeamRequest, workflow: Workflow, name: str = "detail") -> HttpResponse:
    return redirect(f"workflows:{name}", team_slug=request.team.slug, pk=workflow.pk)


# --- the wizard --------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@may_edit
def workflow_new(request: TeamRequest) -> HttpResponse:
    """Create a workflow. A POST with `refresh` shows what fits the choices so far and saves nothing."""
    if request.method != "POST" or "refresh" in request.POST:
        return wizard(request, None, WorkflowForm(initial=_initial(request.POST or request.GET)))
    form = WorkflowForm(request.POST)
    if form.is_valid():
        try:
            workflow = services.create_workflow(team=request.team, actor=request.user, **form.cleaned_data)
        except Refused as refused:
            form.add_error(refused.code if refused.code in form.fields else None, refused.message)
        else:
            messages.success(request, f"“{workflow.name}” was saved. Now upload the rows it shall label.")
            return to_workflow(request, workflow, "data")
    return wizard(request, None, form, status=422)


@require_http_methods(["GET", "HEAD", "POST"])
@may_edit
def workflow_edit(request: TeamRequest, pk: int) -> HttpResponse:
    """Change a workflow that is not launched yet."""
    workflow = get_workflow(request, pk)
    if workflow.state != WorkflowState.DRAFT:
        messages.info(request, "This workflow has been launched; its model, job and routing cannot change any more.")
        return to_workflow(request, workflow)
    if request.method != "POST":
        return wizard(request, workflow, WorkflowForm(initial=_initial_of(workflow)))
    if "refresh" in request.POST:
        return wizard(request, workflow, WorkflowForm(initial=_initial(request.POST)))
    form = WorkflowForm(request.POST)
    if form.is_valid():
        try:
            services.edit_workflow(workflow=workflow, actor=request.user, **form.cleaned_data)
        except Refused as refused:
            form.add_error(refused.code if refused.code in form.fields else None, refused.message)
        else:
            messages.success(request, "The workflow was saved.")
            return to_workflow(request, workflow)
    return wizard(request, workflow, form, status=422)


def _initial(chosen: Any) -> dict[str, Any]:
    """What was chosen so far; a switch that was shown and is not sent is off, one never shown keeps its default."""
    initial = {name: chosen[name] for name in CHOICES if name in chosen}
    if "route_unlike_shown" in chosen:
        initial["route_unlike"] = "route_unlike" in chosen
    return initial


def _initial_of(workflow: Workflow) -> dict[str, Any]:
    return {
        "name": workflow.name,
        "kind": workflow.kind,
        "model": workflow.model_id,
        "job": workflow.job_id,
        "threshold": workflow.threshold.normalize(),
        "route_unlike": workflow.route_unlike,
    }


def wizard(request: TeamRequest, workflow: Workflow | None, form: WorkflowForm, status: int = 200) -> HttpResponse:
    """The wizard, or for htmx the part of it that depends on the choices."""
    models = services.model_choices(workflow=workflow)
    chosen = {name: str(form[name].value() or "") for name in CHOICES}
    model = next((c.model for c in models if c.selectable and str(c.model.pk) == chosen["model"]), None)
    then_job = chosen["kind"] == WorkflowKind.MODEL_THEN_JOB
    jobs = services.job_choices(model=model) if model and then_job else []
    unlike = bool(chosen["route_unlike"])
    context = {
        "workflow": workflow,
        "form": form,
        "chosen": chosen,
        "kinds": [
            (WorkflowKind.MODEL_ONLY, "Receive predictions from a model.", "brain"),
            (
                WorkflowKind.MODEL_THEN_JOB,
                "Receive predictions from a model, then route low confidence predictions to a job for human labeling.",
                "route",
            ),
        ],
        "models": models,
        "model": model,
        "then_job": then_job,
        "jobs": jobs,
        "judgments": next((c.job.judgments_per_unit for c in jobs if str(c.job.pk) == chosen["job"]), 1),
        "advisor": advise(version=model.current, route_unlike=unlike) if model and model.current and then_job else None,
        **_preview(model, chosen),
    }
    return htmx.render(request, "workflows/workflow_form.html", context, partial="choices", status=status)


@require_safe
@may_edit
def preview(request: TeamRequest) -> HttpResponse:
    """What a threshold would have done to the model's held-out pictures."""
    chosen = {name: request.GET.get(name, "") for name in CHOICES}
    model = CustomModel.objects.select_related("current").filter(pk=_number(chosen["model"])).first()
    return render(request, "workflows/_preview.html", _preview(model, chosen))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


def _preview(model: CustomModel | None, chosen: dict[str, str]) -> dict[str, Any]:
    """Context of workflows/_preview.html, and whether the model knows what is unlike its training data."""
    version = model.current if model else None
    context: dict[str, Any] = {"has_distances": version is not None and services.knows_distances(version=version)}
    try:
        threshold = check_threshold(Decimal(chosen["threshold"] or "0.8"))
    except (InvalidOperation, ValueError):
        return context | {"threshold_error": "The threshold must be more than 0.5 and at most 1."}
    context["threshold_words"] = threshold_words(threshold)
    if version is not None:
        unlike = bool(chosen["route_unlike"])
        context["automation"] = services.automation(version=version, threshold=threshold, route_unlike=unlike)
    return context


@require_http_methods(["GET", "HEAD", "POST"])
@may_edit
def workflow_delete(request: TeamRequest, pk: int) -> HttpResponse:
    """Ask before deleting a draft, and delete it."""
    workflow, reason = get_workflow(request, pk), ""
    if workflow.state != WorkflowState.DRAFT:
        reason = "It has been launched. Turn it off instead; its rows and reports stay."
    if request.method == "POST":
        try:
            services.delete_workflow(workflow=workflow, actor=request.user)
            messages.success(request, f"“{workflow.name}” was deleted.")
            return redirect("workflows:list", team_slug=request.team.slug)
        except Refused as refused:
            reason = refused.message
    context = {"workflow": workflow, "reason": reason}
    status = 422 if request.method == "POST" else 200
    return render(request, "workflows/workflow_delete.html", context, status=status)


# --- launching ---------------------------------------------------------------------------------------


@require_safe
@may_view
def launch(request: TeamRequest, pk: int) -> HttpResponse:
    """The Launch page: what will run, and what stands in the way."""
    workflow = get_workflow(request, pk)
    if workflow.state != WorkflowState.DRAFT:
        return to_workflow(request, workflow)
    return launch_page(request, workflow)


def launch_page(request: TeamRequest, workflow: Workflow, error: str = "", status: int = 200) -> HttpResponse:
    problems = services.launch_problems(workflow=workflow)
    version = workflow.model.current
    context = {
        **page_context(request, workflow, "launch"),
        "version": version,
        "accuracy": version.metrics.get("accuracy") if version else None,
        "rows": counts(workflow),
        "errors": [problem for problem in problems if not problem.warning],
        "warnings": [problem for problem in problems if problem.warning],
        "error": error,
        "automation": services.automation(
            version=version, threshold=workflow.threshold, route_unlike=workflow.route_unlike
        )
        if version and workflow.routes_to_people
        else None,
    }
    return render(request, "workflows/launch.html", context, status=status)


@require_POST
@may_edit
def start(request: TeamRequest, pk: int) -> HttpResponse:
    """Launch."""
    workflow = get_workflow(request, pk)
    try:
        services.launch(workflow=workflow, actor=request.user, confirmed=request.POST.getlist("confirm"))
    except Refused as refused:
        if refused.code == "already_launched":
            messages.info(request, refused.message)
            return to_workflow(request, workflow)
        return launch_page(request, workflow, error=refused.message, status=422)
    tasks.predict.delay_on_commit(team_id=request.team.pk, workflow_id=workflow.pk)
    messages.success(request, "The workflow was launched. It stays running until you turn it off.")
    return to_workflow(request, workflow)


@require_POST
@may_edit
def turn_off(request: TeamRequest, pk: int) -> HttpResponse:
    """Stop predicting and routing."""
    workflow = get_workflow(request, pk)
    try:
        services.turn_off(workflow=workflow, actor=request.user)
        messages.success(request, "The workflow was turned off. Rows that are with people stay with them.")
    except Refused as refused:
        messages.info(request, refused.message)
    return to_workflow(request, workflow)


@require_POST
@may_edit
def turn_on(request: TeamRequest, pk: int) -> HttpResponse:
    """Go on predicting and routing."""
    workflow = get_workflow(request, pk)
    try:
        services.turn_on(workflow=workflow, actor=request.user)
        tasks.predict.delay_on_commit(team_id=request.team.pk, workflow_id=workflow.pk)
        messages.success(request, "The workflow is running again.")
    except Refused as refused:
        messages.info(request, refused.message)
    return to_workflow(request, workflow)


@require_POST
@may_edit
def retry(request: TeamRequest, pk: int) -> HttpResponse:
    """Let failed rows wait for a prediction again."""
    workflow = get_workflow(request, pk)
    count = services.retry_failed(workflow=workflow, actor=request.user)
    if count:
        tasks.predict.delay_on_commit(team_id=request.team.pk, workflow_id=workflow.pk)
        messages.success(request, f"{count:,} failed row{'s' if count != 1 else ''} will be tried again.")
    else:
        messages.info(request, "There is no failed row that could be tried again.")
    return to_workflow(request, workflow)


# --- the running workflow ----------------------------------------------------------------------------


@require_safe
@may_view
def workflow_detail(request: TeamRequest, pk: int) -> HttpResponse:
    """Where the workflow stands; for htmx only the part that moves."""
    workflow = get_workflow(request, pk)
    rows = WorkflowRow.objects.filter(workflow=workflow)
    figures = counts(workflow)
    reading = WorkflowUpload.objects.filter(
        workflow=workflow, held=False, state__in=[UploadState.RECEIVED, UploadState.READING]
    ).exists()
    running = workflow.state == WorkflowState.RUNNING
    moving = reading or (running and figures.completed < figures.total)
    context = {
        **page_context(request, workflow, "overview"),
        "counts": figures,
        "reading": reading,
        "stats": stats(workflow, figures, reverse("workflows:rows", args=[request.team.slug, pk])),
        "pace": pace(workflow, figures),
        "retryable": rows.filter(state="failed", attempts__gt=0).exists() if figures.failed else False,
        "notices": notices(workflow, figures, services.upload_problem(workflow=workflow))
        if workflow.state != WorkflowState.DRAFT
        else [],
        "poll": "every 2s" if moving else "every 15s" if running else "",
    }
    return htmx.render(request, "workflows/workflow_detail.html", context, partial="live")
