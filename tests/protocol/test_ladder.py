"""The ladder's rules: a table of cases, and what holds for all readings whatsoever."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sitekeeper_protocol.ladder import DIRECT, Baseline, Reading, Resolver, Verdict, diagnose, judge
from sitekeeper_protocol.vocabulary import Grade, Kind, Method, Party, Reason, Rung, State

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("ladder_cases.yaml").read_text())


def readings_of(case: dict[str, Any]) -> list[Reading]:
    return [reading(path, rung, said) for path, ladder in case["readings"].items() for rung, said in ladder.items()]


def reading(path: str, rung: str, said: str) -> Reading:
    name, _, label = rung.partition("#")
    said, _, method = said.partition(" by ")
    state, _, reason = said.partition(" ")
    return Reading(
        path=path,
        rung=Rung[name.upper()],
        label=label,
        state=State[state.upper()],
        reason=Reason[(reason or "none").upper()],
        method=Method[(method or "none").upper()],
    )


def baseline_of(case: dict[str, Any], readings: list[Reading]) -> Baseline:
    proven = case.get("proven", "all")
    if proven == "all":
        known = {r.proof for r in readings}
    elif proven == "none":
        known = set()
    else:
        known = {(path, Rung[rung.upper()]) for path, rung in (item.split("/") for item in proven)}
    return Baseline(
        proven=frozenset(known),
        portal_path=case.get("portal_path", ""),
        resolver=Resolver(case.get("resolver", "gateway")),
    )


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    readings = readings_of(case)
    baseline = baseline_of(case, readings)
    verdict = diagnose(readings, baseline, case.get("path"))
    expect = dict(case["expect"])
    judged = expect.pop("judged", {})
    assert described(verdict, expect) == {"rung": None, "kind": None, "party": None, "grade": None, **expect}
    after = {f"{r.path}/{r.rung.name.lower()}": f"{r.state.name} {r.reason.name}".lower() for r in judge(readings, baseline)}
    assert {key: after[key] for key in judged} == judged


def described(verdict: Verdict, expect: dict[str, Any]) -> dict[str, str | None]:
    shown = {
        "state": verdict.state.name.lower(),
        "path": verdict.path,
        "rung": None if verdict.rung is None else verdict.rung.name.lower(),
        "kind": verdict.kind,
        "party": verdict.party,
        "grade": verdict.grade,
        "reason": verdict.reason.name.lower(),
    }
    asked = {"state", "rung", "kind", "party", "grade"} | expect.keys()
    return {key: value for key, value in shown.items() if key in asked}


def test_the_names_of_the_cases_are_unique() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)


def test_the_cases_cover_every_kind_party_and_rung_that_the_ladder_can_name() -> None:
    verdicts = [diagnose(r := readings_of(case), baseline_of(case, r), case.get("path")) for case in CASES]
    assert {v.kind for v in verdicts} - {None} == {
        Kind.LINK_DOWN,
        Kind.NO_ADDRESS,
        Kind.GATEWAY_DOWN,
        Kind.MODEM_DOWN,
        Kind.LINE_DOWN,
        Kind.LINE_DEGRADED,
        Kind.ARREARS,
        Kind.DNS_FAILURE,
        Kind.PORTAL_DOWN,
        Kind.MEDIA_DOWN,
    }
    assert {v.rung for v in verdicts} - {None} == set(Rung)
    assert {v.party for v in verdicts} - {None} == set(Party) - {Party.POWER}
    assert {v.grade for v in verdicts} - {None} == {Grade.PROVEN, Grade.TO_VERIFY}
    assert {v.state for v in verdicts} == {State.OK, State.DEGRADED, State.FAIL, State.SILENT}


# --- what holds for all readings ---------------------------------------------------------------------------------------

PATHS = st.sampled_from(["ipv4", "ipv6", "ipv4@ppp0"])
UNPAID = {Reason.CAPTIVE_PAGE, Reason.PPPOE_REJECTED}


@st.composite
def any_reading(draw: st.DrawFn) -> Reading:
    state = draw(st.sampled_from(State))
    rung = draw(st.sampled_from(Rung))
    return Reading(
        path=draw(PATHS),
        rung=rung,
        state=state,
        reason=draw(st.sampled_from(Reason)) if state in (State.FAIL, State.DEGRADED) else Reason.NONE,
        label=draw(st.sampled_from(["", DIRECT])) if rung == Rung.DNS else "",
    )


LADDERS = st.lists(any_reading(), max_size=20, unique_by=lambda r: (r.path, r.rung, r.label))
BASELINES = st.builds(
    Baseline,
    proven=st.frozensets(st.tuples(st.sampled_from(["ipv4", "ipv6", "ipv4@ppp0", "ipv4#direct"]), st.sampled_from(Rung))),
    portal_path=st.sampled_from(["", "ipv4", "ipv6"]),
    resolver=st.sampled_from(Resolver),
)


def everything_proven(readings: list[Reading], baseline: Baseline) -> Baseline:
    return replace(baseline, proven=frozenset(r.proof for r in readings))


@given(LADDERS, BASELINES)
def test_judging_twice_changes_nothing(readings: list[Reading], baseline: Baseline) -> None:
    once = judge(readings, baseline)
    assert judge(once, baseline) == once
    assert judge(once, everything_proven(readings, baseline)) == once


@given(LADDERS, BASELINES)
def test_the_collector_comes_to_the_agents_verdict_from_judged_readings(readings: list[Reading], baseline: Baseline) -> None:
    """The collector knows no proven rungs: judged readings carry all that the verdict needs."""
    at_the_site = diagnose(readings, baseline)
    at_the_centre = diagnose(judge(readings, baseline), everything_proven(readings, baseline))
    assert at_the_centre == at_the_site


@given(LADDERS, BASELINES)
def test_judging_only_ever_silences_failures(readings: list[Reading], baseline: Baseline) -> None:
    judged = {(r.path, r.rung, r.label): r for r in judge(readings, baseline)}
    assert len(judged) == len(readings)
    for before in readings:
        after = judged[before.path, before.rung, before.label]
        if after != before:
            assert before.state == State.FAIL
            assert after == replace(before, state=State.SILENT, reason=after.reason)
            assert after.reason in (Reason.ANSWERED_ABOVE, Reason.NEVER_SUCCEEDED)


@given(LADDERS, BASELINES)
def test_what_never_worked_here_is_not_accused(readings: list[Reading], baseline: Baseline) -> None:
    for reading in judge(readings, baseline):
        if reading.state == State.FAIL:
            assert reading.proof in baseline.proven or reading.reason in UNPAID
    verdict = diagnose(readings, baseline)
    if verdict.state == State.FAIL and verdict.reason not in UNPAID:
        assert any(path == verdict.path for path, _ in baseline.proven)


@given(LADDERS, BASELINES, st.sampled_from(Rung))
def test_a_success_above_creates_no_failure_below(readings: list[Reading], baseline: Baseline, rung: Rung) -> None:
    path = readings[0].path if readings else "ipv4"
    others = [r for r in readings if (r.path, r.rung, r.label) != (path, rung, "")]
    success = Reading(path=path, rung=rung, state=State.OK)

    def failing_below(ladder: list[Reading]) -> set[tuple[str, Rung, str]]:
        return {(r.path, r.rung, r.label) for r in judge(ladder, baseline) if r.state == State.FAIL and r.rung < rung}

    assert failing_below([*others, success]) <= failing_below(others)


@given(LADDERS, BASELINES)
def test_a_working_portal_is_never_called_down(readings: list[Reading], baseline: Baseline) -> None:
    verdict = diagnose(readings, baseline)
    if any(r.rung == Rung.PORTAL and r.path == verdict.path and r.answered for r in readings):
        assert verdict.state in (State.OK, State.DEGRADED) or verdict.rung == Rung.MEDIA


@given(LADDERS, BASELINES)
def test_a_verdict_names_a_fault_entirely_or_not_at_all(readings: list[Reading], baseline: Baseline) -> None:
    verdict = diagnose(readings, baseline)
    named = (verdict.kind, verdict.party, verdict.grade)
    assert all(named) or not any(named)
    assert (verdict.state == State.FAIL) <= all(named)
    assert (verdict.rung is None) == (verdict.state in (State.OK, State.SILENT))
    assert verdict.grade != Grade.INFERRED, "the ladder looks from the site"
    assert [r.rung for r in verdict.evidence] == sorted(r.rung for r in verdict.evidence)
    assert {r.path for r in verdict.evidence} <= {verdict.path}


@given(LADDERS, BASELINES)
def test_the_order_of_readings_does_not_matter(readings: list[Reading], baseline: Baseline) -> None:
    assert diagnose(readings[::-1], baseline) == diagnose(readings, baseline)


@given(LADDERS, BASELINES)
def test_a_baseline_only_ever_learns(readings: list[Reading], baseline: Baseline) -> None:
    later = baseline.after(readings)
    assert later.proven == baseline.proven | {r.proof for r in readings if r.answered}
    assert later.resolver == baseline.resolver
    assert later.after(readings) == later
    reaching = {r.path for r in readings if r.rung == Rung.PORTAL and r.answered}
    assert later.portal_path in (reaching or {baseline.portal_path})


def test_a_verdict_that_differs_only_in_evidence_is_no_change() -> None:
    seen = Reading(path="ipv4", rung=Rung.PORTAL, state=State.OK, rtt_ms=12.5)
    first = diagnose([seen], Baseline())
    second = diagnose([replace(seen, rtt_ms=80.0)], Baseline())
    assert first != second
    assert first.essence == second.essence
