"""A few seconds of an RTSP stream (RFC 2326) as a player would begin it: OPTIONS, DESCRIBE, SETUP, PLAY, listen, TEARDOWN.

Asked for are the packets of the picture, or else of the first track, on the connection itself (interleaved), which passes every
router; a server that has only UDP is asked for that. All that a server says is bounded in bytes, time and number of answers.
"""

import re
import select
import socket
import time
from typing import NamedTuple

from sitekeeper_agent import __version__
from sitekeeper_agent.platform import Family
from sitekeeper_agent.probes import fetch
from sitekeeper_agent.probes.fetch import Failed
from sitekeeper_agent.probes.probe import Context, Portal, left_s, reason_of
from sitekeeper_agent.probes.rtp import Heard, RtpEar
from sitekeeper_agent.probes.rtspauth import Login, answer, login_for
from sitekeeper_agent.probes.streams import LEAST_PACKETS, LISTEN_S, MOST_BYTES, Listened, judged, parse_stream
from sitekeeper_protocol.settings import SettingsError
from sitekeeper_protocol.vocabulary import Reason, State

_AGENT = f"sitekeeper-agent/{__version__}"
_MOST_HEAD, _MOST_BODY, _MOST_ANSWERS = 16 * 1024, 64 * 1024, 16
_MOST_REDIRECTS = 3
_UNSUPPORTED_TRANSPORT = 461
_SESSION = re.compile(r"[A-Za-z0-9$_.+-]{1,128}", re.ASCII)
_ADDRESS = re.compile(r"[!-~]{1,1000}", re.ASCII)
_PAIRS_TRIED = 8


class _BadAnswer(Exception):
    """What came is no RTSP."""


class _Answer(NamedTuple):
    status: int
    fields: dict[str, list[str]]
    body: bytes

    def first(self, name: str) -> str:
        return self.fields.get(name, [""])[0]


class Track(NamedTuple):
    """What SETUP asks for, and the clock of its timestamps (0: not said)."""

    control: str
    clock_hz: int


class _Refused(Exception):
    """The server answers with another status than 200."""

    def __init__(self, status: int, answer: _Answer) -> None:
        super().__init__(str(status))
        self.status, self.answer = status, answer


def listen(stream: Portal, path: Family, context: Context, deadline: float, *, most_bytes: int = MOST_BYTES) -> Listened:
    """Up to four seconds or ``most_bytes`` of the stream, over up to three redirects. Never raises for what a server says."""
    begun = time.monotonic()
    for _ in range(_MOST_REDIRECTS + 1):
        found = _once(stream, path, context, deadline, begun, most_bytes)
        if isinstance(found, Listened):
            return found
        stream = found
    return Listened(State.FAIL, Reason.WRONG_CONTENT)


def glance(stream: Portal, path: Family, context: Context, deadline: float) -> bool:
    """Whether the server still describes the stream; costs a kilobyte or two."""
    try:
        with fetch.dial(stream, path, context, deadline)[0] as sock:
            talk = _Talk(sock, stream, context, deadline)
            return bool(tracks(talk.ask("DESCRIBE", talk.url, "Accept: application/sdp").body))
    except (Failed, OSError, _BadAnswer, _Refused):
        return False


def _once(stream: Portal, path: Family, context: Context, deadline: float, begun: float, most_bytes: int) -> Listened | Portal:
    try:
        sock = fetch.dial(stream, path, context, deadline)[0]
    except Failed as failed:
        return Listened(failed.state, failed.reason)
    with sock:
        talk = _Talk(sock, stream, context, deadline)
        try:
            return _play(talk, sock, context, begun, most_bytes)
        except _Refused as refused:
            onward = _redirected(refused)
            return onward or Listened(State.FAIL, _reason(refused.status), status=refused.status)
        except _BadAnswer:
            return Listened(State.FAIL, Reason.MALFORMED_REPLY, status=talk.status)
        except OSError as err:
            return Listened(State.FAIL, reason_of(err), status=talk.status)


def _reason(status: int) -> Reason:
    if status == 401:
        return Reason.LOGIN_REFUSED
    if status < 400:
        return Reason.WRONG_CONTENT
    return Reason.HTTP_SERVER_ERROR if status >= 500 else Reason.HTTP_CLIENT_ERROR


def _redirected(refused: _Refused) -> Portal | None:
    if refused.status not in (301, 302, 303, 307, 308):
        return None
    try:
        onward = parse_stream(refused.answer.first("location"))
    except SettingsError:
        return None
    return onward if onward.scheme == "rtsp" else None


