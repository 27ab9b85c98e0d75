"""A thread for each configured player that looks at it, and what samples take from all of them."""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from sitekeeper_agent.playersettings import PAGE_PORT, VLC_PORT, Player
from sitekeeper_agent.probes.players.playback import End, Playback, Seen, Totals, step
from sitekeeper_agent.probes.players.programs import Programs
from sitekeeper_agent.probes.players.source import Source, monotonic_ms
from sitekeeper_protocol.messages import PlaybackEvent, PlaybackEventRecord, SeriesKey
from sitekeeper_protocol.vocabulary import METRICS, Metric, PlayerState, to_wire

_log = logging.getLogger(__name__)
STALE_MS = 30_000
"""A source that has seen nothing for so long knows nothing any more."""
MAX_EVENTS = 32
"""Kept of one player until the next sample; the sums count all."""
_PAUSED_S = 3.0
_LEAST_MS = 250
_SILENT = (PlayerState.UNKNOWN, PlayerState.RUNNING)


class Taken(NamedTuple):
    """What belongs to a sample."""

    values: dict[SeriesKey, int]
    events: tuple[PlaybackEventRecord, ...]


class Account:
    """What is known of one player, for one that feeds and one that takes, which may be different threads."""

    def __init__(self, name: str, notice: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self._notice = notice
        self._lock = threading.Lock()
        self._playback = Playback()
        self._taken = Totals()
        self._events: list[PlaybackEventRecord] = []

    def feed(self, seen: Iterable[Seen]) -> Playback:
        """Take in what was seen; ``notice`` is called if something failed."""
        failed = False
        with self._lock:
            for sight in seen:
                self._playback, events = step(self._playback, sight)
                for event in events:
                    failed = failed or event.what is PlaybackEvent.FAILED
                    self._keep(event)
            playback = self._playback
        if failed:
            self._notice()
        return playback

    def _keep(self, event: PlaybackEventRecord) -> None:
        if len(self._events) >= MAX_EVENTS:
            # Many stalls say the same; how a session began and ended is worth more.
            stalls = (at for at, kept in enumerate(self._events) if kept.what is PlaybackEvent.STALLED)
            del self._events[next(stalls, 0)]
        self._events.append(
            PlaybackEventRecord(event.what, self.name, "", event.code, event.text, min(event.duration_ms, 2**53))
        )

    def take(self, now_ms: int) -> Taken:
        """Values and events since the last time."""
        with self._lock:
            playback, before = self._playback, self._taken
            events, self._events = tuple(self._events), []
            self._taken = playback.totals
        return Taken(values(self.name, playback, before, now_ms), events)

    def playing(self, now_ms: int) -> bool | None:
        """Whether something is being played; ``None`` where that can't be told."""
        with self._lock:
            playback = self._playback
        if playback.seen is None or now_ms - playback.seen.at_ms > STALE_MS or playback.seen.state in _SILENT:
            return None
        return playback.playing


def state_at(playback: Playback, now_ms: int) -> PlayerState:
    """What the player does, unless that is too long ago."""
    if playback.seen is None or now_ms - playback.seen.at_ms > STALE_MS:
        return PlayerState.UNKNOWN
    return playback.state


def values(name: str, playback: Playback, before: Totals, now_ms: int) -> dict[SeriesKey, int]:
    """The values of a sample: what the player does, and what it played if it had a session since ``before``."""
    told: dict[Metric, int] = {Metric.PLAYER_STATE: state_at(playback, now_ms).value}
    if playback.starts:
        told[Metric.PLAYER_STARTS] = len(playback.starts)
    now, new = playback.totals, playback.totals.since(before)
    if playback.session is not None or new.sessions or new.played_ms or new.stalled_ms or new.failures:
        told[Metric.PLAYER_PLAY_S] = _steps(Metric.PLAYER_PLAY_S, before.played_ms, now.played_ms, 1000)
        told[Metric.PLAYER_STALLS] = new.stalls
        told[Metric.PLAYER_STALL_S] = _steps(Metric.PLAYER_STALL_S, before.stalled_ms, now.stalled_ms, 1000)
        told[Metric.PLAYER_FAILURES] = new.failures
        told.update(_details(playback, before, new))
    return {(metric.value, name): value for metric, value in told.items()}


def _details(playback: Playback, before: Totals, new: Totals) -> dict[Metric, int]:
    told: dict[Metric, int] = {}
    now, seen = playback.totals, playback.seen
    if new.sessions:
        told[Metric.PLAYER_SESSIONS] = new.sessions
    if new.startups and playback.startup_ms is not None:
        told[Metric.PLAYER_STARTUP_MS] = playback.startup_ms
    if seen is not None and seen.buffer_ms is not None:
        told[Metric.PLAYER_BUFFER_S] = to_wire(Metric.PLAYER_BUFFER_S, seen.buffer_ms / 1000)
    if seen is not None and seen.dropped is not None:
        told[Metric.PLAYER_DROPPED_FRAMES] = new.dropped
    if seen is not None and seen.received is not None:
        told[Metric.PLAYER_RECEIVED_BYTES] = _steps(Metric.PLAYER_RECEIVED_BYTES, before.received, now.received)
    return told


def _steps(metric: Metric, before: int, now: int, per_unit: int = 1) -> int:
    """Whole steps of the metric between two sums, so that what is rounded off one sample comes with a later one."""
    step_size = round(METRICS[metric].step * per_unit)
    return now // step_size - before // step_size


def pause_s(playback: Playback, source: Source) -> float:
    """How long until the next look: short only while something plays, or is about to."""
    state = PlayerState.UNKNOWN if playback.seen is None else playback.seen.state
    if playback.session is None:
        return source.absent_s if state == PlayerState.ABSENT else source.idle_s
    return min(source.idle_s, max(_PAUSED_S, source.busy_s)) if state == PlayerState.PAUSED else source.busy_s


class Watcher:
    """A thread that looks at one player until it is told to stop."""

    def __init__(self, source: Source, account: Account) -> None:
        self._source, self._account = source, account
        self._stop = threading.Event()
        self._trouble = ""
        threading.Thread(target=self._work, name=f"player-{account.name}", daemon=True).start()

    def close(self) -> None:
        """Stop after the look that may be going on; nothing waits for it."""
        self._stop.set()

    def _work(self) -> None:
        while not self._stop.is_set():
            playback = self._account.feed(self._seen(self._source.look))
            seconds = pause_s(playback, self._source)
            rested = monotonic_ms() + min(_LEAST_MS, round(seconds * 1000))
            seen = self._seen(lambda for_s=seconds: self._source.rest(for_s, self._stop))  # type: ignore[misc]
            if seen:
                self._account.feed(seen)
            # A player that never stops telling must not keep the agent busy.
            if (early_ms := rested - monotonic_ms()) > 0:
                self._stop.wait(early_ms / 1000)
        self._source.close()

    def _seen(self, look: Callable[[], Sequence[Seen]]) -> Sequence[Seen]:
        try:
            seen = look()
        except Exception as err:  # noqa: BLE001 - whatever a source raises costs its sight of one player, and is told
            self._tell(f"{type(err).__name__}: {err}"[:200])
            return (Seen(monotonic_ms(), PlayerState.UNKNOWN),)
        if seen and seen[-1].state != PlayerState.UNKNOWN:
            self._tell("")
        return seen

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            _log.warning("player %s: %s", self._account.name, trouble)
        if self._trouble and not trouble:
            _log.info("player %s can be asked again", self._account.name)
        self._trouble = trouble


class Players:
    """All players of a site. ``notice`` is called, from any thread, when one has failed."""

    def __init__(self, players: Sequence[Player], notice: Callable[[], None] = lambda: None) -> None:
        programs = Programs()
        self._accounts = [Account(player.name, notice) for player in players]
        self._watchers = [
            Watcher(source_of(player, programs), account) for player, account in zip(players, self._accounts, strict=True)
        ]

    def take(self) -> Taken:
        """What belongs to a sample that is taken now."""
        now_ms = monotonic_ms()
        found: dict[SeriesKey, int] = {}
        events: list[PlaybackEventRecord] = []
        playing = self.playing()
        if playing is not None:
            found[Metric.PLAYING.value, ""] = playing
        for account in self._accounts:
            taken = account.take(now_ms)
            found.update(taken.values)
            events.extend(taken.events)
        return Taken(found, tuple(events))

    def playing(self) -> int | None:
        """How many players play something now; ``None`` where that can't be told of any."""
        now_ms = monotonic_ms()
        told = [playing for account in self._accounts if (playing := account.playing(now_ms)) is not None]
        return sum(told) if told else None

    def close(self) -> None:
        """Stop looking."""
        for watcher in self._watchers:
            watcher.close()


def source_of(player: Player, programs: Programs) -> Source:
    """The source for a configured player; each kind is loaded when it is asked for."""
    closing = End.CRASHED if player.closing == "failure" else End.GONE
    if player.kind == "mpv":
        from sitekeeper_agent.probes.players.mpv import Mpv

        return Mpv(player.socket or "")
    if player.kind == "vlc":
        from sitekeeper_agent.config import read_password
        from sitekeeper_agent.probes.players.vlc import Vlc

        unattended = player.closing == "failure"
        port = player.port or VLC_PORT
        return Vlc(player.address, port, lambda: read_password(player.password_file) or "", unattended=unattended)
    if player.kind == "page":
        from sitekeeper_agent.probes.players.page import Page

        return Page(player.port or PAGE_PORT, player.origins)
    if player.kind == "log":
        from sitekeeper_agent.probes.players.log import Log, Reader

        reader = Reader(player.patterns.by_meaning(), player.encoding)
        return Log(Path(player.file or ""), reader, names=player.processes, programs=programs, closing=closing)
    from sitekeeper_agent.probes.players.process import Process

    return Process(player.processes, programs, playing_percent=player.playing_cpu_percent, closing=closing)
