"""Settings and commands from the collector's command line through a real broker to a real agent, and what comes back."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.brokers import Broker, mosquitto
from support.ports import free_port
from support.rig import Agent, Collector, Rig, rig
from support.wait import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.processes]
SITE = "v001"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def lab(broker: Broker, tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path, broker.port) as made:
        yield made


def living(lab: Rig, **settings: Any) -> tuple[Collector, Agent]:
    """A collector and an agent that know each other."""
    collector, agent = lab.collector(SITE), lab.agent(SITE, **settings)
    collector.start()
    agent.start()
    wait_until(lambda: collector.count(SITE) > 1, f"it reports\n{agent.log()}\n{collector.log()}", 60)
    return collector, agent


def states(collector: Collector) -> list[tuple[str, str]]:
    """State and reason of the site's settings, newest first."""
    return collector.rows("SELECT state, reason FROM site_config WHERE site = ? ORDER BY revision DESC", SITE)


def settled(collector: Collector, agent: Agent, state: str) -> str:
    """Wait until the newest settings are in ``state``; the reason."""
    wait_until(
        lambda: states(collector)[:1] and states(collector)[0][0] == state,
        lambda: f"{state}, but {states(collector)}\n{agent.log()[-3000:]}\n{collector.log()[-3000:]}",
        60,
    )
    return states(collector)[0][1]


def reported(collector: Collector) -> int:
    """The revision in the newest live report."""
    (row,) = collector.rows("SELECT config_revision FROM runs WHERE site = ? ORDER BY last_live_ms DESC LIMIT 1", SITE)
    return int(row[0])


def wanted(collector: Collector) -> int:
    return int(collector.rows("SELECT max(revision) FROM site_config WHERE site = ?", SITE)[0][0])


def asked(collector: Collector, *words: str) -> dict[str, Any]:
    """What a command came to."""
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("sitekeeper-collector")),
            "command",
            SITE,
            *words,
            "--wait",
            "--json",
            "--config",
            str(collector.config),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not done.stderr, done.stderr
    return dict(json.loads(done.stdout))


def test_changed_settings_are_used_confirmed_kept_over_a_kill_and_given_up_again(lab: Rig) -> None:
    collector, agent = living(lab)
    said = collector.command_line("config", "set", SITE, "report_interval_s=2", "phone=0851-1234567")
    assert "to be sent" in said
    settled(collector, agent, "applied")
    first = wanted(collector)
    wait_until(lambda: reported(collector) == first, "reports tell the revision")
    agent.kill()
    agent.start()
    wait_until(lambda: len(collector.rows("SELECT run FROM runs")) == 2, "a new run reports", 60)
    assert reported(collector) == first
    page = collector.command_line("config", "show", SITE)
    assert "report_interval_s: 2" in page and "applied" in page
    collector.command_line("config", "set", SITE, "--clear")
    settled(collector, agent, "applied")
    assert wanted(collector) > first
    wait_until(lambda: reported(collector) == wanted(collector), "the file alone counts again, under a new number")


def test_a_wrong_value_is_refused_with_key_and_reason_and_changes_nothing(lab: Rig) -> None:
    collector, agent = living(lab)
    collector.command_line("config", "set", SITE, "sample_interval_s=0")
    assert settled(collector, agent, "refused") == "sample_interval_s: must be a number >= 0.1; it is '0'"
    assert "must be a number >= 0.1" in collector.command_line("config", "show", SITE)
    count = collector.count(SITE)
    wait_until(lambda: collector.count(SITE) > count + 5, "it goes on as before")
    assert reported(collector) == 0
    collector.command_line("config", "set", SITE, "state_dir=/tmp/x", "--remove", "sample_interval_s")
    assert settled(collector, agent, "refused") == "state_dir: this can't be changed from afar"


def test_settings_that_cut_the_agent_off_are_taken_back_by_itself(lab: Rig) -> None:
    collector, agent = living(lab, remote={"confirm_within_s": 8})
    collector.command_line("config", "set", SITE, "phone=0851-1")
    settled(collector, agent, "applied")
    good = wanted(collector)
    collector.command_line("config", "set", SITE, f"broker.port={free_port()}")
    assert settled(collector, agent, "rolled_back") == "taken back: no receipt within 8 s of using it"
    wait_until(lambda: reported(collector) == good, "what was good before is in use")
    assert agent.running and "Traceback" not in agent.log()


def test_moving_to_another_broker_where_the_collector_waits_is_confirmed(lab: Rig, tmp_path: Path) -> None:
    with mosquitto(tmp_path / "second") as second:
        collector, agent = living(lab, remote={"confirm_within_s": 60})
        collector.command_line("config", "set", SITE, f"broker.port={second.port}")
        wait_until(lambda: states(collector)[0][0] == "trial", "it moves, and says so before it goes", 60)
        collector.stop()
        told = json.loads(collector.config.read_text())
        told["broker"]["port"] = second.port
        collector.config.write_text(json.dumps(told))
        collector.start()
        settled(collector, agent, "applied")
        wait_until(lambda: reported(collector) == wanted(collector), "it reports there")


def test_commands_are_carried_out_and_told(lab: Rig) -> None:
    collector, agent = living(lab, anchors=["127.0.0.1"])
    looked = asked(collector, "probe_now")
    assert (looked["state"], looked["measured"]["ipv4/portal"].split()[0]) == ("done", "ok"), looked
    assert looked["measured"]["state"] == "ok"
    way = asked(collector, "trace", "to=127.0.0.1")
    assert (way["state"], way["measured"]["reached"]) == ("done", True)
    assert way["measured"]["1"].startswith("127.0.0.1 ")
    lines = asked(collector, "collect_logs")
    assert lines["state"] == "done" and "the county asks for trace" in lines["text"]
    assert asked(collector, "speed_test")["text"] == "speed_test: this site has no address for it"
    assert asked(collector, "trace", "to=8.8.8.8")["text"].startswith("too soon after the last trace")
    assert agent.running and "Traceback" not in agent.log()


def test_a_command_to_a_site_that_is_off_expires(lab: Rig) -> None:
    collector, agent = living(lab)
    agent.stop()
    gone = asked(collector, "probe_now", "--expires", "1s")
    assert (gone["state"], gone["text"]) == ("expired", "the site did not answer in time")


def test_what_the_command_line_can_not_send_is_told(lab: Rig) -> None:
    collector = lab.collector(SITE)
    for words, why in (
        (("config", "set", "v999", "phone=1"), "not in the register"),
        (("config", "set", SITE, "sample_interval_s=0.5"), "can't be sent"),
        (("config", "set", SITE), "nothing to change"),
        (("config", "set", SITE, "--remove", "phone"), "phone is not among the settings"),
        (("command", SITE, "trace", "--expires", "2d"), "for a day at most"),
    ):
        done = subprocess.run(
            [str(Path(sys.executable).with_name("sitekeeper-collector")), *words, "--config", str(collector.config)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1 and why in done.stderr, (words, done.stderr)
    assert "Nothing was changed" in collector.command_line("config", "show", SITE)
