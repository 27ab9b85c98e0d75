"""One transaction's worth of messages turned into changed records and new rows; nothing is written here.

``Intake`` is made for one transaction and thrown away after it.
"""

from collections import Counter
from typing import NamedTuple

from sqlalchemy import Connection

from sitekeeper_collector.domain import identity, placement, presence
from sitekeeper_collector.domain.coverage import Coverage, Span, TooScattered
from sitekeeper_collector.domain.identity import Found
from sitekeeper_collector.domain.placement import Arrival, KnownClock, Placement
from sitekeeper_collector.domain.presence import Promise, Told, Why
from sitekeeper_collector.ingest.messages import FOREIGN, Inbound, Refusal
from sitekeeper_collector.series.sampling import Sampling
from sitekeeper_collector.store.findings import DUPLICATE_IDENTITY, FOREIGN_TOPIC, Finding
from sitekeeper_collector.store.quarantine import Quarantined
from sitekeeper_collector.store.samples import DropRow
from sitekeeper_collector.store.working import ClockRecord, RunRecord, SiteRecord, Verdict, Working
from sitekeeper_collector.watch import noticing
from sitekeeper_collector.watch.news import News, SiteNews
from sitekeeper_collector.watch.noticing import Limits
from sitekeeper_protocol import RELEASED_MS
from sitekeeper_protocol.messages import Header, Presence, Result, Status
from sitekeeper_protocol.opened import OpenedReport
from sitekeeper_protocol.topics import Address

_CLOCK_MOVED_MS = 1000
_BELOW_OLDEST = 0
_EXACT = Placement.EXACT.value


class Heard:
    """What the messages of one site come to, for its receipt."""

    __slots__ = ("area", "asked", "connection", "live", "number", "refused", "run", "runs")

    def __init__(self, area: str) -> None:
        self.area = area
        self.run = self.number = 0
        self.connection = -1
        self.asked = self.live = False
        self.refused: list[tuple[int, int]] = []
        self.runs: dict[int, list[Span]] = {}
        """Runs that were touched, each with the samples that were answered."""

    def note(self, header: Header) -> None:
        """A report came. The newest of a connection is the one to echo; another connection is newer than the one before."""
        if header.connection != self.connection or header.number >= self.number:
            self.run, self.connection, self.number = header.run, header.connection, header.number
        self.asked |= header.wants_receipt
        self.live |= not header.backlog
        answered = self.runs.setdefault(header.run, [])
        if header.count:
            answered.append((header.first, header.last))


class Learned(NamedTuple):
    """A boot whose clock became known or moved, while samples wait for it."""

    site: str
    boot: int
    clock: KnownClock


