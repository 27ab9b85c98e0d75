"""Which silences have one cause, in whatever order they became known, and how an area ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_collector.domain import areas
from sitekeeper_collector.domain.areas import End, Group, Level, Lost, Member, find, leaves_by_habit, standing
from sitekeeper_collector.domain.returning import Outcome

MINUTE_MS, DAY_MS = 60_000, 86_400_000
WITHIN_MS = 5 * MINUTE_MS
NOW_MS = 100 * DAY_MS


def lost(site: str, node: str = "", feeder: str = "", town: str = "", *, at_min: float = 0, cut_off: bool = True) -> Lost:
    groups = areas.groups_of(access_node=node, feeder=feeder, township=town, county="c")
    return Lost(site, round(at_min * MINUTE_MS), groups, cut_off)


def found(*silent: Lost, staying: dict[str, int] | None = None) -> list[tuple[str, tuple[str, ...]]]:
    heard = staying or {}
    return [(area.group.key, area.members) for area in find(silent, lambda group, _: heard.get(group.name, 0), WITHIN_MS)]


def test_three_of_a_node_are_an_area_and_two_are_not() -> None:
    three = [lost(site, "olt") for site in "abc"]
    assert found(*three) == [("access_node/olt", ("a", "b", "c"))]
    assert found(*three[:2]) == []


def test_most_of_those_in_contact_must_be_gone() -> None:
    three = [lost(site, "olt") for site in "abc"]
    assert found(*three, staying={"olt": 2}) and not found(*three, staying={"olt": 3})


def test_what_was_lost_later_is_something_else() -> None:
    assert found(lost("a", "olt"), lost("b", "olt", at_min=4), lost("c", "olt", at_min=5.1)) == []


def test_nothing_was_cut_off_so_nobody_is_bothered() -> None:
    assert found(*(lost(site, "olt", cut_off=False) for site in "abc")) == []


def test_a_feeder_over_two_nodes_is_the_power() -> None:
    silent = [lost("a", "olt-1", "f"), lost("b", "olt-1", "f"), lost("c", "olt-1", "f"), lost("d", "olt-2", "f")]
    assert found(*silent, staying={"olt-2": 5}) == [("feeder/f", ("a", "b", "c", "d"))]


def test_of_a_node_that_hangs_on_two_feeders_the_line_is_gone() -> None:
    silent = [lost("a", "olt", "f"), lost("b", "olt", "f"), lost("c", "olt", "f"), lost("d", "olt", "g")]
    assert found(*silent, staying={"f": 2, "g": 4}) == [("access_node/olt", ("a", "b", "c", "d"))]


def test_a_township_is_the_last_resort_and_no_other_county_s() -> None:
    silent = [lost(site, f"olt-{site}", f"f-{site}", "town") for site in "abc"]
    assert found(*silent) == [("township/c/town", ("a", "b", "c"))]
    elsewhere = silent[0]._replace(groups=(Group(Level.TOWNSHIP, "town", "d"),))
    assert found(elsewhere, *silent[1:]) == []


_SITES = st.lists(
    st.builds(
        lost,
        st.text("abcdefghij", min_size=1, max_size=2),
        st.sampled_from(["", "n1", "n2"]),
        st.sampled_from(["", "f1", "f2"]),
        st.sampled_from(["", "t1", "t2"]),
        at_min=st.integers(0, 12),
        cut_off=st.booleans(),
    ),
    max_size=14,
    unique_by=lambda one: one.site,
)


@given(_SITES, st.randoms(use_true_random=False), st.integers(0, 3))
def test_the_order_in_which_losses_are_known_changes_nothing(silent: list[Lost], random: object, staying: int) -> None:
    before = find(silent, lambda *_: staying, WITHIN_MS)
    shuffled = list(silent)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert find(shuffled, lambda *_: staying, WITHIN_MS) == before
    members = [site for area in before for site in area.members]
    assert len(members) == len(set(members)), "a site is in one area at most"
    times = {one.site: one.lost_ms for one in silent}
    for area in before:
        assert len(area.members) >= areas.LEAST and 2 * len(area.members) > area.contact
        assert max(times[site] for site in area.members) - area.from_ms <= WITHIN_MS


@pytest.mark.parametrize(("times", "habit"), [(2, False), (3, True)])
def test_a_site_that_vanishes_at_this_time_on_three_days_does_so_by_habit(times: int, habit: bool) -> None:
    vanished = [NOW_MS - day * DAY_MS + 15 * MINUTE_MS for day in range(1, times + 1)]
    assert leaves_by_habit(vanished, NOW_MS) is habit
    assert not leaves_by_habit([at_ms - 60 * MINUTE_MS for at_ms in vanished], NOW_MS)


def back(site: str, outcome: Outcome | None, *, ago_min: int = 10) -> Member:
    return Member(site, NOW_MS - ago_min * MINUTE_MS, outcome)


@pytest.mark.parametrize(
    ("outcomes", "level", "end"),
    [
        ((Outcome.FAULT, Outcome.FAULT, Outcome.UNEXPLAINED), Level.ACCESS_NODE, End.PROVEN),
        ((Outcome.FAULT, Outcome.FAULT, Outcome.POWER), Level.FEEDER, End.LINE),
        ((Outcome.POWER, Outcome.POWER, Outcome.FAULT), Level.ACCESS_NODE, End.POWER),
        ((Outcome.POWER, Outcome.POWER, Outcome.OFF), Level.FEEDER, End.PROVEN),
        ((Outcome.OFF, Outcome.OFF, Outcome.SHORT), Level.ACCESS_NODE, End.NOTHING),
        ((Outcome.SHORT, Outcome.UNEXPLAINED, Outcome.BLOCKED), Level.ACCESS_NODE, End.RECOVERED),
        ((Outcome.FAULT, Outcome.FAULT, None), Level.ACCESS_NODE, End.NOT_YET),
    ],
)
def test_what_its_sites_prove_is_what_an_area_was(outcomes: tuple[Outcome | None, ...], level: Level, end: End) -> None:
    members = [back(str(at), outcome) for at, outcome in enumerate(outcomes)]
    assert standing(members, level, NOW_MS).end is end


def test_a_site_that_stays_dark_half_an_hour_after_most_others_outlives_its_area() -> None:
    members = [back("a", Outcome.FAULT, ago_min=30), back("b", Outcome.FAULT, ago_min=40), Member("c")]
    assert standing(members, Level.ACCESS_NODE, NOW_MS - 1).end is End.NOT_YET
    over = standing(members, Level.ACCESS_NODE, NOW_MS)
    assert (over.end, over.ended_ms, over.outlive) == (End.PROVEN, NOW_MS - 30 * MINUTE_MS, ("c",))
    assert standing([members[0], Member("b"), Member("c")], Level.ACCESS_NODE, NOW_MS).end is End.NOT_YET
