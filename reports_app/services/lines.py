"""The lines of a report as one SQL statement, and how its cells are written. Everything runs inside Postgres."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg2 import sql

from ..kinds import NATIVE, PLACES

FORMULA = "^[ \u3000]*[=+@\t\r\n|%\uff1d\uff0b\uff0d\uff20-]"
NUMBER = "^[+-]?[0-9][0-9.,]*(e[+-]?[0-9]+)?$"
NULL = sql.SQL("NULL::text")
SHARE_PLACES = 6
"""Decimal places of confidences in reports of workflows."""
MOST_ARGUMENTS = 50
"""Of one call of a function; Postgres takes a hundred."""


@dataclass(frozen=True)
class Cell:
    """One column. `name` is its header; `free` ones hold text that people wrote, which may look like a formula.

    `share`: the value is a float8 from 0 to 1, written as plain decimals. All others are written as they are, and
    in a report of JSON objects they are numbers, true or false.
    """

    name: str
    value: sql.Composable
    free: bool = False
    share: bool = False

    def as_csv(self, column: sql.Composable, *, safe: bool) -> sql.Composable:
        """The cell of a CSV; NULL when it is empty."""
        if self.share:
            return rounded(column)
        if not self.free:
            return column
        return defused(column) if safe else sql.SQL("nullif({}, '')").format(column)

    def as_json(self, column: sql.Composable) -> sql.Composed:
        """The value in a JSON object, as text: what the CSV's cell is, null where that is empty."""
        text = rounded(column) if self.share else column
        if self.free:
            text = sql.SQL("to_json(nullif({}, ''))").format(column)
        return sql.SQL("coalesce({}::text, 'null')").format(text)


@dataclass(frozen=True)
class Lines:
    """What a report says, line by line: SELECT `cells` FROM `table` `joins` WHERE `where` ORDER BY `order`.

    `joins` only adds to each line (LEFT JOIN, LATERAL), so that lines can be counted without it, unless it is
    `known` how many there are (0: nobody knows beforehand). `is_json`: the one cell of a line is a JSON object, and
    there is no header.
    """

    cells: Sequence[Cell]
    table: sql.Composable
    where: sql.Composable
    order: Sequence[sql.Composable]
    joins: sql.Composable | None = None
    is_json: bool = False
    known: int | None = None

    @property
    def names(self) -> list[str]:
        return [] if self.is_json else [cell.name for cell in self.cells]

    def count(self) -> sql.Composed:
        """The statement that counts the lines."""
        return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(self.table, self.where)

    def query(self, *, safe: bool) -> sql.Composed:
        """The statement behind the report. `safe`: cells that a spreadsheet would run are defused."""
        columns = self._columns()
        return self._select(cell.as_csv(column, safe=safe) for cell, column in zip(self.cells, columns, strict=True))

    def objects(self) -> sql.Composed:
        """As `query`, but each line is one JSON object with the names of the cells as keys."""
        parts: list[sql.Composable] = []
        for cell, column in zip(self.cells, self._columns(), strict=True):
            key = f"{', ' if parts else '{'}{json.dumps(cell.name, ensure_ascii=False)}: "
            parts += [sql.Literal(key), cell.as_json(column)]
        return self._select([concatenated([*parts, sql.Literal("}")])])

    def _columns(self) -> list[sql.Identifier]:
        return [sql.Identifier(f"c{number}") for number in range(len(self.cells))]

    def _select(self, outer: Iterable[sql.Composable]) -> sql.Composed:
        """`outer` of the cells, which an inner SELECT works out.

        That is fenced off by OFFSET 0, so that each cell is worked out once and not for every look at it.
        """
        keys = [sql.Identifier(f"k{number}") for number in range(len(self.order))]
        inner = [
            sql.SQL("{} AS {}").format(cell.value, column)
            for cell, column in zip(self.cells, self._columns(), strict=True)
        ]
        inner += [sql.SQL("{} AS {}").format(key, name) for key, name in zip(self.order, keys, strict=True)]
        return sql.SQL(
            "SELECT {outer} FROM (SELECT {inner} FROM {table} {joins} WHERE {where} ORDER BY {order} OFFSET 0) AS line"
            " ORDER BY {keys}"
        ).format(
            outer=listed(outer),
            inner=listed(inner),
            table=self.table,
            joins=self.joins or sql.SQL(""),
            where=self.where,
            order=listed(self.order),
            keys=listed(keys),
        )


