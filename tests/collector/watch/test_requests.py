"""What people of a site ask for is noted in one ticket, which the site's own record then proves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sitekeeper_collector.domain.tickets import TicketState, What
from sitekeeper_collector.store import tickets as stored
from sitekeeper_protocol import sitecode
from sitekeeper_protocol.messages import ButtonEvent
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, Rung
from support.played import DNS_FAILURE, HOUR_MS, LINE_DOWN, MINUTE_MS, START_MS, Pc, Values, Watched, watched, well

SITE = "v1"


@pytest.fixture
def county(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path, SITE) as made:
        yield made


@pytest.fixture
def pc() -> Pc:
    return Pc(SITE, 11, START_MS - HOUR_MS)


def _press(county: Watched, pc: Pc, values: Values, kind: Kind | None, code: str | None = None) -> None:
    """Somebody presses the button, and the report of it comes at once."""
    digits = sitecode.encode(site=SITE, kind=kind, rung=Rung.DNS if kind else None, minutes=1) if code is None else code
    sample = pc.take(county.now_ms, values, ButtonEvent("ask_for_repair", digits))
    county.at.send(pc.report([sample], county.now_ms))


def _story(county: Watched, number: str) -> list[What]:
    with county.at.store.read() as connection:
        return [entry.what for entry in stored.timeline_of(connection, number)]


def test_a_request_with_no_fault_seen_is_a_ticket_of_its_own_and_pressed_again_it_is_noted(county: Watched, pc: Pc) -> None:
    county.live(2, well(), pc)
    _press(county, pc, well(), None)
    ticket = county.ticket()
    assert (ticket.kind, ticket.party, ticket.grade) == (Kind.REPORTED, Party.TECHNICIAN, Grade.TO_VERIFY)
    assert county.told() == [("opened", Party.TECHNICIAN)]
    _press(county, pc, well(), None)
    assert county.ticket().number == ticket.number and len(county.told()) == 1
    assert _story(county, ticket.number) == [What.OPENED, What.REQUESTED, What.REQUESTED]


def test_a_request_opens_the_kind_that_its_code_carries_and_the_site_s_record_proves_it(county: Watched, pc: Pc) -> None:
    county.live(2, well(), pc)
    county.live(1, DNS_FAILURE, pc)
    _press(county, pc, DNS_FAILURE, Kind.DNS_FAILURE)
    ticket = county.ticket()
    assert (ticket.kind, ticket.grade) == (Kind.DNS_FAILURE, Grade.TO_VERIFY)
    county.live(6, DNS_FAILURE, pc)
    proven = county.ticket()
    assert (proven.number, proven.grade, proven.state) == (ticket.number, Grade.PROVEN, TicketState.OPEN)
    county.live(4, well(), pc)
    assert county.ticket().state is TicketState.RESOLVED
    assert [event for event, _ in county.told()] == ["opened", "amended", "recovered"]


def test_a_request_within_a_known_fault_is_noted_in_its_ticket(county: Watched, pc: Pc) -> None:
    county.live(2, well(), pc)
    county.live(7, DNS_FAILURE, pc)
    number = county.ticket().number
    _press(county, pc, DNS_FAILURE, Kind.DNS_FAILURE)
    assert county.ticket().number == number and _story(county, number)[-1] is What.REQUESTED
    assert len(county.told()) == 1


def test_a_request_made_without_a_line_is_noted_in_the_line_s_ticket_once_it_arrives(county: Watched, pc: Pc) -> None:
    county.live(2, well(), pc)
    lost_ms = county.now_ms
    [waiting] = county.unheard(40, LINE_DOWN, pc)
    digits = sitecode.encode(site=SITE, kind=Kind.LINE_DOWN, rung=Rung.ISP, minutes=20)
    asked = pc.take(county.now_ms, LINE_DOWN, ButtonEvent("ask_for_repair", digits))
    county.live(5, well(), pc)
    county.at.send(pc.report([*waiting, asked], county.now_ms, backlog=True))
    county.live(1, well(), pc)
    ticket = county.ticket()
    assert (ticket.kind, ticket.state) == (Kind.LINE_DOWN, TicketState.RESOLVED)
    assert abs(ticket.outage_from_ms - lost_ms) <= 2 * MINUTE_MS
    assert What.REQUESTED in _story(county, ticket.number) and county.told() == []


@pytest.mark.parametrize("code", ["", "12345678", "<script>", "9" * 64])
def test_a_code_that_says_nothing_is_still_a_request(county: Watched, pc: Pc, code: str) -> None:
    county.live(2, well(), pc)
    _press(county, pc, well(), None, code)
    assert county.ticket().kind is Kind.REPORTED


def test_another_button_asks_for_nothing(county: Watched, pc: Pc) -> None:
    county.live(2, well(), pc)
    county.at.send(pc.report([pc.take(county.now_ms, well(), ButtonEvent("something_new", ""))], county.now_ms))
    assert county.tickets() == []
