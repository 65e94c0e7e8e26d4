"""Reports of a job, cell by cell: two contributors, one of them rejected, test questions missed and forgiven."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest

from jobs_app import services as jobs
from jobs_app.models import Contributor, Job, Judgment, Page, TestQuestion, Unit
from jobs_app.services import NewGold, NewUnit
from jobs_app.states import GoldSource
from labeling_platform.accounts.models import User
from labeling_platform.lib import storage
from labeling_platform.lib.errors import Refused
from reports_app import services
from reports_app.models import Report
from reports_app.states import ReportKind, ReportState

NOTE = '<cml:text label="Note" name="note" gold="false"/>'
MORNING = datetime(2016, 1, 8, 9, 2, 5, 250_000, tzinfo=UTC)
URL = "https://pictures.example/{}.jpg"
ROWS = [
    {"sku": "1", "titel": "Größe 42 – 靴 👢", "_golden": "no"},
    {"sku": "2", "titel": 'two\nlines, and "quotes"', "_golden": ""},
    {"sku": "3", "titel": '=HYPERLINK("http://x")', "_golden": ""},
    {"sku": "4", "titel": "-1.5", "_golden": ""},
]
FULL = (
    "_unit_id,_created_at,_golden,_id,_missed,_started_at,_tainted,_channel,_trust,_worker_id,_country,_region,_city,_ip,"
    "image_category,note,orig__golden,image_url,sku,titel,image_category_gold"
)


def contents(report: Report) -> str:
    """The one file in the report's ZIP."""
    with zipfile.ZipFile(io.BytesIO(storage.read_bytes(report.file))) as archive:
        (name,) = archive.namelist()
        suffix = ".jsonl" if report.kind == "json" else ".csv"
        assert name == services.file_name(report).removesuffix(".zip") + suffix
        return archive.read(name).decode()


def build(job: Job, kind: str, **options) -> str:
    report = services.request_job_report(job=job, kind=ReportKind(kind), actor=None, options=options)
    assert services.build_report(report=report) is True
    report.refresh_from_db()
    return contents(report)


def table(job: Job, kind: str, **options) -> list[list[str]]:
    return list(csv.reader(io.StringIO(build(job, kind, **options))))


def objects(job: Job, **options) -> list[dict]:
    return [json.loads(line) for line in build(job, "json", **options).splitlines()]


@dataclass
class Small:
    """The small job and what is in it: its rows, test questions, people and judgments by (person, unit id)."""

    job: Job
    rows: list[int]
    ann: Contributor
    bo: Contributor
    missed: int
    forgiven: int
    judgments: dict[tuple[str, int], int] = field(default_factory=dict)


def answer(job: Job, user: User, **by_unit: dict[int, str]) -> Page:
    """Take a page and submit it: `category` and `note` say the answers by unit id."""
    page = jobs.take_page(job=job, user=user)
    assert page is not None
    submitted = {}
    for unit_id in page.unit_ids:
        submitted[f"u{unit_id}-image_category"] = [by_unit["category"](page, unit_id)]
        submitted[f"u{unit_id}-note"] = [by_unit.get("note", {}).get(unit_id, "")]
    jobs.submit_page(page=page, user=user, submitted=submitted)
    return page


