"""The sending policy alone: against a model of broker and collector that lose, repeat, delay, restore and go away."""

import random
from copy import deepcopy
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitekeeper_agent.courier import ASK_AGAIN_MS, FIRST_RECEIPT_MS, RESEND_MOST_MS, RESEND_MS, Courier, Plan, Settled
from sitekeeper_protocol.intervals import Intervals
from sitekeeper_protocol.messages import Receipt, RunReceipt

RUN, OLD, OLDER = 100, 90, 80
MINUTE_MS = 60_000
SERVER_MS = 1_800_000_000_000


class Store:
    """A collector's memory of one site, and the receipts that it writes."""

    def __init__(self, epoch: int = 7) -> None:
        self.epoch = epoch
        self.runs: dict[int, Intervals] = {}
        self.refusing: set[int] = set()
        self.new_connection = True

    def take(self, number: int, plan: Plan) -> Receipt | None:
        refused = []
        seen = self.runs.setdefault(plan.run, Intervals())
        if number in self.refusing:
            refused = [(plan.run, number)]
        else:
            seen.add(plan.first, plan.last)
        if not plan.wants_receipt and not self.new_connection:
            return None
        complete, self.new_connection = self.new_connection, False
        told = self.runs if complete else {plan.run: seen}
        return self.receipt(plan.run, number, list(told), complete, refused)

    def receipt(self, run: int, number: int, runs: list[int], complete: bool, refused: list[tuple[int, int]]) -> Receipt:
        told = []
        for one in runs:
            spans = [span for span in self.runs[one] if span[0] > 1][:16]
            told.append(RunReceipt(one, self.runs[one].through, spans))
        return Receipt(1, self.epoch, run, number, SERVER_MS, told, complete, refused)


class Site:
    """The agent around a courier, as far as sending goes, with a clock of its own."""

    def __init__(self, held: dict[int, int] | None = None) -> None:
        self.now_ms = 1_000_000
        self.courier = Courier(RUN, interval_ms=5 * MINUTE_MS, live_samples=5, pause_ms=lambda: 1000)
        self.pending = {run: Intervals([(1, last)]) for run, last in (held or {}).items()}
        self.receipted: dict[int, Intervals] = {run: Intervals() for run in self.pending}
        self.refused: dict[int, Intervals] = {}
        self.epoch = 0
        self.sequence = self.pending[RUN].through if RUN in self.pending else 0
        self.number = 0
        self.restock()

    def restock(self) -> None:
        self.courier.stock([(run, self.pending[run].copy(), self.receipted[run].copy()) for run in sorted(self.pending)])

    def sample(self, urgent: bool = False) -> None:
        self.sequence += 1
        self.pending.setdefault(RUN, Intervals()).add(self.sequence)
        self.receipted.setdefault(RUN, Intervals())
        self.courier.took(self.sequence, urgent=urgent, now_ms=self.now_ms)

    def minutes(self, count: int) -> list[tuple[int, Plan]]:
        """Let time pass with a sample a minute; what was sent."""
        sent: list[tuple[int, Plan]] = []
        for _ in range(count):
            self.now_ms += MINUTE_MS
            self.sample()
            sent += self.send()
        return sent

    def send(self) -> list[tuple[int, Plan]]:
        sent: list[tuple[int, Plan]] = []
        while (plan := self.courier.next(self.now_ms)) is not None:
            self.number += 1
            self.courier.sent(self.number, plan, self.now_ms)
            sent.append((self.number, plan))
            assert len(sent) < 20, "it does not stop sending"
        return sent

    def hear(self, receipt: Receipt) -> Settled:
        settled = self.courier.receipt(receipt, same_epoch=self.epoch in (0, receipt.epoch), now_ms=self.now_ms)
        self.epoch = receipt.epoch
        if settled.went_back:
            for run, spans in self.receipted.items():
                self.pending[run].update(spans)
                self.receipted[run] = Intervals()
            self.restock()
        for run, marked in settled.marks:
            for span in marked:
                self.pending[run].discard(*span)
                self.receipted[run].add(*span)
        for run, marked in settled.refused:
            for span in marked:
                self.pending[run].discard(*span)
                self.refused.setdefault(run, Intervals()).add(*span)
        return settled

    def acknowledge(self, sent: list[tuple[int, Plan]]) -> None:
        for number, _ in sent:
            self.courier.acknowledged(number, self.now_ms)

    def exchange(self, store: Store, sent: list[tuple[int, Plan]]) -> None:
        """Deliver everything both ways, and what follows from it, without losing anything."""
        while sent:
            self.acknowledge(sent)
            for receipt in [store.take(number, plan) for number, plan in sent]:
                if receipt is not None:
                    self.now_ms += 50
                    self.hear(receipt)
            self.now_ms += 1000
            sent = self.send()

    def settled(self) -> bool:
        return not any(self.pending.values())


