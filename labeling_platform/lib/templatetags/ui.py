"""Template tags of the look: icons, badges, numbers, cards and small drawings.

Drawings are SVG or tables made on the server: no script, no inline style, so they print and pass a strict
Content-Security-Policy. Geometry is computed here, markup is in templates/components/.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

from django import template
from django.conf import settings
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

COLOURS = frozenset(
    {"blue", "azure", "indigo", "purple", "pink", "red", "orange", "yellow", "lime", "green", "teal", "cyan", "gray"}
)
# What app authors write by meaning, and the colour that shows it.
MEANINGS = {
    "secondary": "gray",
    "grey": "gray",
    "success": "green",
    "error": "red",
    "danger": "red",
    "warning": "yellow",
    "info": "azure",
    "debug": "gray",
    "primary": "blue",
}
LEVEL_ICONS = {"green": "circle-check", "red": "alert-circle", "yellow": "alert-triangle"}
HEAT_STEPS = 10
NOTHING = "–"


def colour_of(value: Any) -> str:
    """Colour name of a state member (`.color`), or of a colour or meaning given as text; gray when unknown."""
    name = str(getattr(value, "color", None) or value or "")
    name = MEANINGS.get(name, name)
    return name if name in COLOURS else "gray"


# --- small pieces -------------------------------------------------------------------------------------


@register.simple_tag
def icon(name: str, classes: str = "", label: str = "") -> SafeString:
    """Draw icon `name` of the sprite (list: script/assets.mjs); with `label` it is read out, else it is decoration."""
    meaning = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return format_html(
        '<svg class="icon{}" width="24" height="24" focusable="false" {}><use href="{}#{}"></use></svg>',
        f" {classes}" if classes else "",
        meaning,
        static("vendor/icons.svg"),
        name,
    )


@register.simple_tag
def badge(state: Any, label: Any = "", colour: str = "", icon_name: str = "") -> SafeString:
    """Badge of a state: an enum member with `.label` and `.color`, or a text with `colour` (name or meaning)."""
    text = label or getattr(state, "label", None) or state
    drawing = icon(icon_name) if icon_name else ""
    return format_html('<span class="badge tone tone-{}">{}{}</span>', colour_of(colour or state), drawing, text)


@register.filter
def tone(value: Any) -> str:
    """Class name of the soft colours for a colour name, a meaning (`error`) or a state member."""
    return f"tone-{colour_of(value)}"


@register.filter
def level_icon(value: Any) -> str:
    """Icon name that goes with a message level or colour."""
    return LEVEL_ICONS.get(colour_of(value), "info-circle")


# --- numbers ------------------------------------------------------------------------------------------


WHOLE = 1e-9
"""A share this near to 0 or 1 is whole and was only reckoned with rounding errors."""


@register.filter
def percent(value: Any, places: int = 1) -> str:
    """Share in [0, 1] as per cent, 0.873 -> 87.3%; a dash for None.

    A share that is not whole never rounds to 0% or 100%, because "100%" is read as "none wrong".
    """
    if value is None or value == "":
        return NOTHING
    share = float(value)
    step = 10.0**-places
    shown = share * 100
    if WHOLE < share < 1 - WHOLE:
        shown = min(max(shown, step), 100 - step)
    return f"{number_format(round(shown, places), places)}%"


@register.filter
def grouped(value: Any) -> str:
    """Whole number with thousands separators, 12345 -> 12,345; a dash for None."""
    if value is None or value == "":
        return NOTHING
    return f"{int(value):,}"


@register.filter(name="bytes")
def bytes_filter(value: Any) -> str:
    """Number of bytes in decimal units, as in the upload limits: 20000000 -> 20 MB; a dash for None."""
    if value is None or value == "":
        return NOTHING
    size = float(value)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.3g} {unit}"


@register.simple_tag
def signup_open() -> bool:
    """Whether anybody may make an account."""
    return bool(getattr(settings, "SIGNUP_OPEN", False))


@register.simple_tag
def page_range(page: Any) -> list[int | None]:
    """Page numbers to offer around `page`, None where a gap is."""
    pages = page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1)
    return [number if isinstance(number, int) else None for number in pages]


# --- blocks with a body -------------------------------------------------------------------------------


@register.simple_block_tag
def card(content: str, title: str = "", subtitle: str = "", flush: bool = False, **more: Any) -> str:
    """A card around the body. `flush` for tables and lists; more: icon, tone, id, actions (safe HTML), classes."""
    values = {"content": content, "title": title, "subtitle": subtitle, "flush": flush, **more}
    return render_to_string("components/_card.html", values)


@register.simple_block_tag
def dialog(content: str, id: str, title: str, size: str = "") -> str:  # noqa: A002 the HTML attribute's name
    """A dialog around the body, opened by an element with data-dialog-open="<id>"."""
    return render_to_string("components/_dialog.html", {"content": content, "id": id, "title": title, "size": size})


# --- drawings -----------------------------------------------------------------------------------------


@register.inclusion_tag("components/_confidence.html")
def confidence(value: Any, threshold: Any = None, label: str = "") -> dict[str, Any]:
    """Bar of one confidence in [0, 1] with its figure; a tick at `threshold`, and amber below it."""
    share = None if value is None or value == "" else min(max(float(value), 0.0), 1.0)
    limit = None if threshold is None or threshold == "" else float(threshold)
    return {
        "value": value,
        "label": label,
        "width": None if share is None else f"{share * 100:.2f}",
        "tick": None if limit is None else f"{limit * 100:.2f}",
        "low": share is not None and limit is not None and share < limit,
    }


@register.inclusion_tag("components/_bars.html")
def bars(
    items: Iterable[Sequence[Any]], title: str = "", most: float | None = None, share: bool = False
) -> dict[str, Any]:
    """Horizontal bars. `items`: (label, value) or (label, value, note) or (label, value, note, colour).

    `most` is the value of a full bar (default: the largest; 1 with `share`). `share` shows values as per cent.
    """
    rows = [tuple(item) for item in items]
    top = float(most) if most else 1.0 if share else max([float(row[1] or 0) for row in rows], default=0.0)
    return {
        "title": title,
        "share": share,
        "rows": [
            {
                "label": row[0],
                "value": row[1],
                "note": row[2] if len(row) > 2 else "",
                "tone": colour_of(row[3]) if len(row) > 3 and row[3] else "",
                "width": f"{min(100 * float(row[1] or 0) / top, 100) if top else 0:.2f}",
            }
            for row in rows
        ],
    }


@register.inclusion_tag("components/_histogram.html")
def histogram(
    bins: Iterable[Sequence[Any]], title: str = "", marker: Any = None, marker_label: str = "", unit: str = "rows"
) -> dict[str, Any]:
    """Histogram of confidences. `bins`: (low, high, count) with low and high in [0, 1]; `marker`: a threshold."""
    width, height = 600.0, 160.0
    cells = [(float(low), float(high), int(count)) for low, high, count in bins]
    top = max([count for _, _, count in cells], default=0) or 1
    limit = None if marker is None or marker == "" else float(marker)
    columns = [
        {
            "x": f"{low * width + 1.5:.1f}",
            "width": f"{max((high - low) * width - 3, 1):.1f}",
            "y": f"{height - height * count / top:.1f}",
            "height": f"{height * count / top:.1f}",
            "low": low,
            "high": high,
            "count": count,
            "below": limit is not None and low < limit and (low + high) / 2 < limit,
        }
        for low, high, count in cells
    ]
    return {
        "title": title,
        "columns": columns,
        "total": sum(count for _, _, count in cells),
        "top": top,
        "unit": unit,
        "marker": limit,
        "marker_x": None if limit is None else f"{limit * width:.1f}",
        "marker_label": marker_label,
    }


@register.inclusion_tag("components/_right_wrong.html")
def right_wrong(
    bins: Iterable[Sequence[Any]],
    title: str = "",
    unit: str = "pictures",
    right: str = "right",
    wrong: str = "wrong",
) -> dict[str, Any]:
    """Stacked histogram of confidences. `bins`: (low, high, right, wrong), low and high in [0, 1].

    The arguments `right` and `wrong` name the two parts of a column.
    """
    width, height = 600.0, 160.0
    cells = [(float(low), float(high), int(lower), int(upper)) for low, high, lower, upper in bins]
    top = max([lower + upper for _, _, lower, upper in cells], default=0) or 1
    columns = [
        {
            "x": f"{low * width + 1.5:.1f}",
            "width": f"{max((high - low) * width - 3, 1):.1f}",
            "right_y": f"{height - height * lower / top:.1f}",
            "right_height": f"{height * lower / top:.1f}",
            "wrong_y": f"{height - height * (lower + upper) / top:.1f}",
            "wrong_height": f"{height * upper / top:.1f}",
            "low": low,
            "high": high,
            "right": lower,
            "wrong": upper,
        }
        for low, high, lower, upper in cells
    ]
    return {"title": title, "columns": columns, "unit": unit, "right": right, "wrong": wrong}


@register.inclusion_tag("components/_interval.html")
def interval(
    value: Any, low: Any, high: Any, lowest: float = 0.0, label: str = "", scale: bool = False
) -> dict[str, Any]:
    """A share in [0, 1] as a point on a line from `lowest` to 1, with its interval as a band; nothing for None.

    With `scale` the ends of the line are written below it.
    """
    if value is None or value == "":
        return {"value": None}

    def place(share: Any) -> float:
        return 200 * min(max((float(share) - lowest) / (1 - lowest), 0.0), 1.0)

    return {
        "value": value,
        "low": low,
        "high": high,
        "label": label,
        "lowest": lowest,
        "scale": scale,
        "x": f"{place(value):.1f}",
        "band_x": f"{place(low):.1f}",
        "band_width": f"{max(place(high) - place(low), 1):.1f}",
    }


@register.inclusion_tag("components/_difference.html")
def difference(value: Any, widest: float) -> dict[str, Any]:
    """A difference of two shares in points, with a bar to the left (less) or right (more) of a middle line.

    `widest` is the difference that fills half of the width, so that several bars share a scale; a dash for None.
    """
    if value is None or value == "":
        return {"value": None}
    number = float(value)
    length = 96 * min(abs(number) / widest, 1.0) if widest else 0.0
    return {
        "value": number,
        "points": f"{100 * number:+.1f}".replace("-", "\N{MINUS SIGN}") if round(100 * number, 1) else "0.0",
        "x": f"{100 - length if number < 0 else 100:.1f}",
        "width": f"{length:.1f}",
        "less": number < 0,
    }


@register.inclusion_tag("components/_confusion.html")
def confusion(
    labels: Sequence[str],
    matrix: Sequence[Sequence[int]],
    title: str = "",
    url: str = "",
    corner: str = "actual ↓ predicted →",
    joined: str = " predicted as ",
    total: str = "recall",
) -> dict[str, Any]:
    """Confusion matrix as a shaded table: `matrix[actual][predicted]` counts in the order of `labels`.

    The shade is the share of the actual class, so that a rare class reads like a frequent one. With `url` every
    cell that counts something leads to it, with the two classes as `label` and `predicted` in the query. `corner`,
    `joined` (between the two classes of a cell) and `total` (the last column) say what rows and columns are.
    """
    rows = []
    for index, (label, counts) in enumerate(zip(labels, matrix, strict=True)):
        whole = sum(counts)
        cells = [
            {
                "count": count,
                "predicted": labels[column],
                "share": count / whole if whole else None,
                "heat": -(-HEAT_STEPS * count // whole) if whole else 0,
                "right": index == column,
                "url": f"{url}?{urlencode({'label': label, 'predicted': labels[column]})}" if url and count else "",
            }
            for column, count in enumerate(counts)
        ]
        rows.append(
            {"label": label, "cells": cells, "total": whole, "recall": counts[index] / whole if whole else None}
        )
    return {"title": title, "labels": labels, "rows": rows, "corner": corner, "joined": joined, "total": total}


@register.inclusion_tag("components/_reliability.html")
def reliability(points: Iterable[Sequence[Any]], title: str = "") -> dict[str, Any]:
    """Reliability drawing of (mean confidence, accuracy, count) per bin; on the diagonal means well calibrated."""
    size = 260.0
    bins = [(float(mean), float(right), int(count)) for mean, right, count in points if count]
    most = max([count for _, _, count in bins], default=1)
    return {
        "title": title,
        "size": size,
        "points": [
            {
                "x": f"{mean * size:.1f}",
                "y": f"{size - right * size:.1f}",
                "r": f"{4 + 8 * (count / most) ** 0.5:.1f}",
                "mean": mean,
                "accuracy": right,
                "count": count,
            }
            for mean, right, count in bins
        ],
        "path": " ".join(f"{mean * size:.1f},{size - right * size:.1f}" for mean, right, _ in sorted(bins)),
        "ticks": [
            {"at": f"{share * size:.0f}", "from_top": f"{size - share * size:.0f}", "label": f"{share * 100:.0f}%"}
            for share in (0, 0.25, 0.5, 0.75, 1)
        ],
    }


@register.inclusion_tag("components/_columns.html")
def columns(items: Iterable[Sequence[Any]], title: str = "", unit: str = "") -> dict[str, Any]:
    """Column chart of counts. `items`: (label, count) or (label, count, tick), the tick stands below the column."""
    width, height = 600.0, 160.0
    cells = [(str(item[0]), int(item[1]), str(item[2]) if len(item) > 2 else "") for item in items]
    top = _round_top(max([count for _, count, _ in cells], default=0))
    step = width / max(len(cells), 1)
    gap = min(3.0, step / 4)
    return {
        "title": title,
        "unit": unit,
        "total": sum(count for _, count, _ in cells),
        "top": top,
        "half": top // 2,
        "columns": [
            {
                "x": f"{place * step + gap / 2:.1f}",
                "width": f"{step - gap:.1f}",
                "y": f"{height - height * count / top:.1f}",
                "height": f"{height * count / top:.1f}",
                "label": label,
                "count": count,
                "tick": tick,
            }
            for place, (label, count, tick) in enumerate(cells)
        ],
    }


def _round_top(most: int) -> int:
    """The end of an axis from 0 on which `most` fits; half of it is a whole number, too."""
    scale = 1
    while True:
        for step in (2, 4, 6, 8, 10):
            if step * scale >= most:
                return step * scale
        scale *= 10
