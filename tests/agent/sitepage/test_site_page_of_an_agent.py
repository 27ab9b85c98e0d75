"""The page of a real agent: a real look on demand, a request that is kept and sent, and what flooding comes to."""

import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from html import unescape
from pathlib import Path
from typing import Any

import psutil
import pytest

from sitekeeper_agent.sitepage.door import AT_ONCE
from sitekeeper_protocol import codec, sitecode
from sitekeeper_protocol.messages import ButtonEvent, Receipt, Sample
from sitekeeper_protocol.topics import Leaf
from sitekeeper_protocol.vocabulary import Kind
from support.brokers import Broker, mosquitto
from support.county import County, county_at
from support.portals import Portal, portal
from support.ports import free_port
from support.rig import Agent, Rig, rig
from support.site_page import Page
from support.wait import wait_until

SITE = "0417"
SLOW = {"sample_interval_s": 3600, "report_interval_s": 3600}
"""One look at the start, and then none for an hour unless somebody asks."""
pytestmark = [pytest.mark.broker, pytest.mark.processes]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def county(broker: Broker) -> Iterator[County]:
    with county_at(broker.port) as connected:
        yield connected


@pytest.fixture
def lab(broker: Broker, tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path, broker.port) as made:
        yield made


@pytest.fixture
def school() -> Iterator[Portal]:
    with portal() as running:
        yield running


def start(lab: Rig, school: Portal, **settings: Any) -> tuple[Agent, Page]:
    """An agent whose first look is over, and its page."""
    port = free_port()
    agent = lab.agent(SITE, portal=school.address, site_page={"port": port}, language="en", **settings)
    agent.start()
    shown = Page(port)
    wait_until(lambda: agent.running and listens(port), f"the page is there\n{agent.log()}")
    wait_until(lambda: "Looking for the first time" not in shown.get().text, "the first look is over")
    return agent, shown


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 5):
            return True
    except OSError:
        return False


def press(shown: Page, name: str, **form: str) -> str:
    """Press a button; the page that the browser is sent to, once nothing is under way any more."""
    answer = shown.post(f"/{name}", {"token": shown.get().token} | form)
    assert answer.status == 303, answer.text
    shows = answer.headers["Location"]
    return unescape(wait_until(lambda: "" if 'content="1"' in (text := shown.get(shows).text) else text, "it is done"))


def receipt(county: County, *tickets: str) -> None:
    """What the county sends when a ticket has changed."""
    county.send(SITE, Leaf.RECEIPT, codec.encode(Receipt(1, county.epoch, 0, 0, county.server_ms(), tickets=list(tickets))))


def pressed(samples: list[Sample]) -> list[ButtonEvent]:
    return [event for sample in samples for event in sample.events if isinstance(event, ButtonEvent)]


def kept(agent: Agent) -> list[Sample]:
    """What is on the agent's disk, with its events."""
    with sqlite3.connect(f"file:{agent.state / 'spool.db'}?mode=ro", uri=True, timeout=20) as db:
        rows = db.execute("SELECT sequence, wall_ms, boottime_ms, record FROM samples ORDER BY sequence").fetchall()
    db.close()
    return [
        codec.unpack_sample(record, sequence=sequence, wall_ms=wall, boottime_ms=boot) for sequence, wall, boot, record in rows
    ]


def test_check_again_looks_at_once_and_says_whether_the_step_has_worked(lab: Rig, school: Portal) -> None:
    agent, shown = start(lab, school, **SLOW)
    assert "All is well" in shown.get().text
    assert '<html lang="zh-CN">' in shown.get("/?lang=zh").text
    school.stop()
    assert "something is broken now" in press(shown, "check")
    assert "Portal down" in shown.get().text
    assert "Not yet." in press(shown, "check")
    school.start()
    fixed = press(shown, "check", step="1")
    assert "It works now. That step helped." in fixed
    assert "All is well" in fixed
    assert len(kept(agent)) == 4, "one look at the start, and one for each press"


