"""What people of a site ask for: the 8 digits that they read out by phone, and the button "ask for repair"."""

from typing import NamedTuple

from sqlalchemy import Connection

from sitekeeper_collector.domain import spoken, tickets
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.domain.spoken import Act
from sitekeeper_collector.domain.tickets import Ticket, TicketState
from sitekeeper_collector.store import evidence
from sitekeeper_collector.store import tickets as stored
from sitekeeper_collector.watch.desk import Desk
from sitekeeper_protocol.sitecode import SiteCodeError, SpokenCode, decode
from sitekeeper_protocol.vocabulary import Grade, Kind

ASK_FOR_REPAIR = "ask_for_repair"
"""The button's name on the wire."""
LATE_MS = 900_000
"""A request that comes so much later speaks of what was then, which may be over."""


class Request(NamedTuple):
    """Somebody at a site asked for repair at ``at_ms``; ``code``: the 8 digits that were shown then."""

    site: str
    at_ms: int
    code: str


def take_button(connection: Connection, desk: Desk, rules: Rules, request: Request, now_ms: int) -> Ticket:
    """The ticket that a request is noted in, opened if need be."""
    try:
        told, digits = decode(request.code, request.site), request.code
    except SiteCodeError:
        told, digits = None, ""
    kind = spoken.kind_of(told)
    known = _covering(connection, request.site, kind, request.at_ms)
    if known is None:
        if now_ms - request.at_ms > LATE_MS:
            kind = Kind.REPORTED
        known = find_or_open(connection, desk, rules, request.site, kind, told, digits, at_ms=request.at_ms, now_ms=now_ms)
    return desk.apply(connection, tickets.requested(known, code=digits, now_ms=now_ms), now_ms)


def find_or_open(
    connection: Connection,
    desk: Desk,
    rules: Rules,
    site: str,
    kind: Kind,
    told: SpokenCode | None,
    digits: str,
    *,
    at_ms: int,
    now_ms: int,
) -> Ticket:
    """The ticket of what a site says is wrong: the one that waits for somebody, or a new one."""
    undone = stored.undone_of(connection, site)
    decided = spoken.decide(kind, undone)
    if decided.act is Act.NOTE:
        return next(ticket for ticket in undone if ticket.number == decided.number)
    fault = spoken.fault_of(kind, told, digits, rules, proven=_proven(connection, site, kind, now_ms), at_ms=at_ms)
    if decided.act is Act.AMEND:
        return desk.change(connection, decided.number, lambda it: tickets.amend(it, fault, now_ms=now_ms), now_ms)
    number = desk.number(connection, now_ms)
    opened = desk.apply(connection, tickets.open_from(fault, number=number, site=site, now_ms=now_ms), now_ms)
    if spoken.explains_silence(kind):
        # When the site returns, its own record then tells this ticket what it really was.
        evidence.give_absence_ticket(connection, site, number)
    return opened


def _covering(connection: Connection, site: str, kind: Kind, at_ms: int) -> Ticket | None:
    """The ticket of this kind whose outage the request falls into, though it may be over by now."""
    ticket = stored.latest_of_kind(connection, site, kind)
    if ticket is None or ticket.state is TicketState.CLOSED or ticket.outage_from_ms > at_ms:
        return None
    return ticket if ticket.outage_to_ms is None or at_ms <= ticket.outage_to_ms + LATE_MS else None


def _proven(connection: Connection, site: str, kind: Kind, now_ms: int) -> bool:
    lasting = (kept.episode for kept in evidence.faults_since(connection, site, now_ms) if kept.episode.ended_ms is None)
    return any(episode.kind is kind and episode.grade is Grade.PROVEN for episode in lasting)
