"""What to send next, and what a receipt settles: the whole sending policy, without clocks, threads or sockets.

Live reports come first and never wait for anything. A backlog goes out one report at a time, each answered by a receipt, so
that a collector that is away gets no more than one. A report counts as not delivered when the connection ends, when a receipt
shows the gap, or when a receipt that was asked for is missing for long. Times are CLOCK_BOOTTIME in ms.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from sitekeeper_protocol.intervals import Intervals
from sitekeeper_protocol.messages import Receipt, RunReceipt

FIRST_RECEIPT_MS = 60_000
"""How long the backlog of a new connection waits for the first receipt, which says what need not be sent."""
RECEIPT_MS = 60_000
"""A receipt that was asked for and is missing this long after the broker's acknowledgement: the collector is away."""
RESEND_MS, RESEND_MOST_MS = 15 * 60_000, 6 * 3_600_000
ASK_AGAIN_MS = 70 * 60_000
"""Receipts come hourly by themselves; after this long without one, the next live report asks."""
MAX_RANGES = 16

Span = tuple[int, int]


class Plan(NamedTuple):
    """A report to be built: samples ``first`` to ``last`` of ``run``."""

    run: int
    first: int
    last: int
    backlog: bool
    wants_receipt: bool


class Sent(NamedTuple):
    """A report on its way, or delivered and not settled yet."""

    number: int
    plan: Plan
    sent_ms: int
    acknowledged_ms: int | None = None


class Settled(NamedTuple):
    """What a receipt comes to. ``went_back``: the store has lost what it once confirmed; nothing counts as confirmed now."""

    marks: tuple[tuple[int, tuple[Span, ...]], ...] = ()
    refused: tuple[tuple[int, tuple[Span, ...]], ...] = ()
    went_back: bool = False
    answers: Sent | None = None
    """The report that it answers, if this process sent it."""


class _Holding:
    """What is held of a run: ``pending`` has no receipt, ``receipted`` has one; neither holds what was refused."""

    __slots__ = ("pending", "receipted", "through")

    def __init__(self, pending: Intervals, receipted: Intervals) -> None:
        self.pending, self.receipted, self.through = pending, receipted, receipted.through


