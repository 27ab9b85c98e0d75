"""A small web server that stands for the education portal and its live stream (HLS), so that the demo needs no internet."""

import http.server
import threading
import time
from pathlib import Path

from sitekeeper_collector.embedded.broker import HOST

_STREAM = Path(__file__).parent / "stream"
_SEGMENT_S, _WINDOW = 2, 4
_PAGE = b"<!doctype html><title>Portal</title><p>The demo's education portal.</p>"


class Portal:
    """Serves ``url`` and ``stream`` from its making to ``close``."""

    def __init__(self) -> None:
        self._server = http.server.ThreadingHTTPServer((HOST, 0), _Pages)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="portal", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The portal's address."""
        return f"http://{HOST}:{self._server.server_address[1]}/"

    @property
    def stream(self) -> str:
        """The live stream's address."""
        return f"{self.url}live/index.m3u8"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def playlist(now_s: float) -> str:
    """The live playlist (RFC 8216): the last segments, numbered by the clock; ten seconds of pictures go round and round."""
    files = sorted(_STREAM.glob("*.ts"))
    newest = int(now_s) // _SEGMENT_S
    numbers = range(newest - _WINDOW, newest)
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{_SEGMENT_S}", f"#EXT-X-MEDIA-SEQUENCE:{numbers[0]}"]
    for number in numbers:
        at = number % len(files)
        lines += ["#EXT-X-DISCONTINUITY"] if at == 0 else []
        lines += [f"#EXTINF:{_SEGMENT_S}.0,", f"{number}.ts"]
    return "\n".join(lines) + "\n"


class _Pages(http.server.BaseHTTPRequestHandler):
    """The page, the playlist and its segments."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer("text/html; charset=utf-8", _PAGE)
        elif path == "/live/index.m3u8":
            self._answer("application/vnd.apple.mpegurl", playlist(time.time()).encode())
        elif path.startswith("/live/") and path.endswith(".ts") and path[6:-3].isdecimal() and len(path) < 40:
            files = sorted(_STREAM.glob("*.ts"))
            self._answer("video/mp2t", files[int(path[6:-3]) % len(files)].read_bytes())
        else:
            self.send_error(404)

    do_HEAD = do_GET

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal belongs to the demo."""
