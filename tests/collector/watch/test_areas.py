"""Areas through the whole pipeline: one ticket and one mail, its sites in and out, and what it turns out to have been."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sitekeeper_collector.domain.tickets import TicketState
from sitekeeper_protocol.vocabulary import Grade, Kind, Party
from support.played import HOUR_MS, LINE_DOWN, START_MS, Pc, Watched, watched, well

SITES = ("v1", "v2", "v3", "v4")


@pytest.fixture
def county(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path, *SITES) as made:
        for site in SITES:
            made.place(site, access_node="olt-1")
            made.lesson(site, START_MS, START_MS + 5 * HOUR_MS)
        yield made


def pcs(*sites: str) -> list[Pc]:
    return [Pc(site, 100 + at, START_MS - HOUR_MS) for at, site in enumerate(sites)]


def area_of(county: Watched) -> tuple[Party, Grade, TicketState]:
    [area] = [ticket for ticket in county.tickets() if ticket.kind is Kind.AREA_OUTAGE]
    return area.party, area.grade, area.state


def come_home(county: Watched, gone: list[Pc], kept: list[list]) -> None:  # type: ignore[type-arg]
    for pc, samples in zip(gone, kept, strict=True):
        county.at.send(pc.report([pc.take(county.now_ms, well())], county.now_ms))
        county.at.send(pc.report(samples, county.now_ms, backlog=True))


def test_an_access_node_is_one_ticket_and_one_mail_and_its_sites_prove_it(county: Watched) -> None:
    gone = pcs("v1", "v2", "v3")
    stays = pcs("v4")
    county.live(10, well(), *gone, *stays)
    kept = []
    for _ in range(30):
        kept.append(county.unheard(1, LINE_DOWN, *gone))
        county.at.send(*(pc.report([pc.take(county.now_ms, well())], county.now_ms) for pc in stays))
    assert area_of(county) == (Party.TELECOM, Grade.INFERRED, TicketState.OPEN)
    assert county.told() == [("opened", "telecom")]
    come_home(county, gone, [[minute[at][0] for minute in kept] for at in range(3)])
    county.live(8, well(), *gone, *stays)
    assert area_of(county) == (Party.TELECOM, Grade.PROVEN, TicketState.RESOLVED)
    assert {ticket.kind for ticket in county.tickets() if ticket.parent} == {Kind.LINE_DOWN}
    assert county.told() == [("opened", "telecom"), ("amended", "telecom")]


def test_a_power_cut_that_was_taken_for_the_line_is_told_once(county: Watched) -> None:
    gone = pcs("v1", "v2", "v3")
    county.live(10, well(), *gone)
    county.pass_time(40)
    assert county.told() == [("opened", "telecom")]
    for at, pc in enumerate(gone):
        county.come_back(pc, 500 + at, well())
    county.pass_time(4)
    assert area_of(county) == (Party.POWER, Grade.PROVEN, TicketState.RESOLVED)
    assert county.told() == [("opened", "telecom"), ("amended", "telecom")]


def test_a_site_that_outlives_its_area_comes_out_with_a_mail_of_its_own(county: Watched) -> None:
    gone = pcs("v1", "v2", "v3")
    county.live(10, well(), *gone)
    kept = county.unheard(30, LINE_DOWN, *gone)
    come_home(county, gone[:2], kept[:2])
    county.live(10, well(), *gone[:2])
    assert [ticket.site for ticket in county.tickets() if ticket.parent and ticket.state is TicketState.OPEN] == ["v3"]
    assert county.told() == [("opened", "telecom")]
    county.live(31, well(), *gone[:2])
    [own] = [ticket for ticket in county.tickets() if ticket.site == "v3" and ticket.kind is not Kind.AREA_OUTAGE]
    assert (own.state, own.parent) == (TicketState.OPEN, "")
    assert area_of(county)[2] is TicketState.RESOLVED
    assert sorted(county.told()) == [("amended", "telecom"), ("opened", "telecom"), ("opened", "telecom")]
