"""Commissioning as a command: what it stores, when it refuses, what is said until it was done; the record of a dark broker."""

import pwd
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sitekeeper_agent.commissioning import WORDS, advice, sum_up
from sitekeeper_agent.learned import Learned
from sitekeeper_agent.sampler import Look
from sitekeeper_protocol.ladder import Baseline, Reading, Verdict
from sitekeeper_protocol.vocabulary import Metric, Reason, Rung, State
from support.brokers import mosquitto
from support.ports import free_port
from support.rig import Agent, Key, Rig, Taken, rig
from support.wait import wait_until
from support.web_servers import answering, serve

SITE = "0417"
CLI = str(Path(sys.executable).parent / "sitekeeper-agent")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Rig]:
    """Without a broker: nobody listens on its port."""
    with rig(tmp_path, free_port()) as made:
        yield made


def cli(agent: Agent, command: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [CLI, command, "--config", str(agent.config), *options],
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def held(agent: Agent) -> dict[Key, Taken]:
    """What is on its disk; nothing yet while the file is being made."""
    try:
        return agent.held()
    except sqlite3.OperationalError:
        return {}


@pytest.mark.processes
@pytest.mark.slow
def test_a_site_that_works_is_commissioned_and_the_agent_goes_on_from_there(lab: Rig) -> None:
    agent = lab.agent(SITE, language="en")
    assert "never commissioned" in cli(agent, "check").stdout
    done = cli(agent, "commission", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Stored." in done.stdout and "5/5" in done.stdout
    assert "commission" not in cli(agent, "check").stdout
    agent.start()
    wait_until(lambda: len(held(agent)) >= 2, f"it samples\n{agent.log()}")
    assert "commissioned  yes" in cli(agent, "status").stdout
    running = cli(agent, "commission", "--yes")
    assert (running.returncode, running.stdout) == (70, "") and "stop it first" in running.stderr
    samples = agent.held()
    assert all(taken.values[Metric.COMMISSIONED, ""] == 1 for taken in samples.values())


@pytest.mark.processes
@pytest.mark.slow
def test_a_portal_that_does_not_answer_is_not_commissioned(lab: Rig) -> None:
    with serve(answering("503 Service Unavailable")) as port:
        agent = lab.agent(SITE, portal=f"http://127.0.0.1:{port}/")
        done = cli(agent, "commission", "--yes", "--lang", "zh")
    assert (done.returncode, WORDS["zh"]["broken"] in done.stdout) == (1, True)
    assert WORDS["zh"]["never"].partition("{")[0] in cli(agent, "check").stdout


@pytest.mark.processes
def test_nothing_is_stored_unasked_when_nobody_is_there_to_answer(lab: Rig) -> None:
    agent = lab.agent(SITE)
    done = cli(agent, "commission")
    assert (done.returncode, done.stdout) == (64, "") and "--yes" in done.stderr
    assert not agent.state.exists()


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.root
def test_what_the_superuser_stores_belongs_to_the_agents_own_user(lab: Rig) -> None:
    agent = lab.agent(SITE)
    agent.state.mkdir()
    nobody = pwd.getpwnam("nobody")
    subprocess.run(["chown", "nobody", str(agent.state)], check=True, timeout=20)
    assert cli(agent, "commission", "--yes").returncode == 0
    assert {file.stat().st_uid for file in agent.state.iterdir()} == {nobody.pw_uid}


@pytest.mark.processes
def test_the_record_of_a_dark_time_shows_that_all_held_but_the_broker(lab: Rig) -> None:
    agent = lab.agent(SITE)
    agent.start()
    wait_until(
        lambda: any((Metric.BROKER_REASON, "") in taken.values for taken in held(agent).values()),
        f"an attempt has come to nothing\n{agent.log()}",
    )
    last = agent.held()[max(agent.held())].values
    assert (last[Metric.BROKER_CONNECTED, ""], last[Metric.BROKER_REASON, ""]) == (0, Reason.REFUSED)
    assert last[Metric.VERDICT_STATE, ""] == State.OK
    assert last[Metric.COMMISSIONED, ""] == 0


@pytest.mark.broker
@pytest.mark.processes
def test_a_login_that_the_broker_refuses_is_named_in_the_record(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker", users={"another": "secret"}) as broker, rig(tmp_path, broker.port) as lab:
        agent = lab.agent(SITE)
        agent.start()
        wait_until(
            lambda: any(t.values.get((Metric.BROKER_REASON, "")) == Reason.LOGIN_REFUSED for t in held(agent).values()),
            f"it is told\n{agent.log()}",
        )


@pytest.mark.parametrize(
    ("network", "commissioned", "said"),
    [
        (b"eth0>192.168.1.1", None, "never commissioned"),
        (b"eth0>192.168.1.1", b"eth0>192.168.1.1", ""),
        (b"eth0>192.168.0.1", b"eth0>192.168.1.1", "commission again"),
        (b"", b"eth0>192.168.1.1", ""),
        (None, b"eth0>192.168.1.1", ""),
    ],
)
def test_commissioning_is_asked_for_again_in_another_network(
    network: bytes | None, commissioned: bytes | None, said: str
) -> None:
    told = advice(network, commissioned, "en", "/etc/agent.yaml")
    assert (said in told and "/etc/agent.yaml" in told) if said else told == ""
    assert bool(advice(network, commissioned, "zh", "/etc/agent.yaml")) == bool(said)


def looked(*readings: Reading) -> Look:
    return Look(readings, Verdict(state=State.OK), {}, {}, Baseline().after(readings), {}, readings)


def test_what_several_looks_saw_is_counted_and_public_addresses_are_kept() -> None:
    portal = Reading(rung=Rung.PORTAL, path="ipv4", state=State.OK, rtt_ms=10.0)
    anchor = Reading(rung=Rung.ISP, path="ipv4", state=State.FAIL, reason=Reason.TIMEOUT)
    absent = Reading(rung=Rung.MODEM, path="ipv4", state=State.NOT_APPLICABLE)
    found = sum_up(
        [looked(portal, anchor, absent), looked(portal, anchor, absent)],
        Learned(),
        {"ipv4": ("203.0.113.7",), "ipv6": ("fd00::1",)},
        network="eth0>192.168.1.1",
        wall_ms=1,
    )
    assert [(seen.rung, seen.answered, seen.looks, seen.rtt_ms) for seen in found.rungs] == [
        (Rung.ISP, 0, 2, None),
        (Rung.PORTAL, 2, 2, 10.0),
    ]
    assert found.portal_answers and found.learned.public_names == {"ipv4"}
