"""Any player by its process: real processes that run, work, stop, hang and come back."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from sitekeeper_agent.probes.players.log import Log, Reader
from sitekeeper_agent.probes.players.process import Process, Standstill, Work
from sitekeeper_agent.probes.players.programs import Programs, plain
from sitekeeper_agent.probes.players.source import monotonic_ms
from sitekeeper_protocol.messages import PlaybackEvent
from sitekeeper_protocol.vocabulary import Metric, PlayerState
from support.wait import wait_until
from support.watched import watched

NAME = f"player{os.getpid()}"
"""Of this run alone: others may be testing on the same machine."""
BUSY = "while True: pass"
IDLE = "import time; time.sleep(600)"


@contextmanager
def running(folder: Path, code: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of that name that does nothing but ``code``."""
    program = folder / NAME
    if not program.exists():
        shutil.copy(Path(sys.executable).resolve(), program)
    process = subprocess.Popen([program, "-S", "-c", code], env={**os.environ, "PYTHONHOME": sys.base_prefix})
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def quick(**options: object) -> Process:
    made = Process((f"{NAME}.EXE",), Programs(), **options)  # type: ignore[arg-type]
    made.busy_s = 0.5
    return made


def test_names_are_compared_without_case_and_ending() -> None:
    assert plain("VLC.EXE") == plain("vlc") == "vlc"


def test_a_program_is_found_when_it_comes_and_missed_when_it_goes(tmp_path: Path) -> None:
    programs = Programs()
    assert programs.of((NAME,)) == ()
    with running(tmp_path, IDLE) as process:
        found = wait_until(lambda: programs.of((NAME,)), "it is found")
        assert [one.pid for one in found] == [process.pid]
        for _ in range(5):
            assert programs.of((NAME,)) == found
    assert programs.of((NAME,)) == ()


@pytest.mark.processes
def test_running_absent_and_restarting_are_told_apart(tmp_path: Path) -> None:
    with watched(quick()) as tv:
        tv.until(PlayerState.ABSENT)
        for _ in range(2):
            with running(tmp_path, IDLE):
                tv.until(PlayerState.RUNNING)
            tv.until(PlayerState.ABSENT)
        with running(tmp_path, IDLE):
            tv.until(PlayerState.RESTARTING)
            assert tv.account.playing(monotonic_ms()) is None, "what it plays can't be told"
    assert tv.told() == []
    assert tv.sums[Metric.PLAYER_STARTS] == 3


@pytest.mark.processes
def test_work_is_playing_where_a_site_says_so(tmp_path: Path) -> None:
    with watched(quick(playing_percent=5)) as tv:
        with running(tmp_path, BUSY) as process:
            tv.until(PlayerState.PLAYING)
            os.kill(process.pid, signal.SIGSTOP)
            tv.until(PlayerState.IDLE)
            os.kill(process.pid, signal.SIGCONT)
            tv.until(PlayerState.PLAYING)
        tv.until(PlayerState.ABSENT)
    assert [what for what, _ in tv.told()] == ["started", "stopped", "started", "stopped"]
    assert tv.told()[-1] == ("stopped", "gone")


@pytest.mark.processes
@pytest.mark.slow
def test_a_stopped_program_hangs_until_it_goes_on(tmp_path: Path) -> None:
    with running(tmp_path, IDLE) as process, watched(quick()) as tv:
        tv.until(PlayerState.RUNNING)
        os.kill(process.pid, signal.SIGSTOP)
        tv.until(PlayerState.HUNG)
        os.kill(process.pid, signal.SIGCONT)
        tv.until(PlayerState.RUNNING)
        assert PlaybackEvent.FAILED not in [event.what for event in tv.events]


def test_a_standstill_lasts_as_long_as_nothing_at_all_changes() -> None:
    still, work = Standstill(), Work(0, frozenset({1}), 5, 7, stuck=True)
    changes = [
        work,
        work._replace(at_ms=9_000),
        work._replace(at_ms=20_000),
        work._replace(at_ms=30_000, cpu_ms=6),
        work._replace(at_ms=40_000, cpu_ms=6),
        work._replace(at_ms=50_000, cpu_ms=6, read_bytes=8),
        work._replace(at_ms=60_000, cpu_ms=6, read_bytes=8, stuck=False),
        work._replace(at_ms=70_000, cpu_ms=6, read_bytes=8, stuck=False, pids=frozenset({2})),
    ]
    assert [still.judge(one) for one in changes] == [0, 9_000, 20_000, 0, 10_000, 0, 0, 0]


def test_a_process_that_may_not_be_looked_into_costs_its_own_values() -> None:
    made = Process(("no-such-player",), Programs())
    assert [sight.state for sight in made.look()] == [PlayerState.ABSENT]
    assert Programs().of([plain(psutil.Process().name())]), "this very process is found"


@pytest.mark.processes
@pytest.mark.slow
def test_a_program_that_does_nothing_while_its_log_says_it_plays_hangs(tmp_path: Path) -> None:
    log = tmp_path / "player.log"
    log.write_text("play ok\n")
    reader = Reader({"started": "play ok", "stopped": "play end"})
    with running(tmp_path, BUSY) as process, watched(Log(log, reader, names=(NAME,), programs=Programs())) as tv:
        tv.until(PlayerState.PLAYING)
        os.kill(process.pid, signal.SIGSTOP)
        tv.until_told(PlaybackEvent.FAILED, "hung", timeout_s=120)
        os.kill(process.pid, signal.SIGCONT)
        tv.until(PlayerState.PLAYING)
