"""The loopback port of the page: few connections at a time, each with a deadline; what serves them is loaded with the first."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from sitekeeper_agent.config import Settings
from sitekeeper_agent.sitepage.allowance import Allowance
from sitekeeper_agent.sitepage.board import Asked, Board

if TYPE_CHECKING:
    from sitekeeper_agent.sitepage.visit import Reception

_log = logging.getLogger("sitekeeper.sitepage")

LOOPBACK = "127.0.0.1"
AT_ONCE = 6
"""Connections that are served at a time, as many as a browser opens to one server."""
_BURST, _EVERY_MS = 60, 100
_BACKLOG = 16


class Door:
    """Listens from the start, in one thread that waits."""

    def __init__(self, listener: socket.socket, settings: Settings, board: Board, post: Callable[[Asked], None]) -> None:
        self._listener, self._settings = listener, settings
        self._board, self._post = board, post
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._reception: Reception | None = None
        self._loading = threading.Lock()
        self._closed = False
        self._trouble = ""
        threading.Thread(target=self._stand, name="sitepage", daemon=True).start()

    def follow(self, settings: Settings) -> None:
        """Speak by these settings from the next visit on."""
        with self._loading:
            self._settings = settings
            if self._reception is not None:
                self._reception.follow(settings)

    def close(self) -> None:
        """Listen no longer. Whoever is being served has his few seconds."""
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _stand(self) -> None:
        allowed = Allowance.full(_BURST, _EVERY_MS, _steady_ms())
        while True:
            # Those who come too often wait in the system's own short queue, which drops the rest.
            while (left := allowed.spend(_steady_ms())) is None:
                time.sleep(_EVERY_MS / 1000)
            allowed = left
            self._places.acquire()
            try:
                connection, _ = self._listener.accept()
            except OSError as err:
                self._places.release()
                if self._closed:
                    return
                self._note(f"no visitor can be let in: {err.strerror}")
                time.sleep(1.0)
                continue
            threading.Thread(target=self._serve, args=(connection,), name="sitepage-visit", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._received().serve(connection)
        except Exception as err:  # noqa: BLE001 - a visit that fails costs one page, not the agent
            self._note(f"a visit to the page failed: {type(err).__name__}: {err}"[:200])
        finally:
            self._places.release()

    def _received(self) -> "Reception":
        with self._loading:
            if self._reception is None:
                from sitekeeper_agent.sitepage.visit import Reception

                self._reception = Reception(self._settings, self._board, self._post)
            return self._reception

    def _note(self, trouble: str) -> None:
        if trouble != self._trouble:
            _log.warning("%s", trouble)
        self._trouble = trouble


def open_door(settings: Settings, board: Board, post: Callable[[Asked], None]) -> Door | None:
    """Listen on the page's port; ``None`` if it is turned off or can't be had, which must not keep the agent from its work."""
    if not settings.site_page.enabled:
        return None
    try:
        listener = socket.create_server((LOOPBACK, settings.site_page.port), backlog=_BACKLOG)
    except OSError as err:
        _log.warning("no page at %s:%d: %s", LOOPBACK, settings.site_page.port, err.strerror)
        return None
    _log.info("the page of this site is at http://%s:%d/", LOOPBACK, settings.site_page.port)
    return Door(listener, settings, board, post)


def _steady_ms() -> int:
    return time.monotonic_ns() // 1_000_000
