"""Tickets at the console as a person meets them: a real Chromium, wide and on a phone, in Chinese and English."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sitekeeper_collector.domain import tickets
from sitekeeper_protocol.sitecode import encode
from sitekeeper_protocol.vocabulary import Kind, Party, State
from support.browser import Browser, chromium
from support.cases import HOUR_MS, MINUTE_MS
from support.console_stage import HOSTILE, Stage, console_stage
from support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.processes]
WIDE, PHONE = 1280, 390
WORDS = {
    "en": ("What needs me now", "line down", "Acknowledged", "What the PC sees", "modem down", "to be verified"),
    "zh": ("现在要处理的", "线路中断", "已接单", "电脑看到的", "光猫不通", "待核实"),
}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with console_stage(tmp_path) as made:
        yield made


def _enter(browser: Browser, stage: Stage) -> None:
    browser.open(stage.console.address)
    browser.type("input[name=user]", "admin")
    browser.type("input[name=password]", str(stage.console.first_password))
    browser.click("form.login button")
    wait_until(lambda: browser.address == stage.console.address, "signed in")


def _fits(browser: Browser) -> bool:
    return bool(browser.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


@pytest.mark.parametrize("width", [WIDE, PHONE])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_from_the_overview_to_a_taken_ticket_and_from_a_call_to_a_new_one(
    stage: Stage, tmp_path: Path, lang: str, width: int
) -> None:
    overview, line, taken, sees, modem, verify = WORDS[lang]
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    with chromium(tmp_path / "browser", "zh-CN" if lang == "zh" else "en") as browser:
        browser.resize(width, 900)
        _enter(browser, stage)
        assert overview in browser.text and line in browser.text and _fits(browser)
        browser.click(f"#case-{ticket.number}")
        wait_until(lambda: browser.address.endswith(f"/tickets/{ticket.number}"), "the ticket's page")
        assert _fits(browser)
        browser.click("#do-acknowledge")
        wait_until(lambda: taken in browser.text, "it is taken up")
        assert not browser.run("return document.getElementById('do-acknowledge')")
        browser.open(
            f"{stage.console.address}decoder?site=v2&code={encode(site='v2', kind=Kind.MODEM_DOWN, rung=None, minutes=9)}"
        )
        assert sees in browser.text and modem in browser.text and _fits(browser)
        browser.click("#take")
        wait_until(lambda: "/tickets/" in browser.address, "the new ticket")
        assert modem in browser.text and verify in browser.text
        assert browser.complaints() == []


def test_a_ticket_renews_itself_and_keeps_what_is_being_typed(stage: Stage, tmp_path: Path) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    with chromium(tmp_path / "browser") as browser:
        browser.resize(WIDE, 900)
        _enter(browser, stage)
        browser.open(f"{stage.console.address}tickets/{ticket.number}")
        browser.type("#text", "half a sentence")
        browser.run("window.stays = true")
        stage.cases.take(ticket, tickets.recover, ended_ms=stage.cases.now_ms)
        wait_until(lambda: "seen to work again" in browser.text, "the timeline goes on by itself", 60)
        assert browser.run("return document.getElementById('text').value") == "half a sentence"
        assert browser.run("return document.activeElement.id") == "text" and browser.run("return window.stays")
        wait_until(lambda: not browser.run("return document.getElementById('do-resolve')"), "what can be done has changed")
        browser.click("#do-comment")
        wait_until(lambda: not browser.run("return window.stays"), "the page after the step")
        assert "half a sentence" in browser.text
        assert browser.complaints() == []


def test_the_overview_renews_itself_and_keeps_ones_place(stage: Stage, tmp_path: Path) -> None:
    lead = stage.cases.open("v1", Kind.AREA_OUTAGE, party=Party.TELECOM)
    stage.cases.open("v2", Kind.LINE_SUSPECTED, parent=lead.number)
    with chromium(tmp_path / "browser") as browser:
        _enter(browser, stage)
        browser.click(f"#more-{lead.number}")
        browser.run("document.getElementById(arguments[0]).focus()", f"more-{lead.number}")
        late = stage.cases.open("v3", Kind.DISK_FULL)
        wait_until(lambda: late.number in browser.text, "the new ticket comes by itself", 60)
        assert browser.run("return document.getElementById(arguments[0]).open", f"behind-{lead.number}"), "still open"
        assert browser.run("return document.activeElement.id") == f"more-{lead.number}", "still in focus"
        assert browser.complaints() == []


def test_without_script_all_can_be_done(stage: Stage, tmp_path: Path) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    with chromium(tmp_path / "browser") as browser:
        _enter(browser, stage)
        browser.switch_scripts_off()
        browser.open(f"{stage.console.address}tickets/{ticket.number}")
        browser.type("#text", "fuse changed")
        browser.click("#do-resolve")
        wait_until(lambda: stage.ticket(ticket.number).resolved_ms is not None, "resolved")


def test_hostile_text_does_nothing_and_a_mail_stays_in_its_frame(stage: Stage, tmp_path: Path) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    stage.step(ticket, "comment", HOSTILE + "<script>document.title='hacked'</script>")
    stage.cases.record("v1", [(stage.cases.now_ms - HOUR_MS, stage.cases.now_ms - MINUTE_MS, State.FAIL, Kind.LINE_DOWN)])
    with chromium(tmp_path / "browser") as browser:
        _enter(browser, stage)
        mail = f"tickets/{ticket.number}/mails/1/0?to=noc@carrier.example"
        for address in ("", f"tickets/{ticket.number}", "tickets", "sites/v1", mail):
            for width in (WIDE, PHONE):
                browser.resize(width, 900)
                browser.open(stage.console.address + address)
                assert _fits(browser), (address, width)
                assert browser.run("return document.title") != "hacked"
                assert browser.run("return document.querySelectorAll('main img, main script').length") == 0
        assert browser.run("return document.querySelector('iframe').contentDocument") is None, "another origin"
        assert browser.complaints() == []
