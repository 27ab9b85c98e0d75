"""A model of playback in the terms of CTA-2066 (Streaming Quality of Experience Events, Properties and Metrics, 2020). Pure.

A **session** begins when a player is asked to play and ends when that is over. **Startup time** is the time from there to the
first picture. **Rebuffering** (a stall) is waiting for media after the first picture that neither a pause nor a seek explains.
A **playback failure** is one to start (before the first picture) or one in mid-stream; leaving before the first picture is
neither a play nor a failure. The **rebuffering ratio** is stalled time over stalled and played time.

The model is fed by what a source sees of its player at instants. What a player did at one of them counts until the next, as
long as that follows soon: nobody knows what it did in a longer silence, so that counts as nothing.
"""

from enum import IntEnum
from typing import NamedTuple

from sitekeeper_protocol.messages import PlaybackEvent, PlaybackEventRecord
from sitekeeper_protocol.vocabulary import PlayerState

GAP_MS = 15_000
"""Two sights further apart than this say nothing about the time between them."""
TIMEOUT_MS = 60_000
"""A player that has waited this long, for a first picture or for more media, has failed, whatever it hopes for."""
STARTS_MS = 600_000
MANY_STARTS = 3

_ON = frozenset({PlayerState.STARTING, PlayerState.PLAYING, PlayerState.STALLED})
_OVER = frozenset({PlayerState.IDLE, PlayerState.ABSENT, PlayerState.RUNNING, PlayerState.HUNG})
_SHOWS = frozenset({PlayerState.PLAYING, PlayerState.STALLED, PlayerState.PAUSED})


class End(IntEnum):
    """How a session ended, as far as its source can tell."""

    UNKNOWN = 0
    """It is over, and nothing says why."""
    FINISHED = 1
    STOPPED = 2
    """By somebody, or by the next title."""
    GONE = 3
    """With its program, of which only that is known: closing a window in the middle of a play looks the same."""
    CRASHED = 4
    ERROR = 5
    EARLY = 6
    """As if it were finished, but long before the end of the recording."""
    UNFINISHED = 7
    """Before the end of the recording; by somebody's hand or for want of media is not known."""


class Seen(NamedTuple):
    """What a source sees of its player at ``at_ms`` (of a monotonic clock).

    ``end`` says that what was played until now is over, and why; ``state`` is what comes after it. ``code`` and ``text`` are
    the player's own words for it, free of addresses and titles. ``buffer_ms`` is media held ahead; ``dropped`` and
    ``received`` count pictures and bytes since the player, or its title, began.
    """

    at_ms: int
    state: PlayerState
    end: End | None = None
    code: str = ""
    text: str = ""
    buffer_ms: int | None = None
    dropped: int | None = None
    received: int | None = None


class Totals(NamedTuple):
    """Sums that only grow; what belongs to a sample is the difference of two of them."""

    played_ms: int = 0
    stalled_ms: int = 0
    stalls: int = 0
    failures: int = 0
    sessions: int = 0
    startups: int = 0
    """Sessions whose startup time is known."""
    dropped: int = 0
    received: int = 0

    @property
    def rebuffering_ratio(self) -> float:
        """Stalled time over stalled and played time; 0 where nothing was played."""
        return self.stalled_ms / ((self.stalled_ms + self.played_ms) or 1)

    def since(self, before: "Totals") -> "Totals":
        """What has been added since ``before``."""
        return Totals(*(now - then for now, then in zip(self, before, strict=True)))


class Session(NamedTuple):
    """One thing played. ``began_ms`` is ``None`` for one that was found playing, ``startup_ms`` before its first picture."""

    began_ms: int | None
    shown: bool = False
    startup_ms: int | None = None
    played_ms: int = 0
    stall_ms: int | None = None
    """Length so far of the stall that goes on."""
    waited_ms: int = 0
    """How long it has waited, for its first picture or in the stall that goes on."""
    lost_ms: int = 0
    """How long nothing has been known of it."""
    failed: bool = False
    """Whether the waiting that goes on has been told as a failure."""


