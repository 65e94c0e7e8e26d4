"""Pages of workflows: what they show, what they refuse, and to whom."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from jobs_app.models import Unit
from models_app.models import CustomModel, HoldoutPrediction, ModelVersion
from tests.workflows_app.conftest import csv_of, make_model, scored, upload_csv
from workflows_app import data_views, services, tasks
from workflows_app.models import Workflow, WorkflowKind, WorkflowRow, WorkflowUpload
from workflows_app.states import WorkflowState


def at(name: str, **kwargs) -> str:
    return reverse(f"workflows:{name}", kwargs={"team_slug": "footwear", **kwargs})


@pytest.fixture
def browser(client_for, owner):
    return client_for(owner)


def text_of(response) -> str:
    return response.content.decode()


def wizard_data(model, job, /, **changes) -> dict:
    return {
        "name": "Shoes",
        "kind": WorkflowKind.MODEL_THEN_JOB,
        "model": model.pk,
        "job": job.pk,
        "threshold": "0.8",
    } | changes


# --- list --------------------------------------------------------------------------------------------


def test_an_empty_list_says_what_to_do(team, browser):
    assert "Create a Workflow" in text_of(browser.get(at("list")))


def test_the_list_shows_where_each_stands(running, browser):
    page = text_of(browser.get(at("list")))
    assert "Shoes" in page
    assert "Running" in page


def test_the_list_takes_as_many_queries_for_three_as_for_one(running, browser, owner):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            browser.get(at("list"))
        return len(captured)

    one = queries()
    for name in ("Second", "Third"):
        services.create_workflow(
            team=running.team,
            actor=owner,
            name=name,
            kind=WorkflowKind.MODEL_ONLY,
            model=make_model(running.team, name),
        )
    assert queries() == one


# --- the wizard --------------------------------------------------------------------------------------


def test_the_wizard_shows_taken_and_untrained_models_as_not_selectable(draft, browser):
    CustomModel.objects.create(team=draft.team, name="Fresh")
    page = text_of(browser.get(at("new")))
    assert "Used in the workflow “Shoes”" in page
    assert "Not trained yet." in page
    assert page.count("disabled") == 2


def test_choosing_a_model_lists_the_jobs_and_saves_nothing(model, job, browser):
    response = browser.post(
        at("new"), {"refresh": "1", "kind": "model_then_job", "model": model.pk}, headers={"HX-Request": "true"}
    )
    page = text_of(response)
    assert job.title in page
    assert "Rows whose best answer has less than 80% confidence go to people." in page
    assert "4 of 5" in page
    assert "<html" not in page
    assert not Workflow.objects.exists()


def test_saving_makes_a_draft_and_goes_to_its_data(model, job, browser):
    response = browser.post(at("new"), wizard_data(model, job, threshold="0.9"))
    workflow = Workflow.objects.get()
    assert response.url == at("data", pk=workflow.pk)
    assert (workflow.state, str(workflow.threshold), workflow.job) == ("draft", "0.900", job)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold": "0.5"}, "The threshold must be more than 0.5 and at most 1."),
        ({"threshold": "1.01"}, "The threshold must be more than 0.5 and at most 1."),
        ({"threshold": "high"}, "Enter a number."),
        ({"threshold": ""}, "The threshold must be more than 0.5 and at most 1."),
        ({"name": " "}, "Give the workflow a name."),
        ({"name": "x" * 151}, "at most 150 characters"),
        ({"model": ""}, "Select a model."),
        ({"model": "999999"}, "Select one of the models below."),
        ({"job": ""}, "Choose the job that labels the low confidence rows."),
        ({"kind": "other"}, "Select a valid choice."),
    ],
)
def test_the_wizard_refuses_at_the_place(model, job, browser, changes, message):
    response = browser.post(at("new"), wizard_data(model, job, **changes))
    assert response.status_code == 422
    assert message in text_of(response)
    assert not Workflow.objects.exists()


def test_model_only_needs_neither_job_nor_threshold(model, job, browser):
    browser.post(at("new"), {"name": "Alone", "kind": "model_only", "model": model.pk, "threshold": "7"})
    assert Workflow.objects.get().job is None


def test_a_taken_model_is_refused(draft, job, browser):
    response = browser.post(at("new"), wizard_data(draft.model, job, name="Second"))
    assert response.status_code == 422
    assert "Used in the workflow “Shoes”" in text_of(response)


def test_the_preview_follows_the_threshold(model, browser):
    page = text_of(browser.get(at("preview"), {"model": model.pk, "threshold": "0.9"}))
    assert "less than 90% confidence" in page
    assert "2 of 5 held-out pictures" in page
    assert "more than 0.5" in text_of(browser.get(at("preview"), {"model": model.pk, "threshold": "0.4"}))
    for threshold in ("x", "NaN", "1E999999", "-1", "0.5"):
        page = text_of(browser.get(at("preview"), {"model": "'", "threshold": threshold}))
        assert "more than 0.5" in page


def test_the_wizard_carries_the_advisor_beside_the_threshold(model, job, browser):
    data = {"refresh": "1", "kind": "model_then_job", "model": model.pk, "threshold": "0.9"}
    page = text_of(browser.post(at("new"), data, headers={"HX-Request": "true"}))
    assert 'data-field="id_threshold" data-switch="id_route_unlike"' in page
    assert "Thresholds as a table" in page
    assert 'value="0.9" data-advisor-slider' in page
    assert "data-advisor" not in text_of(browser.post(at("new"), data | {"kind": "model_only"}))


def knows_distances(model: CustomModel) -> None:
    HoldoutPrediction.objects.filter(version=model.current).update(distance=0.5)
    ModelVersion.objects.filter(pk=model.current_id).update(details={"cut": 0.4})


def test_the_switch_for_unlike_rows_is_on_until_somebody_turns_it_off(model, job, browser):
    knows_distances(model)
    refresh = {"refresh": "1", "kind": "model_then_job", "model": model.pk}
    page = text_of(browser.post(at("new"), refresh))
    assert 'aria-describedby="unlike-help" checked' in page
    assert "0 of 5 held-out pictures" in page
    page = text_of(browser.post(at("new"), refresh | {"route_unlike_shown": "1"}))
    assert 'aria-describedby="unlike-help" checked' not in page
    assert "4 of 5 held-out pictures" in page


@pytest.mark.parametrize(
    ("sent", "saved"),
    [({}, True), ({"route_unlike_shown": "1", "route_unlike": "on"}, True), ({"route_unlike_shown": "1"}, False)],
)
def test_a_switch_that_nobody_was_shown_stays_on(model, job, browser, sent, saved):
    browser.post(at("new"), wizard_data(model, job, **sent))
    assert Workflow.objects.get().route_unlike is saved


def test_a_model_without_held_out_pictures_has_no_advisor(model, job, browser):
    HoldoutPrediction.objects.all().delete()
    page = text_of(browser.post(at("new"), {"refresh": "1", "kind": "model_then_job", "model": model.pk}))
    assert "data-advisor" not in page
    assert "less than 80% confidence" in page


def test_a_draft_can_be_edited_and_deleted(draft, browser):
    page = browser.get(at("edit", pk=draft.pk))
    assert 'value="Shoes"' in text_of(page)
    browser.post(at("edit", pk=draft.pk), wizard_data(draft.model, draft.job, name="Boots"))
    draft.refresh_from_db()
    assert draft.name == "Boots"
    assert "cannot be undone" in text_of(browser.get(at("delete", pk=draft.pk)))
    assert browser.post(at("delete", pk=draft.pk)).url == at("list")
    assert not Workflow.objects.exists()


def test_a_launched_workflow_cannot_be_edited_or_deleted(running, browser):
    assert browser.get(at("edit", pk=running.pk)).url == at("detail", pk=running.pk)
    assert browser.post(at("delete", pk=running.pk)).status_code == 422
    assert Workflow.objects.exists()


# --- launching ---------------------------------------------------------------------------------------


def test_the_launch_page_shows_what_will_run(draft, browser):
    page = text_of(browser.get(at("launch", pk=draft.pk)))
    for words in ("Footwear", draft.job.title, "80.0%", "less than 80% confidence", "0 test question(s)"):
        assert words in page


def test_launching_needs_every_warning_ticked_and_happens_once(draft, browser):
    assert browser.post(at("start", pk=draft.pk)).status_code == 422
    warnings = [problem.code for problem in services.launch_problems(workflow=draft)]
    response = browser.post(at("start", pk=draft.pk), {"confirm": warnings})
    assert response.url == at("detail", pk=draft.pk)
    draft.refresh_from_db()
    assert draft.state == WorkflowState.RUNNING
    again = browser.post(at("start", pk=draft.pk), {"confirm": warnings}, follow=True)
    assert "launched already" in text_of(again)


def test_the_launch_page_of_a_launched_workflow_leads_to_it(running, browser):
    assert browser.get(at("launch", pk=running.pk)).url == at("detail", pk=running.pk)


def test_turning_off_and_on(running, browser):
    browser.post(at("turn_off", pk=running.pk))
    assert "Turn on" in text_of(browser.get(at("detail", pk=running.pk)))
    browser.post(at("turn_on", pk=running.pk))
    running.refresh_from_db()
    assert running.state == WorkflowState.RUNNING


# --- the running workflow ----------------------------------------------------------------------------


@pytest.fixture
def predicted(running):
    """One row completed by the model, one with people, one human labeled."""
    first, second, third = services.claim_rows(workflow=running, limit=9)
    results = [(first, scored(boots=0.9)), (second, scored(boots=0.6)), (third, scored(boots=0.5))]
    services.finish_rows(workflow=running, results=results)
    unit = WorkflowRow.objects.get(pk=third.row_id).unit_id
    Unit.objects.filter(pk=unit).update(state="finalized", shares={"sneakers": 1.0}, slots=0)
    return running


def test_the_overview_counts_each_status(predicted, browser):
    page = text_of(browser.get(at("detail", pk=predicted.pk)))
    for key in ("awaiting_prediction", "model_labeled", "awaiting_human", "human_labeled", "error"):
        assert f'id="count-{key}"' in page
    fragment = text_of(browser.get(at("detail", pk=predicted.pk), headers={"HX-Request": "true"}))
    assert "<html" not in fragment
    assert "every 2s" in fragment


def test_all_problems_of_a_file_can_be_downloaded(draft, browser, owner):
    upload = upload_csv(draft, "image_url,sku\nnowhere,S1\nshort\n", owner)
    where = at("upload_problems", pk=draft.pk, upload_pk=upload.pk)
    assert where in browser.get(at("upload_detail", pk=draft.pk, upload_pk=upload.pk)).content.decode()
    answer = browser.get(where)
    assert answer["Content-Disposition"] == f'attachment; filename="problems-{upload.pk}.csv"'
    assert [line.split(",")[:2] for line in answer.getvalue().decode().splitlines()] == [
        ["line", "column"], ["2", "image_url"], ["3", ""],
    ]  # fmt: skip
    WorkflowUpload.objects.filter(pk=upload.pk).update(file="gone.csv")
    assert browser.get(where).status_code == 200


def test_a_reading_file_can_be_canceled(draft, browser):
    upload = WorkflowUpload.objects.get()
    WorkflowUpload.objects.update(state="reading", finished_at=None)
    where = at("upload_cancel", pk=draft.pk, upload_pk=upload.pk)
    assert where in browser.get(at("data", pk=draft.pk)).content.decode()
    assert "was canceled" in text_of(browser.post(where, follow=True))
    tasks.clear_canceled(team_id=draft.team_id, upload_id=upload.pk)
    assert "None of its rows is in the workflow." in text_of(browser.get(at("data", pk=draft.pk)))
    assert "read already" in text_of(browser.post(where, follow=True))


def test_the_key_column_is_asked_for_and_kept(draft, browser):
    file = SimpleUploadedFile("keys.csv", b"image_url,sku\nhttps://p.example/1.jpg,K1\n")
    browser.post(at("upload", pk=draft.pk), {"file": file, "key_column": " sku "})
    assert WorkflowUpload.objects.latest("pk").key_column == "sku"


def test_the_rows_can_be_filtered(predicted, browser):
    def lines(**query):
        return text_of(browser.get(at("rows", pk=predicted.pk), query)).count("<details>")

    assert lines() == 3
    assert lines(status="awaiting_human") == 1
    assert lines(status="human_labeled", label="boots") == 1
    assert lines(label="sneakers") == 0
    assert lines(status="nonsense") == 3


def test_the_rows_page_by_key(running, browser, owner):
    upload_csv(running, csv_of(120, first=10), owner)
    url, pages = at("rows", pk=running.pk), []
    page = browser.get(url)
    while True:
        pages.append([view.row.pk for view in page.context["rows"]])
        if not page.context["page"].next:
            break
        page = browser.get(url, {"after": page.context["page"].next})
    assert [len(found) for found in pages] == [40, 40, 40, 3]
    assert [pk for found in pages for pk in found] == list(WorkflowRow.objects.values_list("pk", flat=True))
    back = browser.get(url, {"before": pages[2][0]})
    assert [view.row.pk for view in back.context["rows"]] == pages[1]
    assert back.context["page"].previous


def test_rows_of_a_class_come_least_sure_first_by_key(running, browser, owner, monkeypatch):
    monkeypatch.setattr(data_views, "ROWS_PER_PAGE", 2)
    upload_csv(running, csv_of(4, first=10), owner)
    confidences = [0.9, 0.6, 0.9, 0.75, 0.95, 0.6, 0.99]
    for row, confidence in zip(WorkflowRow.objects.order_by("pk"), confidences, strict=True):
        label = "sneakers" if confidence == 0.99 else "boots"
        WorkflowRow.objects.filter(pk=row.pk).update(
            state="confident", scores=[confidence, 0, 0], predicted=label, confidence=confidence
        )

    def walk(step="after", **query):
        found, key = [], ""
        while True:
            page = browser.get(at("rows", pk=running.pk), query | ({step: key} if key else {}))
            found.append([view.row.confidence for view in page.context["rows"]])
            key = page.context["page"].next
            if not key:
                return found

    narrowed = browser.get(at("rows", pk=running.pk), {"label": "boots"}).content.decode()
    assert '<option value="confidence" selected>' in narrowed
    assert walk(label="boots") == [[0.6, 0.6], [0.75, 0.9], [0.9, 0.95]]
    assert walk(order="confidence") == [[0.6, 0.6], [0.75, 0.9], [0.9, 0.95], [0.99]]
    assert walk(at_least="75", at_most="90") == [[0.75, 0.9], [0.9]]
    page = browser.get(at("rows", pk=running.pk), {"order": "confidence", "after": "0.9~999999"})
    before = browser.get(at("rows", pk=running.pk), {"order": "confidence", "before": page.context["page"].previous})
    assert [view.row.confidence for view in before.context["rows"]] == [0.9, 0.9]
    assert "Ensure this value is less than or equal to 100." in text_of(
        browser.get(at("rows", pk=running.pk), {"at_most": "150"})
    )


def test_a_rows_page_shows_scores_and_cells(predicted, browser):
    row = WorkflowRow.objects.filter(unit__state="finalized").get()
    page = text_of(browser.get(at("row", pk=predicted.pk, row_pk=row.pk)))
    for words in ("SKU-3", "50.0%", "100.0%", "Human labeled", "Confidence below the threshold"):
        assert words in page


def test_failed_rows_can_be_retried(running, browser):
    WorkflowRow.objects.update(state="failed", attempts=1, error_message="Gone.")
    assert "Retry failed rows" in text_of(browser.get(at("detail", pk=running.pk)))
    browser.post(at("retry", pk=running.pk))
    assert set(WorkflowRow.objects.values_list("state", flat=True)) == {"awaiting"}


# --- uploads -----------------------------------------------------------------------------------------


def csv_file(text: str, name: str = "more.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode())


def test_uploading_keeps_the_file(draft, browser):
    response = browser.post(at("upload", pk=draft.pk), {"file": csv_file(csv_of(2, first=70))})
    assert response.url == at("data", pk=draft.pk)
    upload = WorkflowUpload.objects.first()
    assert "more.csv" in text_of(browser.get(at("data", pk=draft.pk)))
    file = browser.get(at("upload_file", pk=draft.pk, upload_pk=upload.pk))
    assert b"".join(file.streaming_content) == csv_of(2, first=70).encode()
    assert file["X-Content-Type-Options"] == "nosniff"


def test_uploading_no_file_is_refused_at_the_place(draft, browser):
    response = browser.post(at("upload", pk=draft.pk))
    assert response.status_code == 422
    assert "Choose a CSV file first." in text_of(response)


def test_a_repeated_file_asks_first(draft, browser):
    browser.post(at("upload", pk=draft.pk), {"file": csv_file(csv_of(3))})
    held = WorkflowUpload.objects.get(held=True)
    assert "Add its rows again" in text_of(browser.get(at("data", pk=draft.pk)))
    browser.post(at("upload_confirm", pk=draft.pk, upload_pk=held.pk))
    held.refresh_from_db()
    assert held.held is False
    browser.post(at("upload_discard", pk=draft.pk, upload_pk=held.pk))
    assert WorkflowUpload.objects.filter(pk=held.pk).exists()


def test_problems_are_listed_by_line(draft, browser, owner):
    upload = upload_csv(draft, "image_url,sku\nnowhere,1\nhttps://p.example/1.jpg\n", owner)
    page = text_of(browser.get(at("upload_detail", pk=draft.pk, upload_pk=upload.pk)))
    assert "Line 2" in page
    assert "Line 3" in page


# --- who may -----------------------------------------------------------------------------------------

READS = ["list", "detail", "data", "rows"]
WRITES = ["start", "turn_off", "turn_on", "retry", "upload"]


def url_of(name: str, workflow: Workflow) -> str:
    return at(name) if name == "list" else at(name, pk=workflow.pk)


@pytest.mark.parametrize("name", READS)
def test_a_viewer_reads_and_sees_no_buttons(running, viewer, client_for, name):
    response = client_for(viewer).get(url_of(name, running))
    assert response.status_code == 200
    assert "csrfmiddlewaretoken" not in text_of(response).split("<main")[1].split("<dialog")[0]


@pytest.mark.parametrize("name", [*WRITES, "edit", "delete"])
def test_a_viewer_may_not_write(running, viewer, client_for, name):
    assert client_for(viewer).post(url_of(name, running)).status_code == 403


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_a_contributor_may_not_enter(running, contributor, client_for, name):
    client = client_for(contributor)
    ask = client.post if name in WRITES else client.get
    assert ask(url_of(name, running)).status_code == 403


@pytest.mark.parametrize("name", [*READS, *WRITES, "launch"])
def test_an_outsider_finds_nothing(running, outsider, client_for, name):
    client = client_for(outsider)
    ask = client.post if name in WRITES else client.get
    assert ask(url_of(name, running)).status_code == 404


def test_another_teams_workflow_is_not_found_in_ones_own_team(running, outsider, client_for):
    url = reverse("workflows:detail", kwargs={"team_slug": "rivals", "pk": running.pk})
    assert client_for(outsider).get(url).status_code == 404


@pytest.mark.parametrize("name", WRITES)
def test_writes_are_posts(running, browser, name):
    assert browser.get(url_of(name, running)).status_code == 405
