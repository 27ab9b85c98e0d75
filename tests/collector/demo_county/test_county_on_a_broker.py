"""The simulated county against real brokers and the real collector: what is taken is stored, once, whatever was cut."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sitekeeper_collector.broker import folder as broker_folder
from sitekeeper_collector.broker.mosquitto import BrokerPlan
from sitekeeper_collector.demo.county import County, CountyError, Pace, cast, plan_sites, sites_csv
from sitekeeper_collector.demo.county.script import Step
from sitekeeper_collector.embedded.broker import EmbeddedBroker
from sitekeeper_collector.simulate.conditions import Condition
from sitekeeper_collector.store.samples import content
from sitekeeper_protocol.messages import PowerEvent, PowerEventRecord, Sample, VerdictEvent
from sitekeeper_protocol.vocabulary import Kind
from support.brokers import mosquitto
from support.ports import free_port
from support.rig import Collector
from support.wait import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.processes]

SITES = plan_sites(24)
PARTS = cast(SITES)
PACE = Pace(
    sample_s=0.4,
    report_s=0.8,
    boot_s=0.4,
    backoff_least_s=0.1,
    backoff_most_s=0.5,
    pause_least_s=0.02,
    pause_most_s=0.1,
    keepalive_least_s=3,
)


def _step(at_s: float, condition: Condition, *sites: str) -> Step:
    return Step(at_s=at_s, condition=condition, sites=sites, happens=("", ""), look=("", ""))


SCRIPT = (
    _step(3, Condition.LINE_CUT, *PARTS.node),
    _step(3.2, Condition.POWER_CUT, *PARTS.power),
    _step(3.4, Condition.SWITCHED_OFF, PARTS.wall),
    _step(3.6, Condition.SHUT_DOWN, PARTS.stream),
    _step(7, Condition.WORKING, *PARTS.node),
    _step(7.2, Condition.WORKING, *PARTS.power),
)


class Store:
    """What the collector's database holds of the county."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def samples(self, site: str) -> dict[tuple[int, int], Sample]:
        """By identity. Fails if one is there twice."""
        rows = self._collector.rows(
            "SELECT s.run, s.sequence, r.payload FROM samples s JOIN reports r "
            "ON r.site = s.site AND r.run = s.run AND r.first = s.report WHERE s.site = ?",
            site,
        )
        found = {(run, sequence): content(payload, sequence) for run, sequence, payload in rows}
        assert len(found) == len(rows), "a sample is stored twice"
        return found

    def power_events(self, site: str) -> list[tuple[int, PowerEventRecord]]:
        """(run, event) in the order of their samples."""
        samples = sorted(self.samples(site).items(), key=lambda item: (item[1].wall_ms, item[0]))
        return [(run, event) for (run, _), s in samples for event in s.events if isinstance(event, PowerEventRecord)]

    def presence(self, site: str) -> str:
        """What is believed of it."""
        return str(self._collector.rows("SELECT presence FROM site_state WHERE site = ?", site)[0][0])

    def identities(self) -> set[tuple[str, int, int]]:
        """(site, run, sequence) of all that is stored. Fails if one is there twice."""
        rows = self._collector.rows("SELECT site, run, sequence FROM samples")
        assert len(set(rows)) == len(rows), "a sample is stored twice"
        return set(rows)


@contextmanager
def _collector(folder: Path, port: int, **settings: object) -> Iterator[Collector]:
    """A collector that has imported the county's own list of sites."""
    collector = Collector(folder / "collector", port, {"receipt_interval_s": 2, **settings})
    file = folder / "sites.csv"
    file.write_text(sites_csv(SITES), encoding="utf-8")
    collector.command_line("sites", "import", str(file))
    collector.start()
    try:
        yield collector
    finally:
        collector.kill()


@contextmanager
def _living(county: County) -> Iterator[County]:
    county.start()
    try:
        yield county
    finally:
        county.stop(goodbye=False)


def _taken(county: County) -> set[tuple[str, int, int]]:
    return {
        (site, run, sequence)
        for site, runs in county.taken().items()
        for run, last in runs.items()
        for sequence in range(1, last + 1)
    }


def _await_stored(county: County, store: Store, log: Callable[[], str]) -> None:
    """Until all that has been taken by now is stored, but for what the site that is off has on its disk."""
    taken = {key for key in _taken(county) if key[0] != PARTS.wall}
    wait_until(lambda: taken <= store.identities(), f"all is stored\n{log()[-3000:]}", 120, every_s=0.2)
    county.check()
    assert store.identities() <= _taken(county), "something is stored that nobody has taken"


def _played_through(county: County) -> None:
    wait_until(lambda: len(county.events()) == len(SCRIPT), "the script is played", 120)
    away = 2  # the one at the wall, and the one that was shut down
    wait_until(lambda: county.figures().connected == len(SITES) - away, "all others are back", 120)
    county.check()


