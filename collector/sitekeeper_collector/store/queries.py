"""What others read from the store: each function is one question, each answer a list of plain values."""

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from sitekeeper_collector.store import tables
from sitekeeper_collector.store.samples import content
from sitekeeper_protocol.messages import Sample


class UnknownSite(NamedTuple):
    """A site that was heard and is not in the register."""

    site: str
    area: str
    first_ms: int
    last_ms: int
    messages: int
    held_reports: int


class SampleRecord(NamedTuple):
    """A stored sample; ``payload`` is the report that holds its values."""

    site: str
    run: int
    sequence: int
    wall_ms: int
    boottime_ms: int
    placed_ms: int | None
    placement: str
    received_ms: int
    payload: bytes

    def content(self) -> Sample:
        """What was measured. Raises ``ProtocolError`` if the bytes were damaged."""
        return content(self.payload, self.sequence)


class FindingRecord(NamedTuple):
    """Something that a person should look at; open while ``closed_ms`` is ``None``."""

    site: str
    kind: str
    times: int
    first_ms: int
    last_ms: int
    closed_ms: int | None
    detail: str


class QuarantineRecord(NamedTuple):
    """A message that could not be taken in."""

    site: str
    topic: str
    received_ms: int
    code: str
    detail: str
    size: int
    payload: bytes


def unknown_sites(connection: Connection) -> list[UnknownSite]:
    """Unknown sites, the last heard first."""
    held = (
        select(tables.held_reports.c.site, func.count().label("reports")).group_by(tables.held_reports.c.site).subquery("held")
    )
    known = tables.unknown_sites
    rows = connection.execute(
        select(*known.columns, func.coalesce(held.c.reports, 0).label("held"))
        .select_from(known.outerjoin(held, held.c.site == known.c.site))
        .order_by(known.c.last_ms.desc(), known.c.site)
    )
    return [UnknownSite(row.site, row.area, row.first_ms, row.last_ms, row.messages, row.held) for row in rows]


def last_heard(connection: Connection) -> dict[str, int]:
    """When each site was last heard."""
    state = tables.site_state
    return {row.site: row.last_heard_ms for row in connection.execute(select(state.c.site, state.c.last_heard_ms))}


def samples(connection: Connection, *, site: str | None, since_ms: int, limit: int) -> list[SampleRecord]:
    """Samples received since ``since_ms``, the newest first: by when they were taken, as far as that is known."""
    table, reports = tables.samples, tables.reports
    its_report = (reports.c.site == table.c.site) & (reports.c.run == table.c.run) & (reports.c.first == table.c.report)
    query = (
        select(*(table.c[name] for name in SampleRecord._fields[:-1]), reports.c.payload)
        .select_from(table.join(reports, its_report))
        .where(table.c.received_ms >= since_ms)
    )
    if site is not None:
        query = query.where(table.c.site == site)
    newest = func.coalesce(table.c.placed_ms, table.c.not_after_ms).desc()
    rows = connection.execute(query.order_by(newest, table.c.site, table.c.run, table.c.sequence.desc()).limit(limit))
    return [SampleRecord._make(row) for row in rows]


def findings(connection: Connection, *, closed_too: bool = False) -> list[FindingRecord]:
    """Findings, the last seen first."""
    table = tables.findings
    columns = (table.c[{"times": "count"}.get(name, name)] for name in FindingRecord._fields)
    query = select(*columns).order_by(table.c.last_ms.desc(), table.c.id.desc())
    if not closed_too:
        query = query.where(table.c.closed_ms.is_(None))
    return [FindingRecord(*row) for row in connection.execute(query)]


def quarantine(connection: Connection, *, site: str | None, limit: int) -> list[QuarantineRecord]:
    """Messages in quarantine, the newest first."""
    table = tables.quarantine
    query = select(*(table.c[name] for name in QuarantineRecord._fields)).order_by(table.c.id.desc()).limit(limit)
    if site is not None:
        query = query.where(table.c.site == site)
    return [QuarantineRecord(*row) for row in connection.execute(query)]


class RunSummary(NamedTuple):
    """How much of one life of an agent is stored: ``missing`` samples lie below ``last`` and are not there."""

    run: int
    samples: int
    last: int
    last_heard_ms: int

    @property
    def missing(self) -> int:
        """Samples below the last that are not stored (dropped or refused ones count as missing here)."""
        return self.last - self.samples


def run_summaries(connection: Connection, site: str) -> list[RunSummary]:
    """The runs of a site, the last heard first."""
    table, runs = tables.samples, tables.runs
    counted = (
        select(table.c.run, func.count().label("samples"), func.max(table.c.sequence).label("last"))
        .where(table.c.site == site)
        .group_by(table.c.run)
        .subquery("counted")
    )
    rows = connection.execute(
        select(counted.c.run, counted.c.samples, counted.c.last, runs.c.last_heard_ms)
        .select_from(counted.join(runs, (runs.c.run == counted.c.run) & (runs.c.site == site)))
        .order_by(runs.c.last_heard_ms.desc())
    )
    return [RunSummary(*row) for row in rows]


def placements(connection: Connection, site: str) -> dict[str, int]:
    """How many samples of a site got their time in which way."""
    table = tables.samples
    rows = connection.execute(
        select(table.c.placement, func.count().label("samples")).where(table.c.site == site).group_by(table.c.placement)
    )
    return {row.placement: row.samples for row in rows}
