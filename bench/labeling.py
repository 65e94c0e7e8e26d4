"""How fast people label through the product's own pages: "submit and get the next page" over HTTP, many at once.

Contributors here sign in by the sign-in page, keep their connection, and answer without thinking. Pictures are not
loaded: the driver that measured other products did not load them either. Afterwards the database is compared with what
each contributor was told.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlencode, urlsplit

import psutil
from django.contrib.auth.hashers import make_password
from django.urls import reverse
from django_scopes import scope

from jobs_app.models import Job, Judgment, Page, Unit
from jobs_app.services import NewUnit, add_units, create_routing_job, freeze_design
from jobs_app.states import PageState, UnitState
from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.permissions import Role
from labeling_platform.accounts.services import set_role
from models_app.models import CustomModel, ModelVersion
from models_app.states import VersionState

from .product import Running, say
from .team import make_team

OUTCOMES = ["boots", "sneakers", "sandals", "negative_examples"]
QUESTION = "image_category"
PASSWORD = "correct horse battery staple"
TURN_SECONDS = 4.0
WARM_UP_PAGES = 3
CONNECTIONS_TO_WARM = 16
MOST_ERRORS = 20
NO_MORE = "No more rows right now"
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
PAGE = re.compile(r'name="page" value="(\d+)"')
FIELD = re.compile(rf'name="(u(\d+)-{QUESTION})"')
NOTICE = re.compile(r'class="note [^"]*".*?<span>(.*?)</span>', re.DOTALL)


class Wrong(Exception):
    """An answer of the server that a contributor could not go on with."""


FAILURES = (Wrong, OSError, http.client.HTTPException)


@dataclass
class Shown:
    """A page as the contributor sees it: its number, the token of its form, and the names of its inputs by row."""

    page: int
    token: str
    fields: dict[int, str]


@dataclass
class Desk:
    """What one contributor has in hand and has done in one job. `done` once there was nothing left."""

    shown: Shown | None = None
    begun: bool = False
    done: bool = False
    given: list[tuple[int, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    counted: int = 0
    errors: list[str] = field(default_factory=list)


class Person:
    """A contributor with a session and one connection, from an address of their own (sign-ins are limited by it)."""

    def __init__(self, user: User, number: int, base: str, seed: int) -> None:
        self.user, self.base = user, urlsplit(base)
        self.source = f"127.0.{1 + number // 250}.{1 + number % 250}"
        self.dice = random.Random(f"{seed}-{number}")
        self.cookies: dict[str, str] = {}
        self.desks: dict[int, Desk] = {}
        self.connection = self.connect()

    def connect(self) -> http.client.HTTPConnection:
        assert self.base.hostname is not None
        address = (self.base.hostname, self.base.port)
        return http.client.HTTPConnection(*address, timeout=60, source_address=(self.source, 0))

    def reconnect(self) -> None:
        self.connection.close()
        self.connection = self.connect()

    def ask(self, path: str, form: dict[str, str] | None = None, *, htmx: bool = False) -> tuple[int, str]:
        """Send a request as a browser would; the status and the text of the answer."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if htmx:
            headers["HX-Request"] = "true"
        body = None
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(form).encode()
        self.connection.request("GET" if form is None else "POST", path, body=body, headers=headers)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer.status, text

    def sign_in(self) -> None:
        """By the sign-in page. Raises Wrong when that gives no session."""
        path = reverse("account_login")
        _, text = self.ask(path)
        token = TOKEN.search(text)
        form = {"login": self.user.email, "password": PASSWORD, "csrfmiddlewaretoken": token[1] if token else ""}
        status, _ = self.ask(path, form)
        if status != 302 or "sessionid" not in self.cookies:
            raise Wrong(f"signing in gave {status}")

    def begin(self, job: Job) -> None:
        """Open the job's page over a new connection; the first time also do a few pages. Nothing of it is counted."""
        desk = self.desks.setdefault(job.pk, Desk())
        if desk.done or not self.look(job, desk) or desk.begun:
            return
        desk.begun = True
        for _ in range(WARM_UP_PAGES):
            if desk.shown is not None:
                self.answer(job, desk, counted=False)

    def work(self, job: Job, until: float) -> None:
        """Submit and get the next page until the time is over, no row is left, or too much went wrong.

        Over a new connection: the server may have closed the one that waited for the others to begin.
        """
        desk = self.desks[job.pk]
        self.reconnect()
        while desk.shown is not None and time.perf_counter() < until and len(desk.errors) < MOST_ERRORS:
            self.answer(job, desk, counted=True)

    def look(self, job: Job, desk: Desk) -> bool:
        """Open the page over a new connection. False when it could not be read."""
        self.reconnect()
        try:
            self.keep(desk, read(*self.ask(_work_path(job))))
        except FAILURES as error:
            desk.shown = None
            desk.errors.append(f"{type(error).__name__}: {error}")
            return False
        return True

    def answer(self, job: Job, desk: Desk, *, counted: bool) -> None:
        """Submit the page in hand; what goes wrong is an error, and the page is opened again."""
        try:
            self.submit(job, desk, counted=counted)
        except FAILURES as error:
            desk.errors.append(f"{type(error).__name__}: {error}")
            self.look(job, desk)

    def submit(self, job: Job, desk: Desk, *, counted: bool) -> None:
        """Answer the page in hand and take the next. Raises Wrong when it was not stored or none came."""
        shown = desk.shown
        assert shown is not None
        answers = {unit: self.dice.choice(OUTCOMES) for unit in shown.fields}
        form = {"csrfmiddlewaretoken": shown.token, "page": str(shown.page)}
        form |= {name: answers[unit] for unit, name in shown.fields.items()}
        began = time.perf_counter()
        status, text = self.ask(_work_path(job), form, htmx=True)
        seconds = time.perf_counter() - began
        following = read(status, text)
        if following is not None and following.page == shown.page:
            raise Wrong(f"page {shown.page} came back")
        desk.given += answers.items()
        if counted:
            desk.seconds.append(seconds)
            desk.counted += len(answers)
        self.keep(desk, following)

    def keep(self, desk: Desk, shown: Shown | None) -> None:
        desk.shown, desk.done = shown, shown is None