class Intake:
    """Takes messages of known sites, one after the other, and gathers what is to be written."""

    def __init__(
        self, working: Working, connection: Connection, now_ms: int, *, limits: Limits, series: Sampling | None = None
    ) -> None:
        self._limits, self._series = limits, series
        self.news = News()
        self._working = working
        self._connection = connection
        self._now_ms = now_ms
        self.samples: list[tuple[object, ...]] = []
        self.reports: list[tuple[object, ...]] = []
        self.drops: list[DropRow] = []
        self.learned: dict[tuple[str, int], Learned] = {}
        self.findings: list[Finding] = []
        self.refused: list[Quarantined] = []
        self.heard: dict[str, Heard] = {}
        self.counts: Counter[str] = Counter()
        self.results: list[tuple[str, Result]] = []

    # --- messages ------------------------------------------------------------------------------------------------------

    def take_report(self, address: Address, message: Inbound, report: OpenedReport) -> None:
        """A report of a known site."""
        header, site = report.header, address.site
        run = self._run(site, header.run, report.sent.boot, message.received_ms)
        try:
            new = run.coverage.store(header.first, header.last) if header.count else []
        except TooScattered as err:
            self.refuse(address, message, Refusal("too_scattered", str(err)))
            return
        self._note_run(run, header, message)
        self._book_drops(run, report)
        clock = self._learn(site, report)
        verdict = self._store(site, report, message, new, clock) if new else None
        heard = self.heard.get(site)
        if heard is None:
            heard = self.heard[site] = Heard(address.area)
        heard.note(header)
        for drop in report.sent.drops:
            heard.runs.setdefault(drop.run, [])
        state = self._site(address, message.received_ms)
        if verdict is not None and verdict.at_ms > state.verdict.at_ms:
            state.verdict = verdict
        if not header.backlog:
            self._note_live(state, report, message.received_ms, bool(new))

    def take_status(self, address: Address, message: Inbound, status: Status) -> None:
        """A birth, goodbye or will of a known site. Retained ones are taken alike: they say what is, not when it began."""
        state = self._site(address, message.received_ms, heard=not message.retained)
        live = state.live.runs
        superseded = status.run in live[:-1]
        told = Told(status.presence, status.reason, status.run, status.connection, superseded)
        state.presence, why = presence.hear(state.presence, told, message.received_ms)
        if why is Why.TAKEN and status.presence is Presence.STOPPING:
            self.news.goodbyes[address.site] = (message.received_ms, status.reason)
        if why not in (Why.TAKEN, Why.SAME):
            self.counts[f"status_not_taken:{why.value}"] += 1

    def refuse(self, address: Address | None, message: Inbound, refusal: Refusal, *, known: bool = True) -> None:
        """A message that can't be taken in. Its samples count as stored if they can be told and the site is known."""
        header = refusal.header
        site = address.site if address else ""
        self.refused.append(
            Quarantined(
                site,
                message.topic,
                message.received_ms,
                refusal.code,
                refusal.detail,
                message.payload,
                header.run if header else None,
                header.number if header else None,
            )
        )
        if address is None or not known:
            return
        if refusal.code == FOREIGN:
            self.findings.append(Finding(site, FOREIGN_TOPIC, refusal.detail, message.received_ms))
        if header is not None:
            self._book_refused(address, message, header)

    # --- steps ---------------------------------------------------------------------------------------------------------

    def _run(self, site: str, number: int, boot: int, received_ms: int) -> RunRecord:
        records, key = self._working.runs, (site, number)
        record = records.find(key)
        if record is None:
            records.load(self._connection, (key,))
            record = records.find(key)
        if record is None:
            record = RunRecord(
                site=site,
                run=number,
                boot=boot,
                coverage=Coverage(),
                first_heard_ms=received_ms,
                last_heard_ms=received_ms,
            )
            return records.add(key, record)
        if record.boot == 0:
            record.boot = boot
        records.touch(key, record)
        return record

    def _site(self, address: Address, received_ms: int, *, heard: bool = True) -> SiteRecord:
        records, site = self._working.sites, address.site
        record = records.find(site)
        if record is None:
            records.load(self._connection, (site,))
            record = records.find(site)
        if record is None:
            return records.add(site, SiteRecord(site=site, area=address.area, last_heard_ms=received_ms if heard else 0))
        if heard:
            record.last_heard_ms = max(record.last_heard_ms, received_ms)
            record.area = address.area
        records.touch(site, record)
        return record

    def _clock(self, site: str, boot: int) -> ClockRecord:
        records, key = self._working.clocks, (site, boot)
        record = records.find(key)
        if record is None:
            records.load(self._connection, (key,))
            record = records.find(key)
        return record or records.add(key, ClockRecord(site=site, boot=boot))

    def _note_run(self, run: RunRecord, header: Header, message: Inbound) -> None:
        run.last_heard_ms = max(run.last_heard_ms, message.received_ms)
        run.connection = max(run.connection, header.connection)
        if not header.backlog:
            run.last_live_ms = max(run.last_live_ms or 0, message.received_ms)
            run.config_revision = header.config_revision

    def _book_drops(self, run: RunRecord, report: OpenedReport) -> None:
        """What the agent no longer holds: what it declares, and all below the oldest that it holds."""
        header = report.header
        # A sample that is being sent is held, whatever else is said.
        oldest = min(header.oldest, header.first)
        if run.coverage.stored.through < oldest - 1:
            self._drop(run, 1, oldest - 1, _BELOW_OLDEST)
        for drop in report.sent.drops:
            of = run if drop.run == run.run else self._run(run.site, drop.run, 0, self._now_ms)
            self._drop(of, drop.first, drop.last, drop.reason if 0 <= drop.reason < 2**31 else _BELOW_OLDEST)

    def _drop(self, run: RunRecord, first: int, last: int, reason: int) -> None:
        try:
            gone = run.coverage.drop(first, last)
        except TooScattered:
            # Not booked now, so the agent says it again.
            self.counts["drops_too_scattered"] += 1
            return
        self.drops += [DropRow(run.site, run.run, a, b, reason, self._now_ms) for a, b in gone]

    def _book_refused(self, address: Address, message: Inbound, header: Header) -> None:
        run = self._run(address.site, header.run, 0, message.received_ms)
        self._note_run(run, header, message)
        if header.count:
            try:
                run.coverage.refuse(header.first, header.last)
            except TooScattered:
                self.counts["refused_too_scattered"] += 1
        heard = self.heard.setdefault(address.site, Heard(address.area))
        heard.note(header)
        heard.refused.append((header.run, header.number))

    def _learn(self, site: str, report: OpenedReport) -> ClockRecord:
        """The clock of the samples' boot after this report; boots whose waiting samples it places are noted."""
        sent = report.sent
        record = self._clock(site, sent.boot)
        told = sent.clock
        if told is None or not placement.usable(told.offset_ms, told.error_ms):
            return record
        same_boot = sent.sent_boot == sent.boot
        as_of = sent.sent_boottime_ms if same_boot else max(report.boottimes_ms, default=0)
        before = record.clock
        clock = placement.better(before, KnownClock(told.offset_ms, told.error_ms, as_of))
        if clock != before:
            record.clock = clock
            self._working.clocks.touch((site, sent.boot), record)
            moved = before is None or abs(before.offset_ms - clock.offset_ms) > _CLOCK_MOVED_MS
            if record.unplaced and moved:
                record.unplaced = False
                self.news.replaced.add((site, sent.boot))
                self.learned[site, sent.boot] = Learned(site, sent.boot, clock)
        return record

    def _store(self, site: str, report: OpenedReport, message: Inbound, new: list[Span], clock: ClockRecord) -> Verdict | None:
        """Gather the rows; the newest verdict among them whose time is known."""
        sent, received_ms = report.sent, message.received_ms
        boot, sent_ms, first = sent.boot, sent.sent_boottime_ms, report.header.first
        arrival = Arrival(received_ms, sent_ms, sent.sent_boot == boot, not report.header.backlog)
        known, run, rows = clock.clock, report.header.run, self.samples
        shift = placement.exact_shift(arrival, known)
        to_bound = received_ms - sent_ms
        boottimes, offsets, holds = report.boottimes_ms, report.wall_offsets_ms, new[0][0]
        self.reports.append((site, run, holds, message.payload))
        unplaced, placed_ms = False, None
        placed: list[tuple[int, int | None]] = []
        timed: list[tuple[int, int | None, bool]] = []
        for a, b in new:
            for at in range(a - first, b - first + 1):
                at_ms = boottimes[at]
                wall_ms = at_ms + offsets[at]
                if shift is not None and at_ms <= sent_ms and at_ms + shift >= RELEASED_MS:
                    placed_ms = at_ms + shift
                    how, not_after_ms = _EXACT, at_ms + to_bound
                else:
                    placed_ms, placed_by, not_after_ms = placement.place(wall_ms, at_ms, arrival, known)
                    how = placed_by.value
                    unplaced |= how != _EXACT
                placed.append((at, placed_ms))
                timed.append((at, placed_ms, how == _EXACT))
                rows.append((site, run, first + at, boot, wall_ms, at_ms, placed_ms, how, not_after_ms, received_ms, holds))
        if self._series is not None:
            self._series.take(site, report, timed, received_ms)
        spans = noticing.spans(report, placed, self._limits)
        self.news.samples.append(SiteNews(site, run, spans, noticing.mark(report, placed)))
        self.news.requests += noticing.ask(site, report, placed, received_ms)
        if unplaced and not clock.unplaced:
            clock.unplaced = True
            self._working.clocks.touch((site, boot), clock)
        if not placed_ms or not spans:
            return None
        signs = spans[-1].signs
        return None if signs.state < 0 else Verdict(placed_ms, signs.state, signs.rung)

    def _note_live(self, state: SiteRecord, report: OpenedReport, received_ms: int, new: bool) -> None:
        header = report.header
        state.live, found = identity.judge(state.live, header.run, new_samples=new, now_ms=received_ms)
        if found is Found.DUPLICATE:
            detail = f"runs {' and '.join(f'{run:016x}' for run in state.live.runs[-2:])} are live in turns"
            self.findings.append(Finding(state.site, DUPLICATE_IDENTITY, detail, received_ms))
        current = found is not Found.STALE
        state.last_live_ms = max(state.last_live_ms, received_ms)
        state.presence = presence.hear_live_report(
            state.presence, header.run, header.connection, current=current, now_ms=received_ms
        )
        if current and state.presence.presence == Presence.ONLINE:
            self.news.back[state.site] = received_ms
            self.news.connections[state.site] = (header.run, header.connection)
            self.news.goodbyes.pop(state.site, None)
        promise = Promise(header.run, header.connection, header.number, received_ms + report.sent.next_within_s * 1000)
        state.promise = presence.renew(state.promise, promise, current=current)
