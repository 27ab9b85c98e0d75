"""What the service manager is told (sd_notify(3)): ready, alive, stopping, and a line of text; nothing where nobody asked.

One datagram to the socket that ``NOTIFY_SOCKET`` names. The main loop is what beats: a loop that hangs is what the watchdog
is there to end.
"""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from typing import NamedTuple

_MOST_TEXT_BYTES = 400


class Orders(NamedTuple):
    """What the service manager asked for. ``address`` "": nobody asked; ``watchdog_ms`` 0: no watchdog."""

    address: str = ""
    watchdog_ms: int = 0


def orders(environment: MutableMapping[str, str], pid: int) -> Orders:
    """The orders in ``environment`` for process ``pid``. They are taken out: a child must not speak for the agent."""
    address = environment.pop("NOTIFY_SOCKET", "")
    period_us, meant_for = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
    if not address.startswith(("/", "@")):
        return Orders()  # vsock and the like are not spoken here
    ours = meant_for in ("", str(pid)) and period_us.isdigit()
    return Orders(address, int(period_us) // 1000 if ours else 0)


class ServiceManager:
    """The way to the service manager. Without an address every call does nothing; one that fails costs nothing."""

    def __init__(self, given: Orders) -> None:
        self._address = "\0" + given.address[1:] if given.address.startswith("@") else given.address
        # sd_watchdog_enabled(3) recommends half of the period.
        self._beat_ms = given.watchdog_ms // 2
        self._beaten_ms: int | None = None
        self._text = ""

    def ready(self) -> None:
        """The agent runs."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The goodbye begins."""
        self._send("STOPPING=1")

    def told(self, text: str) -> None:
        """Show ``text`` in `systemctl status`; what is shown already is not sent again."""
        if text != self._text:
            self._text = text
            plain = "".join(c if c.isprintable() else "?" for c in text)
            self._send("STATUS=" + plain.encode("utf-8", "replace")[:_MOST_TEXT_BYTES].decode("utf-8", "ignore"))

    def alive(self, now_ms: int) -> None:
        """Beat if half of the watchdog's period has passed; ``now_ms`` is any steady clock."""
        if self._address and self._beat_ms and self.due_ms(now_ms) == 0:
            self._beaten_ms = now_ms
            self._send("WATCHDOG=1")

    def due_ms(self, now_ms: int) -> int | None:
        """How long from ``now_ms`` until the next beat; ``None``: there is no watchdog."""
        if not self._address or not self._beat_ms:
            return None
        return 0 if self._beaten_ms is None else max(0, self._beaten_ms + self._beat_ms - now_ms)

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # A manager that is gone or busy must not take the agent with it; the next beat tries again.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(text.encode(), self._address)


def here() -> ServiceManager:
    """The service manager that started this process, if there is one."""
    return ServiceManager(orders(os.environ, os.getpid()))
