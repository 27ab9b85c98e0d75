"""The least of a collector: takes what agents publish, in memory, and answers with receipts as a test wants them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sitekeeper_protocol import codec, topics
from sitekeeper_protocol.intervals import Intervals
from sitekeeper_protocol.messages import Receipt, Report, Result, RunReceipt, Status
from sitekeeper_protocol.topics import Leaf
from support.wait import wait_until

MAX_RANGES = 16


class County:
    """Subscribed to everything. ``answering`` False: it stores, and says nothing."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.epoch = 7
        self.answering = True
        self.tickets: list[str] = []
        self.server_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
        self.reports: list[Report] = []
        self.statuses: list[Status] = []
        self.results: list[Result] = []
        self.stored: dict[int, Intervals] = {}
        self.subscribed = threading.Event()
        self._connections: set[tuple[str, int]] = set()
        self._lock = threading.RLock()
        client.on_connect = self._subscribe
        client.on_subscribe = lambda *_: self.subscribed.set()
        client.on_message = lambda _client, _data, message: self._take(message)

    def _subscribe(
        self, client: Client, _data: object, _flags: ConnectFlags, _reason: ReasonCode, _properties: Properties | None
    ) -> None:
        client.subscribe("sk/v1/#", qos=1)

    def send(self, site: str, leaf: Leaf, payload: bytes, area: str = "lab") -> None:
        """Publish to an agent, and wait until the broker has it."""
        self.client.publish(topics.topic(area, site, leaf), payload, qos=1).wait_for_publish(timeout=30)

    def samples(self) -> list[tuple[int, int]]:
        """(run, sequence) of every sample received, repeats included, in the order of arrival."""
        with self._lock:
            return [(report.header.run, sample.sequence) for report in self.reports for sample in report.samples]

    def wait_for(self, condition: "Callable[[County], object]", what: str, timeout_s: float = 60) -> None:
        """Until ``condition`` of this county holds."""

        def holds() -> bool:
            with self._lock:
                return bool(condition(self))

        wait_until(holds, what, timeout_s)

    def _take(self, message: MQTTMessage) -> None:
        address, payload = topics.parse(message.topic), bytes(message.payload)
        with self._lock:
            if address.leaf is Leaf.STATUS:
                self.statuses.append(codec.decode_status(payload))
            elif address.leaf is Leaf.RESULT:
                self.results.append(codec.decode_result(payload))
            elif address.leaf is Leaf.REPORT:
                self._report(address, codec.decode_report(payload))

    def _report(self, address: topics.Address, report: Report) -> None:
        header = report.header
        self.reports.append(report)
        seen = self.stored.setdefault(header.run, Intervals())
        if header.oldest > 1:
            seen.add(1, header.oldest - 1)
        if header.count:
            seen.add(header.first, header.last)
        for drop in report.drops:
            self.stored.setdefault(drop.run, Intervals()).add(drop.first, drop.last)
        connection = (address.site, header.connection)
        complete = connection not in self._connections
        if self.answering and (complete or header.wants_receipt):
            self._connections.add(connection)
            receipt = Receipt(
                1, self.epoch, header.run, header.number, self.server_ms(), self._told(), True, tickets=self.tickets
            )
            self.client.publish(topics.topic(address.area, address.site, Leaf.RECEIPT), codec.encode(receipt))

    def _told(self) -> list[RunReceipt]:
        return [
            RunReceipt(run, seen.through, [span for span in seen if span[0] > 1][:MAX_RANGES])
            for run, seen in self.stored.items()
        ]


@contextmanager
def county_at(port: int, *, authority: str | None = None, newest_mqtt: bool = True) -> Iterator[County]:
    """A county connected to the broker on ``port``."""
    protocol = MQTTProtocolVersion.MQTTv5 if newest_mqtt else MQTTProtocolVersion.MQTTv311
    client = Client(CallbackAPIVersion.VERSION2, "county", protocol=protocol)
    county = County(client)
    host = "127.0.0.1"
    if authority is not None:
        client.tls_set(ca_certs=authority)
        host = "localhost"
    wait_until(lambda: _connects(client, host, port), "the county reaches the broker")
    client.loop_start()
    try:
        wait_until(county.subscribed.is_set, "the county is subscribed")
        yield county
    finally:
        client.disconnect()
        client.loop_stop()


def _connects(client: Client, host: str, port: int) -> bool:
    try:
        client.connect(host, port)
    except OSError:
        return False
    return True