@pytest.fixture
def small(job, contributor, second_contributor) -> Small:
    """Ann judged rows 1 and 2, Bo 3 and 4. Bo was rejected. Ann missed two test questions, one was forgiven."""
    Job.objects.filter(pk=job.pk).update(
        cml=job.cml + NOTE, units_per_page=3, minimum_accuracy=33, auto_launch=True, title="Schuhe & mehr"
    )
    job.refresh_from_db()
    golds = [
        NewGold(f"g{n}", URL.format(f"g{n}"), {"image_category": ["boots"]}, {"image_category": "Look."})
        for n in range(6)
    ]
    jobs.add_golds(job=job, items=golds, source=GoldSource.UPLOAD, actor=None)
    jobs.freeze_design(job=job)
    job.refresh_from_db()
    items = [NewUnit(f"r{row['sku']}", URL.format(row["sku"]), row) for row in ROWS]
    rows = list(jobs.add_units(job=job, items=items).values())
    golden = set(TestQuestion.objects.values_list("unit_id", flat=True))
    quiz = answer(job, contributor, category=lambda page, unit: "boots" if unit == page.unit_ids[2] else "sneakers")
    missed, forgiven, _ = quiz.unit_ids
    answer(
        job,
        contributor,
        category=lambda _, unit: "boots" if unit in golden or unit == rows[0] else "negative_examples",
        note={rows[0]: "=1+1", rows[1]: "zwei\nZeilen ☂"},
    )
    for _ in range(2):
        answer(job, second_contributor, category=lambda *_: "boots")
    ann, bo = Contributor.objects.order_by("pk")
    jobs.reject_contributor(contributor=bo, actor=None)
    jobs.edit_test_question(
        question=TestQuestion.objects.get(unit=forgiven),
        answers={"image_category": ["boots", "sneakers"]},
        reasons={"image_category": "@both are right"},
        actor=None,
    )
    jobs.contest(judgment=Judgment.objects.get(unit=missed, contributor=ann), user=contributor, text="It is a shoe.")
    for number, judgment in enumerate(Judgment.objects.order_by("pk")):
        began = MORNING + timedelta(minutes=number)
        Judgment.objects.filter(pk=judgment.pk).update(started_at=began, created_at=began + timedelta(seconds=30))
    made = {("ann" if j.contributor_id == ann.pk else "bo", j.unit_id): j.pk for j in Judgment.objects.all()}
    job.refresh_from_db()
    return Small(job, rows, ann, bo, missed, forgiven, made)


def times(small: Small, judgment: int) -> tuple[str, str]:
    """When a judgment was started and created, as ISO 8601."""
    number = sorted(small.judgments.values()).index(judgment)
    began = MORNING + timedelta(minutes=number)
    started, created = (f"{time:%Y-%m-%dT%H:%M:%S}.250Z" for time in (began, began + timedelta(seconds=30)))
    return started, created


def full_line(small: Small, row: int, category: str, note: str, titel: str, *, who: str = "ann") -> list[str]:
    unit = small.rows[row]
    judgment = small.judgments[who, unit]
    started, created = times(small, judgment)
    trust, worker = ("0.75", small.ann.pk) if who == "ann" else ("1.0", small.bo.pk)
    tainted = "true" if who == "bo" else "false"
    return [
        str(unit), created, "false", str(judgment), "", started, tainted, "internal", trust, str(worker),
        "", "", "", "", category, note, ROWS[row]["_golden"], URL.format(row + 1), str(row + 1), titel, "",
    ]  # fmt: skip


def test_full_has_one_line_per_judgment(small):
    header, *lines = table(small.job, "full", omit_golds=True)
    assert header == FULL.split(",")
    assert lines == [
        full_line(small, 0, "boots", "'=1+1", ROWS[0]["titel"]),
        full_line(small, 1, "negative_examples", "zwei\nZeilen ☂", ROWS[1]["titel"]),
    ]


def test_full_with_untrusted_judgments_of_unfinished_rows(small):
    _, *lines = table(small.job, "full", omit_golds=True, untrusted=True, unfinished=True)
    assert lines[2:] == [
        full_line(small, 2, "boots", "", '\'=HYPERLINK("http://x")', who="bo"),
        full_line(small, 3, "boots", "", "-1.5", who="bo"),
    ]
    assert len(table(small.job, "full", omit_golds=True, untrusted=True)) == 3
    assert len(table(small.job, "full", omit_golds=True, unfinished=True)) == 3


def test_full_with_cells_as_they_came(small):
    _, *lines = table(small.job, "full", omit_golds=True, untrusted=True, unfinished=True, safe_cells=False)
    assert (lines[0][15], lines[2][19]) == ("=1+1", '=HYPERLINK("http://x")')