def _play(talk: "_Talk", sock: socket.socket, context: Context, begun: float, most_bytes: int) -> Listened:
    talk.ask("OPTIONS", talk.url)
    described = talk.ask("DESCRIBE", talk.url, "Accept: application/sdp")
    found = tracks(described.body)
    if not found:
        return Listened(State.FAIL, Reason.WRONG_CONTENT, status=described.status)
    base = described.first("content-base") or described.first("content-location") or talk.url
    control = control_url(talk.url, base, found[0].control)
    if control is None:
        return Listened(State.FAIL, Reason.WRONG_CONTENT, status=described.status)
    talk.whole = control_url(talk.url, base, "*") or talk.url
    ear = RtpEar(found[0].clock_hz)
    try:
        talk.ask("SETUP", control, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
    except _Refused as refused:
        if refused.status != _UNSUPPORTED_TRANSPORT:
            raise
        return _play_udp(talk, sock, control, ear, context, begun, most_bytes)
    talk.play()
    until = min(talk.deadline, time.monotonic() + LISTEN_S)
    heard = _Hearing(ear, begun)
    while left_s(until) > 0 and ear.heard.taken_bytes < most_bytes:
        try:
            channel, packet = talk.frame(until)
        except (TimeoutError, ConnectionResetError):
            break
        if channel == 0:
            heard.take(packet)
    talk.tear_down()
    return heard.judged(context.slow_ms, talk.status)


def _play_udp(
    talk: "_Talk", sock: socket.socket, control: str, ear: RtpEar, context: Context, begun: float, most_bytes: int
) -> Listened:
    """The same by UDP, from the server's own address alone."""
    rtp, rtcp = _pair(sock.family)
    with rtp, rtcp:
        port = rtp.getsockname()[1]
        talk.ask("SETUP", control, f"Transport: RTP/AVP;unicast;client_port={port}-{port + 1}")
        talk.play()
        until = min(talk.deadline, time.monotonic() + LISTEN_S)
        heard, server = _Hearing(ear, begun), sock.getpeername()[0]
        while (left := left_s(until)) > 0 and ear.heard.taken_bytes < most_bytes:
            if not select.select([rtp], [], [], left)[0]:
                break
            packet, sender = rtp.recvfrom(65536)
            if sender[0] == server:
                heard.take(packet)
        talk.tear_down()
        return heard.judged(context.slow_ms, talk.status)


def _pair(family: int) -> tuple[socket.socket, socket.socket]:
    """Two neighbouring ports, the first one even (RFC 3550, section 11). Raises ``OSError`` if none are free."""
    for _ in range(_PAIRS_TRIED):
        first = socket.socket(family, socket.SOCK_DGRAM)
        second = socket.socket(family, socket.SOCK_DGRAM)
        try:
            first.bind(("", 0))
            port = first.getsockname()[1]
            if port % 2 == 0:
                second.bind(("", port + 1))
                return first, second
        except OSError:
            pass  # taken; another pair is tried
        first.close()
        second.close()
    raise OSError("no pair of free ports")


class _Hearing:
    """Takes packets, and the moments at which a player could begin."""

    def __init__(self, ear: RtpEar, begun: float) -> None:
        self._ear, self._begun = ear, begun
        self._first_ms: float | None = None
        self._ready_ms: float | None = None

    def take(self, packet: bytes) -> None:
        """A packet that has just come in."""
        now = time.monotonic()
        self._ear.take(packet, now)
        packets = self._ear.heard.packets
        if packets and self._first_ms is None:
            self._first_ms = (now - self._begun) * 1000
        if packets >= LEAST_PACKETS and self._ready_ms is None:
            self._ready_ms = (now - self._begun) * 1000

    def judged(self, slow_ms: int, status: int | None) -> Listened:
        """All in all."""
        heard: Heard = self._ear.heard
        return judged(heard, self._first_ms, self._ready_ms, slow_ms=slow_ms, status=status)


class _Talk:
    """A connection to a server: requests and their answers, and the packets between them."""

    def __init__(self, sock: socket.socket, stream: Portal, context: Context, deadline: float) -> None:
        self._sock = sock
        self.deadline = deadline
        host = f"[{stream.host}]" if ":" in stream.host else stream.host
        self.url = self.whole = f"rtsp://{host}:{stream.port}{stream.target}"
        """``whole`` is what is played: the server may give the stream another name than it was asked for by."""
        self.status: int | None = None
        self._login: Login | None = login_for(context.media_logins_file, stream.host)
        self._challenges: list[str] = []
        self._held = bytearray()
        self._number = self._answers = 0
        self._session = ""

    def ask(self, method: str, url: str, *fields: str) -> _Answer:
        """One request, made again with the site's login if the server wants one. Raises ``_Refused`` and ``_BadAnswer``."""
        got = self._ask(method, url, fields)
        if got.status == 401 and self._login is not None and not self._challenges:
            self._challenges = got.fields.get("www-authenticate", [])
            got = self._ask(method, url, fields)
        if got.status != 200:
            raise _Refused(got.status, got)
        session = got.first("session").partition(";")[0].strip()
        if session:
            if not _SESSION.fullmatch(session):
                raise _BadAnswer
            self._session = session
        return got

    def play(self) -> None:
        """Have the packets of what was set up come."""
        self.ask("PLAY", self.whole, "Range: npt=0.000-")

    def tear_down(self) -> None:
        """Say that it is over, and wait for nothing."""
        try:
            self._send("TEARDOWN", self.whole, ())
        except OSError:
            return  # it is over anyway

    def _ask(self, method: str, url: str, fields: tuple[str, ...]) -> _Answer:
        self._send(method, url, fields)
        while True:
            got = self._answer()
            if got.first("cseq") in ("", str(self._number)):
                self.status = got.status
                return got

    def _send(self, method: str, url: str, fields: tuple[str, ...]) -> None:
        self._number += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._number}", f"User-Agent: {_AGENT}", *fields]
        if self._session:
            lines.append(f"Session: {self._session}")
        if self._login is not None and self._challenges:
            told = answer(self._challenges, self._login, method, url)
            lines += [f"Authorization: {told}"] if told else []
        self._sock.settimeout(left_s(self.deadline) or 0.001)
        self._sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii", "replace"))

    # --- what comes in -------------------------------------------------------------------------------------------------

    def _receive(self, until: float) -> None:
        left = left_s(until)
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        part = self._sock.recv(65536)
        if not part:
            raise ConnectionResetError("the server closed the connection")
        self._held += part

    def _take(self, count: int, until: float) -> bytes:
        while len(self._held) < count:
            self._receive(until)
        data = bytes(self._held[:count])
        del self._held[:count]
        return data

    def frame(self, until: float) -> tuple[int, bytes]:
        """The next packet and its channel (RFC 2326, section 10.12); answers that come between are passed over."""
        while True:
            while not self._held:
                self._receive(until)
            if self._held[0] == 0x24:
                head = self._take(4, until)
                return head[1], self._take(int.from_bytes(head[2:4], "big"), until)
            self._read_answer(until)

    def _answer(self) -> _Answer:
        while True:
            while not self._held:
                self._receive(self.deadline)
            if self._held[0] != 0x24:
                return self._read_answer(self.deadline)
            head = self._take(4, self.deadline)
            self._take(int.from_bytes(head[2:4], "big"), self.deadline)

    def _read_answer(self, until: float) -> _Answer:
        self._answers += 1
        if self._answers > _MOST_ANSWERS:
            raise _BadAnswer
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            if len(self._held) > _MOST_HEAD:
                raise _BadAnswer
            self._receive(until)
        status, fields = parse_head(bytes(self._held[:end]))
        del self._held[: end + 4]
        length = fields.get("content-length", ["0"])[0]
        if not (length.isascii() and length.isdigit() and len(length) < 8) or int(length) > _MOST_BODY:
            raise _BadAnswer
        return _Answer(status, fields, self._take(int(length), until))


