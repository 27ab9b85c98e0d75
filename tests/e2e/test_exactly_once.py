"""Whatever is killed, cut or overflows: every sample that was taken is stored exactly once, by count and content."""

import random
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from support.brokers import Broker, amqtt_broker, mosquitto
from support.line import line_to
from support.rig import Process, Rig, assert_stored_exactly_once, rig
from support.wait import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.processes, pytest.mark.slow]


def _broker(kind: str, folder: Path) -> AbstractContextManager[Broker]:
    return mosquitto(folder) if kind == "mosquitto" else amqtt_broker(folder)


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    with _broker(request.param, tmp_path / "broker") as running:
        yield running


@pytest.fixture
def county(broker: Broker, tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path, broker.port) as made:
        yield made


def test_kill_9_of_agent_collector_and_broker_at_random_moments(broker: Broker, county: Rig) -> None:
    """Twenty rounds of SIGKILL, one after the other or together, with a seed that is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    collector = county.collector("v001")
    agent = county.agent("v001")
    broken: tuple[Process | Broker, ...] = (agent, collector, broker)
    collector.start()
    agent.start()
    wait_until(lambda: collector.count("v001") > 3, f"the first samples are stored\n{agent.log()}\n{collector.log()}", 60)
    for _ in range(20):
        # The sleep is the experiment: it decides where in its work the victim is hit.
        time.sleep(chance.uniform(0.05, 1.2))
        victims = chance.sample(broken, chance.choice([1, 1, 1, 2, 3]))
        for victim in victims:
            victim.kill()
        time.sleep(chance.uniform(0, 0.5))
        for victim in victims:
            victim.start()
    before = collector.count("v001")
    # How many came in meanwhile depends on who was hit: where it was seldom more than one a round, wait for more.
    wait_until(lambda: collector.count("v001") > max(before + 5, 20), "reports flow again after the last kill", 120)
    agent.stop()
    agent.start()  # a new run brings in what the old ones left behind
    assert assert_stored_exactly_once(agent, collector) > 20


def test_a_cut_and_a_silent_line_lose_nothing(broker: Broker, county: Rig) -> None:
    with line_to(broker.port) as line:
        collector = county.collector("v001")
        agent = county.agent("v001", port=line.port)
        collector.start()
        agent.start()
        wait_until(lambda: collector.count("v001") > 3, "the first samples are stored", 60)
        line.cut()
        held = len(agent.held())
        wait_until(lambda: len(agent.held()) > held + 15, "samples are taken while the line is cut", 60)
        line.repair()
        wait_until(lambda: collector.count("v001") > held + 15, "the backlog has come in", 120)
        line.fall_silent()
        held = len(agent.held())
        wait_until(lambda: len(agent.held()) > held + 15, "samples are taken while the line is silent", 60)
        line.repair()
        assert assert_stored_exactly_once(agent, collector, 180) > 40


def test_a_collector_that_was_away_for_an_hour_of_samples_gets_them_all(broker: Broker, county: Rig) -> None:
    """Sixty samples and more are taken while the collector is dead: an hour at a sample a minute."""
    collector = county.collector("v001")
    agent = county.agent("v001")
    collector.start()
    agent.start()
    wait_until(lambda: collector.count("v001") > 3, "the first samples are stored", 60)
    collector.kill()
    held = len(agent.held())
    wait_until(lambda: len(agent.held()) > held + 60, "an hour of samples is taken", 120)
    collector.start()
    assert assert_stored_exactly_once(agent, collector) > 60


def test_a_broker_that_drops_what_it_can_t_queue_loses_nothing(tmp_path: Path) -> None:
    """With room for three messages mosquitto drops the rest without a word; receipts show the gap, and it is filled."""
    limits = "max_queued_messages 3\nmax_inflight_messages 1"
    with mosquitto(tmp_path / "broker", extra=limits) as broker, rig(tmp_path, broker.port) as county:
        collector = county.collector("v001", receipt_interval_s=2)  # hourly in the field
        agent = county.agent("v001")
        collector.start()
        agent.start()
        wait_until(lambda: collector.count("v001") > 3, "the first samples are stored", 60)
        collector.kill()
        held = len(agent.held())
        wait_until(lambda: len(agent.held()) > held + 60, "more is reported than the broker can queue", 120)
        collector.start()
        assert assert_stored_exactly_once(agent, collector) > 60
