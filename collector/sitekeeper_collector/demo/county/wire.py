"""One connection of a simulated site: a paho client that is driven from outside, without a thread of its own.

Whatever happens is put on a list for the driver, which reads it when it is out of paho's callbacks.
"""

import socket
from typing import NamedTuple

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sitekeeper_protocol.topics import TO_AGENT, Leaf, topic

_CONNECT_S = 1.0
"""The broker is on this machine: it takes a connection at once, or is not there."""


class Up(NamedTuple):
    """Connected and subscribed."""


class Down(NamedTuple):
    """The connection ended."""

    why: str


class Acknowledged(NamedTuple):
    """The broker has the message of this packet id."""

    mid: int


class Received(NamedTuple):
    """A message for the site."""

    leaf: Leaf
    payload: bytes


Happening = Up | Down | Acknowledged | Received


class Link:
    """An attempt to connect, and what becomes of it. ``open`` raises ``OSError``."""

    def __init__(self, *, area: str, site: str, password: str | None, will: bytes, keepalive_s: int) -> None:
        self.happenings: list[Happening] = []
        self._topics = {leaf: topic(area, site, leaf) for leaf in Leaf}
        self._by_topic = {self._topics[leaf]: leaf for leaf in TO_AGENT}
        self._keepalive_s = keepalive_s
        self._client = Client(
            CallbackAPIVersion.VERSION2, site, protocol=MQTTProtocolVersion.MQTTv311, reconnect_on_failure=False
        )
        self._client.connect_timeout = _CONNECT_S
        self._client.username_pw_set(site, password)
        self._client.will_set(self._topics[Leaf.STATUS], will, qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message

    def open(self, host: str, port: int) -> None:
        """Begin; ``Up`` or ``Down`` follows."""
        self._client.connect(host, port, keepalive=self._keepalive_s)

    @property
    def socket(self) -> socket.socket | None:
        """What to wait on, as long as there is a connection."""
        found = self._client.socket()
        return found if isinstance(found, socket.socket) else None

    @property
    def wants_write(self) -> bool:
        """Whether something waits for room in the socket."""
        return self._client.want_write()

    def read(self) -> None:
        """There is something to read."""
        self._client.loop_read()

    def write(self) -> None:
        """There is room."""
        self._client.loop_write()

    def tick(self) -> None:
        """Keep the connection alive; call it about once a second."""
        self._client.loop_misc()

    def publish(self, leaf: Leaf, payload: bytes, *, retain: bool = False) -> int:
        """Send a message; its packet id, which ``Acknowledged`` will name."""
        return self._client.publish(self._topics[leaf], payload, qos=1, retain=retain).mid

    def say_disconnect(self) -> None:
        """End it in order: the broker forgets the will."""
        self._client.disconnect()

    def close(self) -> None:
        """Let go of it, without a word to the broker."""
        client = self._client
        # The client and its callbacks refer to each other; without them it is gone, with its sockets, when the last user is.
        client.on_connect = client.on_subscribe = client.on_disconnect = client.on_publish = client.on_message = None
        if self.socket is not None:
            self.socket.close()

    # --- paho's callbacks: they only note ------------------------------------------------------------------------------

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self.happenings.append(Down(f"the broker refuses the connection: {reason}"))
        else:
            qos = {Leaf.RECEIPT: 0, Leaf.CONFIG: 1, Leaf.COMMAND: 1}
            client.subscribe([(self._topics[leaf], qos[leaf]) for leaf in TO_AGENT])

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        self.happenings.append(Down(f"the broker refuses the subscription: {refused[0]}") if refused else Up())

    def _on_disconnect(
        self, _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self.happenings.append(Down(f"disconnected: {reason}"))

    def _on_publish(self, _client: Client, _data: object, mid: int, reason: ReasonCode, _properties: Properties | None) -> None:
        if not reason.is_failure:
            self.happenings.append(Acknowledged(mid))

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        leaf = self._by_topic.get(message.topic)
        if leaf is not None:
            self.happenings.append(Received(leaf, bytes(message.payload)))