def test_full_says_which_test_questions_were_missed_and_what_is_accepted(small):
    header, *lines = table(small.job, "full")
    golden = [dict(zip(header, line, strict=True)) for line in lines if line[2] == "true"]
    assert len(golden) == 4
    found = {int(line["_unit_id"]): line for line in golden}
    assert [unit for unit, line in found.items() if line["_missed"] == "true"] == [small.missed]
    assert found[small.forgiven]["_missed"] == "false"
    assert found[small.forgiven]["image_category"] == "sneakers"
    assert found[small.forgiven]["image_category_gold"] == "boots\nsneakers"
    assert found[small.missed]["image_category_gold"] == "boots"
    assert found[small.missed]["image_url"].startswith("https://pictures.example/g")


def test_the_native_format_of_dates(small):
    header, line, _ = table(small.job, "full", omit_golds=True, dates="native")
    cells = dict(zip(header, line, strict=True))
    began = datetime.fromisoformat(times(small, int(cells["_id"]))[0])
    assert cells["_started_at"] == f"1/8/2016 9:{began:%M:%S}"


def test_results_rest_on_todays_trust(small):
    """The forgiven test question lifts Ann's accuracy from 2 to 3 of 4; the report settles that first."""
    assert Contributor.objects.get(pk=small.ann.pk).trust == 0.5
    assert Contributor.objects.get(pk=small.ann.pk).stale
    header, line, _ = table(small.job, "full", omit_golds=True)
    assert dict(zip(header, line, strict=True))["_trust"] == "0.75"
    assert not Contributor.objects.filter(stale=True).exists()


def test_aggregated_has_one_line_per_row(small):
    header, *lines = table(small.job, "aggregated", omit_golds=True)
    assert header == [
        "_unit_id", "_golden", "_unit_state", "_trusted_judgments", "_last_judgment_at",
        "image_category", "image_category:confidence", "note", "note:confidence",
        "image_url", "orig__golden", "sku", "titel",
    ]  # fmt: skip
    last = [times(small, small.judgments["ann", unit])[1] for unit in small.rows[:2]]
    assert lines == [
        [
            str(small.rows[0]), "false", "finalized", "1", last[0], "boots", "1.0", "'=1+1", "",
            URL.format(1), "no", "1", ROWS[0]["titel"],
        ],
        [
            str(small.rows[1]), "false", "finalized", "1", last[1], "negative_examples", "1.0", "zwei\nZeilen ☂", "",
            URL.format(2), "", "2", ROWS[1]["titel"],
        ],
    ]  # fmt: skip


def test_aggregated_with_unfinished_rows_and_test_questions(small):
    _, *lines = table(small.job, "aggregated", unfinished=True)
    golden = [line for line in lines if line[1] == "true"]
    assert [line[2:7] for line in golden if line[0] == str(small.missed)] == [
        ["golden", "1", times(small, small.judgments["ann", small.missed])[1], "", ""]
    ]
    assert len(golden) == 6
    assert [line[:7] for line in lines if line[2] == "judgable"] == [
        [str(unit), "false", "judgable", "0", "", "", ""] for unit in small.rows[2:]
    ]


def test_the_header_of_an_image_categorization_is_appens(job, contributor):
    """Domain.md 10, item 8."""
    jobs.freeze_design(job=job)
    jobs.add_units(job=job, items=[NewUnit("a", URL.format(1), {"image_url": URL.format(1)})])
    line = build(job, "aggregated").splitlines()[0]
    assert line == (
        "_unit_id,_golden,_unit_state,_trusted_judgments,_last_judgment_at,"
        "image_category,image_category:confidence,image_url"
    )


def test_source_gives_the_rows_back(small):
    header, *lines = table(small.job, "source", omit_golds=True, safe_cells=False)
    assert header == ["_golden", "image_url", "sku", "titel", "_unit_id", "_unit_state"]
    assert lines == [
        [row["_golden"], URL.format(row["sku"]), row["sku"], row["titel"], str(unit), state]
        for row, unit, state in zip(ROWS, small.rows, ["finalized"] * 2 + ["judgable"] * 2, strict=True)
    ]
    assert len(table(small.job, "source")) == 11


