"""Players in web pages: a real browser plays a video that breaks, and strangers who send the agent's port what they like."""

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sitekeeper_agent.probes.players.beacon import MAX_BODY, MAX_EVENTS, Beacon, Event, Floor, read_request
from sitekeeper_agent.probes.players.page import AT_ONCE, Page
from sitekeeper_agent.probes.players.playback import Playback, step
from sitekeeper_protocol.messages import PlaybackEvent
from sitekeeper_protocol.vocabulary import Metric, PlayerState
from support.browser import chromium
from support.ports import free_port
from support.wait import wait_until
from support.watched import Watched, watched

SCRIPT = Path(__file__).parents[3] / "packaging" / "playback-beacon.js"
ORIGIN = "https://portal.example.org"
PORT = 8766


# --- a portal whose video breaks ---------------------------------------------------------------------------------------


class Portal:
    """A page with a video of which half can be had, or with ``whole`` all; nothing more of it once it is ``broken``."""

    def __init__(self, video: bytes, agent_port: int) -> None:
        self.video, self.agent_port = video, agent_port
        self.whole, self.broken = threading.Event(), threading.Event()
        portal = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

            def do_GET(self) -> None:
                """The page, the script, the video."""
                if self.path == "/":
                    page = f"<!DOCTYPE html><script src=/beacon.js data-port={portal.agent_port}></script>"
                    self._send(b"text/html", (page + "<video muted preload=none src=/secret-title.mp4></video>").encode())
                elif self.path == "/beacon.js":
                    self._send(b"text/javascript", SCRIPT.read_bytes())
                elif self.path.partition("?")[0] == "/secret-title.mp4":
                    self._video()
                else:
                    self.send_error(404)

            def _send(self, kind: bytes, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind.decode())
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _video(self) -> None:
                if portal.broken.is_set():
                    self.send_error(404)
                    return
                match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))
                start, length = int(match[1]) if match else 0, len(portal.video)
                self.send_response(206)
                self.send_header("Content-Type", "video/mp4")
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Range", f"bytes {start}-{length - 1}/{length}")
                self.send_header("Content-Length", str(length - start))
                self.end_headers()
                self.close_connection = True
                if portal.whole.is_set():
                    self.wfile.write(portal.video[start:])
                    return
                self.wfile.write(portal.video[start : max(start, length // 2)])
                portal.broken.wait(120)

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """A browser leaves when it likes."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Six seconds, as a browser plays them while they arrive."""
    program = shutil.which("ffmpeg")
    assert program, "ffmpeg is needed; `make test` names it"
    path = tmp_path_factory.mktemp("video") / "film.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=6"]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-b:v", "1M"]
    subprocess.run(
        [program, "-v", "error", *source, *coded, "-movflags", "faststart", str(path)],
        check=True,
    )
    return path.read_bytes()


@contextmanager
def portal(video: bytes) -> Iterator[tuple[Portal, Watched]]:
    """A portal, and a watched source that listens to its pages."""
    at = Portal(video, free_port())
    thread = threading.Thread(target=partial(at.server.serve_forever, 0.05))
    thread.start()
    try:
        with watched(Page(at.agent_port, (at.origin,))) as tv:
            wait_until(lambda: _listens(at.agent_port), "the source listens")
            yield at, tv
    finally:
        at.broken.set()
        at.server.shutdown()
        thread.join()
        at.server.server_close()


def _listens(port: int) -> bool:
    with socket.socket() as visitor:
        return visitor.connect_ex(("127.0.0.1", port)) == 0


def test_a_video_that_plays_stalls_and_fails_in_a_browser_is_seen_to_do_so(video: bytes, tmp_path: Path) -> None:
    with portal(video) as (at, tv), chromium(tmp_path / "browser") as browser:
        browser.open(f"{at.origin}/")
        browser.run("document.querySelector('video').play().catch(function () {})")
        started = tv.until_told(PlaybackEvent.STARTED)
        tv.until(PlayerState.PLAYING)
        tv.until(PlayerState.STALLED)
        assert tv.sums[Metric.PLAYER_STALLS] >= 1
        at.broken.set()
        failed = tv.until_told(PlaybackEvent.FAILED, timeout_s=100)
        assert (started.code, failed.code) == ("", "network_error")
        assert failed.duration_ms > 0, "it had played"
        stalled = tv.until_told(PlaybackEvent.STALLED)
        assert stalled.duration_ms > 0
        assert tv.sums[Metric.PLAYER_STARTUP_MS] > 0
        assert tv.noticed, "a failure calls for a sample"
        tv.until(PlayerState.IDLE)
        assert not any("secret" in event.text + event.code for event in tv.events)


def test_a_video_that_plays_to_its_end_is_finished_and_a_page_that_is_left_is_gone(video: bytes, tmp_path: Path) -> None:
    with portal(video) as (at, tv), chromium(tmp_path / "browser") as browser:
        at.whole.set()
        browser.open(f"{at.origin}/")
        browser.run("document.querySelector('video').play()")
        tv.until_told(PlaybackEvent.STOPPED, "finished")
        browser.run("var v = document.querySelector('video'); v.loop = true; v.play()")
        tv.until(PlayerState.PLAYING)
        browser.run("document.querySelector('video').pause()")
        tv.until(PlayerState.PAUSED)
        browser.run("document.querySelector('video').play()")
        tv.until(PlayerState.PLAYING)
        browser.open("about:blank")
        tv.until_told(PlaybackEvent.STOPPED, "gone")
        assert tv.sums[Metric.PLAYER_FAILURES] == 0
        assert tv.sums[Metric.PLAYER_SESSIONS] == 2


def test_a_next_title_in_the_same_element_is_a_session_of_its_own_and_one_that_is_missing_fails(
    video: bytes, tmp_path: Path
) -> None:
    with portal(video) as (at, tv), chromium(tmp_path / "browser") as browser:
        at.whole.set()
        browser.open(f"{at.origin}/")
        browser.run("var v = document.querySelector('video'); v.loop = true; v.play()")
        tv.until(PlayerState.PLAYING)
        browser.run("var v = document.querySelector('video'); v.autoplay = true; v.src = '/secret-title.mp4?2'")
        tv.until_told(PlaybackEvent.STOPPED, "stopped")
        tv.until(PlayerState.PLAYING)
        browser.run("document.querySelector('video').remove()")
        wait_until(lambda: tv.told().count(("stopped", "stopped")) == 2, "the element is gone")
        browser.run("document.body.innerHTML = '<video autoplay muted><source src=/none.mp4></video>'")
        tv.until_told(PlaybackEvent.FAILED, "unsupported")
        assert tv.sums[Metric.PLAYER_SESSIONS] == 3


def test_a_page_introduces_itself_again_to_an_agent_that_has_begun_anew(video: bytes, tmp_path: Path) -> None:
    with portal(video) as (at, tv), chromium(tmp_path / "browser") as browser:
        at.whole.set()
        browser.open(f"{at.origin}/")
        browser.run("var v = document.querySelector('video'); v.loop = true; v.play()")
        tv.until(PlayerState.PLAYING)
        tv.watcher.close()
        wait_until(lambda: not _listens(at.agent_port), "it has ended")
        with watched(Page(at.agent_port, (at.origin,))) as again:
            started = again.until_told(PlaybackEvent.STARTED)
            assert started.code == "found", "when it began is not known"
            again.until(PlayerState.PLAYING)


def test_the_script_is_of_ecmascript_5_and_small() -> None:
    text = SCRIPT.read_text(encoding="ascii")
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", text.replace("http://", ""), flags=re.DOTALL)
    assert not re.findall(r"=>|`|\b(?:let|const|class|async|await|import)\b|\.\.\.", code)
    assert len(text) < 10_000


def test_a_page_that_is_not_configured_or_finds_no_agent_plays_on_and_asks_no_more(video: bytes, tmp_path: Path) -> None:
    at = Portal(video, free_port())
    at.whole.set()
    thread = threading.Thread(target=partial(at.server.serve_forever, 0.05))
    thread.start()
    try:
        with chromium(tmp_path / "browser") as browser:
            browser.open(f"{at.origin}/")
            browser.run("document.querySelector('video').play()")
            wait_until(lambda: browser.run("return document.querySelector('video').ended"), "it plays to its end")
            said = browser.complaints()
        assert len([line for line in said if "/beacon" in line]) <= 1, said
        assert not [line for line in said if "Uncaught" in line], said
    finally:
        at.broken.set()
        at.server.shutdown()
        thread.join()
        at.server.server_close()


# --- strangers ---------------------------------------------------------------------------------------------------------


def request(method: str, target: str, body: bytes = b"", /, **headers: str) -> bytes:
    """A request as a browser sends it from the portal; an empty header is left out."""
    usual = {"Host": f"127.0.0.1:{PORT}", "Origin": ORIGIN}
    if body:
        usual |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    sent = usual | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items() if value), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


class Stage:
    """A beacon that is asked without a socket, at an instant that goes on as the test says."""

    def __init__(self) -> None:
        self.beacon = Beacon(PORT, frozenset([ORIGIN, "https://other.example.org"]))
        self.now_ms = 1_000_000
        self.seen: list[PlayerState] = []

    def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        told = self.beacon.take(data, self.now_ms)
        assert told is not None, "it waits for more"
        self.seen += [sight.state for sight in told.seen]
        head, _, body = told.answer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body

    def token(self, **headers: str) -> str:
        status, _, body = self.ask(request("GET", "/beacon/token", b"", **headers))
        assert status == 200
        return str(json.loads(body)["token"])

    def post(self, events: object, token: str | None = None, **headers: str) -> int:
        body = json.dumps({"token": self.token() if token is None else token, "events": events}).encode()
        return self.ask(request("POST", "/beacon", body, **headers))[0]


PLAYING = [{"word": "loading", "age_ms": 900}, {"word": "playing", "age_ms": 100, "buffered_s": 4.5, "dropped": 2}]


def test_a_page_of_the_portal_is_heard() -> None:
    stage = Stage()
    assert stage.post(PLAYING) == 204
    assert stage.seen == [PlayerState.IDLE, PlayerState.STARTING, PlayerState.PLAYING]


def test_the_preflight_allows_what_the_script_sends_and_no_more() -> None:
    asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "content-type"}
    status, headers, _ = Stage().ask(request("OPTIONS", "/beacon", b"", **asked, Access_Control_Request_Private_Network="true"))
    assert status == 204
    allowed = {name: value for name, value in headers.items() if name.startswith("Access-Control-")}
    assert allowed == {
        "Access-Control-Allow-Origin": ORIGIN,
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "content-type",
        "Access-Control-Allow-Private-Network": "true",
        "Access-Control-Max-Age": "600",
    }
    assert "Access-Control-Allow-Private-Network" not in Stage().ask(request("OPTIONS", "/beacon", b"", **asked))[1]
    for wrong in (
        {"Access_Control_Request_Method": "PUT"},
        {"Access_Control_Request_Headers": "content-type, x-more"},
        {"Origin": "https://evil.example"},
    ):
        status, headers, _ = Stage().ask(request("OPTIONS", "/beacon", b"", **(asked | wrong)))
        assert status == 403
        assert "Access-Control-Allow-Methods" not in headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://portal.example.org"},
        {"Origin": ORIGIN + "."},
        {"Origin": ORIGIN + ":444"},
        {"Origin": ORIGIN + ", https://evil.example"},
        {"Host": "evil.example"},
        {"Host": f"evil.example:{PORT}"},
        {"Host": "127.0.0.1"},
        {"Host": ""},
    ],
)
def test_another_origin_or_host_gets_neither_token_nor_ear_and_can_read_nothing(headers: dict[str, str]) -> None:
    stage = Stage()
    token = stage.token()
    status, shown, body = stage.ask(request("GET", "/beacon/token", b"", **headers))
    assert (status, body) == (403, b"")
    assert "Access-Control-Allow-Origin" not in shown
    assert stage.post(PLAYING, token, **headers) == 403
    assert stage.seen == []


