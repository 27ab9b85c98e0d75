"""What a mail says is harmless whatever a site, a person or a probe puts into it, and fits where it has to go."""

import re
import unicodedata
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.notify.golden_mails import AREA, CASES, LINE_DOWN, SUSPECTED, T0, TICKET, entry, reading
from sitekeeper_collector.domain.tickets import Closing, Evidence, NoticeEvent, TimelineEntry, What
from sitekeeper_collector.notify.facts import finding
from sitekeeper_collector.notify.mail import Rendered, render
from sitekeeper_collector.notify.page import page
from sitekeeper_collector.notify.view import CARRIER_TEXT, Answering, LineIdentity, MailView, carrier_text, clean
from sitekeeper_collector.notify.words import ASKS, CLOSINGS, DONE, EVENTS, FACTS, GRADE_MEANS, GRADE_SYMBOLS
from sitekeeper_protocol.texts import LANGUAGES, Lang
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, Reason, Rung, State

HOSTILE = {
    "markup": '<script>alert(1)</script><img src=x onerror="a()">"\'><a href="http://evil.example/">',
    "a template": "{{ 7 * 7 }}{% for a in b %}",
    "header lines": "x\r\nBcc: evil@example.com\r\n\r\nbody\x0b\x0c\x1c\x85\u2028\u2029new line",
    "directions": "a\u202e\u2066\u200f\u061c\u200b\ufeff\ue000\x00\x1b[2Jb",
    "half a character": "a\ud800b",
    "huge": "x<&" * 400_000,
    "the end of the quotation": "----\n-- \n.\n",
}


def filled(text: str) -> MailView:
    """A mail that has ``text`` wherever somebody outside may put any."""
    return replace(
        LINE_DOWN,
        ticket=text,
        site=text,
        site_name=text,
        township=text,
        party_name=text,
        line=LineIdentity(account=text, loid=text, phone=text),
        carrier_order=text,
        evidence=Evidence(
            readings=(reading(Rung.DNS, State.FAIL, Reason.TIMEOUT, target=text, label=text), reading(Rung.ISP, State.FAIL)),
            facts=((text, text), *((key, text) for key in FACTS)),
        ),
        timeline=(TimelineEntry(ticket=TICKET, number=1, at_ms=T0, who=text, what=What.COMMENTED, details={"text": text}),),
        note=text,
        parent=text,
        previous=text,
        answering=Answering(mail=True, phone=text, link=text),
    )


class Structure(HTMLParser):
    """The tags of a page with their attributes, in order, and its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def tags(html: str) -> list[tuple[str, tuple[tuple[str, str | None], ...]]]:
    """All but the pieces that keep a ticket's number on one line, of which there may be more or fewer."""
    return [tag for tag in Structure(html).tags if tag != ("span", (("style", "white-space:nowrap"),))]


def benign(text: str, lang: Lang) -> Rendered:
    """The mail with letters only, as many as are left of ``text``."""
    return render(filled("h" * len(clean(text, 400))), lang)


def steering(text: str) -> set[str]:
    """Characters that are not seen but do something, other than ends of lines."""
    return {char for char in text if char != "\n" and unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}}


def assert_harmless(rendered: Rendered, model: Rendered) -> None:
    assert tags(rendered.html) == tags(model.html)
    assert not {name for _, attributes in Structure(rendered.html).tags for name, _ in attributes} & {"href", "src", "onerror"}
    assert not steering(rendered.text) and not steering(rendered.html) and not steering(rendered.subject)
    assert "\n" not in rendered.subject and len(rendered.subject) < 150
    assert len(rendered.html) < 60_000 and len(rendered.text) < 30_000


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_change_nothing_but_the_words(name: str, lang: Lang) -> None:
    rendered = render(filled(HOSTILE[name]), lang)
    assert_harmless(rendered, benign(HOSTILE[name], lang))
    rendered.html.encode(), rendered.text.encode(), rendered.subject.encode()


def test_markup_is_shown_as_it_came() -> None:
    shown = Structure(render(replace(LINE_DOWN, note="<b>1 & 2</b> {{ 3 }}"), "zh").html).words
    assert "<b>1 & 2</b> {{ 3 }}" in shown


@given(st.text(min_size=1, max_size=80), st.sampled_from(LANGUAGES))
def test_any_text_leaves_the_page_as_it_is_built(text: str, lang: Lang) -> None:
    assert_harmless(render(filled(f"x{text}y"), lang), benign(f"x{text}y", lang))


