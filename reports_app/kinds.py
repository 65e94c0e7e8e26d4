"""The kinds of reports, and which options fit which kind (reference/domain.md 4.6). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from labeling_platform.lib.errors import Refused

from .states import ReportKind

ONLY_FINAL, DIAGNOSTICS, SAFE_CELLS = "only_final", "diagnostics", "safe_cells"
UNTRUSTED, UNFINISHED, OMIT_GOLDS = "untrusted", "unfinished", "omit_golds"
MIN_CONFIDENCE, CONFIDENCES, DATES = "min_confidence", "confidences", "dates"
ISO, NATIVE = "iso", "native"
FORMAT, SINCE, LAST = "format", "since", "last"
CSV, CSV_GZ, JSONL, JSONL_GZ = "csv", "csv.gz", "jsonl", "jsonl.gz"
FORMATS = {CSV: "CSV", CSV_GZ: "CSV, gzipped", JSONL: "JSON Lines", JSONL_GZ: "JSON Lines, gzipped"}
"""The formats of a workflow's report, by the end of the file's name."""
MEDIA_TYPES = {
    CSV: "text/csv; charset=utf-8",
    CSV_GZ: "application/gzip",
    JSONL: "application/jsonl; charset=utf-8",
    JSONL_GZ: "application/gzip",
}
PLACES = 4
"""Decimal places of confidences and trust in reports of jobs (domain.md 4.1)."""

Options = dict[str, Any]
DEFAULTS: dict[ReportKind, Options] = {
    ReportKind.WORKFLOW: {FORMAT: CSV, SINCE: "", ONLY_FINAL: False, DIAGNOSTICS: True, SAFE_CELLS: True},
    ReportKind.AGGREGATED: {
        UNFINISHED: False,
        OMIT_GOLDS: False,
        CONFIDENCES: False,
        MIN_CONFIDENCE: "",
        DATES: ISO,
        SAFE_CELLS: True,
    },
    ReportKind.FULL: {UNTRUSTED: False, UNFINISHED: False, OMIT_GOLDS: False, DATES: ISO, SAFE_CELLS: True},
    ReportKind.JSON: {
        UNTRUSTED: False,
        UNFINISHED: False,
        OMIT_GOLDS: False,
        CONFIDENCES: False,
        MIN_CONFIDENCE: "",
    },
    ReportKind.SOURCE: {OMIT_GOLDS: False, SAFE_CELLS: True},
    ReportKind.GOLD_REPORT: {SAFE_CELLS: True},
    ReportKind.WORKSET: {DATES: ISO, SAFE_CELLS: True},
}
ABOUT = {
    ReportKind.AGGREGATED: "One line per row: the answer people agreed on and how sure it is.",
    ReportKind.FULL: "One line per judgment: who answered what, when, and how far they are trusted.",
    ReportKind.JSON: "One JSON object per row, with its answers and every judgment. For programs.",
    ReportKind.SOURCE: "The uploaded rows as they came, with their id and state.",
    ReportKind.GOLD_REPORT: "One line per test question: accepted answers, and how often it was missed and contested.",
    ReportKind.WORKSET: "One line per contributor: trust, judgments, and how they did on test questions.",
}
REMARKS = {
    ONLY_FINAL: "only final values",
    UNTRUSTED: "with untrusted judgments",
    UNFINISHED: "with unfinished rows",
    OMIT_GOLDS: "without test questions",
    CONFIDENCES: "with all confidences",
}


def choose_options(kind: ReportKind, given: Mapping[str, Any]) -> Options:
    """The options of a report of this kind: what is `given`, else the usual; what does not fit the kind is dropped.

    Refuses formats that do not exist, a minimum confidence that is not above 0 and at most 1, and a moment that is
    none. JSON is never run by a spreadsheet, so its cells stay as they came.
    """
    chosen: Options = {}
    for name, usual in DEFAULTS[kind].items():
        value = given.get(name, usual)
        if name == MIN_CONFIDENCE:
            chosen[name] = _confidence(value)
        elif name == DATES:
            if value not in {ISO, NATIVE}:
                raise Refused("Choose one of the two date formats.", code="bad_option")
            chosen[name] = value
        elif name == FORMAT:
            if value not in FORMATS:
                raise Refused("Choose one of the formats.", code="bad_option")
            chosen[name] = value
        elif name == SINCE:
            chosen[name] = _moment(value)
        else:
            chosen[name] = bool(value)
    if is_json(chosen):
        chosen[SAFE_CELLS] = False
    return chosen


def is_json(options: Mapping[str, Any]) -> bool:
    """Whether a workflow's report with these options is a list of JSON objects."""
    return options.get(FORMAT) in {JSONL, JSONL_GZ}


def is_gzipped(options: Mapping[str, Any]) -> bool:
    return options.get(FORMAT) in {CSV_GZ, JSONL_GZ}


def _moment(value: Any) -> str:
    """A moment as ISO 8601 in UTC, so that equal ones are equal texts; "" for none. Without an offset it is UTC."""
    if value is None or value == "":
        return ""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Refused("Write the moment as 2026-01-31 18:30, in UTC.", code="bad_option") from error
    return moment.isoformat().replace("+00:00", "Z")


def _confidence(value: Any) -> str:
    """A minimum confidence as plain decimals, so that equal ones are equal texts; "" for none."""
    if value is None or value == "":
        return ""
    try:
        number = Decimal(str(value)).quantize(Decimal(10) ** -PLACES)
    except InvalidOperation:
        number = Decimal(0)
    if not number.is_finite() or not 0 < number <= 1:
        raise Refused("The lowest confidence must be above 0 and at most 1.", code="bad_option")
    return format(number.normalize(), "f")


def remarks_on(kind: str, options: Mapping[str, Any]) -> list[str]:
    """What is unusual in these options, in words for a list of reports."""
    usual = DEFAULTS[ReportKind(kind)]
    remarks = [words for name, words in REMARKS.items() if options.get(name)]
    if options.get(MIN_CONFIDENCE):
        remarks.append(f"answers below {options[MIN_CONFIDENCE]} left out")
    if options.get(DATES) == NATIVE:
        remarks.append("dates as 1/28/2016 19:02:18")
    if usual.get(DIAGNOSTICS) and not options.get(DIAGNOSTICS):
        remarks.append("without diagnostic columns")
    if options.get(FORMAT, CSV) != CSV:
        remarks.insert(0, FORMATS[options[FORMAT]])
    if options.get(SINCE):
        remarks.append(f"completed since {options[SINCE][:16].replace('T', ' ')}")
    if usual.get(SAFE_CELLS) and not options.get(SAFE_CELLS) and not is_json(options):
        remarks.append("cells as they came")
    return remarks