def test_a_token_counts_for_the_origin_that_got_it_and_for_this_run_of_the_agent_only() -> None:
    stage = Stage()
    token = stage.token()
    assert stage.post(PLAYING, token, Origin="https://other.example.org") == 403
    assert stage.post(PLAYING, token[:-1]) == 403
    assert stage.post(PLAYING, "") == 403
    assert Stage().post(PLAYING, token) == 403
    assert stage.seen == []
    assert stage.post(PLAYING, token) == 204


def test_of_many_pages_the_one_that_was_not_used_for_longest_is_forgotten() -> None:
    stage = Stage()
    first, second = stage.token(), stage.token()
    stage.post(PLAYING, first)
    for _ in range(15):
        stage.now_ms += 1000
        stage.token()
    assert stage.post(PLAYING, first) == 204
    assert stage.post(PLAYING, second) == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=utf-8"])
def test_a_type_that_is_not_json_alone_is_refused(kind: str) -> None:
    stage = Stage()
    assert stage.post(PLAYING, Content_Type=kind) == 415
    assert stage.seen == []


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(request("POST", "/beacon", b"x" * (MAX_BODY + 1)), id="too long"),
        pytest.param(request("POST", "/beacon", Content_Length="99999999999999999999"), id="absurdly long"),
        pytest.param(request("POST", "/beacon", Content_Length="-1"), id="negative"),
        pytest.param(request("POST", "/beacon", Transfer_Encoding="chunked"), id="chunked"),
        pytest.param(request("GET", "/beacon/token", X="y" * 9000), id="long head"),
        pytest.param(b"a" * 9000, id="no head"),
        pytest.param(request("GET", "/beacon/token").replace(b"Host", b"host: evil\r\nHost"), id="two hosts"),
        pytest.param(request("GET", "/beacon/token").replace(b"Host", b" Host"), id="folded"),
        pytest.param(request("GET", "http://127.0.0.1:8766/beacon/token"), id="whole address"),
        pytest.param(request("GET", "/"), id="elsewhere"),
        pytest.param(request("GET", "/beacon"), id="other method"),
        pytest.param(request("POST", "/beacon/token"), id="token by POST"),
        pytest.param(b"\x16\x03\x01\x02\x00\r\n\r\n", id="TLS"),
    ],
)
def test_a_request_that_is_none_of_ours_is_refused(data: bytes) -> None:
    status, _, body = Stage().ask(data)
    assert status in (400, 403, 404, 405, 413, 431)
    assert body == b""