def test_test_questions(small):
    header, *lines = table(small.job, "gold_report")
    assert header == [
        "_unit_id", "_unit_state", "image_category_gold", "image_category_gold_reason",
        "_judgments", "_pct_missed", "_pct_contested",
    ]  # fmt: skip
    found = {int(line[0]): line[1:] for line in lines}
    assert len(found) == 6
    seen = {unit: ("bo", unit) in small.judgments for unit in (small.missed, small.forgiven)}
    missed = ["2", "50.0", "50.0"] if seen[small.missed] else ["1", "100.0", "100.0"]
    assert found[small.missed] == ["golden", "boots", "Look.", *missed]
    count = "2" if seen[small.forgiven] else "1"
    assert found[small.forgiven] == ["golden", "boots\nsneakers", "'@both are right", count, "0.0", "0.0"]
    unseen = [unit for unit in found if not {("ann", unit), ("bo", unit)} & set(small.judgments)]
    assert all(found[unit][-3:] == ["0", "", ""] for unit in unseen)


def test_contributors(small):
    header, *lines = table(small.job, "workset")
    assert header == [
        "_worker_id", "name", "trust", "state", "judgments", "seen", "missed", "forgiven",
        "first_judgment_at", "last_judgment_at",
    ]  # fmt: skip
    ends = {}
    for who in ("ann", "bo"):
        mine = sorted(pk for (name, _), pk in small.judgments.items() if name == who)
        ends[who] = [times(small, mine[0])[1], times(small, mine[-1])[1]]
    assert lines == [
        [str(small.ann.pk), "Contributor", "0.75", "working", "2", "4", "1", "1", *ends["ann"]],
        [str(small.bo.pk), "Second", "1.0", "rejected", "2", "4", "0", "0", *ends["bo"]],
    ]


def test_json_lines(small):
    first, second = objects(small.job, omit_golds=True)
    judgment = small.judgments["ann", small.rows[0]]
    started, created = times(small, judgment)
    unit = Unit.objects.get(pk=small.rows[0])
    assert first == {
        "id": unit.pk,
        "job_id": small.job.pk,
        "state": "finalized",
        "golden": False,
        "judgments_count": 1,
        "missed_count": 0,
        "contested_count": 0,
        "agreement": 1,
        "created_at": f"{unit.created_at:%Y-%m-%dT%H:%M:%S}.{unit.created_at.microsecond // 1000:03d}Z",
        "finalized_at": f"{unit.finalized_at:%Y-%m-%dT%H:%M:%S}.{unit.finalized_at.microsecond // 1000:03d}Z",
        "data": {"image_url": URL.format(1), **ROWS[0]},
        "results": {
            "judgments": [
                {
                    "id": judgment,
                    "unit_id": unit.pk,
                    "worker_id": small.ann.pk,
                    "trust": 0.5,
                    "worker_trust": 0.75,
                    "tainted": False,
                    "missed": None,
                    "started_at": started,
                    "created_at": created,
                    "acknowledged_at": None,
                    "data": {"image_category": "boots", "note": "=1+1"},
                }
            ],
            "image_category": {"agg": "boots", "confidence": 1},
            "note": {"agg": ["=1+1"], "confidence": None},
        },
    }
    assert second["data"]["titel"] == ROWS[1]["titel"]
    assert second["results"]["judgments"][0]["data"]["note"] == "zwei\nZeilen ☂"


def test_json_lines_with_everything(small):
    found = {each["id"]: each for each in objects(small.job, untrusted=True, unfinished=True, confidences=True)}
    assert len(found) == 10
    opened = found[small.rows[2]]["results"]
    assert [judgment["tainted"] for judgment in opened["judgments"]] == [True]
    assert opened["image_category"] == {"agg": None, "confidence": None, "confidences": None}
    assert found[small.rows[0]]["results"]["image_category"]["confidences"] == {"boots": 1}
    missed = found[small.missed]
    assert (missed["golden"], missed["missed_count"], missed["contested_count"]) == (True, 1, 1)


# --- several judgments of several kinds ---------------------------------------------------------------

