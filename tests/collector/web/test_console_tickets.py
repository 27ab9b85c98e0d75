"""Tickets at the console, over a real socket: what is shown, what each step does, and what is refused."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sitekeeper_collector.config import Mail
from sitekeeper_collector.domain import tickets
from sitekeeper_collector.domain.tickets import MOST_TEXT, Closing, Evidence, TicketState
from sitekeeper_collector.store import tables
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, Rung, State
from support.cases import HOUR_MS, MINUTE_MS, Cases
from support.console_stage import HOSTILE, Stage, console_stage
from support.pages import Page, Visitor


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with console_stage(tmp_path) as made:
        yield made


def ids(page: Page) -> list[str]:
    """The tickets in the order in which a page shows them."""
    return re.findall(r'id="case-([0-9-]+)"', page.text)


# --- the overview ------------------------------------------------------------------------------------------------------


def test_what_nobody_has_taken_up_comes_first_then_the_worst_then_the_oldest(stage: Stage) -> None:
    taken = stage.cases.open("v1", Kind.LINE_DOWN, ago_ms=9 * HOUR_MS)
    stage.cases.take(taken, tickets.acknowledge, by="wang")
    minor = stage.cases.open("v2", Kind.DISK_FULL, ago_ms=8 * HOUR_MS)
    young = stage.cases.open("v3", Kind.LINE_DOWN, ago_ms=HOUR_MS)
    old = stage.cases.open("v4", Kind.LINE_DOWN, ago_ms=2 * HOUR_MS)
    page = stage.get("/")
    assert ids(page) == [old.number, young.number, minor.number, taken.number]
    assert "Upper River" in page.text and "Clearwater" in page.text and "proven at the site" in page.text


def test_tickets_of_one_cause_are_folded_under_the_one_that_leads(stage: Stage) -> None:
    lead = stage.cases.open("v1", Kind.AREA_OUTAGE, party=Party.TELECOM, grade=Grade.INFERRED)
    child = stage.cases.open("v2", Kind.LINE_SUSPECTED, parent=lead.number)
    grandchild = stage.cases.open("v3", Kind.LINE_SUSPECTED, parent=child.number)
    page = stage.get("/")
    folded = page.text.split(f'id="behind-{lead.number}"')[1].split("</details>")[0]
    assert "+2 sites" in folded and child.number in folded and grandchild.number in folded
    assert '<span class="number">1</span>' in page.text, "one thing needs somebody, not three"
    stage.cases.take(lead, tickets.withdraw, closing=Closing.MISTAKEN)
    assert ids(stage.get("/"))[0] == child.number, "without its lead it stands for itself"


def test_the_overview_can_be_narrowed_to_one_party_also_where_it_renews_itself(stage: Stage) -> None:
    line = stage.cases.open("v1", Kind.LINE_DOWN)
    disk = stage.cases.open("v2", Kind.DISK_FULL)
    assert ids(stage.get("/?party=telecom")) == [line.number]
    assert 'hx-get="/overview/now?party=telecom"' in stage.get("/?party=telecom").text
    assert ids(stage.get("/overview/now?party=technician")) == [disk.number]
    assert ids(stage.get("/overview/now?party=%3Cscript%3E")) == []


def test_faults_suspicions_silence_and_our_own_blindness_are_counted_apart(stage: Stage) -> None:
    stage.cases.fault("v1", Kind.DNS_FAILURE)
    stage.cases.fault("v2", Kind.DNS_FAILURE, ended=True)
    stage.cases.absent("v3", suspected_ms=stage.cases.now_ms, playing=True)
    page = stage.get("/")
    for state, count in (("trouble", 1), ("suspected", 1), ("off", 0), ("never", 2)):
        assert re.search(rf'id="tile-{state}"[^>]*><span class="count">{count}</span>', page.text), state
    assert "Silent, and the line is suspected" in page.text
    assert "/sites/v3" in stage.get("/sites?state=suspected").text
    assert "/sites/v1" not in stage.get("/sites?state=suspected").text


def test_mails_that_nobody_got_and_parties_without_an_address_are_told(stage: Stage) -> None:
    stage.cases.open("v1", Kind.LINE_DOWN)
    assert "could not be delivered" not in stage.get("/").text
    stage.cases.refuse_mails("noc@carrier.example", f"550 no such user {HOSTILE}")
    stage.cases.open("v2", Kind.MODEM_DOWN)
    page = stage.get("/")
    assert "1 mails of the last 30 days could not be delivered" in page.text and "550 no such user" in page.text
    assert HOSTILE not in page.text
    told = page.text.split("Nobody is mailed about open tickets of:")[1].split("</p>")[0]
    assert "site administrator (1)" in told and "telecom" not in told


def test_a_part_that_has_not_changed_is_not_put_in_anew(stage: Stage) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    for whole, part in (("/", "/overview/now"), (f"/tickets/{ticket.number}", f"/tickets/{ticket.number}/now")):
        mark = re.search(r'name="seen" value="([0-9a-f]+)"', stage.get(whole).text)
        assert mark is not None
        same = stage.get(f"{part}?seen={mark[1]}")
        assert same.headers["hx-reswap"] == "none" and 'id="asof"' in same.text and ticket.number not in same.text
        stage.cases.now_ms += MINUTE_MS
        changed = stage.get(f"{part}?seen={mark[1]}")
        assert "hx-reswap" not in changed.headers and ticket.number in changed.text


# --- the list ----------------------------------------------------------------------------------------------------------


def test_tickets_are_found_by_state_party_kind_number_and_place(stage: Stage) -> None:
    line = stage.cases.open("v1", Kind.LINE_DOWN, ago_ms=3 * HOUR_MS).number
    disk = stage.cases.open("v2", Kind.DISK_FULL, ago_ms=2 * HOUR_MS).number
    over = stage.cases.open("v3", Kind.LINE_DOWN, ago_ms=HOUR_MS)
    stage.cases.take(over, tickets.recover, ended_ms=stage.cases.now_ms)
    closed = stage.cases.open("v4", Kind.SITE_DARK, ago_ms=MINUTE_MS)
    stage.cases.take(closed, tickets.withdraw, closing=Closing.EXPLAINED)

    def found(query: str) -> list[str]:
        return re.findall(r"<strong>([0-9]{6}-[0-9]+)</strong>", stage.get(f"/tickets?{query}").text)

    assert found("") == [disk, line], "those that wait, the newest first"
    assert found("state=resolved") == [over.number]
    assert found("state=closed") == [closed.number]
    assert found("state=all") == [closed.number, over.number, disk, line]
    assert found("party=telecom") == [line]
    assert found("kind=disk_full") == [disk]
    assert found("state=all&q=clear+upper") == [line]
    assert found(f"state=all&q={disk}") == [disk]
    assert found("state=all&q=v3") == [over.number]
    assert found("state=all&q=%25") == [], "taken literally"
    assert found("state=nonsense&party=x&kind=y&page=-1") == [disk, line]


def test_a_long_list_is_paged(stage: Stage) -> None:
    numbers = [stage.cases.open("v1", Kind.DISK_FULL, ago_ms=HOUR_MS - at * MINUTE_MS).number for at in range(35)]
    first, second = stage.get("/tickets"), stage.get("/tickets?page=2")
    assert "Page 1 of 2, 35 tickets" in first.text and 'rel="next"' in first.text and numbers[-1] in first.text
    assert numbers[0] in second.text and numbers[-1] not in second.text and 'rel="prev"' in second.text
    for strange in ("999", "0", "x", "%D9%A3", "9" * 30):
        assert stage.get(f"/tickets?page={strange}").status == 200, strange


# --- one ticket --------------------------------------------------------------------------------------------------------


def test_a_ticket_shows_what_it_rests_on_and_the_text_for_the_carrier(stage: Stage) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN, ago_ms=3 * HOUR_MS)
    page = stage.get(f"/tickets/{ticket.number}")
    assert page.text.index("proven at the site") < page.text.index("<h1>line down")
    for said in ("telecom maintainer", "critical", "3 h 0 min", "10.71.0.1", "100% lost", "asked directly", "14 times"):
        assert said in page.text, said
    carrier = page.text.split('id="carrier"')[1].split("</textarea>")[0]
    assert "0371880113" in carrier and "LOID77" in carrier and ticket.number in carrier
    assert "noc@carrier.example" in page.text and "Waiting" in page.text


def test_times_are_those_of_the_countys_clocks(stage: Stage) -> None:
    hour = stage.cases.now_ms // HOUR_MS % 24
    ticket = stage.cases.open("v1", Kind.LINE_DOWN, ago_ms=0)
    assert f" {(hour + 8) % 24:02}:00:00" in stage.get(f"/tickets/{ticket.number}").text, "eight hours ahead of UTC"


def test_parent_children_and_earlier_tickets_are_linked(stage: Stage) -> None:
    first = stage.cases.open("v2", Kind.LINE_DOWN)
    lead = stage.cases.open("v1", Kind.AREA_OUTAGE, party=Party.TELECOM)
    child = stage.cases.open("v2", Kind.LINE_SUSPECTED, parent=lead.number, previous=first.number)
    page = stage.get(f"/tickets/{child.number}").text
    assert f'href="/tickets/{lead.number}"' in page and f'href="/tickets/{first.number}"' in page
    assert "The ticket that it is part of is mailed instead." in page
    assert f'href="/tickets/{child.number}"' in stage.get(f"/tickets/{lead.number}").text


def test_an_unknown_ticket_is_not_there(stage: Stage) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    mails = f"/tickets/{ticket.number}/mails"
    for path in (
        "/tickets/none",
        "/tickets/none/now",
        "/tickets/%00",
        f"{mails}/1/9?to=noc@carrier.example",
        f"{mails}/1/0?to=x",
    ):
        assert stage.get(path).status == 404, path
    for step in ("acknowledge", "comment", "repaired", "resolve"):
        assert stage.visitor.post(f"/tickets/none/{step}", text="x").status == 404, step


# --- what a person does ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "text", "state", "said"),
    [
        ("acknowledge", "", TicketState.ACKNOWLEDGED, "acknowledged"),
        ("comment", "order DX-1\r\nsecond line", TicketState.OPEN, "order DX-1\nsecond line"),
        ("repaired", "", TicketState.OPEN, "reported as repaired, to be checked"),
        ("repaired", "new fibre", TicketState.OPEN, "new fibre"),
        ("resolve", "fuse changed", TicketState.RESOLVED, "fuse changed"),
    ],
)
def test_each_step_is_written_with_who_took_it(stage: Stage, step: str, text: str, state: TicketState, said: str) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    answer = stage.step(ticket, step, text)
    assert (answer.status, answer.headers["location"]) == (303, f"/tickets/{ticket.number}")
    now = stage.ticket(ticket.number)
    assert now.state is state and (now.claimed_ms is not None) == (step == "repaired")
    newest = stage.get(f"/tickets/{ticket.number}").text.split('class="timeline"')[1].split("</li>")[0]
    assert "admin" in newest and said in newest


def test_a_confirmed_repair_is_told_to_whoever_was_mailed(stage: Stage) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    stage.step(ticket, "resolve", "fuse changed")
    page = stage.get(f"/tickets/{ticket.number}").text
    assert page.count("noc@carrier.example</td>") == 2 and ">recovered</a>" in page


@pytest.mark.parametrize(
    ("before", "step", "text", "told"),
    [
        ("acknowledge", "acknowledge", "", "Somebody has done this before."),
        ("resolve", "acknowledge", "", "The ticket is resolved already."),
        ("resolve", "repaired", "", "The ticket is resolved already."),
        ("resolve", "resolve", "again", "The ticket is resolved already."),
        ("withdraw", "acknowledge", "", "The ticket is closed and stays so."),
        ("withdraw", "resolve", "it works", "The ticket is closed and stays so."),
        ("", "comment", " \n ", "Please say it in words first."),
        ("", "resolve", "", "Please say it in words first."),
        ("", "comment", "x" * (MOST_TEXT + 1), "Too long: at most 2000 characters."),
        ("", "repaired", "x" * (MOST_TEXT + 1), "Too long: at most 2000 characters."),
    ],
)
def test_a_refused_step_says_why_and_keeps_what_was_typed(stage: Stage, before: str, step: str, text: str, told: str) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    done: dict[str, Any] = {"acknowledge": {}, "resolve": {"how": "x"}, "withdraw": {"closing": Closing.MISTAKEN}}
    if before:
        person = {} if before == "withdraw" else {"by": "wang"}
        stage.cases.take(ticket, getattr(tickets, before), **person, **done[before])
    kept = stage.everything()
    answer = stage.step(ticket, step, text)
    assert answer.status == 409 and f"<strong>Not done.</strong> {told}" in answer.text
    assert text.strip() in html.unescape(answer.text)
    assert stage.everything() == kept
    assert f'name="back" value="/tickets/{ticket.number}"' in answer.text, "the other language leads back to the ticket"


@pytest.mark.parametrize("step", ["acknowledge", "comment", "repaired", "resolve"])
def test_a_step_from_elsewhere_or_without_a_session_changes_nothing(stage: Stage, step: str) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    before = stage.everything()
    assert stage.step(ticket, step, "x", forged=True).status == 403
    stranger = Visitor(stage.console.port)
    assert stranger.post(f"/tickets/{ticket.number}/{step}", text="x").headers["location"] == "/login"
    assert stage.get(f"/tickets/{ticket.number}/{step}").status in (404, 405), "a link in a mail does nothing"
    assert stage.everything() == before


def test_looking_changes_nothing(stage: Stage) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    stage.cases.absent("v2", suspected_ms=1)
    before = stage.everything()
    number = ticket.number
    mail = f"/tickets/{number}/mails/1/0"
    for path in (
        *("/", "/overview/now", "/tickets", "/sites", "/sites/v2", "/decoder", "/decoder?site=v1&code=12345678"),
        *(
            f"/tickets/{number}",
            f"/tickets/{number}/now",
            f"{mail}?to=noc@carrier.example",
            f"{mail}/body?to=noc@carrier.example",
        ),
    ):
        assert stage.get(path).status == 200, path
    assert stage.everything() == before


# --- what is hostile ---------------------------------------------------------------------------------------------------


def test_hostile_names_comments_and_evidence_are_text_on_every_page(stage: Stage) -> None:
    with stage.cases.store.write() as connection:
        for name in ("name", "township", "access_node", "account"):
            connection.execute(tables.sites.update().values({name: HOSTILE}))
    reading = Reading(rung=Rung.ISP, path=HOSTILE, state=State.FAIL, target=HOSTILE, label=HOSTILE)
    rests_on = Evidence(readings=(reading,), facts=((HOSTILE, HOSTILE), ("access_node", HOSTILE)))
    ticket = stage.cases.open("v1", Kind.LINE_DOWN, rests_on=rests_on)
    lead = stage.cases.open("v2", Kind.AREA_OUTAGE, party=Party.TELECOM, rests_on=rests_on)
    stage.cases.open("v3", Kind.LINE_SUSPECTED, parent=lead.number, rests_on=rests_on)
    stage.step(ticket, "comment", HOSTILE)
    mail = f"/tickets/{ticket.number}/mails/1/0"
    for path in (
        *("/", "/overview/now", "/tickets?state=all", "/sites", "/sites/v1", "/decoder?site=v1"),
        *(f"/tickets/{ticket.number}", f"/tickets/{lead.number}", f"{mail}?to=noc@carrier.example"),
        f"{mail}/body?to=noc@carrier.example",
    ):
        page = stage.get(path)
        assert page.status == 200, path
        assert "<script>alert" not in page.text and "<img src=x" not in page.text, path
        assert "&lt;script&gt;" in page.text, path


@pytest.mark.parametrize("query", ["q=", "party=", "kind=", "state=", "page="])
def test_a_hostile_address_is_text(stage: Stage, query: str) -> None:
    for page in ("/tickets", "/", "/sites", "/decoder"):
        answer = stage.get(f"{page}?{query}%22%3E%3Cscript%3Ealert%281%29")
        assert answer.status == 200 and "<script>alert" not in answer.text, page


# --- the mails of a ticket ---------------------------------------------------------------------------------------------


def test_a_mail_is_shown_in_a_frame_in_which_nothing_runs(stage: Stage) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    link = re.search(r'href="(/tickets/[^"]+/mails/[^"]+)"', stage.get(f"/tickets/{ticket.number}").text)
    assert link is not None
    page = stage.get(html.unescape(link[1]))
    assert "noc@carrier.example" in page.text and f"[{ticket.number}] Upper River" in page.text
    frame = re.search(r'<iframe src="([^"]+)" sandbox title', page.text)
    assert frame is not None, "a sandbox without any permission"
    body = stage.get(html.unescape(frame[1]))
    policy = body.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;") and "sandbox" in policy
    assert "script-src" not in policy and "上报" not in policy and "Upper River" in body.text


def test_a_mail_that_was_refused_says_why_on_the_tickets_page(stage: Stage) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    stage.cases.refuse_mails("noc@carrier.example", f"550 mailbox full {HOSTILE}")
    page = stage.get(f"/tickets/{ticket.number}").text
    assert "Refused" in page and "550 mailbox full" in page and HOSTILE not in page


def test_a_step_keeps_what_no_database_takes_out_of_a_text(stage: Stage) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    assert stage.step(ticket, "comment", "new\x00 fibre").status == 303
    assert "new fibre" in stage.get(f"/tickets/{ticket.number}").text


def test_without_anybody_to_mail_the_page_says_so(stage: Stage) -> None:
    silent = Cases(stage.cases.store, stage.cases.now_ms, Mail())
    ticket = silent.open("v1", Kind.LINE_DOWN)
    assert "Nobody was mailed about it." in stage.get(f"/tickets/{ticket.number}").text
