"""A newcomer walks the whole guide in a real browser, on the real stack, with real pixels."""

from __future__ import annotations

from pathlib import Path

import pytest

from labeling_platform.lib.samples import LABELS, sample_names

from .conftest import PROJECT, Running
from .guide import Guide, label_one, to_csv

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
TRAIN, EVALUATE, ROWS = 16, 5, 8


def rows_of(running: Running, first: int, count: int) -> list[list[str]]:
    """Image URLs of sample drawings of every label, with the label."""
    return [
        [f"{running.base}/samples/{name}", label]
        for label in LABELS
        for name in sample_names(label, first + count)[first:]
    ]


def test_the_whole_guide(running: Running, person, tmp_path: Path) -> None:
    guide = Guide(person("owner"), running.base, "e2e")
    model = guide.create_model("Footwear")
    guide.train(model, to_csv(["image_url", "label"], rows_of(running, 0, TRAIN)), timeout=240)
    guide.visit(f"models/{model}/")
    stats = guide.page.locator(".stats").first.inner_text()
    assert "Accuracy" in stats
    assert "Holdout" in stats

    guide.evaluate(model, to_csv(["image_url"], [[url] for url, _ in rows_of(running, TRAIN, EVALUATE)]))
    cards = guide.page.locator(".picture-card")
    guide.page.wait_for_function(f"document.querySelectorAll('.picture-card').length === {EVALUATE * len(LABELS)}")
    address = guide.page.url
    guide.page.locator("#id_label").select_option("boots")
    guide.page.wait_for_url(lambda url: "label=boots" in url)
    assert cards.count() < EVALUATE * len(LABELS)
    assert guide.page.url != address

    job = guide.create_job(
        "Footwear",
        "Which footwear is it?",
        "<p>Choose what the drawing shows.</p>",
        design=lambda cml: cml.replace("</div>", "</div>\n<p>{{sku}}</p>", 1),
    )
    workflow = guide.create_workflow("Incoming", model, job, threshold="1")
    sent = [[url, f"sku-{number}"] for number, (url, _) in enumerate(rows_of(running, TRAIN + EVALUATE, ROWS))]
    truth = {sku: label for (_, sku), (_, label) in zip(sent, rows_of(running, TRAIN + EVALUATE, ROWS), strict=True)}
    broken = [[f"{running.base}/samples/broken-text.jpg", "bad-1"], [f"{running.base}/samples/none-0001.jpg", "bad-2"]]
    guide.upload_rows(workflow, to_csv(["image_url", "sku"], sent + broken))
    guide.launch(workflow)
    counts = guide.wait_for_predictions(workflow, timeout=120)
    assert counts["Error"] == 2
    assert counts["Completed by the model"] + counts["Awaiting human label"] == len(sent)

    labeled = label_everything(running, person, job, truth)
    assert labeled == counts["Awaiting human label"]
    done = guide.status_counts(workflow)
    assert done["Human labeled"] == labeled

    report = guide.report(workflow, tmp_path)
    outcomes = ["boots", "sandals", "sneakers", "negative_examples"]
    assert list(report[0])[: 4 + 2 * len(outcomes)] == [
        "image_url", "sku", "error", "completed",
        *[f"machine_label:{name}" for name in outcomes], *[f"human_label:{name}" for name in outcomes],
    ]  # fmt: skip
    assert [row["sku"] for row in report] == [sku for _, sku in sent + broken]
    assert {row["sku"] for row in report if row["error"] == "true"} == {"bad-1", "bad-2"}
    assert {row["completed"] for row in report} == {"true"}
    answered = [row for row in report if row["human_label:boots"] != ""]
    assert len(answered) == labeled
    for row in answered:
        assert float(row[f"human_label:{truth[row['sku']]}"]) == 1.0

    choose_a_threshold(guide, model)
    mend_a_label(guide, model)
    check_every_page(guide, model, job, workflow)


