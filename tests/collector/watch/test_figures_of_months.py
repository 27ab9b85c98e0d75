"""Figures of months from stored reports: what a month comes to, its closing, and what is learned of it later."""

import csv
import datetime
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sitekeeper_collector import cli, cli_figures
from support.played import DAY_MS, HOUR_MS, LINE_DOWN, MINUTE_MS, START_MS, Pc, Watched, watched, well

SITE = "v1"
Say = Callable[..., str]


def month_name(ms: int) -> str:
    return f"{datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone(datetime.timedelta(hours=8))):%Y-%m}"


def config(folder: Path) -> Path:
    file = folder / "collector.yaml"
    file.write_text(f"database: sqlite:///{folder}/sitekeeper.db\n")
    return file


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    # The clock that is played is ahead of this machine's.
    monkeypatch.setattr(cli_figures, "wall_ms", lambda: START_MS + 80 * DAY_MS)

    def run(*arguments: str, code: int = 0) -> str:
        assert cli.main(["figures", *arguments, "--config", str(config(tmp_path))]) == code
        told = capsys.readouterr()
        return told.err if code else told.out

    return run


@pytest.fixture
def county(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path, SITE) as made:
        made.place(SITE, township="Clearwater", carrier="=Telecom", hours="Mon-Fri 09:00-17:00")
        yield made


def play(county: Watched, *, all_told: bool = True) -> Callable[[], None]:
    """A morning with an hour's cut of the line; what the site has kept of it comes at once, or when the result is called."""
    pc = Pc(SITE, 11, START_MS - HOUR_MS)
    county.live(30, well(), pc)
    [kept] = county.unheard(60, LINE_DOWN, pc)
    if all_told:
        county.at.send(pc.report(kept, county.now_ms + MINUTE_MS, backlog=True))
    county.live(30, well(), pc)

    def later() -> None:
        county.at.now_ms += 40 * DAY_MS
        county.at.send(pc.report(kept, county.now_ms, backlog=True))

    return later


def test_an_hours_cut_is_an_hour_of_the_carriers(county: Watched, say: Say) -> None:
    play(county)
    month = month_name(START_MS)
    [told] = json.loads(say("show", month, "--by", "township", "--json"))["groups"]
    assert (told["name"], told["sites"], told["outages"], told["days_expected"], told["days_online"]) == (
        "Clearwater",
        1,
        1,
        1,
        1,
    )
    down = {(part["kind"], part["party"]): part["ms"] for part in told["spent"] if part["was"] == "line"}
    assert down == {("line_down", "telecom"): HOUR_MS}
    up_ms = sum(part["ms"] for part in told["spent"] if part["was"] == "up")
    assert told["availability"] == up_ms / (up_ms + HOUR_MS)
    [repair] = told["repairs"]
    assert (repair["kind"], repair["party"], repair["outage_ms"]) == ("line_down", "telecom", HOUR_MS)
    assert repair["handled_ms"] is None, "no mail was accepted before it was over"
    causes = say("show", month, "--by", "cause").splitlines()
    assert causes[1].split() == ["line_down", "telecom", "1.00"] and causes[-1].split() == ["all", "1.00"]


def test_a_sheet_opens_in_a_spreadsheet_and_calculates_nothing(county: Watched, say: Say) -> None:
    play(county)
    text = say("show", month_name(START_MS), "--by", "carrier", "--csv")
    assert text.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text[1:])))
    assert [row["carrier"] for row in rows] == ["'=Telecom", "all"]
    assert [(row["sites"], row["down_h"], row["telecom_down_h"], row["online_rate"]) for row in rows] == [
        ("1", "1.00", "1.00", "100.00")
    ] * 2


def test_a_closed_month_stays_and_what_is_learned_later_is_a_correction(county: Watched, say: Say) -> None:
    later = play(county, all_told=False)
    month, following = month_name(START_MS), month_name(START_MS + 31 * DAY_MS)
    assert f"{month} is closed with the figures of 1 sites" in say("close", month)
    before = say("show", month, "--json")
    assert json.loads(before)["groups"][0]["outages"] == 0
    assert "no corrections" in say("corrections")
    later()
    assert say("show", month, "--json") == before, "it is closed"
    assert f"{month}: corrected for 1 sites" in say("close", following)
    assert say("show", month, "--json") == before
    told = say("corrections", "--month", month).splitlines()
    assert told[0].split()[:3] == ["month", "found_in", "site"]
    assert told[1].split()[:5] == [month, following, SITE, "1", "1.00"] and "line_down +1.00 h" in told[1]
    assert "1 corrections since" in say("show", month)


@pytest.mark.parametrize("name", ["2026-13", "26-01", "october", "2026-1"])
def test_what_is_no_month_is_named(say: Say, name: str) -> None:
    assert f"'{name}' is no month; write it like 2026-10" in say("show", name, code=1)


def test_a_month_is_closed_once_and_not_before_its_end(say: Say) -> None:
    assert "is not over yet" in say("close", "2099-01", code=1)
    assert "has not begun yet" in say("show", "2099-01", code=1)
    say("close", "2024-01")
    assert "was closed" in say("close", "2024-01", code=1)
