"""Sites whose days are played by a clock that the test gives, through the real pipeline, with the watch behind it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import update

from sitekeeper_collector.blindness import Cause, Sight
from sitekeeper_collector.config import Mail, Recipient
from sitekeeper_collector.domain.ledger import Segment
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.domain.tickets import Ticket
from sitekeeper_collector.ingest.messages import Inbound
from sitekeeper_collector.notify.view import MailView
from sitekeeper_collector.store import evidence, ledger, lessons, queries, sight, tables
from sitekeeper_collector.store import tickets as stored
from sitekeeper_collector.store.lessons import Planned
from sitekeeper_collector.watch.desk import Desk
from sitekeeper_collector.watch.engine import Watch
from sitekeeper_protocol.messages import Clock, Event, PowerEvent, PowerEventRecord, Presence, Sample
from sitekeeper_protocol.topics import Leaf
from sitekeeper_protocol.vocabulary import GRADE_NUMBERS, KIND_NUMBERS, PARTY_NUMBERS, Grade, Kind, Metric, Party, Rung, State
from support.scripted import NOW_MS, Bench, bench, inbound, report, status

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
MONDAY_MS = (NOW_MS // DAY_MS - (NOW_MS // DAY_MS - 4) % 7 + 7) * DAY_MS - 8 * HOUR_MS
"""Midnight of a Monday in UTC+8, the county's time."""
START_MS = MONDAY_MS + 9 * HOUR_MS
ECHO = "echo"

Values = dict[tuple[int, str], int]


def well(*, playing: int | None = None, free_mib: int = 50_000) -> Values:
    """What a sample says when all works."""
    values: Values = {(Metric.VERDICT_STATE, ""): State.OK, (Metric.DISK_FREE_BYTES, "/"): free_mib}
    values |= {(Metric.RUNG_STATE, f"ipv4/{rung.name.lower()}"): State.OK for rung in (Rung.ISP, Rung.DNS, Rung.PORTAL)}
    return values if playing is None else values | {(Metric.PLAYING, ""): playing}


def failing(kind: Kind, rung: Rung, party: Party, grade: Grade = Grade.PROVEN) -> Values:
    """What a sample says when its verdict names a fault."""
    return {
        (Metric.VERDICT_STATE, ""): State.FAIL,
        (Metric.VERDICT_RUNG, ""): rung,
        (Metric.VERDICT_KIND, ""): KIND_NUMBERS[kind],
        (Metric.VERDICT_PARTY, ""): PARTY_NUMBERS[party],
        (Metric.VERDICT_GRADE, ""): GRADE_NUMBERS[grade],
        (Metric.RUNG_STATE, f"ipv4/{rung.name.lower()}"): State.FAIL,
    }


PORTAL_DOWN = failing(Kind.PORTAL_DOWN, Rung.PORTAL, Party.TECHNICIAN)
MEDIA_DOWN = failing(Kind.MEDIA_DOWN, Rung.MEDIA, Party.PLATFORM)
DNS_FAILURE = failing(Kind.DNS_FAILURE, Rung.DNS, Party.TELECOM)
LINE_DOWN = failing(Kind.LINE_DOWN, Rung.ISP, Party.TELECOM)
GATEWAY_DOWN = failing(Kind.GATEWAY_DOWN, Rung.GATEWAY, Party.SITE)
DISK_FULL = well(free_mib=100)


class Pc:
    """A site's PC in one boot: it takes samples and makes reports of them. Its clock is right, and known by a round trip."""

    def __init__(self, site: str, run: int, booted_ms: int, *, clock: bool = True) -> None:
        self.site, self.run, self.booted_ms = site, run, booted_ms
        self.clock = Clock(booted_ms, 10) if clock else None
        self.taken: list[Sample] = []
        self._number = 0

    def take(self, at_ms: int, values: Values, *events: Event) -> Sample:
        """One more sample."""
        boottime_ms = at_ms - self.booted_ms
        number = len(self.taken) + 1
        self.taken.append(Sample(sequence=number, wall_ms=at_ms, boottime_ms=boottime_ms, values=values, events=events))
        return self.taken[-1]

    def report(
        self,
        samples: Sequence[Sample],
        now_ms: int,
        *,
        backlog: bool = False,
        clock: bool = True,
        next_within_s: int = 600,
        connection: int = 1,
    ) -> Inbound:
        """Samples as a report that arrives now."""
        self._number += 1
        payload = report(
            self.site,
            self.run,
            samples,
            number=self._number,
            backlog=backlog,
            connection=connection,
            boot=self.run % 2**32,
            sent_boottime_ms=now_ms - self.booted_ms,
            clock=self.clock if clock else None,
            next_within_s=next_within_s,
        )
        return inbound(self.site, payload, received_ms=now_ms)


class MailOwed(NamedTuple):
    """A mail, by what it says."""

    event: str
    recipient: str
    thread: str
    ticket: str
    kind: Kind


