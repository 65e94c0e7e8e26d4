"""The header of a workflow report (design §6.3). Pure.

Uploaded columns in the order in which they first appeared, then error, completed, machine_label:<class> and
human_label:<class> for every outcome, then the diagnostic columns when they are wanted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

ERROR, COMPLETED = "error", "completed"
MACHINE, HUMAN = "machine_label:", "human_label:"
REASON, MODEL_VERSION, LINE, FILE = "reason", "model_version", "line", "file"
DIAGNOSTICS = (REASON, MODEL_VERSION, LINE, FILE)
ORIGINAL = "orig_"


@dataclass(frozen=True)
class Header:
    """The report's columns.

    `uploaded` are the names as uploaded, `shown` the same columns as the report calls them; `outcomes` the
    classes in the order of the scores; `diagnostics` the columns at the end, () when they are off.
    """

    uploaded: tuple[str, ...]
    shown: tuple[str, ...]
    outcomes: tuple[str, ...]
    diagnostics: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        machine = [f"{MACHINE}{outcome}" for outcome in self.outcomes]
        human = [f"{HUMAN}{outcome}" for outcome in self.outcomes]
        return [*self.shown, ERROR, COMPLETED, *machine, *human, *self.diagnostics]

    def positions(self, columns: Sequence[str]) -> list[int | None]:
        """For each of `uploaded`, where an upload with these `columns` keeps it (from 1), None when it does not."""
        place = {column: number for number, column in enumerate(columns, 1)}
        return [place.get(column) for column in self.uploaded]


def make_header(uploads: Iterable[Sequence[str]], outcomes: Sequence[str], *, diagnostics: bool = True) -> Header:
    """The header for uploads with these columns (oldest first) and a model with these outcomes.

    An uploaded column that is called like one of ours keeps its cells under the name orig_<name> (as Appen's
    reports do), so that a program never reads a customer's `error` for ours. Names stay unique.
    """
    uploaded = tuple(dict.fromkeys(column for columns in uploads for column in columns))
    ends = DIAGNOSTICS if diagnostics else ()
    ours = {ERROR, COMPLETED, *ends}
    ours |= {f"{prefix}{outcome}" for prefix in (MACHINE, HUMAN) for outcome in outcomes}
    return Header(uploaded, keep_apart(uploaded, ours), tuple(outcomes), ends)


def keep_apart(uploaded: Sequence[str], ours: Collection[str]) -> tuple[str, ...]:
    """What a report calls the uploaded columns: orig_<name> where that name is one of ours. Names stay unique."""
    taken = {*ours, *uploaded}
    shown = []
    for column in uploaded:
        name = column
        if column in ours:
            name = f"{ORIGINAL}{column}"
            while name in taken:
                name = f"{ORIGINAL}{name}"
            taken.add(name)
        shown.append(name)
    return tuple(shown)
