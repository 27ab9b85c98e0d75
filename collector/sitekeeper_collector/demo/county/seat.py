"""A simulated site at the selector: carries messages between the pure site and its connection."""

import selectors
import socket

from sitekeeper_collector.demo.county.wire import Acknowledged, Down, Happening, Link, Received, Up
from sitekeeper_collector.simulate.conditions import Condition
from sitekeeper_collector.simulate.pace import Pace
from sitekeeper_collector.simulate.site import Moment, SimSite
from sitekeeper_protocol import WIRE_VERSION, codec
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.messages import Result, ResultState
from sitekeeper_protocol.topics import Leaf

_FAR_MS = 3_600_000
_CONNECT_MS = 10_000
_GOODBYE_MS = 2_000


class Seat:
    """A site and what it is connected by. Used by one thread."""

    def __init__(self, site: SimSite, *, area: str, password: str | None, pace: Pace) -> None:
        self.site = site
        self._area, self._password, self._pace = area, password, pace
        self._link: Link | None = None
        self._watched: tuple[socket.socket, int] | None = None
        """The socket that the selector has, and what for."""
        self._abandoned: list[Link] = []
        """Cut off without a word: still open, so that the broker hears nothing of it, until the site is back."""
        self._since_ms = 0
        self._waiting: dict[int, int] = {}
        """Packet id to the time of sending, while the broker has not acknowledged it."""
        self._leaves_ms: int | None = None
        """Until when a site that shuts down waits for its goodbye to arrive."""

    # --- what happens to the site --------------------------------------------------------------------------------------

    def enter(self, condition: Condition, now: Moment) -> None:
        """From now on ``condition`` holds; a proper shutdown first says goodbye."""
        if self._leaves_ms is not None:
            self._go_dark(now)
        if condition is Condition.SHUT_DOWN and self.site.alive:
            self.site.say_goodbye(now)
            if self.site.connected:
                self._leaves_ms = now.steady_ms + _GOODBYE_MS
                self._send(now)
                self._publish(Leaf.STATUS, self.site.goodbye(now), now, retain=True)
                return
        if not condition.has_line:
            self._abandon()
        self.site.enter(condition, now)

    def _go_dark(self, now: Moment) -> None:
        """The goodbye is said, or there is no more time for it: the PC is off."""
        self._leaves_ms = None
        if self._link is not None:
            self._link.say_disconnect()
            self._abandon()
        self.site.enter(Condition.SHUT_DOWN, now)

    def _abandon(self) -> None:
        """The line or the power is gone: nothing more is said, heard, or acknowledged."""
        if self._link is not None:
            self._abandoned.append(self._link)
            self._link = None
        self._waiting.clear()

    # --- the thread's turns --------------------------------------------------------------------------------------------

    def due_ms(self, now_ms: int) -> int:
        """When ``turn`` has something to do, by the steady clock; connections that bring something come by themselves."""
        if self._leaves_ms is not None:
            return self._leaves_ms if self._waiting else now_ms
        dues = [self.site.due_ms(), self.site.connect_due_ms() if self._link is None else None]
        dues.append(self.site.send_due_ms(now_ms))
        return min((due for due in dues if due is not None), default=now_ms + _FAR_MS)

    def turn(self, selector: selectors.BaseSelector, address: tuple[str, int], now: Moment) -> None:
        """Do what is due: sample, connect, send, leave."""
        if self._leaves_ms is not None:
            if not self._waiting or now.steady_ms >= self._leaves_ms:
                self._go_dark(now)
        else:
            self.site.step(now)
            connect_ms = self.site.connect_due_ms()
            if self._link is None and connect_ms is not None and now.steady_ms >= connect_ms:
                self._connect(address, now)
            self._send(now)
        self._settle(selector, now)

    def serve(self, selector: selectors.BaseSelector, mask: int, now: Moment) -> None:
        """The socket is ready."""
        if self._link is None:
            return
        if mask & selectors.EVENT_READ:
            self._link.read()
        if mask & selectors.EVENT_WRITE and self._link.socket is not None:
            self._link.write()
        self._settle(selector, now)

    def tick(self, selector: selectors.BaseSelector, now: Moment) -> None:
        """Once a second: keep the connection alive, and give up one that hangs."""
        if self._link is None:
            return
        self._link.tick()
        puback_ms = round(self._pace.puback_s * 1000)
        hangs = any(now.steady_ms - sent_ms > puback_ms for sent_ms in self._waiting.values())
        if hangs or (not self.site.connected and now.steady_ms - self._since_ms > _CONNECT_MS):
            self._link.happenings.append(Down("the broker does not answer"))
        self._settle(selector, now)

    def close(self, selector: selectors.BaseSelector) -> None:
        """Let go of all connections, without a word."""
        self._abandon()
        self._watch(selector)
        self._close_abandoned()

    # --- the connection ------------------------------------------------------------------------------------------------

    def _connect(self, address: tuple[str, int], now: Moment) -> None:
        will = self.site.attempt(now)
        if not self.site.condition.has_line:
            self.site.went_down(now)  # it tries, and the line is dead
            return
        link = Link(
            area=self._area,
            site=self.site.site,
            password=self._password,
            will=will,
            keepalive_s=self._pace.keepalive_s,
        )
        try:
            link.open(*address)
        except OSError:
            link.close()
            self.site.went_down(now)
            return
        self._link, self._since_ms = link, now.steady_ms

    def _send(self, now: Moment) -> None:
        while self._link is not None and (report := self.site.outgoing(now)) is not None:
            self._publish(Leaf.REPORT, report.payload, now)

    def _publish(self, leaf: Leaf, payload: bytes, now: Moment, *, retain: bool = False) -> None:
        if self._link is not None:
            self._waiting[self._link.publish(leaf, payload, retain=retain)] = now.steady_ms

    def _settle(self, selector: selectors.BaseSelector, now: Moment) -> None:
        """Work in what the connection has brought, then let the selector watch what there is to watch."""
        while self._link is not None and self._link.happenings:
            self._handle(self._link.happenings.pop(0), now)
        self._watch(selector)

    def _handle(self, happening: Happening, now: Moment) -> None:
        if isinstance(happening, Up):
            self._close_abandoned()
            self._publish(Leaf.STATUS, self.site.came_up(now), now, retain=True)
            self._send(now)
        elif isinstance(happening, Acknowledged):
            self._waiting.pop(happening.mid, None)
        elif isinstance(happening, Down):
            link, self._link = self._link, None
            if link is not None:
                link.close()
            self._waiting.clear()
            self.site.went_down(now)
        else:
            self._received(happening, now)

    def _received(self, message: Received, now: Moment) -> None:
        if message.leaf is Leaf.RECEIPT:
            self.site.received(message.payload, now)
            self._send(now)
        elif message.leaf is Leaf.COMMAND:
            try:
                command = codec.decode_command(message.payload)
            except ProtocolError:
                return
            text = "a simulated site carries out no commands"
            result = Result(WIRE_VERSION, command.id, command.name, ResultState.REFUSED, now.wall_ms, text=text)
            self._publish(Leaf.RESULT, codec.encode(result), now)

    def _watch(self, selector: selectors.BaseSelector) -> None:
        link = self._link
        wanted: tuple[socket.socket, int] | None = None
        if link is not None and link.socket is not None:
            wanted = link.socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if link.wants_write else 0)
        if wanted == self._watched:
            return
        if self._watched is not None and wanted is not None and self._watched[0] is wanted[0]:
            selector.modify(wanted[0], wanted[1], self)
        else:
            if self._watched is not None:
                selector.unregister(self._watched[0])
            if wanted is not None:
                selector.register(wanted[0], wanted[1], self)
        self._watched = wanted

    def _close_abandoned(self) -> None:
        while self._abandoned:
            self._abandoned.pop().close()
