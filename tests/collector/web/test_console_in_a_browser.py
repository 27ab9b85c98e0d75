"""The console as a person sees it: a real Chromium on a real console."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sitekeeper_collector.store import sight, tables
from sitekeeper_collector.web.server import ConsoleServer
from sitekeeper_protocol.vocabulary import Metric, Rung, State
from support.browser import Browser, chromium
from support.scripted import Bench, bench, inbound, report, sample
from support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.processes]
HOSTILE = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, "v1", "v2") as made:
        with made.store.write() as connection:
            sight.beat(connection, made.now_ms)
            connection.execute(tables.sites.update().where(tables.sites.c.id == "v2").values(name=HOSTILE))
        yield made


@pytest.fixture
def console(at: Bench) -> Iterator[ConsoleServer]:
    server = ConsoleServer(at.store, host="127.0.0.1", port=0, wall_ms=lambda: at.now_ms, blind_after_s=3600)
    server.start()
    yield server
    server.stop()


def _sign_in(browser: Browser, console: ConsoleServer) -> None:
    assert console.first_password is not None
    browser.open(console.address)
    assert browser.address.endswith("/login")
    browser.type("input[name=user]", "admin")
    browser.type("input[name=password]", console.first_password)
    browser.click("form.login button")
    wait_until(lambda: browser.address == console.address, "signed in")


def _fault(at: Bench, site: str, sequence: int = 1) -> None:
    values = {
        (Metric.VERDICT_STATE.value, ""): State.FAIL.value,
        (Metric.VERDICT_RUNG.value, ""): Rung.DNS.value,
        (Metric.RUNG_STATE.value, "ipv4/link"): 0,
        (Metric.RUNG_STATE.value, "ipv4/dns"): 2,
    }
    at.give(inbound(site, report(site, 7, [sample(7, sequence, values=values)])))


def _fits(browser: Browser) -> bool:
    return bool(browser.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_a_technician_signs_in_sees_a_fault_come_and_looks_into_it(at: Bench, console: ConsoleServer, tmp_path: Path) -> None:
    with chromium(tmp_path / "browser") as browser:
        browser.resize(1200, 900)
        _sign_in(browser, console)
        assert "Nothing needs you now." in browser.text
        browser.run("window.stays = true")
        _fault(at, "v1")
        wait_until(lambda: "name resolution: failed" in browser.text, "the page shows it by itself", 60)
        assert browser.run("return window.stays"), "without being loaded again"
        browser.click("#noticed-v1")
        wait_until(lambda: browser.address.endswith("/sites/v1"), "the site's page")
        assert "How far the line reaches" in browser.text and "cable" in browser.text
        browser.click(".who form button")
        wait_until(lambda: "通到哪一级" in browser.text, "the same page in Chinese")
        assert browser.address.endswith("/sites/v1")
        for address in ("", "sites", "sites/v1"):
            browser.open(console.address + address)
            browser.resize(1200, 900)
            assert _fits(browser), address
            browser.resize(390, 900)
            assert _fits(browser), f"{address or 'overview'} on a phone"
        assert browser.complaints() == []


def test_the_list_of_sites_narrows_while_one_types(at: Bench, console: ConsoleServer, tmp_path: Path) -> None:
    with chromium(tmp_path / "browser") as browser:
        _sign_in(browser, console)
        browser.open(console.address + "sites")
        assert browser.run("return document.querySelectorAll('#list tbody tr').length") == 2
        browser.type("input[name=q]", "v1")
        wait_until(lambda: browser.run("return document.querySelectorAll('#list tbody tr').length") == 1, "one is left")
        assert browser.run("return document.activeElement.name") == "q", "and one can go on typing"
        assert browser.complaints() == []


def test_a_hostile_site_name_does_nothing(at: Bench, console: ConsoleServer, tmp_path: Path) -> None:
    _fault(at, "v2")
    with chromium(tmp_path / "browser") as browser:
        _sign_in(browser, console)
        for address in ("", "sites", "sites/v2"):
            browser.open(console.address + address)
            assert "<img src=x onerror=" in browser.text, "it is shown as what it is"
            assert browser.run("return document.title") != "hacked"
            assert browser.run("return document.querySelectorAll('img').length") == 0
        assert browser.complaints() == []
