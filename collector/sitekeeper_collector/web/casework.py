"""What the pages ask the database about tickets and their mails."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, Text, cast, func, select

from sitekeeper_collector.domain.tickets import NoticeEvent, Ticket, TicketState
from sitekeeper_collector.notify.view import Answering, LineIdentity, MailView
from sitekeeper_collector.store import tickets as stored
from sitekeeper_collector.store.outbox import Mail, of_ticket
from sitekeeper_collector.store.tables import mails, sites, tickets
from sitekeeper_collector.store.tickets import UNDONE
from sitekeeper_collector.web.reading import holds
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, Severity

PER_PAGE = 30


class TicketRow(NamedTuple):
    """A ticket in a list. Of a site that is not registered (any more), the name is its id."""

    number: str
    site: str
    site_name: str
    township: str
    kind: Kind
    party: Party
    grade: Grade
    severity: Severity
    state: TicketState
    opened_ms: int
    outage_from_ms: int
    outage_to_ms: int | None
    acknowledged_by: str
    claimed_ms: int | None
    parent: str


class Place(NamedTuple):
    """What the register says of the site of a ticket."""

    name: str = ""
    township: str = ""
    access_node: str = ""
    account: str = ""
    loid: str = ""
    line_phone: str = ""


class Wanted(NamedTuple):
    """Which tickets: their states (none: all), party, kind, and a word of number, site or place."""

    states: tuple[str, ...] = ()
    party: str = ""
    kind: str = ""
    search: str = ""


_OWN = tuple(name for name in TicketRow._fields if name in tickets.c)
_JOINED = tickets.outerjoin(sites, sites.c.id == tickets.c.site)


def listed(connection: Connection, wanted: Wanted, *, skip: int = 0, most: int | None = None) -> list[TicketRow]:
    """Tickets, the newest first."""
    query = _narrowed(_rows(), wanted).order_by(tickets.c.opened_ms.desc(), tickets.c.number.desc())
    return [_row(row) for row in connection.execute(query.offset(skip).limit(most))]


def how_many(connection: Connection, wanted: Wanted) -> int:
    """How many tickets there are of these."""
    return int(connection.execute(_narrowed(select(func.count()).select_from(_JOINED), wanted)).scalar_one())


def kinds(connection: Connection) -> list[Kind]:
    """The kinds that there are tickets of, in the order of the catalogue."""
    found = set(connection.execute(select(tickets.c.kind).distinct()).scalars())
    return [kind for kind in Kind if kind.value in found]


def waiting(connection: Connection) -> list[TicketRow]:
    """All tickets that wait for somebody."""
    return listed(connection, Wanted(states=UNDONE))


def of_site(connection: Connection, site: str, most: int) -> list[TicketRow]:
    """The tickets of a site: those that wait for somebody first, then the newest of the others, ``most`` of these."""
    query = _rows().where(tickets.c.site == site).order_by(tickets.c.opened_ms.desc(), tickets.c.number.desc())
    undone = [_row(row) for row in connection.execute(query.where(tickets.c.state.in_(UNDONE)))]
    return undone + [_row(row) for row in connection.execute(query.where(tickets.c.state.not_in(UNDONE)).limit(most))]


def untold(connection: Connection) -> list[tuple[Party, int]]:
    """Open tickets whose party nobody was mailed for, because nobody is set for it: how many, by party."""
    thread = tickets.c.number + "/" + cast(tickets.c.thread, Text)
    told = select(mails.c.ticket).where(mails.c.ticket == tickets.c.number, mails.c.thread == thread).exists()
    query = select(tickets.c.party, func.count()).where(
        tickets.c.state.in_(UNDONE), tickets.c.parent == "", tickets.c.thread > 0, ~told
    )
    return [(Party(party), int(count)) for party, count in connection.execute(query.group_by(tickets.c.party))]


def place_of(connection: Connection, site: str) -> Place | None:
    """What the register says of a site, if it is there."""
    found = connection.execute(select(*(sites.c[name] for name in Place._fields)).where(sites.c.id == site)).one_or_none()
    return None if found is None else Place(*map(str, found))


def related(connection: Connection, ticket: Ticket) -> list[TicketRow]:
    """The tickets that ``ticket`` explains, the newest first."""
    rows = connection.execute(_rows().where(tickets.c.parent == ticket.number).order_by(tickets.c.opened_ms.desc()))
    return [_row(row) for row in rows]


def mail_of(connection: Connection, number: str, thread: str, at: int, recipient: str) -> Mail | None:
    """One mail about a ticket."""
    for mail in of_ticket(connection, number):
        if (mail.row.thread, mail.row.number, mail.row.recipient) == (thread, at, recipient):
            return mail
    return None


def view_of(
    connection: Connection, ticket: Ticket, place: Place, members: Sequence[str], *, now_ms: int, utc_offset_min: int
) -> MailView:
    """The ticket as its mails would show it now: for the carrier's text and for names of findings."""
    return MailView(
        event=NoticeEvent.OPENED,
        ticket=ticket.number,
        at_ms=now_ms,
        site=ticket.site,
        site_name=place.name or ticket.site,
        kind=ticket.kind,
        party=ticket.party,
        grade=ticket.grade,
        severity=ticket.severity,
        started_ms=ticket.outage_from_ms,
        ended_ms=ticket.outage_to_ms,
        township=place.township,
        line=LineIdentity(account=place.account, loid=place.loid, phone=place.line_phone),
        evidence=ticket.evidence,
        timeline=stored.timeline_of(connection, ticket.number),
        closing=ticket.closing,
        area=(ticket.area.rpartition("/")[2] or place.access_node) if members else "",
        members=tuple(members),
        answering=Answering(),
        utc_offset_min=utc_offset_min,
    )


def _rows() -> Select[Any]:
    return select(*(tickets.c[name] for name in _OWN), sites.c.name, sites.c.township).select_from(_JOINED)


def _narrowed(query: Select[Any], wanted: Wanted) -> Select[Any]:
    if wanted.states:
        query = query.where(tickets.c.state.in_(wanted.states))
    if wanted.party:
        query = query.where(tickets.c.party == wanted.party)
    if wanted.kind:
        query = query.where(tickets.c.kind == wanted.kind)
    for word in wanted.search.split()[:5]:
        query = query.where(holds(word, tickets.c.number, tickets.c.site, sites.c.name, sites.c.township))
    return query


def _row(row: Row[Any]) -> TicketRow:
    values = {name: getattr(row, name) for name in _OWN}
    words = {
        "kind": Kind(row.kind),
        "party": Party(row.party),
        "grade": Grade(row.grade),
        "severity": Severity(row.severity),
        "state": TicketState(row.state),
    }
    return TicketRow(**values | words, site_name=row.name or row.site, township=row.township or "")
