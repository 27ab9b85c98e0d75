"""How long a fault stands, and that "reported" is said only with a number that can be its own."""

import json
from pathlib import Path

import pytest

from sitekeeper_agent import standing, statusfile
from sitekeeper_agent.checkview import reporting
from sitekeeper_agent.cli import _hours
from sitekeeper_agent.config import Broker, Settings
from sitekeeper_agent.hours import Day
from sitekeeper_agent.spool import SpoolStats
from sitekeeper_agent.standing import Fault, Standing
from sitekeeper_protocol import sitecode
from sitekeeper_protocol.ladder import Verdict
from sitekeeper_protocol.sitecode import Lasting
from sitekeeper_protocol.texts import LANGUAGES, Lang
from sitekeeper_protocol.vocabulary import Kind, Party, Rung, State

LINE = Verdict(state=State.FAIL, rung=Rung.ISP, kind=Kind.LINE_DOWN, party=Party.TELECOM)
PORTAL = Verdict(state=State.FAIL, rung=Rung.PORTAL, kind=Kind.PORTAL_DOWN, party=Party.TECHNICIAN)
WELL = Verdict(state=State.OK)
BOOT = 0xB007


def test_a_verdict_stands_since_the_first_sample_that_said_so() -> None:
    stood = Standing().judged(LINE, 1_000).judged(LINE, 61_000)
    assert stood.since_ms == 1_000
    assert stood.judged(PORTAL, 121_000).since_ms == 121_000
    assert stood.judged(WELL, 121_000).judged(LINE, 181_000).since_ms == 181_000


def test_a_number_that_comes_while_a_fault_stands_is_its_own() -> None:
    assert Standing().judged(LINE, 0).receipted(["T-1"]).numbers == ("T-1",)
    assert Standing().judged(LINE, 0).receipted(["T-1", "T-2"]).receipted(["T-2"]).numbers == ("T-2",)


def test_a_number_that_was_open_before_belongs_to_something_else() -> None:
    for before in (WELL, PORTAL):
        stood = Standing().judged(before, 0).receipted(["T-1"]).judged(LINE, 1_000)
        assert stood.receipted(["T-1"]).numbers == ()
        assert stood.receipted(["T-1", "T-2"]).numbers == ("T-2",)


def test_a_fault_that_returns_under_its_open_ticket_is_reported() -> None:
    stood = Standing().judged(LINE, 0).receipted(["T-1"]).judged(WELL, 1_000)
    assert stood.numbers == ()
    assert stood.receipted(["T-1"]).judged(LINE, 2_000).numbers == ("T-1",)


def test_a_receipt_before_the_first_verdict_claims_nothing_for_what_comes() -> None:
    stood = Standing().receipted(["T-1"]).judged(LINE, 0)
    assert stood.numbers == ()
    assert stood.receipted(["T-1"]).numbers == ("T-1",)


@pytest.mark.parametrize(
    ("connected", "rung", "why"),
    [
        (True, Rung.PORTAL, "waiting"),
        (False, Rung.LINK, "line"),
        (False, Rung.ISP, "line"),
        (False, Rung.DNS, "uplink"),
        (False, Rung.MEDIA, "uplink"),
        (False, None, "uplink"),
    ],
)
def test_the_line_is_blamed_only_where_it_was_found_broken(connected: bool, rung: Rung | None, why: str) -> None:
    assert standing.unsent(Fault(None, rung, None, (), connected)) == why


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_shown_can_be_read_out_and_decoded(lang: Lang) -> None:
    lines = reporting(Fault(Kind.LINE_DOWN, Rung.ISP, 45, (), connected=False), "0417", "0851-1234", lang)
    assert "0851-1234" in lines[1]
    assert lines[2].endswith("0417")
    code = sitecode.decode(lines[3].partition(":")[2], "0417")
    assert (code.kind, code.lasting) == (Kind.LINE_DOWN, Lasting.FROM_30_MIN)


def test_several_numbers_are_told_in_one_sentence() -> None:
    fault = Fault(Kind.LINE_DOWN, Rung.ISP, 45, ("T-1", "T-2"), connected=True)
    assert standing.sentence(fault, "", "zh") == "已上报，单号T-1、T-2。"
    assert standing.sentence(fault, "", "en") == "Reported, number T-1, T-2."


def written(folder: Path, stood: Standing, day: Day | None = None) -> dict[str, object]:
    settings = Settings(site="0417", area="522634", broker=Broker(host="mqtt.example"), portal="https://portal.example/")
    statusfile.StatusFile(folder, settings, 1, BOOT).write(
        connected=False, trouble="", held=0, unconfirmed=0, spool=SpoolStats(0, 0, True), standing=stood, day=day
    )
    told = statusfile.read(folder)
    assert told is not None
    return told


def test_the_status_file_tells_another_process_the_fault_by_boot_time(tmp_path: Path) -> None:
    told = written(tmp_path, Standing().judged(LINE, 60_000).receipted(["T-1"]))
    fault = statusfile.fault(told, boot=BOOT, boottime_ms=60_000 + 7_260_000)
    assert fault == Fault(Kind.LINE_DOWN, Rung.ISP, 121, ("T-1",), connected=False)
    after_boot = statusfile.fault(told, boot=BOOT + 1, boottime_ms=90_000)
    assert after_boot is not None and after_boot.minutes is None, "another boot's time says nothing"


def test_no_fault_is_told_where_none_was_found(tmp_path: Path) -> None:
    for stood in (Standing(), Standing().judged(WELL, 0), Standing().judged(Verdict(state=State.DEGRADED, rung=Rung.DNS), 0)):
        assert statusfile.fault(written(tmp_path, stood), boot=BOOT, boottime_ms=1) is None


def test_the_file_of_another_version_is_read_as_far_as_it_is_understood(tmp_path: Path) -> None:
    (tmp_path / statusfile.FILE_NAME).write_text(
        json.dumps({"wall_ms": 1, "verdict": "fail", "kind": "fibre_eaten_by_mice", "rung": "isp", "connected": True})
    )
    told = statusfile.read(tmp_path)
    assert told is not None
    assert statusfile.fault(told, boot=BOOT, boottime_ms=1) == Fault(None, Rung.ISP, None, (), connected=True)


@pytest.mark.parametrize(
    ("day", "line"),
    [
        (None, "not measured yet"),
        (Day(0, 3_700_000), "on 1 h 1 min; nothing tells how much of it in use"),
        (Day(0, 3_700_000, 1_000, 3_660_000, told=True), "on 1 h 1 min, in use 0 h 0 min, idle 1 h 1 min"),
    ],
)
def test_status_tells_the_hours_of_today_and_no_use_where_nothing_tells_of_it(
    tmp_path: Path, day: Day | None, line: str
) -> None:
    assert _hours(written(tmp_path, Standing(), day)) == line
