"""What a simulated site sends next, and what a receipt settles: the rules of docs/protocol.md, "When reports are sent". Pure.

Live reports come first and wait for nothing. A backlog goes out one report at a time, each answered by a receipt. Times are ms
by the driver's clock.
"""

import random
from typing import NamedTuple

from sitekeeper_collector.simulate.pace import Pace
from sitekeeper_collector.simulate.spool import Spool
from sitekeeper_protocol.intervals import Intervals
from sitekeeper_protocol.messages import Receipt, RunReceipt


class Plan(NamedTuple):
    """A report to be built: samples ``first`` to ``last`` of ``run``."""

    run: int
    first: int
    last: int
    backlog: bool
    wants_receipt: bool


class Sent(NamedTuple):
    """A report that was published and is not settled."""

    number: int
    plan: Plan
    sent_ms: int


class Courier:
    """The state of sending of one life of the agent."""

    def __init__(self, run: int, pace: Pace, chance: random.Random) -> None:
        self._run, self._pace, self._chance = run, pace, chance
        self._under_way: list[Sent] = []
        self._connected_ms: int | None = None
        self._answered = False
        self._ask = True
        self._asked_ms: int | None = None
        self._receipt_ms = 0
        self._live_due_ms = self._live_through = self._backlog_due_ms = 0

    @property
    def connected(self) -> bool:
        """Whether there is a connection to send on."""
        return self._connected_ms is not None

    def connect(self, now_ms: int) -> None:
        """The birth was published: a live report goes first, and asks for a receipt."""
        self._connected_ms = self._receipt_ms = self._live_due_ms = self._backlog_due_ms = now_ms
        self._answered, self._ask, self._asked_ms = False, True, None
        self._under_way, self._live_through = [], 0

    def disconnect(self) -> None:
        """What is not settled counts as not delivered."""
        self._connected_ms, self._asked_ms, self._under_way = None, None, []

    def urge(self, now_ms: int) -> None:
        """A sample with events was taken: it is reported at once."""
        self._live_due_ms = min(self._live_due_ms, now_ms)

    def sent(self, number: int, plan: Plan, now_ms: int) -> None:
        """``plan`` was published as report ``number``."""
        self._under_way.append(Sent(number, plan, now_ms))
        if not plan.backlog:
            self._live_due_ms = now_ms + _ms(self._pace.report_s)
            self._live_through = plan.last
        if plan.wants_receipt:
            self._ask = False
            self._asked_ms = now_ms if self._asked_ms is None else self._asked_ms

    def next(self, spool: Spool, now_ms: int) -> Plan | None:
        """The report to send now, if any."""
        if self._connected_ms is None:
            return None
        if self._asked_ms is not None and now_ms - self._asked_ms >= _ms(self._pace.resend_s):
            self._under_way, self._asked_ms, self._ask, self._live_through = [], None, True, 0
        return self._live(spool, now_ms) or self._backlog(spool, self._connected_ms, now_ms)

    def due_ms(self, now_ms: int) -> int | None:
        """When ``next`` may have something new to say that no sample and no receipt has brought; ``None``: never."""
        if self._connected_ms is None:
            return None
        dues = [self._live_due_ms, self._backlog_due_ms, self._connected_ms + _ms(self._pace.first_receipt_s)]
        if self._asked_ms is not None:
            dues.append(self._asked_ms + _ms(self._pace.resend_s))
        return min((due for due in dues if due > now_ms), default=None)

    def _live(self, spool: Spool, now_ms: int) -> Plan | None:
        unsent = self._unsent(spool, self._run) if now_ms >= self._live_due_ms else []
        if not unsent or unsent[-1][1] <= self._live_through:
            return None
        first, last = unsent[-1]
        first = max(first, self._live_through + 1, last - self._pace.live_samples + 1)
        unheard = now_ms - self._receipt_ms >= _ms(self._pace.ask_s)
        return Plan(self._run, first, last, False, self._asked_ms is None and (self._ask or unheard))

    def _backlog(self, spool: Spool, connected_ms: int, now_ms: int) -> Plan | None:
        if now_ms < self._backlog_due_ms or any(sent.plan.backlog for sent in self._under_way):
            return None
        if not self._answered and now_ms - connected_ms < _ms(self._pace.first_receipt_s):
            return None
        for run in spool.runs:
            for first, last in self._unsent(spool, run):
                if run == self._run:
                    last = min(last, self._live_through)  # what is newer goes with the next live report
                if first <= last:
                    return Plan(run, first, min(last, first + self._pace.backlog_samples - 1), True, True)
        return None

    def _unsent(self, spool: Spool, run: int) -> list[tuple[int, int]]:
        unsent = spool.runs[run].pending.copy()
        for sent in self._under_way:
            if sent.plan.run == run:
                unsent.discard(sent.plan.first, sent.plan.last)
        return list(unsent)

    def receipt(self, receipt: Receipt, spool: Spool, *, same_epoch: bool, now_ms: int) -> Sent | None:
        """Work a receipt in; the report that it answers, if this life sent it.

        After a new epoch nothing counts as delivered that this very receipt does not list.
        """
        answers = next((s for s in self._under_way if (s.plan.run, s.number) == (receipt.run, receipt.number)), None)
        covered = {told.run: covered_by(told) for told in receipt.runs}
        for run, spans in covered.items():
            spool.confirm(run, spans)
        spool.settle_drops(covered)
        self._settle_refused(receipt, spool)
        if not same_epoch:
            self._under_way, self._live_through = [], 0
        self._receipt_ms = now_ms
        if answers is not None:
            # Reports arrive in order: what of the older ones is still pending was lost on the way, and goes again.
            self._under_way = [sent for sent in self._under_way if sent.number > receipt.number]
            self._answered = True
            self._asked_ms = min((sent.sent_ms for sent in self._under_way if sent.plan.wants_receipt), default=None)
            pause_s = self._chance.uniform(self._pace.pause_least_s, self._pace.pause_most_s)
            self._backlog_due_ms = now_ms + _ms(pause_s)
        return answers

    def _settle_refused(self, receipt: Receipt, spool: Spool) -> None:
        for sent in self._under_way:
            if (sent.plan.run, sent.number) in receipt.refused:
                spool.confirm(sent.plan.run, [(sent.plan.first, sent.plan.last)])


def covered_by(told: RunReceipt) -> Intervals:
    """All numbers of a run that a receipt calls safe."""
    covered = Intervals([(1, told.through)] if told.through else [])
    for first, last in told.ranges:
        if 0 < first <= last:
            covered.add(first, last)
    return covered


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