def _assert_told(county: County, store: Store) -> None:
    for site in PARTS.power:
        first, second = county.taken()[site]
        told = store.power_events(site)
        assert [(run, event.what) for run, event in told] == [
            (first, PowerEvent.STARTED),
            (second, PowerEvent.STARTED),
            (second, PowerEvent.POWER_LOST),
        ]
        last = store.samples(site)[first, county.taken()[site][first]]
        lost = told[-1][1]
        assert (lost.run, lost.last_wall_ms, lost.last_boottime_ms) == (first, last.wall_ms, last.boottime_ms)
    for site in PARTS.node:
        kinds = [e.kind for _, s in sorted(store.samples(site).items()) for e in s.events if isinstance(e, VerdictEvent)]
        assert kinds == ["", Kind.LINE_DOWN, ""]
    assert [event.what for _, event in store.power_events(PARTS.stream)] == [PowerEvent.STARTED, PowerEvent.GOODBYE]
    assert [event.what for _, event in store.power_events(PARTS.wall)] == [PowerEvent.STARTED]


def test_after_cuts_of_line_and_power_mosquitto_and_collector_have_every_sample_once(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker, _collector(tmp_path, broker.port) as collector:
        store = Store(collector)
        county = County(host=broker.host, port=broker.port, folder=None, sites=SITES, area="lab", script=SCRIPT, pace=PACE)
        with _living(county):
            _played_through(county)
            _await_stored(county, store, collector.log)
            _assert_told(county, store)
            assert {(spell.site, spell.condition) for spell in county.truth if spell.to_ms is None} == {
                (PARTS.wall, Condition.SWITCHED_OFF),
                (PARTS.stream, Condition.SHUT_DOWN),
            }
            cut = [spell for spell in county.truth if spell.condition is Condition.LINE_CUT]
            assert sorted(spell.site for spell in cut) == sorted(PARTS.node)
            assert all(spell.to_ms is not None and spell.to_ms > spell.from_ms for spell in cut)
            wait_until(lambda: store.presence(PARTS.wall) == "lost", "the broker speaks the will of the site that is off", 60)
            assert store.presence(PARTS.stream) == "stopping"
            assert store.presence(PARTS.power[0]) == store.presence(PARTS.node[0]) == "online"


def test_the_embedded_broker_carries_the_county_with_its_passwords(tmp_path: Path) -> None:
    """As in the demo: amqtt, the broker's own folder, and at the end every site says goodbye."""
    passwords = tmp_path / "passwords"
    broker_folder.write(BrokerPlan(passwords, passwords, plain_port=1), [site.id for site in SITES])
    broker = EmbeddedBroker(passwords, port=free_port())
    broker.start()
    try:
        login = {
            "host": "127.0.0.1",
            "port": broker.port,
            "tls": False,
            "password_file": str(broker_folder.collector_password_file(passwords)),
        }
        with _collector(tmp_path, broker.port, broker=login) as collector:
            store = Store(collector)
            county = County(
                host="127.0.0.1", port=broker.port, folder=passwords, sites=SITES, area="lab", script=SCRIPT, pace=PACE
            )
            with _living(county):
                _played_through(county)
                _await_stored(county, store, collector.log)
                _assert_told(county, store)
                county.stop()
            left = [site.id for site in SITES if site.id != PARTS.wall]
            wait_until(
                lambda: all(store.power_events(site)[-1][1].what == PowerEvent.GOODBYE for site in left),
                "every site's goodbye is stored",
                60,
                every_s=0.2,
            )
    finally:
        broker.stop()


def test_a_broker_that_goes_and_comes_back_is_found_again(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker, _collector(tmp_path, broker.port) as collector:
        store = Store(collector)
        county = County(host=broker.host, port=broker.port, folder=None, sites=SITES, area="lab", script=(), pace=PACE)
        with _living(county):
            wait_until(lambda: county.figures().connected == len(SITES), "all sites are connected", 60)
            broker.kill()
            wait_until(lambda: county.figures().connected == 0, "all sites notice", 60)
            before = county.figures().taken
            wait_until(lambda: county.figures().taken > before + 5 * len(SITES), "they measure on", 60)
            broker.start()
            county.check()
            kept = _taken(county)
            wait_until(lambda: kept <= store.identities(), f"all of it is stored\n{collector.log()[-3000:]}", 120)


def test_a_site_without_a_password_stops_the_start(tmp_path: Path) -> None:
    county = County(host="127.0.0.1", port=1, folder=tmp_path, sites=SITES)
    with pytest.raises(CountyError, match=SITES[0].id):
        county.start()
