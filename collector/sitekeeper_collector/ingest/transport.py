"""The connection to the broker: messages into a bounded queue, receipts out; the only module that imports paho.

The session is persistent, and a message is acknowledged only after the transaction that holds it, so that the broker keeps what
a killed collector had not stored. That is only back-pressure: receipts are what makes samples safe.
"""

import logging
import queue
import random
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sitekeeper_collector.config import Settings
from sitekeeper_collector.ingest.changes import OnChange
from sitekeeper_collector.ingest.messages import Inbound, Outbound
from sitekeeper_protocol import topics
from sitekeeper_protocol.topics import FROM_AGENT

_log = logging.getLogger("sitekeeper.transport")
_news = OnChange(_log)

MAX_QUEUED = 20_000
"""Messages taken from the socket and not in the store yet. Beyond it the reader waits, and TCP slows the broker down."""
SESSION_EXPIRY_S = 7 * 86_400
_UNSUPPORTED_VERSION = 132
_CONNECT_S = 15.0
_ANSWER_S = 0.05
_BACKOFF_MOST_S = 30.0


class Delivered(NamedTuple):
    """A message and what its acknowledgement needs."""

    message: Inbound
    mid: int
    qos: int
    connection: int


def echo_topic(username: str) -> str:
    """Where a collector talks to itself."""
    return f"sk/collector/{username}/echo"


class Transport:
    """Keeps a connection up in threads of its own until ``close``. ``on_lost`` is called whenever one ends."""

    def __init__(
        self, settings: Settings, password: str | None, *, wall_ms: Callable[[], int], on_lost: Callable[[], None]
    ) -> None:
        self._settings, self._password = settings, password
        self._wall_ms, self._on_lost = wall_ms, on_lost
        self._inbound: queue.Queue[Delivered] = queue.Queue(MAX_QUEUED)
        self._closing = threading.Event()
        self._ended = threading.Event()
        self._newest_mqtt = True
        self._try_older = False
        self._connection = 0
        self._failures = 0
        self._why = ""
        self._client: Client | None = None
        self.subscribed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="transport", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def close(self) -> None:
        """Disconnect, and wait for the threads."""
        self._closing.set()
        self._ended.set()
        self._thread.join(timeout=10)

    def batch(self, most: int, wait_s: float, patience_s: float) -> list[Delivered]:
        """The next messages: none after ``patience_s``, else what comes within ``wait_s`` of the first, at most ``most``."""
        try:
            found = [self._inbound.get(timeout=patience_s)]
        except queue.Empty:
            return []
        until = time.monotonic() + wait_s
        while len(found) < most:
            try:
                found.append(self._inbound.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        return found

    def acknowledge(self, delivered: Sequence[Delivered]) -> None:
        """Tell the broker that these are stored. Those of an earlier connection it will send again, which is harmless."""
        client = self._client
        if client is None:
            return
        for item in delivered:
            if item.qos and item.connection == self._connection:
                client.ack(item.mid, item.qos)

    def publish(self, messages: Sequence[Outbound], *, qos: int = 0) -> None:
        """Send receipts. What can't be sent now is lost, and asked for again."""
        client = self._client
        if client is None or not self.subscribed.is_set():
            return
        for message in messages:
            client.publish(message.topic, message.payload, qos=qos)

    # --- the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.is_set():
            self._ended.clear()
            self._why, self._try_older = "", False
            self._connection += 1
            client = self._make()
            try:
                self._attempt(client)
            except (OSError, ValueError) as err:
                self._why = self._why or str(err)
            finally:
                self._end(client)
            if self._closing.is_set():
                return
            if self._try_older:
                self._newest_mqtt = False
                continue
            _news.say(logging.WARNING, "broker", f"not connected: {self._why or 'the connection ended'}")
            self._failures += 1
            # Spread, so that collectors and their broker don't start in step after a power cut.
            delay_s = min(_BACKOFF_MOST_S, 0.2 * 2.0 ** min(self._failures, 10)) * random.uniform(0.5, 1)  # noqa: S311
            self._closing.wait(delay_s)

    def _attempt(self, client: Client) -> None:
        broker = self._settings.broker
        properties = None
        if self._newest_mqtt:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = SESSION_EXPIRY_S
            client.connect(broker.host, broker.port, broker.keepalive_s, clean_start=False, properties=properties)
        else:
            client.connect(broker.host, broker.port, broker.keepalive_s)
        self._client = client
        # The library's own thread does all reading and writing: an SSL socket must not be used by two at once.
        client.loop_start()
        until = time.monotonic() + _CONNECT_S
        while not self.subscribed.is_set() and not self._ended.wait(_ANSWER_S):
            if time.monotonic() > until:
                self._why = self._why or "the broker does not answer"
                return
        self._ended.wait()

    def _end(self, client: Client) -> None:
        client.disconnect()
        client.loop_stop()
        self._client = None
        if self.subscribed.is_set():
            self.subscribed.clear()
            self._on_lost()

    def _make(self) -> Client:
        broker = self._settings.broker
        client = Client(
            CallbackAPIVersion.VERSION2,
            broker.username,
            clean_session=None if self._newest_mqtt else False,
            protocol=MQTTProtocolVersion.MQTTv5 if self._newest_mqtt else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = _CONNECT_S
        client.username_pw_set(broker.username, self._password)
        if broker.encryption is not None:
            client.tls_set_context(ssl.create_default_context(cafile=broker.encryption.ca_file))
        connection = self._connection
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = lambda _client, _data, message: self._on_message(connection, message)
        return client

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._try_older = self._newest_mqtt and reason.value == _UNSUPPORTED_VERSION
            self._why = f"the broker refuses the connection: {reason}"
            self._ended.set()
            return
        filters = [(topics.subscription(leaf, area), 1) for area in self._settings.areas for leaf in FROM_AGENT]
        client.subscribe([*filters, (echo_topic(self._settings.broker.username), 0)])

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._why = f"the broker refuses the subscription: {refused[0]}"
            self._ended.set()
            return
        self._failures = 0
        _news.say(logging.INFO, "broker", f"connected and subscribed at {self._settings.broker.host}")
        self.subscribed.set()

    def _on_disconnect(
        self, _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._why = self._why or f"disconnected: {reason}"
        self._ended.set()

    def _on_message(self, connection: int, message: MQTTMessage) -> None:
        received = Inbound(message.topic, bytes(message.payload), self._wall_ms(), bool(message.retain))
        item = Delivered(received, message.mid, message.qos, connection)
        while not self._ended.is_set():
            try:
                self._inbound.put(item, timeout=0.5)
            except queue.Full:
                continue  # back-pressure: the socket is not read meanwhile
            return
