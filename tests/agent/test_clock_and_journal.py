"""True time by round trip, how the run before ended, and what clocks did meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_agent.clock import MAX_ERROR_MS, ServerClock, better, measure
from sitekeeper_agent.journal import ClockWatch, Now, Run, goodbye_event, new_run, start_events
from sitekeeper_protocol.messages import PowerEvent, PowerEventRecord

BOOTED = 1_800_000_000_000


@given(
    sent=st.integers(0, 10**11),
    there=st.integers(0, MAX_ERROR_MS),
    back=st.integers(0, MAX_ERROR_MS),
    offset=st.integers(10**12, 2 * 10**12),
)
def test_the_true_offset_lies_within_the_error(sent: int, there: int, back: int, offset: int) -> None:
    clock = measure(offset + sent + there, sent, sent + there + back)
    assert clock is not None
    assert abs(clock.offset_ms - offset) <= clock.error_ms <= MAX_ERROR_MS


@pytest.mark.parametrize(
    ("sent", "received"), [(0, 2 * MAX_ERROR_MS + 1), (1000, 999)], ids=["took too long", "received before it was sent"]
)
def test_a_round_trip_that_says_nothing_is_not_used(sent: int, received: int) -> None:
    assert measure(BOOTED, sent, received) is None


def test_the_more_exact_clock_is_kept_until_drift_makes_it_the_less_exact() -> None:
    known = ServerClock(BOOTED, 20, 0)
    assert better(known, ServerClock(BOOTED + 50, 100, 60_000)) == known
    later = ServerClock(BOOTED + 50, 100, 3_600_000)
    assert better(known, later) == later
    assert better(None, later) == later


def test_a_clock_that_contradicts_the_known_one_counts_since_the_server_was_set() -> None:
    moved = ServerClock(BOOTED + 3_600_000, 500, 60_000)
    assert better(ServerClock(BOOTED, 20, 0), moved) == moved


def a_run(*, boot: int = 5, ended: str | None = None) -> Run:
    return Run(9, boot, BOOTED, 0, BOOTED + 700, 700, 3, ended)


@pytest.mark.parametrize(
    ("previous", "expected"),
    [
        (None, [("started", "first", 0)]),
        (a_run(ended="shutdown"), [("started", "after_shutdown", 9)]),
        (a_run(boot=4, ended="restart"), [("started", "after_restart", 9)]),
        (a_run(), [("started", "agent_died", 9), ("agent_died", "", 9)]),
        (a_run(boot=4), [("started", "power_lost", 9), ("power_lost", "", 9)]),
    ],
)
def test_the_first_sample_tells_how_the_run_before_ended(previous: Run | None, expected: list[tuple[str, str, int]]) -> None:
    events = start_events(previous, 5)
    assert [(event.what.value, event.reason, event.run) for event in events] == expected
    if previous is not None:
        assert {(event.last_wall_ms, event.last_boottime_ms) for event in events} == {(BOOTED + 700, 700)}


def test_a_goodbye_tells_the_reason_and_when() -> None:
    assert goodbye_event(9, "shutdown", Now(BOOTED, 7, 6)) == PowerEventRecord(PowerEvent.GOODBYE, "shutdown", 9, BOOTED, 7)


def test_runs_are_drawn_anew_and_fit_63_bits() -> None:
    drawn = {new_run() for _ in range(200)}
    assert len(drawn) == 200
    assert all(0 < run < 2**63 for run in drawn)


def at(boottime_ms: int, *, jumped: int = 0, slept: int = 0) -> Now:
    return Now(BOOTED + boottime_ms + jumped, boottime_ms, boottime_ms - slept)


@pytest.mark.parametrize("jump", [3_600_000, -86_400_000, 2_000])
def test_a_jump_of_the_wall_clock_is_one_event_of_its_size(jump: int) -> None:
    watch = ClockWatch(at(0))
    assert watch.step(at(60_000)) == []
    (event,) = watch.step(at(120_000, jumped=jump))
    assert (event.what, event.amount_ms, event.last_boottime_ms) == (PowerEvent.CLOCK_JUMPED, jump, 60_000)
    assert watch.step(at(180_000, jumped=jump)) == []


def test_a_suspend_is_told_with_its_length_and_is_no_jump() -> None:
    watch = ClockWatch(at(0))
    (event,) = watch.step(at(7_200_000, slept=7_100_000))
    assert (event.what, event.amount_ms) == (PowerEvent.RESUMED, 7_100_000)


def test_slewing_and_jitter_are_no_events_and_leave_wall_times_calm() -> None:
    watch = ClockWatch(at(0))
    for step, jitter in enumerate((3, -2, 9, 0, -7), 1):
        assert watch.step(at(step * 60_000, jumped=jitter)) == []
        assert watch.wall_at(step * 60_000) == BOOTED + step * 60_000
    watch.step(at(600_000, jumped=400))
    assert watch.wall_at(600_000) == BOOTED + 600_400
