"""The Check data tab: likely wrong labels, duplicates, broken links, balance, and what was changed."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest
from labeling_platform.lib.errors import Refused

from .models import CustomModel, DataChange
from .presenting import class_bars, page_context
from .querysets import class_counts, error_counts
from .services import care
from .views import get_model, may_edit, may_view

PER_PAGE, GROUPS_PER_PAGE = 24, 10
SECTIONS = ("labels", "duplicates", "links", "balance", "history")


@require_safe
@may_view
def check_data(request: TeamRequest, pk: int) -> HttpResponse:
    """One section of the tab, ?show=labels|duplicates|links|balance|history."""
    model = get_model(request, pk)
    show = request.GET.get("show", "")
    show = show if show in SECTIONS else SECTIONS[0]
    counts = class_counts(model)
    context: dict[str, Any] = {
        **page_context(request, model, "care"),
        "show": show,
        "sections": _sections(request, model, show),
        "classes": list(counts),
        "trained": model.current is not None,
    }
    context |= _section(request, model, show, counts)
    return render(request, "models/care.html", context)


def _sections(request: TeamRequest, model: CustomModel, show: str) -> list[dict[str, Any]]:
    here = reverse("models:care", kwargs={"team_slug": request.team.slug, "pk": model.pk})
    numbers = {
        "labels": ("Likely wrong labels", care.open_doubts(model=model).count()),
        "duplicates": ("Duplicates", care.duplicate_groups(model=model).count()),
        "links": ("Broken links", care.broken_links(model=model).count()),
        "balance": ("Class balance", None),
        "history": ("Changes", DataChange.objects.filter(model=model).count()),
    }
    return [
        {"label": label, "count": count, "url": f"{here}?show={name}", "active": name == show}
        for name, (label, count) in numbers.items()
    ]


def _section(request: TeamRequest, model: CustomModel, show: str, counts: dict[str, int]) -> dict[str, Any]:
    number = request.GET.get("page")
    page: Any
    if show == "balance":
        return {"bars": class_bars(counts, error_counts(model)), "balance": care.balance_words(counts)}
    if show == "duplicates":
        page = Paginator(care.duplicate_groups(model=model), GROUPS_PER_PAGE).get_page(number)
        groups = care.with_images(model=model, groups=list(page))
        _add_pictures(request, [image for group in groups for image in group.images])
        return {"page": page, "groups": groups}
    if show == "history":
        changes: Any = DataChange.objects.filter(model=model).select_related("image", "actor")
        page = Paginator(changes, PER_PAGE).get_page(number)
        rows: list[Any] = list(page)
        _add_pictures(request, [row.image for row in rows])
        return {"page": page, "rows": rows}
    found: Any = care.broken_links(model=model) if show == "links" else care.open_doubts(model=model)
    page = Paginator(found, PER_PAGE).get_page(number)
    rows = list(page)
    _add_pictures(request, rows if show == "links" else [row.image for row in rows])
    return {"page": page, "rows": rows}


def _add_pictures(request: TeamRequest, images: list[Any]) -> None:
    for image in images:
        image.picture = picture_url(request.team, image.image_url, "small")


@require_POST
@may_edit
def change_data(request: TeamRequest, pk: int) -> HttpResponse:
    """One change to the training data: `action` and the picture's id in `image`; goes back to where it came from."""
    model = get_model(request, pk)
    text = request.POST.get("image", "")
    image_id = int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0
    try:
        _change(request, model, request.POST.get("action", ""), image_id)
    except Refused as refused:
        messages.error(request, refused.message)
    back = request.POST.get("back", "")
    if url_has_allowed_host_and_scheme(back, allowed_hosts=None) and back.startswith("/"):
        return redirect(back)
    return redirect("models:care", team_slug=request.team.slug, pk=model.pk)


def _change(request: TeamRequest, model: CustomModel, action: str, image_id: int) -> None:
    actor = request.user
    if action == "relabel":
        label = request.POST.get("label", "")
        if care.relabel(image_id=image_id, label=label, model=model, actor=actor):
            messages.success(request, f"The label is {label} now. The next training uses it.")
    elif action == "right":
        care.confirm(image_id=image_id, model=model, actor=actor)
        messages.success(request, "Noted: the label is right and will not be doubted again.")
    elif action == "drop":
        if care.drop(image_ids=[image_id], model=model, actor=actor):
            messages.success(request, "The picture was dropped. You can take it back under Changes.")
    elif action == "restore":
        if care.restore(image_id=image_id, model=model, actor=actor):
            messages.success(request, "The picture is back in the training data.")
    elif action == "keep_one":
        count = care.keep_one(image_id=image_id, model=model, actor=actor)
        messages.success(request, f"One picture was kept, {count:,} dropped.")
    elif action == "drop_broken":
        count = care.drop_broken(model=model, actor=actor)
        messages.success(request, f"{count:,} picture{'' if count == 1 else 's'} dropped.")
    else:
        raise Refused("This change is not known.", code="action")
