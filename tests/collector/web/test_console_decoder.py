"""The digits that a site reads out by phone, at the console: what they say, and what becomes of the call."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from sitekeeper_collector.domain import tickets
from sitekeeper_collector.domain.tickets import Ticket, TicketState
from sitekeeper_collector.store import evidence, tables
from sitekeeper_collector.store import tickets as stored
from sitekeeper_protocol.sitecode import REFUSALS, encode, spaced
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, Rung, Severity
from support.cases import HOUR_MS, MINUTE_MS
from support.console_stage import HOSTILE, Stage, console_stage
from support.pages import Visitor


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with console_stage(tmp_path) as made:
        yield made


def code(site: str = "v1", kind: Kind | None = Kind.LINE_DOWN, rung: Rung | None = None, minutes: int | None = 70) -> str:
    return encode(site=site, kind=kind, rung=rung, minutes=minutes)


def undone(stage: Stage, site: str = "v1") -> list[Ticket]:
    with stage.cases.store.read() as connection:
        return stored.undone_of(connection, site)


# --- what the digits say -----------------------------------------------------------------------------------------------


def test_a_code_says_what_is_wrong_how_long_whose_job_it_is_and_what_to_try(stage: Stage) -> None:
    page = stage.get(f"/decoder?site=v1&code={code(kind=Kind.MODEM_DOWN)}").text
    for said in ("modem down", "1 to 2 hours", "site administrator", "count to 30", "Upper River", "Open a ticket from this"):
        assert said in page, said


@pytest.mark.parametrize(
    ("kind", "rung", "said"),
    [
        (None, None, "nothing wrong seen by the PC"),
        (None, Rung.MEDIA, "trouble at: media"),
        (Kind.PORTAL_DOWN, None, "Not your fault, nothing to do."),
        (Kind.CLOCK_WRONG, None, "There is nothing to try at the site"),
    ],
)
def test_a_code_without_a_fault_or_without_help_is_told_as_such(
    stage: Stage, kind: Kind | None, rung: Rung | None, said: str
) -> None:
    assert said in stage.get(f"/decoder?site=v1&code={code(kind=kind, rung=rung)}").text


def test_digits_are_taken_as_they_are_heard(stage: Stage) -> None:
    digits = code()
    for typed in (f"{digits[:4]}+{digits[4:]}", "-".join(digits), "".join(chr(0xFF10 + int(digit)) for digit in digits)):
        visitor = stage.visitor.get("/decoder?site=v1&code=" + _quoted(typed))
        assert "line down" in visitor.text and spaced(digits) in visitor.text, typed


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" if byte > 127 else chr(byte) for byte in text.encode())


def test_misheard_digits_those_of_another_site_and_no_digits_are_told_in_both_languages(stage: Stage) -> None:
    good = code("v2")
    wrong = good[:-1] + str((int(good[-1]) + 1) % 10)
    chinese = Visitor(stage.console.port, **{"accept-language": "zh"})
    chinese.cookies = dict(stage.visitor.cookies)
    for typed, refusal in (
        (wrong, "misheard"),
        (good, "other_site"),
        ("1234", "not_eight_digits"),
        ("line", "not_eight_digits"),
    ):
        zh, en = REFUSALS[next(one for one in REFUSALS if one.value == refusal)]
        assert en in stage.get(f"/decoder?site=v1&code={typed}").text.replace("&#39;", "'"), typed
        assert zh in chinese.get(f"/decoder?site=v1&code={typed}").text, typed
        assert 'id="take"' not in stage.get(f"/decoder?site=v1&code={typed}").text, "and nothing can be opened from it"


def test_digits_of_another_site_lead_to_the_site_that_they_fit(stage: Stage) -> None:
    digits = code("v2")
    assert f'href="/decoder?site=v2&amp;code={digits}"' in stage.get(f"/decoder?site=v1&code={digits}").text


def test_a_site_is_found_by_its_name_or_by_the_digits_alone(stage: Stage) -> None:
    digits = code("v1")
    assert "line down" in stage.get(f"/decoder?site=Upper&code={digits}").text
    alone = stage.get(f"/decoder?code={digits}").text
    assert f'href="/decoder?site=v1&amp;code={digits}"' in alone and "ask the caller for the village" in alone
    assert stage.get("/decoder?site=v").text.count('href="/decoder?site=v') == 4
    assert "No site was found" in stage.get("/decoder?site=nowhere").text


# --- what becomes of the call ------------------------------------------------------------------------------------------


def test_a_ticket_is_opened_from_a_call_to_be_verified(stage: Stage) -> None:
    answer = stage.visitor.post("/decoder", site="v1", code=code())
    (ticket,) = undone(stage)
    assert (answer.status, answer.headers["location"]) == (303, f"/tickets/{ticket.number}")
    assert (ticket.kind, ticket.party, ticket.grade) == (Kind.LINE_DOWN, Party.TELECOM, Grade.TO_VERIFY)
    assert (ticket.severity, ticket.state) == (Severity.CRITICAL, TicketState.OPEN)
    assert ticket.outage_from_ms == stage.cases.now_ms - HOUR_MS, "at least as long as the digits say"
    page = stage.get(f"/tickets/{ticket.number}").text
    assert "to be verified" in page and f"code {spaced(code())}: line down, 1 to 2 hours" in page and "admin" in page
    assert "noc@carrier.example" in page, "and its party is mailed"


def test_a_call_without_a_fault_is_a_report_all_the_same(stage: Stage) -> None:
    stage.visitor.post("/decoder", site="v1", code=code(kind=None))
    (ticket,) = undone(stage)
    assert (ticket.kind, ticket.party, ticket.grade) == (Kind.REPORTED, Party.TECHNICIAN, Grade.TO_VERIFY)


def test_what_the_sites_record_shows_already_is_proven(stage: Stage) -> None:
    stage.cases.fault("v1", Kind.PORTAL_DOWN)
    stage.visitor.post("/decoder", site="v1", code=code(kind=Kind.PORTAL_DOWN))
    assert undone(stage)[0].grade is Grade.PROVEN


def test_a_second_call_is_noted_in_the_ticket_that_there_is(stage: Stage) -> None:
    stage.visitor.post("/decoder", site="v1", code=code())
    (first,) = undone(stage)
    assert f"Note it in ticket {first.number}" in stage.get(f"/decoder?site=v1&code={code(minutes=200)}").text
    stage.visitor.post("/decoder", site="v1", code=code(minutes=200))
    (again,) = undone(stage)
    assert again.number == first.number and again.entries == first.entries + 1


def test_a_call_tells_the_reason_for_a_silence_that_has_a_ticket(stage: Stage) -> None:
    dark = stage.cases.open("v1", Kind.SITE_DARK, grade=Grade.TO_VERIFY)
    assert f"Correct ticket {dark.number} by this" in stage.get(f"/decoder?site=v1&code={code()}").text
    stage.visitor.post("/decoder", site="v1", code=code())
    (ticket,) = undone(stage)
    assert (ticket.number, ticket.kind, ticket.party) == (dark.number, Kind.LINE_DOWN, Party.TELECOM)


def test_a_call_about_the_player_leaves_a_ticket_of_silence_alone(stage: Stage) -> None:
    dark = stage.cases.open("v1", Kind.SITE_DARK, grade=Grade.TO_VERIFY)
    stage.visitor.post("/decoder", site="v1", code=code(kind=Kind.PLAYER_MISSING))
    assert {ticket.kind for ticket in undone(stage)} == {Kind.SITE_DARK, Kind.PLAYER_MISSING}
    assert stage.ticket(dark.number).entries == dark.entries


def test_a_silence_that_a_call_explains_knows_its_ticket(stage: Stage) -> None:
    stage.cases.absent("v1", ago_ms=20 * MINUTE_MS)
    stage.visitor.post("/decoder", site="v1", code=code())
    with stage.cases.store.read() as connection:
        (absence,) = evidence.pending_absences(connection)
    assert absence.ticket == undone(stage)[0].number


def test_a_resolved_ticket_is_not_opened_again_by_a_call(stage: Stage) -> None:
    over = stage.cases.open("v1", Kind.LINE_DOWN)
    stage.cases.take(over, tickets.recover, ended_ms=stage.cases.now_ms)
    stage.visitor.post("/decoder", site="v1", code=code())
    assert [ticket.number != over.number for ticket in undone(stage)] == [True]


@pytest.mark.parametrize("site", ["v2", "none", "", HOSTILE])
def test_digits_that_do_not_fit_open_nothing(stage: Stage, site: str) -> None:
    answer = stage.visitor.post("/decoder", site=site, code=code("v1"))
    assert answer.status == 409 and "<script>alert" not in answer.text
    _nothing(stage)


def test_a_site_that_is_not_registered_gets_no_ticket(stage: Stage) -> None:
    assert stage.visitor.post("/decoder", site="gone", code=code("gone")).status == 404
    _nothing(stage)


def test_a_call_from_elsewhere_opens_nothing(stage: Stage) -> None:
    assert stage.visitor.post("/decoder", forged=True, site="v1", code=code()).status == 403
    stranger = Visitor(stage.console.port)
    assert stranger.post("/decoder", site="v1", code=code()).headers["location"] == "/login"
    _nothing(stage)


def _nothing(stage: Stage) -> None:
    with stage.cases.store.read() as connection:
        assert connection.execute(select(tables.tickets.c.number)).all() == []


def test_hostile_input_is_text(stage: Stage) -> None:
    for query in ("site", "code"):
        page = stage.get(f"/decoder?{query}=%3Cscript%3Ealert(1)%3C/script%3E").text
        assert "<script>alert" not in page and re.search(r'value="&lt;script&gt;', page), query
