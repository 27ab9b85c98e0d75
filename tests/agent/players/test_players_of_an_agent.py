"""The agent as a process with a player: what it plays rides on samples, and a failure is told at once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from sitekeeper_protocol.messages import PlaybackEvent, PlaybackEventRecord, Report
from sitekeeper_protocol.vocabulary import Metric, PlayerState
from support.brokers import mosquitto
from support.county import County, county_at
from support.mpv_process import mpv
from support.ports import free_port
from support.rig import Rig, rig
from support.stages import stage

SITE = "0417"
PATTERNS = {"started": "play ok", "stopped": "play end", "failed": r"ERROR (?P<code>\w+): (?P<text>.*)"}
pytestmark = [pytest.mark.broker, pytest.mark.processes]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[Rig, County]]:
    with mosquitto(tmp_path / "broker") as broker, county_at(broker.port) as county, rig(tmp_path, broker.port) as made:
        yield made, county


def write(log: Path, *lines: str) -> None:
    with log.open("a", encoding="gbk") as file:
        file.writelines(f"{line}\n" for line in lines)


def last_value(reports: list[Report], metric: Metric, instance: str = "") -> int | None:
    for report in reversed(reports):
        for sample in reversed(report.samples):
            if (metric.value, instance) in sample.values:
                return sample.values[metric.value, instance]
    return None


def playback(reports: list[Report]) -> list[PlaybackEventRecord]:
    return [
        event
        for report in reports
        for sample in report.samples
        for event in sample.events
        if isinstance(event, PlaybackEventRecord)
    ]


def settings(log: Path, **more: object) -> dict[str, Any]:
    player = {"name": "course", "kind": "log", "file": str(log), "patterns": PATTERNS}
    return {"players": [player], **more}


def test_what_a_player_does_reaches_the_county(lab: tuple[Rig, County], tmp_path: Path) -> None:
    made, county = lab
    log = tmp_path / "player.log"
    write(log, "hello")
    agent = made.agent(SITE, **settings(log))
    agent.start()
    county.wait_for(lambda c: last_value(c.reports, Metric.PLAYING) == 0, "nothing plays")
    write(log, "play ok")
    county.wait_for(lambda c: last_value(c.reports, Metric.PLAYING) == 1, "it plays")
    assert last_value(county.reports, Metric.PLAYER_STATE, "course") == PlayerState.PLAYING
    county.wait_for(lambda c: (last_value(c.reports, Metric.PLAYER_PLAY_S, "course") or 0) > 0, "it has played")
    write(log, "ERROR E7: 连接超时 http://10.9.8.7/课.m3u8")
    county.wait_for(lambda c: len(playback(c.reports)) == 2, "it has failed")
    started, failed = playback(county.reports)
    assert (started.what, started.player) == (PlaybackEvent.STARTED, "course")
    assert (failed.what, failed.code, failed.text) == (PlaybackEvent.FAILED, "E7", "连接超时 …")
    assert failed.duration_ms > 0
    assert agent.stop() == 0, agent.log()


def test_a_failure_does_not_wait_for_the_next_sample(lab: tuple[Rig, County], tmp_path: Path) -> None:
    made, county = lab
    log = tmp_path / "player.log"
    write(log, "hello")
    agent = made.agent(SITE, **settings(log, sample_interval_s=3600, report_interval_s=3600))
    agent.start()
    county.wait_for(lambda c: c.reports, "the first sample")
    write(log, "play ok", "ERROR E8: gone")
    county.wait_for(lambda c: len(playback(c.reports)) == 2, "the failure, an hour before the next sample")
    assert last_value(county.reports, Metric.PLAYER_FAILURES, "course") == 1
    assert len(county.reports[0].samples) == 1, "the first report did not wait either"


def test_a_play_goes_on_over_a_restart_of_the_agent(lab: tuple[Rig, County], tmp_path: Path) -> None:
    made, county = lab
    log = tmp_path / "player.log"
    write(log, "play ok")
    agent = made.agent(SITE, **settings(log))
    agent.start()
    county.wait_for(lambda c: last_value(c.reports, Metric.PLAYING) == 1, "it is found playing")
    agent.kill()
    agent.start()
    county.wait_for(lambda c: len({report.header.run for report in c.reports}) == 2, "another run")
    county.wait_for(lambda c: [event.code for event in playback(c.reports)] == ["found", "found"], "found by both runs")
    assert last_value(county.reports, Metric.PLAYER_FAILURES, "course") == 0


def test_what_a_page_of_the_portal_tells_reaches_the_county(lab: tuple[Rig, County]) -> None:
    made, county = lab
    port = free_port()
    origin = "https://portal.example.org"
    agent = made.agent(SITE, players=[{"name": "web", "kind": "page", "origins": [origin], "port": port}])
    agent.start()
    county.wait_for(lambda c: c.reports, "the first sample, by which it listens")
    address = f"http://127.0.0.1:{port}/beacon"
    headers = {"Origin": origin, "Content-Type": "application/json"}
    with urlopen(Request(f"{address}/token", headers=headers), timeout=20) as answer:
        token = json.load(answer)["token"]
    words = [{"word": "loading", "age_ms": 2000}, {"word": "playing", "age_ms": 1000}, {"word": "error", "code": 2}]
    body = json.dumps({"token": token, "events": words}).encode()
    with urlopen(Request(address, body, headers), timeout=20) as answer:
        assert answer.status == 204
    county.wait_for(lambda c: len(playback(c.reports)) == 2, "it has failed")
    started, failed = playback(county.reports)
    assert (started.what, started.player) == (PlaybackEvent.STARTED, "web")
    assert (failed.what, failed.code, failed.text, failed.duration_ms) == (PlaybackEvent.FAILED, "network_error", "", 1000)
    assert last_value(county.reports, Metric.PLAYER_STARTUP_MS, "web") == 1000
    assert agent.stop() == 0, agent.log()
    assert token not in agent.log()


@pytest.mark.slow
def test_an_mpv_that_is_killed_in_the_middle_of_a_play_is_a_failure_at_the_county(
    lab: tuple[Rig, County], tmp_path: Path
) -> None:
    made, county = lab
    path = tmp_path / "mpv.sock"
    agent = made.agent(SITE, players=[{"name": "tv", "kind": "mpv", "socket": str(path)}])
    with stage() as film:
        with mpv(path) as player:
            agent.start()
            county.wait_for(lambda c: last_value(c.reports, Metric.PLAYER_STATE, "tv") == PlayerState.IDLE, "mpv waits")
            player.order("loadfile", film.film)
            county.wait_for(lambda c: last_value(c.reports, Metric.PLAYING) == 1, "it plays")
        county.wait_for(lambda c: len(playback(c.reports)) == 2, "it has crashed")
    assert [(event.what.value, event.code) for event in playback(county.reports)] == [("started", ""), ("failed", "crashed")]
    county.wait_for(lambda c: last_value(c.reports, Metric.PLAYER_STATE, "tv") == PlayerState.ABSENT, "it is gone")
    assert 0 < (last_value(county.reports, Metric.PLAYER_STARTUP_MS, "tv") or 0) < 60_000
