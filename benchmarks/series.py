"""What it costs to write time series: our lines against influxdb-client's points and its batching mode. `make bench` runs it.

The same reports become the same points by each way, and go to a real InfluxDB (behind an nginx that has the v2 endpoint) or a
real VictoriaMetrics. Counted is what the kernel charges to this process, the client, for reports that are opened already.
"""

import argparse
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write.point import Point
from influxdb_client.client.write_api import SYNCHRONOUS, WriteOptions
from influxdb_client.domain.write_precision import WritePrecision

import typical

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from sitekeeper_collector.series import spool
from sitekeeper_collector.series.endpoint import Endpoint
from sitekeeper_collector.series.lines import Said, Targets, Whereabouts, sample_lines
from sitekeeper_collector.series.schema import PLACES
from sitekeeper_collector.series.writer import Outcome, Writer
from sitekeeper_collector.store.engine import open_store
from sitekeeper_protocol.codec import encode_report, open_report
from sitekeeper_protocol.opened import OpenedReport
from sitekeeper_protocol.vocabulary import METRICS, Metric
from support.series_stores import BUCKET, RealStore, influxdb, victoria_metrics

SAMPLES_A_REPORT = 5
ROUNDS = 10
_STEPS = {int(metric): METRICS[metric].step for metric in Metric}
Opened = tuple[Whereabouts, OpenedReport, list[int | None]]


def cpu_s() -> float:
    """User and system time of this process, all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def opened(reports: int, seed: int) -> list[Opened]:
    """Reports, ten of each site in turn, opened, with the times of their samples."""
    sites = max(1, reports // ROUNDS)
    sources = [typical.samples(random.Random(number)) for number in range(sites)]
    begin_ms = time.time_ns() // 1_000_000 - ROUNDS * SAMPLES_A_REPORT * 60_000
    made: list[Opened] = []
    for number in range(reports):
        at, site = number // sites * SAMPLES_A_REPORT, number % sites
        name, taken = f"v{seed}{site:05}", tuple(islice(sources[site], SAMPLES_A_REPORT))
        report = open_report(encode_report(typical.report(taken, site=name, run=site + 1, boot=1, number=number + 1)))
        where = Whereabouts(name, "Anxi", f"township {site % 20}", f"olt{site % 50}")
        made.append((where, report, [begin_ms + 60_000 * (at + place) for place in range(SAMPLES_A_REPORT)]))
    return made


def points(given: Opened) -> list[Point]:
    """The points of a report, as influxdb-client wants them."""
    where, report, times = given
    found: dict[tuple[str, str, int], Point] = {}
    keys = report.keys()
    for code, instance in keys:
        place = PLACES.get(code)
        if place is None:
            continue
        for at, integer in enumerate(report.series((code, instance))):
            if integer is None:
                continue
            key = (place.measurement.name, instance, at)
            point = found.get(key)
            if point is None:
                point = found[key] = Point(place.measurement.name)  # type: ignore[no-untyped-call]
                point.time((times[at] or 0) * 1_000_000, WritePrecision.NS)  # type: ignore[no-untyped-call]
                for name, value in (*where._asdict().items(), ("target", instance)):
                    point.tag(name, value)  # type: ignore[no-untyped-call]
            point.field(place.field, float(round(integer * _STEPS[code], 6)))  # type: ignore[no-untyped-call]
    return list(found.values())


def by_points(store: RealStore, given: Sequence[Opened]) -> int:
    count = 0
    with InfluxDBClient(store.url, token="", org="x") as client, client.write_api(write_options=SYNCHRONOUS) as api:
        for at in range(0, len(given), 40):
            batch = [point for one in given[at : at + 40] for point in points(one)]
            api.write(bucket=BUCKET, record=batch)
            count += len(batch)
    return count


def by_batching(store: RealStore, given: Sequence[Opened]) -> int:
    count = 0
    options = WriteOptions(batch_size=5000, flush_interval=60_000)
    with InfluxDBClient(store.url, token="", org="x") as client, client.write_api(write_options=options) as api:
        for one in given:
            record = points(one)
            api.write(bucket=BUCKET, record=record)
            count += len(record)
    return count


class Ours:
    """Lines, and the writer with the durable spool before it, as the collector has them; a hundred reports at a time."""

    def __init__(self, folder: Path, *, slowly: bool, spooled: bool) -> None:
        self._own = open_store(f"sqlite:///{folder}/own-{slowly}-{spooled}.db")
        self._targets, self._said, self._spooled = Targets(), Said() if slowly else None, spooled

    def __call__(self, store: RealStore, given: Sequence[Opened]) -> int:
        endpoint, count = Endpoint(url=store.url, bucket=BUCKET), 0
        writer = Writer(self._own, lambda lines: endpoint.post(lines, time.time_ns() // 1_000_000))
        for at in range(0, len(given), 100):
            lines = [line for one in given[at : at + 100] for line in sample_lines(*one, self._targets, self._said)]
            count += len(lines)
            now_ms = time.time_ns() // 1_000_000
            if not self._spooled:
                assert endpoint.post(b"\n".join(lines), now_ms).outcome is Outcome.STORED
                continue
            with self._own.write() as connection:
                spool.add(connection, lines, now_ms)
            assert writer.round(now_ms).rejected == 0
        endpoint.close()
        with self._own.read() as connection:
            assert spool.waiting(connection).batches == 0
        self._own.close()
        return count


def measure(store: RealStore, name: str, write: Callable[[RealStore, Sequence[Opened]], int], given: Sequence[Opened]) -> float:
    before, began = cpu_s(), time.monotonic()
    lines = write(store, given)
    used, wall = cpu_s() - before, time.monotonic() - began
    per = used * 100_000 / len(given)
    print(f"  {name:28} {per:8.1f} CPU-s per 100,000 reports  {lines / wall:9,.0f} lines/s  {lines / len(given):4.1f} a report")
    return per


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=4000)
    options = parser.parse_args()
    some = max(ROUNDS, options.reports // 4)
    with tempfile.TemporaryDirectory() as name:
        for title, opening in (("InfluxDB 1.6", influxdb), ("VictoriaMetrics", victoria_metrics)):
            folder = Path(name) / title.split()[0]
            print(f"{title}, {options.reports:,} reports of {SAMPLES_A_REPORT} samples")
            with opening(folder) as store:
                way = Ours(folder, slowly=False, spooled=False)
                full = measure(store, "ours, all fields, no spool", way, opened(options.reports, 1))
                way = Ours(folder, slowly=True, spooled=True)
                slow = measure(store, "ours, as the collector does", way, opened(options.reports, 2))
                point = measure(store, "influxdb-client, points", by_points, opened(some, 3))
                batch = measure(store, "influxdb-client, batching", by_batching, opened(some, 4))
            print(f"  to ours without spool, for the same lines: points {point / full:.1f}, batching {batch / full:.1f} times")
            print(f"  to ours as the collector does it: points {point / slow:.1f}, batching {batch / slow:.1f} times")


if __name__ == "__main__":
    main()
