"""Tickets and their timelines in the database."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update

from sitekeeper_collector.domain.tickets import Closing, Evidence, Ticket, TicketState, TimelineEntry, What
from sitekeeper_collector.store import changes
from sitekeeper_collector.store.tables import meta, tickets, timeline
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, Severity

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Evidence).decode
_COUNTER = "tickets_of_day"
UNDONE = (TicketState.OPEN.value, TicketState.ACKNOWLEDGED.value)
"""States in which a ticket waits for somebody."""


def new_number(connection: Connection, day: str) -> str:
    """The next number of a day (``YYMMDD``): short enough to be read out, and not given twice by a store that went back in time
    by a day or more."""
    found = connection.execute(select(meta.c.value).where(meta.c.name == _COUNTER)).scalar_one_or_none()
    known_day, _, last = (found or "").partition("-")
    count = int(last) + 1 if known_day == day else 1
    value = f"{day}-{count}"
    if found is None:
        connection.execute(insert(meta).values(name=_COUNTER, value=value))
    else:
        connection.execute(update(meta).where(meta.c.name == _COUNTER).values(value=value))
    return value


def find(connection: Connection, number: str) -> Ticket | None:
    """The ticket of that number."""
    row = connection.execute(select(tickets).where(tickets.c.number == number)).one_or_none()
    return None if row is None else read(row)


def latest_of_kind(connection: Connection, site: str, kind: Kind) -> Ticket | None:
    """The newest ticket of a kind at a site, however it stands; not one of an area that begins with this site."""
    query = select(tickets).where(tickets.c.site == site, tickets.c.kind == kind.value, tickets.c.area == "")
    row = connection.execute(query.order_by(tickets.c.opened_ms.desc(), tickets.c.number.desc()).limit(1)).one_or_none()
    return None if row is None else read(row)


def undone_of(connection: Connection, site: str) -> list[Ticket]:
    """The tickets of a site that wait for somebody, oldest first; not those of an area."""
    mine = (tickets.c.site == site, tickets.c.area == "")
    query = select(tickets).where(*mine, tickets.c.state.in_(UNDONE)).order_by(tickets.c.opened_ms)
    return [read(row) for row in connection.execute(query)]


def children_of(connection: Connection, number: str) -> list[Ticket]:
    """The tickets that ``number`` explains."""
    return [read(row) for row in connection.execute(select(tickets).where(tickets.c.parent == number))]


def undone_numbers(connection: Connection, sites: Sequence[str]) -> dict[str, list[str]]:
    """The numbers of the tickets that wait for somebody, by site."""
    found: dict[str, list[str]] = {}
    query = select(tickets.c.site, tickets.c.number).where(tickets.c.site.in_(sites), tickets.c.state.in_(UNDONE))
    for site, number in connection.execute(query.order_by(tickets.c.opened_ms)):
        found.setdefault(site, []).append(number)
    return found


def save(connection: Connection, ticket: Ticket) -> None:
    """Write a ticket, new or changed."""
    values = _write(ticket)
    done = connection.execute(update(tickets).where(tickets.c.number == ticket.number).values(values))
    if not done.rowcount:
        connection.execute(insert(tickets).values(values))
    changes.note(connection, changes.TICKET, (ticket.number,))


def append(connection: Connection, entries: Sequence[TimelineEntry]) -> None:
    """Add to a timeline. An entry whose number is taken is an error: two changed a ticket at once, and one must do so again."""
    for entry in entries:
        connection.execute(
            insert(timeline).values(
                ticket=entry.ticket,
                number=entry.number,
                at_ms=entry.at_ms,
                who=entry.who,
                what=entry.what.value,
                details=msgspec.json.encode(entry.details).decode(),
            )
        )


def timeline_of(connection: Connection, number: str) -> tuple[TimelineEntry, ...]:
    """A ticket's timeline, oldest first."""
    rows = connection.execute(select(timeline).where(timeline.c.ticket == number).order_by(timeline.c.number))
    return tuple(
        TimelineEntry(
            ticket=row.ticket,
            number=row.number,
            at_ms=row.at_ms,
            who=row.who,
            what=What(row.what),
            details=msgspec.json.decode(row.details, type=dict[str, str | int]),
        )
        for row in rows
    )


def counts(connection: Connection) -> dict[TicketState, int]:
    """How many tickets are in which state."""
    rows = connection.execute(select(tickets.c.state, func.count()).group_by(tickets.c.state))
    return dict.fromkeys(TicketState, 0) | {TicketState(state): int(number) for state, number in rows}


def read(row: Row[Any]) -> Ticket:
    """A row as a value."""
    return Ticket(
        number=row.number,
        site=row.site,
        kind=Kind(row.kind),
        party=Party(row.party),
        grade=Grade(row.grade),
        severity=Severity(row.severity),
        state=TicketState(row.state),
        opened_ms=row.opened_ms,
        changed_ms=row.changed_ms,
        outage_from_ms=row.outage_from_ms,
        outage_to_ms=row.outage_to_ms,
        acknowledged_ms=row.acknowledged_ms,
        acknowledged_by=row.acknowledged_by,
        claimed_ms=row.claimed_ms,
        resolved_ms=row.resolved_ms,
        closed_ms=row.closed_ms,
        closing=None if row.closing is None else Closing(row.closing),
        episode=row.episode,
        evidence=_decode(row.evidence),
        parent=row.parent,
        previous=row.previous,
        reopened=row.reopened,
        thread=row.thread,
        notices=row.notices,
        addressee=None if row.addressee is None else Party(row.addressee),
        entries=row.entries,
        area=row.area,
    )


def _write(ticket: Ticket) -> dict[str, Any]:
    values = {name: getattr(ticket, name) for name in Ticket.__struct_fields__}
    words = {
        name: value.value for name, value in values.items() if isinstance(value, Kind | Party | Grade | Severity | TicketState)
    }
    closing = None if ticket.closing is None else ticket.closing.value
    return values | words | {"closing": closing, "evidence": _encode(ticket.evidence)}