def parse_head(data: bytes) -> tuple[int, dict[str, list[str]]]:
    """Status and fields of an answer, names in lower case. Raises ``_BadAnswer``."""
    start, *lines = data.decode("latin-1").split("\r\n")
    version, _, rest = start.partition(" ")
    code = rest[:3]
    if not version.startswith("RTSP/") or not (code.isascii() and code.isdigit()) or not 100 <= int(code) <= 999:
        raise _BadAnswer
    fields: dict[str, list[str]] = {}
    for line in lines[:100]:
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip().lower(), []).append(value.strip())
    return int(code), fields


def tracks(sdp: bytes) -> list[Track]:
    """The tracks of a description (RFC 8866), pictures first; those of other transports than plain RTP are left out."""
    found: list[tuple[int, Track]] = []
    kind, control, clock_hz, usable = "", "", 0, False

    def end() -> None:
        if usable and kind:
            found.append((0 if kind == "video" else 1, Track(control, clock_hz)))

    for line in sdp.decode("utf-8", "replace").splitlines()[:500]:
        if line.startswith("m="):
            end()
            words = line[2:].split()
            kind, control, clock_hz = (words[0] if words else ""), "", 0
            usable = len(words) >= 3 and words[2] in ("RTP/AVP", "RTP/AVPF")
        elif line.startswith("a=control:") and kind:
            control = line.partition(":")[2].strip()
        elif line.startswith("a=rtpmap:") and kind:
            rate = line.partition("/")[2].partition("/")[0].strip()
            clock_hz = int(rate) if rate.isascii() and rate.isdigit() and 0 < len(rate) < 8 else 0
    end()
    return [track for _, track in sorted(found, key=lambda at: at[0])]


def control_url(asked: str, base: str, control: str) -> str | None:
    """The address of a track as SETUP names it; ``None`` for one on another server, or that is none."""
    url = base if control in ("", "*") else control if "://" in control else f"{base.rstrip('/')}/{control}"
    own = asked.partition("://")[2].partition("/")[0]
    host = own.rpartition(":")[0]
    there = url.partition("://")[2].partition("/")[0]
    same = there in (own, host)
    return url if url.startswith("rtsp://") and same and _ADDRESS.fullmatch(url) else None
