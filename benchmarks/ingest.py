"""CPU seconds of collector and broker for 100,000 samples that come in as reports of five. `make bench` runs it.

A real mosquitto, a real collector on SQLite, and one publisher that plays all sites, over loopback. Counted is what the kernel
has charged to the two processes, from the first report to the last stored sample (``--series``: to the last written line).
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

import typical

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from sitekeeper_protocol import codec, topics
from sitekeeper_protocol.messages import Clock
from support.brokers import mosquitto
from support.rig import AREA, Collector, rig
from support.series_stores import victoria_metrics
from support.wait import wait_until

SAMPLES_A_REPORT = 5


def cpu_s(pid: int) -> float:
    """User and system time that a process has used so far (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def payloads(sites: int, rounds: int) -> Iterator[tuple[str, bytes]]:
    """Topic and report of every site in turn, ``rounds`` times. What each PC measures differs; ten PCs stand for all."""
    pcs = [list(islice(typical.samples(random.Random(kind)), rounds * SAMPLES_A_REPORT)) for kind in range(10)]
    # As nearly all agents: each knows its clock by a round trip, and its samples were taken in the last hours.
    long_ago_ms = time.time_ns() // 1_000_000 - rounds * SAMPLES_A_REPORT * 60_000 - 60_000
    clocks = [Clock(long_ago_ms - pc[0].boottime_ms, 38) for pc in pcs]
    runs = [random.Random(site).randrange(1, 2**63) for site in range(sites)]
    for number in range(rounds):
        for site in range(sites):
            name = f"v{site:05}"
            taken = tuple(pcs[site % 10][number * SAMPLES_A_REPORT : (number + 1) * SAMPLES_A_REPORT])
            made = typical.report(taken, site=name, run=runs[site], boot=runs[site] % (2**32 - 1) + 1, number=number + 1)
            made = replace(made, clock=clocks[site % 10])
            yield topics.topic(AREA, name, topics.Leaf.REPORT), codec.encode_report(made)


def stored(collector: Collector) -> int:
    return int(collector.rows("SELECT count(*) FROM samples")[0][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--series", action="store_true", help="also write time series, to a real VictoriaMetrics")
    options = parser.parse_args()
    rounds = max(1, options.samples // SAMPLES_A_REPORT // options.sites)
    total = rounds * options.sites * SAMPLES_A_REPORT
    messages = list(payloads(options.sites, rounds))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ExitStack() as stack:
            broker = stack.enter_context(mosquitto(folder / "broker"))
            county = stack.enter_context(rig(folder, broker.port))
            more: dict[str, Any] = {}
            if options.series:
                victoria = stack.enter_context(victoria_metrics(folder / "victoria"))
                more = {"series": {"flavour": "victoria", "url": victoria.url}}
            collector = county.collector(*(f"v{site:05}" for site in range(options.sites)), **more)
            collector.start()
            publisher = Client(CallbackAPIVersion.VERSION2, "publisher", protocol=MQTTv5)
            publisher.connect("127.0.0.1", broker.port)
            publisher.loop_start()
            wait_until(lambda: "subscribed" in collector.log(), f"the collector listens\n{collector.log()}", 60)
            before = cpu_s(collector.pid), cpu_s(broker.pid)
            for topic, payload in messages:
                publisher.publish(topic, payload, qos=1)
            wait_until(lambda: stored(collector) >= total, "all samples are stored", 600, every_s=0.5)
            if options.series:
                wait_until(lambda: not collector.rows("SELECT id FROM series_spool"), "all lines are written", 600, every_s=0.5)
            used = cpu_s(collector.pid) - before[0], cpu_s(broker.pid) - before[1]
            publisher.disconnect()
            publisher.loop_stop()
            assert stored(collector) == total
            size = collector.database.stat().st_size / total
    per = 100_000 / total
    print(f"{total:,} samples of {options.sites:,} sites, {SAMPLES_A_REPORT} a report")
    print(f"collector   {used[0] * per:6.2f} CPU-s per 100,000 samples")
    print(f"mosquitto   {used[1] * per:6.2f} CPU-s per 100,000 samples")
    print(f"database    {size:6.0f} bytes a sample")


if __name__ == "__main__":
    main()
