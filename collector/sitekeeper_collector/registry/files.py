"""A whole list of sites from a CSV file: entries where every line is right, else all that is wrong with it."""

import difflib
from collections import Counter
from pathlib import Path

from msgspec import Struct

from sitekeeper_collector.registry import table
from sitekeeper_collector.registry.entry import FieldProblem, Note, Problem, SiteEntry
from sitekeeper_collector.registry.fields import COLUMNS, Column, cell, column_of, title_key

_ENCODINGS = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8 with mark", "utf-16": "UTF-16", "gb18030": "GBK/GB18030"}


class Parsed(Struct, frozen=True, kw_only=True):
    """What a file holds. ``sites`` are to be used only if there are no ``problems``."""

    encoding: str = ""
    separator: str = ""
    sites: tuple[SiteEntry, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Note, ...] = ()


class SitesFileError(ValueError):
    """A list of sites that can't be taken; ``problems`` says all that is wrong with it."""

    def __init__(self, file: str, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(describe(file, problem) for problem in problems))
        self.problems = problems


def describe(file: str, problem: Problem) -> str:
    """One line for a person: where, what, why, and what would be right."""
    where = f"{file}:{problem.line}:" if problem.line else f"{file}:"
    named = f" {problem.column}:" if problem.column else ""
    shown = f" {problem.value!r}:" if problem.value else ""
    return f"{where}{named}{shown} {problem.reason}; {problem.right}"


def describe_note(file: str, note: Note) -> str:
    """One line for a person."""
    return f"{file}:{note.line}: {note.column}: {note.value!r}: {note.text}"


def read_sites(file: Path) -> tuple[SiteEntry, ...]:
    """The sites of ``file``. Raises ``SitesFileError``, and ``OSError`` if it can't be read."""
    parsed = parse(file.read_bytes())
    if parsed.problems:
        raise SitesFileError(str(file), parsed.problems)
    return parsed.sites


def parse(data: bytes) -> Parsed:
    """All sites and all problems of a CSV file's bytes."""
    try:
        content = table.read(data)
    except table.TableError as err:
        return Parsed(problems=(Problem(line=err.line, column="", value="", reason=err.reason, right=err.right),))
    columns, problems, notes = _header(content.header)
    sites: list[tuple[int, SiteEntry]] = []
    if not problems:
        for row in content.rows:
            entry, wrong = _entry(row, columns, content.header)
            problems += wrong
            if entry is not None:
                sites.append((row.line, entry))
        problems += _doubles(sites)
        notes += _short_ids(sites)
        if not content.rows:
            problems.append(_problem(content.header.line, "", "", "no site stands below the titles", "one line for each site"))
    return Parsed(
        encoding=_ENCODINGS[content.encoding],
        separator=content.separator,
        sites=tuple(entry for _, entry in sites),
        problems=tuple(sorted(problems, key=lambda p: p.line)),
        notes=tuple(notes),
    )


def _problem(line: int, column: str, value: str, reason: str, right: str) -> Problem:
    shown = value if len(value) <= 60 else value[:57] + "..."
    return Problem(line=line, column=column, value=shown, reason=reason, right=right)


def _header(header: table.Row) -> tuple[list[Column | None], list[Problem], list[Note]]:
    columns = [column_of(title) for title in header.cells]
    problems: list[Problem] = []
    notes: list[Note] = []
    seen: set[str] = set()
    known = [title for column in COLUMNS for title in column.titles]
    for title, column in zip(header.cells, columns, strict=True):
        if column is None and title.strip():
            close = difflib.get_close_matches(title_key(title), known, 1, 0.75)
            text = "this column is not known and left out" + (f"; did you mean {close[0]}?" if close else "")
            notes.append(Note(line=header.line, column=title.strip(), value="", text=text))
        elif column is not None and column.field in seen:
            problems.append(_problem(header.line, title, "", "this column is there twice", "keep one of the two"))
        elif column is not None:
            seen.add(column.field)
    for column in COLUMNS:
        if column.required and column.field not in seen:
            right = f"add a column titled {column.field} or {column.titles[-1]}"
            problems.append(_problem(header.line, column.field, "", "this column is missing", right))
    return columns, problems, notes


def _entry(row: table.Row, columns: list[Column | None], header: table.Row) -> tuple[SiteEntry | None, list[Problem]]:
    problems: list[Problem] = []
    values: dict[str, object] = {}
    if any(extra.strip() for extra in row.cells[len(columns) :]):
        extra = " ".join(row.cells[len(columns) :])
        right = "put a value that holds the separator into quotation marks"
        problems.append(_problem(row.line, "", extra, f"more cells than the {len(columns)} titles", right))
    for at, column in enumerate(columns):
        if column is None:
            continue
        raw = row.cells[at] if at < len(row.cells) else ""
        try:
            values[column.field] = column.read(cell(raw))
        except FieldProblem as err:
            problems.append(_problem(row.line, header.cells[at].strip().lstrip("\ufeff"), raw, err.reason, err.right))
    return (None if problems else SiteEntry(**values)), problems  # type: ignore[arg-type]


def _doubles(sites: list[tuple[int, SiteEntry]]) -> list[Problem]:
    first: dict[str, tuple[int, str]] = {}
    problems = []
    for line, site in sites:
        before = first.setdefault(site.id.casefold(), (line, site.id))
        if before[0] != line:
            same = before[1] == site.id
            reason = f"line {before[0]} has this id already" if same else f"it differs from line {before[0]} in case only"
            problems.append(_problem(line, "id", site.id, reason, "every site has an id of its own"))
    return problems


def _short_ids(sites: list[tuple[int, SiteEntry]]) -> list[Note]:
    """Ids of digits that are shorter than nearly all others: spreadsheets drop leading zeros."""
    lengths = Counter(len(site.id) for _, site in sites if site.id.isdecimal())
    if not lengths:
        return []
    usual, count = lengths.most_common(1)[0]
    if count < 3 or count < 0.8 * lengths.total():
        return []
    text = f"the other ids have {usual} digits; has a spreadsheet dropped a leading zero?"
    return [
        Note(line=line, column="id", value=site.id, text=text)
        for line, site in sites
        if site.id.isdecimal() and len(site.id) < usual
    ]
