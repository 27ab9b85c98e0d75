"""A site's page: its last week from the ledger, its faults, tickets and silence; and that all words exist in both languages."""

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sitekeeper_collector.domain import tickets
from sitekeeper_collector.domain.ledger import Segment, Was
from sitekeeper_collector.domain.spoken import Act
from sitekeeper_collector.domain.tickets import Closing, Refusal, TicketState
from sitekeeper_collector.notify.outbox import MailState
from sitekeeper_collector.store import tables
from sitekeeper_collector.web import strip, texts
from sitekeeper_collector.web.views import Standing
from sitekeeper_protocol.vocabulary import Grade, Kind, State
from support.cases import DAY_MS, HOUR_MS, MINUTE_MS
from support.console_stage import Stage, console_stage

CHINA = datetime.timezone(datetime.timedelta(hours=8))
NOON_MS = round(datetime.datetime(2027, 3, 10, 12, tzinfo=CHINA).timestamp() * 1000)
TEMPLATES = Path(texts.__file__).parent / "templates"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with console_stage(tmp_path) as made:
        yield made


# --- a week, purely ----------------------------------------------------------------------------------------------------


def test_the_week_ends_now_and_each_day_is_the_countys() -> None:
    asked: list[tuple[int, int]] = []

    def picture(from_ms: int, to_ms: int) -> list[Segment]:
        asked.append((from_ms, to_ms))
        return [Segment(from_ms, to_ms, Was.UP)]

    days = strip.days(NOON_MS, CHINA, picture)
    assert [day.date.day for day in days] == [10, 9, 8, 7, 6, 5, 4]
    assert asked[-1] == (NOON_MS - 12 * HOUR_MS, NOON_MS)
    assert all(to_ms - from_ms == DAY_MS for from_ms, to_ms in asked[:-1])
    assert days[0].bars[0][:2] == (0.0, 50.0), "half of today is still to come"
    assert strip.total(days) == {Was.UP: 6 * DAY_MS + 12 * HOUR_MS}


def test_a_short_fault_can_be_seen_and_does_not_change_the_sums() -> None:
    def picture(from_ms: int, to_ms: int) -> list[Segment]:
        edge = from_ms + HOUR_MS
        return [
            Segment(from_ms, edge, Was.UP),
            Segment(edge, edge + MINUTE_MS, Was.LINE),
            Segment(edge + MINUTE_MS, to_ms, Was.UP),
        ]

    day = strip.days(NOON_MS, CHINA, picture)[1]
    assert day.bars[-1].segment.was is Was.LINE, "drawn last, on top of the others"
    assert day.bars[-1].width > 100 * MINUTE_MS / DAY_MS
    assert day.sums == {Was.UP: DAY_MS - MINUTE_MS, Was.LINE: MINUTE_MS}


def test_every_state_belongs_to_one_group_of_the_legend() -> None:
    assert sorted(strip.ORDER) == sorted(Was)


# --- on the page -------------------------------------------------------------------------------------------------------


def test_the_last_days_tell_faults_apart_from_being_off_and_from_what_nobody_knows(stage: Stage) -> None:
    now = stage.cases.now_ms
    stage.cases.record(
        "v1",
        [
            (now - 6 * HOUR_MS, now - 5 * HOUR_MS, State.OK, None),
            (now - 5 * HOUR_MS, now - 4 * HOUR_MS, State.FAIL, Kind.LINE_DOWN),
        ],
    )
    stage.cases.absent("v1", ago_ms=4 * HOUR_MS, to_ms=now - 2 * HOUR_MS, concluded_ms=now)
    stage.cases.blind(now - 2 * HOUR_MS, now - HOUR_MS)
    page = stage.get("/sites/v1").text
    shown = page.split("The last 7 days")[1].split("</section>")[0]
    for state in ("up", "line", "presumed_off", "blind", "unknown"):
        assert f'class="w-{state}"' in shown, state
    assert len(re.findall(r'<svg class="bars"', shown)) == 1 + 7, "the last hour, and seven days"
    legend = shown.split('class="legend"')[1].split("</dl>")[0]
    assert re.search(r"Faults</dt><dd>.*line down.*No fault</dt><dd>.*presumed off.*Not known</dt><dd>.*blind", legend, re.S)
    sums = dict(
        zip(
            re.findall(r'<th class="n">([^<]+)</th>', shown),
            re.findall(r"<strong>([^<]+)</strong>", shown.split("<tfoot>")[1]),
            strict=True,
        )
    )
    assert (sums["line down"], sums["presumed off"], sums["we were blind"]) == ("1 h 0 min", "2 h 0 min", "1 h 0 min")
    assert "style=" not in page, "the policy would not allow it"


