"""docs/protocol.md says what the code does: every field, number, unit, limit and topic."""

import re
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sitekeeper_protocol import codec, columns, messages, sitecode, topics, vocabulary
from sitekeeper_protocol.topics import Leaf
from support import wire_tables

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
Row = tuple[str, ...]


def section(title: str) -> str:
    """What stands between the heading ``title`` and the next heading."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/protocol.md has no section {title!r}"
    return found[1]


def rows(text: str, first: str) -> list[Row]:
    """The rows of the table whose first column is called ``first``, without the marks of code."""
    lines = text.splitlines()
    start = next((at for at, line in enumerate(lines) if line.startswith(f"| {first} |")), None)
    assert start is not None, f"no table with a column {first!r}"
    cells = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells.append(tuple(cell.strip().strip("`") for cell in line.strip("|").split("|")))
    return cells


STRUCTS: dict[str, type[msgspec.Struct]] = {
    "Report header": codec._Frame,
    "Report body": codec._Body,
    "Status": messages.Status,
    "Receipt": messages.Receipt,
    "RunReceipt": messages.RunReceipt,
    "Configuration": messages.RemoteConfig,
    "Commands": messages.Command,
    "Result": messages.Result,
    "Clock": messages.Clock,
    "Drop": messages.Drop,
    "VerdictEvent": messages.VerdictEvent,
    "EvidenceItem": messages.EvidenceItem,
    "PlaybackEventRecord": messages.PlaybackEventRecord,
    "PowerEventRecord": messages.PowerEventRecord,
    "SettingsEvent": messages.SettingsEvent,
    "ButtonEvent": messages.ButtonEvent,
}


@pytest.mark.parametrize("title", STRUCTS)
def test_every_field_is_documented_in_its_order_with_type_and_bounds(title: str) -> None:
    described = rows(section(title), "field")
    assert [row[:2] for row in described] == wire_tables.fields(STRUCTS[title])
    assert all(len(row) == 3 and row[2] for row in described)


def test_every_struct_that_crosses_the_wire_is_documented() -> None:
    on_the_wire = {
        value
        for module in (codec, messages)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__struct_config__.array_like
    }
    # The header alone is a part of the frame; the others are ways to look at bytes, or never leave the machine.
    parts = {codec._WireHeader, codec._AnyVersion, codec._AnyEvent, codec._StoredSample, codec._CalmBody}
    assert on_the_wire - parts == set(STRUCTS.values())


NUMBERED = [
    vocabulary.Rung,
    vocabulary.State,
    vocabulary.Reason,
    vocabulary.Method,
    vocabulary.PlayerState,
    vocabulary.SmartState,
]


@pytest.mark.parametrize("enum", NUMBERED)
def test_every_number_is_documented_with_its_names(enum: type[Enum]) -> None:
    assert rows(section(enum.__name__), "number") == wire_tables.words(enum)


def test_every_severity_is_documented_with_its_names() -> None:
    assert rows(section("Severity"), "word") == wire_tables.words(vocabulary.Severity)


@pytest.mark.parametrize(
    ("enum", "numbers"),
    [(vocabulary.Party, vocabulary.PARTY_NUMBERS), (vocabulary.Grade, vocabulary.GRADE_NUMBERS)],
)
def test_every_party_and_grade_is_documented_with_number_and_names(enum: type[Enum], numbers: dict[Any, int]) -> None:
    assert rows(section(enum.__name__), "word") == wire_tables.numbered_words(enum, numbers)


def test_every_kind_is_documented() -> None:
    assert rows(section("Kind"), "kind") == wire_tables.kinds()


def test_every_metric_is_documented_with_number_unit_and_step() -> None:
    assert rows(section("Metrics"), "number") == wire_tables.metrics()


def test_every_watched_setting_is_documented_with_its_names() -> None:
    assert rows(section("Setting"), "word") == wire_tables.words(vocabulary.Setting)


def test_every_reason_to_drop_is_documented() -> None:
    assert rows(section("Drop"), "number") == wire_tables.words(messages.DropReason)


@pytest.mark.parametrize(
    "enum",
    [
        messages.PlaybackEvent,
        messages.PowerEvent,
        messages.StopReason,
        messages.Presence,
        messages.CommandName,
        messages.ResultState,
    ],
)
def test_every_further_word_is_listed(enum: type[Enum]) -> None:
    found = re.search(rf"`{enum.__name__}`: ((?:`\w+`(?:, )?)+)\.", PAGE)
    assert found, f"`{enum.__name__}` is not listed"
    assert re.findall(r"`(\w+)`", found[1]) == [str(member.value) for member in enum]


def test_no_enumeration_of_the_protocol_is_forgotten() -> None:
    known = {
        value
        for module in (messages, vocabulary)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Enum) and value.__module__ == module.__name__
    }
    named = {name for pair in re.findall(r"`(\w+)`|^### (\w+)$", PAGE, re.MULTILINE) for name in pair}
    assert {enum.__name__ for enum in known} - {"Metric"} <= named


def test_every_event_is_documented_with_its_tag() -> None:
    tags = {str(event.__struct_config__.tag): event.__name__ for event in codec._KnownEvent.__args__}
    assert {row[0]: row[1] for row in rows(section("Events"), "tag")} == tags


def test_every_limit_is_documented() -> None:
    limits = {
        name: str(value) for module in (columns, codec) for name, value in vars(module).items() if name.startswith("MAX_")
    }
    assert {row[0]: row[1] for row in rows(section("Limits"), "limit")} == limits


def test_every_topic_is_documented() -> None:
    documented = [row[0] for row in rows(section("Transport"), "topic")]
    expected = [topics.topic("area", "site", leaf).replace("area", "{area}").replace("/site/", "/{site}/") for leaf in Leaf]
    assert documented == expected
    for leaf, row in zip(Leaf, rows(section("Transport"), "topic"), strict=True):
        assert row[1].startswith("agent" if leaf in topics.FROM_AGENT else "collector")


def test_every_code_of_refusal_is_documented() -> None:
    raised = set()
    for path in Path(codec.__file__).parent.glob("*.py"):
        raised |= set(re.findall(r'ProtocolError\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
    line = re.search(r"Codes of refusal: (.*?)\.$", PAGE, re.MULTILINE | re.DOTALL)
    assert line
    assert set(re.findall(r"`(\w+)`", line[1])) == raised


def test_every_step_of_the_phone_code_is_documented() -> None:
    described = [
        (str(step.value), _or_dash(step.least_minutes), _or_dash(step.below_minutes), *sitecode.LASTING[step])
        for step in sitecode.Lasting
    ]
    assert rows(section("Lasting"), "number") == described
    assert rows(section("Refusal"), "code") == [(str(code), *sitecode.REFUSALS[code]) for code in sitecode.Refusal]


def test_the_layout_of_the_phone_code_is_documented() -> None:
    text = section("Phone code")
    assert f"slot * {sitecode.DURATIONS} + lasting" in text and f"seen * {sitecode.BINDINGS} + fingerprint" in text
    ranges = {row[0]: row[1] for row in rows(text, "part")}
    assert ranges["slot"] == f"0 to {sitecode.SLOTS - 1}"
    assert ranges["fingerprint"] == f"0 to {sitecode.BINDINGS - 1}"


def _or_dash(minutes: int | None) -> str:
    return "–" if minutes is None else str(minutes)
