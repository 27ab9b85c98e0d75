"""Every word that a person may see exists in Chinese and English, and the help is the catalogue's."""

import re
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest

from sitekeeper_protocol import texts
from sitekeeper_protocol.texts import LANGUAGES, Lang
from sitekeeper_protocol.vocabulary import (
    Grade,
    Kind,
    Method,
    Party,
    PlayerState,
    Reason,
    Rung,
    Setting,
    Severity,
    SmartState,
    State,
)

NAMED: list[tuple[type[Enum], Callable[[Any, Lang], str], dict[Any, texts.Pair]]] = [
    (Rung, texts.rung, texts.RUNGS),
    (State, texts.state, texts.STATES),
    (Reason, texts.reason, texts.REASONS),
    (Method, texts.method, texts.METHODS),
    (PlayerState, texts.player_state, texts.PLAYER_STATES),
    (SmartState, texts.smart_state, texts.SMART_STATES),
    (Setting, texts.setting, texts.SETTINGS),
    (Kind, texts.kind, texts.KINDS),
    (Party, texts.party, texts.PARTIES),
    (Grade, texts.grade, texts.GRADES),
    (Severity, texts.severity, texts.SEVERITIES),
]
_NOT_THE_LINE: tuple[texts.Unsent, ...] = ("uplink", "waiting")
HAN = re.compile(r"[\u4e00-\u9fff]")


@pytest.mark.parametrize(("words", "name", "table"), NAMED, ids=[e.__name__ for e, _, _ in NAMED])
def test_every_member_has_a_name_of_its_own_in_both_languages(
    words: type[Enum], name: Callable[[Any, Lang], str], table: dict[Enum, texts.Pair]
) -> None:
    assert set(table) == set(words)
    for lang in LANGUAGES:
        names = [name(member, lang) for member in words]
        assert all(text.strip() == text and text for text in names)
        assert len(set(names)) == len(names)
    for member in words:
        assert HAN.search(name(member, "zh")), member
        assert not HAN.search(name(member, "en")), member


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_a_newer_program_names_is_shown_as_it_came(lang: Lang) -> None:
    assert texts.rung(99, lang) == "99"
    assert texts.kind("fibre_eaten_by_mice", lang) == "fibre_eaten_by_mice"
    assert texts.help_steps("fibre_eaten_by_mice", lang) == ()


def test_numbers_and_words_from_the_wire_are_named_like_their_members() -> None:
    assert texts.rung(6, "zh") == texts.rung(Rung.DNS, "zh") == "域名解析"
    assert texts.kind("line_down", "en") == texts.kind(Kind.LINE_DOWN, "en") == "line down"


@pytest.mark.parametrize("kind", list(Kind))
def test_help_has_at_most_three_steps_and_as_many_in_both_languages(kind: Kind) -> None:
    zh, en = texts.help_steps(kind, "zh"), texts.help_steps(kind, "en")
    assert len(zh) == len(en) <= 3
    for step in (*zh, *en):
        assert step.strip() == step
        assert step[-1] in "。.?"
        assert not re.match(r"\d", step), "the page numbers the steps"
    assert all(HAN.search(step) for step in zh)
    assert not any(HAN.search(step) for step in en)


def test_kinds_that_the_catalogue_has_help_for() -> None:
    without = {kind for kind in Kind if not texts.help_steps(kind, "zh")}
    assert without == {
        Kind.SITE_DARK,
        Kind.LINE_SUSPECTED,
        Kind.LINE_DEGRADED,
        Kind.LINE_SLOW,
        Kind.UPLINK_BLOCKED,
        Kind.PLAYBACK_STALLING,
        Kind.DEVICE_MISSING,
        Kind.DISK_FAILING,
        Kind.OVERLOADED,
        Kind.CLOCK_WRONG,
        Kind.SETTINGS_CHANGED,
        Kind.AREA_OUTAGE,
        Kind.FLAPPING,
        Kind.DUPLICATE_IDENTITY,
        Kind.AGENT_TROUBLE,
        Kind.REPORTED,
        Kind.LONG_UNHEARD,
    }


def test_help_never_sends_anybody_to_the_fibre_or_the_reset_button() -> None:
    assert texts.help_steps(Kind.LINE_DOWN, "zh")[1] == "不要拔细光纤，不要看光纤头，不要按小孔里的按钮。"
    assert "(not the fibre)" in texts.help_steps(Kind.MODEM_DOWN, "en")[0]


def test_reported_is_said_only_with_a_number() -> None:
    assert texts.reported("2025-0117", "0851-1234", "zh") == "已上报，单号2025-0117。"
    assert texts.reported("2025-0117", "0851-1234", "en") == "Reported, number 2025-0117."
    assert texts.reported(None, "0851-1234", "zh") == "网断了，系统报不出去。请打0851-1234，说站点号和屏幕上8位数字。"
    sentence = texts.reported(None, "0851-1234", "en")
    assert sentence == "The line is down, so this can't be sent. Call 0851-1234 and read out the site number and the 8 digits."


@pytest.mark.parametrize("unsent", list(texts.UNSENT))
def test_without_a_number_nothing_says_reported_and_somebody_is_to_be_called(unsent: texts.Unsent) -> None:
    named = ("0851-1234", "请打0851-1234，", "all 0851-1234 and")
    for phone, zh_whom, en_whom in (named, ("", "请打给县里的技术员，", "all the county technician and")):
        zh, en = texts.reported(None, phone, "zh", unsent), texts.reported(None, phone, "en", unsent)
        assert "已上报" not in zh and "eported" not in en
        assert zh_whom in zh and en_whom in en
        assert zh.endswith("8位数字。") and en.endswith("the 8 digits.") and en.isascii()


def test_the_line_is_blamed_only_when_it_is_down() -> None:
    assert texts.reported(None, "", "zh") == "网断了，系统报不出去。请打给县里的技术员，说站点号和屏幕上8位数字。"
    assert texts.reported(None, "12", "en", "waiting") == (
        "No ticket number has come yet. If it is urgent, call 12 and read out the site number and the 8 digits."
    )
    assert not any("网断" in texts.reported(None, "12", "zh", unsent) for unsent in _NOT_THE_LINE)
