"""A portal that stops and comes back: found by the site, told by mail with its proof, its end told in the same thread."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sitekeeper_collector.domain.tickets import TicketState, What
from sitekeeper_collector.notify.outbox import MailState
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, State
from support.brokers import mosquitto
from support.casebook import Casebook, casebook, mailing, now_ms, register, watching
from support.portals import Portal, portal
from support.post_office import Letter, PostOffice, post_office
from support.rig import Collector, Rig, rig
from support.wait import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.processes, pytest.mark.slow]

ZH, EN = "zh@county.test", "en@county.test"
TECHNICIANS = ({"party": "technician", "address": ZH, "lang": "zh"}, {"party": "technician", "address": EN, "lang": "en"})
ELSEWHERE = (
    {"party": "telecom", "address": "noc@telecom.test"},
    {"party": "technician", "address": "next@county.test", "county": "next"},
)
SITE = {"id": "v001", "name": "青山村", "county": "Lab county", "township": "青山镇"}
SAMPLING: dict[str, Any] = {"sample_interval_s": 0.3, "report_interval_s": 0.5, "anchors": ["127.0.0.1"]}


@pytest.fixture
def county(tmp_path: Path) -> Iterator[Rig]:
    with mosquitto(tmp_path / "broker") as broker, rig(tmp_path, broker.port) as made:
        yield made


@pytest.fixture
def post() -> Iterator[PostOffice]:
    with post_office() as office:
        yield office


@pytest.fixture
def page() -> Iterator[Portal]:
    with portal() as made:
        yield made


def _collector(county: Rig, post: PostOffice, *sites: dict[str, str], **mail: Any) -> Collector:
    recipients = (*TECHNICIANS, *ELSEWHERE)
    collector = county.collector("v000", **watching(county.folder), **mailing(post.port, *recipients, **mail))
    register(collector, *sites)
    return collector


def _known_to_work(county: Rig, collector: Collector, page: Portal, site: str) -> None:
    """An agent that has reached the portal, and is heard."""
    agent = county.agent(site, portal=page.address, **SAMPLING)
    agent.start()
    wait_until(
        lambda: collector.rows("SELECT 1 FROM spans WHERE site = ? AND state = ? AND last > 3", site, State.OK.value),
        lambda: f"{site} is heard and well\n{agent.log()}\n{collector.log()}",
        60,
    )


def _state(book: Casebook, state: TicketState) -> None:
    wait_until(lambda: [t.state for t in book.tickets()] == [state], lambda: f"one ticket, {state}\n{book.told()}", 60)


def test_a_portal_that_stops_makes_one_ticket_and_two_mails_in_one_thread(county: Rig, post: PostOffice, page: Portal) -> None:
    collector = _collector(county, post, SITE)
    collector.start()
    _known_to_work(county, collector, page, "v001")
    with casebook(collector) as book:
        stopped_ms = now_ms()
        page.stop()
        post.wait_for(2, "the new fault, to both technicians")
        (ticket,) = book.tickets()
        assert (ticket.site, ticket.kind, ticket.party) == ("v001", Kind.PORTAL_DOWN, Party.TECHNICIAN)
        assert (ticket.grade, ticket.state) == (Grade.PROVEN, TicketState.OPEN)
        started_ms = now_ms()
        page.start()
        post.wait_for(4, "the recovery, to both technicians")
        _state(book, TicketState.RESOLVED)
        (ticket,) = book.tickets()
        assert book.story(ticket.number) == [What.OPENED, What.RECOVERED]
        assert ticket.outage_to_ms is not None
        # A sample may be as old as the round of probes that it comes from is long.
        assert abs(ticket.outage_from_ms - stopped_ms) < 2500 and abs(ticket.outage_to_ms - started_ms) < 2500
        was = book.picture("v001", ticket.outage_from_ms, ticket.outage_to_ms)
        assert [(s.was, s.kind) for s in was] == [("platform", Kind.PORTAL_DOWN)]
        assert [mail.row.state for mail in book.mails(ticket.number)] == [MailState.SENT] * 4
        _thread(post.to(ZH), ticket.number)
        _thread(post.to(EN), ticket.number)
        assert len(post.letters) == 4, "nobody else hears of it"
        _words(post, ticket.number)


def _thread(letters: list[Letter], number: str) -> None:
    opened, recovered = letters
    assert opened.message_id == f"<{number}.1.0@county.test>"
    assert opened.message["In-Reply-To"] is None and opened.message["References"] is None
    assert recovered.message["In-Reply-To"] == recovered.message["References"] == opened.message_id
    assert recovered.message_id == f"<{number}.1.1@county.test>"
    assert recovered.subject == f"Re: {opened.subject}"
    assert opened.message["Auto-Submitted"] == "auto-generated"


def _words(post: PostOffice, number: str) -> None:
    zh, zh_over = post.to(ZH)
    en, en_over = post.to(EN)
    assert zh.subject == f"[{number}] 青山村 学习平台打不开" and en.subject == f"[{number}] 青山村 portal down"
    assert zh.grade_line == "● 现场已证实 · 新故障 · 重要 · 学习平台打不开"
    assert en.grade_line == "● proven at the site · new fault · major · portal down"
    assert zh_over.grade_line.startswith("● 现场已证实 · 已恢复")
    assert en_over.grade_line.startswith("● proven at the site · recovered")
    assert "  ✓ 线路 正常\n" in zh.text and "  ✕ 平台 不通 <==\n" in zh.text and "故障在这一级：学习平台" in zh.text
    assert "  ✓ line ok\n" in en.text and "  ✕ portal down <==\n" in en.text
    assert "  ✓ portal ok\n" in en_over.text and "<==" not in en_over.text
    assert "✕" in zh.html and "平台" in zh.html and "✕" in en.html and "portal" in en.html
    assert "✕ portal failed · connection refused · web request · 127.0.0.1\n" in en.text, "how it fails, and what was asked"


HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
SPLITTING = "山村\r\nBcc: all@county.test\r\n\r\n<b>\u202eevil\u2066"


def test_hostile_names_from_the_register_go_through_a_mail_and_do_no_harm(county: Rig, post: PostOffice, page: Portal) -> None:
    """The import refuses what steers; what a name holds all the same, put there by other means, is shown as what it is."""
    collector = _collector(county, post, SITE | {"name": HOSTILE}, SITE | {"id": "v002"})
    with pytest.raises(AssertionError, match="U\\+202E"):
        register(collector, SITE | {"id": "v003", "name": "evil\u202egnp"})
    collector.command_line("sites", "list")
    collector.change("UPDATE sites SET name = ?, township = ? WHERE id = 'v002'", SPLITTING, SPLITTING)
    collector.start()
    for site in ("v001", "v002"):
        _known_to_work(county, collector, page, site)
    page.stop()
    letters = post.wait_for(4, "both sites, to both technicians")
    for letter in letters:
        message = letter.message
        head = letter.raw.partition(b"\r\n\r\n")[0]
        assert sorted(set(message.keys()), key=str.lower) == sorted(set(message.keys()) & _EXPECTED, key=str.lower)
        assert message["Bcc"] is None and message["To"] == letter.recipient and not message.defects
        assert b"\r\nBcc" not in head
        for steering in "\r\u202e\u2066":
            assert steering not in letter.text and steering not in letter.html and steering not in letter.subject
        assert (
            "<script" not in letter.html
            and "<img" not in letter.html
            and "<b>\u202e" not in letter.html
            and "<b>evil" not in letter.html
        )
    shown = {letter.subject.partition("] ")[2] for letter in post.to(EN)}
    assert any(subject.startswith("<script>alert(1)</script>") for subject in shown), shown
    assert any(subject.startswith("山村 Bcc: all@county.test") for subject in shown), shown
    assert any("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&gt;&lt;img" in letter.html for letter in letters)


_EXPECTED = {
    "Message-ID",
    "Date",
    "From",
    "To",
    "Subject",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "MIME-Version",
    "Content-Type",
    "Content-Language",
}


def test_mails_wait_for_a_server_that_is_away_or_busy_and_come_in_order(county: Rig, post: PostOffice, page: Portal) -> None:
    collector = _collector(county, post, SITE)
    post.refusing.add(EN)
    collector.start()
    _known_to_work(county, collector, page, "v001")
    with casebook(collector) as book:
        post.close()
        page.stop()
        _state(book, TicketState.OPEN)
        (ticket,) = book.tickets()
        wait_until(lambda: all(m.row.attempts for m in book.mails(ticket.number)), "the server is asked, and is away", 30)
        page.start()
        _state(book, TicketState.RESOLVED)
        post.busy = True
        post.open()
        wait_until(lambda: post.turned_away > 3, "the server is busy (451)", 60)
        assert not post.letters
        assert {m.row.state for m in book.mails(ticket.number)} <= {MailState.PENDING, MailState.SENDING}
        assert any("451" in m.row.reason for m in book.mails(ticket.number))
        post.busy = False
        post.wait_for(2, "to the one who has a mailbox")
        wait_until(lambda: all(m.row.state.final for m in book.mails(ticket.number)), "no mail waits any more", 60)
        assert [letter.message_id for letter in post.letters] == [f"<{ticket.number}.1.{at}@county.test>" for at in (0, 1)]
        of_zh, of_en = ([m.row for m in book.mails(ticket.number) if m.row.recipient == who] for who in (ZH, EN))
        assert [row.state for row in of_zh] == [MailState.SENT] * 2
        assert [row.state for row in of_en] == [MailState.REFUSED] * 2
        assert all("550 5.1.1 no such mailbox" in row.reason for row in of_en)
        assert "will not arrive" in collector.log()