def connected(held: dict[int, int] | None = None) -> Site:
    site = Site(held)
    site.courier.connected(site.now_ms)
    return site


# --- the rules, one by one ---------------------------------------------------------------------------------------------


def test_the_newest_samples_go_live_first_and_ask_and_the_backlog_waits_for_the_answer() -> None:
    site = connected({OLD: 30, RUN: 20})
    ((number, live),) = site.send()
    assert live == Plan(RUN, 16, 20, backlog=False, wants_receipt=True)
    site.acknowledge([(number, live)])
    site.now_ms += 59_000
    assert site.send() == []
    site.hear(Receipt(1, 7, RUN, number, SERVER_MS, [RunReceipt(RUN, 0, [(16, 20)])], True))
    site.now_ms += 1000
    ((_, first),) = site.send()
    assert first == Plan(OLD, 1, 30, backlog=True, wants_receipt=True)


def test_the_backlog_is_one_report_at_a_time_of_at_most_240_samples_with_a_pause() -> None:
    site = connected({OLD: 1000, RUN: 5})
    store = Store()
    ((number, live),) = site.send()
    receipt = store.take(number, live)
    assert receipt is not None
    site.hear(receipt)
    sizes = []
    while not site.settled():
        assert site.send() == [], "the pause is kept"
        site.now_ms += 1000
        ((number, plan),) = site.send()
        sizes.append(plan.last - plan.first + 1)
        site.now_ms += 30_000
        assert site.send() == [], "the next waits for the receipt"
        answer = store.take(number, plan)
        assert answer is not None
        site.hear(answer)
    assert sizes == [240, 240, 240, 240, 40]


def test_live_reports_come_every_interval_and_at_once_for_an_event() -> None:
    site = connected()
    store = Store()
    site.sample()
    site.exchange(store, site.send())
    sent = site.minutes(10)
    assert [(plan.first, plan.last, plan.wants_receipt) for _, plan in sent] == [(2, 6, False), (7, 11, False)]
    site.now_ms += 1000
    site.sample(urgent=True)
    ((_, plan),) = site.send()
    assert (plan.first, plan.last, plan.backlog) == (12, 12, False)


