"""Any player that writes a log: patterns of the site's configuration say which lines mean what."""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sitekeeper_agent.platform import boottime_ms, wall_ms
from sitekeeper_agent.probes.players.playback import End, Seen
from sitekeeper_agent.probes.players.process import Standstill, measured
from sitekeeper_agent.probes.players.programs import Programs, plain
from sitekeeper_agent.probes.players.source import MAX_CODE, Source, monotonic_ms, scrubbed
from sitekeeper_agent.probes.players.tail import Tail
from sitekeeper_protocol.vocabulary import PlayerState

_MEANINGS: Mapping[str, PlayerState] = {
    "failed": PlayerState.IDLE,
    "stopped": PlayerState.IDLE,
    "stalled": PlayerState.STALLED,
    "resumed": PlayerState.PLAYING,
    "paused": PlayerState.PAUSED,
    "started": PlayerState.PLAYING,
    "opening": PlayerState.STARTING,
}
"""What the player does after a line of that meaning; where a line fits several, the first counts."""
_ON = (PlayerState.PLAYING, PlayerState.STALLED, PlayerState.PAUSED)
_ASK_PROGRAMS_S = 10.0
_STILL_MS = 20_000
"""A program that plays uses the processor; one that has not for so long hangs, whatever its log said last."""


class Line(NamedTuple):
    """A line that means something."""

    meaning: str
    code: str = ""
    text: str = ""


class Reader:
    """Bytes of a line into its meaning. ``encoding`` is that of the file; ``auto`` is UTF-8, and GBK where it is not that."""

    def __init__(self, patterns: Mapping[str, str], encoding: str = "auto") -> None:
        self._patterns = [(name, re.compile(patterns[name])) for name in _MEANINGS if patterns.get(name)]
        self._encoding = encoding

    def read(self, line: bytes) -> Line | None:
        """The line's meaning; ``None`` if it has none."""
        text = self._decoded(line)
        for meaning, pattern in self._patterns:
            match = pattern.search(text)
            if match:
                named = match.groupdict()
                return Line(meaning, scrubbed(named.get("code") or "", MAX_CODE), scrubbed(named.get("text") or ""))
        return None

    def _decoded(self, line: bytes) -> str:
        line = line.removeprefix(b"\xef\xbb\xbf")
        if self._encoding != "auto":
            return line.decode(self._encoding, "replace")
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            # GB 18030 holds GBK and GB 2312.
            return line.decode("gb18030", "replace")


class Log(Source):
    """A source on a log file. With ``names`` the player is gone when no such program runs, and hangs when they do nothing."""

    idle_s = 2.0

    def __init__(
        self, path: Path, reader: Reader, *, names: Iterable[str] = (), programs: Programs, closing: End = End.GONE
    ) -> None:
        self._tail, self._reader = Tail(path), reader
        self._names, self._programs, self._closing = frozenset(map(plain, names)), programs, closing
        self._state: PlayerState | None = None
        self._runs, self._still_ms, self._still = True, 0, Standstill()
        self._ask_at = 0.0

    def look(self) -> Sequence[Seen]:
        """What the new lines say. Raises ``OSError`` for a file that can't be read."""
        now_ms = monotonic_ms()
        try:
            if self._state is None:
                self._state = self._found()
            lines = self._tail.lines()
        except FileNotFoundError:
            lines = []
        read = [found for line in lines if (found := self._reader.read(line)) is not None]
        seen = [self._take(line, read[at + 1 :], now_ms) for at, line in enumerate(read)]
        told = [sight for sight in seen if sight is not None]
        if not self._running():
            end = self._closing if self._state in (*_ON, PlayerState.STARTING) else None
            self._state = PlayerState.IDLE if self._state is not None else None
            return (*told, Seen(now_ms, PlayerState.ABSENT, end))
        if self._state == PlayerState.PLAYING and self._still_ms >= _STILL_MS:
            return (*told, Seen(now_ms, PlayerState.HUNG))
        return (*told, Seen(now_ms, PlayerState.UNKNOWN if self._state is None else self._state))

    def _found(self) -> PlayerState:
        """What the player does by the lines that are there already, if they are of this boot."""
        lines, written_s = self._tail.history()
        booted_s = (wall_ms() - boottime_ms()) / 1000
        if written_s < booted_s:
            return PlayerState.IDLE
        meanings = [found.meaning for line in lines if (found := self._reader.read(line)) is not None]
        return _MEANINGS[meanings[-1]] if meanings else PlayerState.IDLE

    def _take(self, line: Line, following: Sequence[Line], now_ms: int) -> Seen | None:
        before, after = self._state, _MEANINGS[line.meaning]
        if line.meaning == "opening" and following:
            # How long it took can't be told of two lines that were read at once.
            return None if before not in _ON else self._next_title(now_ms, after, line)
        self._state = after
        if line.meaning == "failed":
            return Seen(now_ms, after, End.ERROR, line.code, line.text)
        if line.meaning == "stopped":
            return Seen(now_ms, after, End.STOPPED, line.code, line.text)
        again = line.meaning == "started" and before in (PlayerState.PLAYING, PlayerState.PAUSED)
        if again or (line.meaning == "opening" and before in _ON):
            return self._next_title(now_ms, after, line)
        return Seen(now_ms, after, None, line.code, line.text)

    def _next_title(self, now_ms: int, after: PlayerState, line: Line) -> Seen:
        self._state = after
        return Seen(now_ms, after, End.STOPPED, line.code, line.text)

    def _running(self) -> bool:
        """Whether one of the programs runs, as of a few seconds ago."""
        if self._names and time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + _ASK_PROGRAMS_S
            work = measured(self._programs.of(self._names), monotonic_ms())
            self._runs, self._still_ms = work is not None, self._still.judge(work) if work else 0
        return self._runs
