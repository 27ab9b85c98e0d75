"""A maintenance ticket from its opening to its end: what may happen to it, what its timeline says, what mail it owes.

Each transition takes the ticket as it is and gives a ``Change``: the ticket as it is then, the entries to append to its
timeline, and the notices that are owed for it, all to be stored together. What can't be done is refused with a code.

A thread is one conversation by mail with one party. Whoever is mailed first is mailed all that follows; whoever never was
hears nothing of it. A ticket that another one explains (``parent``) owes nothing: one mail per person and incident.
"""

from enum import StrEnum, unique
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, Severity

SYSTEM = ""
"""Who did something, where no person did."""
REOPENS_WITHIN_MS = 24 * 3_600_000
"""So long after its resolution the same ticket opens again; later a new one names it as ``previous``."""
MOST_TEXT = 2000
"""Characters of a comment or a description of a repair."""


@unique
class TicketState(StrEnum):
    """How far a ticket has come."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    CLOSED = "closed"


@unique
class Closing(StrEnum):
    """Why a ticket was closed without a repair."""

    MERGED = "merged"
    """Another ticket, its parent, goes on for both."""
    EXPLAINED = "explained"
    """There was no fault: switched off, or without power."""
    OWN_BLINDNESS = "own_blindness"
    """The centre could not hear; nothing is known of the site."""
    MISTAKEN = "mistaken"


@unique
class What(StrEnum):
    """What an entry of a timeline says."""

    OPENED = "opened"
    ACKNOWLEDGED = "acknowledged"
    COMMENTED = "commented"
    REPAIR_CLAIMED = "repair_claimed"
    REQUESTED = "requested"
    """Somebody at the site asked for repair."""
    RESOLVED = "resolved"
    """By a person."""
    RECOVERED = "recovered"
    """By evidence."""
    REOPENED = "reopened"
    AMENDED = "amended"
    RETIMED = "retimed"
    MOVED = "moved"
    TAKEN_IN = "taken_in"
    """Another ticket, its parent, explains it."""
    CAME_OUT = "came_out"
    """It outlives its parent."""
    MERGED = "merged"
    WITHDRAWN = "withdrawn"


@unique
class NoticeEvent(StrEnum):
    """What a mail has to tell."""

    OPENED = "opened"
    RECOVERED = "recovered"
    REOPENED = "reopened"
    AMENDED = "amended"
    MOVED_AWAY = "moved_away"
    MOVED_HERE = "moved_here"
    CLOSED = "closed"


@unique
class Refusal(StrEnum):
    """Why a transition can't be made."""

    CLOSED = "closed"
    """Closed tickets never open again, whatever becomes known."""
    NOT_OPEN = "not_open"
    """It is resolved."""
    ALREADY = "already"
    """It has been acknowledged, or is closed, before."""
    STILL_OPEN = "still_open"
    TOO_LATE = "too_late"
    """Resolved more than a day ago: a new ticket, which names this one as ``previous``."""
    ITSELF = "itself"
    EMPTY = "empty"
    TOO_LONG = "too_long"
    NO_PERSON = "no_person"


class TicketRefused(ValueError):
    """A transition that the ticket's state does not allow, or that lacks something; ``code`` says which."""

    def __init__(self, number: str, code: Refusal) -> None:
        super().__init__(f"{number}: {code}")
        self.code = code


