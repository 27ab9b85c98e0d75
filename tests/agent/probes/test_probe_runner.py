"""The runner: a probe that hangs or raises costs its own reading and nothing else."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sitekeeper_agent.probes import Context, Findings, Probe, parse_portal
from sitekeeper_agent.probes.runner import ProbeRunner
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.vocabulary import Metric, Reason, Rung, State
from support.wait import wait_until

CONTEXT = Context(parse_portal("http://127.0.0.1:9/"), 0.0)
LINK = Reading(rung=Rung.LINK, path="ipv4", state=State.OK)


def good(context: Context) -> Findings:
    return Findings((LINK,), {(Metric.PROCESSES.value, ""): 7}, {"good": True}, {"rounds": context.before.get("rounds", 0) + 1})


def raising(context: Context) -> Findings:
    raise ValueError("a sensor exploded")


@contextmanager
def runner(timeout_s: float = 0.2, **probes: Probe) -> Iterator[ProbeRunner]:
    running = ProbeRunner(probes, timeout_s)
    try:
        yield running
    finally:
        running.close()


def test_findings_of_all_probes_are_merged() -> None:
    def other(context: Context) -> Findings:
        return Findings((), {(Metric.CPU_RATIO.value, ""): 5}, {"other": 1})

    with runner(30, link=good, other=other) as running:
        running.start_round(CONTEXT)
        result = running.collect()
    assert result.findings.readings == (LINK,)
    assert result.findings.values == {(Metric.PROCESSES, ""): 7, (Metric.CPU_RATIO, ""): 5, (Metric.PROBES_HUNG, ""): 0}
    assert result.findings.facts == {"good": True, "other": 1}
    assert (result.hung, result.failed) == ((), {})


def test_a_probe_sees_its_own_counters_of_the_round_before_and_a_fresh_deadline() -> None:
    seen: list[tuple[int, bool]] = []

    def count(context: Context) -> Findings:
        seen.append((context.before.get("rounds", 0), context.left_s > 0))
        return good(context)

    with runner(30, link=count, other=good) as running:
        for _ in range(3):
            running.start_round(CONTEXT)
            running.collect()
    assert seen == [(0, True), (1, True), (2, True)]


def test_a_probe_that_hangs_for_ever_delays_neither_the_others_nor_the_next_round() -> None:
    calls: list[int] = []
    release = threading.Event()

    def hanging(context: Context) -> Findings:
        calls.append(1)
        release.wait()
        return good(context)

    with runner(gateway=hanging, link=good) as running:
        for _ in range(3):
            running.start_round(CONTEXT)
            result = running.collect()
            assert result.hung == ("gateway",)
            assert result.findings.values[Metric.PROBES_HUNG, ""] == 1
            assert LINK in result.findings.readings
            silent = next(r for r in result.findings.readings if r.rung == Rung.GATEWAY)
            assert (silent.state, silent.reason, silent.path) == (State.SILENT, Reason.PROBE_HUNG, "ipv4")
        assert len(calls) == 1, "a probe that hangs is left alone"
        release.set()


def test_a_round_without_a_probe_to_wait_for_is_over_at_once() -> None:
    """The second round does not wait for the probe that hangs since the first."""
    release = threading.Event()
    with runner(0.1, gateway=lambda context: Findings((), {}, {}) if release.wait() else good(context)) as running:
        running.start_round(CONTEXT)
        running.collect()
        running.start_round(CONTEXT)
        assert running.collect(time.monotonic() + 3600).hung == ("gateway",)
        release.set()


def test_a_probe_that_comes_back_is_used_again_and_its_late_findings_are_not() -> None:
    release = threading.Event()
    names: list[str] = []

    def late(context: Context) -> Findings:
        names.append("in")
        release.wait()
        names.append("out")
        return Findings((), {}, {"call": len(names)})

    with runner(gateway=late) as running:
        running.start_round(CONTEXT)
        assert running.collect().hung == ("gateway",)
        release.set()

        def comes_back() -> bool:
            running.start_round(CONTEXT)
            result = running.collect()
            return not result.hung and result.findings.facts == {"call": 4}

        wait_until(comes_back, "the probe takes part in a round again")


def test_a_probe_that_raises_costs_one_reading() -> None:
    with runner(30, gateway=raising, link=good) as running:
        running.start_round(CONTEXT)
        result = running.collect()
    assert result.failed == {"gateway": "ValueError: a sensor exploded"}
    broken = next(r for r in result.findings.readings if r.rung == Rung.GATEWAY)
    assert (broken.state, broken.reason) == (State.SILENT, Reason.PROBE_ERROR)
    assert LINK in result.findings.readings


def test_a_trouble_is_logged_when_it_changes_and_not_each_round(caplog: pytest.LogCaptureFixture) -> None:
    broken = True

    def sometimes(context: Context) -> Findings:
        return raising(context) if broken else good(context)

    caplog.set_level(logging.INFO, logger="sitekeeper_agent.probes.runner")
    with runner(30, link=sometimes) as running:
        for _ in range(3):
            running.start_round(CONTEXT)
            running.collect()
        broken = False
        for _ in range(2):
            running.start_round(CONTEXT)
            running.collect()
    assert [r.getMessage() for r in caplog.records] == [
        "probe link: ValueError: a sensor exploded",
        "probe link works again",
    ]
