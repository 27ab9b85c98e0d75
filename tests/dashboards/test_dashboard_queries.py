"""Every query of every panel against a real InfluxDB: it answers with the columns shown, and its sums are the ledger's."""

from collections.abc import Iterator

import pytest

from sitekeeper_collector.domain.ledger import Segment
from sitekeeper_dashboards import grafana
from sitekeeper_dashboards import influxql as q
from sitekeeper_dashboards.boards import boards
from sitekeeper_dashboards.model import Board, Options, Panel
from support.dashboard_county import FROM_MS, NEVER_UP, SITES, TO_MS, Chosen, County, ask, county, filled, write
from support.series_stores import InfluxDB, influxdb

pytestmark = pytest.mark.processes
ALL = boards(Options(lang="en", use=True))
PANELS = [pytest.param(board, panel, id=f"{board.key}-{panel.key}") for board in ALL for panel in board.panels()]
EVERYTHING: Chosen = {"county": None, "township": None, "access_node": None, "site": None}
ONE: Chosen = {"county": ("Anxi",), "township": ("East (1)",), "access_node": ("olt.1",), "site": ("v0",)}
SOME: Chosen = {"county": None, "township": None, "access_node": ("olt.1", "olt|2"), "site": None}
NOBODY: Chosen = {**EVERYTHING, "site": ("v9",)}
CHOICES = [pytest.param(EVERYTHING, id="all"), pytest.param(ONE, id="one"), pytest.param(SOME, id="some")]


@pytest.fixture(scope="module")
def truth() -> County:
    return county()


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory, truth: County) -> Iterator[InfluxDB]:
    with influxdb(tmp_path_factory.mktemp("influx") / "data") as store:
        write(store.query_url, truth.lines)
        yield store


def sites_of(chosen: Chosen) -> list[str]:
    fits = {name: chosen[name] for name in ("county", "township", "access_node", "site")}
    return [
        where.site for where in SITES if all(values is None or getattr(where, name) in values for name, values in fits.items())
    ]


def seconds(picture: list[Segment], words: tuple[str, ...]) -> float:
    within = (min(s.to_ms, TO_MS) - max(s.from_ms, FROM_MS) for s in picture if not words or s.was in words)
    return sum(ms for ms in within if ms > 0) / 1000


def row(influx: InfluxDB, query: str, chosen: Chosen) -> dict[str, float]:
    """The only row of an answer, without its time; empty if there is none."""
    series = ask(influx.query_url, filled(query, chosen))
    if not series:
        return {}
    [one] = series
    [[_, *values]] = one["values"]
    return dict(zip(one["columns"][1:], values, strict=True))


@pytest.mark.parametrize("chosen", CHOICES)
@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_it_answers_with_the_columns_that_are_shown(influx: InfluxDB, board: Board, panel: Panel, chosen: Chosen) -> None:
    for query in panel.queries:
        asked = {**chosen, "site": ("v0",)} if board.one_site else chosen
        series = ask(influx.query_url, filled(query.text, asked))
        assert series or chosen is not EVERYTHING, f"nothing: {query.text}"
        for one in series:
            there = {*one["columns"][1:], *one.get("tags", {})}
            assert set(query.columns) <= there, f"{query.columns} not in {there}: {query.text}"


@pytest.mark.parametrize("name", ["county", "township", "access_node", "site"])
def test_variables_narrow_each_other(influx: InfluxDB, name: str) -> None:
    for chosen in (EVERYTHING, ONE):
        wider = {one: chosen[one] for one in ("county", "township", "access_node", "site")}
        [series] = ask(influx.query_url, filled(grafana.variable_query(name), chosen))
        found = {value for _, value in series["values"]}
        narrowed: Chosen = dict(EVERYTHING)
        for one in wider:
            if one == name:
                break
            narrowed[one] = wider[one]
        assert found == {getattr(where, name) for where in SITES if where.site in sites_of(narrowed)}


