"""The console's web server, in a thread of the collector."""

import logging
import secrets
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvicorn
from sqlalchemy import insert, select

from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.notify.view import CHINA_MIN
from sitekeeper_collector.store.engine import Store
from sitekeeper_collector.store.tables import meta
from sitekeeper_collector.watch.desk import Desk
from sitekeeper_collector.web import accounts
from sitekeeper_collector.web.app import create_app, hardened

if TYPE_CHECKING:
    from sitekeeper_collector.embedded.mail_catcher import MailCatcher

_log = logging.getLogger("sitekeeper.console")
_SECRET = "console_secret"  # noqa: S105 - the name of the row, not the secret
_START_S, _STOP_S = 20.0, 10.0


class ConsoleError(Exception):
    """The console can't be served; the text says why."""


class ConsoleServer:
    """Serves the console from ``start`` to ``stop``. ``port`` 0 takes a free one.

    ``desk`` writes what is done to tickets (without one: a desk that owes no mails); with a ``catcher`` its mails are shown.
    """

    def __init__(
        self,
        store: Store,
        *,
        host: str,
        port: int,
        wall_ms: Callable[[], int],
        blind_after_s: float,
        https: bool = False,
        desk: Desk | None = None,
        rules: Rules | None = None,
        utc_offset_min: int = CHINA_MIN,
        catcher: "MailCatcher | None" = None,
    ) -> None:
        self.host, self.port = host, port
        self.first_password: str | None = None
        """Set after ``start`` if the first user was made just now: to be told once, and nowhere else."""
        self._store, self._wall_ms, self._blind_after_s, self._https = store, wall_ms, blind_after_s, https
        self._desk, self._rules, self._utc_offset_min, self._catcher = desk, rules, utc_offset_min, catcher
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    def welcome(self) -> str:
        """What to tell whoever has started it for the first time."""
        return (
            f"The console's first user is {accounts.FIRST_USER!r}, the password {self.first_password}\n"
            "It is not shown again. To set another one: sitekeeper-collector users password"
        )

    def start(self) -> None:
        """Listen. Raises ``ConsoleError`` if the address can't be had."""
        with self._store.write() as connection:
            secret = connection.execute(select(meta.c.value).where(meta.c.name == _SECRET)).scalar_one_or_none()
            if secret is None:
                secret = secrets.token_urlsafe(32)
                connection.execute(insert(meta).values(name=_SECRET, value=secret))
            self.first_password = accounts.ensure_first_user(connection, self._wall_ms())
        app = create_app(
            self._store,
            secret,
            wall_ms=self._wall_ms,
            blind_after_s=self._blind_after_s,
            https=self._https,
            desk=self._desk,
            rules=self._rules,
            utc_offset_min=self._utc_offset_min,
            catcher=self._catcher,
        )
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self.host, self.port))
        except OSError as err:
            listening.close()
            raise ConsoleError(f"the console can't listen on {self.host}:{self.port}: {err.strerror}") from err
        listening.listen(128)  # from now on whoever connects is served, if a moment later
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(
            hardened(app),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=3,
            limit_concurrency=200,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name="console", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port and wait for the thread."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(_STOP_S)
        self._thread = None
