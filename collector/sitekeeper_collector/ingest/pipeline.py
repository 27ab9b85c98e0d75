"""A batch of messages into the store in one transaction, and the receipts that follow from it.

What is committed is told; what is told is committed. A message that makes a transaction fail is found by halving the batch,
and set aside. A database that can't be used now is nobody's fault: the same batch is to be given again.
"""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from sitekeeper_collector.blindness import Beat, Seen, Sight
from sitekeeper_collector.config import Mail
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.ingest import messages
from sitekeeper_collector.ingest.answers import Answer, Answers
from sitekeeper_collector.ingest.changes import OnChange
from sitekeeper_collector.ingest.intake import Intake
from sitekeeper_collector.ingest.messages import Inbound, Outbound, Refusal
from sitekeeper_collector.series.health import Work
from sitekeeper_collector.series.sampling import Sampling
from sitekeeper_collector.store import findings, held, quarantine, remote, samples, sight, tallies
from sitekeeper_collector.store.engine import Store, current_epoch
from sitekeeper_collector.store.errors import StoreUnavailable
from sitekeeper_collector.store.working import Working
from sitekeeper_collector.watch.desk import Desk
from sitekeeper_collector.watch.engine import Watch
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.messages import Status
from sitekeeper_protocol.opened import OpenedReport
from sitekeeper_protocol.topics import Address, Leaf

log = logging.getLogger(__name__)
RELEASED_AT_ONCE = 100
_GROUP = 16


class _Item(NamedTuple):
    """A message on its way through: what was held has an id, what was found to be poison the reason."""

    message: Inbound
    held_id: int | None = None
    poison: str | None = None


class _Letter(NamedTuple):
    item: _Item
    address: Address