@pytest.mark.parametrize(
    "events",
    [
        "playing",
        [],
        {},
        None,
        PLAYING * MAX_EVENTS,
        [{}],
        [{"word": "exploded"}],
        [{"word": ["playing"]}],
        [{"word": "error", "code": 5}],
        [{"word": "error", "code": "network"}],
        [{"word": "playing", "age_ms": -1}],
        [{"word": "playing", "age_ms": 10**30}],
        [{"word": "playing", "position_s": -1}],
        [{"word": "playing", "position_s": float("nan")}],
        [{"word": "playing", "buffered_s": float("inf")}],
        [{"word": "playing", "buffered_s": 1e300}],
        [{"word": "playing", "dropped": 2**70}],
        [{"word": "playing", "dropped": True}],
    ],
)
def test_words_and_numbers_outside_what_may_be_said_are_refused_whole(events: object) -> None:
    stage = Stage()
    assert stage.post(events) == 400
    assert stage.seen == []


@pytest.mark.parametrize("body", [b"[" * 4000, b"{}", b"null", b"\xff\xfe", b'{"token":1}', b'{"a":' * 800, b'"' + b"x" * 4000])
def test_json_that_is_meant_to_hurt_is_refused(body: bytes) -> None:
    assert Stage().ask(request("POST", "/beacon", body))[0] == 400


