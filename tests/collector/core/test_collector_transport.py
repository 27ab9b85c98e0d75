"""The collector on a real broker, with a scripted agent: what is published is stored and answered, whatever breaks between."""

import queue
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trustme
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from sqlalchemy import insert

from sitekeeper_collector import app, config
from sitekeeper_collector.config import Blindness, Settings
from sitekeeper_collector.store import tables
from sitekeeper_collector.store.engine import open_store
from sitekeeper_protocol import codec, topics
from sitekeeper_protocol.messages import Presence, Receipt
from sitekeeper_protocol.topics import Leaf
from support.brokers import Broker, TlsFiles, amqtt_broker, mosquitto
from support.ports import free_port
from support.scripted import AREA, report, sample, status
from support.wait import wait_until

pytestmark = pytest.mark.broker
RUN = 11


class ScriptedAgent:
    """An MQTT client that publishes what it is told and keeps the receipts."""

    def __init__(self, site: str, port: int) -> None:
        self.site = site
        self.receipts: queue.Queue[Receipt] = queue.Queue()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, site, protocol=MQTTProtocolVersion.MQTTv311)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(topics.topic(AREA, site, Leaf.RECEIPT))
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, m: self.receipts.put(codec.decode_receipt(bytes(m.payload)))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_until(self._subscribed.is_set, "the scripted agent has subscribed")

    def say(self, payload: bytes, leaf: Leaf = Leaf.REPORT, *, retain: bool = False, site: str | None = None) -> None:
        name = topics.topic(AREA, site or self.site, leaf)
        wait_until(self._client.is_connected, "the scripted agent is connected")
        self._client.publish(name, payload, qos=1, retain=retain).wait_for_publish(30)

    def report(self, first: int, last: int, *, wants_receipt: bool = False) -> None:
        samples = [sample(RUN, n) for n in range(first, last + 1)]
        self.say(report(self.site, RUN, samples, number=last, wants_receipt=wants_receipt))

    def confirmed(self) -> int:
        """How far the newest receipt reaches."""
        receipt = self.receipts.get(timeout=60)
        while not self.receipts.empty():
            receipt = self.receipts.get()
        return max(run.through for run in receipt.runs)

    def end(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Running:
    """A collector in a thread of this process."""

    def __init__(self, folder: Path, port: int, tls: config.Tls | None = None) -> None:
        self.file = folder / "sitekeeper.db"
        self.settings = Settings(
            database=f"sqlite:///{self.file}",
            broker=config.Broker(host="127.0.0.1", port=port, tls=tls),
            blindness=Blindness(interval_s=0.2, limit_s=1),
            console=config.Web(enabled=False),
        )
        store = open_store(self.settings.database)
        with store.write() as connection:
            connection.execute(insert(tables.sites).values(id="v1", name="v1", added_ms=0, changed_ms=0))
        store.close()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=app.run, args=(self.settings, self._stopping))
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=60)
            assert not self._thread.is_alive(), "the collector did not end"

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.file, timeout=20)) as database:
            return database.execute(query).fetchall()

    def stored(self) -> list[int]:
        return [int(str(row[0])) for row in self.rows("SELECT sequence FROM samples ORDER BY sequence")]

    def seen(self) -> bool:
        """Whether it has heard itself through the broker."""
        return bool(self.rows("SELECT 1 FROM heartbeat"))


