"""A small RTSP server (RFC 2326) that sends RTP on the connection itself, as it comes from ffmpeg; and ffmpeg as a sender."""

import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from support.ports import free_port
from support.web_servers import request_of, serve

PICTURE = ("-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-c:v", "mpeg2video", "-b:v", "600k", "-g", "12")


@contextmanager
def ffmpeg(*output: str) -> Iterator[None]:
    """ffmpeg, sending a test picture in its own time."""
    command = ["ffmpeg", "-loglevel", "error", "-nostdin", *PICTURE, *output]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait(20)


class Asked(NamedTuple):
    """A request."""

    method: str
    url: str
    head: str

    def field(self, name: str) -> str:
        """A field's value, or nothing."""
        found = re.search(rf"^{name}: (.*?)\r$", self.head, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else ""


def asked_of(head: bytes) -> Asked:
    """A request, taken apart."""
    text = head.decode()
    method, url, _ = text.split(" ", 2)
    return Asked(method, url, text)


Change = Callable[[Asked], str | None]
"""Another answer than the usual one (a status line and fields), or ``None``."""
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 32\r\na=control:track1\r\n"


class RtspServer(NamedTuple):
    """A server at ``port``; ``seen`` are the requests that it got."""

    port: int
    seen: list[Asked]

    @property
    def address(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/tv"


@contextmanager
def rtsp_server(
    *, change: Change = lambda _asked: None, sdp: str = SDP, spoil: Callable[[int, bytes], list[bytes]] | None = None
) -> Iterator[RtspServer]:
    """A server with one channel. ``spoil`` makes of a packet (counted from 0) those that are sent in its place."""
    seen: list[Asked] = []
    with ExitStack() as stack:
        rtp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        rtp.bind(("127.0.0.1", 0))
        rtp.settimeout(20)
        stack.enter_context(ffmpeg("-f", "rtp", f"rtp://127.0.0.1:{rtp.getsockname()[1]}?rtcpport={free_port()}"))

        def behave(connection: socket.socket) -> None:
            while head := request_of(connection):
                asked = asked_of(head)
                seen.append(asked)
                connection.sendall(_answer(asked, change(asked), sdp))
                if asked.method == "PLAY":
                    _play(connection, rtp, spoil)
                    return

        port = stack.enter_context(serve(behave))
        yield RtspServer(port, seen)


def _answer(asked: Asked, changed: str | None, sdp: str) -> bytes:
    status, fields, body = "200 OK", "", ""
    if changed is not None:
        status, _, fields = changed.partition("\r\n")
        fields = f"{fields}\r\n" if fields else ""
    elif asked.method == "DESCRIBE":
        body, fields = sdp, f"Content-Base: {asked.url}/\r\nContent-Type: application/sdp\r\n"
    elif asked.method == "SETUP":
        fields = f"Transport: {asked.field('Transport')};ssrc=1\r\nSession: 12345678;timeout=60\r\n"
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"RTSP/1.0 {status}\r\nCSeq: {asked.field('CSeq')}\r\n{fields}{length}\r\n{body}".encode()


def _play(connection: socket.socket, rtp: socket.socket, spoil: Callable[[int, bytes], list[bytes]] | None) -> None:
    """Until the visitor goes away."""
    number = 0
    with suppress(OSError):
        while True:
            packet = rtp.recv(65536)
            for sent in spoil(number, packet) if spoil else [packet]:
                connection.sendall(b"$\x00" + len(sent).to_bytes(2, "big") + sent)
            number += 1


@contextmanager
def vlc_server(home: Path, film: Path, nobody: int) -> Iterator[str]:
    """VLC serving a film by RTSP, which it sends by UDP only; yields its address."""
    port = free_port()
    chain = f"#rtp{{sdp=rtsp://127.0.0.1:{port}/film}}"
    import os

    as_root = os.geteuid() == 0
    process = subprocess.Popen(
        ["vlc", "-I", "dummy", "--loop", str(film), "--sout", chain, "--sout-keep", "--rtsp-host", "127.0.0.1", "-q"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(home)},
        user=nobody if as_root else None,
        group=nobody if as_root else None,
        extra_groups=() if as_root else None,
    )
    try:
        yield f"rtsp://127.0.0.1:{port}/film"
    finally:
        process.kill()
        process.wait(20)