def test_what_else_a_page_says_is_not_kept() -> None:
    stage = Stage()
    body = {
        "token": stage.token(),
        "title": "secret",
        "events": [{"word": "error", "code": 2, "text": "secret", "src": "secret"}],
    }
    told = stage.beacon.take(request("POST", "/beacon", json.dumps(body).encode()), stage.now_ms)
    assert told is not None
    assert [(sight.code, sight.text) for sight in told.seen] == [("", ""), ("network_error", "")]


def test_who_asks_too_often_is_refused_until_some_time_has_passed() -> None:
    stage = Stage()
    token = stage.token()
    answers = [stage.post([{"word": "playing"}], token) for _ in range(25)]
    assert answers[0] == 204
    assert answers[-1] == 429
    stage.now_ms += 1000
    assert stage.post([{"word": "playing"}], token) == 204


def test_a_request_in_parts_is_waited_for() -> None:
    whole = request("POST", "/beacon", b'{"token":""}')
    assert [read_request(whole[:length]) for length in range(len(whole))] == [None] * len(whole)
    assert read_request(whole) is not None


# --- what is made of it ------------------------------------------------------------------------------------------------


def played(words: tuple[str, ...], more: dict[str, object]) -> list[tuple[str, str]]:
    """The events that a page's words come to, one each second; ``more`` is said with the last."""
    floor, playback = Floor(), Playback()
    events: list[tuple[str, str]] = []
    for at, word in enumerate(words):
        told = Event(word=word, **(more if at == len(words) - 1 else {}))  # type: ignore[arg-type]
        for sight in floor.hear("a", [told], 10_000 + at * 1000):
            playback, new = step(playback, sight)
            events += [(event.what.value, event.code) for event in new]
    return events