class Playback(NamedTuple):
    """All that is known of one player."""

    seen: Seen | None = None
    session: Session | None = None
    totals: Totals = Totals()
    startup_ms: int | None = None
    """Startup time of the last session that had one."""
    starts: tuple[int, ...] = ()
    """When its program was started, the last ten minutes."""
    alive: bool | None = None
    """Whether its program ran when that was last known."""

    @property
    def state(self) -> PlayerState:
        """What the player does; ``unknown`` before anything was seen."""
        state = PlayerState.UNKNOWN if self.seen is None else self.seen.state
        return PlayerState.RESTARTING if len(self.starts) >= MANY_STARTS and state != PlayerState.HUNG else state

    @property
    def playing(self) -> bool:
        """Whether something is being played, or would be if the line or the player let it."""
        return self.session is not None and self.seen is not None and self.seen.state in _ON


class Step(NamedTuple):
    """What comes of a sight: the model after it, and what is worth an event (``player`` is left empty)."""

    after: Playback
    events: tuple[PlaybackEventRecord, ...]


def step(before: Playback, seen: Seen) -> Step:
    """The model after ``seen``. A sight from before the last one counts as of the same instant."""
    last = before.seen
    if last is not None and seen.at_ms < last.at_ms:
        seen = seen._replace(at_ms=last.at_ms)
    events: list[PlaybackEventRecord] = []
    now = _counted(_credited(before, seen, events), seen)
    if now.session is not None and (seen.end is not None or seen.state in _OVER or now.session.lost_ms >= TIMEOUT_MS):
        now = _ended(now, seen, events)
    if now.session is None and seen.state in _ON:
        now = _begun(now, seen, events)
    if now.session is not None:
        now = _gone_on(now, now.session, seen, events)
    elif before.session is None and seen.end is End.ERROR:
        # A player that says so has failed, also where the attempt itself was too short to be seen.
        now = _failed(now, seen, 0, _code(seen, "start_error"), events)
    return Step(_restarted(now, seen)._replace(seen=seen), tuple(events))


def _credited(now: Playback, seen: Seen, events: list[PlaybackEventRecord]) -> Playback:
    """The time since the last sight, booked to what the player did then; a stall that is over is told."""
    last, session = now.seen, now.session
    if last is None or session is None:
        return now
    passed_ms = seen.at_ms - last.at_ms
    session = session._replace(lost_ms=session.lost_ms + passed_ms if last.state == PlayerState.UNKNOWN else 0)
    passed_ms = passed_ms if passed_ms <= GAP_MS else 0
    totals = now.totals
    if last.state == PlayerState.PLAYING:
        totals = totals._replace(played_ms=totals.played_ms + passed_ms)
        session = session._replace(played_ms=session.played_ms + passed_ms)
    elif last.state == PlayerState.STALLED and session.stall_ms is not None:
        totals = totals._replace(stalled_ms=totals.stalled_ms + passed_ms)
        session = session._replace(stall_ms=session.stall_ms + passed_ms, waited_ms=session.waited_ms + passed_ms)
        if seen.state != PlayerState.STALLED or seen.end is not None:
            events.append(PlaybackEventRecord(PlaybackEvent.STALLED, "", duration_ms=session.stall_ms or 0))
            session = session._replace(stall_ms=None)
    elif last.state == PlayerState.STARTING and not session.shown:
        session = session._replace(waited_ms=session.waited_ms + passed_ms)
    return now._replace(totals=totals, session=session)


def _counted(now: Playback, seen: Seen) -> Playback:
    """Dropped pictures and received bytes, whose counters begin again with a title or program."""
    last = now.seen
    grown = {
        name: getattr(now.totals, name) + _growth(getattr(last, name) if last else None, getattr(seen, name))
        for name in ("dropped", "received")
    }
    return now._replace(totals=now.totals._replace(**grown))


def _growth(before: int | None, now: int | None) -> int:
    if now is None or before is None:
        return 0
    return now - before if now >= before else now


def _begun(now: Playback, seen: Seen, events: list[PlaybackEventRecord]) -> Playback:
    last = now.seen
    # One that plays already may have begun at any time since the last sight: when is not known, and so no startup time is.
    asked = seen.state == PlayerState.STARTING
    joined = last is None or last.state in (PlayerState.UNKNOWN, PlayerState.HUNG) or seen.at_ms - last.at_ms > GAP_MS
    session = Session(seen.at_ms if asked and not joined else None)
    totals = now.totals._replace(sessions=now.totals.sessions + 1)
    events.append(PlaybackEventRecord(PlaybackEvent.STARTED, "", code="found" if joined else ""))
    return now._replace(session=session, totals=totals)


