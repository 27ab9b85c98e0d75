"""Coverage, identity, presence, receipts and blindness: what is decided from which evidence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_collector import blindness
from sitekeeper_collector.blindness import Cause, Gap, Seen, Sight
from sitekeeper_collector.domain import coverage, identity, presence, receipts
from sitekeeper_collector.domain.coverage import MAX_RANGES, Coverage
from sitekeeper_collector.domain.identity import Found, LiveRuns
from sitekeeper_collector.domain.presence import Known, Promise, Told, Why
from sitekeeper_collector.domain.receipts import Due, Evidence, Owed, Sent
from sitekeeper_protocol.messages import Presence

# --- coverage ----------------------------------------------------------------------------------------------------------

_span = st.tuples(st.integers(1, 60), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))
_steps = st.lists(st.tuples(st.sampled_from(["store", "drop", "refuse"]), _span), max_size=30)


@given(steps=_steps)
def test_coverage_agrees_with_plain_sets(steps: list[tuple[str, tuple[int, int]]]) -> None:
    """A stored sample stays stored; one that was lost is stored when it comes; what is new is told once."""
    book = Coverage()
    sets: dict[str, set[int]] = {"store": set(), "drop": set(), "refuse": set()}
    for what, (first, last) in steps:
        numbers = set(range(first, last + 1))
        before = sets["store"] if what == "store" else set().union(*sets.values())
        new = {n for a, b in getattr(book, what)(first, last) for n in range(a, b + 1)}
        assert new == numbers - before
        sets[what] |= new
        if what == "store":
            sets["drop"] -= numbers
            sets["refuse"] -= numbers
    for name, found in (("store", book.stored), ("drop", book.dropped), ("refuse", book.refused)):
        assert {n for a, b in found for n in range(a, b + 1)} == sets[name]
    assert coverage.unpack(coverage.pack(book)) == book


@given(steps=_steps, answered=st.lists(_span, max_size=3))
def test_a_receipt_never_claims_what_is_not_covered(
    steps: list[tuple[str, tuple[int, int]]], answered: list[tuple[int, int]]
) -> None:
    book = Coverage()
    for what, span in steps:
        getattr(book, what)(*span)
    covered = {n for a, b in book.covered() for n in range(a, b + 1)}
    said = coverage.receipt(5, book, answered)
    assert len(said.ranges) <= MAX_RANGES and said.ranges == sorted(said.ranges)
    assert set(range(1, said.through + 1)) <= covered and said.through + 1 not in covered
    assert {n for a, b in said.ranges for n in range(a, b + 1)} <= covered


# --- identity ----------------------------------------------------------------------------------------------------------

A, B, C = 1, 2, 3


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        pytest.param([A, A, A], [Found.NEW, Found.SAME, Found.SAME], id="one machine"),
        pytest.param([A, B, C], [Found.NEW] * 3, id="restarts"),
        pytest.param([A, B, A], [Found.NEW, Found.NEW, Found.RETURNED], id="one late report proves nothing"),
        pytest.param([A, B, A, B], [Found.NEW, Found.NEW, Found.RETURNED, Found.DUPLICATE], id="two machines in turns"),
        pytest.param([A, B, C, A, B], [Found.NEW] * 3 + [Found.RETURNED, Found.DUPLICATE], id="three machines"),
    ],
)
def test_live_runs_in_turns_are_two_machines(runs: list[int], found: list[Found]) -> None:
    known, judged = LiveRuns(), []
    for at, run in enumerate(runs):
        known, what = identity.judge(known, run, new_samples=True, now_ms=at * 300_000)
        judged.append(what)
    assert judged == found


def test_what_an_old_run_sent_before_proves_nothing_when_it_comes_again() -> None:
    known = LiveRuns((A, B))
    assert identity.judge(known, A, new_samples=False, now_ms=0) == (known, Found.STALE)


def test_returns_that_lie_days_apart_prove_nothing_together() -> None:
    known = LiveRuns((A, B), (0,))
    assert identity.judge(known, A, new_samples=True, now_ms=identity.WINDOW_MS + 1)[1] is Found.RETURNED


@given(st.lists(st.integers(1, 9), max_size=60))
def test_what_is_remembered_of_live_runs_stays_small(runs: list[int]) -> None:
    known = LiveRuns()
    for at, run in enumerate(runs):
        known, _ = identity.judge(known, run, new_samples=True, now_ms=at)
    assert len(known.runs) <= identity.REMEMBERED and len(known.returned_ms) <= identity.RETURNS
    assert identity.unpack(identity.pack(known)) == known


# --- presence ----------------------------------------------------------------------------------------------------------

ONLINE, STOPPING, LOST = Presence.ONLINE, Presence.STOPPING, Presence.LOST
_here = Known("online", "", A, 5, 100)


@pytest.mark.parametrize(
    ("known", "told", "why"),
    [
        pytest.param(Known(), Told(LOST, "", A, 1, False), Why.TAKEN, id="the first word on a site"),
        pytest.param(_here, Told(ONLINE, "", A, 5, False), Why.SAME, id="told again"),
        pytest.param(_here, Told(LOST, "", A, 5, False), Why.TAKEN, id="will of the current connection"),
        pytest.param(_here, Told(LOST, "", A, 4, False), Why.LOWER_CONNECTION, id="will of the connection before"),
        pytest.param(_here, Told(ONLINE, "", B, 6, False), Why.TAKEN, id="birth of a new run"),
        pytest.param(_here, Told(ONLINE, "", B, 1, False), Why.TAKEN, id="birth after the state folder was put back"),
        pytest.param(_here, Told(ONLINE, "", B, 9, True), Why.SUPERSEDED_RUN, id="late birth of an earlier run"),
        pytest.param(_here, Told(LOST, "", B, 9, False), Why.OTHER_RUN, id="will of a run that never was current"),
        pytest.param(
            _here._replace(presence="stopping"), Told(LOST, "", A, 5, False), Why.AFTER_GOODBYE, id="will after a goodbye"
        ),
        pytest.param(_here._replace(presence="stopping"), Told(ONLINE, "", A, 6, False), Why.TAKEN, id="back from suspend"),
    ],
)
def test_a_status_counts_unless_it_is_stale(known: Known, told: Told, why: Why) -> None:
    after, found = presence.hear(known, told, 200)
    assert found is why
    if why is Why.TAKEN:
        assert after == Known(told.presence, told.reason, told.run, told.connection, 200)
    elif why is not Why.SAME:
        assert after == known


@pytest.mark.parametrize(
    ("known", "run", "connection", "current", "online"),
    [
        (Known(), A, 1, True, True),
        (_here._replace(presence="lost"), A, 5, True, False),
        (_here._replace(presence="lost"), A, 6, True, True),
        (_here._replace(presence="lost"), B, 1, True, True),
        (_here._replace(presence="lost"), B, 9, False, False),
    ],
)
def test_a_live_report_of_a_later_connection_shows_presence(
    known: Known, run: int, connection: int, current: bool, online: bool
) -> None:
    after = presence.hear_live_report(known, run, connection, current=current, now_ms=300)
    assert (after.presence == "online") is online


def test_a_promise_of_an_older_report_or_run_does_not_count() -> None:
    known = Promise(A, 5, 10, 1000)
    assert presence.renew(known, Promise(A, 5, 9, 9000), current=True) == known
    assert presence.renew(known, Promise(A, 4, 99, 9000), current=True) == known
    assert presence.renew(known, Promise(B, 1, 1, 9000), current=False) == known
    assert presence.renew(known, Promise(A, 5, 11, 500), current=True).due_ms == 500
    assert presence.renew(known, Promise(B, 1, 1, 500), current=True).due_ms == 500


# --- receipts ----------------------------------------------------------------------------------------------------------

_live = Evidence(connection=5, asked=False, refused=False, live=True)
_sent = Sent(connection=5, sent_ms=1000)


@pytest.mark.parametrize(
    ("sent", "evidence", "now_ms", "owed"),
    [
        pytest.param(None, _live, 0, Owed(Due.FIRST, True), id="first since the start"),
        pytest.param(Sent(4, 1000), _live, 1001, Owed(Due.FIRST, True), id="first of a connection"),
        pytest.param(_sent, _live, 1001, None, id="nothing to say"),
        pytest.param(_sent, _live, 1000 + 3600_000, Owed(Due.PERIODIC, False), id="an hour later"),
        pytest.param(_sent, _live, 0, Owed(Due.PERIODIC, False), id="our clock was put back"),
        pytest.param(_sent, _live._replace(asked=True), 1001, Owed(Due.ASKED, False), id="asked"),
        pytest.param(None, _live._replace(asked=True, live=False), 1001, Owed(Due.ASKED, True), id="asked, backlog, first"),
        pytest.param(None, _live._replace(live=False), 1001, None, id="backlog that does not ask"),
        pytest.param(_sent, _live._replace(refused=True), 1001, Owed(Due.REFUSED, False), id="refused"),
    ],
)
def test_a_receipt_is_owed(sent: Sent | None, evidence: Evidence, now_ms: int, owed: Owed | None) -> None:
    assert receipts.owed(sent, evidence, interval_ms=3600_000, now_ms=now_ms) == owed


# --- blindness ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "disconnected", "gap"),
    [
        pytest.param(None, Seen(5000, 0), False, None, id="the first start ever"),
        pytest.param(Seen(1000, None), Seen(91_000, 0), False, Gap(1000, 91_000, Cause.STOPPED), id="was stopped"),
        pytest.param(Seen(1000, None), Seen(20_000, 0), False, None, id="a quick restart"),
        pytest.param(Seen(1000, 0), Seen(11_000, 10_000), False, None, id="all is well"),
        pytest.param(Seen(1000, 0), Seen(91_000, 90_000), True, Gap(1000, 91_000, Cause.BROKER), id="the broker was away"),
        pytest.param(Seen(1000, 0), Seen(91_000, 90_000), False, Gap(1000, 91_000, Cause.STALL), id="everything stood still"),
        pytest.param(Seen(1000, 0), Seen(9_991_000, 10_000), False, None, id="only our wall clock was set"),
        pytest.param(Seen(9_000_000, None), Seen(20_000, 0), False, None, id="our wall clock was put back over a restart"),
    ],
)
def test_a_gap_between_heartbeats_is_blindness(before: Seen | None, now: Seen, disconnected: bool, gap: Gap | None) -> None:
    assert blindness.gap_between(before, now, was_disconnected=disconnected, limit_ms=30_000) == gap


def test_only_a_fresh_echo_of_this_process_is_a_heartbeat() -> None:
    sight = Sight(interval_s=10, limit_s=30, last_seen_ms=None)
    echo = sight.echo_due(1000)
    assert echo is not None and sight.echo_due(10_999) is None and sight.echo_due(11_000) is not None
    assert sight.judge(echo, Seen(0, 1200)) is not None
    assert sight.judge(echo, Seen(0, 1000 + 30_001)) is None, "an old one"
    other = Sight(interval_s=10, limit_s=30, last_seen_ms=None).echo_due(1000)
    assert other is not None and sight.judge(other, Seen(0, 1200)) is None, "another process's"
    for junk in (b"", b"x", echo[:16], echo + b"x", b"\xff" * 999, echo[:17] + "²".encode()):
        assert sight.judge(junk, Seen(0, 1200)) is None


def test_after_a_lost_connection_an_echo_goes_out_at_once_and_the_gap_has_its_cause() -> None:
    sight = Sight(interval_s=10, limit_s=30, last_seen_ms=None)
    first = sight.echo_due(0)
    assert first is not None
    beat = sight.judge(first, Seen(0, 0))
    assert beat is not None
    sight.settle(beat)
    sight.disconnected()
    echo = sight.echo_due(40_000)
    assert echo is not None
    again = sight.judge(echo, Seen(40_100, 40_100))
    assert again is not None and again.gap == Gap(0, 40_100, Cause.BROKER)


def test_an_echo_that_was_under_way_when_the_connection_ended_does_not_hide_why_there_is_a_gap() -> None:
    sight = Sight(interval_s=10, limit_s=30, last_seen_ms=None)
    early = sight.echo_due(0)
    assert early is not None
    sight.disconnected()
    beat = sight.judge(early, Seen(200, 200))
    assert beat is not None, "it was heard all the same"
    sight.settle(beat)
    late = sight.echo_due(40_000)
    assert late is not None
    again = sight.judge(late, Seen(40_100, 40_100))
    assert again is not None and again.gap == Gap(200, 40_100, Cause.BROKER)
    sight.settle(again)
    for sent_ms in (50_000, 90_000):
        echo = sight.echo_due(sent_ms)
        assert echo is not None
        beat = sight.judge(echo, Seen(sent_ms, sent_ms))
        assert beat is not None
        sight.settle(beat)
    assert beat.gap == Gap(50_000, 90_000, Cause.STALL), "the connection held"
