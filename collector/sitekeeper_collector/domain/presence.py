"""Whether a site is there, from births, goodbyes, wills and live reports that may come late, twice or out of order.

A hint, never proof: a will is missed, comes late, or fires because the same agent took its session over.
"""

from enum import StrEnum, unique
from typing import NamedTuple

from sitekeeper_protocol.messages import Presence

UNKNOWN = ""


class Known(NamedTuple):
    """What is believed of a site: its presence (empty: nothing yet), on whose word, and since when we know."""

    presence: str = UNKNOWN
    reason: str = ""
    run: int = 0
    connection: int = 0
    since_ms: int = 0


class Told(NamedTuple):
    """A status message. ``superseded``: the store knows this run as one that another has followed."""

    presence: Presence
    reason: str
    run: int
    connection: int
    superseded: bool


@unique
class Why(StrEnum):
    """What became of a status."""

    TAKEN = "taken"
    SAME = "same"
    LOWER_CONNECTION = "lower_connection"
    SUPERSEDED_RUN = "superseded_run"
    OTHER_RUN = "other_run"
    """A will or goodbye of a run that never was the current one says nothing about the current one."""
    AFTER_GOODBYE = "after_goodbye"
    """The will of a connection whose agent had said goodbye: the goodbye tells more."""


def hear(known: Known, told: Told, now_ms: int) -> tuple[Known, Why]:
    """What is believed after a status, retained or not."""
    if known.presence != UNKNOWN:
        why = _stale(known, told)
        if why is not None:
            return known, why
    same = (known.presence, known.reason) == (told.presence.value, told.reason) and known.run == told.run
    since_ms = known.since_ms if same else now_ms
    believed = Known(told.presence.value, told.reason, told.run, told.connection, since_ms)
    return believed, Why.SAME if same else Why.TAKEN


def _stale(known: Known, told: Told) -> Why | None:
    if told.run == known.run:
        if told.connection < known.connection:
            return Why.LOWER_CONNECTION
        if told.connection == known.connection and told.presence is Presence.LOST and known.presence == Presence.STOPPING:
            return Why.AFTER_GOODBYE
        return None
    if told.superseded:
        return Why.SUPERSEDED_RUN
    return None if told.presence is Presence.ONLINE else Why.OTHER_RUN


def hear_live_report(known: Known, run: int, connection: int, *, current: bool, now_ms: int) -> Known:
    """What is believed after a live report; ``current``: its run is not one that another has followed.

    A report of the connection that ended was under way when it ended; one of a later connection proves a new birth.
    """
    if not current:
        return known
    if run == known.run and (connection < known.connection or connection == known.connection):
        return known
    online = Presence.ONLINE.value
    since_ms = known.since_ms if known.presence == online and run == known.run else now_ms
    return Known(online, "", run, connection, since_ms)


class Promise(NamedTuple):
    """The newest live report, and by when the next was promised."""

    run: int = 0
    connection: int = 0
    number: int = 0
    due_ms: int = 0


def renew(known: Promise, report: Promise, *, current: bool) -> Promise:
    """The promise that counts: the newest live report's, of a run that no other has followed."""
    if not current:
        return known
    if known.run == report.run and (report.connection, report.number) <= (known.connection, known.number):
        return known
    return report
