"""VLC by its HTTP interface on loopback (``--extraintf http``): ``/requests/status.json``, a question at each look.

VLC says neither that it buffers nor why it stopped. That it waits is seen from what it has shown: nothing new for two seconds.
Names of what is played stand in its answer too; they are not read.
"""

import errno
import socket
import time
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from sitekeeper_agent.probes import http
from sitekeeper_agent.probes.players.playback import End, Seen
from sitekeeper_agent.probes.players.source import ANSWER_S, Progress, Silence, Source, monotonic_ms, whole
from sitekeeper_agent.probes.probe import Portal, address_family, left_s, sockaddr
from sitekeeper_protocol.vocabulary import PlayerState

_NEAR_S, _NEAR_RATIO = 5.0, 0.05
"""As close to its end, a recording that stopped was finished: VLC is asked once a second, and it buffers some seconds."""


class CannotAsk(Exception):
    """VLC is there, and its answer is of no use; the text says why."""


class _Stats(msgspec.Struct):
    displayedpictures: float = 0
    playedabuffers: float = 0
    lostpictures: float = 0
    readbytes: float = 0
    demuxreadbytes: float = 0


class Status(msgspec.Struct):
    """As much of ``status.json`` as is read: ``length`` and ``time`` in s, ``position`` from 0 to 1."""

    state: str
    currentplid: int = -1
    length: float = 0
    time: float = 0
    position: float = 0
    stats: _Stats | None = None

    @property
    def marks(self) -> tuple[float, ...]:
        """What moves while VLC shows something; all 0 before."""
        counted = () if self.stats is None else (self.stats.displayedpictures, self.stats.playedabuffers)
        return counted if any(counted) else (self.position, self.time)

    @property
    def near_end(self) -> bool:
        """Whether a recording is as good as over."""
        return self.length > 0 and (1 - self.position) * self.length <= max(_NEAR_S, _NEAR_RATIO * self.length)


_decode = msgspec.json.Decoder(Status).decode


class _Title(NamedTuple):
    """What is being played, as it was at the look before."""

    plid: int
    shown: bool
    recorded: bool
    near_end: bool


class Vlc(Source):
    """A source on VLC's HTTP interface. ``password`` is read when it is needed and may raise what it likes.

    ``unattended``: nobody stops or closes this VLC by hand, so if that happens in the middle of a play, it has failed.
    """

    def __init__(
        self, address: str, port: int, password: Callable[[], str], *, unattended: bool = False, answer_s: float = ANSWER_S
    ) -> None:
        self._portal = Portal("http", address, port, "/requests/status.json")
        self._password, self._answer_s = password, answer_s
        self._vanished, self._cut = (End.CRASHED, End.EARLY) if unattended else (End.GONE, End.UNFINISHED)
        self._silence, self._progress = Silence(), Progress()
        self._title: _Title | None = None

    def look(self) -> Sequence[Seen]:
        """Ask once. Raises ``CannotAsk``."""
        asked_ms = monotonic_ms()
        try:
            status = self._ask(time.monotonic() + self._answer_s)
        except TimeoutError:
            self._progress.reset(asked_ms)
            silent = self._silence.kept(asked_ms, monotonic_ms())
            self._title = None if silent.state == PlayerState.HUNG else self._title
            return (silent,)
        except ConnectionRefusedError:
            title, self._title = self._title, None
            self._silence.answered()
            return (Seen(asked_ms, PlayerState.ABSENT, self._vanished if title else None),)
        self._silence.answered()
        return self._judge(status, monotonic_ms())

    def _ask(self, deadline: float) -> Status:
        """Raises ``OSError`` where nobody answers, and ``CannotAsk``."""
        token = b2a_base64(f":{self._password()}".encode(), newline=False).decode()
        request = http.request(self._portal, "sitekeeper-agent", fields=(f"Authorization: Basic {token}",))
        with socket.socket(address_family(self._portal.host), socket.SOCK_STREAM) as sock:
            sock.settimeout(left_s(deadline) or 0.001)
            sock.connect(sockaddr(self._portal.host, self._portal.port))
            try:
                sock.sendall(request)
                response = http.read(sock, b"", deadline, http.MAX_BYTES)
            except http.BadResponse as err:
                raise CannotAsk(f"what answers is no web server: {err}") from None
            except TimeoutError:
                raise
            except OSError as err:
                raise CannotAsk(f"the connection broke: {err.strerror}") from None
        if not response.complete:
            raise TimeoutError(errno.ETIMEDOUT, "the answer did not come whole")
        return _read(response)

    # --- what it says --------------------------------------------------------------------------------------------------

    def _judge(self, status: Status, now_ms: int) -> Sequence[Seen]:
        if status.state == "stopped":
            return (Seen(now_ms, PlayerState.IDLE, self._leave()),)
        if status.state not in ("playing", "paused"):
            raise CannotAsk("the state that it names is not known")
        end = None
        if self._title is not None and self._title.plid != status.currentplid:
            # An item that has shown nothing was a list that made place for its first entry.
            end = self._leave() if self._title.shown else None
            self._progress.reset(now_ms)
        return self._going_on(status, end, now_ms)

    def _leave(self) -> End | None:
        """How the title that was played ended."""
        title, self._title = self._title, None
        if title is None:
            return None
        if not title.shown or not title.recorded:
            return End.UNKNOWN
        return End.FINISHED if title.near_end else self._cut

    def _going_on(self, status: Status, end: End | None, now_ms: int) -> Sequence[Seen]:
        shown = any(status.marks)
        self._title = _Title(status.currentplid, shown, status.length > 0, status.near_end)
        if status.state == "paused":
            self._progress.reset(now_ms)
            return (_seen(now_ms, PlayerState.PAUSED, end, status),)
        if not shown:
            self._progress.reset(now_ms)
            return (_seen(now_ms, PlayerState.STARTING, end, status),)
        at_ms = self._progress.judge(status.marks, now_ms)
        if at_ms is None:
            return () if end is None else (_seen(now_ms, PlayerState.STARTING, end, status),)
        if self._progress.moving:
            return (_seen(now_ms, PlayerState.PLAYING, end, status),)
        return (Seen(at_ms, PlayerState.STALLED, end), _seen(now_ms, PlayerState.STALLED, None, status))


def _read(response: http.Response) -> Status:
    """The status that a response holds. Raises ``CannotAsk``."""
    if response.head.status == 401:
        raise CannotAsk("the password is wrong")
    if response.head.status != 200:
        raise CannotAsk(f"it answers with HTTP status {response.head.status}")
    try:
        return _decode(response.body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise CannotAsk("its answer is not that of VLC") from None


def _seen(now_ms: int, state: PlayerState, end: End | None, status: Status) -> Seen:
    stats = status.stats
    received = None if stats is None else whole(max(stats.readbytes, stats.demuxreadbytes))
    return Seen(now_ms, state, end, dropped=None if stats is None else whole(stats.lostpictures), received=received)
