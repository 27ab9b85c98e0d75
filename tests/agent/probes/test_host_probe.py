"""The machine's own values: sane levels, and rates only between two rounds."""

import time
from pathlib import Path

from sitekeeper_agent.probes import Context, host, parse_portal
from sitekeeper_agent.probes.host import rates, volume_of
from sitekeeper_protocol.vocabulary import Metric, from_wire

CONTEXT = Context(parse_portal("http://127.0.0.1:9/"), time.monotonic() + 600)


def test_levels_are_those_of_a_living_machine() -> None:
    found = host.probe(CONTEXT)
    told = {Metric(metric): from_wire(metric, value) for (metric, _), value in found.values.items()}
    assert 0 < told[Metric.MEMORY_AVAILABLE_RATIO] <= 1
    assert 0 <= told[Metric.DISK_USED_RATIO] <= 1 and told[Metric.DISK_FREE_BYTES] > 0
    assert told[Metric.PROCESSES] > 0 and told[Metric.AGENT_RSS_BYTES] > 1e6
    assert (Metric.DISK_FREE_BYTES.value, "/") in found.values
    assert found.facts["cpus"] and found.facts["memory_mib"] and found.facts["agent"]


def test_the_first_round_has_no_rates_and_the_second_has() -> None:
    first = host.probe(CONTEXT)
    rated = {Metric.CPU_RATIO, Metric.AGENT_CPU_S, Metric.NET_RECEIVED_BYTES, Metric.NET_SENT_BYTES}
    assert not rated & {metric for metric, _ in first.values}
    second = host.probe(CONTEXT._replace(before=first.counters))
    assert (Metric.AGENT_CPU_S.value, "") in second.values


def test_rates_are_differences_to_the_round_before() -> None:
    before = {"cpu_all_ms": 1000, "cpu_idle_ms": 500, "agent_cpu_ms": 100, "received eth0": 0, "sent eth0": 4096}
    now = {"cpu_all_ms": 2000, "cpu_idle_ms": 750, "agent_cpu_ms": 350, "received eth0": 10240, "sent eth0": 5120}
    found = {
        Metric(metric).name: (instance, from_wire(metric, value)) for (metric, instance), value in rates(before, now).items()
    }
    assert found == {
        "CPU_RATIO": ("", 0.75),
        "AGENT_CPU_S": ("", 0.25),
        "NET_RECEIVED_BYTES": ("eth0", 10240),
        "NET_SENT_BYTES": ("eth0", 1024),
    }


def test_a_counter_that_started_again_or_changed_its_interface_gives_no_rate() -> None:
    assert rates({"received eth0": 5000}, {"received eth0": 10}) == {}
    assert rates({"received eth0": 5000}, {"received wlan0": 9000}) == {}
    assert rates({"cpu_all_ms": 5, "cpu_idle_ms": 5}, {"cpu_all_ms": 5, "cpu_idle_ms": 5}) == {}


def test_a_folder_that_is_yet_to_be_made_lies_on_its_parents_volume(tmp_path: Path) -> None:
    assert volume_of(str(tmp_path / "not/yet")) == volume_of(str(tmp_path))
    assert Path(volume_of("/proc/net")).as_posix() == "/proc"
