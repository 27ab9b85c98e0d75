"""The simulated county's register, classes and script fit together, and the register is one that an operator could import."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitekeeper_collector.demo.county import County, CountyError, cast, plan_classes, plan_script, plan_sites, sites_csv
from sitekeeper_collector.demo.county.plan import MIN_SITES
from sitekeeper_collector.demo.county.script import Step
from sitekeeper_collector.registry import files
from sitekeeper_collector.simulate.conditions import Condition


@settings(deadline=None, max_examples=25)
@given(st.integers(MIN_SITES, 400), st.integers(0, 2**32))
def test_the_register_reads_back_as_it_was_planned(count: int, seed: int) -> None:
    sites = plan_sites(count, seed)
    parsed = files.parse(sites_csv(sites).encode())
    assert (parsed.problems, parsed.notes) == ((), ())
    assert list(parsed.sites) == sites
    assert len(sites) == count


@settings(deadline=None, max_examples=50)
@given(st.integers(MIN_SITES, 400), st.floats(0.05, 10))
def test_the_parts_of_the_script_do_not_overlap_and_fit_their_words(count: int, factor: float) -> None:
    sites = {site.id: site for site in plan_sites(count)}
    parts = cast(list(sites.values()))
    players = [parts.resolver, parts.stream, parts.wall, *parts.node, *parts.power]
    assert len(set(players)) == len(players)
    assert len(parts.node) == 6
    assert len({sites[site].access_node for site in parts.node}) == 1
    assert len(parts.power) == 8
    assert {sites[site].township for site in parts.power} == {sites[parts.power[0]].township}
    classes = plan_classes(list(sites.values()), factor)
    assert (classes[0].from_s, classes[0].to_s) == (0, 600 * factor)
    assert {sites[site].township for site in parts.node} == {classes[0].township}
    taught = {held.township for held in classes}
    assert not taught & {sites[site].township for site in (parts.wall, *parts.power)}


def test_the_script_is_told_in_two_minutes_and_all_return_but_the_one_at_the_wall() -> None:
    sites = plan_sites()
    script = plan_script(sites)
    assert [step.at_s for step in script] == [15, 25, 35, 45, 55, 70, 80, 90, 100]
    after = {site: step.condition for step in script for site in step.sites}
    assert {site for site, condition in after.items() if condition is not Condition.WORKING} == {cast(sites).wall}
    assert [step.at_s for step in plan_script(sites, 0.5)] == [step.at_s / 2 for step in script]
    assert all(before.at_s < step.at_s for before, step in pairwise(script))


@pytest.mark.parametrize("step", plan_script(plan_sites()), ids=lambda step: f"{step.at_s:g}s")
def test_each_step_says_what_happens_and_where_to_look_in_both_languages(step: Step) -> None:
    chinese, english = step.words("zh"), step.words("en")
    assert all(chinese) and all(english)
    assert not set("{}") & set("".join(chinese + english))
    assert any("一" <= letter <= "鿿" for letter in chinese[1])
    assert not any("，" <= letter <= "；" for letter in "".join(english))


def test_names_are_the_county_s_own_and_apart() -> None:
    sites = plan_sites(60)
    assert len({site.name for site in sites}) == 60
    assert plan_sites(60) == sites
    assert plan_sites(60, seed=2) != sites


@pytest.mark.parametrize("count", [0, MIN_SITES - 1, 10**6])
def test_a_county_of_no_use_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"{MIN_SITES} to "):
        plan_sites(count)


def test_a_script_about_sites_that_are_not_there_is_refused() -> None:
    sites = plan_sites(60)
    with pytest.raises(CountyError, match=cast(sites).wall):
        County(host="127.0.0.1", port=1, folder=None, sites=sites[:30], script=plan_script(sites))