class Courier:
    """The state of sending. ``pause_ms`` draws the pause between two reports of a backlog."""

    def __init__(
        self, run: int, *, interval_ms: int, live_samples: int, pause_ms: Callable[[], int], max_samples: int = 240
    ) -> None:
        self._run, self._interval_ms, self._live_samples = run, interval_ms, live_samples
        self._pause_ms, self._max_samples = pause_ms, max_samples
        self._holdings: dict[int, _Holding] = {}
        self._outstanding: list[Sent] = []
        self._connected_ms: int | None = None
        self._answered = False
        self._live_due_ms = 0
        self._live_through = 0
        self._backlog_due_ms = 0
        self._asked_ms: int | None = None
        self._resend_ms = RESEND_MS
        self._last_receipt_ms: int | None = None
        self._ask = True

    # --- what is held --------------------------------------------------------------------------------------------------

    def stock(self, inventory: Iterable[tuple[int, Intervals, Intervals]]) -> None:
        """Take over what the spool holds: (run, pending, receipted), oldest run first."""
        throughs = {run: holding.through for run, holding in self._holdings.items()}
        self._holdings = {run: _Holding(pending, receipted) for run, pending, receipted in inventory}
        for run, holding in self._holdings.items():
            holding.through = max(holding.through, throughs.get(run, 0) if holding.receipted else 0)

    def took(self, sequence: int, *, urgent: bool, now_ms: int) -> None:
        """A new sample of the present run is in the spool; an urgent one is reported at once."""
        holding = self._holdings.setdefault(self._run, _Holding(Intervals(), Intervals()))
        holding.pending.add(sequence)
        if urgent:
            self._live_due_ms = min(self._live_due_ms, now_ms)

    def pace(self, *, interval_ms: int, live_samples: int, now_ms: int) -> None:
        """Reports come at another interval from now on; the next one goes out at once and asks for a receipt of its own."""
        self._interval_ms, self._live_samples = interval_ms, live_samples
        self._live_due_ms, self._ask, self._asked_ms = now_ms, True, None

    def ask_for_receipt(self) -> None:
        """Somebody waits to hear that the county has it: the next live report asks for a receipt, unless one is due anyway."""
        self._ask = True

    @property
    def unconfirmed(self) -> int:
        """How many samples are held without a receipt."""
        return sum(holding.pending.count for holding in self._holdings.values())

    @property
    def held(self) -> int:
        """How many samples are held."""
        return self.unconfirmed + sum(holding.receipted.count for holding in self._holdings.values())

    @property
    def catching_up(self) -> bool:
        """Whether a part of the backlog is on its way."""
        return any(sent.plan.backlog for sent in self._outstanding)

    # --- the connection ------------------------------------------------------------------------------------------------

    def connected(self, now_ms: int) -> None:
        """Birth was published: the first live report goes out as soon as there is one, and asks for a receipt."""
        self._connected_ms, self._answered, self._ask = now_ms, False, True
        self._live_due_ms, self._backlog_due_ms, self._asked_ms = now_ms, now_ms, None
        self._outstanding, self._live_through = [], 0

    def disconnected(self) -> None:
        """Nothing that is not settled counts as delivered."""
        self._connected_ms, self._asked_ms, self._outstanding = None, None, []

    def sent(self, number: int, plan: Plan, now_ms: int) -> None:
        """``plan`` was published as report ``number``."""
        self._outstanding.append(Sent(number, plan, now_ms))
        if not plan.backlog:
            self._live_due_ms = now_ms + self._interval_ms
            self._live_through = max(self._live_through, plan.last)
        if plan.wants_receipt:
            self._ask = False
            self._asked_ms = now_ms if self._asked_ms is None else self._asked_ms

    def acknowledged(self, number: int, now_ms: int) -> None:
        """The broker has report ``number``; that proves nothing about the store."""
        self._outstanding = [
            sent._replace(acknowledged_ms=now_ms) if sent.number == number and sent.acknowledged_ms is None else sent
            for sent in self._outstanding
        ]

    # --- what to send --------------------------------------------------------------------------------------------------

    def next(self, now_ms: int) -> Plan | None:
        """The report to send now, if any."""
        if self._connected_ms is None:
            return None
        self._give_up_waiting(now_ms)
        return self._live(now_ms) or self._backlog(now_ms)

    def wake_ms(self, now_ms: int) -> int:
        """How long nothing will be due unless something happens, at most a minute."""
        if self._connected_ms is None:
            return 60_000
        dues = [self._live_due_ms, self._backlog_due_ms, self._connected_ms + FIRST_RECEIPT_MS]
        if self._asked_ms is not None:
            dues.append(self._asked_ms + self._resend_ms)
        return min([60_000, *(due - now_ms for due in dues if due > now_ms)])

    def _live(self, now_ms: int) -> Plan | None:
        if now_ms < self._live_due_ms:
            return None
        unsent = self._unsent(self._run)
        if not unsent or unsent[-1][1] <= self._live_through:
            return None
        first, last = unsent[-1]
        first = max(first, self._live_through + 1, last - self._live_samples + 1)
        silent_ms = now_ms - (self._last_receipt_ms if self._last_receipt_ms is not None else now_ms)
        asks = self._asked_ms is None and (self._ask or silent_ms > ASK_AGAIN_MS)
        return Plan(self._run, first, last, False, asks)

    def _backlog(self, now_ms: int) -> Plan | None:
        assert self._connected_ms is not None
        if now_ms < self._backlog_due_ms or any(sent.plan.backlog for sent in self._outstanding):
            return None
        if not self._answered and (now_ms - self._connected_ms < FIRST_RECEIPT_MS or self._away(now_ms)):
            return None
        for run in self._holdings:
            for first, last in self._unsent(run):
                if run == self._run:
                    last = min(last, self._live_through)  # what is newer goes with the next live report
                if first <= last:
                    return Plan(run, first, min(last, first + self._max_samples - 1), True, True)
        return None

    def _away(self, now_ms: int) -> bool:
        """Whether a receipt is missing that must have come by now."""
        return any(
            sent.plan.wants_receipt and sent.acknowledged_ms is not None and now_ms - sent.acknowledged_ms > RECEIPT_MS
            for sent in self._outstanding
        )

    def _give_up_waiting(self, now_ms: int) -> None:
        if self._asked_ms is not None and now_ms - self._asked_ms >= self._resend_ms:
            self._outstanding, self._asked_ms, self._ask, self._live_through = [], None, True, 0
            self._resend_ms = min(2 * self._resend_ms, RESEND_MOST_MS)

    def _unsent(self, run: int) -> list[Span]:
        holding = self._holdings.get(run)
        if holding is None or not holding.pending:
            return []
        unsent = holding.pending.copy()
        for sent in self._outstanding:
            if sent.plan.run == run:
                unsent.discard(sent.plan.first, sent.plan.last)
        return list(unsent)

    # --- receipts ------------------------------------------------------------------------------------------------------

    def receipt(self, receipt: Receipt, *, same_epoch: bool, now_ms: int) -> Settled:
        """Work a receipt in. ``same_epoch``: it names the epoch of the receipts before, or it is the first one ever."""
        # One that answers nothing on its way may be late, unasked, or meant for a clone of this PC: it may confirm, no more.
        answers = next((s for s in self._outstanding if (s.plan.run, s.number) == (receipt.run, receipt.number)), None)
        covered = {told.run: covered_by(told) for told in receipt.runs}
        if not same_epoch or (answers is not None and self._went_back(receipt, covered)):
            self._outstanding = []
            self._heard(now_ms, answers)
            return Settled(went_back=True, answers=answers)
        refused = self._refused(receipt)
        marks = self._mark(covered)
        for told in receipt.runs:
            if told.run in self._holdings:
                self._holdings[told.run].through = max(told.through, self._holdings[told.run].through)
        if answers is not None:
            # Reports came in order on one connection: what of them is still pending was lost on the way, and goes again.
            self._outstanding = [sent for sent in self._outstanding if sent.number > receipt.number]
        self._heard(now_ms, answers)
        return Settled(marks, refused, False, answers)

    def _heard(self, now_ms: int, answers: Sent | None) -> None:
        self._last_receipt_ms = now_ms
        if answers is not None:
            self._answered, self._resend_ms = True, RESEND_MS
            # One receipt answers all reports before it, whichever of them asked.
            self._asked_ms = min((sent.sent_ms for sent in self._outstanding if sent.plan.wants_receipt), default=None)
            self._backlog_due_ms = now_ms + self._pause_ms()

    def _went_back(self, receipt: Receipt, covered: dict[int, Intervals]) -> bool:
        for told in receipt.runs:
            holding = self._holdings.get(told.run)
            if holding is None or not holding.receipted:
                continue
            if told.through < holding.through:
                return True
            # With all its ranges used up, a receipt may be silent about samples that are stored.
            whole = len(told.ranges) < MAX_RANGES
            if whole and any(covered[told.run].missing(first, last) for first, last in holding.receipted):
                return True
        return receipt.complete and any(h.receipted and run not in covered for run, h in self._holdings.items())

    def _refused(self, receipt: Receipt) -> tuple[tuple[int, tuple[Span, ...]], ...]:
        numbers = {number for _, number in receipt.refused}
        found: list[tuple[int, tuple[Span, ...]]] = []
        for sent in self._outstanding:
            if sent.number in numbers and (sent.plan.run, sent.number) in receipt.refused:
                plan = sent.plan
                found.append((plan.run, ((plan.first, plan.last),)))
                if plan.run in self._holdings:
                    self._holdings[plan.run].pending.discard(plan.first, plan.last)
        return tuple(found)

    def _mark(self, covered: dict[int, Intervals]) -> tuple[tuple[int, tuple[Span, ...]], ...]:
        marks: list[tuple[int, tuple[Span, ...]]] = []
        for run, told in covered.items():
            holding = self._holdings.get(run)
            if holding is None:
                continue
            spans = tuple(span for first, last in holding.pending for span in _common(told, first, last))
            for first, last in spans:
                holding.pending.discard(first, last)
                holding.receipted.add(first, last)
            if spans:
                marks.append((run, spans))
        return tuple(marks)


def covered_by(told: RunReceipt) -> Intervals:
    """All numbers of a run that a receipt calls safe."""
    covered = Intervals([(1, told.through)] if told.through else [])
    for first, last in told.ranges:
        if 0 < first <= last:
            covered.add(first, last)
    return covered


def _common(told: Intervals, first: int, last: int) -> list[Span]:
    """The parts of ``first`` to ``last`` that ``told`` holds."""
    rest = Intervals([(first, last)])
    for gap in told.missing(first, last):
        rest.discard(*gap)
    return list(rest)