class Evidence(Struct, frozen=True, kw_only=True):
    """What a ticket rests on: the judged ladder, lowest rung first, and further findings as (name, value)."""

    readings: tuple[Reading, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


class Fault(Struct, frozen=True, kw_only=True):
    """What is known of a fault at a site. ``ended_ms`` is ``None`` while it lasts; ``episode`` names the record of it."""

    kind: Kind
    party: Party
    grade: Grade
    severity: Severity
    started_ms: int
    ended_ms: int | None = None
    episode: str = ""
    evidence: Evidence = Evidence()


class Ticket(Struct, frozen=True, kw_only=True):
    """A ticket. ``outage_*_ms`` span the fault from its first beginning to its last end; the ledger knows the gaps.

    ``thread`` and ``notices`` count: threads begun so far, and notices within the newest. ``addressee`` is the party of the
    newest thread, ``None`` until something was sent. ``entries`` counts the timeline; ``changed_ms`` is its last instant.
    """

    number: str
    site: str
    kind: Kind
    party: Party
    grade: Grade
    severity: Severity
    state: TicketState
    opened_ms: int
    changed_ms: int
    outage_from_ms: int
    outage_to_ms: int | None = None
    acknowledged_ms: int | None = None
    acknowledged_by: str = ""
    claimed_ms: int | None = None
    """When somebody said that it is repaired, as long as nothing has confirmed or refuted it."""
    resolved_ms: int | None = None
    closed_ms: int | None = None
    closing: Closing | None = None
    episode: str = ""
    evidence: Evidence = Evidence()
    parent: str = ""
    previous: str = ""
    reopened: int = 0
    thread: int = 0
    notices: int = 0
    addressee: Party | None = None
    entries: int = 0
    area: str = ""
    """What its sites have in common (``areas.Group.key``), if it is about several; ``site`` is the first of them."""


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """One line of a ticket's timeline, the ``number``-th; ``who`` is empty for the system."""

    ticket: str
    number: int
    at_ms: int
    who: str
    what: What
    details: dict[str, str | int] = {}


class Notice(NamedTuple):
    """A mail that is owed: the ``number``-th (from 0) of its thread. Together they name it for good.

    ``at_once``: else it is a line of the next summary.
    """

    event: NoticeEvent
    party: Party
    thread: str
    number: int
    at_once: bool = True


class Change(NamedTuple):
    """What a transition comes to, to be stored in one transaction."""

    ticket: Ticket
    entries: tuple[TimelineEntry, ...]
    notices: tuple[Notice, ...] = ()


def open_from(
    fault: Fault,
    *,
    number: str,
    site: str,
    now_ms: int,
    parent: str = "",
    previous: str = "",
    area: str = "",
    told_already: bool = False,
) -> Change:
    """A new ticket for a fault that lasts. ``parent``: the ticket that explains it; ``previous``: one of the same fault.

    ``area``: what its sites have in common; ``told_already``: its party was mailed for one of them, and hears the rest there.
    """
    if fault.ended_ms is not None:
        raise TicketRefused(number, Refusal.NOT_OPEN)
    ticket = replace(_new(fault, number, site, now_ms, parent, previous), area=area)
    details = _told(kind=fault.kind, party=fault.party, grade=fault.grade, parent=parent, previous=previous)
    opened = _enter(ticket, now_ms, SYSTEM, What.OPENED, details)
    return opened if told_already else _notify(opened, NoticeEvent.OPENED)


def born_resolved(fault: Fault, *, number: str, site: str, now_ms: int, parent: str = "", previous: str = "") -> Change:
    """A ticket for a fault that was proven only after it had ended: no mail, one line of the next summary."""
    if fault.ended_ms is None:
        raise TicketRefused(number, Refusal.STILL_OPEN)
    ticket = replace(
        _new(fault, number, site, now_ms, parent, previous),
        state=TicketState.RESOLVED,
        resolved_ms=now_ms,
        outage_to_ms=max(fault.started_ms, fault.ended_ms),
    )
    details = _told(kind=fault.kind, party=fault.party, grade=fault.grade, parent=parent, previous=previous)
    opened = _enter(ticket, now_ms, SYSTEM, What.OPENED, details)
    resolved = _more(opened, _enter(opened.ticket, now_ms, SYSTEM, What.RECOVERED, _told(ended_ms=ticket.outage_to_ms)))
    told = _notify(resolved, NoticeEvent.RECOVERED, at_once=False)
    # A line of a summary is no mail that others could follow: whoever hears of it next hears of it first.
    return told._replace(ticket=replace(told.ticket, addressee=None))


def acknowledge(ticket: Ticket, *, by: str, now_ms: int) -> Change:
    """Somebody has taken it up."""
    _must_be_open(ticket)
    if ticket.state is TicketState.ACKNOWLEDGED:
        raise TicketRefused(ticket.number, Refusal.ALREADY)
    person = _person(ticket, by)
    at_ms = max(now_ms, ticket.changed_ms)
    taken = replace(ticket, state=TicketState.ACKNOWLEDGED, acknowledged_ms=at_ms, acknowledged_by=person)
    return _enter(taken, now_ms, person, What.ACKNOWLEDGED)


def comment(ticket: Ticket, *, by: str, text: str, now_ms: int) -> Change:
    """Somebody says something, at any time."""
    return _enter(ticket, now_ms, _person(ticket, by), What.COMMENTED, {"text": _text(ticket, text)})


def requested(ticket: Ticket, *, code: str, now_ms: int) -> Change:
    """Somebody at the site has asked for repair, at any time; ``code``: the 8 digits that its PC showed, if any."""
    return _enter(ticket, now_ms, SYSTEM, What.REQUESTED, _told(code=code))


def claim_repaired(ticket: Ticket, *, by: str, text: str = "", now_ms: int) -> Change:
    """Somebody says that it is repaired: to be checked on fresh samples, which end in ``recover`` or ``reopen``."""
    _must_be_open(ticket)
    person = _person(ticket, by)
    details = _told(text=_text(ticket, text)) if text.strip() else {}
    claimed = replace(ticket, claimed_ms=max(now_ms, ticket.changed_ms))
    return _enter(claimed, now_ms, person, What.REPAIR_CLAIMED, details)


def resolve(ticket: Ticket, *, by: str, how: str, now_ms: int, ended_ms: int | None = None) -> Change:
    """A person vouches that it is over, where nothing measures it; since ``ended_ms``, else since now."""
    _must_be_open(ticket)
    person, text = _person(ticket, by), _text(ticket, how)
    resolved = _end(ticket, now_ms if ended_ms is None else ended_ms, now_ms)
    entered = _enter(resolved, now_ms, person, What.RESOLVED, _told(text=text, ended_ms=resolved.outage_to_ms))
    return _notify(entered, NoticeEvent.RECOVERED)


def recover(ticket: Ticket, *, ended_ms: int, now_ms: int, evidence: Evidence | None = None) -> Change:
    """The evidence shows that it is over, since ``ended_ms``."""
    _must_be_open(ticket)
    resolved = _end(ticket, ended_ms, now_ms)
    if evidence is not None:
        resolved = replace(resolved, evidence=evidence)
    entered = _enter(resolved, now_ms, SYSTEM, What.RECOVERED, _told(ended_ms=resolved.outage_to_ms))
    return _notify(entered, NoticeEvent.RECOVERED)


def may_reopen(ticket: Ticket, now_ms: int) -> bool:
    """Whether the same fault, seen again, opens this ticket again; if not it needs a new one."""
    return _reopen_refusal(ticket, now_ms) is None


def reopen(ticket: Ticket, *, why: str, now_ms: int, by: str = SYSTEM, evidence: Evidence | None = None) -> Change:
    """The fault is there again within a day, or a claimed repair did not hold; ``why`` says what shows it."""
    refusal = _reopen_refusal(ticket, now_ms)
    if refusal is not None:
        raise TicketRefused(ticket.number, refusal)
    again = replace(
        ticket,
        state=TicketState.OPEN if ticket.acknowledged_ms is None else TicketState.ACKNOWLEDGED,
        resolved_ms=None,
        claimed_ms=None,
        outage_to_ms=None,
        # What it was a part of is over with it: what comes back is its own, and its party is told.
        parent="" if ticket.state is TicketState.RESOLVED else ticket.parent,
        reopened=ticket.reopened + 1,
        evidence=ticket.evidence if evidence is None else evidence,
    )
    entered = _enter(again, now_ms, by, What.REOPENED, _told(why=_text(ticket, why), times=again.reopened))
    return _notify(_with_addressee(entered), NoticeEvent.REOPENED)


def amend(ticket: Ticket, fault: Fault, *, now_ms: int, by: str = SYSTEM) -> Change:
    """The truth has become known: ``fault`` is what it really is, or was.

    Over already: the same number with the true kind, resolved, and one line to whoever was mailed. Continuing: moved to the
    right party in a new thread, and the old party is told once; or, for the same party, told in the same thread.
    """
    _must_be_open(ticket, or_resolved=fault.ended_ms is not None)
    true = replace(
        ticket,
        kind=fault.kind,
        party=fault.party,
        grade=fault.grade,
        severity=fault.severity,
        outage_from_ms=fault.started_ms,
        episode=fault.episode or ticket.episode,
        evidence=fault.evidence,
    )
    details = _told(kind=fault.kind, was=ticket.kind, party=fault.party, was_party=ticket.party, grade=fault.grade)
    if fault.ended_ms is not None:
        ended = _end(true, fault.ended_ms, now_ms)
        return _notify(
            _enter(ended, now_ms, by, What.AMENDED, _told(**details, ended_ms=ended.outage_to_ms)), NoticeEvent.AMENDED
        )
    if fault.party is ticket.party:
        return _notify(_enter(true, now_ms, by, What.AMENDED, details), NoticeEvent.AMENDED)
    return _move(true, details, now_ms, by)


def retime(ticket: Ticket, *, from_ms: int, to_ms: int | None, now_ms: int) -> Change:
    """Late evidence gives other times for the same fault: noted in the timeline, and no reason for a mail."""
    if ticket.state is TicketState.CLOSED:
        raise TicketRefused(ticket.number, Refusal.CLOSED)
    ended_ms = None if to_ms is None or ticket.resolved_ms is None else max(from_ms, to_ms)
    retimed = replace(ticket, outage_from_ms=from_ms, outage_to_ms=ended_ms)
    return _enter(retimed, now_ms, SYSTEM, What.RETIMED, _told(from_ms=from_ms, ended_ms=ended_ms))


def take_in(ticket: Ticket, *, into: str, now_ms: int) -> Change:
    """A cause that was found later explains it: ``into``. Whoever was mailed hears the rest as before, nobody else does."""
    _must_be_open(ticket)
    if into == ticket.number:
        raise TicketRefused(ticket.number, Refusal.ITSELF)
    return _enter(replace(ticket, parent=into), now_ms, SYSTEM, What.TAKEN_IN, _told(into=into))


def come_out(ticket: Ticket, *, now_ms: int) -> Change:
    """Its cause is over, and it is not: from now on it is a fault of its own, and its party is told, unless it was before."""
    _must_be_open(ticket)
    entered = _enter(replace(ticket, parent=""), now_ms, SYSTEM, What.CAME_OUT, _told(parent=ticket.parent))
    return entered if ticket.addressee is ticket.party else _notify(_with_addressee(entered), NoticeEvent.OPENED)


def merge(ticket: Ticket, *, into: str, now_ms: int, by: str = SYSTEM) -> Change:
    """Another ticket, ``into``, goes on for both."""
    if into == ticket.number:
        raise TicketRefused(ticket.number, Refusal.ITSELF)
    return _close(replace(ticket, parent=into), Closing.MERGED, What.MERGED, _told(into=into), now_ms, by)


def withdraw(ticket: Ticket, *, closing: Closing, now_ms: int, by: str = SYSTEM, text: str = "") -> Change:
    """There is nothing to repair. ``closing`` says why."""
    if closing is Closing.MERGED:
        raise TicketRefused(ticket.number, Refusal.ITSELF)
    details = _told(closing=closing, text=_text(ticket, text) if text.strip() else "")
    return _close(ticket, closing, What.WITHDRAWN, details, now_ms, by)


# --- parts -------------------------------------------------------------------------------------------------------------


def _new(fault: Fault, number: str, site: str, now_ms: int, parent: str, previous: str) -> Ticket:
    if number in (parent, previous):
        raise TicketRefused(number, Refusal.ITSELF)
    return Ticket(
        number=number,
        site=site,
        kind=fault.kind,
        party=fault.party,
        grade=fault.grade,
        severity=fault.severity,
        state=TicketState.OPEN,
        opened_ms=now_ms,
        changed_ms=now_ms,
        outage_from_ms=fault.started_ms,
        episode=fault.episode,
        evidence=fault.evidence,
        parent=parent,
        previous=previous,
    )


def _told(**details: str | int | None) -> dict[str, str | int]:
    """Details without those that say nothing; words of a closed list as plain text."""
    return {name: str(value) if isinstance(value, str) else value for name, value in details.items() if value not in ("", None)}


def _enter(ticket: Ticket, now_ms: int, who: str, what: What, details: dict[str, str | int] | None = None) -> Change:
    """``ticket`` with one more entry. A server clock that was put back does not put entries before earlier ones."""
    at_ms, number = max(now_ms, ticket.changed_ms), ticket.entries + 1
    entry = TimelineEntry(ticket=ticket.number, number=number, at_ms=at_ms, who=who, what=what, details=details or {})
    return Change(replace(ticket, entries=number, changed_ms=at_ms), (entry,))


def _more(first: Change, then: Change) -> Change:
    return Change(then.ticket, first.entries + then.entries, first.notices + then.notices)


def _notify(change: Change, event: NoticeEvent, *, at_once: bool = True) -> Change:
    """``change`` with the notice that it owes in the newest thread; the first one begins a thread with the ticket's party."""
    ticket = change.ticket
    begins = event in (NoticeEvent.OPENED, NoticeEvent.MOVED_HERE, NoticeEvent.REOPENED) or not at_once
    if ticket.addressee is None and begins and not ticket.parent:
        ticket = replace(ticket, addressee=ticket.party, thread=ticket.thread + 1, notices=0)
    if ticket.addressee is None:
        return change._replace(ticket=ticket)
    notice = Notice(event, ticket.addressee, f"{ticket.number}/{ticket.thread}", ticket.notices, at_once)
    return Change(replace(ticket, notices=ticket.notices + 1), change.entries, (*change.notices, notice))


def _with_addressee(change: Change) -> Change:
    """``change``, its thread ended if that is not with the party whose job it is now: an amended one may come back."""
    ticket = change.ticket
    keep = ticket.addressee in (None, ticket.party)
    return change if keep else change._replace(ticket=replace(ticket, addressee=None))


def _move(ticket: Ticket, details: dict[str, str | int], now_ms: int, by: str) -> Change:
    """To another party: its clock begins anew, and so does its thread; who had it before is told once, if ever mailed."""
    fresh = replace(ticket, state=TicketState.OPEN, acknowledged_ms=None, acknowledged_by="", claimed_ms=None)
    moved = _notify(_enter(fresh, now_ms, by, What.MOVED, details), NoticeEvent.MOVED_AWAY)
    return _notify(_with_addressee(moved), NoticeEvent.MOVED_HERE)


def _end(ticket: Ticket, ended_ms: int, now_ms: int) -> Ticket:
    """Resolved (since when it was, if it was), with an outage from its start to ``ended_ms``, and never less than no time."""
    return replace(
        ticket,
        state=TicketState.RESOLVED,
        resolved_ms=max(now_ms, ticket.changed_ms) if ticket.resolved_ms is None else ticket.resolved_ms,
        claimed_ms=None,
        outage_to_ms=max(ticket.outage_from_ms, ended_ms),
    )


def _close(ticket: Ticket, closing: Closing, what: What, details: dict[str, str | int], now_ms: int, by: str) -> Change:
    if ticket.state is TicketState.CLOSED:
        raise TicketRefused(ticket.number, Refusal.ALREADY)
    closed = replace(
        ticket, state=TicketState.CLOSED, closed_ms=max(now_ms, ticket.changed_ms), closing=closing, claimed_ms=None
    )
    return _notify(_enter(closed, now_ms, by, what, details), NoticeEvent.CLOSED)


def _must_be_open(ticket: Ticket, *, or_resolved: bool = False) -> None:
    if ticket.state is TicketState.CLOSED:
        raise TicketRefused(ticket.number, Refusal.CLOSED)
    if ticket.state is TicketState.RESOLVED and not or_resolved:
        raise TicketRefused(ticket.number, Refusal.NOT_OPEN)


def _reopen_refusal(ticket: Ticket, now_ms: int) -> Refusal | None:
    if ticket.state is TicketState.CLOSED:
        return Refusal.CLOSED
    if ticket.state is not TicketState.RESOLVED:
        return Refusal.STILL_OPEN if ticket.claimed_ms is None else None
    late = ticket.resolved_ms is not None and now_ms - ticket.resolved_ms > REOPENS_WITHIN_MS
    return Refusal.TOO_LATE if late else None


def _person(ticket: Ticket, by: str) -> str:
    name = by.strip()
    if not name:
        raise TicketRefused(ticket.number, Refusal.NO_PERSON)
    return name


def _text(ticket: Ticket, text: str) -> str:
    kept = text.strip()
    if not kept:
        raise TicketRefused(ticket.number, Refusal.EMPTY)
    if len(kept) > MOST_TEXT:
        raise TicketRefused(ticket.number, Refusal.TOO_LONG)
    return kept
