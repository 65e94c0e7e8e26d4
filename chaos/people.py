"""Contributors who label over HTTP while things break, and note every judgment that the server said it has."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from django.contrib.auth.hashers import make_password

from bench.labeling import FAILURES, PASSWORD, Person, Shown, Wrong, _work_path, read
from jobs_app.models import Job
from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.permissions import Role
from labeling_platform.accounts.services import set_role

NOTHING_SECONDS, FAILED_SECONDS = 0.5, 0.3
TRIES = 40
DOUBLE_SUBMIT = 0.1
"""Share of pages that are submitted twice at the same moment, as by a nervous finger."""
Answered = TypeVar("Answered")


@dataclass
class Labeler:
    """One contributor. `acknowledged` are (unit, answer) that an HTTP success confirmed; `sent` all that were sent."""

    person: Person
    job: Job
    outcomes: list[str]
    acknowledged: list[tuple[int, str]] = field(default_factory=list)
    sent: set[tuple[int, str]] = field(default_factory=set)
    doubled: int = 0
    failures: int = 0

    def work(self, stop: threading.Event) -> None:
        """Take and submit pages until told to stop. Whatever fails is tried again."""
        shown: Shown | None = None
        self.patiently(self.person.sign_in, stop)
        while not stop.is_set():
            if shown is None:
                shown = self.patiently(self.look, stop)
                if shown is None:
                    stop.wait(NOTHING_SECONDS)
                    continue
            shown = self.submit(shown, stop)

    def patiently(self, do: Callable[[], Answered], stop: threading.Event) -> Answered | None:
        """Do it over a new connection until it works. None when told to stop, or when it never works."""
        for _ in range(TRIES):
            try:
                self.person.reconnect()
                return do()
            except FAILURES:
                self.failures += 1
                if stop.wait(FAILED_SECONDS):
                    break
        return None

    def look(self) -> Shown | None:
        return read(*self.person.ask(_work_path(self.job)))

    def submit(self, shown: Shown, stop: threading.Event) -> Shown | None:
        """Answer the page in hand; the same answers are sent again until the server says that it has them."""
        answers = {unit: self.person.dice.choice(self.outcomes) for unit in shown.fields}
        form = {"csrfmiddlewaretoken": shown.token, "page": str(shown.page)}
        form |= {name: answers[unit] for unit, name in shown.fields.items()}
        self.sent |= set(answers.items())
        for _ in range(TRIES):
            try:
                following = self.send(form)
            except FAILURES as error:
                self.failures += 1
                if isinstance(error, Wrong) and "the page says" in str(error):
                    return None  # the page was given back meanwhile: the server said that it kept nothing
                if stop.wait(FAILED_SECONDS):
                    return None
                self.person.reconnect()
                continue
            if following is not None and following.page == shown.page:
                return None  # shown again: not stored
            self.acknowledged += answers.items()
            return following
        return None

    def send(self, form: dict[str, str]) -> Shown | None:
        if self.person.dice.random() >= DOUBLE_SUBMIT:
            return read(*self.person.ask(_work_path(self.job), form, htmx=True))
        self.doubled += 1
        other = threading.Thread(target=self.send_too, args=(form,))
        other.start()
        try:
            return read(*self.person.ask(_work_path(self.job), form, htmx=True))
        finally:
            other.join()

    def send_too(self, form: dict[str, str]) -> None:
        """The same form over a connection of its own; what comes back is not looked at."""
        twin = Person(self.person.user, 0, self.person.base.geturl(), 0)
        twin.cookies = dict(self.person.cookies)
        try:
            twin.ask(_work_path(self.job), form, htmx=True)
        except (OSError, http.client.HTTPException):
            self.failures += 1
        finally:
            twin.connection.close()


@dataclass
class People:
    """All contributors, each in a thread of its own."""

    labelers: list[Labeler]
    stop: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self.threads = [threading.Thread(target=one.work, args=(self.stop,), daemon=True) for one in self.labelers]
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        """Let everybody finish what is under way."""
        self.stop.set()
        deadline = time.monotonic() + 90
        for thread in self.threads:
            thread.join(max(0.1, deadline - time.monotonic()))

    def acknowledged(self) -> list[tuple[int, int, str]]:
        """(unit, user, answer) of every judgment that the server said it has."""
        return [(unit, one.person.user.pk, value) for one in self.labelers for unit, value in one.acknowledged]

    def sent(self) -> set[tuple[int, int, str]]:
        return {(unit, one.person.user.pk, value) for one in self.labelers for unit, value in one.sent}


def make_people(team: Team, job: Job, outcomes: list[str], address: str, *, count: int, seed: int) -> People:
    """Contributors of the team, not signed in yet."""
    password = make_password(PASSWORD)
    labelers = []
    for number in range(count):
        user = User.objects.create_user(f"chaos{number}@example.com", password=None)
        User.objects.filter(pk=user.pk).update(password=password)
        set_role(team=team, user=user, role=Role.CONTRIBUTOR)
        labelers.append(Labeler(Person(user, number, address, seed), job, outcomes))
    return People(labelers)
