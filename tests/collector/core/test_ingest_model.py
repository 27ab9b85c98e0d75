"""Whatever order reports come in, and whatever fails between: each sample once, and no receipt that claims too much."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from sitekeeper_collector.domain import coverage
from sitekeeper_collector.ingest.messages import Inbound
from sitekeeper_collector.store.engine import open_store
from sitekeeper_collector.store.errors import StoreUnavailable
from sitekeeper_protocol import codec
from sitekeeper_protocol.intervals import Intervals
from sitekeeper_protocol.messages import Drop, DropReason, Receipt
from support.scripted import Bench, bench, fast_folder, inbound, report, sample

SITES = ("v1", "v2")
RUNS = (3, 2**62 + 1, 2**63 - 1)
POISON = 3
"""A sample of this number makes the transaction fail while the trigger is there."""
_TRIGGER = f"""
    CREATE TRIGGER poison BEFORE INSERT ON samples WHEN NEW.sequence = {POISON}
    BEGIN SELECT RAISE(ABORT, 'poison'); END;
"""

Key = tuple[str, int, int]


class County(RuleBasedStateMachine):
    """Two sites' agents, a queue that loses, doubles and mixes up nothing by itself, and a model of what must be stored."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(dir=fast_folder())))
        self.at: Bench = self.stack.enter_context(bench(folder, *SITES, template=self.template, busy_timeout_s=0))
        self.taken: dict[tuple[str, int], int] = {}
        self.on_the_way: list[tuple[Inbound, set[Key], set[Key], set[Key]]] = []
        """Each message with the samples it brings, those it drops, and those that count as refused."""
        self.stored: set[Key] = set()
        self.lost: set[Key] = set()
        self.number = 0
        self.poisoned = False

    @initialize()
    def first_samples(self) -> None:
        for site in SITES:
            self.taken[site, RUNS[0]] = 3

    def teardown(self) -> None:
        try:
            if self.poisoned:
                self.at.execute("DROP TRIGGER poison")
                self.poisoned = False
            while self.on_the_way:
                self._deliver(self.on_the_way[:])
            self.what_is_stored_is_what_was_delivered()
        finally:
            self.stack.close()

    # --- agents --------------------------------------------------------------------------------------------------------

    @rule(site=st.sampled_from(SITES), run=st.sampled_from(RUNS), more=st.integers(1, 6))
    def take_samples(self, site: str, run: int, more: int) -> None:
        self.taken[site, run] = self.taken.get((site, run), 0) + more

    @rule(
        data=st.data(),
        backlog=st.booleans(),
        asked=st.booleans(),
        oldest=st.integers(1, 12),
        breakage=st.booleans(),
    )
    def send(self, data: st.DataObject, backlog: bool, asked: bool, oldest: int, breakage: bool) -> None:
        """A report of any window: live, backlog, packed anew; sometimes its body is damaged."""
        site, run = data.draw(st.sampled_from(sorted(self.taken)))
        last = data.draw(st.integers(1, self.taken[site, run]))
        first = data.draw(st.integers(max(1, last - 5), last))
        numbers = range(first, last + 1)
        self.number += 1
        payload = report(
            site,
            run,
            [sample(run, n) for n in numbers],
            number=self.number,
            backlog=backlog,
            wants_receipt=asked,
            oldest=oldest,
        )
        brings = {(site, run, n) for n in numbers}
        drops = {(site, run, n) for n in range(1, min(oldest, first))}
        damaged = breakage and data.draw(st.integers(0, 3)) == 0
        if damaged:
            message = inbound(site, payload[:-6] + b"\xff" * 6)
            self.on_the_way.append((message, set(), set(), brings))
        else:
            self.on_the_way.append((inbound(site, payload), brings, drops, set()))

    @rule(site=st.sampled_from(SITES), run=st.sampled_from(RUNS), other=st.sampled_from(RUNS), first=st.integers(1, 9))
    def declare_drops(self, site: str, run: int, other: int, first: int) -> None:
        self.number += 1
        drop = Drop(other, first, first + 2, DropReason.SIZE)
        payload = report(site, run, (), number=self.number, drops=(drop,), wants_receipt=True)
        self.on_the_way.append((inbound(site, payload), set(), {(site, other, n) for n in range(first, first + 3)}, set()))

    # --- the way and the collector -------------------------------------------------------------------------------------

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data(), again=st.booleans())
    def deliver(self, data: st.DataObject, again: bool) -> None:
        """Some of what is on the way comes in, in any order; some of it stays there and comes a second time."""
        chosen = data.draw(st.permutations(self.on_the_way).map(lambda some: some[:5]))
        self._deliver(chosen, keep=again)

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data())
    def deliver_while_the_database_is_locked(self, data: st.DataObject) -> None:
        chosen = data.draw(st.permutations(self.on_the_way).map(lambda some: some[:3]))
        with self.at.locked(), pytest.raises(StoreUnavailable):
            self.at.give(*(message for message, *_ in chosen))

    @rule()
    def toggle_poison(self) -> None:
        self.at.execute("DROP TRIGGER poison" if self.poisoned else _TRIGGER)
        self.poisoned = not self.poisoned

    @rule()
    def restart(self) -> None:
        self.at.restart()

    def _deliver(self, chosen: list[tuple[Inbound, set[Key], set[Key], set[Key]]], *, keep: bool = False) -> None:
        receipts = self.at.send(*(message for message, *_ in chosen))
        for message, brings, drops, refused in chosen:
            if self.poisoned and any(n == POISON for _, _, n in brings - self.stored):
                self.lost |= brings - self.stored
            else:
                self.stored |= brings
                self.lost |= (drops | refused) - self.stored
            self.lost -= self.stored
            if not keep:
                self.on_the_way = [some for some in self.on_the_way if some[0] is not message]
        for receipt in receipts:
            self._is_true(receipt.topic.split("/")[3], codec.decode_receipt(receipt.payload))

    def _is_true(self, site: str, receipt: Receipt) -> None:
        for said in receipt.runs:
            claimed = Intervals([(1, said.through)] if said.through else [])
            claimed.update(Intervals(said.ranges))
            accounted = self.stored | self.lost
            for first, last in claimed:
                missing = [n for n in range(first, last + 1) if (site, said.run, n) not in accounted]
                assert not missing, f"a receipt claims {missing[:5]} of run {said.run} of {site}"

    # --- what must hold ------------------------------------------------------------------------------------------------

    @invariant()
    def what_is_stored_is_what_was_delivered(self) -> None:
        rows = self.at.rows("samples", "site", "run", "sequence", "wall_ms", "boottime_ms")
        assert len(rows) == len(self.stored)
        contents = self.at.contents()
        for site, run, sequence, wall_ms, boottime_ms in rows:
            assert (site, run, sequence) in self.stored
            found = contents[site, run, sequence]
            assert found == sample(run, sequence)
            assert (wall_ms, boottime_ms) == (found.wall_ms, found.boottime_ms)
        stored: set[Key] = set()
        lost: set[Key] = set()
        for site, run, book in self.at.rows("runs", "site", "run", "coverage"):
            covered = coverage.unpack(book)
            stored |= {(site, run, n) for first, last in covered.stored for n in range(first, last + 1)}
            for some in (covered.dropped, covered.refused):
                lost |= {(site, run, n) for first, last in some for n in range(first, last + 1)}
        assert (stored, lost) == (self.stored, self.lost)


def test_any_interleaving_of_live_backlog_duplicates_drops_failures_and_restarts(tmp_path: Path) -> None:
    """A state machine against a model; each step is checked against the whole database."""
    template = tmp_path / "template.db"
    store = open_store(f"sqlite:///{template}")
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    County.template = template
    run_state_machine_as_test(
        County,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            phases=[phase for phase in Phase if phase is not Phase.explain],
        ),
    )
