"""amqtt behind a front door: an MQTT 5 CONNECT is refused in words that its sender understands, and nobody lingers there.

amqtt 0.12.1 reads an MQTT 5 CONNECT as one of 3.1.1. With properties in it, the length of the client id comes out wrong, and it
waits for bytes that never come instead of refusing. So the version is looked at before amqtt sees anything.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.errors import AMQTTError, MQTTError, NoDataError
from amqtt.session import Session

CONNECT_S = 10.0
_CONNECT_TYPE = 0x10
_MQTT_5 = 5
_UNSUPPORTED_VERSION_5 = bytes([0x20, 3, 0, 0x84, 0])
"""CONNACK of MQTT 5 (section 3.2): no session, reason 0x84 "Unsupported Protocol Version", no properties."""


class _SteadyDict(dict[str, Any]):
    """A dict that may change while it is walked through.

    amqtt walks its subscriptions and awaits on the way, for each message and for each client that comes. A subscription that
    comes meanwhile would end the walk with a RuntimeError, and with it the message or the client's connection.
    """

    def items(self) -> Any:
        return list(super().items())

    def __iter__(self) -> Iterator[str]:
        return iter(list(super().__iter__()))


class FrontDoorBroker(Broker):  # type: ignore[misc]  # amqtt has no types
    """amqtt with what it lacks at the moment of connecting."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._subscriptions: dict[str, Any] = _SteadyDict()

    @property
    def bound_port(self) -> int:
        """The port that it listens on."""
        return int(self._servers["default"].instance.sockets[0].getsockname()[1])

    async def stream_connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str) -> None:
        """Take a connection to amqtt, unless it speaks MQTT 5 or does not speak at all."""
        # Whatever goes wrong here is about this one connection, whose end is its message.
        with contextlib.suppress(OSError, EOFError, TimeoutError, AMQTTError, MQTTError, NoDataError):
            try:
                head, level = await asyncio.wait_for(_head(reader), CONNECT_S)
                if level == _MQTT_5:
                    writer.write(_UNSUPPORTED_VERSION_5)
                    await writer.drain()
                    return
                await self._client_connected(listener_name, _Resumed(head, reader), StreamWriterAdapter(writer))
            finally:
                writer.close()

    async def _publish_retained_messages_for_subscription(self, subscription: tuple[str, int], session: Session) -> None:
        # When a client connects, amqtt walks over the subscriptions of all clients (`_handle_client_session`), so that a
        # site would be sent the retained status of every other site.
        if await self._topic_filtering(session, subscription[0], Action.SUBSCRIBE):
            await super()._publish_retained_messages_for_subscription(subscription, session)


async def _head(reader: asyncio.StreamReader) -> tuple[bytes, int | None]:
    """The first bytes of a connection, up to the protocol level if it is an MQTT CONNECT (else ``None``)."""
    head = await reader.readexactly(1)
    if head[0] != _CONNECT_TYPE:
        return head, None
    for _ in range(4):  # the remaining length: 7 bits a byte, the 8th says that there is more (section 1.5.5)
        head += await reader.readexactly(1)
        if head[-1] < 0x80:
            break
    name = await reader.readexactly(6)
    head += name
    if name != b"\x00\x04MQTT":
        return head, None
    head += await reader.readexactly(1)
    return head, head[-1]


class _Resumed(StreamReaderAdapter):  # type: ignore[misc]  # amqtt has no types
    """A reader that gives the bytes that were looked at already, then the rest."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self._head = head

    async def read(self, n: int = -1) -> bytes:
        if not self._head:
            return bytes(await super().read(n))
        taken, self._head = (self._head, b"") if n < 0 else (self._head[:n], self._head[n:])
        rest = n - len(taken)
        return taken if rest <= 0 else taken + bytes(await super().read(rest))