def test_a_request_for_repair_reaches_the_county_and_its_number_comes_back(lab: Rig, county: County, school: Portal) -> None:
    county.tickets = ["T-1"]
    agent, shown = start(lab, school, **SLOW)
    wait_until(lambda: "Open numbers of this site: T-1" in shown.get().text, "a receipt came")
    press(shown, "repair")
    county.wait_for(lambda c: pressed([s for report in c.reports for s in report.samples]), "the county has the event")
    wait_until(lambda: "The county has your request. There is no number yet." in shown.get().text, "its receipt came")
    receipt(county, "T-1", "T-2")
    wait_until(lambda: "Reported, number T-2." in shown.get().text, "its number came")
    receipt(county, "T-1")
    wait_until(lambda: "Your request (number T-2) is closed." in shown.get().text, "it is closed")
    (event,) = pressed(kept(agent))
    assert event.button == "ask_for_repair"
    assert sitecode.decode(event.code, SITE).kind is None, "the PC sees nothing wrong"


def test_without_a_line_a_request_is_kept_through_a_power_cut_and_sent_later(
    lab: Rig, broker: Broker, county: County, school: Portal
) -> None:
    broker.stop()
    agent, shown = start(lab, school, **SLOW)
    school.stop()
    press(shown, "check")
    said = press(shown, "repair")
    assert "Your request is kept on this PC, but not sent yet." in said
    assert "This can't be sent at the moment. Call the county technician" in said
    digits = re.search(r"<b>(\d{4} \d{4})</b>", said)
    assert digits is not None
    (event,) = pressed(kept(agent))
    assert event.code == digits[1].replace(" ", "")
    assert sitecode.decode(event.code, SITE).kind is Kind.PORTAL_DOWN
    agent.kill()
    agent.start()
    wait_until(lambda: listens(shown.port), "the next life has its page")
    wait_until(lambda: "Your request is kept on this PC" in shown.get().text, "it still knows")
    broker.start()
    county.wait_for(lambda c: event in pressed([s for report in c.reports for s in report.samples]), "the county has it", 120)
    wait_until(lambda: "The county has your request." in shown.get().text, "and the page knows")


def test_what_is_collected_is_what_was_sent(lab: Rig, school: Portal) -> None:
    agent, shown = start(lab, school, **SLOW)
    text = shown.get("/collected?lang=en").text
    (sample,) = kept(agent)
    assert sample.facts
    assert all(str(value) in text for value in sample.facts.values() if isinstance(value, str) and "&" not in value)
    assert "memory available" in text
    assert "processor in use" not in text, "that takes two samples"
    assert "not encrypted" in text


def test_a_flood_costs_few_threads_and_the_agent_goes_on(lab: Rig, county: County, school: Portal) -> None:
    agent, shown = start(lab, school)
    process = psutil.Process(agent.pid)
    quiet = process.num_threads()
    most = quiet
    with ExitStack() as stack:
        # As many as fit into the system's queue; those beyond are refused or dropped there.
        for _ in range(60):
            connection = stack.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", shown.port))
            most = max(most, process.num_threads())
        seen = len(county.samples())
        county.wait_for(lambda c: len(c.samples()) > seen + 5, "samples go on")
        most = max(most, process.num_threads())
    assert most <= quiet + AT_ONCE + 1
    wait_until(lambda: shown.get().status == 200, "visitors come in again")


def test_a_page_that_is_turned_off_has_no_port(lab: Rig, county: County, school: Portal) -> None:
    port = free_port()
    agent = lab.agent(SITE, portal=school.address, site_page={"enabled": False, "port": port})
    agent.start()
    county.wait_for(lambda c: len(c.samples()) > 3, "samples come")
    assert not listens(port)


def test_nothing_of_the_web_is_loaded_before_the_first_visitor(lab: Rig, county: County, school: Portal) -> None:
    port = free_port()
    agent = lab.agent(SITE, portal=school.address, site_page={"port": port})
    agent.environment = {"PYTHONVERBOSE": "1"}
    agent.start()
    county.wait_for(lambda c: len(c.samples()) > 3, "samples come")
    assert "import 'sitekeeper_agent.sitepage.door'" in agent.log()
    for module in ("http.server", "sitekeeper_agent.sitepage.visit", "sitekeeper_agent.sitepage.pages"):
        assert f"import '{module}'" not in agent.log()
    assert Page(port).get().status == 200
    assert "import 'http.server'" in agent.log()
