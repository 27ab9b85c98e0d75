"""Real faults in a county of namespaces: what sites say of them, and what a centre makes of it."""

from collections.abc import Iterator

import pytest

from lab.faults import DEEDS
from lab.judging import judge
from lab.play import CONDITIONS, play
from lab.scenario import Scenario, load, names
from lab.stage import Stage, stage
from sitekeeper_protocol.vocabulary import KINDS, Grade, Party

_QUICK = sorted((s for s in map(load, names()) if s.quick), key=lambda scenario: scenario.centre)


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("lab") / "county") as made:
        yield made


@pytest.mark.root
@pytest.mark.broker
@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.parametrize("scenario", _QUICK, ids=lambda scenario: scenario.name)
def test_a_fault_is_told_right(county: Stage, scenario: Scenario) -> None:
    result = judge(scenario, play(county, scenario))
    assert result.ok, "\n".join(result.wrong)


@pytest.mark.parametrize("name", names())
def test_a_scenario_speaks_in_words_that_are_known(name: str) -> None:
    scenario = load(name)
    truth = scenario.truth
    assert {deed.partition(" ")[0] for step in scenario.steps for deed in step.do} <= DEEDS.keys()
    assert {word for step in scenario.steps for word in step.when} <= CONDITIONS.keys()
    tickets = [words.split()[1:4] for words in (*truth.opening, *truth.after)]
    verdicts = [words.split() for said in truth.said.values() for words in said if not words.startswith("slow ")]
    for kind, party, grade in tickets + verdicts:
        assert kind in KINDS and party in list(Party) and grade in list(Grade)
    broken = {site for step in scenario.steps for site in step.breaks}
    assert broken == {site for step in scenario.steps for site in step.mends}, "what breaks is mended"
    assert truth.ledger.keys() <= broken and truth.said.keys() <= broken
