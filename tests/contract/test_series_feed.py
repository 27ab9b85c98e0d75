"""What a county's records come to in a real InfluxDB, as they are amended: nothing twice or lost, sums as in the ledger."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from sitekeeper_collector.domain.ledger import Segment, Was
from sitekeeper_collector.series.endpoint import Endpoint
from sitekeeper_collector.series.feed import Feed, by_day, settled
from sitekeeper_collector.series.sampling import Sampling
from sitekeeper_collector.series.writer import Writer
from sitekeeper_collector.store import changes, evidence, tables
from sitekeeper_collector.store.engine import Store, open_store
from support.played import HOUR_MS, LINE_DOWN, MINUTE_MS, START_MS, Pc, Watched, watched, well
from support.postgres import postgres
from support.series_stores import BUCKET, InfluxDB, influxdb

pytestmark = pytest.mark.processes
SITE = "v1"
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def influx(tmp_path: Path) -> Iterator[InfluxDB]:
    with influxdb(tmp_path / "influx") as store:
        yield store


@pytest.fixture
def county(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path / "county", SITE) as made:
        made.lesson(SITE, START_MS, START_MS + 8 * HOUR_MS)
        yield made


class Feeding:
    """A feed and a writer of their own, made anew each time, as after a restart."""

    def __init__(self, county: Watched, influx: InfluxDB) -> None:
        self.county, self.influx = county, influx

    def feed(self, *, amended: bool = True) -> Feed:
        gap_ms = self.county.rules.evidence_gap_s * 1000
        return Feed(self.county.at.store, gap_ms=gap_ms, utc_offset_min=480, amended=amended)

    def catch_up(self) -> None:
        now_ms, feed = self.county.now_ms, self.feed()
        feed.refresh(now_ms)
        feed.round(now_ms)
        endpoint = Endpoint(url=self.influx.url, bucket=BUCKET)
        try:
            progress = Writer(self.county.at.store, lambda lines: endpoint.post(lines, now_ms)).round(now_ms)
        finally:
            endpoint.close()
        assert progress.rejected == 0
        with self.county.at.store.read() as connection:
            assert connection.execute(select(func.count()).select_from(tables.series_spool)).scalar_one() == 0
            assert changes.count(connection) == 0

    def seconds(self) -> dict[str, float]:
        """By state, the sum over all points, void ones included: what a careless panel shows."""
        durations, was = self.influx.held("ledger", "duration_s"), self.influx.held("ledger", "was")
        found: dict[str, float] = {}
        for key, duration in durations.items():
            if duration:
                found[str(was[key])] = found.get(str(was[key]), 0) + float(duration)
        return found

    def expected(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for segment in settled(self.county.picture(SITE, START_MS, self.county.now_ms), self.county.now_ms):
            if segment.from_ms == START_MS and segment.was is Was.UNKNOWN:
                continue  # before the first that is heard of it, there is no picture
            found[segment.was.value] = found.get(segment.was.value, 0) + segment.duration_ms / 1000
        return found


def test_an_outage_that_is_amended_again_and_again_is_never_counted_twice(county: Watched, influx: InfluxDB) -> None:
    feeding = Feeding(county, influx)
    pc = Pc(SITE, 11, START_MS - HOUR_MS)
    county.live(10, well(), pc)
    feeding.catch_up()
    assert feeding.seconds() == feeding.expected()
    [unheard] = county.unheard(40, LINE_DOWN, pc)
    feeding.catch_up()
    assert feeding.seconds() == feeding.expected() and Was.PRESUMED_OFF.value in feeding.seconds()
    county.at.give(pc.report(unheard[:20], county.now_ms, backlog=True))
    feeding.catch_up()
    assert feeding.seconds() == feeding.expected()
    county.at.give(pc.report(unheard[20:], county.now_ms, backlog=True))
    county.live(10, well(), pc)
    feeding.catch_up()
    feeding.catch_up()
    assert feeding.seconds() == feeding.expected() and feeding.seconds()[Was.LINE.value] >= 30 * 60
    outages = influx.held("fault", "duration_s")
    [(_, _, started_ms, ended_ms, *_)] = _faults(county, "line_down")
    kinds, voids = influx.held("fault", "kind"), influx.held("fault", "void")
    counted = [float(outages[key]) for key in outages if kinds[key] == "line_down"]
    assert counted == [(ended_ms - started_ms) / 1000]
    assert all(float(outages[key]) == 0 for key, void in voids.items() if void)
    assert influx.count("ticket", "number") == len(county.tickets())


def _faults(county: Watched, kind: str) -> list[tuple[int, str, int, int]]:
    rows = county.at.rows("faults", "id", "kind", "started_ms", "ended_ms")
    return [row for row in rows if row[1] == kind]


def test_samples_come_once_at_the_time_that_their_clock_gives_them_later(county: Watched, influx: InfluxDB) -> None:
    county.at.restart(series=Sampling())
    pc = Pc(SITE, 12, START_MS - HOUR_MS, clock=False)
    taken = [pc.take(START_MS + at * MINUTE_MS, well()) for at in range(6)]
    county.at.now_ms = START_MS + 6 * MINUTE_MS
    county.at.give(pc.report(taken[:5], county.now_ms))
    feeding = Feeding(county, influx)
    assert feeding.feed(amended=False).round(county.now_ms) == 0
    assert county.at.rows("series_spool", "id") == []
    known = Pc(SITE, 12, START_MS - HOUR_MS)
    known.taken = pc.taken
    county.at.give(known.report(taken[5:], county.now_ms))
    feeding.catch_up()
    times = sorted(at for _, at in influx.held("site", "verdict_state"))
    assert times == [placed for (placed,) in county.at.rows("samples", "placed_ms")] and len(times) == 6
    assert influx.count("site", "verdict_state") == 6


def test_the_lines_of_live_samples_are_in_the_spool_with_the_samples(county: Watched, influx: InfluxDB) -> None:
    county.at.restart(series=Sampling())
    pc = Pc(SITE, 13, START_MS - HOUR_MS)
    county.live(5, well(), pc)
    lines = county.at.rows("series_spool", "count")
    assert sum(count for (count,) in lines) >= 5
    Feeding(county, influx).catch_up()
    assert influx.count("site", "verdict_state") == len(county.at.rows("samples", "sequence"))


def test_midnights_of_the_county_cut_intervals() -> None:
    whole = Segment(START_MS, START_MS + 3 * DAY_MS, Was.UP)
    parts = by_day([whole], 480 * 60_000)
    assert sum(part.duration_ms for part in parts) == whole.duration_ms and len(parts) in (3, 4)
    assert all((part.from_ms + 480 * 60_000) % DAY_MS == 0 for part in parts[1:])


@pytest.fixture(params=["sqlite", "postgresql"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with ExitStack() as stack:
        sqlite = request.param == "sqlite"
        url = f"sqlite:///{tmp_path / 'own.db'}" if sqlite else stack.enter_context(postgres()).database()
        store = open_store(url)
        stack.callback(store.close)
        yield store


def test_notes_keep_the_earliest_instant_and_one_follower_has_each(own: Store) -> None:
    with own.write() as connection:
        connection.execute(insert(tables.sites), [{"id": s, "name": s, "added_ms": 1, "changed_ms": 1} for s in ("a", "b")])
        changes.note(connection, changes.LEDGER, ["a"], 7)
        changes.note(connection, changes.LEDGER, ["a"], 9)
        changes.note_all_sites(connection, 8)
    with own.write() as connection:
        found = changes.noted(connection, (changes.LEDGER,), 10)
        assert [(change.key, change.since_ms) for change in found] == [("a", 7), ("b", 8)]
        changes.done(connection, found[:1])
    with own.read() as connection:
        assert changes.count(connection) == 1
        assert changes.find(connection, changes.LEDGER, "a") is None


def test_spool_and_feed_work_on_either_database(own: Store, influx: InfluxDB) -> None:
    with own.write() as connection:
        connection.execute(insert(tables.sites).values(id="a", name="a", township="East", added_ms=START_MS, changed_ms=1))
        evidence.begin_absence(connection, evidence.Absence(0, "a", START_MS, START_MS))
    feed = Feed(own, gap_ms=600_000, utc_offset_min=480)
    endpoint = Endpoint(url=influx.url, bucket=BUCKET)
    try:
        for hours in (1, 2, 2):
            now_ms = START_MS + hours * HOUR_MS
            feed.refresh(now_ms)
            feed.round(now_ms)
            assert Writer(own, lambda lines, at=now_ms: endpoint.post(lines, at)).round(now_ms).rejected == 0  # type: ignore[misc]
    finally:
        endpoint.close()
    assert sum(float(value) for value in influx.held("ledger", "duration_s").values()) == 2 * HOUR_MS / 1000
    assert set(influx.held("ledger", "was").values()) == {"presumed_off"}
