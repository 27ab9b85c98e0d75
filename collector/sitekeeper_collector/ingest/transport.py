"""The connection to the broker: messages into a bounded queue, receipts out; with ``buffered`` all that knows of paho.

The session is persistent, and a message is acknowledged only after the transaction that holds it, so that the broker keeps what
a killed collector had not stored. That is only back-pressure: receipts are what makes samples safe.

One thread does everything, the one that calls ``batch`` and ``tend``: handing each message from a reader to another thread
costs more than reading it.
"""

import logging
import random
import select
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sitekeeper_collector.config import Settings
from sitekeeper_collector.ingest.buffered import BufferedClient
from sitekeeper_collector.ingest.changes import OnChange
from sitekeeper_collector.ingest.messages import Inbound, Outbound
from sitekeeper_protocol import topics
from sitekeeper_protocol.topics import FROM_AGENT

_log = logging.getLogger("sitekeeper.transport")
_news = OnChange(_log)

MAX_QUEUED = 20_000
MAX_QUEUED_BYTES = 64 * 1024 * 1024
"""Messages taken from the socket and not in the store yet. Beyond these nothing is read, and TCP slows the broker down."""
SESSION_EXPIRY_S = 7 * 86_400
_UNSUPPORTED_VERSION = 132
_CONNECT_S = 10.0
_BACKOFF_MOST_S = 30.0
_MISC_EVERY_S = 1.0
_READ_AT_ONCE = 256


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
    """Keeps a connection up while ``batch`` and ``tend`` are called, until ``close``. ``on_lost`` is called when one ends."""

    def __init__(
        self, settings: Settings, password: str | None, *, wall_ms: Callable[[], int], on_lost: Callable[[], None]
    ) -> None:
        self._settings, self._password = settings, password
        self._wall_ms, self._on_lost = wall_ms, on_lost
        self._inbound: deque[Delivered] = deque()
        self._inbound_bytes = 0
        self._newest_mqtt = True
        self._try_older = False
        self._connection = 0
        self._failures = 0
        self._why = ""
        self._ended = False
        self._client: BufferedClient | None = None
        self._connect_at_s = 0.0
        self._subscribe_by_s = 0.0
        self._misc_at_s = 0.0
        self.subscribed = threading.Event()

    def batch(self, most: int, wait_s: float, patience_s: float) -> list[Delivered]:
        """The next messages: none after ``patience_s``, else what comes within ``wait_s`` of the first, at most ``most``."""
        self._turn_until(lambda: bool(self._inbound), patience_s)
        if not self._inbound:
            return []
        self._turn_until(lambda: len(self._inbound) >= most, wait_s)
        found = [self._inbound.popleft() for _ in range(min(most, len(self._inbound)))]
        self._inbound_bytes -= sum(len(item.message.payload) for item in found)
        return found

    def tend(self, wait_s: float, done: Callable[[], bool]) -> None:
        """Keep the connection alive for ``wait_s``, or until ``done``, while nobody can take messages."""
        self._turn_until(done, wait_s)

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

    def close(self) -> None:
        """Say goodbye to the broker."""
        if self._client is not None:
            self._flush()
            self._end(self._client)

    # --- one step after the other -------------------------------------------------------------------------------------

    def _turn_until(self, done: Callable[[], bool], wait_s: float) -> None:
        until = time.monotonic() + wait_s
        while not done():
            left_s = until - time.monotonic()
            if left_s <= 0:
                return
            self._turn(left_s)

    def _turn(self, wait_s: float) -> None:
        """Connect if it is time to, else read and write what can be read and written within ``wait_s``."""
        client = self._client
        if client is None:
            now_s = time.monotonic()
            if now_s < self._connect_at_s:
                time.sleep(min(wait_s, self._connect_at_s - now_s))
            else:
                self._connect()
            return
        try:
            self._move(client, wait_s)
        except (OSError, ValueError) as err:
            self._fail(str(err))
        if not self.subscribed.is_set() and time.monotonic() > self._subscribe_by_s:
            self._fail("the broker does not answer")
        if self._ended:
            self._end(client)
            self._later()

    def _move(self, client: BufferedClient, wait_s: float) -> None:
        buffered = client.buffered
        if client.socket() is None or buffered is None:
            self._fail("the connection ended")
            return
        self._flush()
        full = len(self._inbound) >= MAX_QUEUED or self._inbound_bytes >= MAX_QUEUED_BYTES
        pending = not full and buffered.pending() > 0
        if not pending:
            self._wait(buffered.fileno(), read=not full, write=buffered.unsent > 0, wait_s=min(wait_s, _MISC_EVERY_S))
        if not full:
            self._read(client)
        now_s = time.monotonic()
        if now_s >= self._misc_at_s:
            self._misc_at_s = now_s + _MISC_EVERY_S
            client.loop_misc()
        self._flush()

    def _read(self, client: BufferedClient) -> None:
        buffered = client.buffered
        for _ in range(_READ_AT_ONCE):
            if client.loop_read() or buffered is None or not buffered.pending():
                return

    @staticmethod
    def _wait(number: int, *, read: bool, write: bool, wait_s: float) -> None:
        poll = select.poll()
        poll.register(number, (select.POLLIN if read else 0) | (select.POLLOUT if write else 0))
        poll.poll(max(0.0, wait_s) * 1000)

    def _flush(self) -> None:
        client = self._client
        if client is None or client.buffered is None or client.socket() is None:
            return
        if client.want_write():
            client.loop_write()
        try:
            client.buffered.flush()
        except OSError as err:
            self._fail(str(err))

    def _fail(self, why: str) -> None:
        self._why = self._why or why
        self._ended = True

    def _connect(self) -> None:
        broker = self._settings.broker
        self._why, self._ended, self._try_older = "", False, False
        self._connection += 1
        client = self._make()
        properties = None
        try:
            if self._newest_mqtt:
                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                properties.SessionExpiryInterval = SESSION_EXPIRY_S
                client.connect(broker.host, broker.port, broker.keepalive_s, clean_start=False, properties=properties)
            else:
                client.connect(broker.host, broker.port, broker.keepalive_s)
        except (OSError, ValueError) as err:
            self._why = str(err)
            self._end(client)
            self._later()
            return
        self._client = client
        self._subscribe_by_s = time.monotonic() + _CONNECT_S

    def _end(self, client: BufferedClient) -> None:
        client.disconnect()
        if client.socket() is not None:
            client.loop_write()
        if client.buffered is not None:
            client.buffered.close()
        self._client = None
        if self.subscribed.is_set():
            self.subscribed.clear()
            self._on_lost()

    def _later(self) -> None:
        """Set when to try again."""
        if self._try_older:
            self._newest_mqtt = False
            return
        _news.say(logging.WARNING, "broker", f"not connected: {self._why or 'the connection ended'}")
        self._failures += 1
        # Spread, so that collectors and their broker don't start in step after a power cut.
        delay_s = min(_BACKOFF_MOST_S, 0.2 * 2.0 ** min(self._failures, 10)) * random.uniform(0.5, 1)  # noqa: S311
        self._connect_at_s = time.monotonic() + delay_s

    def _make(self) -> BufferedClient:
        broker = self._settings.broker
        client = BufferedClient(
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
            self._fail(f"the broker refuses the connection: {reason}")
            return
        filters = [(topics.subscription(leaf, area), 1) for area in self._settings.areas for leaf in FROM_AGENT]
        client.subscribe([*filters, (echo_topic(self._settings.broker.username), 0)])

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._fail(f"the broker refuses the subscription: {refused[0]}")
            return
        self._failures = 0
        _news.say(logging.INFO, "broker", f"connected and subscribed at {self._settings.broker.host}")
        self.subscribed.set()

    def _on_disconnect(
        self,
        _client: Client,
        _data: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._fail(f"disconnected: {reason}")

    def _on_message(self, connection: int, message: MQTTMessage) -> None:
        received = Inbound(message.topic, bytes(message.payload), self._wall_ms(), bool(message.retain))
        self._inbound.append(Delivered(received, message.mid, message.qos, connection))
        self._inbound_bytes += len(received.payload)