class Watched:
    """A bench with a watch, whose clock goes on as told."""

    def __init__(self, at: Bench, rules: Rules) -> None:
        self.at, self.rules = at, rules
        self.at.now_ms = START_MS
        self.restart()

    @property
    def now_ms(self) -> int:
        return self.at.now_ms

    def restart(self) -> None:
        """A new collector process, which is never blind unless told so."""
        self.sight = Sight(interval_s=0.001, limit_s=1e9, last_seen_ms=None)
        recipients = tuple(Recipient(party=party, address=f"{party}@x.example") for party in Party)
        desk = Desk(Mail(recipients=recipients), 480)
        watch = Watch(self.rules, desk, utc_offset_min=480)
        self.at.restart(sight=self.sight, echo_topic=ECHO, watch=watch)

    # --- time ----------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """The watch looks at what is silent."""
        echo = self.sight.echo_due(self.now_ms - NOW_MS)
        if echo is not None:
            self.at.send(Inbound(ECHO, echo, self.now_ms))
        self.at.ingest.tick()

    def pass_time(self, minutes: float, *, step: float = 1) -> None:
        """Time goes by, and nothing comes in."""
        until_ms = self.now_ms + round(minutes * MINUTE_MS)
        while self.now_ms < until_ms:
            self.at.now_ms = min(until_ms, self.now_ms + round(step * MINUTE_MS))
            self.tick()

    def live(self, minutes: int, values: Values, *pcs: Pc) -> None:
        """A sample and a live report of each PC each minute."""
        for _ in range(minutes):
            self.at.now_ms += MINUTE_MS
            self.at.send(*(pc.report([pc.take(self.now_ms, values)], self.now_ms) for pc in pcs))
            self.tick()

    def unheard(self, minutes: int, values: Values, *pcs: Pc) -> list[list[Sample]]:
        """Samples that can't be sent, while the watch waits; by PC."""
        kept: list[list[Sample]] = [[] for _ in pcs]
        for _ in range(minutes):
            self.at.now_ms += MINUTE_MS
            for pc, samples in zip(pcs, kept, strict=True):
                samples.append(pc.take(self.now_ms, values))
            self.tick()
        return kept

    def say(self, pc: Pc, presence: Presence, reason: str = "") -> None:
        """A status of the PC's agent."""
        payload = status(presence, pc.run, 1, reason)
        self.at.send(inbound(pc.site, payload, leaf=Leaf.STATUS, received_ms=self.now_ms))

    def come_back(self, before: Pc, run: int, values: Values, *, boot_s: int = 40) -> Pc:
        """A PC that lost its power is switched on: its next agent says so in its first sample."""
        pc = Pc(before.site, run, self.now_ms - boot_s * 1000)
        lost = PowerEventRecord(PowerEvent.POWER_LOST, run=before.run, last_wall_ms=before.taken[-1].wall_ms)
        first = pc.take(self.now_ms, values, PowerEventRecord(PowerEvent.STARTED), lost)
        self.at.send(pc.report([first], self.now_ms))
        self.tick()
        return pc

    def blind(self, from_ms: int, to_ms: int) -> None:
        """The collector heard nothing in this time."""
        with self.at.store.write() as connection:
            sight.was_blind(connection, from_ms, to_ms, Cause.BROKER)

    # --- the county ----------------------------------------------------------------------------------------------------

    def place(self, site: str, **columns: str) -> None:
        """Fill in the register."""
        with self.at.store.write() as connection:
            connection.execute(update(tables.sites).where(tables.sites.c.id == site).values(columns))

    def lesson(self, site: str, from_ms: int, to_ms: int, title: str = "Rice") -> None:
        """Plan a class."""
        with self.at.store.write() as connection:
            lessons.add(connection, [Planned("", "", site, from_ms, to_ms, title)])

    # --- what came of it -----------------------------------------------------------------------------------------------

    def tickets(self) -> list[Ticket]:
        """All tickets, in the order of their numbers."""
        with self.at.store.read() as connection:
            numbers = [row[0] for row in self.at.rows("tickets", "number")]
            found = [stored.find(connection, number) for number in sorted(numbers, key=lambda n: int(n.split("-")[1]))]
        return [ticket for ticket in found if ticket is not None]

    def ticket(self) -> Ticket:
        """The only ticket."""
        [only] = self.tickets()
        return only

    def mails(self) -> list[MailOwed]:
        """All mails that are owed, in the order of their threads."""
        rows = self.at.rows("mails", "thread", "number", "recipient", "ticket", "view")
        views = [(row, msgspec.msgpack.decode(row[4], type=MailView)) for row in rows]
        return [MailOwed(view.event.value, row[2].partition("@")[0], row[0], row[3], view.kind) for row, view in views]

    def told(self) -> list[tuple[str, str]]:
        """Each mail's event and recipient."""
        return [(mail.event, mail.recipient) for mail in self.mails()]

    def faults(self, site: str) -> list[tuple[Any, ...]]:
        """Kind, start, end, party of a site's faults, oldest first."""
        with self.at.store.read() as connection:
            found = evidence.faults_of(connection, site, 1000)
        return [(f.episode.kind, f.episode.started_ms, f.episode.ended_ms, f.episode.party) for f in reversed(found)]

    def picture(self, site: str, from_ms: int, to_ms: int) -> list[Segment]:
        """A site's ledger."""
        with self.at.store.read() as connection:
            return ledger.picture(connection, site, from_ms, to_ms, gap_ms=self.rules.evidence_gap_s * 1000)

    def samples(self) -> int:
        """How many are stored."""
        with self.at.store.read() as connection:
            return len(queries.samples(connection, site=None, since_ms=-(2**62), limit=2**31))


@contextmanager
def watched(folder: Path, *sites: str, rules: Rules | None = None, template: Path | None = None) -> Iterator[Watched]:
    """A county of ``sites`` on a database of its own, or on a copy of ``template``."""
    with bench(folder, *sites, template=template) as at:
        yield Watched(at, rules or Rules())
