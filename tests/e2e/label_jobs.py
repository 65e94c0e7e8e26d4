"""Jobs for the browser tests of the contributor's place, made by services inside the running platform."""

from __future__ import annotations

import json
import random
from typing import Any

from django_scopes import scope

from jobs_app.models import Job
from jobs_app.services import NewGold, NewUnit, add_golds, add_units, launch_job
from jobs_app.states import GoldSource
from jobs_app.templates_cml import categorize_template
from labeling_platform.accounts.models import Team
from labeling_platform.lib.samples import LABELS, sample_names

ANSWERS = [("Boots", "boots"), ("Sandals", "sandals"), ("Sneakers", "sneakers"), ("Other", "negative_examples")]
QUESTION = "category"
DEPENDENT = """<img src="{{image_url}}" alt="Picture"/>
<cml:radios label="Is footwear visible?" name="visible" validates="required">
  <cml:radio label="Yes" value="yes"/><cml:radio label="No" value="no"/>
</cml:radios>
<cml:group only-if="visible:[yes]">
  <cml:checkboxes label="Colours" name="colours" validates="required">
    <cml:checkbox label="Black" value="black"/><cml:checkbox label="Another" value="another"/>
  </cml:checkboxes>
  <cml:text label="Which one?" name="which" only-if="colours:[another]" validates="required"/>
</cml:group>"""


def make(slug: str, base: str) -> None:
    """Make the jobs and print, as JSON, their ids and the right answer of every unit."""
    team = Team.objects.get(slug=slug)
    pictures = [(f"{base}/samples/{name}", label) for label in LABELS for name in sample_names(label, 60)[30:]]
    random.Random(7).shuffle(pictures)
    with scope(team=team):
        found: dict[str, Any] = {
            "quiz": _make(team, "Quiz and work", pictures, rows=6, golds=12, units_per_page=4),
            "sheet": _make(team, "Contact sheet", pictures, rows=9, units_per_page=9, grid=True),
            "dependent": _make(team, "Dependent questions", pictures, rows=4, units_per_page=2, cml=DEPENDENT),
        }
    print("MADE", json.dumps(found))


def _make(
    team: Team, title: str, pictures: list[tuple[str, str]], *, rows: int, golds: int = 0, **settings: Any
) -> dict[str, Any]:
    settings = {"cml": categorize_template("Which footwear is it?", ANSWERS)} | settings
    job = Job.objects.create(team=team, title=title, instructions="<p>Say what the drawing shows.</p>", **settings)
    chosen = pictures[: rows + golds]
    add_units(job=job, items=[NewUnit(f"r{n}", url, {"sku": str(n)}) for n, (url, _) in enumerate(chosen[:rows])])
    items = [
        NewGold(f"g{n}", url, {QUESTION: [label]}, {QUESTION: f"The drawing shows {label}."})
        for n, (url, label) in enumerate(chosen[rows:])
    ]
    if items:
        add_golds(job=job, items=items, source=GoldSource.ROW, actor=None)
    launch_job(job=job, actor=None)
    truth = dict(chosen)
    return {"id": job.pk, "truth": {pk: truth[url] for pk, url in job.units.values_list("pk", "image_url")}}
