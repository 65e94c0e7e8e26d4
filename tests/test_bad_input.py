"""Every bad input of the request: the page says what is wrong, the file is kept, nothing is half-done.

One line for each, through the page where it is given. Job designs, launches and concurrency have their own
tests beside the code; the table at the end names them so that none is forgotten.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from html import unescape

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from labeling_platform.accounts.models import Team, User
from labeling_platform.lib import storage
from models_app.ingest import read_training
from models_app.models import CustomModel, TrainingImage, TrainingUpload

HEADER = "image_url,label\n"


def picture(number: int) -> str:
    return f"https://pictures.example/{number}.jpg"


def rows(label: str, count: int, start: int = 0) -> str:
    return "".join(f"{picture(start + n)},{label}\n" for n in range(count))


def workbook() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        # Without a moment of the clock: the bytes name a test, which has to be the same in every test process.
        archive.writestr(zipfile.ZipInfo("xl/workbook.xml"), "<workbook/>")
    return out.getvalue()


@pytest.fixture
def training_page(in_team: Team, mate: User, client_for: Callable[[User], Client]) -> Callable[[bytes], str]:
    """Upload these bytes on the Train tab, let them be read, and return the page's text."""
    model = CustomModel.objects.create(team=in_team, name="M")
    client = client_for(mate)

    def upload(content: bytes) -> str:
        page = reverse("models:detail", args=[in_team.slug, model.pk])
        file = SimpleUploadedFile("mine.csv", content, "text/csv")
        answer = client.post(reverse("models:upload", args=[in_team.slug, model.pk]), {"file": file})
        assert answer.status_code in {302, 422}
        if answer.status_code == 422:
            return answer.content.decode()
        found = TrainingUpload.objects.latest("pk")
        read_training(upload=found)
        assert storage.read_bytes(found.file) == content
        details = reverse("models:upload_detail", args=[in_team.slug, model.pk, found.pk])
        train_tab = client.get(page).content.decode()
        assert details in train_tab
        return strip_tags(unescape(client.get(details).content.decode())) + train_tab

    return upload


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "The file is empty. It needs a header line and at least one row."),
        (HEADER.encode() + b"http://a/\xff.jpg,boots\n", "Line 2: the file is not UTF-8 (byte 26)."),
        ((HEADER + rows("boots", 1)).encode("utf-16"), "The file is UTF-16, it must be UTF-8."),
        (b"picture,label\nx,boots\n", "Line 1: the column image_url is missing (found: picture, label)."),
        (b"image_url,label,label\nx,boots,y\n", "Line 1: the column label is there twice."),
        (workbook(), "This is an Excel workbook (XLSX) or another ZIP file, not a CSV."),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_words(training_page, content: bytes, says: str) -> None:
    assert says in training_page(content)
    assert TrainingImage.objects.count() == 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"http://a/1.jpg", "Line 2: too few cells (1; the header has 2 columns)."),
        (b"http://a/1.jpg,boots,more", "Line 2: too many cells (3; the header has 2 columns)."),
        (b"http://a/1.jpg,bo\0ots", "Line 2: label contains a NUL byte."),
        (b"http://a/1.jpg," + b"x" * 300, "300 characters"),
        (b"ftp://a/1.jpg,boots", "The URL must begin with http://, https:// or s3://."),
    ],
)
def test_a_bad_line_is_listed_and_the_others_stay(training_page, line: bytes, says: str) -> None:
    page = training_page(HEADER.encode() + line + b"\n" + rows("boots", 1, start=7).encode())
    assert says in page
    assert list(TrainingImage.objects.values_list("image_url", flat=True)) == [picture(7)]


@pytest.mark.parametrize(
    "content",
    [
        ("\ufeff" + HEADER + rows("boots", 2)).encode(),
        (HEADER + rows("boots", 2)).replace("\n", "\r\n").encode(),
        ('image_url,label,note\n"' + picture(0) + '",boots,"two\nlines"\n' + picture(1) + ",boots,x\n").encode(),
    ],
    ids=["BOM", "CRLF", "quoted newline"],
)
def test_what_only_looks_unusual_is_taken(training_page, content: bytes) -> None:
    training_page(content)
    assert TrainingImage.objects.count() == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (rows("boots", 20), "A model needs at least two different labels; the data has only boots."),
        (rows("boots", 20) + rows("sandals", 9, start=50), "sandals: 9 pictures, at least 10 are needed. Add 1 more."),
    ],
    ids=["one class", "nine examples"],
)
def test_training_is_refused_beside_the_button(training_page, content: str, says: str) -> None:
    page = training_page((HEADER + content).encode())
    assert says in page
    button = page[: page.index("Begin Training")].rpartition("<button")[2]
    assert "disabled" in button


def test_a_file_over_the_limit_is_refused_at_the_field(training_page, settings) -> None:
    settings.CSV_MAX_BYTES = 1_000_000
    assert "Split it and upload the parts one by one." in training_page(b"x" * 1_000_001)
    assert TrainingUpload.objects.count() == 0


ELSEWHERE = {
    "101 evaluation rows": ("tests/models_app/test_evaluation.py", "test_101_rows_are_refused"),
    "CML that does not parse": ("tests/jobs_app/test_services.py", "test_a_broken_design_is_not_saved"),
    "threshold 0.5 and 1.01": ("tests/workflows_app/test_views.py", '"1.01"'),
    "launch twice": ("tests/workflows_app/test_views.py", "happens_once"),
    "two tabs launching at once": ("tests/workflows_app/test_services.py", "two_tabs"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_other_bad_inputs_are_tested_beside_their_code(name: str, pytestconfig: pytest.Config) -> None:
    path, part = ELSEWHERE[name]
    assert part in (pytestconfig.rootpath / path).read_text()
