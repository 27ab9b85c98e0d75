"""What all sources of the playback model share: the type, how often to look, and what may be told of a player's words."""

import re
import threading
import time
from collections.abc import Sequence

from sitekeeper_agent.probes.players.playback import Seen
from sitekeeper_protocol.vocabulary import PlayerState

ANSWER_S = 2.0
"""How long a player may take to answer."""
HUNG_MS = 10_000
"""A player that has not answered for so long hangs."""
FROZEN_MS = 2_000
"""A player that says it plays, and has shown nothing new for so long, waits."""
MAX_TEXT, MAX_CODE = 200, 64

_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}:/{1,3}\S+|\bwww\.\S+|\b\d{1,3}(?:\.\d{1,3}){3}\b(?::\d+)?", re.IGNORECASE)
_PATH = re.compile(r"(?:\b[A-Za-z]:)?(?:[/\\][^\s/\\'\"<>|]+){2,}|\b[A-Za-z]:\\\S+")
_QUOTED = re.compile(r"'[^']{3,}'|\"[^\"]{3,}\"|[“《][^”》]+[”》]")


class Source:
    """Sees one player. Used by one thread; ``look`` and ``rest`` are back within a few seconds whatever the player does."""

    busy_s = 1.0
    """Pause between two looks while something plays."""
    idle_s = 10.0
    absent_s = 10.0
    """While the player does not run."""

    def look(self) -> Sequence[Seen]:
        """What has happened since the last look, in its order; empty where that can't be told yet."""
        raise NotImplementedError

    def rest(self, seconds: float, stop: threading.Event) -> Sequence[Seen]:
        """Let time pass, until ``stop`` is set; a player that tells by itself is listened to, and may end the rest early."""
        stop.wait(seconds)
        return ()

    def close(self) -> None:
        """Let go of what is open."""


class Silence:
    """How long a player has not answered, and what that makes of it."""

    def __init__(self) -> None:
        self._since_ms: int | None = None

    def answered(self) -> None:
        """It answers again."""
        self._since_ms = None

    def kept(self, asked_ms: int, now_ms: int) -> Seen:
        """It was asked at ``asked_ms`` and has not answered by ``now_ms``."""
        if self._since_ms is None:
            self._since_ms = asked_ms
            return Seen(asked_ms, PlayerState.UNKNOWN)
        hung = now_ms - self._since_ms >= HUNG_MS
        return Seen(now_ms, PlayerState.HUNG if hung else PlayerState.UNKNOWN)


class Progress:
    """Whether a player that says it plays really does: something of what it shows must move."""

    def __init__(self) -> None:
        self._marks: tuple[float, ...] = ()
        self._moved_ms = 0
        self.moving = True

    def reset(self, now_ms: int) -> None:
        """Another title, a pause: nothing is known yet."""
        self._marks, self._moved_ms, self.moving = (), now_ms, True

    def judge(self, marks: tuple[float, ...], now_ms: int) -> int | None:
        """``now_ms`` while it moves, or since when it has not; ``None`` as long as that is in doubt."""
        if marks != self._marks:
            self._marks, self._moved_ms, self.moving = marks, now_ms, True
            return now_ms
        if not self.moving:
            return now_ms
        if now_ms - self._moved_ms < FROZEN_MS:
            return None
        self.moving = False
        return self._moved_ms


def monotonic_ms() -> int:
    """The clock of the playback model."""
    return time.monotonic_ns() // 1_000_000


def scrubbed(text: str, most: int = MAX_TEXT) -> str:
    """A player's words without what people watch: addresses, paths and anything in quotation marks are left out."""
    text = text[:1000]
    for pattern in (_ADDRESS, _PATH, _QUOTED):
        text = pattern.sub("…", text)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:most]


def whole(value: float | None, least: int = 0) -> int | None:
    """A number that somebody else sent as an integer the wire can carry; ``None`` for one that is none."""
    if value is None or not least <= value <= 2**50:  # false for NaN
        return None
    return int(value)
