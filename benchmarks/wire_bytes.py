"""What a site costs its line in a day: every byte of IP in both directions, counted by the kernel. `make bench` runs it.

A day of a typical PC (1,440 samples, 288 reports) goes over TLS 1.3 to a real mosquitto and is answered by a real collector:
connections with their handshakes, birth, reports, acknowledgements, an hourly receipt, keepalives and re-connections. nftables
counts at the port, in a network namespace that this program makes for itself; nothing leaves the machine.
"""

import argparse
import json
import os
import random
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from itertools import islice
from pathlib import Path

import trustme
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

import typical

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from sitekeeper_protocol import WIRE_VERSION, codec, topics
from sitekeeper_protocol.messages import Presence, Report, Status
from sitekeeper_protocol.topics import Leaf
from support.brokers import mosquitto
from support.rig import AREA, rig
from support.wait import wait_until

SITE = "v0123"
TLS_PORT, PLAIN_PORT = 8883, 1883
REPORTS, SAMPLES_A_REPORT, REPORTS_AN_HOUR = 288, 5, 12
_INSIDE = "--inside-namespace"

_RULES = f"""
table inet sitekeeper {{
    counter up {{}}
    counter down {{}}
    chain out {{
        type filter hook output priority 0;
        tcp dport {TLS_PORT} counter name up
        tcp sport {TLS_PORT} counter name down
    }}
}}
"""


def counted() -> tuple[int, int]:
    """IP bytes and packets that crossed the broker's TLS port so far, both ways."""
    listing = json.loads(subprocess.run(["nft", "-j", "list", "counters"], check=True, capture_output=True).stdout)
    counters = [entry["counter"] for entry in listing["nftables"] if "counter" in entry]
    return sum(c["bytes"] for c in counters), sum(c["packets"] for c in counters)


class Site:
    """The sending half of an agent, on a fast clock: same library, same options, same messages."""

    def __init__(self, authority: Path, run: int) -> None:
        self._authority, self._run = authority, run
        self._connection = 0
        self._client: Client | None = None
        self._receipts = threading.Semaphore(0)

    def connect(self) -> None:
        self._connection += 1
        client = Client(CallbackAPIVersion.VERSION2, SITE, protocol=MQTTv5)
        client.tls_set_context(ssl.create_default_context(cafile=str(self._authority)))
        client.will_set(self._topic(Leaf.STATUS), self._status(Presence.LOST), qos=1, retain=True)
        ready = threading.Event()
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = lambda *_: self._receipts.release()
        client.connect("localhost", TLS_PORT, keepalive=360)
        client.loop_start()
        client.subscribe([(self._topic(Leaf.RECEIPT), 0), (self._topic(Leaf.CONFIG), 1), (self._topic(Leaf.COMMAND), 1)])
        assert ready.wait(30), "no answer to SUBSCRIBE"
        self._client = client
        self._publish(Leaf.STATUS, self._status(Presence.ONLINE), retain=True)

    def disconnect(self) -> None:
        """The line breaks: no goodbye, as in the field."""
        assert self._client is not None
        connection = self._client.socket()
        assert connection is not None
        connection.close()
        self._client.loop_stop()

    def send(self, report: Report) -> None:
        self._publish(Leaf.REPORT, codec.encode_report(report))
        if report.header.wants_receipt:
            assert self._receipts.acquire(timeout=30), "no receipt"
        # Longer than the kernel's delayed acknowledgement (40 ms), so that none is saved that the field would pay for.
        time.sleep(0.06)

    @property
    def connection(self) -> int:
        return self._connection

    def _publish(self, leaf: Leaf, payload: bytes, *, retain: bool = False) -> None:
        assert self._client is not None
        self._client.publish(self._topic(leaf), payload, qos=1, retain=retain).wait_for_publish(30)

    def _status(self, presence: Presence) -> bytes:
        return codec.encode(Status(WIRE_VERSION, presence, self._run, self._connection))

    @staticmethod
    def _topic(leaf: Leaf) -> str:
        return topics.topic(AREA, SITE, leaf)


def day(site: Site, connections: int, run: int) -> list[tuple[str, int]]:
    """Send a day in ``connections`` pieces; bytes and their purpose."""
    from msgspec.structs import replace

    samples = typical.samples(random.Random(1))
    spent = {"connections": 0, "reports": 0, "reports that ask for a receipt, with it": 0}
    each = REPORTS // connections
    for number in range(REPORTS):
        begun = counted()[0]
        if number % each == 0 and number // each < connections:
            if number:
                site.disconnect()
            site.connect()
            spent["connections"] += counted()[0] - begun
            begun = counted()[0]
        made = typical.report(tuple(islice(samples, SAMPLES_A_REPORT)), site=SITE, run=run, boot=77_777_777, number=number + 1)
        asks = number % REPORTS_AN_HOUR == 0 or number % each == 0
        site.send(replace(made, header=replace(made.header, wants_receipt=asks, connection=site.connection)))
        spent["reports that ask for a receipt, with it" if asks else "reports"] += counted()[0] - begun
    return list(spent.items())


def measure(connections: int) -> None:
    """Print what a day costs, by purpose."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["nft", "-f", "-"], input=_RULES.encode(), check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        leaf = authority.issue_cert("localhost")
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        config = f"""
            per_listener_settings false
            allow_anonymous true
            listener {PLAIN_PORT} 127.0.0.1
            listener {TLS_PORT} 127.0.0.1
            certfile {folder}/server.pem
            keyfile {folder}/server.pem
        """
        with (
            mosquitto(folder / "broker", config_text=config, port=PLAIN_PORT) as broker,
            rig(folder, broker.port) as county,
        ):
            collector = county.collector(SITE)
            collector.start()
            wait_until(lambda: "subscribed" in collector.log(), f"the collector listens\n{collector.log()}", 60)
            run = 2**62 + 12_345
            site = Site(folder / "ca.pem", run)
            spent = day(site, connections, run)
            wait_until(lambda: collector.count(SITE) == REPORTS * SAMPLES_A_REPORT, "the whole day is stored", 60)
            site.disconnect()
    total = sum(size for _, size in spent)
    print(f"One site, one day: 1,440 samples of 41 series, {REPORTS} reports, {connections} connections, TLS 1.3, all IP bytes")
    for purpose, size in spent:
        print(f"{purpose:42}{size / 1000:8.1f} kB")
    print(f"{'in all':42}{total / 1000:8.1f} kB a day (target 150, stretch 110)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=4, help="connections made in the day (default 4)")
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside_namespace:
        measure(options.connections)
        return
    namespace = ["unshare", "--net"] if os.getuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    sys.exit(subprocess.run([*namespace, sys.executable, *sys.argv, _INSIDE]).returncode)


if __name__ == "__main__":
    main()
