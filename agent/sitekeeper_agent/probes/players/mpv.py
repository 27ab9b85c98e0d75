"""mpv by its JSON IPC (mpv(1), "JSON IPC" and "List of events"): what it says by itself, and a question at each look.

The connection stays open, so that starts, stalls and ends are known when they occur. No property that names what is played is
ever asked for.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from sitekeeper_agent.probes.players.channel import Channel, Closed, open_channel
from sitekeeper_agent.probes.players.playback import End, Seen
from sitekeeper_agent.probes.players.source import ANSWER_S, Progress, Silence, Source, monotonic_ms, scrubbed, whole
from sitekeeper_protocol.vocabulary import PlayerState

MAX_LINE = 64 * 1024
MAX_BYTES = 256 * 1024
"""Taken from a player in one look or rest; one that says more is no mpv."""
_MAX_READS = 200
_EARLY_S, _EARLY_RATIO = 5.0, 0.05
_WATCHED = ("pause", "paused-for-cache", "idle-active", "eof-reached")
_STILL = "current-tracks/video/image"
_ASKED = (*_WATCHED, _STILL, "time-pos", "duration", "demuxer-cache-duration", "cache-speed", "frame-drop-count")
_FLAGS = {*_WATCHED, _STILL}
_ENDS = {"eof": End.FINISHED, "stop": End.STOPPED, "quit": End.STOPPED, "error": End.ERROR, "unknown": End.UNKNOWN}


class _Message(msgspec.Struct):
    """A reply or an event, as far as it matters; anything in it may be missing."""

    event: str = ""
    request_id: int = -1
    error: str = ""
    name: str = ""
    data: bool | int | float | str | None = None
    reason: str = ""
    file_error: str = ""


_decode = msgspec.json.Decoder(_Message).decode


def _line(*command: Any, request_id: int = 0) -> bytes:
    return msgspec.json.encode({"command": command, "request_id": request_id}) + b"\n"


_OBSERVE = b"".join(_line("observe_property", at, name) for at, name in enumerate(_WATCHED, 1))
_FIRST = 1000
"""Number of the first question, apart from those of the orders to observe."""
_QUESTIONS = b"".join(_line("get_property", name, request_id=_FIRST + at) for at, name in enumerate(_ASKED))


class _Known(NamedTuple):
    """What mpv has said of itself on this connection."""

    idle: bool = False
    paused: bool = False
    waiting: bool = False
    ended: bool = False
    """``eof-reached``: with ``--keep-open`` the title is over and still there."""
    loading: bool = False
    """From the start of a title, or a seek, to the picture."""
    loaded: bool = False
    still: bool = False
    """A single picture, which does not move."""
    position_s: float | None = None
    length_s: float | None = None
    ahead_s: float | None = None
    speed: float | None = None
    dropped: float | None = None

    @property
    def early(self) -> bool:
        """Whether an end now is one long before the end of the recording."""
        if not self.length_s or self.position_s is None:
            return False
        return self.length_s - self.position_s > max(_EARLY_S, _EARLY_RATIO * self.length_s)


_FIELDS = {
    "pause": "paused",
    "paused-for-cache": "waiting",
    "idle-active": "idle",
    "eof-reached": "ended",
    _STILL: "still",
    "time-pos": "position_s",
    "duration": "length_s",
    "demuxer-cache-duration": "ahead_s",
    "cache-speed": "speed",
    "frame-drop-count": "dropped",
}


class Mpv(Source):
    """A source on mpv's ``--input-ipc-server``."""

    peek_s = 2.0
    """Many sites start mpv for each title: what is over before it was seen is never known. A peek is far less than a look."""
    absent_s = 10.0 if sys.platform != "win32" else peek_s

    def __init__(self, path: str, *, answer_s: float = ANSWER_S) -> None:
        self._path, self._answer_s = path, answer_s
        self._channel: Channel | None = None
        self._silence, self._progress = Silence(), Progress()
        self._reset()

    def _reset(self) -> None:
        self._known, self._held, self._quitting = _Known(), b"", False
        self._open: set[int] = set()
        self._told = PlayerState.UNKNOWN
        self._received = 0.0
        self._speed_ms: int | None = None

    def look(self) -> Sequence[Seen]:
        """Ask, and take in what has been said meanwhile."""
        asked_ms = monotonic_ms()
        seen: list[Seen] = []
        if self._channel is None:
            absent = self._begin(asked_ms)
            if absent is not None:
                return (absent,)
        assert self._channel is not None
        until = time.monotonic() + self._answer_s
        try:
            if not self._open:
                self._open = set(range(_FIRST, _FIRST + len(_ASKED)))
                self._channel.send(_QUESTIONS, until)
            self._listen(until, seen, lambda: not self._open)
        except Closed:
            return (*seen, self._lost())
        except ValueError:
            return (*seen, self._refused())
        now_ms = monotonic_ms()
        if self._open:
            seen.append(self._silence.kept(asked_ms, now_ms))
            self._told = PlayerState.UNKNOWN
            return seen
        self._silence.answered()
        self._settle(now_ms, seen)
        return seen

    def rest(self, seconds: float, stop: threading.Event) -> Sequence[Seen]:
        """Listen; a change of what the player does ends the rest."""
        if self._channel is None and seconds > self.peek_s:
            return self._await_socket(time.monotonic() + seconds, stop)
        if self._channel is None or self._open:
            return super().rest(seconds, stop)
        seen: list[Seen] = []
        until = time.monotonic() + seconds
        try:
            self._listen(until, seen, lambda: bool(seen) or stop.is_set())
        except Closed:
            return (*seen, self._lost())
        except ValueError:
            return (*seen, self._refused())
        if not seen:
            stop.wait(max(0.0, until - time.monotonic()))
        return seen

    def _await_socket(self, until: float, stop: threading.Event) -> Sequence[Seen]:
        """Rest, but no longer than until there is a socket."""
        while (left := until - time.monotonic()) > 0:
            if stop.wait(min(left, self.peek_s)) or os.path.exists(self._path):  # noqa: PTH110 - every two seconds
                break
        return ()

    def close(self) -> None:
        """Close the connection; what mpv does is none of our business then."""
        if self._channel is not None:
            self._channel.close()
        self._channel = None

    # --- the connection ------------------------------------------------------------------------------------------------

    def _begin(self, now_ms: int) -> Seen | None:
        """Connect; what is seen where that does not succeed. Raises ``OSError`` where that says nothing about the player."""
        self._reset()
        try:
            self._channel = open_channel(self._path)
            self._channel.send(_OBSERVE, time.monotonic() + self._answer_s)
        except Closed:
            return self._lost()
        except (FileNotFoundError, ConnectionRefusedError):
            return Seen(now_ms, PlayerState.ABSENT)
        except BlockingIOError:
            # Its queue of connections is full: it is there, and does not take them.
            return self._silence.kept(now_ms, monotonic_ms())
        self._progress.reset(now_ms)
        return None

    def _lost(self) -> Seen:
        """The player is gone: in order if it said so before."""
        known, quitting = self._known, self._quitting
        self.close()
        self._silence.answered()
        end = (End.STOPPED if quitting else End.CRASHED) if known.loaded else None
        return Seen(monotonic_ms(), PlayerState.ABSENT, end)

    def _refused(self) -> Seen:
        """What was said is not what mpv says."""
        self.close()
        return Seen(monotonic_ms(), PlayerState.UNKNOWN)

    def _listen(self, until: float, seen: list[Seen], enough: Callable[[], bool]) -> None:
        """Take in lines until ``enough``. Raises ``Closed``, and ``ValueError`` for what can't be mpv."""
        assert self._channel is not None
        taken = 0
        for _ in range(_MAX_READS):
            if enough():
                return
            part = self._channel.receive(until)
            if not part:
                return
            taken += len(part)
            *lines, self._held = (self._held + part).split(b"\n")
            if taken > MAX_BYTES or len(self._held) > MAX_LINE:
                raise ValueError("more than a player has to say")
            for line in lines:
                self._take(line, seen)

    # --- what it says --------------------------------------------------------------------------------------------------

    def _take(self, line: bytes, seen: list[Seen]) -> None:
        try:
            message = _decode(line)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return  # an event that this version does not know
        if message.event:
            self._event(message, seen)
        elif message.request_id in self._open:
            self._open.discard(message.request_id)
            answer = message.data if message.error == "success" else None
            self._learn(_ASKED[message.request_id - _FIRST], answer)

    def _learn(self, name: str, value: bool | float | str | None) -> None:
        field = _FIELDS.get(name)
        if field is None or isinstance(value, str):
            return
        learnt: Any = value is True if name in _FLAGS else None if isinstance(value, bool) else value
        self._known = self._known._replace(**{field: learnt})

    def _event(self, message: _Message, seen: list[Seen]) -> None:
        if message.event == "property-change":
            self._learn(message.name, message.data)
        elif message.event == "start-file":
            self._known = _Known(paused=self._known.paused, loading=True, loaded=True)
        elif message.event == "seek":
            self._known = self._known._replace(loading=True)
        elif message.event == "playback-restart":
            self._known = self._known._replace(loading=False)
            self._progress.reset(monotonic_ms())
        elif message.event == "shutdown":
            self._quitting = True
        elif message.event == "end-file" and message.reason != "redirect":
            self._end(message, seen)
            return
        self._tell(seen)

    def _end(self, message: _Message, seen: list[Seen]) -> None:
        end = _ENDS.get(message.reason, End.UNKNOWN)
        if end is End.FINISHED and self._known.early:
            end = End.EARLY
        self._quitting = self._quitting or message.reason == "quit"
        was_loaded = self._known.loaded and not self._known.ended
        self._known = self._known._replace(loaded=False, loading=False, waiting=False, ended=False)
        self._told = PlayerState.IDLE
        if was_loaded:
            seen.append(Seen(monotonic_ms(), PlayerState.IDLE, end, text=scrubbed(message.file_error)))

    def _tell(self, seen: list[Seen]) -> None:
        """A sight if what the player does has changed by an event."""
        state = self._state()
        if state == self._told or self._told == PlayerState.UNKNOWN:
            return
        self._told = state
        self._progress.reset(monotonic_ms())
        seen.append(Seen(monotonic_ms(), state, self._kept_open(state)))

    def _kept_open(self, state: PlayerState) -> End | None:
        over = state == PlayerState.IDLE and self._known.loaded and self._known.ended
        return (End.EARLY if self._known.early else End.FINISHED) if over else None

    def _state(self) -> PlayerState:
        known = self._known
        if known.idle or known.ended or not known.loaded:
            return PlayerState.IDLE
        if known.loading:
            return PlayerState.STARTING
        if known.paused:
            return PlayerState.PAUSED
        return PlayerState.STALLED if known.waiting or not self._progress.moving else PlayerState.PLAYING

    def _settle(self, now_ms: int, seen: list[Seen]) -> None:
        """The sight of a look whose questions were all answered."""
        known = self._known
        if self._told == PlayerState.UNKNOWN and not known.idle:
            # Found as it is: what began before this connection was told to others.
            self._known = known = known._replace(loaded=True, loading=known.loading or known.position_s is None)
        shows = self._state() in (PlayerState.PLAYING, PlayerState.STALLED)
        if known.still:
            self._progress.reset(now_ms)
        elif shows and not known.waiting:
            at_ms = self._progress.judge((known.position_s or 0.0,), now_ms)
            if at_ms is None:
                return
            if at_ms < now_ms:
                seen.append(Seen(at_ms, PlayerState.STALLED))
        self._told = self._state()
        seen.append(
            Seen(
                now_ms,
                self._told,
                self._kept_open(self._told),
                buffer_ms=None if known.ahead_s is None else whole(known.ahead_s * 1000),
                dropped=whole(known.dropped),
                received=self._bytes(now_ms),
            )
        )

    def _bytes(self, now_ms: int) -> int | None:
        """Bytes taken in on this connection, from the speed that mpv gives; it keeps no count."""
        speed, before_ms = whole(self._known.speed), self._speed_ms
        self._speed_ms = now_ms
        if speed is None:
            return None
        self._received += speed * (now_ms - before_ms) / 1000 if before_ms is not None else 0
        return whole(self._received)