@pytest.fixture(params=[mosquitto, amqtt_broker], ids=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    with request.param(tmp_path / "broker") as running:
        yield running


@contextmanager
def county(folder: Path, port: int) -> Iterator[tuple[Running, ScriptedAgent]]:
    collector = Running(folder, port)
    agent = ScriptedAgent("v1", port)
    try:
        collector.start()
        wait_until(collector.seen, "the collector hears itself", 60)
        yield collector, agent
    finally:
        collector.stop()
        agent.end()


def _publish_until(agent: ScriptedAgent, done: Callable[[], bool]) -> None:
    numbers = iter(range(1000, 100_000))

    def again() -> bool:
        number = next(numbers)
        agent.report(number, number, wants_receipt=True)
        return done()

    wait_until(again, "reports flow again", 90, every_s=0.3)


def test_reports_are_stored_and_answered_by_receipts(broker: Broker, tmp_path: Path) -> None:
    """On MQTT 5, and on 3.1.1 with a broker that speaks nothing else."""
    with county(tmp_path, broker.port) as (collector, agent):
        agent.say(status(Presence.ONLINE, RUN), Leaf.STATUS, retain=True)
        for first in range(1, 200, 5):
            agent.report(first, first + 4, wants_receipt=first == 196)
        wait_until(lambda: agent.confirmed() == 200, "a receipt confirms all")
        assert collector.stored() == list(range(1, 201))
        assert collector.rows("SELECT presence FROM site_state") == [("online",)]


def test_hostile_messages_do_not_end_it(broker: Broker, tmp_path: Path) -> None:
    with county(tmp_path, broker.port) as (collector, agent):
        for payload in (b"", b"\x00", b"\xff" * 400_000, b"\x9f" * 5000, bytes(range(256))):
            for leaf in topics.FROM_AGENT:
                agent.say(payload, leaf)
        agent.say(report("v1", RUN, [sample(RUN, 9)], check="v2"))
        agent.report(1, 3, wants_receipt=True)
        wait_until(lambda: agent.confirmed() == 3, "an honest report is confirmed")
        assert collector.stored() == [1, 2, 3]
        assert collector.rows("SELECT kind FROM findings") == [("foreign_topic",)]


def test_it_finds_back_to_a_broker_that_was_killed_and_knows_that_it_was_blind(broker: Broker, tmp_path: Path) -> None:
    with county(tmp_path, broker.port) as (collector, agent):
        agent.report(1, 5)
        wait_until(lambda: collector.stored() == [1, 2, 3, 4, 5], "the first report is stored")
        broker.kill()
        [(before,)] = collector.rows("SELECT seen_ms FROM heartbeat")
        wait_until(lambda: app.wall_ms() - int(str(before)) > 1500, "it has been blind for longer than its limit")
        broker.start()
        wait_until(lambda: collector.rows("SELECT 1 FROM blind"), "it hears itself again", 90)
        assert collector.rows(f"SELECT cause, from_ms >= {before} - 100 FROM blind") == [("broker", 1)]
        _publish_until(agent, lambda: collector.stored()[-1] >= 1000)


def test_what_comes_while_the_database_is_locked_is_stored_after_it(broker: Broker, tmp_path: Path) -> None:
    with county(tmp_path, broker.port) as (collector, agent):
        with closing(sqlite3.connect(collector.file, isolation_level=None, timeout=20)) as other:
            other.execute("BEGIN IMMEDIATE")
            for number in range(1, 31):
                agent.report(number, number, wants_receipt=True)
            assert agent.receipts.empty()
            other.execute("ROLLBACK")
        wait_until(lambda: agent.confirmed() == 30, "all that came meanwhile is confirmed", 60)
        assert collector.stored() == list(range(1, 31))


def test_the_broker_keeps_what_is_published_while_the_collector_is_stopped(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker, county(tmp_path, broker.port) as (collector, agent):
        collector.stop()
        for number in range(1, 61):
            agent.report(number, number)
        assert collector.stored() == []
        collector.start()
        wait_until(lambda: collector.stored() == list(range(1, 61)), "the session's queue is stored")


def test_times_of_stop_are_blindness(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker, county(tmp_path, broker.port) as (collector, _):
        collector.stop()
        with closing(sqlite3.connect(collector.file, timeout=20)) as database, database:
            database.execute("UPDATE heartbeat SET seen_ms = seen_ms - 60000")
        [(then,)] = collector.rows("SELECT seen_ms FROM heartbeat")
        collector.start()
        wait_until(lambda: collector.rows("SELECT 1 FROM blind"), "the gap is noted")
        [(from_ms, to_ms, cause)] = collector.rows("SELECT from_ms, to_ms, cause FROM blind")
        assert (from_ms, cause) == (then, "stopped") and int(str(to_ms)) >= int(str(then)) + 60_000


def test_a_site_that_is_imported_while_the_collector_runs_is_stored_without_another_report(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker, county(tmp_path, broker.port) as (collector, agent):
        agent.say(report("new", RUN, [sample(RUN, 1)]), site="new")
        wait_until(lambda: collector.rows("SELECT 1 FROM held_reports"), "the unknown site's report is held")
        with closing(sqlite3.connect(collector.file, timeout=20)) as database, database:
            database.execute(
                "INSERT INTO sites (id, name, county, township, access_node, feeder, line_number, account, contacts,"
                " profile, hours, area, added_ms, changed_ms) SELECT 'new', name, county, township, access_node, feeder,"
                " line_number, account, contacts, profile, hours, area, 0, 0 FROM sites WHERE id = 'v1'"
            )
        wait_until(lambda: collector.rows("SELECT 1 FROM samples WHERE site = 'new'"), "it is stored", 60)
        assert collector.rows("SELECT 1 FROM unknown_sites") == []


def test_a_burst_over_tls_is_stored_and_answered(tmp_path: Path) -> None:
    """What TLS has decrypted and the system no longer knows of is read all the same."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    files = TlsFiles(tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem")
    plain = free_port()
    with mosquitto(tmp_path / "broker", tls=files, extra=f"listener {plain} 127.0.0.1") as broker:
        collector = Running(tmp_path, broker.port, config.Tls(ca_file=str(files.authority)))
        agent = ScriptedAgent("v1", plain)
        try:
            collector.start()
            wait_until(collector.seen, "the collector hears itself", 60)
            collector.stop()
            for first in range(1, 1501, 5):
                agent.report(first, first + 4)
            collector.start()
            wait_until(lambda: len(collector.stored()) == 1500, "what the broker had kept is stored", 60)
            agent.report(1501, 1505, wants_receipt=True)
            wait_until(lambda: agent.confirmed() == 1505, "a receipt confirms all")
        finally:
            collector.stop()
            agent.end()


def test_a_broker_that_never_answers_does_not_keep_the_collector_from_stopping(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        collector = Running(tmp_path, silent.getsockname()[1])
        collector.start()
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1) == b"\x10", "it has said CONNECT"
            collector.stop()
            rest = b"".join(iter(lambda: connection.recv(4096), b""))
        assert b"collector" in rest
