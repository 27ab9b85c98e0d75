"""Every line reaches a real store once, whatever happens on the way: InfluxDB behind nginx, and VictoriaMetrics."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sitekeeper_collector.domain.ledger import Segment, Source, Was
from sitekeeper_collector.series import schema, spool
from sitekeeper_collector.series.endpoint import Endpoint
from sitekeeper_collector.series.lines import Whereabouts, ledger_lines, point, tag_text
from sitekeeper_collector.series.writer import Answer, Outcome, Writer
from sitekeeper_collector.store.engine import Store, open_store
from support.series_stores import BUCKET, InfluxDB, RealStore, Rows, influxdb, now_ms, victoria_metrics

pytestmark = pytest.mark.processes
HERE = Whereabouts("v1", "Anxi", 'East "gate" \\ 村', "olt 1, port=2")


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxDB]:
    with influxdb(tmp_path_factory.mktemp("influx") / "data", max_body="16k") as store:
        yield store


@pytest.fixture(scope="module")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStore]:
    with victoria_metrics(tmp_path_factory.mktemp("victoria") / "data") as store:
        yield store


@pytest.fixture(params=["influx", "victoria"])
def real(request: pytest.FixtureRequest) -> RealStore:
    store: RealStore = request.getfixturevalue(request.param)
    return store


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'own.db'}")
    yield store
    store.close()


@contextmanager
def writing(own: Store, real: RealStore) -> Iterator[Writer]:
    endpoint = Endpoint(url=real.url, bucket=BUCKET, org="county")
    try:
        yield Writer(own, lambda lines: endpoint.post(lines, now_ms()))
    finally:
        endpoint.close()


def _lines(field: str, count: int, at_ms: int, first: int = 0) -> tuple[list[bytes], Rows]:
    """One point for each of ``count`` sites. Each test has a field of its own: the servers are shared."""
    made, rows = [], Rows()
    for number in range(first, first + count):
        site = f"v{number:05d}"
        line = point(schema.SITE, HERE._replace(site=site)._asdict(), {field: number / 4}, at_ms * 1_000_000)
        assert line is not None
        made.append(line)
        rows[site, at_ms] = number / 4
    return made, rows


def _spool(own: Store, lines: list[bytes]) -> None:
    with own.write() as connection:
        spool.add(connection, lines, now_ms())


def _waiting(own: Store) -> spool.Waiting:
    with own.read() as connection:
        return spool.waiting(connection)


def _rejected(own: Store) -> list[spool.Rejected]:
    with own.read() as connection:
        return spool.rejected_lines(connection)


def test_a_store_holds_what_was_written_once_also_when_it_is_sent_again(own: Store, real: RealStore) -> None:
    lines, rows = _lines("cpu_ratio", 50, now_ms())
    with writing(own, real) as writer:
        _spool(own, lines)
        assert writer.round(now_ms())[:2] == (1, 0)
        _spool(own, list(reversed(lines)))
        assert writer.round(now_ms())[:2] == (1, 0)
    assert real.held("site", "cpu_ratio") == rows
    assert real.count("site", "cpu_ratio") == 50
    assert _waiting(own).batches == 0


def test_what_came_while_the_store_was_away_is_there_when_it_is_back(own: Store, real: RealStore) -> None:
    at_ms = now_ms()
    before, rows = _lines("processes", 20, at_ms)
    during, more = _lines("processes", 20, at_ms, first=20)
    with writing(own, real) as writer:
        _spool(own, before)
        assert writer.round(at_ms).batches == 1
        real.stop()
        try:
            for at in range(4):
                _spool(own, during[at * 5 : at * 5 + 5])
            progress = writer.round(now_ms())
            assert progress.batches == 0 and progress.wait_ms >= 1000
            assert _waiting(own).lines == 20 and _waiting(own).batches == 4
        finally:
            real.start()
        assert writer.round(now_ms() + progress.wait_ms).batches == 4
    assert real.held("site", "processes") == rows | more
    assert (_waiting(own).lines, _rejected(own)) == (0, [])


@pytest.mark.parametrize(
    "name", ['"', 'a"b "c', "x,y=z ,= ", "村 站", "a\tb\nc", "C:\\", "a\\,b\\ c", "'#{}$", "=", "a\u2028b", "\ud800"]
)
def test_whatever_a_name_holds_a_store_reads_it_as_it_was_meant_and_the_next_line_too(
    own: Store, real: RealStore, name: str
) -> None:
    at_ms = now_ms()
    fields = {"agent_rss_bytes": 5.0}
    lines = [point(schema.SITE, {"site": site, "county": name}, fields, at_ms * 1_000_000) for site in (name, "next")]
    with writing(own, real) as writer:
        _spool(own, [line for line in lines if line is not None])
        assert writer.round(now_ms())[:2] == (1, 0)
    held = real.held("site", "agent_rss_bytes")
    assert held[tag_text(name), at_ms] == held["next", at_ms] == 5


class _Killed(BaseException):
    """As when the power goes."""


def test_a_writer_that_dies_between_the_yes_of_the_store_and_its_own_note_of_it_doubles_nothing(
    own: Store, real: RealStore
) -> None:
    lines, rows = _lines("clock_offset_s", 30, now_ms())
    _spool(own, lines)
    endpoint = Endpoint(url=real.url, bucket=BUCKET)

    def post_and_die(data: bytes) -> Answer:
        assert endpoint.post(data, now_ms()).outcome is Outcome.STORED
        raise _Killed

    try:
        with pytest.raises(_Killed):
            Writer(own, post_and_die).round(now_ms())
    finally:
        endpoint.close()
    assert _waiting(own).lines == 30
    with writing(own, real) as writer:
        assert writer.round(now_ms()).batches == 1
    assert real.held("site", "clock_offset_s") == rows
    assert real.count("site", "clock_offset_s") == 30


def test_a_line_that_is_no_line_does_not_keep_the_others(own: Store, real: RealStore) -> None:
    lines, rows = _lines("temperature_c", 40, now_ms())
    bad = b"site,site=v9 temperature_c=warm 1"
    with writing(own, real) as writer:
        _spool(own, [*lines[:13], bad, *lines[13:]])
        assert writer.round(now_ms()).batches == 1
    assert real.held("site", "temperature_c") == rows
    assert _waiting(own).lines == 0
    if isinstance(real, InfluxDB):  # VictoriaMetrics says nothing of bad lines: it logs them and goes on
        ((line, reason),) = _rejected(own)
        assert line == bad and "unable to parse" in reason


def test_a_line_whose_field_has_another_type_is_found_among_many_and_quarantined_with_the_reason(
    own: Store, influx: InfluxDB
) -> None:
    lines, rows = _lines("displays", 60, now_ms())
    wrong = [lines[at].replace(b" displays=", b' displays="x",audio_outputs=') for at in (7, 41)]
    with writing(own, influx) as writer:
        _spool(own, lines[:5])
        writer.round(now_ms())
        _spool(own, [*lines[5:20], wrong[0], *lines[20:50], wrong[1], *lines[50:]])
        progress = writer.round(now_ms())
    assert progress[:2] == (1, 2)
    assert sorted(line for line, _ in _rejected(own)) == sorted(wrong)
    assert all("field type conflict" in reason for _, reason in _rejected(own))
    assert influx.held("site", "displays") == rows


def test_a_batch_that_is_too_large_for_the_proxy_goes_through_in_parts(own: Store, influx: InfluxDB) -> None:
    lines, rows = _lines("host_uptime_s", 2000, now_ms())
    assert sum(map(len, lines)) > 8 * 16_384
    with writing(own, influx) as writer:
        _spool(own, lines)
        progress = writer.round(now_ms())
    assert progress[:2] == (1, 0)
    assert influx.held("site", "host_uptime_s") == rows


def test_an_unknown_database_is_trouble_and_loses_nothing(own: Store, influx: InfluxDB) -> None:
    lines, _ = _lines("commissioned", 3, now_ms())
    endpoint = Endpoint(url=influx.url, bucket="nowhere")
    try:
        answer = endpoint.post(lines[0], now_ms())
        assert (answer.outcome, answer.status) == (Outcome.TROUBLE, 404) and "nowhere" in answer.reason
        _spool(own, lines)
        assert Writer(own, lambda data: endpoint.post(data, now_ms())).round(now_ms()).wait_ms > 0
    finally:
        endpoint.close()
    assert _waiting(own).lines == 3 and "nowhere" in _waiting(own).reason


def test_an_amended_outage_is_one_point_in_a_store_and_a_void_one_adds_nothing(own: Store, influx: InfluxDB) -> None:
    at_ms = now_ms() - 600_000
    up, out = Segment(at_ms, at_ms + 60_000, Was.UP, Source.SITE), Segment(at_ms + 60_000, at_ms + 180_000, Was.LINE)
    amended = [up._replace(to_ms=at_ms + 30_000), out._replace(from_ms=at_ms + 30_000, source=Source.SITE)]
    with writing(own, influx) as writer:
        for before, after in (((), (up, out)), ((up, out), amended)):
            _spool(own, ledger_lines(HERE, before, after))
            assert writer.round(now_ms()).rejected == 0
    durations, was = influx.held("ledger", "duration_s"), influx.held("ledger", "was")
    assert sum(float(durations[key]) for key in durations if was[key] == "line") == 150
    assert influx.held("ledger", "void") == {
        ("v1", at_ms): False,
        ("v1", at_ms + 30_000): False,
        ("v1", at_ms + 60_000): True,
    }
    assert set(influx.held("ledger", "township").values()) == {HERE.township}
    assert set(influx.held("ledger", "access_node").values()) == {HERE.access_node}
