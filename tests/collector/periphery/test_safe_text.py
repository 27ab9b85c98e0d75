"""Whatever text or bytes come in, a terminal only ever shows them."""

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_collector import tail
from sitekeeper_collector.cli_text import clipped, instant, json_text, safe, table, width
from sitekeeper_protocol import codec
from sitekeeper_protocol.messages import (
    Command,
    CommandName,
    Presence,
    Receipt,
    Report,
    Result,
    ResultState,
    RunReceipt,
    Status,
)
from support.wire_values import reports

_LEAVES = st.sampled_from(["report", "receipt", "status", "config", "command", "result"])


def _harmless(text: str) -> bool:
    return all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text)


@given(st.text())
def test_safe_text_holds_no_control_and_plain_text_stays_as_it_is(text: str) -> None:
    assert _harmless(safe(text))
    assert safe("东村 3 / ipv4") == "东村 3 / ipv4"


@given(st.text())
def test_json_reads_back_as_it_was_and_holds_no_control(text: str) -> None:
    written = json_text({text: [text]})
    assert _harmless(written) and json.loads(written) == {text: [text]}


@given(st.text(max_size=40), st.integers(1, 30))
def test_clipped_text_fits(text: str, columns: int) -> None:
    assert width(clipped(text, columns)) <= columns


@given(st.lists(st.tuples(st.text(max_size=8), st.integers()), max_size=4))
def test_a_table_has_one_line_for_each_row_whatever_the_cells_hold(rows: list[tuple[str, int]]) -> None:
    assert len(table(("a", "b"), rows).split("\n")) == 1 + len(rows)


def test_times_that_no_calendar_has_are_shown_all_the_same() -> None:
    assert instant(None) == "-" and instant(2**62).endswith(" ms")


@given(st.text(max_size=60), _LEAVES, st.binary(max_size=200))
def test_random_bytes_under_any_topic_make_one_harmless_line(site: str, leaf: str, payload: bytes) -> None:
    for topic in (f"sk/v1/a/{site}/{leaf}", site, f"sk/v1/a/s1/{leaf}"):
        shown = tail.line(topic, payload, retained=True, received_ms=0)
        assert _harmless(shown) and _harmless(tail.raw_line(topic, payload, retained=False, received_ms=0))


@given(reports())
def test_every_report_makes_one_harmless_line_of_bounded_length(report: Report) -> None:
    shown = tail.line("sk/v1/a/s1/report", codec.encode_report(report), retained=False, received_ms=0)
    assert _harmless(shown) and len(shown) <= tail.MAX_LINE
    assert f"report {report.header.number} " in shown


def test_every_kind_of_message_is_told_in_words() -> None:
    evil = "\x1b[2J"
    cases: dict[str, tuple[codec.Small, str]] = {
        "receipt": (
            Receipt(1, 2, 3, 4, 5, runs=[RunReceipt(3, 10, [(12, 14)])], complete=True, tickets=[evil]),
            "answers report 4 of 0000000000000003 (complete): 0000000000000003 through 10 and 12-14",
        ),
        "status": (Status(1, Presence.LOST, 3, 7, evil), "by the broker: run 0000000000000003 connection 7"),
        "command": (Command(1, "id", CommandName.TRACE, 1, 2, {"to": evil}), '"trace"'),
        "result": (Result(1, "id", CommandName.TRACE, ResultState.DONE, 1, text=evil), '"done"'),
    }
    for leaf, (message, said) in cases.items():
        shown = tail.line(f"sk/v1/a/s1/{leaf}", codec.encode(message), retained=False, received_ms=0)
        assert said in shown and _harmless(shown) and "\\x1b[2J" in shown.replace("\\\\", "\\").replace("u001b", "x1b")
    assert "cleared" in tail.line("sk/v1/a/s1/status", b"", retained=True, received_ms=0)


def test_colour_is_put_around_a_line_and_nowhere_else() -> None:
    plain = tail.line("sk/v1/a/s1/status", b"", retained=True, received_ms=0)
    coloured = tail.line("sk/v1/a/s1/status", b"", retained=True, received_ms=0, colour=True)
    assert coloured == f"\x1b[35m{plain}\x1b[0m"
