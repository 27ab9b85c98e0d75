"""A real web server on loopback that serves a small film, and goes wrong in the middle when it is told to."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory

from support.web_servers import request_of, serve

SEGMENTS = Path(__file__).parents[2] / "collector" / "sitekeeper_collector" / "demo" / "stream"
FILM_S = 12
_PART = 4096


@cache
def film() -> bytes:
    """An MP4 of ``FILM_S`` seconds with picture and sound, made by ffmpeg; its index stands first."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        picture, sound = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10"), ("-f", "lavfi", "-i", "sine=frequency=440")
        coded = ("-t", str(FILM_S), "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-c:a", "aac")
        subprocess.run(
            ["ffmpeg", "-v", "error", *picture, *sound, *coded, "-movflags", "+faststart", str(path)],
            check=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )
        return path.read_bytes()


class Stage:
    """``/film.mp4`` and ``/list.m3u8``, and how they are served.

    ``share`` is how much of the film comes before it goes wrong.
    """

    def __init__(self) -> None:
        self.port = 0
        self.share = 1.0
        self.goes_on = threading.Event()
        """The rest of a film that was held back is sent once this is set."""
        self.hangs_up = False
        self.missing: set[str] = set()
        self.asked: list[str] = []

    @property
    def film(self) -> str:
        """The address of the film."""
        return f"http://127.0.0.1:{self.port}/film.mp4"

    @property
    def stream(self) -> str:
        """The address of ten seconds of HLS."""
        return f"http://127.0.0.1:{self.port}/list.m3u8"

    def behave(self, connection: socket) -> None:
        """Answer one request."""
        path = request_of(connection).decode().partition(" ")[2].partition(" ")[0]
        self.asked.append(path)
        if path in self.missing:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        elif path == "/film.mp4":
            self._send(connection, film(), "video/mp4", round(len(film()) * self.share))
        elif path == "/list.m3u8":
            self._send(connection, _playlist(), "application/vnd.apple.mpegurl")
        else:
            self._send(connection, (SEGMENTS / Path(path).name).read_bytes(), "video/mp2t")

    def _send(self, connection: socket, body: bytes, kind: str, first: int | None = None) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body[:first])
        if first is None or first >= len(body) or self.hangs_up:
            return
        self.goes_on.wait(120)
        connection.sendall(body[first:])


def _playlist() -> bytes:
    segments = "".join(f"#EXTINF:2.0,\ns{at}.ts\n" for at in range(5))
    return f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n{segments}#EXT-X-ENDLIST\n".encode()


@contextmanager
def stage() -> Iterator[Stage]:
    """A running stage."""
    made = Stage()
    with serve(made.behave) as made.port:
        try:
            yield made
        finally:
            made.goes_on.set()
