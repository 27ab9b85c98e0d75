"""Figures add up: of sites, of days, of causes; and a rate of nothing is no rate."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_collector.domain import figures
from sitekeeper_collector.domain.figures import Repair, Spent, Tally, difference, handled_ms, percentile, tally_of, total
from sitekeeper_collector.domain.ledger import Claim, Segment, Source, Was, partition
from sitekeeper_protocol.vocabulary import Kind, Party

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
DAYS = [(at * DAY_MS, (at + 1) * DAY_MS) for at in range(5)]
END_MS = 5 * DAY_MS

instants = st.integers(-DAY_MS, END_MS + DAY_MS)
claims = st.builds(
    lambda a, b, was, source, party: Claim(min(a, b), max(a, b), was, source, Kind.LINE_DOWN if party else None, party),
    instants,
    instants,
    st.sampled_from(Was),
    st.sampled_from((Source.SITE, Source.CENTRE, Source.BLIND)),
    st.sampled_from((None, Party.TELECOM, Party.SITE)),
)
pictures = st.lists(claims, max_size=12).map(lambda made: partition(made, -DAY_MS, END_MS))
stretches = st.lists(st.tuples(instants, instants), max_size=6)


def weekday(day_ms: int) -> bool:
    return day_ms // DAY_MS % 3 != 2


def of(picture: Sequence[Segment], from_ms: int = 0, to_ms: int = END_MS, broken: Sequence[tuple[int, int]] = ()) -> Tally:
    return tally_of(picture, from_ms, to_ms, days=DAYS, is_expected=weekday, broken=broken)


@given(pictures, stretches)
def test_days_add_up_to_the_whole(picture: list[Segment], broken: list[tuple[int, int]]) -> None:
    whole = of(picture, broken=broken)
    parts = total((of(picture, *day, broken=broken) for day in DAYS), same_sites=True)
    assert parts == whole
    assert whole.ms() == END_MS == whole.known_ms + whole.unknown_ms
    assert sum(whole.by_cause().values()) == whole.down_ms
    assert 0 <= whole.broken_ms <= whole.known_ms
    assert whole.days_online <= whole.days_expected <= 4


@given(st.lists(pictures, max_size=4))
def test_sites_add_up_in_any_order(of_sites: list[list[Segment]]) -> None:
    tallies = [of(picture) for picture in of_sites]
    whole = total(tallies)
    assert whole == total(reversed(tallies)) == total([total(tallies[:2]), total(tallies[2:])])
    assert (whole.sites, whole.ms()) == (len(tallies), len(tallies) * END_MS)


@given(pictures, pictures)
def test_a_correction_is_what_has_to_be_added(before: list[Segment], after: list[Segment]) -> None:
    old, new = of(before), of(after)
    change = difference(new, old)
    assert total([old, change]) == new
    assert (difference(new, new) == Tally()) and (change.ms() == 0)


def line(from_h: float, to_h: float, was: Was = Was.LINE) -> Segment:
    return Segment(round(from_h * HOUR_MS), round(to_h * HOUR_MS), was, Source.SITE, Kind.LINE_DOWN, Party.TELECOM)


def up(from_h: float, to_h: float) -> Segment:
    return Segment(round(from_h * HOUR_MS), round(to_h * HOUR_MS), Was.UP, Source.SITE)


def test_an_outage_over_midnight_is_one_that_began_the_day_before() -> None:
    picture = [up(0, 22), line(22, 23), line(23, 26, Was.GATEWAY), up(26, 48)]
    first, second = of(picture, 0, DAY_MS), of(picture, DAY_MS, 2 * DAY_MS)
    assert (first.outages, first.down_ms, second.outages, second.down_ms) == (1, 2 * HOUR_MS, 0, 2 * HOUR_MS)


def test_what_nobody_knows_is_in_no_denominator() -> None:
    dark = Segment(2 * HOUR_MS, 20 * HOUR_MS, Was.PRESUMED_OFF, Source.CENTRE)
    blind = Segment(20 * HOUR_MS, 24 * HOUR_MS, Was.BLIND, Source.BLIND)
    unheard = Segment(24 * HOUR_MS, 48 * HOUR_MS, Was.UNKNOWN)
    day = of([up(0, 1), line(1, 2), dark, blind, unheard], 0, 2 * DAY_MS, [(0, HOUR_MS), (HOUR_MS // 2, 30 * HOUR_MS)])
    assert day.availability == 0.5
    assert day.unknown_share == 28 / 48
    assert day.intact_rate == 0.0 and day.broken_ms == 20 * HOUR_MS
    # The second day says nothing at all: it is not a day on which the site was off.
    assert (day.days_expected, day.days_online, day.online_rate) == (1, 1, 1.0)


def test_nothing_has_no_rate() -> None:
    empty = Tally()
    rates = (empty.availability, empty.online_rate, empty.intact_rate, empty.unknown_share, empty.mtbf_ms)
    assert rates == (None,) * 5 and figures.mean([]) is None and percentile([], 0.9) is None


@pytest.mark.parametrize(("share", "right"), [(0.5, 20), (0.9, 40), (0.25, 10), (0.26, 20), (1.0, 40)])
def test_percentiles_are_by_nearest_rank(share: float, right: int) -> None:
    assert percentile([10, 20, 30, 40], share) == right


def test_the_carriers_clock_stands_while_a_claimed_repair_can_not_be_checked() -> None:
    off = Segment(5 * HOUR_MS, 20 * HOUR_MS, Was.PRESUMED_OFF, Source.CENTRE)
    early = Segment(0, HOUR_MS, Was.POWER_LOST, Source.SITE, Kind.POWER_LOSS, Party.POWER)
    picture = [early, line(1, 5), off, up(20, 24)]
    ended_ms = 20 * HOUR_MS
    assert handled_ms(0, ended_ms, [], picture) == ended_ms, "off, but nobody has said that it is repaired"
    assert handled_ms(0, ended_ms, [6 * HOUR_MS, 4 * HOUR_MS], picture) == 5 * HOUR_MS
    assert handled_ms(0, ended_ms, [8 * HOUR_MS], picture) == 8 * HOUR_MS
    assert handled_ms(30 * HOUR_MS, ended_ms, [], picture) == 0


def test_repairs_are_told_by_party() -> None:
    repairs = (Repair("1", "line_down", "telecom", 30, 5, 20), Repair("2", "disk_full", "technician", 10))
    one = Tally(repairs=repairs, spent=(Spent("up", "", "", 1),))
    assert one.durations("outage_ms") == [10, 30]
    assert one.durations("handled_ms", Party.TELECOM) == [20] and one.durations("acknowledged_ms") == [5]
