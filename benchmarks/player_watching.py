"""What it costs to watch a player, in CPU seconds an hour: nothing there, idle, playing. `make bench` runs it.

The players are stand-ins that answer as mpv and VLC do; only the agent's own share is counted. Looks are taken one after the
other and the pauses between them reckoned, so an hour takes seconds.
"""

import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sitekeeper_agent.probes.players.log import Log, Reader
from sitekeeper_agent.probes.players.mpv import Mpv
from sitekeeper_agent.probes.players.page import Page
from sitekeeper_agent.probes.players.process import Process
from sitekeeper_agent.probes.players.programs import Programs
from sitekeeper_agent.probes.players.source import Source
from sitekeeper_agent.probes.players.vlc import Vlc
from sitekeeper_agent.probes.players.watching import Account

_LOOKS, _BEACONS = 200, 15
_ORIGIN = "https://portal.example.org"


def _free_port() -> int:
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _mpv(listener: socket.socket, playing: bool) -> None:
    connection, _ = listener.accept()
    position, held = 0.0, b""
    with suppress(OSError):
        while part := connection.recv(65536):
            *lines, held = (held + part).split(b"\n")
            said = b""
            for line in lines:
                order = json.loads(line)
                position += 0.1
                known = {"idle-active": not playing, "pause": False, "time-pos": position if playing else None}
                answer = {"request_id": order["request_id"], "error": "success", "data": known.get(order["command"][-1])}
                said += json.dumps(answer).encode() + b"\n"
            connection.sendall(said)


def _vlc(listener: socket.socket, playing: bool) -> None:
    pictures = 0
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.recv(65536)
            pictures += 25
            state = {"state": "playing" if playing else "stopped", "currentplid": 3, "length": 3600, "position": 0.1}
            stats = {"displayedpictures": pictures, "playedabuffers": pictures * 2, "readbytes": pictures * 1000}
            # Of the size that VLC's own answer has.
            body = json.dumps(
                {**state, "stats": stats, "information": {"x" * 20 + str(n): "y" * 20 for n in range(35)}}
            ).encode()
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            connection.close()


def _listening(serve: Callable[[socket.socket, bool], None], listener: socket.socket, playing: bool) -> None:
    listener.listen()
    threading.Thread(target=serve, args=(listener, playing), daemon=True).start()


def _cost_s(source: Source, pause_s: float) -> float:
    """CPU seconds of an hour of looks by this thread."""
    account = Account("tv")
    for _ in range(5):
        account.feed(source.look())
    begun = time.thread_time()
    for _ in range(_LOOKS):
        account.feed(source.look())
    each_s = (time.thread_time() - begun) / _LOOKS
    return each_s * 3600 / pause_s


def _page_cost_s(playing: bool) -> float:
    """CPU seconds of an hour of a page's port, to which a page that plays speaks every 5 s."""
    port = _free_port()
    page, account, stop = Page(port, (_ORIGIN,)), Account("tv"), threading.Event()
    page.look()
    told: list[bytes] = []

    def ask(method: str, target: str, body: bytes = b"") -> None:
        head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {_ORIGIN}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head.encode() + body)
            told.append(b"".join(iter(lambda: connection.recv(65536), b"")))

    def served(*request: str | bytes) -> float:
        asking = threading.Thread(target=ask, args=request)
        begun = time.thread_time()
        asking.start()
        while asking.is_alive():
            account.feed(page.look())
            account.feed(page.rest(0.05, stop))
        return time.thread_time() - begun

    served("GET", "/beacon/token")
    token = json.loads(told[0].partition(b"\r\n\r\n")[2])["token"]
    event = {"word": "playing", "age_ms": 9, "position_s": 3.4, "length_s": 600, "buffered_s": 10.2, "dropped": 3}
    body = json.dumps({"token": token, "events": [event]}).encode()
    if playing:
        each_s = sum(served("POST", "/beacon", body) for _ in range(_BEACONS)) / _BEACONS
        assert told[-1].startswith(b"HTTP/1.1 204 "), told[-1]
    else:
        begun = time.thread_time()
        for _ in range(_LOOKS):
            account.feed(page.look())
            account.feed(page.rest(0.001, stop))
        each_s = (time.thread_time() - begun) / _LOOKS
    page.close()
    return each_s * 3600 / page.idle_s


def main() -> None:
    rows: list[tuple[str, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        mpv = Mpv(f"{folder}/none")
        rows.append(("mpv, not there", mpv.absent_s, _cost_s(mpv, mpv.absent_s)))
        for playing in (False, True):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(f"{folder}/mpv{playing}")
            _listening(_mpv, listener, playing)
            mpv = Mpv(f"{folder}/mpv{playing}")
            pace = mpv.busy_s if playing else mpv.idle_s
            rows.append((f"mpv, {'playing' if playing else 'idle'}", pace, _cost_s(mpv, pace)))
            listener = socket.create_server(("127.0.0.1", 0))
            _listening(_vlc, listener, playing)
            vlc = Vlc("127.0.0.1", listener.getsockname()[1], lambda: "password")
            pace = vlc.busy_s if playing else vlc.idle_s
            rows.append((f"VLC, {'playing' if playing else 'idle'}", pace, _cost_s(vlc, pace)))
        file = Path(folder) / "log"
        file.write_text("hello\n")
        log = Log(file, Reader({"started": "play ok", "stopped": "play end"}), programs=Programs())
        rows.append(("log, nothing new", log.idle_s, _cost_s(log, log.idle_s)))
        rows.append(("log, playing", log.busy_s, _cost_s(log, log.busy_s)))
        process = Process(("python3", "python3.11", "python"), Programs(), playing_percent=1)
        rows.append(("process", process.idle_s, _cost_s(process, process.idle_s)))
    rows.extend((f"page, {'playing' if playing else 'idle'}", 5.0, _page_cost_s(playing)) for playing in (False, True))
    print(f"{'player':20} {'look every s':>12} {'CPU-s/h':>8}")
    for name, pace, cost in sorted(rows):
        print(f"{name:20} {pace:12g} {cost:8.3f}")


if __name__ == "__main__":
    main()