class Ingest:
    """The pipeline. It has the store's write lock only during a transaction; give it one batch at a time."""

    def __init__(
        self,
        store: Store,
        *,
        wall_ms: Callable[[], int],
        steady_ms: Callable[[], int],
        receipt_interval_s: float = 3600,
        echo_topic: str = "",
        sight: Sight | None = None,
        watch: Watch | None = None,
        series: Sampling | None = None,
        work: Work | None = None,
    ) -> None:
        self._store = store
        self._wall_ms, self._steady_ms = wall_ms, steady_ms
        self._echo_topic, self._sight = echo_topic, sight
        self._watch = watch or Watch(Rules(), Desk(Mail(), 480), utc_offset_min=480)
        self._series, self._work = series, work
        self._working = Working()
        self._answers = Answers(receipt_interval_s)
        self._epoch: int | None = None
        self._news = OnChange(log)

    def process(self, batch: Sequence[Inbound]) -> list[Outbound]:
        """Take in ``batch``, and what was held of sites that are in the register by now; the receipts to send.

        Raises ``StoreUnavailable``: then the whole batch is to be given again, which stores nothing twice.
        """
        try:
            waiting = self._released()
            return self._halving([*waiting, *(_Item(message) for message in batch)])
        except StoreUnavailable:
            self._forget()
            raise

    def tick(self) -> None:
        """Let the watch look at what is silent, unless we are blind. Never raises: what failed now is looked at again."""
        if self._sight is None or not self._sight.seeing(self._steady_ms()):
            return
        try:
            with self._store.write() as connection:
                self._follow_epoch(connection)
                self._watch.tick(connection, self._wall_ms())
            self._watch.settle()
        except StoreUnavailable as err:
            self._forget()
            self._news.say(logging.WARNING, "watch", f"the database can't be used now: {err}")
        except Exception:
            self._forget()
            log.exception("looking at silent sites failed")

    def _forget(self) -> None:
        self._working.forget()
        self._watch.forget()
        if self._series is not None:
            self._series.forget()

    def _released(self) -> list[_Item]:
        with self._store.read() as connection:
            found = held.released(connection, RELEASED_AT_ONCE)
        return [_Item(Inbound(h.topic, h.payload, h.received_ms), held_id=number) for number, h in found]

    def _halving(self, items: Sequence[_Item]) -> list[Outbound]:
        if not items:
            return []
        try:
            return self._transact(items)
        except StoreUnavailable:
            raise
        except Exception as err:  # noqa: BLE001 - whatever a message provokes, the others must get through
            self._forget()
            if len(items) == 1:
                return self._set_aside(items[0], err)
            log.info("a batch of %d messages failed (%s); halving it", len(items), type(err).__name__)
        middle = len(items) // 2
        return self._halving(items[:middle]) + self._halving(items[middle:])

    def _set_aside(self, item: _Item, err: Exception) -> list[Outbound]:
        """Quarantine the one message that fails; its samples count as refused, if that much can be done."""
        log.error("a message on %s can't be taken in", item.message.topic[:120], exc_info=err)
        detail = f"{type(err).__name__}: {str(err)[:300]}"
        try:
            return self._transact([item._replace(poison=detail)])
        except StoreUnavailable:
            raise
        except Exception:
            self._forget()
            log.exception("nor can its samples be booked as refused; it is only kept in quarantine")
        message = item.message
        with self._store.write() as connection:
            self._keep_only(connection, message, detail)
            held.let_go(connection, [] if item.held_id is None else [item.held_id])
        return []

    def _keep_only(self, connection: Connection, message: Inbound, detail: str) -> None:
        kept = quarantine.Quarantined("", message.topic, message.received_ms, messages.POISON, detail, message.payload)
        quarantine.add(connection, [kept], self._wall_ms())

    # --- one transaction -----------------------------------------------------------------------------------------------

    def _transact(self, items: Sequence[_Item]) -> list[Outbound]:
        now_ms = self._wall_ms()
        with self._store.write() as connection:
            epoch = self._follow_epoch(connection)
            intake = Intake(self._working, connection, now_ms, limits=self._watch.limits, series=self._series)
            beat, letters = self._sort(items, intake)
            known = held.registered(connection, {letter.address.site for letter in letters})
            if self._series is not None:
                self._series.expect(connection, known, now_ms)
            # In small groups: what was decoded is stored and forgotten while it is still in the processor's cache.
            for at in range(0, len(letters), _GROUP):
                contents = self._read(letters[at : at + _GROUP], known, intake, connection)
                self._prefetch(connection, contents)
                for letter, content in contents:
                    self._take(intake, letter, content)
                if self._series is not None:
                    self._series.flush(connection, now_ms, whole=False)
            self._write(connection, intake, now_ms)
            self._keep_sight(connection, beat)
            held.let_go(connection, [item.held_id for item in items if item.held_id is not None])
            told = self._watch.take(connection, intake.news, now_ms)
            answers = self._answers.owed(connection, self._working, intake.heard, now_ms, told)
        self._working.settle()
        self._watch.settle()
        if beat is not None and self._sight is not None:
            self._sight.settle(beat)
        self._tell(intake)
        self._count(intake, letters)
        return self._send(answers, epoch)

    def _follow_epoch(self, connection: Connection) -> int:
        epoch = current_epoch(connection)
        if epoch is None:
            raise StoreUnavailable("the store has no epoch; it is being restored")
        if epoch != self._epoch:
            self._forget()
            self._epoch = epoch
        return epoch

    def _sort(self, items: Sequence[_Item], intake: Intake) -> tuple[Beat | None, list[_Letter]]:
        beat: Beat | None = None
        letters: list[_Letter] = []
        for item in items:
            message = item.message
            if self._sight is not None and message.topic == self._echo_topic:
                beat = self._sight.judge(message.payload, Seen(self._wall_ms(), self._steady_ms())) or beat
                continue
            try:
                letters.append(_Letter(item, messages.address_of(message.topic)))
            except ProtocolError as err:
                intake.refuse(None, message, Refusal(err.code, err.detail))
        return beat, letters

    def _read(
        self, letters: Sequence[_Letter], known: set[str], intake: Intake, connection: Connection
    ) -> list[tuple[_Letter, messages.Content]]:
        """Decode what known sites sent; hold what others did."""
        contents: list[tuple[_Letter, messages.Content]] = []
        strangers: list[_Letter] = []
        for letter in letters:
            item, address = letter
            if address.site not in known:
                strangers.append(letter)
            elif item.poison is not None:
                contents.append((letter, messages.poisoned(address, item.message.payload, item.poison)))
            else:
                contents.append((letter, messages.read(address, item.message.payload)))
        if strangers:
            self._hold(connection, strangers, intake)
        return contents

    def _hold(self, connection: Connection, strangers: Sequence[_Letter], intake: Intake) -> None:
        heard: dict[str, held.Heard] = {}
        reports: list[held.Held] = []
        for item, (area, site, leaf) in strangers:
            message = item.message
            at = message.received_ms
            before = heard.get(site)
            heard[site] = held.Heard(area, before.first_ms if before else at, at, (before.messages if before else 0) + 1)
            if leaf is not Leaf.REPORT:
                continue
            header = messages.header_of(Address(area, site, leaf), message.payload)
            if isinstance(header, Refusal):
                intake.refuse(Address(area, site, leaf), message, header, known=False)
            else:
                reports.append(held.Held(site, message.topic, at, message.payload))
        now_ms = self._wall_ms()
        held.list_unknown(connection, heard)
        held.hold(connection, reports, now_ms)
        for site in heard:
            self._news.say(
                logging.WARNING, f"site {site}", "is not in the register; its reports are held as far as there is room"
            )

    def _prefetch(self, connection: Connection, contents: Sequence[tuple[_Letter, messages.Content]]) -> None:
        """Bring what most messages need into memory with three SELECTs at most."""
        reports = [(letter.address.site, content) for letter, content in contents if isinstance(content, OpenedReport)]
        self._working.runs.load(connection, {(site, report.header.run) for site, report in reports})
        self._working.clocks.load(connection, {(site, report.sent.boot) for site, report in reports})
        self._working.sites.load(connection, {letter.address.site for letter, _ in contents})

    def _take(self, intake: Intake, letter: _Letter, content: messages.Content) -> None:
        message, address = letter.item.message, letter.address
        if isinstance(content, OpenedReport):
            intake.take_report(address, message, content)
        elif isinstance(content, Status):
            intake.take_status(address, message, content)
        elif isinstance(content, Refusal):
            intake.refuse(address, message, content)
        else:
            intake.counts["results"] += 1
            intake.results.append((address.site, content))

    def _write(self, connection: Connection, intake: Intake, now_ms: int) -> None:
        self._working.save(connection)
        samples.add_reports(connection, intake.reports)
        samples.add_samples(connection, intake.samples)
        samples.add_drops(connection, intake.drops)
        for learned in intake.learned.values():
            samples.place_again(connection, *learned)
        quarantine.add(connection, intake.refused, now_ms)
        findings.note(connection, intake.findings)
        remote.book(connection, intake.results, now_ms)
        tallies.count(connection, intake.counts, now_ms)
        if self._series is not None:
            self._series.flush(connection, now_ms, whole=True)

    def _keep_sight(self, connection: Connection, beat: Beat | None) -> None:
        if beat is None:
            return
        sight.beat(connection, beat.seen.wall_ms)
        if beat.gap is not None:
            sight.was_blind(connection, *beat.gap)
            self._news.say(
                logging.WARNING, "sight", f"blind for {(beat.gap.to_ms - beat.gap.from_ms) // 1000} s: {beat.gap.cause}"
            )

    def _tell(self, intake: Intake) -> None:
        for refused in intake.refused:
            self._news.say(logging.WARNING, f"quarantine {refused.site or 'of no site'}", f"{refused.code}: {refused.detail}")
        for finding in intake.findings:
            self._news.say(logging.WARNING, f"finding {finding.kind} at {finding.site}", finding.detail)

    def _count(self, intake: Intake, letters: Sequence[_Letter]) -> None:
        if self._work is not None:
            since_ms = min((letter.item.message.received_ms for letter in letters if letter.item.held_id is None), default=None)
            lag_ms = 0 if since_ms is None else max(0, self._wall_ms() - since_ms)
            self._work.add(len(intake.reports), len(intake.samples), len(intake.refused), lag_ms)

    def _send(self, answers: Sequence[Answer], epoch: int) -> list[Outbound]:
        return [self._answers.write(answer, epoch, self._wall_ms()) for answer in answers]
