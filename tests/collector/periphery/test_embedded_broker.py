"""The embedded broker: its life in a thread, and the facts about amqtt that the rest of Sitekeeper is built to stand."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from amqtt.contexts import Action
from amqtt.session import Session
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from sitekeeper_collector.broker import folder, mosquitto
from sitekeeper_collector.embedded import EmbeddedBrokerError
from sitekeeper_collector.embedded.broker import HOST, EmbeddedBroker
from sitekeeper_collector.embedded.front_door import FrontDoorBroker
from support.brokers import answers
from support.wait import wait_until

pytestmark = pytest.mark.broker


def _plan(at: Path) -> mosquitto.BrokerPlan:
    return mosquitto.BrokerPlan(at, at, plain_port=1)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A running one, with the site s1."""
    folder.write(_plan(tmp_path), ["s1"])
    broker = EmbeddedBroker(tmp_path)
    broker.start()
    yield broker
    broker.stop()


def _connect(broker: EmbeddedBroker, file: Path, user: str, *, clean: bool = True, manual: bool = False) -> mqtt.Client:
    password = folder.read_password(file)
    assert password is not None
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=user, clean_session=clean, manual_ack=manual)
    client.username_pw_set(user, password)
    client.connect(HOST, broker.port)
    client.loop_start()
    wait_until(client.is_connected, f"{user} is in")
    return client


def _leave(client: mqtt.Client) -> None:
    if client.is_connected():
        gone = threading.Event()
        client.on_disconnect = lambda *_: gone.set()
        client.disconnect()
        gone.wait(10)  # else the thread may end before it has sent the DISCONNECT
    client.loop_stop()


def test_it_stops_in_order_and_starts_again_on_its_port(broker: EmbeddedBroker) -> None:
    port = broker.port
    assert port > 0 and answers(HOST, port)
    broker.stop()
    assert not broker.running and not answers(HOST, port)
    assert "embedded-broker" not in {thread.name for thread in threading.enumerate()}
    broker.stop()
    broker.start()
    assert broker.port == port and answers(HOST, port)


def test_it_stops_while_somebody_holds_a_silent_connection(broker: EmbeddedBroker) -> None:
    with socket.create_connection((HOST, broker.port)):
        broker.stop()
        assert not broker.running


def test_a_port_in_use_is_told_and_leaves_no_thread(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        second = EmbeddedBroker(tmp_path, port=port)
        with pytest.raises(EmbeddedBrokerError, match=str(port)):
            second.start()
        assert not second.running


def test_a_site_that_is_added_while_it_runs_can_log_in_at_once(broker: EmbeddedBroker, tmp_path: Path) -> None:
    folder.write(_plan(tmp_path), ["s1", "s9"])
    _leave(_connect(broker, folder.site_password_file(tmp_path, "s9"), "s9"))


@pytest.mark.parametrize("expiry_s", [None, 7 * 86400])
def test_an_mqtt_5_connect_is_refused_as_an_unsupported_version(broker: EmbeddedBroker, expiry_s: int | None) -> None:
    """Also one with properties, whose bytes amqtt itself would take for the length of the client id."""
    reasons: list[str] = []
    properties = None
    if expiry_s is not None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = expiry_s
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id="s1", protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False
    )
    client.on_connect = lambda _c, _d, _f, reason, _p: reasons.append(reason.getName())
    client.on_disconnect = lambda _c, _d, _f, reason, _p: reasons.append(reason.getName())
    client.connect(HOST, broker.port, properties=properties)
    client.loop_start()
    wait_until(lambda: reasons, "the broker refuses")
    _leave(client)
    assert "Unsupported protocol version" in reasons


@pytest.mark.slow
def test_a_message_without_puback_for_five_seconds_is_never_sent_again(broker: EmbeddedBroker, tmp_path: Path) -> None:
    """So the broker's acknowledgement proves nothing to a site, and receipts must."""
    collector_file, site_file = folder.collector_password_file(tmp_path), folder.site_password_file(tmp_path, "s1")
    got: list[bytes] = []
    granted: list[int] = []
    slow = _connect(broker, collector_file, "collector", clean=False, manual=True)
    slow.on_subscribe = lambda *_: granted.append(1)
    slow.on_message = lambda _c, _d, message: got.append(bytes(message.payload))
    slow.subscribe("sk/v1/+/+/report", 1)
    wait_until(lambda: granted, "subscribed")
    site = _connect(broker, site_file, "s1")
    site.publish("sk/v1/a/s1/report", b"lost", qos=1).wait_for_publish(10)
    wait_until(lambda: got == [b"lost"], "it is delivered once")
    time.sleep(6)  # the fact under test is amqtt's own timer of 5 s
    _leave(slow)
    again: list[bytes] = []
    back = _connect(broker, collector_file, "collector", clean=False)
    back.on_message = lambda _c, _d, message: again.append(bytes(message.payload))
    site.publish("sk/v1/a/s1/report", b"next", qos=1).wait_for_publish(10)
    wait_until(lambda: b"next" in again, "the next report arrives")
    _leave(back)
    _leave(site)
    assert again == [b"next"]


class _Interrupted(FrontDoorBroker):
    """One in which a subscription comes at the worst moment: while it looks for whom a message is for."""

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        if action == Action.RECEIVE:
            self._subscriptions[f"late/{len(self._subscriptions)}"] = []
        return bool(await super()._topic_filtering(session, topic, action))


def test_a_message_gets_through_while_another_client_subscribes(tmp_path: Path) -> None:
    """amqtt walks its subscriptions and awaits on the way; one that came meanwhile ended the walk, and the message with it."""
    folder.write(_plan(tmp_path), ["s1"])

    async def serve(started: threading.Event, ports: list[int], stopping: threading.Event) -> None:
        broker = _Interrupted(EmbeddedBroker(tmp_path)._config())
        await broker.start()
        ports.append(broker.bound_port)
        started.set()
        await asyncio.to_thread(stopping.wait)
        await broker.shutdown()

    started, stopping, ports = threading.Event(), threading.Event(), list[int]()
    thread = threading.Thread(target=lambda: asyncio.run(serve(started, ports, stopping)))
    thread.start()
    try:
        assert started.wait(20)
        at = EmbeddedBroker(tmp_path, port=ports[0])
        heard: dict[str, list[bytes]] = {"collector": [], mosquitto.TAIL: []}
        listeners = []
        for user, file in (
            ("collector", folder.collector_password_file(tmp_path)),
            (mosquitto.TAIL, folder.tail_password_file(tmp_path)),
        ):
            granted = threading.Event()
            client = _connect(at, file, user)
            client.on_message = lambda _c, _u, message, user=user: heard[user].append(bytes(message.payload))
            client.on_subscribe = lambda *_, granted=granted: granted.set()
            client.subscribe("sk/v1/+/+/report" if user == "collector" else "sk/v1/a/s1/report", qos=1)
            assert granted.wait(20)
            listeners.append(client)
        site = _connect(at, folder.site_password_file(tmp_path, "s1"), "s1")
        site.publish("sk/v1/a/s1/report", b"one", qos=1)
        site.publish("sk/v1/a/s1/report", b"two", qos=1)
        wait_until(lambda: all(got == [b"one", b"two"] for got in heard.values()), "both listeners got both")
        for client in (site, *listeners):
            _leave(client)
    finally:
        stopping.set()
        thread.join(20)
