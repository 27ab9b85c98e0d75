"""``make demo`` on this machine: real agent, collector and broker, a cut in the middle, and every sample stored once."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sitekeeper_collector.cli_text import width
from sitekeeper_collector.demo import view
from sitekeeper_collector.demo.snapshot import Snapshot
from sitekeeper_collector.demo.words import say
from sitekeeper_protocol.messages import Sample
from sitekeeper_protocol.texts import LANGUAGES, Lang
from sitekeeper_protocol.vocabulary import Metric, State
from support.pages import Visitor
from support.wait import wait_until


def _command(folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "sitekeeper_collector.demo", "--folder", str(folder), *more]


def _processes_of(folder: Path) -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def _end(demo: subprocess.Popen[bytes]) -> None:
    """Also after a failure: asked to end, it takes its processes with it."""
    if demo.poll() is None:
        demo.send_signal(signal.SIGINT)
        try:
            demo.wait(60)
        except subprocess.TimeoutExpired:
            demo.kill()
            demo.wait()


@pytest.mark.slow
@pytest.mark.processes
def test_the_demo_cuts_the_line_loses_nothing_and_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = subprocess.run(
        _command(folder, "--seconds", "40", "--lang", "en", "--sites", "0", "--cut"),
        capture_output=True,
        text=True,
        timeout=240,
    )
    logs = "\n".join(file.read_text() for file in folder.glob("*.log"))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
    assert done.stderr == ""
    order = [done.stdout.index(say(key, "en")) for key in ("live", "broker_down", "catching_up", "proven", "ending")]
    assert order == sorted(order) and "every one is stored, once" in done.stdout
    assert "portal ok" in done.stdout
    assert re.search(r"In a browser: http://127\.0\.0\.1:\d+/  user admin  password [a-z2-9-]{19}", done.stdout)
    with sqlite3.connect(folder / "collector.db") as database:
        stored, distinct = database.execute("SELECT count(*), count(DISTINCT run || '/' || sequence) FROM samples").fetchone()
    database.close()
    assert stored == distinct > 5
    assert _processes_of(folder) == []


@pytest.mark.slow
@pytest.mark.processes
def test_ctrl_c_ends_the_demo_in_order_with_its_result(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    output = tmp_path / "output"
    with output.open("wb") as out:
        demo = subprocess.Popen(_command(folder, "--lang", "en", "--sites", "0"), stdout=out, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: say("live", "en").encode() in output.read_bytes(), "samples are shown", 90)
            told = re.search(r":(\d+)/  user admin  password (\S+)", output.read_text())
            assert told is not None
            visitor = Visitor(int(told[1]), **{"accept-language": "en"})
            assert visitor.sign_in(told[2]).status == 303
            wait_until(lambda: 'badge up">Working' in visitor.get("/sites").text, "the console shows this machine working", 60)
            assert visitor.get("/sites/demo-site").text.count('class="mark"') >= 3
            os.kill(demo.pid, signal.SIGINT)
            code = demo.wait(120)
        finally:
            _end(demo)
    text = output.read_text()
    assert code == 0 and "every one is stored, once" in text and "Traceback" not in text, text
    assert _processes_of(folder) == []


def test_a_folder_that_is_not_the_demo_s_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = subprocess.run(_command(tmp_path, "--lang", "en"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "not empty" in done.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def _scene(sample: Sample | None) -> view.Scene:
    snapshot = Snapshot(sample, 1000, 3, 5, 2, {"exact": 3}, 4, 1)
    return view.Scene(snapshot, "live", {"report": 2, "receipt": 1}, 9.0, "/x", 3500)


SAMPLE = Sample(
    sequence=5,
    wall_ms=0,
    boottime_ms=0,
    values={
        (Metric.RUNG_STATE, "ipv4/portal"): State.OK,
        (Metric.RUNG_RTT_MS, "ipv4/portal"): 12,
        (Metric.RUNG_STATE, "ipv4/link"): State.FAIL,
        (Metric.RUNG_STATE, "\x1b[2Jip/dns"): State.OK,
        (Metric.RUNG_STATE, "ipv4/nonsense"): State.OK,
        (Metric.RUNG_STATE, "ipv4/isp"): 99,
        (Metric.CPU_RATIO, ""): 50,
    },
)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_screen_fits_the_terminal_and_shows_gaps_as_they_are(lang: Lang) -> None:
    lines = view.screen(_scene(SAMPLE), lang, columns=70, colour=False)
    text = "\n".join(lines)
    assert say("missing", lang, last=5, missing=2) in text
    assert all(width(line) < 70 for line in lines)
    assert "\x1b" not in text
    assert view.screen(_scene(None), lang, columns=70, colour=False)


def test_no_name_of_a_path_steers_the_terminal() -> None:
    assert "\x1b[2J" not in view.progress(_scene(SAMPLE), "en") + "\n".join(
        view.screen(_scene(SAMPLE), "en", columns=100, colour=True)
    )
