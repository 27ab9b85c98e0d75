"""VLC itself, playing a film that is then broken, and what its web interface may do to the agent."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

import msgspec
import pytest

from sitekeeper_agent.probes.players.playback import End, Seen
from sitekeeper_agent.probes.players.vlc import CannotAsk, Vlc
from sitekeeper_protocol.messages import PlaybackEvent
from sitekeeper_protocol.vocabulary import Metric, PlayerState
from support.ports import free_port
from support.stages import Stage, stage
from support.wait import wait_until
from support.watched import watched
from support.web_servers import Behaviour, answering, dripping, raw, serve

PASSWORD = "open sesame"
_NOBODY = 65534


class Player:
    """A running VLC with its web interface. It refuses to run as root, so there it runs as nobody."""

    def __init__(self, home: Path, port: int) -> None:
        self.port = port
        options = ("-I", "http", "--http-host", "127.0.0.1", "--http-port", str(port), "--http-password", PASSWORD)
        quiet = ("--vout", "dummy", "--aout", "dummy", "--no-interact", "-q")
        self.process = subprocess.Popen(
            ["vlc", *options, *quiet],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(home)},
            user=_NOBODY if os.geteuid() == 0 else None,
            group=_NOBODY if os.geteuid() == 0 else None,
            extra_groups=() if os.geteuid() == 0 else None,
        )
        wait_until(self._answers, "VLC answers", 60)

    def _answers(self) -> bool:
        with suppress(OSError):
            self.order("")
            return True
        return False

    def order(self, query: str) -> None:
        """What somebody at the player would do."""
        token = b64encode(f":{PASSWORD}".encode()).decode()
        address = f"http://127.0.0.1:{self.port}/requests/status.json{query}"
        with urlopen(Request(address, headers={"Authorization": f"Basic {token}"}), timeout=30) as answer:
            answer.read()

    def play(self, address: str) -> None:
        """Play what is at an address."""
        self.order(f"?command=in_play&input={quote(address, safe='')}")


@contextmanager
def vlc(port: int) -> Iterator[Player]:
    # Not pytest's folder: nobody can't get into it.
    home = Path(tempfile.mkdtemp())
    home.chmod(0o777)
    player = Player(home, port)
    try:
        yield player
    finally:
        player.process.kill()
        player.process.wait(30)
        shutil.rmtree(home)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def film() -> Iterator[Stage]:
    with stage() as on:
        yield on


def source(port: int, password: str = PASSWORD, *, unattended: bool = False) -> Vlc:
    return Vlc("127.0.0.1", port, lambda: password, unattended=unattended)


@pytest.mark.slow
@pytest.mark.processes
def test_a_play_to_its_end_without_fault(port: int, film: Stage) -> None:
    with vlc(port) as player, watched(source(port)) as tv:
        tv.until(PlayerState.IDLE)
        player.play(film.film)
        tv.until_told(PlaybackEvent.STOPPED)
    assert tv.told() == [("started", ""), ("stopped", "finished")]
    assert tv.noticed == []
    assert 70 <= tv.sums[Metric.PLAYER_PLAY_S] <= 140, "tenths of a second of a film of twelve seconds"
    assert (tv.sums[Metric.PLAYER_STALLS], tv.sums[Metric.PLAYER_FAILURES]) == (0, 0)


@pytest.mark.slow
@pytest.mark.processes
def test_a_film_that_stops_coming_stalls_and_goes_on(port: int, film: Stage) -> None:
    film.share = 0.4
    with vlc(port) as player, watched(source(port)) as tv:
        tv.until(PlayerState.IDLE)
        player.play(film.film)
        tv.until(PlayerState.STALLED)
        film.goes_on.set()
        stall = tv.until_told(PlaybackEvent.STALLED)
        tv.until_told(PlaybackEvent.STOPPED, "finished")
    assert stall.duration_ms > 0
    assert tv.sums[Metric.PLAYER_STALLS] == 1
    assert tv.sums[Metric.PLAYER_FAILURES] == 0


@pytest.mark.slow
@pytest.mark.processes
def test_a_stall_that_ends_with_the_player_has_failed(port: int, film: Stage) -> None:
    film.share = 0.4
    with watched(source(port)) as tv:
        with vlc(port) as player:
            tv.until(PlayerState.IDLE)
            player.play(film.film)
            tv.until(PlayerState.STALLED)
        tv.until_told(PlaybackEvent.FAILED, "ended_in_stall")
        tv.until(PlayerState.ABSENT)


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("unattended", [False, True])
@pytest.mark.parametrize("what", ["truncated film", "missing segments"])
def test_why_a_recording_broke_off_is_said_only_where_nobody_stops_it_by_hand(
    port: int, film: Stage, what: str, unattended: bool
) -> None:
    film.share, film.hangs_up = 0.4, True
    film.missing |= {"/s2.ts", "/s3.ts", "/s4.ts"}
    with vlc(port) as player, watched(source(port, unattended=unattended)) as tv:
        tv.until(PlayerState.IDLE)
        player.play(film.film if what == "truncated film" else film.stream)
        if unattended:
            tv.until_told(PlaybackEvent.FAILED, "ended_early")
        else:
            tv.until_told(PlaybackEvent.STOPPED, "unfinished")
            assert tv.sums[Metric.PLAYER_FAILURES] == 0


@pytest.mark.slow
@pytest.mark.processes
def test_paused_and_stopped_by_hand_it_neither_stalls_nor_fails(port: int, film: Stage) -> None:
    with vlc(port) as player, watched(source(port)) as tv:
        tv.until(PlayerState.IDLE)
        player.play(film.film)
        tv.until(PlayerState.PLAYING)
        player.order("?command=pl_pause")
        tv.until(PlayerState.PAUSED)
        player.order("?command=pl_pause")
        tv.until(PlayerState.PLAYING)
        player.order("?command=pl_stop")
        tv.until(PlayerState.IDLE)
    assert tv.told() == [("started", ""), ("stopped", "unfinished")]
    assert (tv.sums[Metric.PLAYER_STALLS], tv.sums[Metric.PLAYER_FAILURES]) == (0, 0)


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize(("unattended", "told"), [(False, ("stopped", "gone")), (True, ("failed", "crashed"))])
def test_gone_in_the_middle_of_a_play_it_may_have_been_closed(
    port: int, film: Stage, unattended: bool, told: tuple[str, str]
) -> None:
    with watched(source(port, unattended=unattended)) as tv:
        with vlc(port) as player:
            tv.until(PlayerState.IDLE)
            player.play(film.film)
            tv.until(PlayerState.PLAYING)
        tv.until(PlayerState.ABSENT)
    assert tv.told() == [("started", ""), told]


@pytest.mark.slow
@pytest.mark.processes
def test_one_that_no_longer_answers_hangs_until_it_does(port: int, film: Stage) -> None:
    with vlc(port) as player, watched(source(port)) as tv:
        tv.until(PlayerState.IDLE)
        player.play(film.film)
        tv.until(PlayerState.PLAYING)
        os.kill(player.process.pid, signal.SIGSTOP)
        tv.until_told(PlaybackEvent.FAILED, "hung")
        os.kill(player.process.pid, signal.SIGCONT)
        wait_until(lambda: tv.state in (PlayerState.PLAYING, PlayerState.IDLE), "it answers again")


@pytest.mark.slow
@pytest.mark.processes
def test_a_wrong_password_is_told_and_blames_nobody(port: int) -> None:
    with vlc(port), pytest.raises(CannotAsk, match="the password is wrong"):
        source(port, "guess").look()


# --- answers that VLC does not give -------------------------------------------------------------------------------------


def status(**fields: object) -> bytes:
    return msgspec.json.encode({"state": "playing", "currentplid": 1, **fields})


HOSTILE: dict[str, Behaviour] = {
    "garbage": raw(bytes(range(256)) * 100),
    "nothing": raw(b""),
    "an endless head": dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
    "an endless body": dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 10_000),
    "a slow drip": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b"{"),
    "an error": answering("500 Oops"),
    "a redirect": answering("302 Found", b"", "Location: http://10.0.0.1/"),
    "no JSON": answering("200 OK", b"<html>"),
    "other JSON": answering("200 OK", b"[1]"),
    "deep nesting": answering("200 OK", b'{"state":' + b"[" * 30_000),
    "a state that it does not have": answering("200 OK", status(state="dancing")),
    "wrong types": answering("200 OK", status(stats={"lostpictures": "many"})),
    "a huge page": answering("200 OK", b" " * 300_000),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_whatever_answers_costs_one_look_bounded_in_time(what: str) -> None:
    with serve(HOSTILE[what]) as port:
        asked = Vlc("127.0.0.1", port, lambda: PASSWORD, answer_s=0.5)
        begun = time.monotonic()
        try:
            seen = asked.look()
        except CannotAsk as err:
            assert len(str(err)) < 100
        else:
            assert [sight.state for sight in seen] == [PlayerState.UNKNOWN]
        assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    "stats",
    [{"lostpictures": -5, "readbytes": 1e300}, {"displayedpictures": -1e308}, {"readbytes": 2**70, "playedabuffers": 0.5}],
)
def test_numbers_out_of_all_bounds_are_left_out(stats: dict[str, float]) -> None:
    with serve(answering("200 OK", status(length=-1e300, position=1e300, stats=stats))) as port:
        for sight in source(port).look():
            assert all(number is None or 0 <= number <= 2**50 for number in (sight.dropped, sight.received))


class Answers:
    """A web server that plays through a list of statuses."""

    def __init__(self, *statuses: bytes) -> None:
        self.left = list(statuses)

    def behave(self, connection: object) -> None:
        answering("200 OK", self.left.pop(0))(connection)  # type: ignore[arg-type]


def look_through(*statuses: bytes) -> list[Seen]:
    with serve(Answers(*statuses).behave) as port:
        asked = source(port)
        return [sight for _ in statuses for sight in asked.look()]


def test_a_list_that_makes_place_for_its_entries_is_no_failed_title() -> None:
    shown = {"displayedpictures": 5}
    seen = look_through(status(stats={}), status(currentplid=2, stats={}), status(currentplid=2, stats=shown))
    assert [(sight.state, sight.end) for sight in seen] == [
        (PlayerState.STARTING, None),
        (PlayerState.STARTING, None),
        (PlayerState.PLAYING, None),
    ]


def test_the_next_entry_ends_the_one_before() -> None:
    first = status(length=100, position=0.99, stats={"displayedpictures": 900})
    seen = look_through(first, status(currentplid=2, length=50, stats={"displayedpictures": 3}))
    assert [(sight.state, sight.end) for sight in seen] == [(PlayerState.PLAYING, None), (PlayerState.PLAYING, End.FINISHED)]
