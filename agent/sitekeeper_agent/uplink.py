"""One connection to the broker, from the attempt to its end; the only module that imports paho.

Each attempt has a paho client and a thread of its own: the will carries the number of the connection, and a client that starts
from nothing repeats nothing by itself. Whatever happens is posted as an event; nothing is decided here.
"""

import logging
import socket
import ssl
import threading
from collections.abc import Callable
from typing import NamedTuple

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sitekeeper_agent.config import Settings
from sitekeeper_agent.probes.fetch import tls_reason
from sitekeeper_protocol import RELEASED_MS
from sitekeeper_protocol.topics import Leaf, topic
from sitekeeper_protocol.vocabulary import Reason

_log = logging.getLogger("sitekeeper.uplink")

X509_V_FLAG_NO_CHECK_TIME = 0x200000
"""OpenSSL's x509_vfy.h: verify chain and name, but not the dates (X509_VERIFY_PARAM_set_flags(3))."""
_UNSUPPORTED_VERSION = 132
_LOGIN_REFUSED = (134, 135)
"""MQTT 5, section 2.4: bad user name or password, not authorized; paho gives these for MQTT 3.1.1's answers, too."""
TOPICS_REFUSED = "the broker refuses the subscription"
_CONNECT_S = 15.0
_MAX_PACKET_BYTES = 128 * 1024
_NAP_S = 10.0
_REPORT_ALIAS = 1


class Up(NamedTuple):
    """Connected and subscribed."""

    connection: int


class Down(NamedTuple):
    """The connection ended, or never came about; ``try_older``: the broker may not speak this version of MQTT.

    ``says_so``: that was its answer. Old ones close the connection without any. ``reason`` is the vocabulary's word for
    ``why``.
    """

    connection: int
    why: str
    try_older: bool = False
    says_so: bool = False
    reason: Reason = Reason.TIMEOUT


class Acknowledged(NamedTuple):
    """The broker has taken the message with this packet id."""

    connection: int
    mid: int


class Received(NamedTuple):
    """A message for this site."""

    connection: int
    leaf: Leaf
    payload: bytes


Event = Up | Down | Acknowledged | Received


class _Sleeper(Client):
    """The library's client, woken by what happens instead of each second: that alone cost half a processor second an hour."""

    def loop_forever(self, timeout: float = _NAP_S, retry_first_connection: bool = False) -> MQTTErrorCode:
        """Its thread's work; a nap is short beside the keepalive, which is looked at after each."""
        return super().loop_forever(min(timeout, max(1.0, self.keepalive / 8)), retry_first_connection)