def test_open_faults_and_tickets_of_a_site_are_on_its_page(stage: Stage) -> None:
    ticket = stage.cases.open("v1", Kind.LINE_DOWN)
    stage.cases.fault("v1", Kind.LINE_DOWN, ticket=ticket.number)
    stage.cases.fault("v1", Kind.DISK_FULL, ended=True)
    page = stage.get("/sites/v1").text
    faults = page.split("Faults now")[1].split("</section>")[0]
    assert "line down" in faults and ticket.number in faults and "disk full" not in faults
    assert "Faults now" not in stage.get("/sites/v2").text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "presumed off, nothing to do."),
        ({"goodbye": "shutdown"}, "Switched off, nothing to do:"),
        ({"suspected_ms": 1_000, "ticket": "261125-9"}, "The line is suspected."),
    ],
)
def test_a_silence_is_explained(stage: Stage, more: dict[str, Any], said: str) -> None:
    stage.cases.absent("v1", **more)
    page = stage.get("/sites/v1").text
    assert said in page and ("/tickets/261125-9" in page) == ("ticket" in more)
    assert said not in stage.get("/sites/v2").text


def test_what_a_carrier_finds_a_line_by_is_in_the_register(stage: Stage) -> None:
    page = stage.get("/sites/v1").text
    assert "0371880113" in page and "LOID77" in page and "0371-5552" in page


def test_a_strange_profile_breaks_no_page(stage: Stage) -> None:
    with stage.cases.store.write() as connection:
        connection.execute(tables.sites.update().values(profile="<b>x</b>"))
    page = stage.get("/sites/v1")
    assert page.status == 200 and "<b>x</b>" not in page.text


# --- the words ---------------------------------------------------------------------------------------------------------


def _asked_for() -> set[str]:
    """Every text that a template asks for by its whole name, and each member of the families that it asks for by a part."""
    families = {
        "state_": Standing,
        "ticket_": TicketState,
        "refusal_": Refusal,
        "mail_": MailState,
        "was_": Was,
        "grade_means_": Grade,
        "act_": Act,
    }
    source = "".join(file.read_text(encoding="utf-8") for file in sorted(TEMPLATES.glob("*.html")))
    found = set(re.findall(r"""\bt\(["']([a-z0-9_]+)["'][,)]""", source))
    parts = set(re.findall(r"""\bt\(["']([a-z0-9_]+_)["'] ~""", source))
    assert parts >= set(families), parts
    return found | {prefix + member.value for prefix, members in families.items() for member in members}


def test_every_text_that_a_page_asks_for_exists_in_both_languages() -> None:
    asked = _asked_for()
    assert len(asked) > 150
    assert sorted(asked - set(texts.TEXTS)) == []


def test_no_text_is_empty_or_the_same_for_want_of_a_translation() -> None:
    same = {key for key, (zh, en) in texts.TEXTS.items() if zh == en}
    assert same == {"loid"}, "the name of a number, in all languages"
    assert all(zh.strip() and en.strip() for zh, en in texts.TEXTS.values())
    places = re.compile(r"\{[a-z]+\}")
    assert [key for key, (zh, en) in texts.TEXTS.items() if sorted(places.findall(zh)) != sorted(places.findall(en))] == []


def test_every_reason_to_close_can_be_shown(stage: Stage) -> None:
    for closing in (Closing.EXPLAINED, Closing.OWN_BLINDNESS, Closing.MISTAKEN):
        ticket = stage.cases.open("v1", Kind.SITE_DARK)
        stage.cases.take(ticket, tickets.withdraw, closing=closing)
        page = stage.get(f"/tickets/{ticket.number}")
        assert page.status == 200 and "Closed" in page.text