@pytest.mark.parametrize("chosen", CHOICES)
def test_time_is_the_ledgers_cut_at_both_ends_and_amended_points_count_once(
    influx: InfluxDB, truth: County, chosen: Chosen
) -> None:
    columns = {"on": q.ONLINE, "broken": q.BROKEN, "line": ("line",), "unknown": q.UNKNOWN, "all": ()}
    what = ", ".join(f'SUM("{name}") AS "{name}"' for name in columns)
    found = row(influx, q.times(columns, what), chosen)
    for name, words in columns.items():
        right = sum(seconds(truth.pictures[site], words) for site in sites_of(chosen))
        assert found[name] == pytest.approx(right, abs=0.01), name
    assert found["all"] == pytest.approx(len(sites_of(chosen)) * (TO_MS - FROM_MS) / 1000, abs=0.01)


@pytest.mark.parametrize("chosen", CHOICES)
def test_states_are_those_at_the_end_of_the_range(influx: InfluxDB, truth: County, chosen: Chosen) -> None:
    groups = {"up": q.ONLINE, "trouble": q.BROKEN, "away": q.AWAY, "unknown": q.UNKNOWN}
    found = row(influx, q.sites_by_state(groups), chosen)
    last = [next(s.was for s in truth.pictures[site] if s.from_ms < TO_MS <= s.to_ms) for site in sites_of(chosen)]
    assert found == {name: sum(was in words for was in last) for name, words in groups.items()} | {"sites": len(last)}


@pytest.mark.parametrize("chosen", CHOICES)
def test_the_worst_sites_are_those_with_most_time(influx: InfluxDB, truth: County, chosen: Chosen) -> None:
    [series] = ask(influx.query_url, filled(q.time_of_sites(q.BROKEN, 3), chosen))
    at = {name: place for place, name in enumerate(series["columns"])}
    found = {line[at["site"]]: line[at["seconds"]] for line in series["values"]}
    right = {site: seconds(truth.pictures[site], q.BROKEN) for site in sites_of(chosen)}
    assert found == pytest.approx(dict(sorted(right.items(), key=lambda item: -item[1])[:3]), abs=0.01)


@pytest.mark.parametrize("chosen", CHOICES)
def test_tickets_are_counted_by_state_with_zeros_where_there_are_none(influx: InfluxDB, truth: County, chosen: Chosen) -> None:
    columns = {state: f"\"state\" = '{state}' AND {q.IN_RANGE}" for state in ("open", "acknowledged", "resolved", "closed")}
    found = row(influx, q.counts("ticket", "outage_s", columns), chosen)
    of_sites = [ticket for site in sites_of(chosen) for ticket in truth.tickets[site] if FROM_MS <= ticket["opened_ms"] < TO_MS]
    assert found == {state: sum(ticket["state"] == state for ticket in of_sites) for state in columns}
    none = {"none": f"\"state\" = 'no such state' AND {q.IN_RANGE}"}
    assert row(influx, q.counts("ticket", "outage_s", none), chosen) == {"none": 0}


def test_where_there_is_no_site_there_is_no_data_rather_than_zero(influx: InfluxDB) -> None:
    assert row(influx, q.sites_by_state({"up": q.ONLINE}), NOBODY) == {}
    assert row(influx, q.counts("ticket", "outage_s", {"open": "\"state\" = 'open'"}), NOBODY) == {}


def test_sites_that_were_never_up_are_listed_and_no_others(influx: InfluxDB, truth: County) -> None:
    [panel] = [panel for board in ALL for panel in board.panels() if panel.key == "never_up"]
    series = ask(influx.query_url, filled(panel.queries[0].text, EVERYTHING))
    found = {one["tags"]["site"] for one in series}
    assert found == {site for site, picture in truth.pictures.items() if not seconds(picture, q.ONLINE)} == {NEVER_UP}