SEVERAL = """<cml:radios label="Kind" name="kind" validates="required">
  <cml:radio label="Boots" value="boots"/><cml:radio label="Sneakers" value="sneakers"/></cml:radios>
<cml:checkboxes label="Tags" name="tags" aggregation="agg_2">
  <cml:checkbox label="Red" value="red"/><cml:checkbox label="New" value="new"/><cml:checkbox label="Old" value="old"/>
</cml:checkboxes>
<cml:ratings label="Look" name="look"><cml:rating label="1" value="1"/><cml:rating label="4" value="4"/></cml:ratings>
<cml:text label="Judgments" name="judgments"/>"""


@pytest.fixture
def several(team, scope, owner, mate, contributor) -> Job:
    """Three people of different trust answered two rows; one has a column that is called like a question."""
    job = jobs.create_job(team=team, actor=owner, title="Several", answers=["Boots", "Sneakers"])
    Job.objects.filter(pk=job.pk).update(cml=SEVERAL, judgments_per_unit=3, units_per_page=2, min_seconds_per_page=0)
    job.refresh_from_db()
    data = [{"a": "x"}, {"a": "y", "z": "new"}]
    units = jobs.add_units(job=job, items=[NewUnit(f"r{n}", "", row) for n, row in enumerate(data)])
    jobs.launch_job(job=job, actor=owner)
    given = [
        (owner, 0.9, "boots", ["red"], "4", "first"),
        (mate, 0.8, "sneakers", ["red", "new"], "1", "=second"),
        (contributor, 0.7, "boots", ["old"], "4", ""),
    ]
    for user, trust, kind, tags, look, text in given:
        page = jobs.take_page(job=job, user=user)
        Contributor.objects.filter(pk=page.contributor_id).update(seen=10, missed=round(10 - trust * 10))
        submitted = {}
        for unit in page.unit_ids:
            answers = {"kind": [kind], "tags": tags, "look": [look], "judgments": [text]}
            submitted |= {f"u{unit}-{name}": values for name, values in answers.items()}
        jobs.submit_page(page=page, user=user, submitted=submitted)
    Contributor.objects.update(stale=False)
    Unit.objects.filter(pk=units["r0"]).update(data={"a": "x", "kind": "mine"})
    return job


def test_confidences_are_those_of_the_rows_results(several):
    header, *lines = table(several, "aggregated")
    assert header[5:] == [
        "kind", "kind:confidence", "tags", "tags:confidence", "look", "look:variance",
        "judgments", "judgments:confidence", "a", "orig_kind", "z",
    ]  # fmt: skip
    assert lines[0][5:] == [
        "boots", "0.6667", "red\nnew", "0.7083\n0.3333", "3", "2.0", "first\n=second", "", "x", "mine", "",
    ]  # fmt: skip
    for unit, line in zip(Unit.objects.order_by("pk"), lines, strict=True):
        cells = dict(zip(header, line, strict=True))
        for name in ("kind", "tags"):
            shown = [Decimal(text) for text in cells[f"{name}:confidence"].splitlines()]
            shares = unit.result[name]["shares"]
            exact = [Decimal(repr(shares[value])) for value in unit.result[name]["answers"]]
            assert shown == [share.quantize(Decimal("0.0001"), ROUND_HALF_UP) for share in exact]
            assert cells[name] == "\n".join(unit.result[name]["answers"])


def test_answers_that_are_not_sure_enough_are_left_out(several):
    header, line, _ = table(several, "aggregated", min_confidence="0.7")
    cells = dict(zip(header, line, strict=True))
    assert (cells["kind"], cells["kind:confidence"]) == ("", "0.6667")
    assert (cells["tags"], cells["look"]) == ("red\nnew", "3")
    at_it = table(several, "aggregated", min_confidence="0.6667")
    assert at_it[1][5] == "boots"
    assert objects(several, min_confidence="0.7")[0]["results"]["kind"] == {"agg": None, "confidence": 0.6667}


def test_the_confidence_summary_has_every_answer(several):
    header, line, _ = table(several, "aggregated", confidences=True)
    cells = dict(zip(header, line, strict=True))
    assert json.loads(cells["kind:confidences"]) == {"boots": 0.6667, "sneakers": 0.3333}
    assert cells["tags:confidences"] == '{"red": 0.7083, "new": 0.3333, "old": 0.2917}'
    assert (cells["look:confidences"], cells["judgments:confidences"]) == ("", "")


