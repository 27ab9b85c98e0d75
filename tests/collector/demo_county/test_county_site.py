"""A simulated site keeps an agent's promises: whatever is cut, each sample arrives, once by identity, and tells the truth."""

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sitekeeper_collector.demo.county import Condition, Pace
from sitekeeper_collector.simulate.site import Moment, SimSite
from sitekeeper_protocol import RELEASED_MS, codec
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.intervals import Intervals
from sitekeeper_protocol.messages import (
    PlaybackEvent,
    PlaybackEventRecord,
    PowerEvent,
    PowerEventRecord,
    Presence,
    Receipt,
    Report,
    RunReceipt,
    Sample,
)
from sitekeeper_protocol.vocabulary import Metric, Reason, State

PACE = Pace(resend_s=30, first_receipt_s=10)
STEP_MS = 250
START = Moment(RELEASED_MS + 10**9, 50_000_000)


class World:
    """One site, a line that may lose things, and the least of a collector; time passes when a test says so."""

    def __init__(self, seed: int = 1, **site: int) -> None:
        self.now = START
        self.site = SimSite("v1", chance=random.Random(seed), pace=PACE, now=START, uptime_ms=3_600_000, **site)
        self.reports_arrive = self.receipts_arrive = True
        self.reports: list[Report] = []
        self.stored: dict[tuple[int, int], Sample] = {}
        self.samples: dict[tuple[int, int], Sample] = {}
        self.coverage: dict[int, Intervals] = {}
        self.epoch = 7
        self.last_live_ms: int | None = None

    def enter(self, condition: Condition) -> None:
        if condition is Condition.SHUT_DOWN:
            self.note(self.site.say_goodbye(self.now))
            self.send()
        self.site.enter(condition, self.now)
        self.last_live_ms = self.last_live_ms if self.site.connected else None

    def note(self, sample: Sample | None) -> None:
        newest = self.site.spool.newest
        if sample is not None and newest is not None:
            self.samples[newest.run, sample.sequence] = sample

    def drop_connection(self) -> None:
        self.site.went_down(self.now)
        self.last_live_ms = None

    def live(self, seconds: float) -> None:
        until_ms = self.now.steady_ms + round(seconds * 1000)
        while self.now.steady_ms < until_ms:
            self.now = Moment(self.now.wall_ms + STEP_MS, self.now.steady_ms + STEP_MS)
            self.note(self.site.step(self.now))
            self.connect()
            self.send()
            if self.site.connected and self.last_live_ms is not None:
                assert self.now.steady_ms - self.last_live_ms <= PACE.promise_s * 1000, "a promise was broken"

    def connect(self) -> None:
        due_ms = self.site.connect_due_ms()
        if due_ms is None or self.now.steady_ms < due_ms:
            return
        will = codec.decode_status(self.site.attempt(self.now))
        assert (will.presence, will.connection) == (Presence.LOST, self.site.connection)
        if not self.site.condition.has_line:
            self.site.went_down(self.now)
            return
        birth = codec.decode_status(self.site.came_up(self.now))
        assert (birth.presence, birth.run) == (Presence.ONLINE, will.run)

    def send(self) -> None:
        while self.site.connected and (outgoing := self.site.outgoing(self.now)) is not None:
            report = codec.decode_report(outgoing.payload)
            assert report.header.site_check == codec.site_check("v1")
            assert (report.header.number, report.header.connection) == (outgoing.number, self.site.connection)
            if not report.header.backlog:
                self.last_live_ms = self.now.steady_ms
            if self.reports_arrive:
                self.take(report)

    def take(self, report: Report) -> None:
        self.reports.append(report)
        header = report.header
        held = self.coverage.setdefault(header.run, Intervals())
        assert all(self.stored.get((header.run, s.sequence), s) == s for s in report.samples), "a sample has changed"
        self.stored.update({(header.run, sample.sequence): sample for sample in report.samples})
        held.add(header.first, header.last)
        for first, last in held.missing(1, header.oldest - 1) if header.oldest > 1 else ():
            held.add(first, last)
        for drop in report.drops:
            self.coverage.setdefault(drop.run, Intervals()).add(drop.first, drop.last)
        if header.wants_receipt and self.receipts_arrive:
            self.answer(report)

    def answer(self, report: Report) -> None:
        runs = [RunReceipt(run, c.through, [s for s in c if s[0] > 1][:16]) for run, c in list(self.coverage.items())[-64:]]
        receipt = Receipt(1, self.epoch, report.header.run, report.header.number, self.now.wall_ms, runs, True)
        assert self.site.received(codec.encode(receipt), self.now)

    def settle(self) -> None:
        """All is well again, for long enough."""
        self.reports_arrive = self.receipts_arrive = True
        self.enter(Condition.WORKING)
        for _ in range(40):
            self.live(10)
            if self.site.spool.held <= PACE.live_samples * 40:
                break
        self.live(2 * PACE.resend_s)
        self.drop_connection()  # what is under way is asked for again, and answered
        self.live(30)

    def taken(self) -> set[tuple[int, int]]:
        return {(run, n) for run, last in self.site.spool.taken.items() for n in range(1, last + 1)}


_ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("live"), st.floats(0.5, 40)),
        st.tuples(st.just("enter"), st.sampled_from(list(Condition))),
        st.tuples(st.just("class"), st.booleans()),
        st.tuples(st.just("drop"), st.none()),
        st.tuples(st.just("reports"), st.booleans()),
        st.tuples(st.just("receipts"), st.booleans()),
    ),
    max_size=25,
)


def _act(world: World, what: str, how: object) -> None:
    if what == "live" and isinstance(how, float):
        world.live(how)
    elif what == "enter" and isinstance(how, Condition):
        world.enter(how)
    elif what == "class":
        world.site.in_class = bool(how)
    elif what == "drop" and world.site.connected:
        world.drop_connection()
    elif what == "reports":
        world.reports_arrive = bool(how)
    elif what == "receipts":
        world.receipts_arrive = bool(how)


@settings(deadline=None, max_examples=150)
@given(_ACTIONS, st.integers(0, 2**32))
def test_every_sample_is_stored_once_as_it_was_taken_whatever_is_cut(actions: list[tuple[str, object]], seed: int) -> None:
    """Cuts of line and power, shutdowns, lost reports, lost receipts; also no promise is broken on the way."""
    world = World(seed)
    for what, how in actions:
        _act(world, what, how)
    world.settle()
    assert world.taken() == world.samples.keys()
    newest = world.site.spool.newest
    assert newest is not None
    # The last live report's samples may still wait for a receipt, which comes when it is asked for.
    waiting = {(run.run, n) for run in world.site.spool.runs.values() for n in run.samples}
    assert {run for run, _ in waiting} <= {newest.run}
    assert world.samples.keys() - world.stored.keys() <= {(newest.run, newest.last)} | {(newest.run, newest.last - 1)}
    assert all(world.samples[key] == sample for key, sample in world.stored.items())
    confirmed = world.samples.keys() - waiting
    assert all(world.coverage[run].covers(n, n) and (run, n) in world.stored for run, n in confirmed)
    assert not world.site.spool.drops


@settings(deadline=None, max_examples=60)
@given(_ACTIONS, st.integers(0, 2**32))
def test_each_run_tells_how_the_one_before_ended(actions: list[tuple[str, object]], seed: int) -> None:
    world = World(seed)
    goodbyes = set()
    for what, how in actions:
        alive = world.site.spool.newest if world.site.alive else None
        _act(world, what, how)
        if how is Condition.SHUT_DOWN and alive is not None:
            goodbyes.add(alive.run)
    world.enter(Condition.WORKING)
    world.live(10)
    runs = list(world.site.spool.taken)
    assert runs
    for at, run in enumerate(runs):
        told = [e for e in world.samples[run, 1].events if isinstance(e, PowerEventRecord) and e.what != PowerEvent.GOODBYE]
        before = told[0].run
        if before == 0:
            assert (told, at) == ([PowerEventRecord(PowerEvent.STARTED, "first")], 0)
            continue
        # A run may end before its first sample: then its start is the last that is known of it.
        about = (before, told[0].last_wall_ms, told[0].last_boottime_ms)
        last = world.samples.get((before, world.site.spool.taken.get(before, 0)))
        if last is not None:
            assert before == runs[at - 1]
            assert about == (before, last.wall_ms, last.boottime_ms)
        if before in goodbyes:
            assert told == [PowerEventRecord(PowerEvent.STARTED, "after_shutdown", *about)]
            assert last is not None
            assert last.events[-1] == PowerEventRecord(PowerEvent.GOODBYE, "shutdown", *about)
        else:
            lost = PowerEvent.POWER_LOST
            assert told == [PowerEventRecord(PowerEvent.STARTED, lost.value, *about), PowerEventRecord(lost, "", *about)]


