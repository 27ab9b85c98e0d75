"""The page as a person meets it: a real Chromium at 1024x768, with and without scripts, and a foreign page beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sitekeeper_agent.sitepage import Board, CheckAsked, RepairAsked
from sitekeeper_agent.sitepage.repair import Repair
from sitekeeper_protocol import texts
from sitekeeper_protocol.texts import LANGUAGES, Lang
from sitekeeper_protocol.vocabulary import KINDS, Kind, Party, Rung
from support.browser import Browser, chromium
from support.site_page import Page, failing, page, well
from support.wait import wait_until
from support.web_servers import answering, serve

pytestmark = [pytest.mark.slow, pytest.mark.processes]
WIDTH, HEIGHT = 1024, 768
SMALLEST_PX = 22
"""7 mm on a 17-inch screen of this size."""

_SMALL = """
return [...document.querySelectorAll('body *')]
  .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
  .filter(e => parseFloat(getComputedStyle(e).fontSize) < arguments[0]).map(e => e.outerHTML)"""
_SIZE = "return parseFloat(getComputedStyle(document.querySelector(arguments[0])).fontSize)"
_BELOW = "return document.querySelector(arguments[0]).getBoundingClientRect().bottom - window.innerHeight"


@pytest.fixture
def board() -> Board:
    made = Board()
    made.seen = well()
    return made


@pytest.fixture
def shown(board: Board) -> Iterator[Page]:
    with page(board) as made:
        yield made


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "browser") as window:
        window.resize(WIDTH, HEIGHT)
        yield window


def fits(browser: Browser) -> bool:
    return bool(browser.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_every_state_can_be_read_from_two_metres_without_scrolling_sideways(
    board: Board, shown: Page, browser: Browser
) -> None:
    asked = Repair(run=1, sequence=2, wall_ms=3)
    states = [well(), well(repair=asked, tickets=("T-1",))]
    states += [failing(Rung.GATEWAY, kind, KINDS[kind].party or Party.SITE) for kind in Kind]
    for lang in LANGUAGES:
        for seen in states:
            board.seen = seen
            browser.open(f"{shown.address}/?lang={lang}")
            assert fits(browser), seen.verdict
            assert browser.run(_SMALL, SMALLEST_PX) == [], seen.verdict
        browser.open(f"{shown.address}/collected?lang={lang}")
        assert fits(browser)
        assert browser.run(_SMALL, SMALLEST_PX) == []
    assert browser.complaints() == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_verdict_pictures_step_and_digits_stand_on_the_first_screen(
    board: Board, shown: Page, browser: Browser, lang: Lang
) -> None:
    for kind in (Kind.LINE_DOWN, Kind.LINK_DOWN, Kind.GATEWAY_DOWN):
        board.seen = failing(Rung.ISP, kind, Party.TELECOM)
        browser.open(f"{shown.address}/?lang={lang}")
        for selector, least_px in (("#verdict h1", 44), (".card .step", 32), (".digits b", 56)):
            assert browser.run(_BELOW, selector) <= 0, (kind, selector)
            assert browser.run(_SIZE, selector) >= least_px
        assert browser.run("return document.querySelectorAll('#rungs svg.picture').length") == 8
        assert browser.run("return document.querySelector('#rungs svg.picture').getBoundingClientRect().width") >= 64
        # Of the longest step in English the buttons may begin a little below; their upper edge is seen.
        assert browser.run(_BELOW, "button.check") <= browser.run("return document.querySelector('button.check').offsetHeight")


@pytest.mark.parametrize("scripts", [True, False])
def test_the_buttons_work_with_and_without_scripts(board: Board, shown: Page, browser: Browser, scripts: bool) -> None:
    if not scripts:
        browser.switch_scripts_off()
    board.seen = failing(Rung.LINK, Kind.LINK_DOWN, Party.SITE)
    browser.open(f"{shown.address}/?lang=en")
    browser.click("button.check")
    wait_until(lambda: "Looking, please wait" in browser.text, "it waits for the look")
    assert shown.asked == [CheckAsked(10)]
    board.seen = board.seen._replace(begun=10, done=10)
    wait_until(lambda: "Not yet. Please do the next step." in browser.text, "the page comes back by itself")
    assert texts.help_steps(Kind.LINK_DOWN, "en")[0] in browser.text
    browser.click("a.onward")
    wait_until(lambda: texts.help_steps(Kind.LINK_DOWN, "en")[1] in browser.text, "the next step")
    browser.click("button.check")
    wait_until(lambda: CheckAsked(11) in shown.asked, "the second look is asked for")
    board.seen = well(begun=11, done=11)
    wait_until(lambda: "It works now. That step helped." in browser.text, "the step worked")
    browser.click("button.repair")
    wait_until(lambda: RepairAsked() in shown.asked, "a repair is asked for")
    board.seen = board.seen._replace(repair=Repair(run=1, sequence=2, wall_ms=3))
    wait_until(lambda: "Your request is kept on this PC" in browser.text, "it is kept")
    browser.click("a.other")
    wait_until(lambda: "您的报修已记在本机" in browser.text, "in Chinese")
    assert browser.complaints() == []


def test_a_foreign_page_can_neither_press_nor_frame_nor_load_ours(shown: Page, browser: Browser) -> None:
    hostile = (
        f"<form method=post action={shown.address}/repair><input name=token value=x><button>go</button></form>"
        f"<iframe src={shown.address}/></iframe><script src={shown.address}/page.js></script>"
        f"<link rel=stylesheet href={shown.address}/style.css>"
    ).encode()
    with serve(answering("200 OK", hostile, "Content-Type: text/html")) as port:
        browser.open(f"http://127.0.0.1:{port}/")
        complaints = " ".join(browser.complaints())
        assert "frame-ancestors" in complaints or "X-Frame-Options" in complaints
        assert browser.run(_SIZE, "body") == 16, "our style was not let in"
        browser.click("button")
        wait_until(lambda: browser.address == f"{shown.address}/repair", "the form was sent")
        assert "这个请求不是从本页来的" in browser.text
    assert shown.asked == []
