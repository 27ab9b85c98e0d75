"""Hours on, in use and idle of a day: they add up, go on over restarts and cuts, and are counted on the right day."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_agent import hours
from sitekeeper_agent.app import read_clocks
from sitekeeper_agent.clock import ServerClock
from sitekeeper_agent.config import Broker, Settings
from sitekeeper_agent.hours import DAY_MS, EARLIEST_MS, Counter, Day, day_of
from sitekeeper_agent.journal import Now, Run
from sitekeeper_agent.sampler import Sampler, local_ms
from sitekeeper_agent.spool import Limits, Spool
from sitekeeper_protocol.messages import SeriesKey
from sitekeeper_protocol.vocabulary import Metric

MINUTE, HOUR = 60_000, 3_600_000
MIDNIGHT = EARLIEST_MS // DAY_MS * DAY_MS + 400 * DAY_MS
EIGHT = MIDNIGHT + 8 * HOUR
PLAYED = (Metric.PLAYER_PLAY_S.value, "mpv")
PLAYING, ACTIVE = (Metric.PLAYING.value, ""), (Metric.SESSION_ACTIVE.value, "")
SETTINGS = Settings(site="0417", area="lab", broker=Broker(host="127.0.0.1"), portal="http://127.0.0.1:9/")


def at(ms: int, slept_ms: int = 0) -> Now:
    """The clocks of a PC that booted at eight."""
    return Now(0, ms - EIGHT, ms - EIGHT - slept_ms)


def counter(before: Day | None = None, *, same_boot: bool = False, ms: int = EIGHT) -> Counter:
    return Counter(before, same_boot=same_boot, started=at(ms), local_ms=ms)


def test_time_is_in_use_while_a_player_plays_and_idle_else() -> None:
    counted = counter()
    assert counted.step(at(EIGHT + MINUTE), EIGHT + MINUTE, {PLAYING: 1, PLAYED: 450}) == Day(
        EIGHT // DAY_MS, MINUTE, 45_000, 15_000, told=True
    )
    assert counted.step(at(EIGHT + 2 * MINUTE), EIGHT + 2 * MINUTE, {PLAYING: 0}).idle_ms == 75_000


def test_keys_and_mouse_are_use_although_nothing_plays() -> None:
    counted = counter()
    assert counted.step(at(EIGHT + MINUTE), EIGHT + MINUTE, {PLAYING: 0, ACTIVE: 1}).in_use_ms == MINUTE
    assert counted.step(at(EIGHT + 2 * MINUTE), EIGHT + 2 * MINUTE, {PLAYING: 0, ACTIVE: 0}).in_use_ms == MINUTE


def test_where_nothing_can_tell_a_pc_is_on_and_neither_in_use_nor_idle() -> None:
    day = counter().step(at(EIGHT + HOUR), EIGHT + HOUR, {})
    assert day.values() == {(Metric.DAY_ON_S.value, ""): 3600}


def test_a_suspend_is_no_time_on() -> None:
    assert counter().step(at(EIGHT + HOUR, slept_ms=50 * MINUTE), EIGHT + HOUR, {}).on_ms == 10 * MINUTE


def test_what_passed_between_the_boot_and_the_agents_start_counts_once() -> None:
    assert counter(ms=EIGHT + MINUTE).step(at(EIGHT + 2 * MINUTE), EIGHT + 2 * MINUTE, {}).on_ms == 2 * MINUTE
    again = counter(Day(EIGHT // DAY_MS, 2 * MINUTE), same_boot=True, ms=EIGHT + 3 * MINUTE)
    assert again.step(at(EIGHT + 4 * MINUTE), EIGHT + 4 * MINUTE, {}).on_ms == 3 * MINUTE


def test_another_day_begins_at_nothing() -> None:
    late = MIDNIGHT + DAY_MS - MINUTE
    counted = counter(Day(EIGHT // DAY_MS, 5 * HOUR), same_boot=True, ms=late)
    day = counted.step(at(late + 2 * MINUTE), late + 2 * MINUTE, {PLAYED: 1200})
    assert day == Day(EIGHT // DAY_MS + 1, MINUTE, MINUTE, 0, told=True), "of two minutes one was yesterday's"


def test_a_clock_that_is_put_right_takes_the_hours_to_the_right_day() -> None:
    """A dead battery: the PC begins in 1970, and learns the date with the first receipt."""
    kept = Day(EIGHT // DAY_MS, HOUR, HOUR, 0, told=True)
    counted = Counter(kept, same_boot=False, started=at(EIGHT), local_ms=9 * HOUR)
    assert counted.step(at(EIGHT + MINUTE), 9 * HOUR + MINUTE, {}).on_ms == MINUTE
    assert counted.step(at(EIGHT + 2 * MINUTE), EIGHT + 2 * MINUTE, {}) == kept._replace(on_ms=HOUR + 2 * MINUTE)


def test_a_sample_of_a_date_that_cannot_be_gives_nothing_to_go_on_with() -> None:
    assert day_of(Day(0, HOUR).values(), 9 * HOUR) is None
    assert day_of({}, EIGHT) is None


LIVES = st.lists(
    st.tuples(st.sampled_from(["works", "restart", "cut"]), st.integers(1, 90), st.booleans()), min_size=1, max_size=40
)


@given(lives=LIVES)
def test_a_days_hours_hold_whatever_restarts_and_cuts_come_between(lives: list[tuple[str, int, bool]]) -> None:
    """On = all minutes between a boot and the last sample before its end, to a second a run; in use and idle add up to on."""
    now_ms = booted_ms = EIGHT
    counted = counter()
    on_ms, runs, day = 0, 1, Day(EIGHT // DAY_MS)
    for what, minutes, playing in lives:
        if now_ms + 2 * minutes * MINUTE >= MIDNIGHT + DAY_MS:
            break
        if what != "works":
            before = day_of(day.values(), now_ms)
            now_ms += minutes * MINUTE
            booted_ms = now_ms if what == "cut" else booted_ms
            started = Now(0, now_ms - booted_ms, now_ms - booted_ms)
            counted = Counter(before, same_boot=what == "restart", started=started, local_ms=now_ms)
            runs += 1
        for _ in range(minutes):
            now_ms += MINUTE
            on_ms += MINUTE
            used = {PLAYING: 1, PLAYED: 600} if playing else {PLAYING: 0}
            day = counted.step(Now(0, now_ms - booted_ms, now_ms - booted_ms), now_ms, used)
    assert 0 <= on_ms - day.on_ms <= 1000 * runs
    assert 0 <= day.on_ms - day.in_use_ms - day.idle_ms <= 1000 * runs


STEPS = st.tuples(
    st.integers(-3 * DAY_MS, 3 * DAY_MS),
    st.integers(0, DAY_MS),
    st.integers(0, DAY_MS),
    st.dictionaries(st.sampled_from([PLAYING, PLAYED, ACTIVE]), st.integers(-5, 10**9)),
)


@given(
    steps=st.lists(STEPS, max_size=30), before=st.none() | st.builds(Day, st.integers(20_000, 20_600), st.integers(0, DAY_MS))
)
def test_no_clock_and_no_value_makes_a_day_longer_than_it_is(
    steps: list[tuple[int, int, int, dict[SeriesKey, int]]], before: Day | None
) -> None:
    counted, clocks = counter(before), at(EIGHT)
    for jump_ms, lived_ms, slept_ms, values in steps:
        clocks = Now(0, clocks.boottime_ms + lived_ms, clocks.monotonic_ms + max(0, lived_ms - slept_ms))
        local = EIGHT + jump_ms
        day = counted.step(clocks, local, values)
        assert day.number == local // DAY_MS
        assert day.in_use_ms >= 0 and day.idle_ms >= 0
        assert day.in_use_ms + day.idle_ms <= day.on_ms <= local % DAY_MS


# --- with a real spool -------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path


def opened(folder: Path) -> Spool:
    return Spool(folder, Limits(64 * 1048576, 86_400_000, 86_400_000), stamp=lambda: "now")


def run_of(number: int, boot: int, now: Now) -> Run:
    return Run(number, boot, now.wall_ms, now.boottime_ms, now.wall_ms, now.boottime_ms)


def test_an_agent_that_was_killed_goes_on_with_the_hours_of_its_newest_sample(folder: Path) -> None:
    start = read_clocks()._replace(wall_ms=EIGHT)
    clocks = [start._replace(monotonic_ms=0)]
    spool = opened(folder)
    spool.begin_run(run_of(7, 1, start))
    taking = Sampler(SETTINGS, spool, boot=1, now=lambda: clocks[-1])
    for minutes in (10, 20):
        passed = minutes * MINUTE
        clocks.append(Now(EIGHT + passed, start.boottime_ms + passed, passed))
        spool.append(taking.without_measurement([]))
    spool.close()

    spool = opened(folder)
    later = Now(EIGHT + HOUR, 5 * MINUTE, 5 * MINUTE)
    spool.begin_run(run_of(8, 2, later))
    newest = spool.newest_before()
    assert newest is not None and newest[0] == 1 and newest[1].sequence == 2
    after = Sampler(SETTINGS, spool, boot=2, now=lambda: later).without_measurement([])
    spool.close()
    assert after.values[Metric.DAY_ON_S.value, ""] == 25 * 60


def test_the_day_goes_by_the_servers_clock_and_the_sites_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        clock = ServerClock(MIDNIGHT - 8 * HOUR, 5, 0)
        assert local_ms(clock, 17, boottime_ms=0) == MIDNIGHT
        assert local_ms(None, MIDNIGHT - 8 * HOUR, boottime_ms=0) == MIDNIGHT
        assert local_ms(None, 2**70, boottime_ms=0) == 2**70
    finally:
        monkeypatch.undo()
        time.tzset()


def test_hours_are_told_in_whole_seconds_under_their_numbers() -> None:
    assert hours.Day(1, 61_999, 1_000, 60_000, told=True).values() == {(151, ""): 61, (152, ""): 1, (153, ""): 60}