def read(status: int, text: str) -> Shown | None:
    """The page in an answer; None when it says that no row is left. Raises Wrong for everything else."""
    if status != 200:
        raise Wrong(f"status {status}")
    text = text[text.find('<div id="unit"') :]
    if notice := NOTICE.search(text):
        raise Wrong(f"the page says: {notice[1]}")
    page, token = PAGE.search(text), TOKEN.search(text)
    if page and token:
        fields = {int(unit): name for name, unit in FIELD.findall(text)}
        if fields:
            return Shown(int(page[1]), token[1], fields)
    if NO_MORE in text and not page:
        return None
    raise Wrong("neither a form nor the message that no row is left")


def _work_path(job: Job) -> str:
    return reverse("contribute:work", kwargs={"team_slug": job.team.slug, "pk": job.pk})


class Usage:
    """Memory and CPU time of a process and those below it."""

    def __init__(self, pid: int) -> None:
        self.root = psutil.Process(pid)

    def all(self) -> list[psutil.Process]:
        return [self.root, *self.root.children(recursive=True)]

    def peak(self) -> int:
        """Bytes: the most that each process ever held, as the kernel notes it, added up."""
        notes = [Path(f"/proc/{one.pid}/status").read_text() for one in self.all()]
        return sum(int(found[1]) * 1024 for note in notes if (found := re.search(r"VmHWM:\s+(\d+) kB", note)))

    def cpu(self) -> float:
        """Seconds used so far; what an ended child used stays with its parent."""
        times = [one.cpu_times() for one in self.all()]
        own = sum(one.user + one.system for one in times)
        return float(own + times[0].children_user + times[0].children_system)


@dataclass
class Series:
    """A job that is worked on in turns with others, and what its turns cost."""

    job: Job
    rows: int
    seconds: float = 0.0
    web: float = 0.0
    postgres: float = 0.0
    client: float = 0.0

    def desks(self, people: Sequence[Person]) -> list[Desk]:
        return [person.desks[self.job.pk] for person in people]

    def over(self, people: Sequence[Person]) -> bool:
        """Whether no row is left for anybody, or somebody gave up."""
        desks = self.desks(people)
        return all(desk.done for desk in desks) or any(len(desk.errors) >= MOST_ERRORS for desk in desks)


