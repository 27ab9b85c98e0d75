"""A sample carries what is new about the settings, and how many differ."""

from pathlib import Path

from sitekeeper_agent.app import read_clocks
from sitekeeper_agent.config import Broker, Settings
from sitekeeper_agent.probes.settings import NetworkSettings, keep_commissioned, to_facts
from sitekeeper_agent.sampler import Look, Sampler
from sitekeeper_agent.spool import Limits, Spool
from sitekeeper_protocol.ladder import Baseline, diagnose
from sitekeeper_protocol.messages import Sample, Scalar, SettingsEvent
from sitekeeper_protocol.vocabulary import Metric

DHCP = NetworkSettings(method="dhcp", resolvers_by="dhcp")
BY_HAND = NetworkSettings(method="dhcp", resolvers=("8.8.8.8",), resolvers_by="hand")
DIFFERING = Metric.SETTINGS_DIFFERING.value, ""


def look(facts: dict[str, Scalar]) -> Look:
    return Look(readings=(), verdict=diagnose([], Baseline()), values={}, facts=facts, baseline=Baseline(), trouble={})


def changes(sample: Sample) -> list[SettingsEvent]:
    return [event for event in sample.events if isinstance(event, SettingsEvent)]


def test_a_resolver_set_by_hand_is_told_with_the_sample_that_found_it(tmp_path: Path) -> None:
    settings = Settings(
        site="0417", area="522634", broker=Broker(host="127.0.0.1"), portal="http://127.0.0.1:9/", state_dir=str(tmp_path)
    )
    spool = Spool(tmp_path, Limits(64 * 1048576, 30 * 86_400_000, 7 * 86_400_000), stamp=lambda: "now")
    sampler = Sampler(settings, spool, boot=1, now=read_clocks)
    before = sampler.finish(look(to_facts(BY_HAND)))
    assert changes(before) == [] and DIFFERING not in before.values
    keep_commissioned(spool, DHCP)
    found = sampler.finish(look({}))
    assert changes(found) == [SettingsEvent("resolvers", "dhcp", "8.8.8.8")] and found.values[DIFFERING] == 1
    assert changes(sampler.finish(look({}))) == []
    back = sampler.finish(look(to_facts(DHCP)))
    assert changes(back) == [SettingsEvent("resolvers", "8.8.8.8", "dhcp")] and back.values[DIFFERING] == 0
    spool.close()