def test_without_receipts_for_an_hour_the_next_live_report_asks() -> None:
    site = connected()
    site.sample()
    site.exchange(Store(), site.send())
    sent = site.minutes(ASK_AGAIN_MS // MINUTE_MS + 6)
    assert [plan.wants_receipt for _, plan in sent].count(True) == 1
    assert sent[-1][1].wants_receipt or sent[-2][1].wants_receipt


def test_a_receipt_of_a_later_report_settles_the_question_of_an_earlier_one() -> None:
    """Receipts are coalesced: one that echoes a report which asked for nothing answers all before it."""
    site = connected({OLD: 10, RUN: 5})
    store = Store()
    ((number, live),) = site.send()
    receipt = store.take(number, live)
    assert receipt is not None
    site.hear(receipt)
    site.now_ms += 1000
    ((ask, backlog),) = site.send()
    assert backlog.wants_receipt
    site.sample(urgent=True)
    ((later, plain),) = site.send()
    assert not plain.wants_receipt
    store.take(ask, backlog)
    store.take(later, plain)
    site.hear(store.receipt(RUN, later, [OLD, RUN], False, []))
    assert site.settled()
    assert all(not plan.backlog for _, plan in site.minutes(60)), "nothing is sent twice"


def test_a_collector_that_is_away_gets_live_reports_and_one_retry_ever_more_seldom() -> None:
    site = connected({OLD: 2000, RUN: 5})
    store = Store()
    ((number, live),) = site.send()
    receipt = store.take(number, live)
    assert receipt is not None
    site.hear(receipt)
    site.now_ms += 1000
    site.acknowledge(site.send())
    backlog_at = []
    live_samples = 0
    start_ms = site.now_ms
    for _ in range(3 * 24 * 60):
        sent = site.minutes(1)
        site.acknowledge(sent)
        backlog_at += [(site.now_ms - start_ms) for _, plan in sent if plan.backlog]
        live_samples += sum(plan.last - plan.first + 1 for _, plan in sent if not plan.backlog)
    waits = [after - before for before, after in pairwise(backlog_at)]
    assert backlog_at[0] >= RESEND_MS
    assert len(backlog_at) < 25
    assert max(waits) <= RESEND_MOST_MS + 10 * MINUTE_MS
    assert all(wait >= RESEND_MS for wait in waits)
    assert live_samples >= 3 * 24 * 60 - 5


def test_a_receipt_that_covers_less_than_was_confirmed_brings_everything_back() -> None:
    site = connected({RUN: 20})
    store = Store()
    site.exchange(store, site.send())
    assert site.settled()
    backup = deepcopy(store.runs)
    site.exchange(store, site.minutes(5))
    site.exchange(store, site.minutes(90))
    store.runs = backup
    site.courier.disconnected()
    site.courier.connected(site.now_ms)
    store.new_connection = True
    for _ in range(30):
        site.exchange(store, site.minutes(1))
    assert store.runs[RUN].missing(1, site.sequence - 5) == []


def test_a_complete_receipt_without_a_confirmed_run_brings_it_back() -> None:
    site = connected({OLD: 20, RUN: 5})
    store = Store()
    site.exchange(store, site.send())
    assert site.settled()
    del store.runs[OLD]
    site.courier.disconnected()
    site.courier.connected(site.now_ms)
    store.new_connection = True
    for _ in range(10):
        site.exchange(store, site.minutes(1))
    assert store.runs[OLD].covers(1, 20)


def test_a_new_epoch_brings_everything_back_though_the_store_has_most_of_it() -> None:
    site = connected({OLD: 20, RUN: 5})
    store = Store()
    site.exchange(store, site.send())
    store.epoch = 8
    del store.runs[OLD]
    site.courier.disconnected()
    site.courier.connected(site.now_ms)
    store.new_connection = True
    for _ in range(10):
        site.exchange(store, site.minutes(1))
    assert store.runs[OLD].covers(1, 20)


def test_what_was_refused_is_never_sent_again() -> None:
    site = connected({OLD: 10, RUN: 5})
    store = Store()
    store.refusing = {2}
    site.exchange(store, site.send())
    assert site.refused == {OLD: Intervals([(1, 10)])}
    later = []
    for _ in range(200):
        sent = site.minutes(1)
        later += sent
        site.exchange(store, sent)
    assert all(plan.run == RUN for _, plan in later)


@pytest.mark.parametrize("number", [0, 77])
def test_a_receipt_that_answers_nothing_confirms_and_does_no_more(number: int) -> None:
    site = connected({OLD: 10, RUN: 5})
    sent = site.send()
    settled = site.hear(Receipt(1, 7, RUN if number else 0, number, SERVER_MS, [RunReceipt(OLD, 4)]))
    assert (settled.answers, settled.went_back) == (None, False)
    assert list(site.pending[OLD]) == [(5, 10)]
    assert list(site.courier._unsent(RUN)) == [], "the live report is still on its way"
    assert len(sent) == 1


def test_a_first_receipt_that_got_lost_holds_the_backlog_up_no_longer_than_the_next_question() -> None:
    site = connected({OLD: 10, RUN: 5})
    store = Store()
    site.acknowledge(site.send())
    sent: list[tuple[int, Plan]] = []
    minutes = 0
    while not any(plan.backlog for _, plan in sent):
        sent = site.minutes(1)
        site.exchange(store, sent)
        minutes += 1
        assert minutes <= (FIRST_RECEIPT_MS + RESEND_MS) // MINUTE_MS + 10
    site.exchange(store, site.minutes(10))
    assert store.runs[OLD].covers(1, 10)


# --- everything at once ------------------------------------------------------------------------------------------------

ACTIONS = ("minute", "minutes", "urgent", "cut", "away", "restore", "evict", "hour")


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(ACTIONS), max_size=40))
def test_in_the_end_everything_held_is_stored_and_nothing_is_sent_endlessly(seed: int, actions: list[str]) -> None:
    """The line loses messages and receipts, repeats and delays them; broker and collector come and go; stores go back."""
    chance = random.Random(seed)
    site, store = Site({OLDER: 300, OLD: 7, RUN: 12}), Store()
    backups = [deepcopy(store.runs)]
    queue: list[tuple[int, Plan]] = []
    down: list[Receipt] = []
    up = False
    away = False

    def tick(quality: float) -> int:
        """One step of everybody; how many reports were sent."""
        nonlocal up, queue, down
        if not up:
            site.courier.connected(site.now_ms)
            up, store.new_connection = True, True
        sent = site.send()
        for number, plan in sent:
            if chance.random() < quality:
                queue.append((number, plan))
                site.courier.acknowledged(number, site.now_ms)
                if chance.random() > quality:
                    queue.append((number, plan))
            else:
                up, down = False, []  # without its acknowledgement the connection is given up
                site.courier.disconnected()
                break
        if not away:
            for number, plan in queue:
                receipt = store.take(number, plan)
                if receipt is not None and chance.random() < quality:
                    down += [receipt] * (1 if chance.random() < quality else 2)
            queue = []
        if up and chance.random() < quality:
            for receipt in down:
                site.hear(receipt)
            down = []
        return len(sent)

    for action in actions:
        site.now_ms += chance.randrange(500, 30_000)
        if action == "cut":
            up, down = False, []
            site.courier.disconnected()
        elif action == "away":
            away = not away
        elif action == "restore":
            store.runs = deepcopy(chance.choice(backups))
            store.epoch += chance.randrange(2)
            store.new_connection = True
        elif action == "evict":
            for run in (OLDER, OLD):
                site.receipted[run] = Intervals()
            site.restock()
        else:
            for _ in range({"minute": 1, "urgent": 1, "minutes": 6, "hour": 60}[action]):
                site.now_ms += MINUTE_MS
                site.sample(urgent=action == "urgent")
                tick(0.8)
        backups.append(deepcopy(store.runs))
        tick(0.8)
    # The line is repaired, the collector is back: now everything that is still held must get there.
    away = False
    up = False
    site.courier.disconnected()
    for _ in range(12 * 60):
        site.now_ms += MINUTE_MS
        site.sample()
        tick(1.0)
        site.now_ms += 2000
        tick(1.0)
    site.now_ms += 6 * MINUTE_MS
    site.sample(urgent=True)
    tick(1.0)
    for run, held in site.pending.items():
        for first, last in held:
            assert store.runs[run].covers(first, last), f"run {run}: {first}..{last} never got there"
    for run, marked in site.receipted.items():
        for first, last in marked:
            assert store.runs[run].covers(first, last), f"run {run}: {first}..{last} counts as stored and is not"
    reports = 0
    for _ in range(60):
        site.now_ms += MINUTE_MS
        site.sample()
        reports += tick(1.0)
    assert reports <= 60 // 5 + 2, "nothing but live reports goes once everything is there"