def run(product: Running, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One line for each number of rows. Several jobs take turns of a few seconds and end together."""
    team = make_team("labeling")
    model = _model(team)
    people = _people(team, product.address, options.contributors, options.seed)
    say(f"{len(people)} contributors signed in")
    _warm_up(_job(model, 20 * CONNECTIONS_TO_WARM, options), people)
    series = [Series(_job(model, rows, options), rows) for rows in options.rows or [1000]]
    load = os.getloadavg()[0]
    usage = (Usage(product.pid("web")), Usage(product.pid("postgres")))
    turns = max(1, round(options.seconds / TURN_SECONDS))
    with ThreadPoolExecutor(len(people)) as pool:
        for turn in range(turns):
            # There and back again, so that none is always the first of a pair.
            for one in series[:: 1 if turn % 2 == 0 else -1]:
                _take_turn(one, people, pool, usage, options.seconds / turns)
            if any(one.over(people) for one in series):
                break
    loads = {"load_before": round(load, 1), "load_after": round(os.getloadavg()[0], 1)}
    for one in series:
        yield _line(one, people, options) | {"peak_rss_mb": round(usage[0].peak() / 1e6, 1)} | loads


def _take_turn(
    one: Series, people: Sequence[Person], pool: ThreadPoolExecutor, usage: tuple[Usage, Usage], seconds: float
) -> None:
    """All contributors open the job, then work on it for a few seconds. Only the work is counted."""
    for _ in pool.map(lambda person: person.begin(one.job), people):
        pass
    before = [*(part.cpu() for part in usage), time.process_time()]
    began = time.perf_counter()
    for _ in pool.map(lambda person: person.work(one.job, began + seconds), people):
        pass
    one.seconds += time.perf_counter() - began
    after = [*(part.cpu() for part in usage), time.process_time()]
    web, postgres, client = (b - a for a, b in zip(before, after, strict=True))
    one.web, one.postgres, one.client = one.web + web, one.postgres + postgres, one.client + client


def _line(one: Series, people: Sequence[Person], options: argparse.Namespace) -> dict[str, Any]:
    desks = one.desks(people)
    seconds = [value for desk in desks for value in desk.seconds]
    errors = [error for desk in desks for error in desk.errors]
    violations = _violations(one.job, people)
    for text in [*violations[:5], *errors[:5]]:
        say(f"{one.rows} rows: {text}")
    if not seconds:
        raise SystemExit("Nothing could be measured.")
    counted = sum(desk.counted for desk in desks)
    figures = {
        "contributors": len(people),
        "rows": one.rows,
        "rows_per_page": options.rows_per_page,
        "judgments_per_row": options.judgments_per_row,
        "judgments": counted,
        "p50_ms": round(median(seconds) * 1000, 1),
        "p95_ms": round(quantiles(seconds, n=20, method="inclusive")[-1] * 1000, 1),
        "max_ms": round(max(seconds) * 1000, 1),
        "p50_ms_at_thirds": _at_thirds(desks),
        "judgments_per_s": round(counted / one.seconds, 1),
        "duplicates": len(violations),
        "errors": len(errors),
        "seconds": round(one.seconds, 1),
        "web_cpu_ms": round(one.web / counted * 1000, 2),
        "postgres_cpu_ms": round(one.postgres / counted * 1000, 2),
        "client_cpu_ms": round(one.client / counted * 1000, 2),
    }
    return figures | _against_peer(options.peers, len(people), figures)


def _at_thirds(desks: Sequence[Desk]) -> list[float]:
    """The middle time of the first, second and last third of everybody's pages: equal when nothing piles up."""
    thirds: list[list[float]] = [[], [], []]
    for desk in desks:
        for place, value in enumerate(desk.seconds):
            thirds[place * 3 // len(desk.seconds)].append(value)
    return [round(median(part) * 1000, 1) for part in thirds if part]


def _against_peer(folder: Path, contributors: int, figures: dict[str, Any]) -> dict[str, Any]:
    """Judgments a second and p95 as multiples of Label Studio's, when its figures are in `folder`."""
    for path in sorted(folder.glob("labelstudio*.json")):
        summary = json.loads(path.read_text()).get("summary", {})
        if found := summary.get(f"loop_{contributors}"):
            rate, p95 = found["judgments_per_s"], found["loop_ms"]["p95"]
            return {
                "peer_judgments_per_s": rate,
                "peer_p95_ms": p95,
                "judgments_per_s_to_peer": round(figures["judgments_per_s"] / rate, 1),
                "p95_to_peer": round(figures["p95_ms"] / p95, 4),
            }
    return {}


def _violations(job: Job, people: Sequence[Person]) -> list[str]:
    """Everything in which the database differs from what contributors were told, or rows from what they may be."""
    told = Counter((unit, person.user.pk, value) for person in people for unit, value in person.desks[job.pk].given)
    with scope(team=job.team):
        stored: Counter[tuple[int, int, str]] = Counter()
        for unit, user, answers in Judgment.objects.filter(job=job).values_list(
            "unit_id", "contributor__user_id", "answers"
        ):
            stored[unit, user, "|".join(answers.get(QUESTION, []))] += 1
        lists = Page.objects.filter(job=job, state=PageState.OPEN).values_list("unit_ids", flat=True)
        held = Counter(unit for ids in lists for unit in ids)
        rows = list(Unit.objects.filter(job=job).values_list("pk", "state", "slots", "judgments_count"))
    found = [f"confirmed {item} but not stored" for item in (told - stored).elements()]
    found += [f"stored {item} but not confirmed" for item in (stored - told).elements()]
    by_pair = Counter(pair[:2] for pair in stored.elements())
    found += [f"judged twice by one contributor: {pair}" for pair, times in by_pair.items() if times > 1]
    judged = Counter(unit for unit, _ in by_pair.elements())
    for unit, state, slots, count in rows:
        judgments, wanted = judged[unit], job.judgments_per_unit
        complete = state == UnitState.FINALIZED
        if judgments > wanted or judgments + held[unit] + slots != wanted:
            found.append(f"row {unit}: {judgments} judgments, {held[unit]} leases, {slots} free, {wanted} wanted")
        elif count != judgments or complete != (judgments == wanted):
            found.append(f"row {unit}: {judgments} judgments, counted {count}, state {state}")
    return found


def _model(team: Team) -> CustomModel:
    """A model that counts as trained; nothing is predicted here."""
    with scope(team=team):
        model = CustomModel.objects.create(team=team, name="Footwear")
        model.current = ModelVersion.objects.create(
            team=team, model=model, number=1, state=VersionState.READY, outcomes=OUTCOMES, backend="local"
        )
        model.save(update_fields=["current"])
        return model


def _job(model: CustomModel, rows: int, options: argparse.Namespace) -> Job:
    """A running job of the model with so many rows."""
    with scope(team=model.team):
        job = create_routing_job(
            model=model, actor=None, title=f"{rows} rows", judgments_per_unit=options.judgments_per_row
        )
        Job.objects.filter(pk=job.pk).update(units_per_page=options.rows_per_page)
        freeze_design(job=job)
        for start in range(0, rows, 1000):
            numbers = range(start, min(rows, start + 1000))
            items = [NewUnit(f"row{n}", f"http://pictures.example/{n}.jpg", {"sku": str(n)}) for n in numbers]
            add_units(job=job, items=items)
        say(f"made a job of {rows} rows")
        return Job.objects.select_related("team").get(pk=job.pk)


def _people(team: Team, base: str, count: int, seed: int) -> list[Person]:
    """Contributors of the team, signed in."""
    password = make_password(PASSWORD)
    people = []
    for number in range(count):
        user = User.objects.create_user(f"contributor{number}@example.com", password=None)
        User.objects.filter(pk=user.pk).update(password=password)
        set_role(team=team, user=user, role=Role.CONTRIBUTOR)
        people.append(Person(user, number, base, seed))
    for person in people:
        person.sign_in()
    return people


def _warm_up(job: Job, people: Sequence[Person]) -> None:
    """Let both web processes load what they need: many connections at once, each opening the labeling page."""

    def look(person: Person) -> None:
        visitor = Person(person.user, 0, person.base.geturl(), 0)
        visitor.cookies = dict(person.cookies)
        for _ in range(10):
            visitor.look(job, Desk())

    with ThreadPoolExecutor(CONNECTIONS_TO_WARM) as pool:
        for _ in pool.map(look, (people[n % len(people)] for n in range(CONNECTIONS_TO_WARM))):
            pass
    with ThreadPoolExecutor(len(people)) as pool:
        for _ in pool.map(lambda person: person.begin(job), people):
            pass