def _gone_on(now: Playback, session: Session, seen: Seen, events: list[PlaybackEventRecord]) -> Playback:
    """The session at this sight: its first picture, a stall that begins, a waiting that takes too long."""
    if seen.state in _SHOWS and not session.shown:
        startup_ms = None if session.began_ms is None else seen.at_ms - session.began_ms
        session = session._replace(shown=True, startup_ms=startup_ms, waited_ms=0, failed=False)
        if startup_ms is not None:
            totals = now.totals._replace(startups=now.totals.startups + 1)
            now = now._replace(startup_ms=startup_ms, totals=totals)
    if seen.state == PlayerState.STALLED and session.stall_ms is None:
        session = session._replace(stall_ms=0, waited_ms=0, failed=False)
        now = now._replace(totals=now.totals._replace(stalls=now.totals.stalls + 1))
    now = now._replace(session=session)
    if session.waited_ms >= TIMEOUT_MS and not session.failed and seen.state in (PlayerState.STARTING, PlayerState.STALLED):
        code = "play_timeout" if session.shown else "start_timeout"
        now = _failed(now, seen, session.played_ms, _code(seen, code), events)
        now = now._replace(session=session._replace(failed=True))
    return now


def _ended(now: Playback, seen: Seen, events: list[PlaybackEventRecord]) -> Playback:
    """The session is over: played, left, or failed."""
    session = now.session
    assert session is not None
    fault = _fault(session, now.seen, seen)
    now = now._replace(session=None)
    if fault is not None and not session.failed:
        return _failed(now, seen, session.played_ms, _code(seen, fault), events)
    code = fault or _code(seen, _parting(session, seen))
    events.append(PlaybackEventRecord(PlaybackEvent.STOPPED, "", code=code, text=seen.text, duration_ms=session.played_ms))
    return now


_PARTING = {End.FINISHED: "finished", End.STOPPED: "stopped", End.GONE: "gone", End.UNFINISHED: "unfinished"}


def _parting(session: Session, seen: Seen) -> str:
    """How a session went that did not fail."""
    if seen.end is None and seen.state not in _OVER:
        return "lost"
    return _PARTING.get(seen.end or End.UNKNOWN, "") if session.shown else "before_start"


def _fault(session: Session, last: Seen | None, seen: Seen) -> str | None:
    """What makes the end of a session a failure; ``None`` where nothing does."""
    if seen.state == PlayerState.HUNG:
        return "hung"
    if seen.end is None and seen.state not in _OVER:
        return None
    end = seen.end or End.UNKNOWN
    told = {
        End.CRASHED: "crashed",
        End.ERROR: "play_error" if session.shown else "start_error",
        End.EARLY: "ended_early",
    }.get(end)
    if told is None and end in (End.UNKNOWN, End.UNFINISHED, End.GONE):
        if not session.shown and end is not End.GONE:
            return "start_error"
        if last is not None and last.state == PlayerState.STALLED:
            return "ended_in_stall"
    return told


def _code(seen: Seen, ours: str) -> str:
    return seen.code or ours


def _failed(now: Playback, seen: Seen, played_ms: int, code: str, events: list[PlaybackEventRecord]) -> Playback:
    events.append(PlaybackEventRecord(PlaybackEvent.FAILED, "", code=code, text=seen.text, duration_ms=played_ms))
    return now._replace(totals=now.totals._replace(failures=now.totals.failures + 1))


def _restarted(now: Playback, seen: Seen) -> Playback:
    """Starts of the program: it runs and did not before."""
    if seen.state == PlayerState.UNKNOWN:
        return now
    alive = seen.state != PlayerState.ABSENT
    starts = (*now.starts, seen.at_ms) if alive and now.alive is False else now.starts
    recent = tuple(at_ms for at_ms in starts if seen.at_ms - at_ms <= STARTS_MS)
    return now._replace(alive=alive, starts=recent[-99:])
