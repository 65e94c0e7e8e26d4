"""Pages of reports and their download."""

from __future__ import annotations

import pytest
from django.urls import reverse

from reports_app import services
from reports_app.models import Report


def at(name: str, **kwargs) -> str:
    return reverse(f"reports:{name}", kwargs={"team_slug": "footwear", **kwargs})


@pytest.fixture
def ready(running) -> Report:
    report = services.request_report(workflow=running, actor=None)
    services.build_report(report=report)
    report.refresh_from_db()
    return report


def test_requesting_a_report_with_options(running, owner, client_for):
    client = client_for(owner)
    response = client.post(at("request", workflow_pk=running.pk), {"only_final": "on"})
    assert response.url == at("workflow", workflow_pk=running.pk)
    assert Report.objects.get().options == {"only_final": True, "diagnostics": False, "safe_cells": False}
    assert "Queued" in client.get(response.url).content.decode()


def test_a_draft_has_no_report(draft, owner, client_for):
    client = client_for(owner)
    client.post(at("request", workflow_pk=draft.pk))
    assert not Report.objects.exists()
    assert "Launch the workflow first" in client.get(at("workflow", workflow_pk=draft.pk)).content.decode()


def test_a_ready_report_is_downloaded_as_a_file(ready, viewer, client_for):
    client = client_for(viewer)
    assert at("download", pk=ready.pk) in client.get(at("workflow", workflow_pk=ready.workflow_id)).content.decode()
    response = client.get(at("download", pk=ready.pk))
    assert response["Content-Disposition"] == f'attachment; filename="shoes-report-{ready.pk}.csv"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert b"".join(response.streaming_content).startswith(b"image_url,sku,error,completed,")


def test_the_list_of_all_reports(ready, owner, client_for):
    page = client_for(owner).get(at("list")).content.decode()
    assert "Shoes" in page
    assert at("download", pk=ready.pk) in page


def test_only_a_ready_report_is_downloaded(running, owner, client_for):
    report = services.request_report(workflow=running, actor=None)
    assert client_for(owner).get(at("download", pk=report.pk)).status_code == 404


def test_the_fragment_stops_asking_when_nothing_is_built(ready, owner, client_for):
    url, headers = at("workflow", workflow_pk=ready.workflow_id), {"HX-Request": "true"}
    client = client_for(owner)
    assert "every 2s" not in client.get(url, headers=headers).content.decode()
    services.request_report(workflow=ready.workflow, actor=None)
    assert "every 2s" in client.get(url, headers=headers).content.decode()


def test_who_may(ready, viewer, contributor, outsider, client_for):
    download, request = at("download", pk=ready.pk), at("request", workflow_pk=ready.workflow_id)
    assert client_for(viewer).post(request).status_code == 403
    assert client_for(contributor).get(download).status_code == 403
    assert client_for(outsider).get(download).status_code == 404
    assert client_for(outsider).post(request).status_code == 404
    rivals = reverse("reports:download", kwargs={"team_slug": "rivals", "pk": ready.pk})
    assert client_for(outsider).get(rivals).status_code == 404
