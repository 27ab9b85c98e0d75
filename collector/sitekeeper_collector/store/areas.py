"""Areas in the database: what sites have in common, the tickets about several of them, and which sites these are about."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, or_, select, update

from sitekeeper_collector.domain.areas import Member
from sitekeeper_collector.domain.returning import Outcome
from sitekeeper_collector.domain.tickets import Ticket
from sitekeeper_collector.store import tickets as stored
from sitekeeper_collector.store.statements import insert_into
from sitekeeper_collector.store.tables import absences, area_members, site_state, sites, tickets

_CHUNK = 500
_UNDONE = stored.UNDONE
_insert_members = insert_into(area_members)


class Neighbour(NamedTuple):
    """A site of a group that is asked about, where it stands, and when it was heard last."""

    site: str
    county: str
    township: str
    access_node: str
    feeder: str
    hours: str
    last_live_ms: int


def neighbours(
    connection: Connection, *, access_nodes: Iterable[str], feeders: Iterable[str], townships: Iterable[str]
) -> list[Neighbour]:
    """All sites of these groups that were ever heard."""
    query = select(
        sites.c.id,
        sites.c.county,
        sites.c.township,
        sites.c.access_node,
        sites.c.feeder,
        sites.c.hours,
        site_state.c.last_live_ms,
    ).join(site_state, site_state.c.site == sites.c.id)
    found: dict[str, Neighbour] = {}
    asked = ((sites.c.access_node, access_nodes), (sites.c.feeder, feeders), (sites.c.township, townships))
    for column, names in asked:
        wanted = sorted(set(names) - {""})
        for at in range(0, len(wanted), _CHUNK):
            for row in connection.execute(query.where(column.in_(wanted[at : at + _CHUNK]), site_state.c.last_live_ms > 0)):
                found[row[0]] = Neighbour._make(row)
    return list(found.values())


def vanished(connection: Connection, of_sites: Sequence[str], since_ms: int) -> dict[str, list[int]]:
    """When sites vanished without a goodbye since an instant, and it was no fault."""
    found: dict[str, list[int]] = {}
    calm = (Outcome.POWER.value, Outcome.OFF.value)
    for at in range(0, len(of_sites), _CHUNK):
        query = select(absences.c.site, absences.c.from_ms).where(
            absences.c.site.in_(of_sites[at : at + _CHUNK]), absences.c.from_ms >= since_ms, absences.c.goodbye == ""
        )
        for site, from_ms in connection.execute(query.where(absences.c.outcome.in_(calm), absences.c.ticket == "")):
            found.setdefault(site, []).append(from_ms)
    return found


def add_members(connection: Connection, number: str, of_sites: Iterable[tuple[str, int]]) -> list[str]:
    """Let a ticket be about further sites, each with the id of its silence; those that are new to it."""
    known = set(connection.execute(select(area_members.c.site).where(area_members.c.ticket == number)).scalars())
    new = [(site, absence) for site, absence in of_sites if site not in known]
    _insert_members.run(
        connection, [{"ticket": number, "site": site, "absence": absence, "left_ms": None} for site, absence in new]
    )
    return [site for site, _ in new]


def leave(connection: Connection, number: str, of_sites: Sequence[str], now_ms: int) -> None:
    """Note that these sites outlive the area."""
    mine = (area_members.c.ticket == number, area_members.c.site.in_(of_sites))
    connection.execute(update(area_members).where(*mine).values(left_ms=now_ms))


def sites_of(connection: Connection, number: str) -> list[str]:
    """The sites that a ticket is about."""
    return list(connection.execute(select(area_members.c.site).where(area_members.c.ticket == number)).scalars())


def members(connection: Connection, number: str) -> list[Member]:
    """How the silent sites of an area stand."""
    rows = connection.execute(
        select(area_members.c.site, absences.c.to_ms, absences.c.outcome, tickets.c.outage_to_ms)
        .join(absences, absences.c.id == area_members.c.absence)
        .outerjoin(tickets, tickets.c.number == absences.c.ticket)
        .where(area_members.c.ticket == number)
    )
    return [Member(site, to_ms, Outcome(outcome) if outcome else None, ended_ms) for site, to_ms, outcome, ended_ms in rows]


def undone(connection: Connection) -> list[Ticket]:
    """The tickets about several sites that wait for somebody."""
    query = select(tickets).where(tickets.c.area != "", tickets.c.state.in_(_UNDONE)).order_by(tickets.c.opened_ms)
    return [stored.read(row) for row in connection.execute(query)]


def outliving(connection: Connection) -> list[tuple[Ticket, int]]:
    """Tickets that wait for somebody while the area that explained them is over, and since when it is."""
    lead = tickets.alias("lead")
    over_ms = func.coalesce(lead.c.resolved_ms, lead.c.closed_ms)
    rows = connection.execute(
        select(tickets, over_ms.label("over_ms"))
        .join(lead, lead.c.number == tickets.c.parent)
        .where(tickets.c.parent != "", tickets.c.state.in_(_UNDONE), lead.c.area != "", lead.c.state.not_in(_UNDONE))
        .where(or_(lead.c.resolved_ms.is_not(None), lead.c.closed_ms.is_not(None)))
    )
    return [(stored.read(row), int(row.over_ms)) for row in rows]
