"""Times of samples, as a table of cases: wrong clocks, queued messages, earlier boots, drift."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_collector.domain import placement
from sitekeeper_collector.domain.placement import Arrival, KnownClock, Placed, Placement
from sitekeeper_protocol import RELEASED_MS

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
YEAR = 365 * DAY
NOW = RELEASED_MS + 100 * DAY
BOOTED = NOW - 10 * HOUR
TAKEN = 9 * HOUR
"""Boot time of the sample: taken an hour before it arrives, one minute before it was sent."""
TRUE = BOOTED + TAKEN
SENT = TAKEN + MINUTE
CLOCK = KnownClock(BOOTED, 40, SENT)

LIVE = Arrival(TRUE + MINUTE + 200, SENT, same_boot=True, live=True)
BACKLOG = LIVE._replace(live=False)
QUEUED = LIVE._replace(received_ms=NOW)
EARLIER = Arrival(NOW, 2 * HOUR, same_boot=False, live=False)

EXACT, WALL, RECEIVED, HELD = Placement.EXACT, Placement.WALL, Placement.RECEIVED, Placement.HELD


@pytest.mark.parametrize(
    ("wall_ms", "arrival", "clock", "placed_ms", "how"),
    [
        pytest.param(TRUE, LIVE, None, TRUE, WALL, id="right clock"),
        pytest.param(TRUE, BACKLOG, None, TRUE, WALL, id="right clock, backlog"),
        pytest.param(0, LIVE, None, TRUE + 200, RECEIVED, id="1970, live"),
        pytest.param(0, BACKLOG, None, None, HELD, id="1970, backlog"),
        pytest.param(0, BACKLOG, CLOCK, TRUE, EXACT, id="1970, known clock"),
        pytest.param(RELEASED_MS - 17 * YEAR, LIVE, None, TRUE + 200, RECEIVED, id="2009, live"),
        pytest.param(RELEASED_MS - 17 * YEAR, BACKLOG, None, None, HELD, id="2009, backlog"),
        pytest.param(RELEASED_MS - 1, BACKLOG, None, None, HELD, id="just before the release"),
        pytest.param(TRUE + 3 * YEAR, LIVE, None, TRUE + 200, RECEIVED, id="three years ahead, live"),
        pytest.param(TRUE + 3 * YEAR, BACKLOG, None, None, HELD, id="three years ahead, backlog"),
        pytest.param(TRUE + 3 * YEAR, BACKLOG, CLOCK, TRUE, EXACT, id="three years ahead, known clock"),
        pytest.param(TRUE + MINUTE, LIVE, None, TRUE + 200, WALL, id="a minute ahead is tolerated, but not the future"),
        pytest.param(TRUE + 3 * MINUTE, LIVE, None, TRUE + 200, RECEIVED, id="three minutes ahead is not"),
        pytest.param(TRUE - 5 * DAY, LIVE, CLOCK, TRUE, EXACT, id="the wall clock jumped in mid-run, the boot clock did not"),
        pytest.param(TRUE, QUEUED, None, TRUE, WALL, id="queued for an hour, right clock"),
        pytest.param(0, QUEUED, None, NOW - MINUTE, RECEIVED, id="queued for an hour, 1970: late, and marked"),
        pytest.param(0, QUEUED, CLOCK, TRUE, EXACT, id="queued for an hour, known clock"),
        pytest.param(
            NOW - 2 * HOUR + MINUTE, EARLIER, None, NOW - 2 * HOUR, WALL, id="earlier boot: not after this boot began"
        ),
        pytest.param(NOW - 3 * HOUR, EARLIER, None, NOW - 3 * HOUR, WALL, id="earlier boot, right clock"),
        pytest.param(NOW - HOUR, EARLIER, None, None, HELD, id="earlier boot, a clock that says it was after it"),
        pytest.param(0, EARLIER, KnownClock(BOOTED - DAY, 90, 0), TRUE - DAY, EXACT, id="earlier boot, known clock"),
        pytest.param(TRUE, LIVE, KnownClock(BOOTED + 150, 40, SENT), TRUE + 150, EXACT, id="error of the round trip"),
        pytest.param(TRUE, LIVE, KnownClock(BOOTED + 9 * MINUTE, 40, SENT), TRUE, WALL, id="an impossible clock is not used"),
        pytest.param(TRUE, LIVE, KnownClock(-BOOTED, 40, SENT), TRUE, WALL, id="a clock before the release is not used"),
        pytest.param(TRUE, LIVE._replace(received_ms=5), None, None, HELD, id="our own clock is wrong"),
    ],
)
def test_a_sample_is_placed(wall_ms: int, arrival: Arrival, clock: KnownClock | None, placed_ms: int | None, how: str) -> None:
    placed = placement.place(wall_ms, TAKEN, arrival, clock)
    assert (placed.placed_ms, placed.placement) == (placed_ms, how)


_any = st.integers(-(2**53), 2**53)


@given(
    wall_ms=_any,
    boottime_ms=_any,
    received_ms=st.integers(RELEASED_MS, RELEASED_MS + 30 * YEAR),
    sent_ms=st.integers(0, 2**53),
    same_boot=st.booleans(),
    live=st.booleans(),
    clock=st.none() | st.builds(KnownClock, _any, st.integers(0, 30_000), _any),
)
def test_no_clock_however_wrong_puts_a_sample_into_the_future_or_before_the_release(
    wall_ms: int, boottime_ms: int, received_ms: int, sent_ms: int, same_boot: bool, live: bool, clock: KnownClock | None
) -> None:
    placed: Placed = placement.place(wall_ms, boottime_ms, Arrival(received_ms, sent_ms, same_boot, live), clock)
    assert (placed.placed_ms is None) == (placed.placement is Placement.HELD)
    assert placed.not_after_ms <= received_ms
    if placed.placed_ms is not None:
        assert RELEASED_MS <= placed.placed_ms <= placed.not_after_ms


@given(
    before_ms=st.integers(0, 40 * DAY),
    sent_ms=st.integers(0, 40 * DAY),
    queued_ms=st.integers(-DAY, DAY),
    error_ms=st.integers(0, 30_000),
    off_ms=st.integers(-DAY, 40 * DAY),
)
def test_placing_a_whole_report_alike_is_placing_each_of_its_samples(
    before_ms: int, sent_ms: int, queued_ms: int, error_ms: int, off_ms: int
) -> None:
    arrival = Arrival(RELEASED_MS + 50 * DAY + sent_ms + queued_ms, sent_ms, same_boot=True, live=True)
    clock = KnownClock(RELEASED_MS + 50 * DAY + off_ms, error_ms, sent_ms)
    shift = placement.exact_shift(arrival, clock)
    each = placement.place(0, sent_ms - before_ms, arrival, clock)
    assert (shift is not None) == (each.placement is Placement.EXACT)
    if shift is not None:
        assert sent_ms - before_ms + shift == each.placed_ms


@given(age_ms=st.integers(0, 21 * DAY), ppm=st.integers(-100, 100))
def test_an_oscillator_at_the_edge_drifts_less_than_its_bound(age_ms: int, ppm: int) -> None:
    """A sample of three weeks ago by today's clock of the same boot is off by at most 100 ppm of its age."""
    taken = 30 * DAY
    drifted = age_ms * ppm // 1_000_000
    clock = KnownClock(BOOTED - 20 * DAY - drifted, 40, taken + age_ms)
    true_ms = BOOTED - 20 * DAY + taken - age_ms
    placed = placement.place(true_ms, taken - age_ms, Arrival(NOW + 60 * DAY, taken, same_boot=True, live=False), clock)
    assert placed.placement is Placement.EXACT and placed.placed_ms is not None
    assert abs(placed.placed_ms - true_ms) <= age_ms * placement.DRIFT_PER_MILLION // 1_000_000 + 1


@pytest.mark.parametrize(
    ("known", "reported", "kept"),
    [
        pytest.param(None, KnownClock(1, 900, 0), "reported", id="the first one"),
        pytest.param(KnownClock(1, 40, 0), KnownClock(2, 40, 0), "reported", id="as sure, newer"),
        pytest.param(KnownClock(1, 40, 0), KnownClock(2, 5000, HOUR), "known", id="much less sure an hour later"),
        pytest.param(KnownClock(1, 40, 0), KnownClock(2, 5000, 14 * HOUR), "reported", id="the old one has drifted beyond it"),
        pytest.param(KnownClock(1, 40, HOUR), KnownClock(2, 41, 0), "known", id="a late report of an older clock"),
    ],
)
def test_the_surer_clock_of_a_boot_is_kept(known: KnownClock | None, reported: KnownClock, kept: str) -> None:
    assert placement.better(known, reported) == (reported if kept == "reported" else known)


@pytest.mark.parametrize(("error_ms", "usable"), [(0, True), (30_000, True), (30_001, False)])
def test_a_clock_that_is_off_by_more_than_half_a_minute_is_of_no_use(error_ms: int, usable: bool) -> None:
    assert placement.usable(0, error_ms) is usable
