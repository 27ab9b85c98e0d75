"""A site that is switched off at the wall after use: learned from how its times on ended, and nothing else taken for it."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sitekeeper_agent.habits import (
    LEAST_DAYS,
    LOOK_BACK_DAYS,
    MOST,
    TimeOn,
    after,
    habitual,
    read,
    stored,
    time_on,
    usual_cut,
)
from sitekeeper_agent.hours import DAY_MS, EARLIEST_MS
from sitekeeper_agent.journal import Run

MINUTE, HOUR = 60_000, 3_600_000
TODAY = EARLIEST_MS // DAY_MS * DAY_MS + 500 * DAY_MS
AT = TODAY + 16 * HOUR + 40 * MINUTE


def school(days_ago: int, *, late_ms: int = 0, cut: bool = True, hours_on: int = 8) -> TimeOn:
    """A day of use that ends at twenty to five, a little later or earlier."""
    ended_ms = AT - days_ago * DAY_MS + late_ms
    return TimeOn(boot=1000 + days_ago, began_ms=ended_ms - hours_on * HOUR, ended_ms=ended_ms, cut=cut)


def test_three_days_make_a_habit_and_two_do_not() -> None:
    assert LEAST_DAYS == 3
    assert habitual([school(day) for day in (1, 2, 3)], AT)
    assert not habitual([school(day) for day in (1, 2)], AT)


def test_two_cuts_on_one_day_are_one() -> None:
    assert not habitual([school(1), school(1, late_ms=10 * MINUTE), school(2)], AT)


def test_a_cut_in_the_middle_of_the_morning_is_none_of_it() -> None:
    assert not habitual([school(day) for day in range(1, 20)], TODAY + 10 * HOUR)


def test_where_the_pc_mostly_stays_on_as_late_a_cut_is_no_habit() -> None:
    cuts = [school(day) for day in (1, 2, 3)]
    stays = [school(day, late_ms=2 * HOUR, cut=False) for day in (4, 5, 6, 7)]
    assert habitual([*cuts, *stays[:3]], AT)
    assert not habitual([*cuts, *stays], AT)


def test_days_on_which_it_was_off_by_then_say_nothing() -> None:
    mornings = [school(day, late_ms=-5 * HOUR, cut=False, hours_on=2) for day in range(4, 30)]
    assert habitual([*mornings, *(school(day) for day in (1, 2, 3))], AT)


def test_a_cut_just_after_midnight_belongs_to_one_just_before() -> None:
    evenings = [school(day, late_ms=7 * HOUR + 10 * MINUTE) for day in (1, 2, 3)]
    assert habitual(evenings, AT + 7 * HOUR + 35 * MINUTE)


def test_the_time_of_day_is_told_and_none_where_there_is_no_habit() -> None:
    days = [school(3), school(2, late_ms=10 * MINUTE), school(1, late_ms=-10 * MINUTE)]
    assert usual_cut(days, AT) == "16:40"
    assert usual_cut(days[:2], AT) == ""
    assert usual_cut([], AT) == ""
    assert usual_cut(days, AT + 70 * DAY_MS) == "", "a habit of last year"


def test_runs_of_one_boot_that_follow_each_other_are_one_time_on() -> None:
    first = school(1, cut=False)
    second = replace(first, began_ms=first.ended_ms + MINUTE, ended_ms=first.ended_ms + HOUR, cut=True)
    assert after([first], second) == (replace(second, began_ms=first.began_ms),)
    next_day = replace(second, began_ms=second.ended_ms + 16 * HOUR, ended_ms=second.ended_ms + 24 * HOUR)
    assert after([first], next_day) == (first, next_day), "Fast Startup: the same boot on the next morning"


def test_a_run_of_a_date_that_cannot_be_is_not_remembered() -> None:
    assert after([school(1)], TimeOn(boot=9, began_ms=0, ended_ms=HOUR, cut=True)) == (school(1),)


def test_a_run_is_placed_by_its_boots_clock() -> None:
    run = Run(5, 77, 0, 2 * MINUTE, 0, 3 * HOUR)
    assert time_on(run, cut=True, offset_ms=AT) == TimeOn(boot=77, began_ms=AT + 2 * MINUTE, ended_ms=AT + 3 * HOUR, cut=True)


TIMES = st.builds(
    lambda ago, on, cut: TimeOn(boot=1, began_ms=AT - ago - on, ended_ms=AT - ago, cut=cut),
    st.integers(-DAY_MS, 70 * DAY_MS),
    st.integers(0, 3 * DAY_MS),
    st.booleans(),
)
HISTORIES = st.lists(TIMES, max_size=40)


def moved(history: list[TimeOn], by_ms: int) -> list[TimeOn]:
    return [replace(time, began_ms=time.began_ms + by_ms, ended_ms=time.ended_ms + by_ms) for time in history]


@given(HISTORIES, st.integers(-400 * DAY_MS, 400 * DAY_MS))
def test_only_the_distance_in_time_counts(history: list[TimeOn], by_ms: int) -> None:
    assert habitual(history, AT) == habitual(moved(history, by_ms), AT + by_ms)


@given(HISTORIES.flatmap(lambda history: st.tuples(st.just(history), st.permutations(history))))
def test_the_order_of_the_history_does_not_matter(pair: tuple[list[TimeOn], list[TimeOn]]) -> None:
    assert habitual(pair[0], AT) == habitual(pair[1], AT)


@given(HISTORIES)
def test_a_site_that_is_always_shut_down_has_no_habit_and_more_of_that_makes_none(history: list[TimeOn]) -> None:
    clean = [replace(time, cut=False) for time in history]
    assert not habitual(clean, AT)
    if not habitual(history, AT):
        assert not habitual([*history, *clean], AT)


@given(st.lists(st.integers(-14, 14), min_size=LEAST_DAYS, max_size=LOOK_BACK_DAYS - 1), st.integers(-14, 14))
def test_who_pulls_the_plug_within_a_quarter_of_an_hour_each_day_does_it_by_habit(minutes: list[int], now: int) -> None:
    history = [school(day, late_ms=late * MINUTE) for day, late in enumerate(minutes, 1)]
    assert habitual(history, AT + now * MINUTE)
    assert usual_cut(history, AT) != ""


@given(HISTORIES)
def test_what_happens_from_that_day_on_is_no_evidence(history: list[TimeOn]) -> None:
    later = [replace(time, began_ms=AT + HOUR, ended_ms=AT + HOUR + 60 * MINUTE) for time in history]
    assert not habitual(later, AT)


@given(HISTORIES)
def test_a_history_is_kept_as_it_is_and_does_not_grow_for_ever(history: list[TimeOn]) -> None:
    assert read(stored(tuple(history))) == tuple(history)
    kept: tuple[TimeOn, ...] = ()
    for number, time in enumerate(history * 8):
        kept = after(kept, replace(time, boot=number + 1))
    assert len(kept) <= MOST


@given(st.binary(max_size=200))
def test_a_damaged_history_is_an_empty_one(kept: bytes) -> None:
    assert isinstance(read(kept), tuple)
    assert read(None) == ()