def test_json_of_every_kind_of_question(several):
    results = objects(several)[0]["results"]
    assert results["kind"] == {"agg": "boots", "confidence": 0.6667}
    assert results["tags"] == {"agg": ["red", "new"], "confidence": 0.7083}
    assert results["look"] == {"agg": 3, "confidence": None, "variance": 2}
    assert results["orig_judgments"] == {"agg": ["first", "=second"], "confidence": None}
    assert [judgment["data"] for judgment in results["judgments"]] == [
        {"kind": "boots", "tags": ["red"], "look": "4", "judgments": "first"},
        {"kind": "sneakers", "tags": ["red", "new"], "look": "1", "judgments": "=second"},
        {"kind": "boots", "tags": ["old"], "look": "4"},
    ]


def test_json_of_more_questions_than_a_function_takes_arguments(several):
    names = [f"q{number}" for number in range(120)]
    Job.objects.filter(pk=several.pk).update(cml="".join(f'<cml:text label="{name}" name="{name}"/>' for name in names))
    Judgment.objects.update(answers={"q0": ["a"], "q119": ["z"]})
    several.refresh_from_db()
    results = objects(several)[0]["results"]
    assert list(results) == ["judgments", *names]
    assert results["judgments"][0]["data"] == {"q0": "a", "q119": "z"}


# --- the life of a report -----------------------------------------------------------------------------


def test_a_ready_report_knows_its_lines_size_and_end(small):
    report = services.request_job_report(job=small.job, kind=ReportKind.SOURCE, actor=None)
    services.build_report(report=report)
    report.refresh_from_db()
    assert (report.state, report.rows_done, report.rows_total) == (ReportState.READY, 10, 10)
    assert report.size == len(storage.read_bytes(report.file))
    assert report.expires_at > report.finished_at
    assert services.file_name(report) == f"schuhe-mehr-source-{report.pk}.zip"


def test_asking_again_while_it_is_under_way_gives_the_same_report(small):
    first = services.request_job_report(job=small.job, kind=ReportKind.FULL, actor=None)
    again = {"only_final": True, "min_confidence": "nonsense"}
    assert services.request_job_report(job=small.job, kind=ReportKind.FULL, actor=None, options=again) == first
    assert services.request_job_report(job=small.job, kind=ReportKind.JSON, actor=None) != first


@pytest.mark.parametrize(
    ("kind", "options", "code"),
    [
        (ReportKind.WORKFLOW, {}, "unknown_kind"),
        (ReportKind.AGGREGATED, {"min_confidence": "1.5"}, "bad_option"),
        (ReportKind.AGGREGATED, {"min_confidence": "much"}, "bad_option"),
        (ReportKind.FULL, {"dates": "french"}, "bad_option"),
        (ReportKind.AGGREGATED, {}, "empty"),
        (ReportKind.SOURCE, {}, "empty"),
        (ReportKind.GOLD_REPORT, {}, "empty"),
        (ReportKind.WORKSET, {}, "empty"),
    ],
)
def test_refused(job, kind, options, code):
    with pytest.raises(Refused) as refused:
        services.request_job_report(job=job, kind=kind, actor=None, options=options)
    assert refused.value.code == code


def test_a_job_that_is_not_launched_has_its_source_only(job):
    Job.objects.filter(pk=job.pk).update(auto_launch=False)
    jobs.add_units(job=job, items=[NewUnit("a", URL.format(1), {"sku": "1"})])
    for kind in (ReportKind.FULL, ReportKind.AGGREGATED, ReportKind.JSON):
        with pytest.raises(Refused) as refused:
            services.request_job_report(job=job, kind=kind, actor=None)
        assert refused.value.code == "not_launched"
    unit = Unit.objects.get()
    assert table(job, "source") == [
        ["image_url", "sku", "_unit_id", "_unit_state"],
        [URL.format(1), "1", str(unit.pk), "new"],
    ]
