"""What is true of a simulated site shows in its samples as a real agent would tell it."""

import random

import pytest

from sitekeeper_agent import journal, sampler
from sitekeeper_collector.simulate import conditions, measures
from sitekeeper_collector.simulate.conditions import Condition
from sitekeeper_collector.simulate.site import start_events
from sitekeeper_collector.simulate.spool import Run
from sitekeeper_protocol.ladder import Verdict, diagnose, judge
from sitekeeper_protocol.vocabulary import Grade, Kind, Metric, Party, Rung, State

POWERED = [condition for condition in Condition if condition.has_power]
VERDICTS = {
    Condition.WORKING: (State.OK, None, None, None, None),
    Condition.RESOLVER_FAILING: (State.FAIL, Rung.DNS, Kind.DNS_FAILURE, Party.TELECOM, Grade.PROVEN),
    Condition.STREAM_BROKEN: (State.FAIL, Rung.MEDIA, Kind.MEDIA_DOWN, Party.PLATFORM, Grade.PROVEN),
    Condition.PORTAL_DOWN: (State.FAIL, Rung.PORTAL, Kind.PORTAL_DOWN, Party.TECHNICIAN, Grade.PROVEN),
    Condition.LINE_CUT: (State.FAIL, Rung.ISP, Kind.LINE_DOWN, Party.TELECOM, Grade.PROVEN),
}


def _verdict(condition: Condition) -> Verdict:
    return diagnose(conditions.readings(condition, random.Random(5)), conditions.proven())


def test_every_condition_with_power_has_a_verdict_here() -> None:
    assert sorted(VERDICTS) == sorted(POWERED)


@pytest.mark.parametrize("condition", Condition)
def test_every_condition_has_a_name_in_chinese_and_english(condition: Condition) -> None:
    chinese, english = conditions.NAMES[condition]
    assert all("一" <= letter <= "鿿" for letter in chinese)
    assert english.isascii() and english


@pytest.mark.parametrize("condition", POWERED)
def test_the_ladder_names_what_is_really_wrong(condition: Condition) -> None:
    found = _verdict(condition)
    assert (found.state, found.rung, found.kind, found.party, found.grade) == VERDICTS[condition]


@pytest.mark.parametrize("condition", POWERED)
def test_values_and_events_are_those_of_an_agent(condition: Condition) -> None:
    """The same readings through the agent's own functions."""
    readings = judge(conditions.readings(condition, random.Random(5)), conditions.proven())
    verdict, before = _verdict(condition), _verdict(Condition.WORKING)
    assert measures.ladder_values(readings) == sampler.ladder_values(readings)
    assert measures.verdict_values(verdict) == sampler.verdict_values(verdict)
    assert measures.verdict_event(before, verdict) == sampler.verdict_event(before, verdict)
    assert measures.verdict_event(None, verdict) == sampler.verdict_event(None, verdict)


@pytest.mark.parametrize("condition", POWERED)
def test_a_fault_has_numbers_exactly_where_one_is_named(condition: Condition) -> None:
    named = {(metric.value, "") for metric in (Metric.VERDICT_KIND, Metric.VERDICT_PARTY, Metric.VERDICT_GRADE)}
    found = measures.verdict_values(_verdict(condition)).keys() & named
    assert found == (set() if condition is Condition.WORKING else named)


def test_the_portal_s_status_is_told_exactly_where_it_answered() -> None:
    found = {condition: measures.portal_values(conditions.readings(condition, random.Random(5))) for condition in POWERED}
    assert {condition: values.get((Metric.PORTAL_STATUS, "")) for condition, values in found.items()} == {
        Condition.WORKING: 200,
        Condition.RESOLVER_FAILING: None,
        Condition.STREAM_BROKEN: 200,
        Condition.PORTAL_DOWN: 503,
        Condition.LINE_CUT: None,
    }


@pytest.mark.parametrize("ended", ["", "shutdown"])
def test_a_run_begins_with_the_events_of_an_agent_s_journal(ended: str) -> None:
    run = Run(run=9, boot=3, booted_ms=0)
    run.ended, run.last_wall_ms, run.last_boottime_ms = ended, 1_800_000_000_000, 4_000
    told = journal.Run(9, 3, 0, 0, 1_800_000_000_000, 4_000, ended=ended or None)
    assert start_events(run) == list(journal.start_events(told, boot=4))
    assert start_events(None) == list(journal.start_events(None, boot=4))
