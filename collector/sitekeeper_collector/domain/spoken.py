"""What the 8 digits of a site come to, read out by phone or sent with a request for repair: a fault, and what to do then."""

from collections.abc import Sequence
from enum import StrEnum, unique
from typing import NamedTuple

from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.domain.signs import RUNG_OF_KIND
from sitekeeper_collector.domain.tickets import Evidence, Fault, Ticket
from sitekeeper_protocol.sitecode import SpokenCode, spaced
from sitekeeper_protocol.vocabulary import Grade, Kind, Rung

FACT = "phone_code"
_OF_SILENCE = (Kind.SITE_DARK, Kind.LINE_SUSPECTED)


@unique
class Act(StrEnum):
    """What to do about a call or a request."""

    OPEN = "open"
    NOTE = "note"
    """A ticket of this kind waits for somebody already: it is noted there."""
    AMEND = "amend"
    """The ticket of the site's silence: the code tells the reason for it."""


class Decided(NamedTuple):
    """The act, and the number of the ticket that it is about (empty for a new one)."""

    act: Act
    number: str = ""


def kind_of(spoken: SpokenCode | None) -> Kind:
    """The kind that the code carries; ``reported`` where it carries none, or one that only a newer program knows."""
    return (spoken.kind if spoken is not None else None) or Kind.REPORTED


def fault_of(kind: Kind, spoken: SpokenCode | None, digits: str, rules: Rules, *, proven: bool, at_ms: int) -> Fault:
    """The fault of ``kind`` that the code told of at ``at_ms``, since at least as long as it says.

    ``proven``: whether the site's own record shows this fault already; else it is to be verified, for digits bring no evidence.
    """
    lasted_min = (spoken.lasting.least_minutes if spoken is not None else None) or 0
    return Fault(
        kind=kind,
        party=rules.party(kind),
        grade=Grade.PROVEN if proven else Grade.TO_VERIFY,
        severity=rules.severity(kind),
        started_ms=at_ms - 60_000 * lasted_min,
        evidence=Evidence(facts=((FACT, spaced(digits)),) if digits else ()),
    )


def explains_silence(kind: Kind) -> bool:
    """Whether a site with this fault can't be heard."""
    rung = RUNG_OF_KIND.get(kind)
    return rung is not None and rung <= Rung.DNS


def decide(kind: Kind, undone: Sequence[Ticket]) -> Decided:
    """What a code of ``kind`` asks, where ``undone`` are the site's tickets that wait for somebody."""
    for ticket in undone:
        if ticket.kind is kind:
            return Decided(Act.NOTE, ticket.number)
    if explains_silence(kind):
        for ticket in undone:
            if ticket.kind in _OF_SILENCE and not ticket.parent:
                return Decided(Act.AMEND, ticket.number)
    return Decided(Act.OPEN)
