"""mpv itself, playing a film that is then broken, and what its socket may do to the agent."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from sitekeeper_agent.probes.players.mpv import MAX_BYTES, Mpv
from sitekeeper_agent.probes.players.source import HUNG_MS, monotonic_ms
from sitekeeper_protocol.messages import PlaybackEvent
from sitekeeper_protocol.vocabulary import Metric, PlayerState
from support.mpv_process import mpv
from support.stages import Stage, stage
from support.wait import wait_until
from support.watched import watched


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mpv.sock"


@pytest.fixture
def film() -> Iterator[Stage]:
    with stage() as on:
        yield on


@pytest.mark.slow
@pytest.mark.processes
def test_a_play_to_its_end_without_fault(path: Path, film: Stage) -> None:
    with mpv(path) as player, watched(Mpv(str(path))) as tv:
        tv.until(PlayerState.IDLE)
        player.order("loadfile", film.film)
        tv.until_told(PlaybackEvent.STOPPED, "finished")
    assert tv.told() == [("started", ""), ("stopped", "finished")]
    assert tv.noticed == []
    assert 0 < tv.sums[Metric.PLAYER_STARTUP_MS] < 60_000
    assert 80 <= tv.sums[Metric.PLAYER_PLAY_S] <= 130, "tenths of a second of a film of twelve seconds"
    assert (tv.sums[Metric.PLAYER_STALLS], tv.sums[Metric.PLAYER_FAILURES]) == (0, 0)
    assert film.port and all(str(film.port) not in event.text and "film" not in event.text for event in tv.events)


@pytest.mark.slow
@pytest.mark.processes
def test_a_film_that_is_not_there_fails_at_once(path: Path, film: Stage) -> None:
    film.missing.add("/film.mp4")
    with mpv(path) as player, watched(Mpv(str(path))) as tv:
        tv.until(PlayerState.IDLE)
        player.order("loadfile", film.film)
        event = tv.until_told(PlaybackEvent.FAILED)
    assert (event.code, event.text, event.duration_ms) == ("start_error", "loading failed", 0)
    assert len(tv.noticed) == 1


@pytest.mark.slow
@pytest.mark.processes
def test_a_film_that_stops_coming_stalls_and_goes_on(path: Path, film: Stage) -> None:
    film.share = 0.4
    with mpv(path) as player, watched(Mpv(str(path))) as tv:
        tv.until(PlayerState.IDLE)
        player.order("loadfile", film.film)
        tv.until(PlayerState.STALLED)
        assert tv.account.playing(monotonic_ms()), "it would play if it could"
        film.goes_on.set()
        stall = tv.until_told(PlaybackEvent.STALLED)
        tv.until_told(PlaybackEvent.STOPPED, "finished")
    assert stall.duration_ms > 0
    assert tv.sums[Metric.PLAYER_STALLS] == 1
    assert abs(tv.sums[Metric.PLAYER_STALL_S] * 100 - stall.duration_ms) <= 100
    assert tv.sums[Metric.PLAYER_FAILURES] == 0


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("what", ["truncated film", "missing segments"])
def test_a_recording_that_breaks_off_has_ended_early(path: Path, film: Stage, what: str) -> None:
    film.share, film.hangs_up = 0.4, True
    film.missing |= {"/s2.ts", "/s3.ts", "/s4.ts"}
    with mpv(path) as player, watched(Mpv(str(path))) as tv:
        tv.until(PlayerState.IDLE)
        player.order("loadfile", film.film if what == "truncated film" else film.stream)
        event = tv.until_told(PlaybackEvent.FAILED)
    assert event.code == "ended_early"
    assert event.duration_ms > 1_000


@pytest.mark.slow
@pytest.mark.processes
def test_a_pause_is_no_stall_and_a_stop_by_hand_no_failure(path: Path, film: Stage) -> None:
    with mpv(path) as player, watched(Mpv(str(path))) as tv:
        tv.until(PlayerState.IDLE)
        player.order("loadfile", film.film)
        tv.until(PlayerState.PLAYING)
        player.order("cycle", "pause")
        tv.until(PlayerState.PAUSED)
        assert not tv.account.playing(monotonic_ms())
        player.order("cycle", "pause")
        tv.until(PlayerState.PLAYING)
        player.order("stop")
        tv.until(PlayerState.IDLE)
    assert tv.told() == [("started", ""), ("stopped", "stopped")]
    assert tv.sums[Metric.PLAYER_STALLS] == 0


@pytest.mark.slow
@pytest.mark.processes
def test_killed_in_the_middle_of_a_play_it_has_crashed_and_quitting_it_has_not(path: Path, film: Stage) -> None:
    with watched(Mpv(str(path))) as tv:
        with mpv(path) as player:
            tv.until(PlayerState.IDLE)
            player.order("loadfile", film.film)
            tv.until(PlayerState.PLAYING)
        tv.until_told(PlaybackEvent.FAILED, "crashed")
        tv.until(PlayerState.ABSENT)
        with mpv(path) as player:
            tv.until(PlayerState.IDLE)
            player.order("loadfile", film.film)
            tv.until(PlayerState.PLAYING)
            player.process.terminate()
            tv.until(PlayerState.ABSENT)
        assert tv.told()[-1] == ("stopped", "stopped")
        with mpv(path):
            tv.until(PlayerState.RESTARTING)
    assert tv.sums[Metric.PLAYER_FAILURES] == 1
    assert tv.sums[Metric.PLAYER_STARTS] >= 3


@pytest.mark.slow
@pytest.mark.processes
def test_one_that_no_longer_answers_hangs_until_it_does(path: Path, film: Stage) -> None:
    with mpv(path) as player, watched(Mpv(str(path))) as tv:
        tv.until(PlayerState.IDLE)
        player.order("loadfile", film.film)
        tv.until(PlayerState.PLAYING)
        os.kill(player.process.pid, signal.SIGSTOP)
        event = tv.until_told(PlaybackEvent.FAILED, "hung")
        assert tv.state == PlayerState.HUNG
        os.kill(player.process.pid, signal.SIGCONT)
        wait_until(lambda: tv.state in (PlayerState.PLAYING, PlayerState.IDLE), "it answers again")
    assert event.duration_ms < HUNG_MS, "what was not seen is not counted as played"


@pytest.mark.slow
@pytest.mark.processes
def test_a_play_that_is_on_when_the_agent_starts_is_found(path: Path, film: Stage) -> None:
    film.share = 0.9
    with mpv(path) as player:
        player.order("loadfile", film.film)
        with watched(Mpv(str(path))) as tv:
            tv.until(PlayerState.PLAYING)
            # Before the player is killed below, which a watcher that is about to end may still see.
            assert tv.told() == [("started", "found")]
    assert Metric.PLAYER_STARTUP_MS not in tv.sums


@pytest.mark.slow
@pytest.mark.processes
def test_a_single_picture_does_not_stall(path: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    made = ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x64", "-frames:v", "1", str(picture))
    subprocess.run(made, check=True, timeout=60, stdin=subprocess.DEVNULL)
    with mpv(path) as player, watched(Mpv(str(path))) as tv:
        player.order("set", "image-display-duration", "inf")
        player.order("loadfile", str(picture))
        wait_until(lambda: (tv.look(), tv.sums.get(Metric.PLAYER_PLAY_S, 0))[1] >= 40, "four seconds of a picture")
    assert tv.sums[Metric.PLAYER_STALLS] == 0


# --- a socket that is not mpv's -----------------------------------------------------------------------------------------


@contextmanager
def impostor(path: Path, behave: Callable[[socket.socket], None]) -> Iterator[None]:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    taken: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                taken.append(listener.accept()[0])
                threading.Thread(target=one, args=(taken[-1],), daemon=True).start()

    def one(connection: socket.socket) -> None:
        with suppress(OSError):
            behave(connection)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in taken:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def endless(piece: bytes) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        while True:
            connection.sendall(piece)

    return behave


def drip(connection: socket.socket) -> None:
    pause = threading.Event()
    while not pause.wait(0.02):
        connection.sendall(b"{")


def silence(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def answers(data: str) -> Callable[[socket.socket], None]:
    """Answers every question with ``data``."""

    def behave(connection: socket.socket) -> None:
        held = b""
        while part := connection.recv(65536):
            *lines, held = (held + part).split(b"\n")
            for line in lines:
                number = json.loads(line)["request_id"]
                connection.sendall(f'{{"data":{data},"request_id":{number},"error":"success"}}\n'.encode())

    return behave


HOSTILE: dict[str, Callable[[socket.socket], None]] = {
    "an endless line": endless(b"x" * 65536),
    "endless lines": endless(b'{"event":"start-file"}\n{"event":"end-file","reason":"eof"}\n' * 500),
    "garbage": endless(bytes(range(256)) * 16),
    "a slow drip": drip,
    "silence": silence,
    "deep nesting": endless(b'{"event":' + b"[" * 20_000 + b"\n"),
    "not a number": answers("1e400"),
    "a huge number": answers("9" * 300),
    "negative time": answers("-1e308"),
    "text": answers('"' + "x" * 20_000 + '"'),
    "lists": answers("[[[[1]]]]"),
    "wrong answers": answers('true,"error":7'),
    "hang up": lambda connection: None,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_whatever_answers_costs_one_look_bounded_in_time_and_memory(path: Path, what: str) -> None:
    source = Mpv(str(path), answer_s=0.3)
    stop = threading.Event()
    with impostor(path, HOSTILE[what]):
        for _ in range(3):
            begun = time.monotonic()
            seen = [*source.look(), *source.rest(0.1, stop)]
            assert time.monotonic() - begun < 20
            assert len(seen) < 70_000
            assert len(source._held) <= MAX_BYTES
            for sight in seen:
                numbers = (sight.buffer_ms, sight.dropped, sight.received)
                assert all(number is None or 0 <= number <= 2**50 for number in numbers)
                assert len(sight.text) <= 200
        source.close()


def test_what_is_played_is_never_asked_for(path: Path) -> None:
    heard: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        while part := connection.recv(65536):
            heard.append(part)

    with impostor(path, listen):
        source = Mpv(str(path), answer_s=0.3)
        source.look()
        source.close()
    orders = [json.loads(line)["command"] for line in b"".join(heard).splitlines()]
    assert {order[0] for order in orders} == {"observe_property", "get_property"}
    asked = {order[-1] for order in orders}
    assert len(asked) == 10
    assert not [name for name in asked if any(word in name for word in ("path", "file", "title", "metadata", "list", "name"))]


def test_a_socket_that_is_not_there_or_not_allowed_or_no_socket_is_told_apart(path: Path, tmp_path: Path) -> None:
    assert [sight.state for sight in Mpv(str(path)).look()] == [PlayerState.ABSENT]
    with closing(socket.socket(socket.AF_UNIX)) as left_over:
        left_over.bind(str(path))
    assert [sight.state for sight in Mpv(str(path)).look()] == [PlayerState.ABSENT], "nobody listens there any more"
    with pytest.raises(OSError, match="too long"):
        Mpv(str(tmp_path / ("x" * 300))).look()
