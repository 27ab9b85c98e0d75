"""The model of playback: sessions, startup time, stalls, failures, as CTA-2066 names them."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_agent.probes.players.playback import GAP_MS, TIMEOUT_MS, End, Playback, Seen, step
from sitekeeper_agent.probes.players.watching import MAX_EVENTS, STALE_MS, Account, Taken
from sitekeeper_protocol.messages import PlaybackEvent, PlaybackEventRecord
from sitekeeper_protocol.vocabulary import Metric, PlayerState

ABSENT, IDLE, STARTING = PlayerState.ABSENT, PlayerState.IDLE, PlayerState.STARTING
PLAYING, STALLED, PAUSED = PlayerState.PLAYING, PlayerState.STALLED, PlayerState.PAUSED
HUNG, RUNNING, UNKNOWN = PlayerState.HUNG, PlayerState.RUNNING, PlayerState.UNKNOWN
Told = tuple[str, str, int]
"""An event: what, code, duration in ms."""


def play(*sights: tuple[int, PlayerState] | tuple[int, PlayerState, End] | Seen) -> tuple[Playback, list[Told]]:
    """The model after these sights (at s), and the events that came of them."""
    playback, events = Playback(), list[PlaybackEventRecord]()
    for sight in sights:
        seen = sight if isinstance(sight, Seen) else Seen(sight[0] * 1000, sight[1], sight[2] if len(sight) > 2 else None)
        playback, new = step(playback, seen)
        events.extend(new)
    return playback, [(event.what.value, event.code, event.duration_ms) for event in events]


def test_a_play_from_start_to_end_has_startup_and_play_time() -> None:
    after, events = play((0, IDLE), (1, STARTING), (3, PLAYING), (10, PLAYING), (15, IDLE, End.FINISHED))
    assert events == [("started", "", 0), ("stopped", "finished", 12_000)]
    assert after.startup_ms == 2_000
    assert after.totals._replace(startups=0) == after.totals._replace(startups=0, played_ms=12_000, sessions=1, failures=0)
    assert (after.session, after.totals.stalls, after.totals.failures) == (None, 0, 0)


def test_stalls_are_counted_timed_and_told_when_they_are_over() -> None:
    after, events = play(
        (0, IDLE), (1, STARTING), (2, PLAYING), (10, STALLED), (14, PLAYING), (18, STALLED), (19, STALLED), (20, PLAYING)
    )
    assert events == [("started", "", 0), ("stalled", "", 4_000), ("stalled", "", 2_000)]
    assert (after.totals.stalls, after.totals.stalled_ms, after.totals.played_ms) == (2, 6_000, 12_000)
    assert after.totals.rebuffering_ratio == pytest.approx(1 / 3)


def test_neither_start_nor_pause_nor_seek_is_a_stall() -> None:
    after, events = play((0, IDLE), (1, STARTING), (9, PLAYING), (12, PAUSED), (20, PLAYING), (21, STARTING), (25, PLAYING))
    assert events == [("started", "", 0)]
    assert (after.totals.stalls, after.totals.stalled_ms, after.totals.played_ms) == (0, 0, 4_000)
    assert after.startup_ms == 8_000, "a seek is no second start"


def test_a_player_found_playing_has_no_startup_time() -> None:
    after, events = play((0, PLAYING), (1, PLAYING), (2, IDLE, End.STOPPED))
    assert events == [("started", "found", 0), ("stopped", "stopped", 2_000)]
    assert after.startup_ms is None
    assert after.totals.startups == 0


def test_a_play_that_was_first_seen_when_it_showed_pictures_has_no_startup_time() -> None:
    after, events = play((0, IDLE), (10, PLAYING))
    assert events == [("started", "", 0)]
    assert after.startup_ms is None


@pytest.mark.parametrize(
    ("sights", "told"),
    [
        ([(0, IDLE), (1, STARTING), (3, IDLE, End.ERROR)], ("failed", "start_error", 0)),
        ([(0, IDLE), (1, STARTING), (3, IDLE)], ("failed", "start_error", 0)),
        ([(0, IDLE), (1, STARTING), (3, IDLE, End.STOPPED)], ("stopped", "before_start", 0)),
        ([(0, IDLE), (1, STARTING), (3, ABSENT, End.GONE)], ("stopped", "before_start", 0)),
        ([(0, PLAYING), (3, IDLE, End.ERROR)], ("failed", "play_error", 3_000)),
        ([(0, PLAYING), (3, ABSENT, End.CRASHED)], ("failed", "crashed", 3_000)),
        ([(0, PLAYING), (3, IDLE, End.EARLY)], ("failed", "ended_early", 3_000)),
        ([(0, PLAYING), (3, HUNG)], ("failed", "hung", 3_000)),
        ([(0, PLAYING), (3, STALLED), (5, IDLE)], ("failed", "ended_in_stall", 3_000)),
        ([(0, PLAYING), (3, STALLED), (5, ABSENT, End.GONE)], ("failed", "ended_in_stall", 3_000)),
        ([(0, PLAYING), (3, STALLED), (5, IDLE, End.STOPPED)], ("stopped", "stopped", 3_000)),
        ([(0, PLAYING), (3, ABSENT, End.GONE)], ("stopped", "gone", 3_000)),
        ([(0, PLAYING), (3, IDLE)], ("stopped", "", 3_000)),
    ],
)
def test_how_a_session_ends(sights: list[tuple[int, PlayerState]], told: Told) -> None:
    after, events = play(*sights)
    assert events[-1] == told
    assert after.totals.failures == (told[0] == "failed")
    assert after.session is None


@pytest.mark.parametrize(("before", "code"), [((STARTING,), "start_timeout"), ((PLAYING, STALLED), "play_timeout")])
def test_waiting_for_ever_is_one_failure_however_it_ends(before: Sequence[PlayerState], code: str) -> None:
    waiting = [(at, before[-1]) for at in range(len(before), 200, 5)]
    after, events = play((0, IDLE), *[(at, state) for at, state in enumerate(before, 1)], *waiting)
    assert [event[:2] for event in events] == [("started", ""), ("failed", code)]
    for last in (Seen(200_000, IDLE, End.ERROR), Seen(200_000, ABSENT, End.CRASHED)):
        ended = step(after, last)
        assert ended.after.totals.failures == 1
        assert ended.events[-1].what is PlaybackEvent.STOPPED
    assert step(after, Seen(200_000, PLAYING)).after.session is not None, "it may come right yet"


def test_a_failure_has_the_players_own_code_where_it_gives_one() -> None:
    _, events = play((0, PLAYING), Seen(3_000, IDLE, End.ERROR, code="E1003", text="no route"))
    assert events[-1] == ("failed", "E1003", 3_000)


def test_an_error_counts_also_where_the_attempt_was_too_short_to_be_seen() -> None:
    after, events = play((0, IDLE), (2, IDLE, End.ERROR))
    assert events == [("failed", "start_error", 0)]
    assert after.totals.failures == 1


def test_a_silence_counts_as_nothing() -> None:
    after, events = play((0, PLAYING), (1, PLAYING), (3600, PLAYING), (3601, PLAYING))
    assert after.totals.played_ms == 2_000
    assert len(events) == 1, "it may well be the same play, before and after a suspend"


def test_a_player_that_can_no_longer_be_asked_ends_its_session_without_blame() -> None:
    after, events = play((0, PLAYING), *[(at, UNKNOWN) for at in range(5, 80, 5)])
    assert events[-1] == ("stopped", "lost", 5_000)
    assert after.totals.failures == 0


def test_the_next_title_is_a_session_of_its_own() -> None:
    after, events = play((0, PLAYING), (9, STARTING, End.FINISHED), (10, PLAYING), (12, PLAYING, End.FINISHED))
    assert [event[0] for event in events] == ["started", "stopped", "started", "stopped", "started"]
    assert (after.totals.sessions, after.startup_ms) == (3, 1_000)


def test_three_starts_within_ten_minutes_are_restarting_and_are_forgotten_later() -> None:
    around = [(at, state) for at in range(0, 60, 20) for state in (ABSENT, RUNNING)]
    after, events = play(*around)
    assert (after.state, len(after.starts), events) == (PlayerState.RESTARTING, 3, [])
    assert play(*around[:4])[0].state == RUNNING
    assert step(after, Seen(700_000, RUNNING)).after.state == RUNNING


def test_the_first_sight_of_a_running_program_is_no_start() -> None:
    assert play((0, RUNNING), (1, UNKNOWN), (2, RUNNING))[0].starts == ()


def test_counters_of_a_player_that_began_anew_do_not_count_backwards() -> None:
    after, _ = play(*[Seen(at * 1000, PLAYING, dropped=n, received=n * 10) for at, n in enumerate([100, 103, 2, 5])])
    assert (after.totals.dropped, after.totals.received) == (8, 80)


# --- properties ---------------------------------------------------------------------------------------------------------

STATES = [state for state in PlayerState if state != PlayerState.RESTARTING]
SIGHTS = st.lists(st.tuples(st.integers(0, 2 * GAP_MS), st.sampled_from(STATES), st.none() | st.sampled_from(End)), max_size=60)
Sights = list[tuple[int, PlayerState, End | None]]


def run(sights: Sights) -> tuple[list[Playback], list[PlaybackEventRecord]]:
    at_ms, states, events = 0, [Playback()], list[PlaybackEventRecord]()
    for passed_ms, state, end in sights:
        at_ms += passed_ms
        after, new = step(states[-1], Seen(at_ms, state, end))
        states.append(after)
        events.extend(new)
    return states, events


@given(SIGHTS)
def test_sums_never_shrink_and_hold_no_more_time_than_has_passed(sights: Sights) -> None:
    states, _ = run(sights)
    passed_ms = 0
    for before, after, sight in zip(states, states[1:], sights, strict=False):
        grown = after.totals.since(before.totals)
        assert min(grown) >= 0
        assert grown.played_ms + grown.stalled_ms <= (sight[0] if sight[0] <= GAP_MS else 0)
        passed_ms += sight[0]
    assert states[-1].totals.played_ms + states[-1].totals.stalled_ms <= passed_ms
    assert 0 <= states[-1].totals.rebuffering_ratio <= 1


@given(SIGHTS)
def test_events_and_sums_tell_the_same(sights: Sights) -> None:
    states, events = run(sights)
    last = states[-1]
    number = {what: sum(event.what is what for event in events) for what in PlaybackEvent}
    assert number[PlaybackEvent.STARTED] == last.totals.sessions
    assert number[PlaybackEvent.FAILED] == last.totals.failures
    assert number[PlaybackEvent.STALLED] <= last.totals.stalls
    stalled_ms = sum(event.duration_ms for event in events if event.what is PlaybackEvent.STALLED)
    going_on = last.session.stall_ms or 0 if last.session else 0
    assert stalled_ms + going_on == last.totals.stalled_ms
    ends = number[PlaybackEvent.STOPPED] + number[PlaybackEvent.FAILED]
    assert ends >= last.totals.sessions - (last.session is not None), "every session ends with an event"


@given(SIGHTS)
def test_a_session_is_on_exactly_while_something_is_or_was_about_to_play(
    sights: Sights,
) -> None:
    for after in run(sights)[0][1:]:
        assert after.seen is not None
        if after.seen.state in (STARTING, PLAYING, STALLED):
            assert after.session is not None and after.playing
        if after.seen.state in (IDLE, ABSENT, RUNNING, HUNG):
            assert after.session is None and not after.playing
        if after.session is not None and after.session.stall_ms is not None:
            assert after.seen.state == STALLED


@given(SIGHTS, st.lists(st.integers(0, 59), max_size=5))
def test_samples_add_up_to_the_sums_however_they_are_taken(sights: Sights, instants: list[int]) -> None:
    account = Account("tv")
    at_ms, samples, last = 0, list[Taken](), Playback()
    for at, (passed_ms, state, end) in enumerate(sights):
        at_ms += passed_ms
        last = account.feed([Seen(at_ms, state, end)])
        if at in instants:
            samples.append(account.take(at_ms))
    samples.append(account.take(at_ms))
    told = {
        metric: sum(sample.values.get((metric.value, "tv"), 0) for sample in samples)
        for metric in (
            Metric.PLAYER_PLAY_S,
            Metric.PLAYER_STALL_S,
            Metric.PLAYER_STALLS,
            Metric.PLAYER_FAILURES,
            Metric.PLAYER_SESSIONS,
        )
    }
    whole = last.totals
    assert list(told.values()) == [
        whole.played_ms // 100,
        whole.stalled_ms // 100,
        whole.stalls,
        whole.failures,
        whole.sessions,
    ]


# --- an account ---------------------------------------------------------------------------------------------------------


def test_a_failure_is_noticed_at_once_and_its_events_bear_the_players_name() -> None:
    noticed: list[int] = []
    account = Account("tv", lambda: noticed.append(1))
    account.feed([Seen(0, PLAYING), Seen(1_000, STALLED), Seen(2_000, PLAYING)])
    assert noticed == []
    account.feed([Seen(3_000, ABSENT, End.CRASHED)])
    assert noticed == [1]
    taken = account.take(3_000)
    assert [(event.what.value, event.player, event.stream) for event in taken.events] == [
        ("started", "tv", ""),
        ("stalled", "tv", ""),
        ("failed", "tv", ""),
    ]
    assert taken.values == {
        (Metric.PLAYER_STATE.value, "tv"): 0,
        (Metric.PLAYER_PLAY_S.value, "tv"): 20,
        (Metric.PLAYER_STALLS.value, "tv"): 1,
        (Metric.PLAYER_STALL_S.value, "tv"): 10,
        (Metric.PLAYER_FAILURES.value, "tv"): 1,
        (Metric.PLAYER_SESSIONS.value, "tv"): 1,
    }
    again = account.take(3_000)
    assert again.events == () and set(again.values) == {(Metric.PLAYER_STATE.value, "tv")}


def test_what_was_seen_too_long_ago_is_not_known_any_more() -> None:
    account = Account("tv")
    account.feed([Seen(0, PLAYING)])
    assert account.playing(STALE_MS) is True
    assert account.playing(STALE_MS + 1) is None
    assert account.take(STALE_MS + 1).values[Metric.PLAYER_STATE.value, "tv"] == UNKNOWN


def test_events_that_nobody_takes_are_bounded_and_starts_and_failures_outlast_stalls() -> None:
    account = Account("tv")
    account.feed([Seen(0, PLAYING)])
    for at in range(1, 2 * MAX_EVENTS):
        account.feed([Seen(at * 2000, STALLED), Seen(at * 2000 + 1000, PLAYING)])
    account.feed([Seen(10**6, ABSENT, End.CRASHED)])
    events = account.take(10**6).events
    assert len(events) == MAX_EVENTS
    assert (events[0].what, events[-1].what) == (PlaybackEvent.STARTED, PlaybackEvent.FAILED)


def test_a_session_waits_its_minute_before_it_counts_as_failed() -> None:
    after, events = play((0, IDLE), (1, STARTING), *[(at, STARTING) for at in range(5, 1 + TIMEOUT_MS // 1000, 5)])
    assert events == [("started", "", 0)]
    assert after.totals.failures == 0