class Uplink:
    """One attempt. ``post`` is called from its thread, with a clock-free event; it must not block."""

    def __init__(
        self,
        settings: Settings,
        *,
        connection: int,
        newest_mqtt: bool,
        password: str | None,
        will: bytes | None,
        keepalive_s: int,
        wall_ms: int,
        post: Callable[[Event], None],
    ) -> None:
        self.connection = connection
        self._settings, self._post = settings, post
        self._topics = {leaf: topic(settings.area, settings.site, leaf) for leaf in Leaf}
        self._by_topic = {name: leaf for leaf, name in self._topics.items()}
        self._keepalive_s = keepalive_s
        self._aliased = False
        self._answered, self._ended = threading.Event(), threading.Event()
        self._why = ""
        self._reason = Reason.CONNECTION_RESET
        self._try_older = self._says_so = False
        self.dates_unchecked = settings.broker.encryption is not None and wall_ms < RELEASED_MS
        protocol = MQTTProtocolVersion.MQTTv5 if newest_mqtt else MQTTProtocolVersion.MQTTv311
        self._newest_mqtt = newest_mqtt
        client = _Sleeper(CallbackAPIVersion.VERSION2, settings.site, protocol=protocol, reconnect_on_failure=False)
        client.connect_timeout = _CONNECT_S
        client.username_pw_set(settings.site, password)
        if will is not None:
            client.will_set(self._topics[Leaf.STATUS], will, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        self._client = client
        self._thread = threading.Thread(target=self._run, name=f"uplink-{connection}", daemon=True)

    def start(self) -> None:
        """Begin the attempt; ``Up`` or ``Down`` follows."""
        self._thread.start()

    def publish(self, leaf: Leaf, payload: bytes, *, retain: bool = False) -> int:
        """Hand a message to the library; its packet id. It counts as delivered only once ``Acknowledged`` comes."""
        name, properties = self._topics[leaf], None
        if leaf is Leaf.REPORT and self._newest_mqtt:
            # MQTT 5, 3.3.2.3.4: after the first report two bytes stand for the topic's name.
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.TopicAlias = _REPORT_ALIAS
            if self._aliased:
                name = ""
            self._aliased = True
        return self._client.publish(name, payload, qos=1, retain=retain, properties=properties).mid

    def close(self, why: str) -> None:
        """End it; ``Down`` follows."""
        self._why = self._why or why
        self._client.disconnect()
        if not self._answered.is_set():
            self._ended.set()

    def abandon(self, why: str) -> None:
        """End it without a word to the broker, so that the will speaks; for a connection that hangs."""
        self._why = self._why or why
        self._ended.set()
        sock = self._client.socket()
        if sock is not None:
            # Shutting the socket down wakes the thread; only the thread closes it.
            try:
                getattr(sock, "shutdown")(2)  # noqa: B009 - paho's type of it has no shutdown
            except OSError:
                return

    def wait_closed(self, timeout_s: float) -> None:
        """Let the thread end."""
        self._thread.join(timeout=timeout_s)

    def certificate_fault(self, server_ms: int) -> str | None:
        """With dates unchecked at first: what is wrong with them by the server's time, if anything."""
        if not self.dates_unchecked:
            return None
        sock = self._client.socket()
        if not isinstance(sock, ssl.SSLSocket):
            return None
        certificate = sock.getpeercert()
        authorities = sock.context.get_ca_certs() if self._settings.broker.encryption else []
        now_s = server_ms / 1000
        if certificate and not _valid_at(certificate.get("notBefore"), certificate.get("notAfter"), now_s):
            return f"the broker's certificate is not valid at server time (until {certificate.get('notAfter')})"
        ours = [c for c in authorities if certificate and c.get("subject") == certificate.get("issuer")]
        if ours and not any(_valid_at(c.get("notBefore"), c.get("notAfter"), now_s) for c in ours):
            return "the certificate of the broker's authority is not valid at server time"
        return None

    # --- in the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._encrypt()
            broker = self._settings.broker
            self._client.connect(broker.host, broker.port, keepalive=self._keepalive_s, properties=self._wishes())
            self._wait()
        except ssl.SSLCertVerificationError as err:
            self._why = self._why or f"the broker's certificate is refused: {err.verify_message}"
            self._reason = _word(err)
        except (OSError, ValueError) as err:
            self._why = self._why or f"{self._settings.broker.host}:{self._settings.broker.port}: {err}"
            self._reason = _word(err)
        finally:
            self._client.disconnect()
            self._client.loop_stop()
            self._let_go()
            why = self._why or "the connection ended"
            self._post(Down(self.connection, why, self._try_older, self._says_so, self._reason))

    def _let_go(self) -> None:
        """The client's sockets close with its last reference, which must not have to wait until garbage is collected."""
        client = self._client
        client.on_connect = client.on_subscribe = client.on_disconnect = client.on_publish = client.on_message = None

    def _wishes(self) -> Properties | None:
        if not self._newest_mqtt:
            return None
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = _MAX_PACKET_BYTES
        return properties

    def _wait(self) -> None:
        # The library's own thread does all reading and writing: an SSL socket must not be used by two at once.
        self._client.loop_start()
        if not self._answered.wait(_CONNECT_S) and not self._ended.is_set():
            self._why = self._why or "the broker does not answer"
            self._reason = Reason.TIMEOUT
            return
        self._ended.wait()

    def _encrypt(self) -> None:
        tls = self._settings.broker.encryption
        if tls is None:
            return
        context = ssl.create_default_context(cafile=tls.ca_file)
        if self.dates_unchecked:
            context.verify_flags |= X509_V_FLAG_NO_CHECK_TIME
        self._client.tls_set_context(context)

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._answered.set()
        if reason.is_failure:
            self._try_older = self._says_so = self._newest_mqtt and reason.value == _UNSUPPORTED_VERSION
            self._why = f"the broker refuses the connection: {reason}"
            self._reason = Reason.LOGIN_REFUSED if reason.value in _LOGIN_REFUSED else Reason.REFUSED
            self._ended.set()
            return
        names = self._topics
        client.subscribe([(names[Leaf.RECEIPT], 0), (names[Leaf.CONFIG], 1), (names[Leaf.COMMAND], 1)])

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._why = f"{TOPICS_REFUSED}: {refused[0]}"
            self._ended.set()
        else:
            self._post(Up(self.connection))

    def _on_disconnect(
        self, _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if not self._answered.is_set() and not self._why:
            self._try_older = self._newest_mqtt
            self._answered.set()
        self._why = self._why or f"disconnected: {reason}"
        self._ended.set()

    def _on_publish(self, _client: Client, _data: object, mid: int, reason: ReasonCode, _properties: Properties | None) -> None:
        if reason.is_failure:
            _log.warning("the broker refuses a message: %s", reason)
            return
        self._post(Acknowledged(self.connection, mid))

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        leaf = self._by_topic.get(message.topic)
        if leaf is not None:
            self._post(Received(self.connection, leaf, bytes(message.payload)))


def _word(err: OSError | ValueError) -> Reason:
    if isinstance(err, socket.gaierror):
        return Reason.NAME_NOT_FOUND
    return tls_reason(err) if isinstance(err, OSError) else Reason.PROBE_ERROR


def _valid_at(not_before: object, not_after: object, now_s: float) -> bool:
    if not isinstance(not_before, str) or not isinstance(not_after, str):
        return False
    return ssl.cert_time_to_seconds(not_before) <= now_s <= ssl.cert_time_to_seconds(not_after)