def test_after_a_cut_the_present_is_told_first_and_the_past_paced() -> None:
    world = World()
    world.live(20)
    world.enter(Condition.LINE_CUT)
    sent = len(world.reports)
    world.live(1200)
    assert len(world.reports) == sent, "something got through a line that is cut"
    assert world.site.spool.held >= 600
    world.enter(Condition.WORKING)
    world.live(30)
    kinds = [report.header.backlog for report in world.reports[sent:]]
    assert kinds[0] is False and True in kinds[1:]
    backlog = [report for report in world.reports[sent:] if report.header.backlog]
    assert len(backlog) == 3
    assert all(report.header.wants_receipt for report in backlog)
    pauses_ms = [b.sent_boottime_ms - a.sent_boottime_ms for a, b in pairwise(backlog)]
    assert min(pauses_ms) >= PACE.pause_least_s * 1000
    cut = [s for s in world.stored.values() if s.values[Metric.RUNG_STATE, "ipv4/isp"] == State.FAIL]
    assert len(cut) >= 590
    assert all(s.values[Metric.RUNG_REASON, "ipv4/isp"] == Reason.TIMEOUT for s in cut)


def test_a_stream_that_breaks_in_a_class_is_a_failed_play_and_starts_again() -> None:
    world = World()
    world.site.in_class = True
    world.live(10)
    world.enter(Condition.LINE_CUT)
    world.live(10)
    world.enter(Condition.WORKING)
    world.live(10)
    world.site.in_class = False
    world.live(10)
    events = [e for key in sorted(world.samples) for e in world.samples[key].events if isinstance(e, PlaybackEventRecord)]
    assert [e.what for e in events] == [
        PlaybackEvent.STARTED,
        PlaybackEvent.FAILED,
        PlaybackEvent.STARTED,
        PlaybackEvent.STOPPED,
    ]
    assert all(e.duration_ms > 0 for e in events if e.what is not PlaybackEvent.STARTED)
    playing = [world.samples[key].values[Metric.PLAYING, ""] for key in sorted(world.samples)]
    assert playing[0] == 1 and playing[-1] == 0 and playing.count(0) >= 8


def test_a_site_without_power_measures_nothing_and_has_another_boot_afterwards() -> None:
    world = World()
    world.live(10)
    world.enter(Condition.POWER_CUT)
    before = len(world.samples)
    world.live(600)
    assert len(world.samples) == before
    assert world.site.due_ms() is None and world.site.connect_due_ms() is None
    world.enter(Condition.WORKING)
    world.live(20)
    boots = {report.header.run: report.boot for report in world.reports}
    assert len(boots) == len(set(boots.values())) == 2
    assert world.samples[list(boots)[1], 1].boottime_ms == PACE.boot_s * 1000


def test_the_clock_comes_from_the_round_trip() -> None:
    world = World()
    world.live(30)
    report = world.reports[-1]
    assert report.clock is not None
    assert abs(report.clock.offset_ms + report.sent_boottime_ms - world.now.wall_ms) <= report.clock.error_ms + 4000
    assert report.clock.offset_ms == START.wall_ms - START.steady_ms + (START.steady_ms - 3_600_000)


def test_what_is_given_up_for_want_of_room_is_told_until_a_receipt_covers_it() -> None:
    world = World(most_held=50)
    world.live(10)
    world.enter(Condition.LINE_CUT)
    world.live(400)
    assert world.site.spool.held == 50
    assert len(world.site.spool.drops) == 1
    world.settle()
    assert not world.site.spool.drops
    told = {(d.run, n) for report in world.reports for d in report.drops for n in range(d.first, d.last + 1)}
    waiting = {(run.run, n) for run in world.site.spool.runs.values() for n in run.samples}
    missing = world.samples.keys() - world.stored.keys() - waiting
    assert len(missing) > 100
    assert missing <= told


def test_a_store_that_was_made_anew_gets_all_that_is_held() -> None:
    world = World()
    world.live(60)
    world.receipts_arrive = False
    world.live(20)
    lost = {key for key in world.stored if key in {(r.run, n) for r in world.site.spool.runs.values() for n in r.samples}}
    assert lost
    world.stored, world.coverage, world.epoch, world.receipts_arrive = {}, {}, 8, True
    world.settle()
    assert lost <= world.stored.keys()


def test_two_counties_of_one_seed_have_the_same_runs_whatever_the_timing() -> None:
    worlds = [World(3), World(3), World(4)]
    for world, seconds in zip(worlds, (10, 45, 10), strict=True):
        world.live(seconds)
        world.enter(Condition.SWITCHED_OFF)
        world.live(5)
        world.enter(Condition.WORKING)
        world.live(10)
    runs = [list(world.site.spool.taken) for world in worlds]
    assert runs[0] == runs[1]
    assert not set(runs[0]) & set(runs[2])
    assert all(0 < run < 2**63 for run in runs[0])


@given(st.binary(max_size=200))
def test_what_can_t_be_read_is_no_receipt(payload: bytes) -> None:
    world = World()
    world.live(3)
    try:
        codec.decode_receipt(payload)
    except ProtocolError:
        assert not world.site.received(payload, world.now)