def listed(parts: Iterable[sql.Composable]) -> sql.Composed:
    """The parts with commas between them."""
    return sql.SQL(", ").join(parts)


def all_of(conditions: Iterable[sql.Composable]) -> sql.Composed:
    """The conditions joined by AND."""
    return sql.SQL(" AND ").join(conditions)


def concatenated(texts: Sequence[sql.Composable]) -> sql.Composable:
    """The texts one after the other."""
    while len(texts) > MOST_ARGUMENTS:
        groups = [texts[first : first + MOST_ARGUMENTS] for first in range(0, len(texts), MOST_ARGUMENTS)]
        texts = [concatenated(group) for group in groups]
    return sql.SQL("concat({})").format(listed(texts))


def defused(text: sql.Composable) -> sql.Composed:
    """A text as a cell that no spreadsheet runs, as lib.csvio.safe_cell does it; empty texts are empty cells.

    Nearly every text begins with a plain letter or digit, and comparing bytes is several times faster than a
    regular expression.
    """
    return sql.SQL(
        """CASE WHEN ({0} >= 'A' COLLATE "C" AND {0} < '{{' COLLATE "C")"""
        """ OR ({0} >= '0' COLLATE "C" AND {0} < ':' COLLATE "C") THEN {0}"""
        " WHEN {0} ~ {1} AND {0} !~* {2} THEN '''' || {0} ELSE nullif({0}, '') END"
    ).format(text, sql.Literal(FORMULA), sql.Literal(NUMBER))


def decimal(number: sql.Composable, places: int = PLACES) -> sql.Composed:
    """A number as plain decimals: rounded, at least one place, never an exponent."""
    pattern = f"FM{'9' * 15}0.0{'9' * (places - 1)}"
    return sql.SQL("to_char(({})::numeric, {})").format(number, sql.Literal(pattern))


def rounded(share: sql.Composable) -> sql.Composed:
    """A float8 from 0 to 1 exactly as `decimal` with SHARE_PLACES writes it, five times faster.

    A number of millionths divided by a million is the float8 next to those six decimals, and Postgres writes it with
    just these. It does not below 0.0001 (an exponent) and without any decimals left; and too near to the middle
    between two millionths, `decimal` looks at fewer digits than a float8 has.
    """
    return sql.SQL(
        "CASE WHEN {0} >= 0.0001 AND {0} < 0.999999 AND abs({0} * 1e6 - floor({0} * 1e6) - 0.5) > 1e-6"
        " THEN (floor({0} * 1e6 + 0.5) / 1e6)::text WHEN {0} = 0 THEN '0.0' WHEN {0} = 1 THEN '1.0' ELSE {1} END"
    ).format(share, decimal(share, SHARE_PLACES))


def flag(condition: sql.Composable) -> sql.Composed:
    """true, false, or an empty cell when it is not known."""
    return sql.SQL("CASE WHEN {0} THEN 'true' WHEN NOT ({0}) THEN 'false' END").format(condition)


def moment(time: sql.Composable, style: str) -> sql.Composed:
    """A time in UTC: 2016-01-28T19:02:18.000Z, or in the native style 1/28/2016 19:02:18."""
    pattern = "FMMM/FMDD/YYYY FMHH24:MI:SS" if style == NATIVE else 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'
    return sql.SQL("to_char({} AT TIME ZONE 'UTC', {})").format(time, sql.Literal(pattern))


def joined(texts: sql.Composable) -> sql.Composed:
    """A JSON list of texts as one cell, one text on each line."""
    return sql.SQL(
        "(SELECT string_agg(each.text, E'\\n' ORDER BY each.place)"
        " FROM jsonb_array_elements_text({}) WITH ORDINALITY AS each(text, place))"
    ).format(texts)


def at(json: str, *path: str | int) -> sql.Composed:
    """What lies at a path of a jsonb column, as jsonb: at("u.result", "colour", "answers", 0)."""
    steps = [sql.SQL(" -> {}").format(sql.Literal(step)) for step in path]
    return sql.Composed([sql.SQL(json), *steps])


def text_at(json: str, *path: str | int) -> sql.Composed:
    """What lies at a path of a jsonb column, as text."""
    return sql.SQL("{} ->> {}").format(at(json, *path[:-1]), sql.Literal(path[-1]))
