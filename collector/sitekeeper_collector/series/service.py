"""The thread that feeds the time-series store: follows what has changed, and empties the spool."""

import logging
import threading
from collections.abc import Callable

from sitekeeper_collector.series import spool
from sitekeeper_collector.series.endpoint import Endpoint
from sitekeeper_collector.series.feed import Feed
from sitekeeper_collector.series.health import Health
from sitekeeper_collector.series.spool import Limits
from sitekeeper_collector.series.writer import Writer
from sitekeeper_collector.store.engine import Store
from sitekeeper_collector.store.errors import StoreUnavailable

_log = logging.getLogger("sitekeeper.series")
_PAUSE_S = 1.0
_STOP_S = 30.0
REFRESH_MS = 30_000
HEALTH_MS = 60_000


class SeriesService:
    """``start`` and ``stop``. What can't be sent now stays in the spool; nothing that goes wrong here stops the collector."""

    def __init__(
        self, store: Store, endpoint: Endpoint, feed: Feed, health: Health, limits: Limits, *, wall_ms: Callable[[], int]
    ) -> None:
        self._store, self._endpoint, self._feed, self._health, self._limits = store, endpoint, feed, health, limits
        self._wall_ms = wall_ms
        self._writer = Writer(store, lambda lines: endpoint.post(lines, wall_ms()))
        self._send_ms = self._refresh_ms = self._health_ms = 0
        self._told = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="series", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a post that is under way is waited for, as long as its time limit allows."""
        self._stopping.set()
        self._thread.join(_STOP_S)

    def step(self) -> bool:
        """Do what is due now; whether more is to be done at once."""
        now_ms = self._wall_ms()
        # A clock that was set back must not make us wait until it is where it was.
        if abs(now_ms - self._refresh_ms) >= REFRESH_MS:
            self._feed.refresh(now_ms)
            self._refresh_ms = now_ms
        if abs(now_ms - self._health_ms) >= HEALTH_MS:
            self._look_after(now_ms)
            self._health_ms = now_ms
        followed = self._feed.round(now_ms)
        if 0 <= self._send_ms - now_ms <= HEALTH_MS:
            return followed > 0
        progress = self._writer.round(now_ms)
        # New lines may come at any time; only a store that can't take them is left alone.
        self._send_ms = now_ms + progress.wait_ms if progress.wait_ms and self._writer.refused else 0
        return followed > 0 or (progress.batches > 0 and not progress.wait_ms)

    def _look_after(self, now_ms: int) -> None:
        with self._store.write() as connection:
            line = self._health.line(connection, now_ms)
            spool.add(connection, [] if line is None else [line], now_ms)
            dropped = spool.trim(connection, self._limits, now_ms)
        if dropped:
            _log.error("the series spool has reached its limit: %d lines were dropped, the oldest", dropped)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                if not self._step_safely():
                    self._stopping.wait(_PAUSE_S)
        finally:
            self._endpoint.close()

    def _step_safely(self) -> bool:
        try:
            more = self.step()
        except StoreUnavailable as err:
            self._tell(f"the database can't be used now: {err}")
            return False
        except Exception as err:  # noqa: BLE001 - ingest must go on, and this is tried again
            self._tell(f"writing time series failed, it is tried again: {type(err).__name__}: {err}")
            return False
        self._told = ""
        return more

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            _log.warning("%s", text, exc_info=True)
