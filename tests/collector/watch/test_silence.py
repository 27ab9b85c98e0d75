"""Sites that are not heard: when that becomes a ticket, whose, and when it is nobody's trouble."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sitekeeper_collector.domain.ledger import Was
from sitekeeper_collector.domain.tickets import TicketState
from sitekeeper_protocol.messages import Presence
from sitekeeper_protocol.vocabulary import Grade, Kind, Party
from support.played import DAY_MS, HOUR_MS, MINUTE_MS, START_MS, Pc, Watched, watched, well

SITES = ("v1", "v2", "v3", "v4")
CLASS_TO_MS = START_MS + 3 * HOUR_MS


@pytest.fixture
def county(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path, *SITES) as made:
        yield made


def pcs(*sites: str) -> list[Pc]:
    return [Pc(site, 100 + at, START_MS - HOUR_MS) for at, site in enumerate(sites)]


def absences(county: Watched) -> list[tuple[str, int, str, str]]:
    return county.at.rows("absences", "site", "from_ms", "goodbye", "why")


def was(county: Watched, site: str, from_ms: int, to_ms: int) -> list[Was]:
    return [segment.was for segment in county.picture(site, from_ms, to_ms)]


def test_a_class_that_is_cut_off_has_a_ticket_after_a_quarter_of_an_hour(county: Watched) -> None:
    [pc] = pcs("v1")
    county.lesson("v1", START_MS, CLASS_TO_MS)
    county.live(10, well(), pc)
    lost_ms = county.now_ms
    county.pass_time(14.9, step=0.1)
    assert county.tickets() == []
    county.pass_time(0.2, step=0.1)
    ticket = county.ticket()
    assert (ticket.kind, ticket.party, ticket.grade) == (Kind.SITE_DARK, Party.TECHNICIAN, Grade.TO_VERIFY)
    assert ticket.outage_from_ms == lost_ms
    assert dict(ticket.evidence.facts)["class"] == "Rice"
    county.pass_time(60)
    assert county.told() == [("opened", "technician")]
    assert was(county, "v1", lost_ms, county.now_ms) == [Was.PRESUMED_OFF]


@pytest.mark.parametrize(("ends_in_min", "tickets"), [(19, 0), (-15, 0), (25, 1), (-30, 0)])
def test_at_the_end_of_a_class_silence_means_switched_off(county: Watched, ends_in_min: int, tickets: int) -> None:
    [pc] = pcs("v1")
    lost_ms = START_MS + 10 * MINUTE_MS
    county.lesson("v1", START_MS - HOUR_MS, lost_ms + ends_in_min * MINUTE_MS)
    county.live(10, well(), pc)
    county.pass_time(120)
    assert len(county.tickets()) == tickets


@pytest.mark.parametrize(("ended_min", "tickets"), [(10, 0), (30, 1)])
def test_a_play_is_cut_off_unless_a_class_has_just_ended(county: Watched, ended_min: int, tickets: int) -> None:
    [pc] = pcs("v1")
    county.lesson("v1", START_MS - HOUR_MS, START_MS + (10 - ended_min) * MINUTE_MS)
    county.live(10, well(playing=1), pc)
    county.pass_time(60)
    assert len(county.tickets()) == tickets
    if tickets:
        assert dict(county.ticket().evidence.facts)["playing"] == "1"


def test_a_play_at_closing_time_is_switched_off_not_cut_off(county: Watched) -> None:
    [pc] = pcs("v1")
    county.place("v1", hours="Mon-Fri 08:00-09:15")
    county.live(10, well(playing=1), pc)
    county.pass_time(120)
    assert county.tickets() == []


def test_a_goodbye_is_never_a_ticket(county: Watched) -> None:
    [pc] = pcs("v1")
    county.lesson("v1", START_MS, CLASS_TO_MS)
    county.place("v1", hours="Mon-Sun 00:00-24:00")
    county.live(10, well(playing=1), pc)
    county.say(pc, Presence.STOPPING, "shutdown")
    county.pass_time(5 * 24 * 60, step=30)
    assert county.tickets() == [] and county.mails() == []
    assert [(site, goodbye) for site, _, goodbye, _ in absences(county)] == [("v1", "shutdown")]
    assert was(county, "v1", START_MS + 15 * MINUTE_MS, county.now_ms) == [Was.OFF]


def test_switched_off_at_the_wall_out_of_class_is_presumed_off_and_bothers_nobody(county: Watched) -> None:
    [pc] = pcs("v1")
    county.live(10, well(playing=0), pc)
    lost_ms = county.now_ms
    county.pass_time(26 * 60, step=5)
    assert county.tickets() == [] and county.mails() == []
    assert was(county, "v1", lost_ms, county.now_ms) == [Was.PRESUMED_OFF]


def test_where_weekly_hours_are_known_a_site_is_missed_after_four_open_hours(county: Watched) -> None:
    [pc] = pcs("v1")
    county.place("v1", hours="Mon-Fri 09:00-12:00; Mon-Fri 14:00-17:00")
    county.live(10, well(), pc)
    county.pass_time(5 * 60 + 45, step=5)
    assert county.tickets() == []
    county.pass_time(20, step=5)
    assert county.ticket().kind is Kind.SITE_DARK
    assert absences(county)[0][3] == "open_hours"


def test_a_site_that_opens_one_hour_a_week_is_not_missed_after_three_working_days(county: Watched) -> None:
    [pc] = pcs("v1")
    county.place("v1", hours="Sat 09:00-10:00")
    county.live(10, well(), pc)
    county.pass_time(8 * 24 * 60, step=60)
    assert county.tickets() == []


def test_else_a_site_is_missed_after_three_working_days(county: Watched) -> None:
    [pc] = pcs("v1")
    county.at.now_ms += 3 * DAY_MS
    county.live(10, well(), pc)  # a Thursday: Friday, Monday, Tuesday
    county.pass_time(5 * 24 * 60 - 60, step=60)
    assert county.tickets() == []
    county.pass_time(120, step=60)
    assert absences(county)[0][3] == "working_days" and len(county.tickets()) == 1


def test_what_we_were_blind_for_does_not_count(county: Watched) -> None:
    [pc] = pcs("v1")
    county.lesson("v1", START_MS, CLASS_TO_MS)
    county.live(10, well(), pc)
    county.pass_time(12)
    blind_from_ms = county.now_ms
    county.at.now_ms += 30 * MINUTE_MS
    county.blind(blind_from_ms, county.now_ms)
    # A new chance: the longest back-off, its promise, our grace.
    county.pass_time(16)
    assert county.tickets() == []
    county.pass_time(1)
    assert len(county.tickets()) == 1


def test_a_site_that_has_kept_its_promise_until_we_were_blind_gets_a_new_chance(county: Watched) -> None:
    [pc] = pcs("v1")
    county.live(10, well(), pc)
    blind_from_ms = county.now_ms
    county.at.now_ms += 60 * MINUTE_MS
    county.blind(blind_from_ms, county.now_ms)
    county.pass_time(16)
    assert absences(county) == []
    county.pass_time(1)
    assert len(absences(county)) == 1


def _of_one_node(county: Watched, *sites: str, feeder: str = "") -> None:
    for site in sites:
        county.place(site, access_node="olt-1", feeder=feeder)
        county.lesson(site, START_MS, CLASS_TO_MS)


def test_neighbours_of_one_access_node_that_are_lost_together_have_one_mail(county: Watched) -> None:
    gone = pcs("v1", "v2")
    _of_one_node(county, "v1", "v2")
    county.live(10, well(), *gone)
    county.pass_time(14)
    lead, *others = sorted(county.tickets(), key=lambda ticket: ticket.parent)
    assert {ticket.kind for ticket in county.tickets()} == {Kind.LINE_SUSPECTED}
    assert (lead.party, lead.grade) == (Party.TELECOM, Grade.INFERRED)
    assert [ticket.parent for ticket in others] == [lead.number]
    assert county.told() == [("opened", "telecom")]
    county.pass_time(30)
    assert county.told() == [("opened", "telecom")]
    assert was(county, "v2", START_MS + 11 * MINUTE_MS, county.now_ms) == [Was.LINE_SUSPECTED]


def test_a_late_neighbour_makes_it_an_area_without_a_second_mail(county: Watched) -> None:
    gone = pcs("v1", "v2", "v3")
    _of_one_node(county, "v1", "v2", "v3")
    county.live(10, well(), *gone)
    county.live(4, well(), gone[2])
    county.pass_time(16)
    area = next(ticket for ticket in county.tickets() if ticket.kind is Kind.AREA_OUTAGE)
    others = [ticket for ticket in county.tickets() if ticket.number != area.number]
    assert {ticket.kind for ticket in others} == {Kind.LINE_SUSPECTED} and len(others) == 3
    assert {ticket.parent for ticket in others} == {area.number}
    assert county.told() == [("opened", "telecom")]


def test_a_neighbour_that_stays_means_the_site_itself(county: Watched) -> None:
    first, second, *_ = pcs("v1", "v2")
    _of_one_node(county, "v1", "v2")
    county.live(10, well(), first, second)
    county.live(20, well(), second)
    assert county.ticket().kind is Kind.SITE_DARK


def test_lost_neighbours_of_another_access_node_are_no_neighbours(county: Watched) -> None:
    gone = pcs("v1", "v2")
    for site in ("v1", "v2"):
        county.place(site, access_node=f"olt-{site}")
        county.lesson(site, START_MS, CLASS_TO_MS)
    county.live(10, well(), *gone)
    county.pass_time(20)
    assert {ticket.kind for ticket in county.tickets()} == {Kind.SITE_DARK}


def test_when_a_feeder_is_gone_the_power_is_likelier_than_the_line(county: Watched) -> None:
    gone = pcs("v1", "v2", "v4")
    _of_one_node(county, "v1", "v2", feeder="f-1")
    county.place("v4", access_node="olt-9", feeder="f-1")
    county.live(10, well(), *gone)
    county.pass_time(20)
    area = next(ticket for ticket in county.tickets() if ticket.kind is Kind.AREA_OUTAGE)
    assert (area.party, area.grade, area.area) == (Party.POWER, Grade.INFERRED, "feeder/f-1")
    assert {ticket.kind for ticket in county.tickets() if ticket.parent == area.number} == {Kind.SITE_DARK}
    assert county.told() == [("opened", "power")]


def test_a_site_that_said_goodbye_is_not_lost_with_its_neighbour(county: Watched) -> None:
    gone = pcs("v1", "v2")
    _of_one_node(county, "v1", "v2")
    county.live(10, well(), *gone)
    county.say(gone[1], Presence.STOPPING, "shutdown")
    county.pass_time(20)
    assert county.ticket().kind is Kind.SITE_DARK


@pytest.mark.parametrize("after_min", [5, 12, 16, 40])
def test_a_restart_of_the_collector_within_a_silence_changes_nothing(county: Watched, after_min: int) -> None:
    [pc] = pcs("v1")
    county.lesson("v1", START_MS, CLASS_TO_MS)
    county.live(10, well(), pc)
    county.pass_time(after_min)
    county.restart()
    county.pass_time(50 - after_min)
    assert county.ticket().opened_ms == START_MS + 25 * MINUTE_MS
    assert county.told() == [("opened", "technician")] and len(absences(county)) == 1


def test_a_goodbye_and_a_return_within_one_batch(county: Watched) -> None:
    """A restart of the agent is no absence; a return that ends with a goodbye is the end of one and the begin of another."""
    [pc] = pcs("v1")
    county.live(2, well(), pc)
    county.pass_time(30)
    back = pc.report([pc.take(county.now_ms, well())], county.now_ms)
    county.at.send(back)
    county.say(pc, Presence.STOPPING, "shutdown")
    assert [(goodbye, to_ms) for goodbye, to_ms in county.at.rows("absences", "goodbye", "to_ms")] == [
        ("", county.now_ms),
        ("shutdown", None),
    ]


def test_a_ticket_for_a_silence_of_a_site_without_contact_stays_with_its_state(county: Watched) -> None:
    [pc] = pcs("v1")
    county.lesson("v1", START_MS, CLASS_TO_MS)
    county.live(10, well(), pc)
    county.pass_time(2 * 60)
    assert county.ticket().state is TicketState.OPEN
