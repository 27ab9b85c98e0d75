"""Sites that are not in the register, and their reports until they are.

Their agents get no receipts and so keep their data too; what is held here only makes the first picture after the import
come at once.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, exists, func, insert, select, update

from sitekeeper_collector.store import tallies
from sitekeeper_collector.store.statements import delete_by_id, insert_into
from sitekeeper_collector.store.tables import held_reports, sites, unknown_sites

MAX_REPORTS = 4000
MAX_REPORTS_OF_A_SITE = 100
MAX_PAYLOAD_BYTES = 64 * 1024
MAX_UNKNOWN_SITES = 10_000
NOT_HELD = "reports_of_unknown_sites_not_held"
NOT_LISTED = "unknown_sites_not_listed"
_CHUNK = 500


class Held(NamedTuple):
    """A report of a site that is not in the register."""

    site: str
    topic: str
    received_ms: int
    payload: bytes


class Heard(NamedTuple):
    """How often, since when and in which area an unknown site was heard."""

    area: str
    first_ms: int
    last_ms: int
    messages: int


_insert = insert_into(held_reports, *Held._fields)
_delete = delete_by_id(held_reports)


def registered(connection: Connection, names: Collection[str]) -> set[str]:
    """Which of ``names`` are in the register."""
    wanted = list(names)
    found: set[str] = set()
    for at in range(0, len(wanted), _CHUNK):
        found.update(connection.scalars(select(sites.c.id).where(sites.c.id.in_(wanted[at : at + _CHUNK]))))
    return found


def list_unknown(connection: Connection, heard: Mapping[str, Heard]) -> None:
    """Note that unknown sites were heard; beyond a bound new ones are only counted."""
    room: int | None = None
    for site, news in heard.items():
        raised = (
            update(unknown_sites)
            .where(unknown_sites.c.site == site)
            .values(area=news.area, last_ms=news.last_ms, messages=unknown_sites.c.messages + news.messages)
        )
        if connection.execute(raised).rowcount:
            continue
        if room is None:
            room = MAX_UNKNOWN_SITES - connection.execute(select(func.count()).select_from(unknown_sites)).scalar_one()
        if room <= 0:
            tallies.count(connection, {NOT_LISTED: 1}, news.last_ms)
            continue
        room -= 1
        connection.execute(insert(unknown_sites).values(site=site, **news._asdict()))


def hold(connection: Connection, reports: Sequence[Held], now_ms: int) -> None:
    """Keep reports as far as there is room."""
    if not reports:
        return
    names = {report.site for report in reports}
    counts = select(held_reports.c.site, func.count()).where(held_reports.c.site.in_(names)).group_by(held_reports.c.site)
    of_site: dict[str, int] = {row[0]: row[1] for row in connection.execute(counts)}
    total = connection.execute(select(func.count()).select_from(held_reports)).scalar_one()
    kept: list[Held] = []
    for report in reports:
        number = of_site.get(report.site, 0)
        if total >= MAX_REPORTS or number >= MAX_REPORTS_OF_A_SITE or len(report.payload) > MAX_PAYLOAD_BYTES:
            continue
        of_site[report.site] = number + 1
        total += 1
        kept.append(report)
    _insert.run(connection, [report._asdict() for report in kept])
    tallies.count(connection, {NOT_HELD: len(reports) - len(kept)}, now_ms)


_known_now = exists().where(sites.c.id == held_reports.c.site)
_released = select(held_reports).where(_known_now).order_by(held_reports.c.id)
_no_longer_unknown = delete(unknown_sites).where(exists().where(sites.c.id == unknown_sites.c.site))


def released(connection: Connection, limit: int) -> list[tuple[int, Held]]:
    """Held reports, with their ids, of sites that are in the register by now."""
    rows = connection.execute(_released.limit(limit))
    return [(row.id, Held(row.site, row.topic, row.received_ms, row.payload)) for row in rows]


def let_go(connection: Connection, ids: Sequence[int]) -> None:
    """Held reports went through ingest: take them, and their sites' names, off the lists."""
    if ids:
        _delete.run(connection, [{"id": number} for number in ids])
        connection.execute(_no_longer_unknown)
