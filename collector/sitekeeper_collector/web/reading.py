"""What the pages ask the database."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, or_, select

from sitekeeper_collector.store import evidence, queries
from sitekeeper_collector.store.evidence import Absence
from sitekeeper_collector.store.tables import absences, faults, heartbeat, site_state, sites, tickets
from sitekeeper_collector.store.tickets import UNDONE
from sitekeeper_collector.web.views import Facts, Standing, Trouble, standing

MOST_SITES = 500


class SiteRow(NamedTuple):
    """A site in a list."""

    id: str
    name: str
    county: str
    township: str
    access_node: str
    line_number: str
    facts: Facts | None
    standing: Standing


class SiteDetails(NamedTuple):
    """A site's entry in the register, as its page shows it: names of fields and their texts."""

    row: SiteRow
    fields: tuple[tuple[str, str], ...]


_STATE = tuple(site_state.c[name] for name in Facts._fields if name in site_state.c)
_LINE = ("carrier", "line_number", "account", "loid", "line_phone")
_LIST = (sites.c.id, sites.c.name, sites.c.county, sites.c.township, sites.c.access_node, sites.c.line_number)


def last_heartbeat_ms(connection: Connection) -> int | None:
    """When the collector last proved that it hears; ``None``: it never has."""
    return connection.execute(select(func.max(heartbeat.c.seen_ms))).scalar_one_or_none()


def site_rows(connection: Connection, search: str, *, blind: bool, now_ms: int, most: int | None = None) -> list[SiteRow]:
    """Sites whose name, id, township, access node or line number holds ``search``, by township and name."""
    query = select(*_LIST, *_STATE).select_from(sites.outerjoin(site_state, site_state.c.site == sites.c.id))
    for word in search.split()[:5]:
        query = query.where(holds(word, *_LIST, sites.c.account))
    rows = connection.execute(query.order_by(sites.c.county, sites.c.township, sites.c.name, sites.c.id).limit(most))
    known = trouble(connection)
    return [_row(tuple(row), known, blind=blind, now_ms=now_ms) for row in rows]


def trouble(connection: Connection) -> Trouble:
    """The sites that something is wrong with, as far as it is known."""
    lasting = (absences.c.to_ms.is_(None), absences.c.concluded_ms.is_(None), absences.c.goodbye == "")
    return Trouble(
        frozenset(connection.execute(select(faults.c.site).where(faults.c.ended_ms.is_(None)).distinct()).scalars()),
        frozenset(connection.execute(select(tickets.c.site).where(tickets.c.state.in_(UNDONE)).distinct()).scalars()),
        frozenset(connection.execute(select(absences.c.site).where(*lasting, absences.c.suspected_ms.is_not(None))).scalars()),
        frozenset(connection.execute(select(absences.c.site).where(*lasting)).scalars()),
    )


def holds(word: str, *columns: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether one of the columns holds ``word``, taken literally."""
    pattern = "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    return or_(*(column.ilike(pattern, escape="\\") for column in columns))


def site_details(connection: Connection, site: str, *, blind: bool, now_ms: int) -> SiteDetails | None:
    """One site, if it is registered."""
    more = [sites.c[name] for name in ("feeder", "account", "loid", "line_phone", "carrier", "hours", "profile", "contacts")]
    found = connection.execute(
        select(*_LIST, *_STATE, *more)
        .select_from(sites.outerjoin(site_state, site_state.c.site == sites.c.id))
        .where(sites.c.id == site)
    ).one_or_none()
    if found is None:
        return None
    row = _row(tuple(found)[: len(_LIST) + len(_STATE)], trouble(connection), blind=blind, now_ms=now_ms)
    names = ("county", "township", "access_node", "feeder", *_LINE, "hours", "contacts", "profile")
    fields = tuple((name, str(getattr(found, name))) for name in names if getattr(found, name))
    return SiteDetails(row, fields)


def absence_of(connection: Connection, site: str, now_ms: int) -> Absence | None:
    """The time that a site has not been heard for, if it lasts."""
    lasting = [one for one in evidence.absences_between(connection, site, now_ms, now_ms) if one.to_ms is None]
    return lasting[-1] if lasting else None


def newest_samples(connection: Connection, site: str, most: int) -> list[queries.SampleRecord]:
    """The newest samples of a site, the newest first."""
    return queries.samples(connection, site=site, since_ms=0, limit=most)


def _row(values: tuple[object, ...], known: Trouble, *, blind: bool, now_ms: int) -> SiteRow:
    listed, state = values[: len(_LIST)], values[len(_LIST) :]
    facts = None if state[0] is None else Facts(*state)  # type: ignore[arg-type]
    stands = known.of(str(listed[0])) or standing(facts, blind=blind, now_ms=now_ms)
    return SiteRow(*map(str, listed), facts, stands)  # type: ignore[arg-type, call-arg]
