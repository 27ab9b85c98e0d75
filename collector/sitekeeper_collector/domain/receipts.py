"""Who is owed a receipt now, and how much it must tell."""

from enum import StrEnum, unique
from typing import NamedTuple

COMPLETE_DAYS_MS = 8 * 86_400_000
MAX_RUNS = 64


@unique
class Due(StrEnum):
    """Why a receipt goes out."""

    ASKED = "asked"
    REFUSED = "refused"
    """A report could not be read; its agent must not send it for ever."""
    FIRST = "first"
    """The first of this connection, or since the collector started."""
    PERIODIC = "periodic"
    TICKET = "ticket"


class Sent(NamedTuple):
    """The receipts that a site got from this process: for which (run, connection) the first was, and when the last."""

    connection: int
    sent_ms: int


class Evidence(NamedTuple):
    """What the reports of one site in a batch come to."""

    connection: int
    asked: bool
    refused: bool
    live: bool
    ticket: bool = False
    """A ticket of the site has changed: whoever is there shall see its number."""


class Owed(NamedTuple):
    """A receipt to send, why, and whether it lists every run of the site."""

    why: Due
    complete: bool


def owed(sent: Sent | None, evidence: Evidence, *, interval_ms: int, now_ms: int) -> Owed | None:
    """The receipt that a site is owed after a batch, if any."""
    first = sent is None or sent.connection != evidence.connection
    if evidence.refused:
        return Owed(Due.REFUSED, first)
    if evidence.asked:
        return Owed(Due.ASKED, first)
    if evidence.ticket:
        return Owed(Due.TICKET, first)
    if not evidence.live:
        return None
    if sent is None or first:
        return Owed(Due.FIRST, True)
    # A server clock that was put back must not silence the receipts.
    if not 0 <= now_ms - sent.sent_ms < interval_ms:
        return Owed(Due.PERIODIC, False)
    return None


def may_be_complete(runs: int) -> bool:
    """Whether a receipt that lists ``runs`` runs can claim to list them all: beyond 64 it has no room."""
    return runs <= MAX_RUNS
