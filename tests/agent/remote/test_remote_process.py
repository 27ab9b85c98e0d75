"""A real agent on a real broker: settings are used without a restart, commands are judged by server time."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sitekeeper_protocol.codec import encode
from sitekeeper_protocol.messages import Command, CommandName, RemoteConfig, ResultState, Scalar
from sitekeeper_protocol.topics import Leaf
from support.brokers import Broker, mosquitto
from support.county import County, county_at
from support.ports import free_port
from support.rig import Agent, Rig, rig

SITE = "0417"
pytestmark = [pytest.mark.broker, pytest.mark.processes]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def county(broker: Broker) -> Iterator[County]:
    with county_at(broker.port) as connected:
        yield connected


@pytest.fixture
def lab(broker: Broker, tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path, broker.port) as made:
        yield made


def living(lab: Rig, county: County, **settings: Any) -> Agent:
    """An agent that reports and knows server time."""
    agent = lab.agent(SITE, **settings)
    agent.start()
    county.wait_for(lambda c: any(report.clock for report in c.reports), "it has learned server time")
    return agent


def ask(county: County, id_: str, name: CommandName, *, issued_s: float = 0, life_s: float = 60, **arguments: Scalar) -> None:
    issued_ms = county.server_ms() + round(issued_s * 1000)
    county.send(SITE, Leaf.COMMAND, encode(Command(1, id_, name, issued_ms, issued_ms + round(life_s * 1000), arguments)))


def told(county: County, id_: str) -> list[tuple[ResultState, str]]:
    return [(result.state, result.text) for result in list(county.results) if result.id == id_]


def test_intervals_and_language_change_without_a_restart(lab: Rig, county: County) -> None:
    port = free_port()
    agent = living(lab, county, site_page={"enabled": True, "port": port})

    def page() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            return str(answer.read().decode())

    assert '<html lang="zh' in page()
    run, promised = county.reports[-1].header.run, county.reports[-1].next_within_s
    changes: dict[str, object] = {"report_interval_s": 3, "sample_interval_s": 1, "language": "en"}
    county.send(SITE, Leaf.CONFIG, encode(RemoteConfig(1, 5, county.server_ms(), changes)))  # type: ignore[arg-type]
    county.wait_for(lambda c: len(told(c, "config-5")) == 2, "it is used, then confirmed")
    assert [state for state, _ in told(county, "config-5")] == [ResultState.ACCEPTED, ResultState.DONE]
    last = county.reports[-1]
    assert (last.header.config_revision, last.header.run, last.header.connection) == (5, run, 1)
    assert last.next_within_s == promised + 3, "two seconds more between reports, nearly one between samples"
    assert '<html lang="en' in page()
    county.send(SITE, Leaf.CONFIG, encode(RemoteConfig(1, 0, county.server_ms())))
    county.wait_for(lambda c: c.reports[-1].header.config_revision == 0, "the file alone counts again")
    assert agent.running and "Traceback" not in agent.log()


def test_an_expired_command_is_refused_by_server_time_whatever_the_sites_clock_says(lab: Rig, county: County) -> None:
    county.server_ms = lambda: time.time_ns() // 1_000_000 - 3_600_000
    living(lab, county)
    ask(county, "late", CommandName.PROBE_NOW, issued_s=-120, life_s=60)
    ask(county, "good", CommandName.PROBE_NOW)
    county.wait_for(lambda c: len(told(c, "good")) == 2 and told(c, "late"), "both are answered")
    ((state, text),) = told(county, "late")
    assert state is ResultState.EXPIRED and text.startswith("it was void ")
    assert [state for state, _ in told(county, "good")] == [ResultState.ACCEPTED, ResultState.DONE]


def test_a_command_sent_again_after_the_broker_died_is_answered(lab: Rig, county: County, broker: Broker) -> None:
    agent = living(lab, county)
    ask(county, "logs", CommandName.COLLECT_LOGS)
    county.wait_for(lambda c: len(told(c, "logs")) == 2, "it is told")
    ask(county, "way", CommandName.TRACE, to="portal")
    broker.kill()
    broker.start()
    county.client.reconnect()
    reports = len(county.reports)
    county.wait_for(lambda c: len(c.reports) > reports, "it is back")
    ask(county, "way", CommandName.TRACE, to="portal")
    county.wait_for(lambda c: any(state is ResultState.DONE for state, _ in told(c, "way")), f"the way is told\n{agent.log()}")
    assert {state for state, _ in told(county, "way")} <= {ResultState.ACCEPTED, ResultState.DONE}


def test_check_measures_by_the_settings_in_use(lab: Rig, county: County) -> None:
    agent = living(lab, county)
    county.send(
        SITE, Leaf.CONFIG, encode(RemoteConfig(1, 5, county.server_ms(), {"portal": "http://127.0.0.1:9/", "language": "en"}))
    )
    county.wait_for(lambda c: len(told(c, "config-5")) == 2, "it is confirmed: a portal that is wrong cuts nobody off")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("sitekeeper-agent")), "check", "--config", str(agent.config)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "connection refused" in done.stdout, done
