"""A real agent on a fast clock for a while, its broker cut and restored, and whether it grows meanwhile."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from support import process_costs
from support.brokers import Broker, TlsFiles, mosquitto
from support.rig import Agent, Collector, rig

SITE = "v0123"
SPEED = 60
CUT_EVERY_S, CUT_S = 60, 10
"""An hour in the field, and ten minutes without a line."""


class Looked(NamedTuple):
    """The agent at one moment; sizes in bytes."""

    at_s: float
    pss: int
    open_files: int
    threads: int


class Soak(NamedTuple):
    """An agent, a broker with TLS, and a collector, all real."""

    agent: Agent
    broker: Broker
    collector: Collector

    def run(self, seconds: float, tell: Callable[[Looked], None] = lambda looked: None) -> list[Looked]:
        """Watch the agent for so long, a look a second, and cut the broker off in each minute of it."""
        looks, begun = [], time.monotonic()
        while (at_s := time.monotonic() - begun) < seconds:
            cut = at_s % CUT_EVERY_S >= CUT_EVERY_S - CUT_S
            if cut and self.broker.running:
                self.broker.kill()
            elif not cut and not self.broker.running:
                self.broker.start()
            assert self.agent.running, f"the agent ended:\n{self.agent.log()[-3000:]}"
            looks.append(_look(at_s, self.agent.pid))
            tell(looks[-1])
            time.sleep(1)
        if not self.broker.running:
            self.broker.start()
        return looks


def _look(at_s: float, pid: int) -> Looked:
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    return Looked(at_s, process_costs.memory(pid).pss, process_costs.open_files(pid), threads)


@contextmanager
def soak(folder: Path, tls: TlsFiles) -> Iterator[Soak]:
    """An agent that lives an hour in a minute, with all that surrounds it, running."""
    with mosquitto(folder / "broker", tls=tls) as broker, rig(folder, broker.port) as county:
        broker_settings = {"host": "127.0.0.1", "port": broker.port, "tls": {"ca_file": str(tls.authority)}}
        collector = county.collector(SITE, broker=broker_settings)
        collector.start()
        agent = county.agent(
            SITE,
            broker=broker_settings,
            media=[county.portal + "film.mp4"],
            players=[{"name": "tv", "kind": "mpv", "socket": "/nonexistent/mpv.sock"}],
            media_interval_s=300 // SPEED,
            sample_interval_s=60 / SPEED,
            report_interval_s=300 / SPEED,
        )
        agent.start()
        yield Soak(agent, broker, collector)


def growth(looks: Sequence[Looked], value: Callable[[Looked], int]) -> float:
    """How much ``value`` grows from the first look to the last, by the straight line that fits best (least squares)."""
    middle_s = sum(look.at_s for look in looks) / len(looks)
    middle = sum(map(value, looks)) / len(looks)
    spread = sum((look.at_s - middle_s) ** 2 for look in looks)
    slope = sum((look.at_s - middle_s) * (value(look) - middle) for look in looks) / spread
    return slope * (looks[-1].at_s - looks[0].at_s)
