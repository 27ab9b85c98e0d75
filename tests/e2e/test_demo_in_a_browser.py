"""``make demo`` as its reader sees it: the county's two minutes, told by tickets and mails, in a real Chromium."""

import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from sitekeeper_protocol import sitecode, texts
from sitekeeper_protocol.vocabulary import Kind, Rung
from support.browser import Browser, chromium
from support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.processes]
_WIDE, _PHONE = (1280, 1000), (390, 800)


class Demo(NamedTuple):
    """A running demo: its folder, and where and with which password its console is."""

    folder: Path
    output: Path
    process: "subprocess.Popen[bytes]"

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(f"file:{self.folder / 'collector.db'}?mode=ro", uri=True, timeout=20)) as database:
            return database.execute(query).fetchall()


@contextmanager
def playing(folder: Path) -> Iterator[Demo]:
    output = folder.with_suffix(".out")
    command = [sys.executable, "-m", "sitekeeper_collector.demo", "--folder", str(folder), "--lang", "en"]
    with output.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield Demo(folder, output, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo") / "county"
    with playing(folder) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def browser(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    wait_until(lambda: "password" in demo.text, "the demo says where its console is", 120)
    told = re.search(r"(http://127\.0\.0\.1:\d+/)  user admin  password (\S+)", demo.text)
    assert told is not None, demo.text
    with chromium(tmp_path_factory.mktemp("chromium")) as window:
        window.resize(*_WIDE)
        wait_until(lambda: _opens(window, told[1]), "the console answers", 60)
        window.type("input[name=user]", "admin")
        window.type("input[name=password]", told[2])
        window.click("form.login button")
        wait_until(lambda: window.address == told[1], "signed in", 60)
        yield window


def _opens(window: Browser, address: str) -> bool:
    window.open(address)
    return "/login" in window.address


def _go(window: Browser, path: str) -> None:
    root = re.match(r"http://[^/]+", window.address)
    assert root is not None
    window.open(root[0] + path)


def _fits(window: Browser) -> bool:
    return bool(window.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def _speak(window: Browser, lang: str) -> None:
    if window.run("return document.documentElement.lang").startswith(lang):
        return
    window.click("form[action='/language'] button")
    wait_until(lambda: window.run("return document.documentElement.lang").startswith(lang), "the page changes its language", 30)


def test_a_failing_resolver_comes_to_the_overview_and_is_acknowledged(demo: Demo, browser: Browser) -> None:
    _go(browser, "/")
    wait_until(lambda: "name resolution failing" in browser.text, "the ticket comes to the open page by itself", 90)
    browser.click("a[href^='/tickets/2']")
    wait_until(lambda: "proven at the site" in browser.text and "Acknowledge" in browser.text, "the ticket's page", 30)
    browser.click("#do-acknowledge")
    wait_until(
        lambda: "acknowledged" in browser.text.lower() and not _has(browser, "#do-acknowledge"), "it is acknowledged", 30
    )
    rows = demo.rows("SELECT state, acknowledged_by FROM tickets WHERE kind = 'dns_failure'")
    assert [row[1] for row in rows] == ["admin"]


def _has(window: Browser, selector: str) -> bool:
    return bool(window.run("return document.querySelector(arguments[0]) !== null", selector))


def test_a_code_is_decoded_in_both_languages(demo: Demo, browser: Browser) -> None:
    site = str(demo.rows("SELECT id FROM sites WHERE id LIKE '99%' ORDER BY id DESC LIMIT 1")[0][0])
    code = sitecode.encode(site=site, kind=Kind.LINE_DOWN, rung=Rung.ISP, minutes=40)
    for lang, other in (("en", "zh"), ("zh", "en")):
        _speak(browser, lang)
        _go(browser, f"/decoder?site={site}&code={code}")
        assert texts.kind(Kind.LINE_DOWN, "en" if lang == "en" else "zh") in browser.text
        _go(browser, f"/decoder?site={site}&code={code[:-1]}{(int(code[-1]) + 1) % 10}")
        assert _has(browser, "p.alarm"), "a digit that was misheard is noticed"
        assert other != lang
    _speak(browser, "en")


def test_the_story_ends_with_the_tickets_and_mails_that_a_person_would_want(demo: Demo, browser: Browser) -> None:
    wait_until(
        lambda: demo.rows("SELECT count(*) FROM tickets WHERE kind = 'line_down' AND state = 'resolved'") == [(6,)],
        f"the access node's sites are explained\n{demo.text[-3000:]}",
        180,
    )
    wait_until(lambda: demo.rows("SELECT count(*) FROM mails WHERE state = 'sent'") == [(6,)], "six mails in all", 60)
    outcomes = "SELECT outcome FROM absences WHERE goodbye = '' AND ticket = '' ORDER BY site"
    wait_until(lambda: Counter(row[0] for row in demo.rows(outcomes)) == {"power": 8, "": 1}, "power and wall", 90)
    tickets = demo.rows("SELECT kind, party, grade, state, parent, reopened FROM tickets")
    assert Counter(row[0] for row in tickets) == {"area_outage": 1, "dns_failure": 1, "media_down": 1, "line_down": 6}, tickets
    assert {row[1:3] for row in tickets if row[0] in ("area_outage", "line_down")} == {("telecom", "proven")}
    assert {row[3] for row in tickets} == {"resolved"} and {row[5] for row in tickets} == {0}
    assert all(row[4] for row in tickets if row[0] == "line_down"), "the access node's ticket explains those of its six sites"
    told = "SELECT t.kind, m.number FROM mails m JOIN tickets t ON t.number = m.ticket ORDER BY t.kind, m.number"
    assert demo.rows(told) == [(kind, at) for kind in ("area_outage", "dns_failure", "media_down") for at in (0, 1)]
    assert len(demo.rows("SELECT DISTINCT about_run FROM markers WHERE what = 'power_lost' AND about_run != 0")) == 8


def test_every_page_of_the_demo_reads_well_wide_and_on_a_phone_in_both_languages(demo: Demo, browser: Browser) -> None:
    number = str(demo.rows("SELECT number FROM tickets WHERE kind = 'area_outage'")[0][0])
    site = str(demo.rows("SELECT site FROM absences WHERE outcome = 'power' ORDER BY site LIMIT 1")[0][0])
    browser.complaints()
    for lang in ("en", "zh"):
        for width, height in (_WIDE, _PHONE):
            browser.resize(width, height)
            for path in ("/", "/tickets?state=all", f"/tickets/{number}", "/sites", f"/sites/{site}", "/decoder", "/mails"):
                _go(browser, path)
                _speak(browser, lang)
                assert _fits(browser), f"{path} is wider than {width} px in {lang}"
                assert browser.run("return document.querySelector('h1') !== null"), path
    browser.resize(*_WIDE)
    assert browser.complaints() == []


def test_the_caught_mails_can_be_read(demo: Demo, browser: Browser) -> None:
    _speak(browser, "en")
    _go(browser, "/mails")
    assert browser.text.count("noc@telecom.example") >= 4
    assert texts.kind(Kind.AREA_OUTAGE, "en") in browser.text


def test_it_ends_in_order(demo: Demo) -> None:
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(120) == 0, demo.text[-3000:]
    assert "every one is stored, once" in demo.text and "Traceback" not in demo.text
