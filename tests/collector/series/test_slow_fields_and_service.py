"""Slow fields are said when they change and every 15 minutes; the service feeds a store and looks after itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from sitekeeper_collector.domain.ledger import Segment, Source, Was
from sitekeeper_collector.series import schema, spool
from sitekeeper_collector.series.endpoint import Endpoint
from sitekeeper_collector.series.feed import Feed, settled
from sitekeeper_collector.series.health import Health, Work
from sitekeeper_collector.series.lines import Said, Targets, Whereabouts, sample_lines
from sitekeeper_collector.series.service import HEALTH_MS, SeriesService
from sitekeeper_collector.series.spool import Limits
from sitekeeper_collector.store import tables
from sitekeeper_collector.store.engine import Store, open_store
from sitekeeper_protocol.codec import open_report
from sitekeeper_protocol.opened import OpenedReport
from sitekeeper_protocol.vocabulary import Metric
from support import scripted
from support.line_protocol import parse
from support.series_stores import ChosenStore, answer, chosen_store

HERE = Whereabouts("v1", "Anxi")
MINUTE_MS = 60_000
AT_MS = scripted.NOW_MS


def _report(displays: int, *, count: int = 3) -> OpenedReport:
    values = {(int(Metric.VERDICT_STATE), ""): 0, (int(Metric.DISPLAYS), ""): displays}
    samples = [scripted.sample(1, number, values=values) for number in range(1, count + 1)]
    return open_report(scripted.report("v1", 1, samples))


def _displays(said: Said, displays: int, at_ms: int) -> list[float | None]:
    times = [at_ms + at * MINUTE_MS for at in range(3)]
    lines = sample_lines(HERE, _report(displays), times, Targets(), said)
    fields = [parse(line).fields for line in lines]
    assert all("verdict_state" in one for one in fields) and len(fields) == 3
    return [one.get("displays") for one in fields]  # type: ignore[misc]


def test_a_slow_field_is_said_with_the_first_sample_then_when_it_changes_and_after_15_minutes() -> None:
    said = Said()
    assert _displays(said, 1, AT_MS) == [1, None, None]
    assert _displays(said, 1, AT_MS + 3 * MINUTE_MS) == [None, None, None]
    assert _displays(said, 2, AT_MS + 6 * MINUTE_MS) == [2, None, None]
    assert _displays(said, 2, AT_MS + 9 * MINUTE_MS) == [None, None, None]
    assert _displays(said, 2, AT_MS + 6 * MINUTE_MS + schema.SLOW_MS - MINUTE_MS) == [2, None, None]


def test_of_an_older_time_a_slow_field_is_always_said_and_after_a_failed_transaction_too() -> None:
    said = Said()
    _displays(said, 1, AT_MS)
    assert _displays(said, 1, AT_MS - 60 * MINUTE_MS) == [1, None, None]
    assert _displays(said, 1, AT_MS + 3 * MINUTE_MS) == [None, None, None]
    said.forget()
    assert _displays(said, 1, AT_MS + 6 * MINUTE_MS) == [1, None, None]


def test_what_is_unsaid_at_the_end_of_a_picture_waits_for_half_an_hour() -> None:
    up = Segment(AT_MS, AT_MS + MINUTE_MS, Was.UP, Source.SITE)
    tail = Segment(up.to_ms, up.to_ms + 20 * MINUTE_MS, Was.UNKNOWN)
    assert settled([up, tail], tail.to_ms) == [up]
    assert settled([up, tail], tail.to_ms + 10 * MINUTE_MS) == [up, tail]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'own.db'}")
    with store.write() as connection:
        connection.execute(insert(tables.sites).values(id="v1", name="v1", added_ms=AT_MS - 60 * MINUTE_MS, changed_ms=1))
    yield store
    store.close()


class _Clock:
    now_ms = AT_MS


def _service(own: Store, store: ChosenStore, clock: _Clock, work: Work, limits: Limits | None = None) -> SeriesService:
    feed = Feed(own, gap_ms=600_000, utc_offset_min=480)
    endpoint = Endpoint(url=store.url, bucket="b")
    return SeriesService(own, endpoint, feed, Health(work), limits or Limits(), wall_ms=lambda: clock.now_ms)


def test_the_service_writes_the_collectors_health_and_each_sites_ledger(own: Store) -> None:
    work, clock = Work(), _Clock()
    work.add(3, 15, 1, 2500)
    work.add(1, 5, 0, 100)
    with chosen_store(lambda _: answer("204 No Content")) as store:
        service = _service(own, store, clock, work)
        while service.step():
            pass
        clock.now_ms += HEALTH_MS
        while service.step():
            pass
        lines = [parse(line) for request in store.requests for line in request.lines]
    health = [line.fields for line in lines if line.measurement == "collector"]
    assert [(one["reports"], one["samples"], one["rejected"], one["lag_s"]) for one in health] == [
        (4, 20, 1, 2.5),
        (0, 0, 0, 0),
    ]
    [ledger] = [line for line in lines if line.measurement == "ledger"]
    assert (ledger.tags, ledger.fields["was"], ledger.fields["duration_s"]) == ({"site": "v1"}, "unknown", 3600)


def test_a_store_that_is_away_is_left_alone_for_a_while_and_then_gets_all(own: Store) -> None:
    clock = _Clock()
    answers = [answer("503 Service Unavailable", b"", "Retry-After: 30")]
    with chosen_store(lambda _: answers.pop() if answers else answer("204 No Content")) as store:
        service = _service(own, store, clock, Work())
        service.step()
        for _ in range(3):
            service.step()
        assert len(store.requests) == 1
        clock.now_ms += 31_000
        service.step()
        assert len(store.requests) >= 2
    with own.read() as connection:
        assert spool.waiting(connection).batches == 0


def test_beyond_the_operators_limit_the_oldest_lines_are_dropped_and_counted(own: Store) -> None:
    clock = _Clock()
    with own.write() as connection:
        for at in range(3):
            spool.add(connection, [b"site,site=v%d cpu_ratio=1 %d" % (at, AT_MS * 1_000_000)], AT_MS)
    with chosen_store(lambda _: answer("503 Service Unavailable")) as store:
        _service(own, store, clock, Work(), Limits(max_rows=2)).step()
    with own.read() as connection:
        query = select(tables.tallies.c["count"]).where(tables.tallies.c.name == spool.DROPPED)
        assert connection.execute(query).scalar_one() == 2
