"""Pages of models: the list, the Train tab, and what stands behind its figures."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling_platform.accounts.models import Feature
from labeling_platform.accounts.permissions import EDIT, VIEW
from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib import htmx
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.forms import CsvFileForm
from labeling_platform.lib.storage import open_file
from labeling_platform.lib.uploads import CsvUpload

from . import services, tasks
from .forms import ModelForm
from .models import CustomModel, HoldoutPrediction, ModelVersion, TrainingImage, TrainingUpload
from .presenting import class_bars, model_cards, page_context, train_note, training_steps, version_result
from .querysets import class_counts, error_counts
from .remote import limits_of
from .states import VersionState

may_view = team_view(may=VIEW, feature=Feature.ML_ASSISTED_LABELING)
may_edit = team_view(may=EDIT, feature=Feature.ML_ASSISTED_LABELING)


@require_safe
@may_view
def model_list(request: TeamRequest) -> HttpResponse:
    """All models of the team with where each stands."""
    models = CustomModel.objects.filter(team=request.team).select_related("current", "workflow")
    page = Paginator(models, 24).get_page(request.GET.get("page"))
    context = {"page": page, "cards": model_cards(list(page)), "can_edit": request.membership.may(EDIT)}
    return render(request, "models/model_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@may_edit
def model_new(request: TeamRequest) -> HttpResponse:
    """Ask for a name and make the model."""
    form = ModelForm(request.POST or None, connections=services.choosable_connections(request.team))
    if request.method == "POST" and form.is_valid():
        try:
            name = form.cleaned_data["name"]
            model = services.create_model(team=request.team, name=name, actor=request.user, connection=form.connection)
            return redirect("models:detail", team_slug=request.team.slug, pk=model.pk)
        except Refused as refused:
            form.add_error("name", refused.message)
    return render(request, "models/model_new.html", {"form": form}, status=422 if form.errors else 200)


def get_model(request: TeamRequest, pk: int) -> CustomModel:
    """The team's model, or 404."""
    return get_object_or_404(
        CustomModel.objects.select_related("current", "team", "connection"), pk=pk, team=request.team
    )


@require_safe
@may_view
def model_detail(request: TeamRequest, pk: int) -> HttpResponse:
    """The Train tab."""
    return train_page(request, get_model(request, pk), CsvFileForm())


def train_page(request: TeamRequest, model: CustomModel, form: CsvFileForm, status: int = 200) -> HttpResponse:
    """The Train tab, or for htmx its part that moves."""
    counts = class_counts(model)
    uploads = list(TrainingUpload.objects.filter(model=model).select_related("created_by")[:10])
    versions = list(ModelVersion.objects.filter(model=model).select_related("created_by").defer("details"))
    latest = ModelVersion.objects.filter(model=model).select_related("connection").first()
    reading = [upload for upload in uploads if not upload.is_final]
    running = latest if latest and not latest.is_final else None
    advice = services.training_advice(counts=counts, backend=model.backend)
    news = services.news(model=model)
    context = {
        **page_context(request, model, "train"),
        "form": form,
        "limits": limits_of(model.backend),
        "uploads": uploads,
        "steps": training_steps(running) if running else [],
        "bars": class_bars(counts, error_counts(model)),
        "rows_total": sum(counts.values()),
        "advice": advice,
        "reading": reading,
        "running": running,
        "failed": latest if latest and latest.state == "failed" else None,
        "versions": versions,
        "comparable": sum(version.state == VersionState.READY for version in versions),
        "result": version_result(model.current) if model.current else None,
        "blocked": bool(reading or advice.refusals),
        "train_note": train_note(bool(reading), bool(advice.refusals), news, bool(versions)),
        "live": bool(reading or running),
    }
    return htmx.render(request, "models/model_train.html", context, partial="live", status=status)


@require_POST
@may_edit
def upload(request: TeamRequest, pk: int) -> HttpResponse:
    """Take in a CSV of training data; it is read in the background."""
    model = get_model(request, pk)
    form = CsvFileForm(request.POST, request.FILES)
    if not form.is_valid():
        return train_page(request, model, form, status=422)
    received = services.receive_training(model=model, file=form.cleaned_data["file"], actor=request.user)
    tasks.read_training.delay_on_commit(team_id=request.team.pk, upload_id=received.pk)
    return redirect("models:detail", team_slug=request.team.slug, pk=model.pk)


@require_POST
@may_edit
def train(request: TeamRequest, pk: int) -> HttpResponse:
    """Begin Training."""
    model = get_model(request, pk)
    try:
        version = services.start_training(model=model, actor=request.user)
        tasks.train.delay_on_commit(team_id=request.team.pk, version_id=version.pk)
    except Refused as refused:
        messages.error(request, refused.message)
    return redirect("models:detail", team_slug=request.team.slug, pk=model.pk)