def test_a_quotation_can_not_be_ended_from_within() -> None:
    text = render(filled("----\n-- \nresolved"), "zh").text
    assert text.split("\n").count("----") == 2 and text.split("\n").count("-- ") == 1


@given(st.text(max_size=400), st.integers(0, 60))
def test_clean_text_is_one_line_of_at_most_so_many_characters(text: str, most: int) -> None:
    shown = clean(text, most)
    assert len(shown) <= most and not steering(shown) and len(shown.splitlines()) <= 1
    assert clean(shown, max(most, 1)) == shown


# --- the carrier's own system --------------------------------------------------------------------------------------------

_filling = st.text(alphabet="青山村 \u200b\n的", max_size=60)


def _numbers(letter: str) -> st.SearchStrategy[str]:
    return st.from_regex(rf"\A{letter}[0-9]{{3,60}}\Z") | st.just("")


_places = st.lists(st.one_of(_filling, _numbers("N"), st.integers(0, 700).map(lambda n: " " * n)), max_size=4).map("".join)


@given(
    _numbers("A"), _numbers("L"), _numbers("P"), _numbers("T"), _places, _places, st.sampled_from(LANGUAGES),
    st.sampled_from(Kind), st.sampled_from(Grade), st.booleans(), st.lists(_places, max_size=15),
)  # fmt: skip
def test_the_carriers_text_fits_and_holds_no_part_of_a_number(
    account: str,
    loid: str,
    phone: str,
    ticket: str,
    township: str,
    name: str,
    lang: Lang,
    kind: Kind,
    grade: Grade,
    of_an_area: bool,
    members: list[str],
) -> None:
    view = replace(
        LINE_DOWN,
        kind=kind,
        grade=grade,
        ticket=ticket,
        township=township,
        site_name=name,
        line=LineIdentity(account=account, loid=loid, phone=phone),
        area=account if of_an_area else "",
        members=tuple(members),
    )
    text = carrier_text(view, lang)
    whole = {
        account,
        loid,
        phone,
        ticket,
        *re.findall(r"N[0-9N]+", " ".join((township + " " + name, township + name, *members))),
    }
    assert len(text) <= CARRIER_TEXT and not steering(text)
    assert set(re.findall(r"[ALPTN][0-9N]+", text)) <= whole


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_carriers_text_names_the_line_or_the_access_node(lang: Lang) -> None:
    one, many = carrier_text(LINE_DOWN, lang), carrier_text(replace(AREA, line=LINE_DOWN.line), lang)
    assert all(number in one for number in (LINE_DOWN.line.account, LINE_DOWN.line.loid, LINE_DOWN.line.phone, TICKET))
    assert AREA.area in many and TICKET in many and "14" in many
    assert not any(number in many for number in (LINE_DOWN.line.account, LINE_DOWN.line.loid, LINE_DOWN.line.phone))


def test_a_number_that_can_not_fit_is_left_out() -> None:
    text = carrier_text(replace(LINE_DOWN, line=LineIdentity(account="7" * 200, loid="GX1")))
    assert "77" not in text and "LOID GX1" in text


def test_only_a_telecom_maintainer_whose_turn_it_is_gets_it() -> None:
    for name, view in CASES.items():
        asked = view.party is Party.TELECOM and view.event in (NoticeEvent.OPENED, NoticeEvent.REOPENED)
        assert bool(page(view, "zh").carrier) is asked, name


# --- facts ---------------------------------------------------------------------------------------------------------------

NODE = ("同一接入点的其他站点", "Others on the access node")


