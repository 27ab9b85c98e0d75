"""The table of `check`: aligned in both languages, honest in its words, and its exit code."""

import pytest

from sitekeeper_agent.checkview import exit_code, render, table, width
from sitekeeper_protocol import texts
from sitekeeper_protocol.ladder import Baseline, Reading, Verdict, diagnose, judge
from sitekeeper_protocol.texts import LANGUAGES, Lang
from sitekeeper_protocol.vocabulary import Method, Reason, Rung, State

PROVEN = Baseline(proven=frozenset(("ipv4", rung) for rung in Rung), portal_path="ipv4")


def reading(rung: Rung, state: State = State.OK, reason: Reason = Reason.NONE, rtt_ms: float | None = None) -> Reading:
    return Reading(
        rung=rung, path="ipv4", state=state, reason=reason, rtt_ms=rtt_ms, method=Method.SYSTEM, target="\x1b[2Jeth0"
    )


BROKEN = [
    reading(Rung.PORTAL, State.FAIL, Reason.TIMEOUT),
    reading(Rung.LINK),
    reading(Rung.ADDRESS),
    reading(Rung.GATEWAY, rtt_ms=1.25),
    reading(Rung.ISP, State.FAIL, Reason.TIMEOUT),
]


@pytest.mark.parametrize(
    ("state", "code"), [(State.OK, 0), (State.FAIL, 1), (State.DEGRADED, 2), (State.SILENT, 3), (State.NOT_APPLICABLE, 3)]
)
def test_the_exit_code_says_what_the_verdict_says(state: State, code: int) -> None:
    assert exit_code(Verdict(state=state)) == code


@pytest.mark.parametrize("lang", LANGUAGES)
def test_columns_stand_one_below_the_other_in_both_languages(lang: Lang) -> None:
    lines = render(judge(BROKEN, PROVEN), diagnose(BROKEN, PROVEN), lang).splitlines()
    rows = lines[1 : lines.index("")]
    assert len(rows) == 5
    starts = {width(row[: row.index("?[2Jeth0")]) for row in rows}
    assert len(starts) == 1


def test_the_fault_its_party_and_the_help_are_named() -> None:
    text = render(judge(BROKEN, PROVEN), diagnose(BROKEN, PROVEN), "zh")
    assert "责任方" in text and "LOS灯" in text and "1.3" not in text.split("\n")[1]
    assert text.endswith("\n")


def test_without_a_fault_no_party_and_no_help_is_named() -> None:
    readings = [reading(Rung.LINK), reading(Rung.PORTAL)]
    text = render(readings, diagnose(readings, PROVEN), "en")
    assert "all is well" in text
    assert "Whose job" not in text and "What to try" not in text


@pytest.mark.parametrize(
    ("lang", "names"), [("en", ["media", "media 1", "media 2"]), ("zh", ["视频播放", "视频播放 1", "视频播放 2"])]
)
def test_each_of_several_streams_has_its_row(lang: Lang, names: list[str]) -> None:
    streams = [
        Reading(rung=Rung.MEDIA, path="ipv4", state=State.FAIL, reason=Reason.STREAM_STALLED, method=Method.HTTP, label=label)
        for label in ("", "1", "2")
    ]
    proven = Baseline(proven=PROVEN.proven | {("ipv4#1", Rung.MEDIA)}, portal_path="ipv4")
    readings = [reading(Rung.PORTAL), *streams]
    text = render(judge(readings, proven), diagnose(readings, proven), lang)
    rows = [line.split("  ") for line in text.splitlines()[2:5]]
    assert [row[1].strip() for row in rows] == names
    assert {"en": "the live stream no longer moves", "zh": "直播流不再更新"}[lang] in text
    assert {"en": "media source down", "zh": "视频源故障"}[lang] in text


def test_nothing_measured_is_no_verdict() -> None:
    text = render([], diagnose([], PROVEN), "en")
    assert "can't tell" in text


def test_what_could_steer_a_terminal_is_not_printed() -> None:
    assert "\x1b" not in render(BROKEN, diagnose(BROKEN, PROVEN), "en")


def test_wide_characters_count_as_two_columns() -> None:
    assert (width("ab"), width("网线"), width("é"), width("（a）")) == (2, 4, 1, 5)
    assert table([("网", "b"), ("abc", "d")]) == ["网   b", "abc  d"]


def test_a_probe_that_has_never_worked_here_says_what_it_really_met() -> None:
    raw = [reading(Rung.LINK), reading(Rung.ISP, State.FAIL, Reason.TIMEOUT), reading(Rung.PORTAL, State.FAIL, Reason.REFUSED)]
    shown = {lang: render(judge(raw, Baseline()), diagnose(raw, Baseline()), lang, raw) for lang in LANGUAGES}
    assert texts.reason(Reason.REFUSED, "en") + "; " + texts.reason(Reason.NEVER_SUCCEEDED, "en") in shown["en"]
    assert texts.reason(Reason.TIMEOUT, "zh") + "；" + texts.reason(Reason.NEVER_SUCCEEDED, "zh") in shown["zh"]
    without = render(judge(raw, Baseline()), diagnose(raw, Baseline()), "en")
    assert texts.reason(Reason.REFUSED, "en") not in without