@require_POST
@may_edit
def cancel(request: TeamRequest, pk: int) -> HttpResponse:
    """Cancel the training that waits or runs."""
    model = get_model(request, pk)
    version = ModelVersion.objects.filter(model=model).first()
    if version is None or not services.cancel_training(version=version, actor=request.user):
        messages.info(request, "No training was running any more.")
    return redirect("models:detail", team_slug=request.team.slug, pk=model.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@may_edit
def delete(request: TeamRequest, pk: int) -> HttpResponse:
    """Ask before deleting a model, and delete it."""
    model, status = get_model(request, pk), 200
    if request.method == "POST":
        try:
            services.delete_model(model=model, actor=request.user)
            messages.success(request, f"“{model.name}” was deleted.")
            return redirect("models:list", team_slug=request.team.slug)
        except Refused:
            status = 422
    context = {"model": model, "reason": services.deletion_refusal(model=model)}
    return render(request, "models/model_delete.html", context, status=status)


def get_upload(request: TeamRequest, pk: int, upload_pk: int) -> TrainingUpload:
    found = TrainingUpload.objects.select_related("model", "created_by")
    return get_object_or_404(found, pk=upload_pk, model_id=pk, team=request.team)


@require_safe
@may_view
def upload_detail(request: TeamRequest, pk: int, upload_pk: int) -> HttpResponse:
    """One upload with its problems by line."""
    upload = get_upload(request, pk, upload_pk)
    context = {**page_context(request, upload.model, "train"), "upload": upload}
    return htmx.render(request, "models/upload_detail.html", context, partial="live")


@require_safe
@may_edit
def upload_file(request: TeamRequest, pk: int, upload_pk: int) -> Any:
    """The uploaded file exactly as it came."""
    return as_download(get_upload(request, pk, upload_pk))


def as_download(upload: CsvUpload) -> FileResponse:
    """A stored CSV under its original name; 404 when the file is gone."""
    try:
        file = open_file(upload.file)
    except FileNotFoundError:
        raise Http404 from None
    response = FileResponse(file, as_attachment=True, filename=upload.original_name)
    response["Content-Type"] = "text/csv"
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_safe
@may_view
def version_detail(request: TeamRequest, pk: int, number: int) -> HttpResponse:
    """The figures of one version, or why there are none."""
    model = get_model(request, pk)
    version: ModelVersion = get_object_or_404(
        ModelVersion.objects.select_related("created_by"), model=model, number=number
    )
    context = {
        **page_context(request, model, "train"),
        "version": version,
        "result": version_result(version),
    }
    return render(request, "models/version_detail.html", context)


@require_safe
@may_view
def image_list(request: TeamRequest, pk: int) -> HttpResponse:
    """The training data as pictures, by class; `label` and `show` (errors, holdout, dropped) filter."""
    model = get_model(request, pk)
    label, show = request.GET.get("label", ""), request.GET.get("show", "")
    found = TrainingImage.objects.filter(model=model, dropped=show == "dropped").order_by("label", "pk")
    if label:
        found = found.filter(label=label)
    if show == "errors":
        found = found.exclude(error_code="")
    elif show == "holdout":
        found = found.filter(holdout=True)
    page = Paginator(found.select_related("upload"), 60).get_page(request.GET.get("page"))
    images: list[Any] = list(page)
    for image in images:
        image.picture = picture_url(request.team, image.image_url, "small")
    context: dict[str, Any] = {
        **page_context(request, model, "images"),
        "page": page,
        "images": images,
        "bars": class_bars(class_counts(model), error_counts(model)),
        "classes": list(class_counts(model)),
        "label": label,
        "show": show,
    }
    return render(request, "models/images.html", context)


@require_safe
@may_view
def holdout(request: TeamRequest, pk: int, number: int) -> HttpResponse:
    """The held-out pictures behind a cell of the confusion matrix: `label` and `predicted`."""
    model = get_model(request, pk)
    version = get_object_or_404(ModelVersion, model=model, number=number)
    label, predicted = request.GET.get("label", ""), request.GET.get("predicted", "")
    found = HoldoutPrediction.objects.filter(version=version).select_related("image").order_by("confidence", "pk")
    if label:
        found = found.filter(label=label)
    if predicted:
        found = found.filter(predicted=predicted)
    page = Paginator(found, 60).get_page(request.GET.get("page"))
    rows: list[Any] = list(page)
    for row in rows:
        row.picture = picture_url(request.team, row.image.image_url, "small")
    context = {
        **page_context(request, model, "train"),
        "version": version,
        "page": page,
        "rows": rows,
        "label": label,
        "predicted": predicted,
    }
    return render(request, "models/holdout.html", context)
