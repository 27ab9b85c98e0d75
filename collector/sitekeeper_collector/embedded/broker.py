"""An amqtt broker in a thread of this process, on the loopback address only. ``docs/decisions/004-embedded-broker.md``."""

import asyncio
import logging
import queue
import threading
from pathlib import Path

from amqtt.errors import AMQTTError, BrokerError, PluginError

from sitekeeper_collector.embedded import EmbeddedBrokerError
from sitekeeper_collector.embedded.front_door import FrontDoorBroker

HOST = "127.0.0.1"
_START_S = 20.0
_STOP_S = 15.0


class EmbeddedBroker:
    """A broker that ``start`` brings up and ``stop`` takes away; it may be started again, on the same port.

    ``folder`` holds the passwords as ``broker.folder`` lays them out. ``port`` 0 takes a free one at the first start. What it
    has queued or retained is lost whenever it stops: receipts, not the broker, make sure that nothing of a site is.
    """

    def __init__(self, folder: Path, *, collector: str = "collector", port: int = 0) -> None:
        self.port = port
        self._folder = folder
        self._collector = collector
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started: queue.Queue[Exception | None] = queue.Queue()

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Listen. Returns once it does; raises ``EmbeddedBrokerError`` if it can't."""
        if self.running:
            return
        # amqtt logs each lost connection as an error with a traceback; what matters of it is raised or shows in receipts.
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._started = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="embedded-broker", daemon=True)
        self._thread.start()
        try:
            failure = self._started.get(timeout=_START_S)
        except queue.Empty:
            raise EmbeddedBrokerError(f"the embedded broker did not start within {_START_S:g} s") from None
        if failure is not None:
            self._thread.join(_STOP_S)
            raise EmbeddedBrokerError(f"the embedded broker can't listen on {HOST}:{self.port}: {failure}") from failure

    def stop(self) -> None:
        """Close all connections and the port. Does nothing if it does not run."""
        if self._thread is None:
            return
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOP_S)
        if self._thread.is_alive():
            raise EmbeddedBrokerError(f"the embedded broker did not stop within {_STOP_S:g} s")
        self._thread = None

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (AMQTTError, BrokerError, PluginError, OSError) as err:
            self._started.put(err)

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        broker = FrontDoorBroker(self._config())
        await broker.start()
        self.port = broker.bound_port
        self._started.put(None)
        await self._stopping.wait()
        try:
            await asyncio.wait_for(broker.shutdown(), _STOP_S / 2)
        except TimeoutError:
            # A connection that never ends holds the listener open; the end of the loop cuts it off.
            logging.getLogger(__name__).warning("the embedded broker's connections did not end; cut off")

    def _config(self) -> dict[str, object]:
        here = "sitekeeper_collector.embedded.plugin"
        return {
            "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{self.port}"}},
            "plugins": {
                f"{here}.FolderLogin": {"folder": str(self._folder), "collector": self._collector},
                f"{here}.OwnTopics": {"collector": self._collector},
            },
        }