def choose_a_threshold(guide: Guide, model: int) -> None:
    """The advisor by keyboard: the figures follow the slider, and a promise that cannot be kept is not made."""
    guide.visit(f"models/{model}/threshold/")
    page = guide.page
    share = page.locator("[data-advisor-out=people]")
    before = share.inner_text()
    page.get_by_label("As a number").fill("0.51")
    assert page.locator("[data-advisor-out=threshold]").inner_text() == "0.510"
    page.locator("#advisor-slider").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("[data-advisor-out=threshold]").inner_text() == "0.515"
    page.keyboard.press("End")
    assert page.locator("[data-advisor-out=threshold]").inner_text() == "1.000"
    assert int(share.inner_text().replace(",", "")) > int(before.replace(",", ""))
    page.get_by_role("button", name="Reach 98%").click()
    assert "No threshold can promise 98.0%" in page.locator("[data-advisor-answer]").inner_text()
    page.get_by_text("Cost of a judgment", exact=True).click()
    page.get_by_label("Cost of one judgment").fill("0.05")
    assert "per 1,000 rows" in page.locator("[data-advisor-out=money]").inner_text()


def mend_a_label(guide: Guide, model: int) -> None:
    """A picture is dropped on the Pictures tab, listed under Changes and taken back."""
    guide.visit(f"models/{model}/images/")
    guide.page.get_by_text("Change", exact=True).first.click()
    guide.page.get_by_role("button", name="Drop").first.click()
    guide.visit(f"models/{model}/data/?show=history")
    guide.page.get_by_role("button", name="Take back").click()
    guide.page.get_by_text("The picture is back in the training data.").wait_for()


def label_everything(running: Running, person, job: int, truth: dict[str, str]) -> int:
    """Two contributors take turns by keyboard until nothing is left for either."""
    pages = [person("ann"), person("bo", viewport={"width": 390, "height": 800})]
    for page in pages:
        page.goto(f"{running.base}/t/e2e/contribute/{job}/")
        page.get_by_role("link", name="Start").click()
    count, going = 0, list(pages)
    while going:
        for page in list(going):
            if label_one(
                page, lambda text: next(truth[line.strip()] for line in text.splitlines() if line.strip() in truth)
            ):
                count += 1
            else:
                going.remove(page)
    return count


def check_every_page(guide: Guide, model: int, job: int, workflow: int) -> None:
    """No serious finding of axe, nothing wider than the window: light and dark, wide and narrow."""
    pages = [
        "models/", f"models/{model}/", f"models/{model}/evaluate/", f"models/{model}/images/", "models/new/",
        f"models/{model}/threshold/", f"models/{model}/compare/", f"models/{model}/data/",
        *(f"models/{model}/data/?show={name}" for name in ("duplicates", "links", "balance", "history")),
        "workflows/",
        "workflows/new/", f"workflows/{workflow}/", f"workflows/{workflow}/data/",
        f"workflows/{workflow}/rows/", "jobs/",
        "jobs/new/", f"jobs/{job}/", f"jobs/{job}/design/", f"jobs/{job}/data/", f"jobs/{job}/settings/", "contribute/",
        f"contribute/{job}/", f"contribute/{job}/work/", f"reports/workflow/{workflow}/", "reports/", "activity/",
    ]  # fmt: skip
    source = AXE.read_text()
    found = []
    for theme, width in (("light", 1280), ("dark", 390)):
        guide.page.emulate_media(color_scheme=theme)
        guide.page.set_viewport_size({"width": width, "height": 900})
        for path in pages:
            guide.visit(path)
            guide.page.evaluate(source)
            result = guide.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            serious = [item for item in result["violations"] if item["impact"] in {"serious", "critical"}]
            found += [f"{path} {theme}: {item['id']} {item['nodes'][0]['html'][:120]}" for item in serious]
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            if guide.page.evaluate(wide) > 0:
                found.append(f"{path} {theme}: wider than the window")
    assert found == []
