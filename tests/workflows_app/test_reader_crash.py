"""A reader that is killed in mid-file: the next goes on, and every line becomes one row."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from labeling_platform.lib.uploads import UploadState
from tests.workflows_app.conftest import draft, job, model, scope  # noqa: F401
from workflows_app import services
from workflows_app.models import WorkflowRow, WorkflowUpload
from workflows_app.querysets import counted_rows, tallied_rows

PROJECT = Path(__file__).resolve().parent.parent.parent
ROWS = 60_000
READ = """
import django, sys
django.setup()
from django.conf import settings
from django_scopes import scopes_disabled
from labeling_platform.lib import reading
from workflows_app import services
from workflows_app.models import WorkflowUpload
settings.MEDIA_ROOT = sys.argv[2]
reading.BATCH = 500
with scopes_disabled():
    services.read_rows(upload=WorkflowUpload.objects.get(pk=int(sys.argv[1])))
"""


def reader(upload: WorkflowUpload, files: Path) -> subprocess.Popen[bytes]:
    """A process that reads the upload on the test's own database."""
    url = urlsplit(os.environ["DATABASE_URL"])
    path = f"{url.path.rsplit('/', 1)[0]}/{connection.settings_dict['NAME']}"
    env = os.environ | {
        "DATABASE_URL": urlunsplit(url._replace(path=path)),
        "DJANGO_SETTINGS_MODULE": "labeling_platform.settings_test",
    }
    return subprocess.Popen([sys.executable, "-c", READ, str(upload.pk), str(files)], env=env, cwd=PROJECT)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("DATABASE_URL" not in os.environ, reason="needs the database of script/test")
def test_a_reader_that_is_killed_is_continued(draft, owner, settings) -> None:  # noqa: F811
    WorkflowRow.objects.all().delete()
    WorkflowUpload.objects.all().delete()
    lines = "".join(f"https://pictures.example/{n}.jpg,S{n}\n" for n in range(ROWS))
    file = SimpleUploadedFile("many.csv", f"image_url,sku\n{lines}".encode())
    upload = services.receive_rows(workflow=draft, file=file, actor=owner)
    seen = [0]
    for _ in range(3):
        process = reader(upload, settings.MEDIA_ROOT)
        deadline = time.monotonic() + 60
        while WorkflowRow.objects.filter(upload=upload).count() < seen[-1] + 1500 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.wait()
        seen.append(WorkflowRow.objects.filter(upload=upload).count())
        WorkflowUpload.objects.filter(pk=upload.pk).update(lease_until=None)  # as if its time were over
    assert 0 < seen[1] < seen[2] < seen[3] < ROWS
    assert services.read_rows(upload=upload) is False
    upload.refresh_from_db()
    assert (upload.state, upload.rows_ok, upload.rows_read) == (UploadState.READY, ROWS, ROWS)
    found = list(WorkflowRow.objects.filter(upload=upload).order_by("pk").values_list("line", flat=True))
    assert found == list(range(2, ROWS + 2))
    assert counted_rows(WorkflowRow.objects.filter(workflow=draft)) == tallied_rows(draft)
