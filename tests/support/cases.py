"""Tickets, faults and ledgers of a county, written through the desk and the store as the collector writes them."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import update

from sitekeeper_collector.config import Mail, Recipient
from sitekeeper_collector.domain import tickets
from sitekeeper_collector.domain.detection import Episode
from sitekeeper_collector.domain.ledger import Marker
from sitekeeper_collector.domain.signs import Play, Signs
from sitekeeper_collector.domain.spans import Span
from sitekeeper_collector.domain.tickets import Change, Evidence, Fault, Ticket
from sitekeeper_collector.store import evidence, sight, tables
from sitekeeper_collector.store.engine import Store
from sitekeeper_collector.store.evidence import Absence, PlacedMarker
from sitekeeper_collector.watch.desk import Desk
from sitekeeper_protocol.ladder import DIRECT, Reading
from sitekeeper_protocol.messages import PowerEvent
from sitekeeper_protocol.vocabulary import (
    GRADE_NUMBERS,
    KIND_NUMBERS,
    KINDS,
    PARTY_NUMBERS,
    Grade,
    Kind,
    Method,
    Party,
    Reason,
    Rung,
    Severity,
    State,
)

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
CHINA_MIN = 480
MAIL = Mail(
    recipients=(
        Recipient(party=Party.TELECOM, address="noc@carrier.example", lang="zh", name="青山电信"),
        Recipient(party=Party.TECHNICIAN, address="wang@county.example", lang="en"),
    ),
    phone="0371-5550199",
)
"""Nobody is set for the other parties."""
LINE_DOWN = Evidence(
    readings=(
        Reading(rung=Rung.LINK, path="ipv4", state=State.OK, method=Method.SYSTEM, target="eth0"),
        Reading(rung=Rung.ADDRESS, path="ipv4", state=State.OK, method=Method.SYSTEM),
        Reading(rung=Rung.GATEWAY, path="ipv4", state=State.OK, rtt_ms=0.6, method=Method.PING_SOCKET, target="192.168.1.1"),
        Reading(rung=Rung.MODEM, path="ipv4", state=State.OK, rtt_ms=1.9, method=Method.PING_SOCKET, target="192.168.100.1"),
        Reading(rung=Rung.ISP, path="ipv4", state=State.FAIL, reason=Reason.TIMEOUT, loss_ratio=1.0, target="10.71.0.1"),
        Reading(rung=Rung.DNS, path="ipv4", state=State.SILENT, reason=Reason.TIMEOUT),
        Reading(rung=Rung.DNS, path="ipv4", state=State.FAIL, reason=Reason.TIMEOUT, target="202.102.224.68", label=DIRECT),
        Reading(rung=Rung.PORTAL, path="ipv4", state=State.SILENT),
    ),
    facts=(("samples", "14"), ("access_node", "OLT-3"), ("playing", "1")),
)


class Cases:
    """Writes cases into a store. ``now_ms`` may be moved on."""

    def __init__(self, store: Store, now_ms: int, mail: Mail = MAIL) -> None:
        self.store, self.now_ms, self.desk = store, now_ms, Desk(mail, CHINA_MIN)

    def open(
        self,
        site: str,
        kind: Kind,
        *,
        party: Party | None = None,
        grade: Grade = Grade.PROVEN,
        severity: Severity | None = None,
        ago_ms: int = HOUR_MS,
        rests_on: Evidence = LINE_DOWN,
        parent: str = "",
        previous: str = "",
    ) -> Ticket:
        """A ticket for a fault that began ``ago_ms`` ago."""
        facts = KINDS[kind]
        fault = Fault(
            kind=kind,
            party=party or facts.party or Party.TECHNICIAN,
            grade=grade,
            severity=severity or facts.severity or Severity.MINOR,
            started_ms=self.now_ms - ago_ms,
            evidence=rests_on,
        )
        with self.store.write() as connection:
            number = self.desk.number(connection, self.now_ms)
            change = tickets.open_from(
                fault, number=number, site=site, now_ms=self.now_ms - ago_ms // 2, parent=parent, previous=previous
            )
            return self.desk.apply(connection, change, self.now_ms - ago_ms // 2)

    def take(self, ticket: Ticket, step: Any, **details: Any) -> Ticket:
        """One of the domain's steps with a ticket."""
        with self.store.write() as connection:

            def transition(current: Ticket) -> Change:
                change: Change = step(current, now_ms=self.now_ms, **details)
                return change

            return self.desk.change(connection, ticket.number, transition, self.now_ms)

    def fault(self, site: str, kind: Kind, *, ago_ms: int = HOUR_MS, ticket: str = "", ended: bool = False) -> None:
        """A fault that lasts, or has ended just now."""
        started_ms = self.now_ms - ago_ms
        episode = Episode(
            kind=kind,
            started_ms=started_ms,
            opened_ms=started_ms,
            bad_ms=self.now_ms,
            ended_ms=self.now_ms - 1 if ended else None,
            party=KINDS[kind].party,
            grade=Grade.PROVEN,
        )
        with self.store.write() as connection:
            evidence.save_fault(connection, site, episode, ticket)

    def absent(self, site: str, *, ago_ms: int = HOUR_MS, **more: Any) -> None:
        """A site that is not heard any more."""
        from_ms = self.now_ms - ago_ms
        with self.store.write() as connection:
            evidence.begin_absence(connection, Absence(0, site, from_ms, from_ms + MINUTE_MS, **more))

    def blind(self, from_ms: int, to_ms: int) -> None:
        """We could not hear."""
        with self.store.write() as connection:
            sight.was_blind(connection, from_ms, to_ms, "broker")

    def record(
        self, site: str, stretches: Iterable[tuple[int, int, State, Kind | None]], *, run: int = 1, goodbye: bool = False
    ) -> None:
        """A site's own record: stretches of time with the same verdict, and perhaps a goodbye at its end."""
        spans = []
        for at, (from_ms, to_ms, state, kind) in enumerate(stretches):
            first = 1 + at * 1000
            spans.append((site, Span(run, first, first + 999, from_ms, to_ms, _signs(state, kind))))
        with self.store.write() as connection:
            evidence.add_spans(connection, spans)
            if goodbye:
                marker = Marker(run, 10_000, spans[-1][1].to_ms, PowerEvent.GOODBYE, "shutdown")
                evidence.add_markers(connection, [PlacedMarker(site, 0, marker)])

    def refuse_mails(self, recipient: str, reason: str) -> None:
        """The server has refused all mails to somebody."""
        with self.store.write() as connection:
            told = update(tables.mails).where(tables.mails.c.recipient == recipient)
            connection.execute(told.values(state="refused", reason=reason, done_ms=self.now_ms))


def _signs(state: State, kind: Kind | None) -> Signs:
    if kind is None:
        return Signs(state=state.value, play=Play.NO.value)
    party = KINDS[kind].party or Party.TECHNICIAN
    return Signs(
        state=state.value,
        kind=KIND_NUMBERS[kind],
        party=PARTY_NUMBERS[party],
        grade=GRADE_NUMBERS[Grade.PROVEN],
        play=Play.YES.value,
    )
