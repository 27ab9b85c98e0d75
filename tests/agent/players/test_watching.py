"""The watcher: its pace, sources that go wrong, and accounts that are fed and taken from at the same time."""

import logging
import threading
from collections.abc import Sequence

import pytest

from sitekeeper_agent.probes.players.playback import Playback, Seen, step
from sitekeeper_agent.probes.players.source import FROZEN_MS, HUNG_MS, Progress, Silence, Source, monotonic_ms
from sitekeeper_agent.probes.players.watching import Account, pause_s
from sitekeeper_protocol.messages import PlaybackEvent
from sitekeeper_protocol.vocabulary import Metric, PlayerState
from support.wait import wait_until
from support.watched import watched


class Unsteady(Source):
    """A source that can be made to raise."""

    def __init__(self) -> None:
        self.look_raises = self.rest_raises = False
        self.looks = 0

    def look(self) -> Sequence[Seen]:
        self.looks += 1
        if self.look_raises:
            raise RuntimeError("a sensor exploded")
        return (Seen(monotonic_ms(), PlayerState.PLAYING),)

    def rest(self, seconds: float, stop: threading.Event) -> Sequence[Seen]:
        if self.rest_raises:
            raise RuntimeError("no rest")
        return super().rest(0.01, stop)


def test_a_source_that_raises_costs_its_sight_is_told_once_and_may_recover(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    source = Unsteady()
    with watched(source) as tv:
        tv.until(PlayerState.PLAYING)
        source.look_raises = True
        tv.until(PlayerState.UNKNOWN)
        looks = source.looks
        wait_until(lambda: source.looks >= looks + 3, "it is tried again and again")
        source.look_raises = False
        tv.until(PlayerState.PLAYING)
        wait_until(lambda: "can be asked again" in caplog.text, "that is told, too")
    assert caplog.text.count("player tv: RuntimeError: a sensor exploded") == 1
    assert tv.sums[Metric.PLAYER_FAILURES] == 0


def test_a_rest_that_raises_does_not_make_the_watcher_busy() -> None:
    source = Unsteady()
    source.rest_raises = True
    with watched(source) as tv:
        tv.until(PlayerState.UNKNOWN)
        begun_ms, looks = monotonic_ms(), source.looks
        wait_until(lambda: source.looks >= looks + 3, "it goes on")
        assert monotonic_ms() - begun_ms >= 400, "two pauses of a quarter of a second lie between three looks"


@pytest.mark.parametrize(
    ("states", "pause"),
    [
        ([], 10),
        ([PlayerState.ABSENT], 7),
        ([PlayerState.IDLE], 10),
        ([PlayerState.RUNNING], 10),
        ([PlayerState.STARTING], 1),
        ([PlayerState.PLAYING], 1),
        ([PlayerState.STALLED], 1),
        ([PlayerState.PLAYING, PlayerState.UNKNOWN], 1),
        ([PlayerState.PLAYING, PlayerState.PAUSED], 3),
        ([PlayerState.PAUSED], 10),
        ([PlayerState.PLAYING, PlayerState.HUNG], 10),
    ],
)
def test_looks_are_frequent_only_while_something_plays(states: list[PlayerState], pause: float) -> None:
    source, playback = Source(), Playback()
    source.absent_s = 7
    for at, state in enumerate(states):
        playback = step(playback, Seen(at * 1000, state)).after
    assert pause_s(playback, source) == pause


def test_nothing_is_lost_between_one_that_feeds_and_one_that_takes() -> None:
    account = Account("tv")
    rounds = 2000

    def feed() -> None:
        for at in range(rounds):
            account.feed([Seen(at * 3000, PlayerState.PLAYING), Seen(at * 3000 + 1000, PlayerState.STALLED)])

    feeder = threading.Thread(target=feed)
    feeder.start()
    played = stalled = stalls = 0
    alive = True
    while alive:
        alive = feeder.is_alive()
        values = account.take(0).values
        played += values.get((Metric.PLAYER_PLAY_S.value, "tv"), 0)
        stalled += values.get((Metric.PLAYER_STALL_S.value, "tv"), 0)
        stalls += values.get((Metric.PLAYER_STALLS.value, "tv"), 0)
    feeder.join()
    assert (played, stalled, stalls) == (rounds * 10, (rounds - 1) * 20, rounds)
    assert account.take(0).events == ()


def test_silence_is_doubt_first_and_hanging_later() -> None:
    silence = Silence()
    assert silence.kept(1_000, 3_000) == Seen(1_000, PlayerState.UNKNOWN)
    assert silence.kept(4_000, 6_000).state == PlayerState.UNKNOWN
    assert silence.kept(9_000, 1_000 + HUNG_MS).state == PlayerState.HUNG
    silence.answered()
    assert silence.kept(20_000, 40_000).state == PlayerState.UNKNOWN


def test_progress_is_in_doubt_before_it_is_denied_and_then_dated_back() -> None:
    progress = Progress()
    told = [
        (progress.judge((mark,), at_ms), progress.moving)
        for mark, at_ms in [(1.0, 1_000), (1.0, 2_000), (1.0, 1_000 + FROZEN_MS), (1.0, 9_000), (2.0, 10_000)]
    ]
    assert told == [(1_000, True), (None, True), (1_000, False), (9_000, False), (10_000, True)]


def test_a_failure_is_noticed_from_the_watchers_thread() -> None:
    source = Unsteady()
    with watched(source) as tv:
        tv.until(PlayerState.PLAYING)
        tv.account.feed([Seen(monotonic_ms(), PlayerState.HUNG)])
        tv.until_told(PlaybackEvent.FAILED, "hung")
    assert tv.noticed
