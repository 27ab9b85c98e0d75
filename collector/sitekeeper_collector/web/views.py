"""What the pages show, decided from plain values; nothing here reads a database or a clock."""

from collections.abc import Iterable
from enum import StrEnum, unique
from typing import NamedTuple

from sitekeeper_collector.domain.readings import member
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import Presence, Sample
from sitekeeper_protocol.vocabulary import Metric, Rung, State

GRACE_MS = 90_000
"""How long after its promise a site may still be on its way: a reconnect with back-off."""


@unique
class Standing(StrEnum):
    """How a site stands, for whoever looks at the list. Silence is no fault."""

    TROUBLE = "trouble"
    """A fault that lasts, or a ticket that waits for somebody."""
    SUSPECTED = "suspected"
    """Not heard, and there is reason to think that its line is the cause."""
    NOTICED = "noticed"
    """Its newest sample fails, for too short a time to call it a fault."""
    UNCLEAR = "unclear"
    UP = "up"
    OFF = "off"
    GOODBYE = "goodbye"
    NEVER = "never"
    BLIND = "blind"


class Facts(NamedTuple):
    """What the store knows of a site now. Times 0: never. ``rung`` 0: none."""

    last_heard_ms: int
    presence: str
    promised_ms: int
    verdict_ms: int
    verdict_state: int
    verdict_rung: int


class Trouble(NamedTuple):
    """The sites with a fault that lasts, with a ticket that waits for somebody, those whose line is suspected, and all that
    have broken their promise and are not heard."""

    faults: frozenset[str] = frozenset()
    tickets: frozenset[str] = frozenset()
    suspected: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()

    def of(self, site: str) -> Standing | None:
        """What it makes of a site; ``None``: nothing."""
        if site in self.faults:
            return Standing.TROUBLE
        if site in self.suspected:
            return Standing.SUSPECTED
        if site in self.tickets:
            return Standing.TROUBLE
        # The watch has given it all the time that it may take; who looks at the page need not wait any longer.
        return Standing.OFF if site in self.silent else None


def standing(facts: Facts | None, *, blind: bool, now_ms: int) -> Standing:
    """How a site stands that no fault, ticket or suspicion is known of.

    While we are blind, nothing is said of a site whose promise has run out.
    """
    if facts is None or not facts.last_heard_ms:
        return Standing.BLIND if blind else Standing.NEVER
    if facts.presence == Presence.STOPPING:
        return Standing.GOODBYE
    if now_ms > facts.promised_ms + GRACE_MS or facts.presence == Presence.LOST:
        return Standing.BLIND if blind else Standing.OFF
    if facts.verdict_state == State.OK and facts.verdict_ms:
        return Standing.UP
    return Standing.NOTICED if facts.verdict_state in (State.FAIL, State.DEGRADED) else Standing.UNCLEAR


def counts(standings: Iterable[Standing]) -> dict[Standing, int]:
    """How many sites stand how; every word is there."""
    found = dict.fromkeys(Standing, 0)
    for one in standings:
        found[one] += 1
    return found


def by_path(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    """Readings by path, lowest rung first."""
    paths: dict[str, list[Reading]] = {}
    for reading in readings:
        paths.setdefault(reading.path, []).append(reading)
    return {path: sorted(of_path, key=lambda r: (r.rung, r.label)) for path, of_path in sorted(paths.items())}


def verdict(sample: Sample) -> tuple[State | None, Rung | None]:
    """What the ladder of a sample came to."""
    values = sample.values
    return member(State, values.get((Metric.VERDICT_STATE, ""))), member(Rung, values.get((Metric.VERDICT_RUNG, "")))