STALL = [("stalled", "")]
BEGUN = [("started", "")]


@pytest.mark.parametrize(
    ("words", "more", "events"),
    [
        (("loading", "playing", "waiting", "playing", "ended"), {}, [*BEGUN, *STALL, ("stopped", "finished")]),
        (("loading", "playing", "error"), {"code": 3}, [*BEGUN, ("failed", "decode_error")]),
        (("loading", "playing", "error"), {"code": 1}, [*BEGUN, ("stopped", "stopped")]),
        (("loading", "error"), {"code": 4}, [*BEGUN, ("failed", "unsupported")]),
        (("error",), {"code": 4}, [("failed", "unsupported")]),
        (("error",), {}, [("failed", "start_error")]),
        (("loading", "waiting", "playing"), {}, BEGUN),
        (("loading", "playing", "seeking", "playing"), {}, BEGUN),
        (("loading", "paused"), {}, [*BEGUN, ("stopped", "before_start")]),
        (("loading", "playing", "stopped", "loading", "playing"), {}, [*BEGUN, ("stopped", "stopped"), *BEGUN]),
        (("loading", "playing", "closed"), {}, [*BEGUN, ("stopped", "gone")]),
        (("loading", "playing", "waiting", "closed"), {}, [*BEGUN, *STALL, ("failed", "ended_in_stall")]),
        (("loading", "playing", "ended"), {"position_s": 10.0, "length_s": 60.0}, [*BEGUN, ("failed", "ended_early")]),
        (("loading", "playing", "loading", "playing"), {}, [*BEGUN, ("stopped", "stopped"), *BEGUN]),
    ],
)
def test_the_words_of_a_page_in_the_terms_of_the_model(
    words: tuple[str, ...], more: dict[str, object], events: list[tuple[str, str]]
) -> None:
    assert played(words, more) == events


def test_while_one_page_plays_another_is_not_heard_until_it_falls_silent() -> None:
    floor = Floor()
    assert floor.hear("a", [Event(word="playing")], 0)
    assert not floor.hear("b", [Event(word="error", code=4)], 1000)
    assert floor.silence(15_000) == ()
    assert [sight.state for sight in floor.silence(15_001)] == [PlayerState.UNKNOWN]
    assert floor.hear("b", [Event(word="playing")], 15_002)
    assert not floor.hear("a", [Event(word="playing")], 15_003)


# --- the port ----------------------------------------------------------------------------------------------------------


@contextmanager
def listening() -> Iterator[tuple[int, Callable[[bytes], bytes], Watched]]:
    port = free_port()

    def ask(data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", port), 20) as visitor:
            visitor.sendall(data)
            return b"".join(iter(lambda: visitor.recv(65536), b""))

    with watched(Page(port, (ORIGIN,))) as tv:
        wait_until(lambda: _listens(port), "the source listens")
        yield port, ask, tv


def test_those_who_hold_connections_open_and_say_nothing_do_not_keep_others_out() -> None:
    with listening() as (port, ask, _):
        silent = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(2 * AT_ONCE)]
        try:
            host = f"127.0.0.1:{port}"
            assert ask(request("GET", "/beacon/token", Host=host)).startswith(b"HTTP/1.1 200 ")
            assert all(visitor.recv(1) == b"" for visitor in silent), "each is sent away in time"
        finally:
            for visitor in silent:
                visitor.close()


def test_a_body_that_is_refused_unread_does_not_cost_the_answer() -> None:
    with listening() as (port, ask, _):
        data = request("POST", "/beacon", b"x" * 40_000, Host=f"127.0.0.1:{port}")
        assert ask(data).startswith(b"HTTP/1.1 413 ")


def test_the_port_is_free_again_when_the_source_is_closed() -> None:
    with listening() as (port, _, _tv):
        pass
    wait_until(lambda: not _listens(port), "it is free")


def test_a_port_that_is_taken_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with watched(Page(port, (ORIGIN,))) as tv:
            tv.until(PlayerState.UNKNOWN)
            other.close()
            wait_until(lambda: _listens(port), "it is had in the end")


def test_what_reads_requests_is_loaded_with_the_first_of_them() -> None:
    script = (
        "import sys\nfrom sitekeeper_agent.probes.players.page import Page\n"
        f"page = Page({free_port()}, ('{ORIGIN}',))\npage.look()\npage.close()\n"
        "assert 'sitekeeper_agent.probes.players.beacon' not in sys.modules\nassert 'http' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
