"""What the sampler keeps and forgets of a network, and when it tells probes that the line is busy with the site's own work."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest

from sitekeeper_agent.app import read_clocks
from sitekeeper_agent.config import Broker, Settings
from sitekeeper_agent.learned import Learned, stored
from sitekeeper_agent.probes import isp
from sitekeeper_agent.sampler import Link, Look, Sampler
from sitekeeper_agent.spool import Limits, Spool
from sitekeeper_agent.surroundings import Network
from sitekeeper_protocol.ladder import Baseline, Verdict
from sitekeeper_protocol.messages import Sample
from sitekeeper_protocol.vocabulary import Metric, Reason, Rung, State

SETTINGS = Settings(site="0417", area="lab", broker=Broker(host="127.0.0.1"), portal="http://127.0.0.1:9/")
KNOWN = Learned(modems={"ipv4": "192.168.100.1"}, usual_rtt_ms={"ipv4": 9.5})
_encode = msgspec.msgpack.encode


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path, Limits(64 * 1048576, 86_400_000, 86_400_000), stamp=lambda: "now")
    made.set_meta("learned", _encode(KNOWN))
    made.set_meta("baseline", _encode(Baseline(proven=frozenset({("ipv4", Rung.GATEWAY)}))))
    yield made
    made.close()


def sampler(spool: Spool, settings: Settings = SETTINGS) -> Sampler:
    return Sampler(settings, spool, boot=1, now=read_clocks)


def finish(taking: Sampler, playing: int = 0, facts: Mapping[str, str] = MappingProxyType({})) -> Sample:
    look = Look((), Verdict(state=State.OK), {}, facts, Baseline(), {})
    return taking.finish(look, (), {(Metric.PLAYING.value, ""): playing})


def test_what_was_learned_goes_on_in_the_same_network(spool: Spool) -> None:
    sampler(spool).order()  # the first one sees the network for the first time
    order = sampler(spool).order()
    assert order.context.modems == KNOWN.modems and order.context.usual_rtt_ms == KNOWN.usual_rtt_ms
    assert order.baseline.proven


def test_in_another_network_everything_is_forgotten_and_commissioning_is_asked_for(spool: Spool) -> None:
    spool.set_meta("network", b"eth9>192.0.2.99")
    spool.set_meta("commissioned_network", b"eth9>192.0.2.99")
    taking = sampler(spool)
    order = taking.order()
    assert not order.context.modems and not order.context.usual_rtt_ms and not order.baseline.proven
    assert stored(spool.meta("learned")) == Learned()
    assert finish(taking).values[Metric.COMMISSIONED, ""] == 0


def test_a_modem_set_by_hand_is_asked_whatever_was_learned(spool: Spool) -> None:
    by_hand = msgspec.structs.replace(SETTINGS, network=Network(modem="10.0.0.1"))
    assert sampler(spool, by_hand).order().context.modems == {"ipv4": "10.0.0.1"}
    none = msgspec.structs.replace(SETTINGS, network=Network(modem="none"))
    assert not sampler(spool, none).order().context.modem_wanted


def test_a_hop_is_learned_over_samples_and_kept_on_disk(spool: Spool) -> None:
    taking = sampler(spool)
    for _ in range(3):
        finish(taking, facts={"network.second_hop.ipv4": "192.168.7.1"})
    assert taking.order().context.modems == {"ipv4": "192.168.7.1"}
    assert stored(spool.meta("learned")).modems == {"ipv4": "192.168.7.1"}


def test_the_line_is_not_judged_while_the_site_itself_uses_it(spool: Spool) -> None:
    taking = sampler(spool)
    assert not taking.order().context.own_traffic
    taking.told(Link(connected=True, catching_up=True))
    assert taking.order().context.own_traffic
    taking.told(Link(connected=True))
    finish(taking, playing=1)
    busy = taking.order().context
    assert busy.own_traffic
    finish(taking, playing=0)
    assert not taking.order().context.own_traffic


@pytest.mark.parametrize(("own_traffic", "counted"), [(False, True), (True, False)])
def test_probes_of_a_busy_line_do_not_count(spool: Spool, own_traffic: bool, counted: bool) -> None:
    context = (
        sampler(spool)
        .order()
        .context._replace(
            anchors=("127.0.0.1", "127.0.0.2"), own_traffic=own_traffic, deadline=read_clocks().monotonic_ms / 1000 + 20
        )
    )
    found = isp.probe(context)
    assert found.readings[0].state == State.OK
    assert ((Metric.LINE_PROBES, "ipv4/isp") in found.values) == counted


def test_every_sample_says_how_the_broker_stands(spool: Spool) -> None:
    taking = sampler(spool)
    taking.told(Link(connected=False, reason=Reason.LOGIN_REFUSED))
    values = finish(taking).values
    assert (values[Metric.BROKER_CONNECTED, ""], values[Metric.BROKER_REASON, ""]) == (0, Reason.LOGIN_REFUSED)
    taking.told(Link(connected=True))
    values = finish(taking).values
    assert values[Metric.BROKER_CONNECTED, ""] == 1 and (Metric.BROKER_REASON, "") not in values


@pytest.mark.parametrize(
    ("before", "busy"),
    [
        ({}, False),
        ({"moved": 0, "moved_ms": 0}, True),
        ({"moved": 1_000_000, "moved_ms": 0}, False),
        ({"moved": 0, "moved_ms": 60_000}, False),
        ({"moved": 10**15, "moved_ms": 0}, False),
    ],
)
def test_a_pc_that_downloads_judges_no_line(before: dict[str, int], busy: bool) -> None:
    assert isp.is_busy(before, {"moved": 1_920_000, "moved_ms": 60_000}) == busy