@pytest.mark.parametrize(
    ("name", "value", "zh", "en"),
    [
        ("last_heard", str(T0), ("最后一次联系", "2026-05-29 04:26"), ("Last heard", "2026-05-29 04:26")),
        ("free", "1503238553", ("剩余空间", "1.4 GiB"), ("Free", "1.4 GiB")),
        ("playing", "1", ("当时正在播放", "是"), ("Was playing", "yes")),
        ("neighbours_gone", "4/5", (NODE[0], "5个中4个同时失联"), (NODE[1], "4 of 5 gone with it")),
        ("samples", "3", ("本站测到", "3次"), ("Measured at the site", "3 times")),
        ("volume", "C:", ("磁盘", "C:"), ("Disk", "C:")),
        ("status", "502", ("HTTP状态", "502"), ("HTTP status", "502")),
        ("humidity", "80 %", ("humidity", "80 %"), ("humidity", "80 %")),
        ("last_heard", "yesterday", ("最后一次联系", "yesterday"), ("Last heard", "yesterday")),
        ("dark_from", "9" * 30, ("失联开始", "9" * 30), ("Not heard from", "9" * 30)),
        ("dark_to", "٣", ("失联结束", "٣"), ("Heard again", "٣")),
        ("neighbours_gone", "all", (NODE[0], "all"), (NODE[1], "all")),
    ],
)  # fmt: skip
def test_a_fact_is_told_in_the_readers_language(name: str, value: str, zh: tuple[str, str], en: tuple[str, str]) -> None:
    assert (finding(name, value, LINE_DOWN, "zh"), finding(name, value, LINE_DOWN, "en")) == (zh, en)


@given(st.sampled_from([*FACTS, "unknown"]), st.text(max_size=40) | st.integers().map(str), st.sampled_from(LANGUAGES))
def test_no_value_of_a_fact_stops_a_mail(name: str, value: str, lang: Lang) -> None:
    assert len(finding(name, value, LINE_DOWN, lang)[1]) <= 300


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_a_site_that_can_not_be_heard_rests_on_stands_where_the_ladder_would(lang: Lang) -> None:
    text = render(SUSPECTED, lang).text
    assert text.index("OLT-02") < text.index(SUSPECTED.line.account)


def test_an_area_is_named_with_its_sites_the_first_twelve_by_name() -> None:
    shown = page(AREA, "en")
    assert shown.name == AREA.area and shown.place.startswith("14 sites") and AREA.area in render(AREA, "en").subject
    (names,) = (value for name, value in shown.findings if name == "Sites")
    assert names.endswith(f"{AREA.members[11]} and 2 more") and AREA.members[12] not in names


def test_few_sites_of_an_area_are_all_named() -> None:
    assert dict(page(replace(AREA, members=("甲村", "乙村")), "zh").findings)["受影响站点"] == "甲村、乙村"


# --- words and forms -----------------------------------------------------------------------------------------------------


def test_there_are_words_for_all_that_can_happen() -> None:
    assert set(DONE) == set(What) and set(EVENTS) == set(ASKS) == set(NoticeEvent)
    assert set(CLOSINGS) == set(Closing) and set(GRADE_MEANS) == set(GRADE_SYMBOLS) == set(Grade)


@pytest.mark.parametrize("name", CASES)
def test_the_grade_is_the_first_thing_that_is_read(name: str) -> None:
    rendered = render(CASES[name], "zh")
    shown = page(CASES[name], "zh")
    assert rendered.text.startswith(f"{shown.symbol} {shown.grade} · {shown.event}")
    words = Structure(rendered.html).words
    assert words.index(shown.grade, words.index(shown.kind)) < words.index(shown.ask)


def test_an_entry_says_what_its_details_say() -> None:
    entries = (
        entry(1, T0, "", What.AMENDED, kind="modem_down", party="site", grade="proven", ended_ms=T0),
        entry(2, T0, "李", What.WITHDRAWN, closing="explained", text="关机了"),
        entry(3, T0, "", What.MERGED, into="SK-2026-000001"),
        entry(4, T0, "", What.RETIMED, from_ms=T0, ended_ms=T0 + 60_000),
    )
    told = [done.text for done in page(replace(LINE_DOWN, timeline=entries), "zh").timeline]
    assert told == [
        "光猫不通 · 站点管理员 · 现场已证实 · 恢复于05-29 04:26",
        "关机了 · 不是故障：关机或停电",
        "SK-2026-000001",
        "05-29 04:26起 · 恢复于05-29 04:27",
    ]


def test_of_a_long_timeline_the_newest_are_shown_and_the_others_counted() -> None:
    entries = tuple(entry(number, T0, "李", What.COMMENTED, text=f"nr {number}") for number in range(30))
    shown = page(replace(LINE_DOWN, timeline=entries), "en")
    assert [done.text for done in shown.timeline] == [f"nr {number}" for number in range(10, 30)] and "10" in shown.earlier


@pytest.mark.parametrize("name", CASES)
def test_a_mail_can_be_kept_and_said_later(name: str) -> None:
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(CASES[name]), type=MailView)
    assert kept == CASES[name] and render(kept, "zh") == render(CASES[name], "zh")
