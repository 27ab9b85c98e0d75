"""Lines say what the values say, whatever names a site sends, and are the same to the byte when made again."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sitekeeper_collector.domain.detection import Episode
from sitekeeper_collector.domain.ledger import Segment, Source, Was
from sitekeeper_collector.domain.tickets import Ticket, TicketState
from sitekeeper_collector.series import schema
from sitekeeper_collector.series.lines import (
    MAX_TAG,
    MAX_TEXT,
    Targets,
    Value,
    Whereabouts,
    collector_line,
    fault_line,
    ledger_lines,
    plain,
    point,
    sample_lines,
    tag_text,
    ticket_line,
)
from sitekeeper_protocol.codec import encode_report, open_report
from sitekeeper_protocol.messages import Report, Sample, SeriesKey
from sitekeeper_protocol.opened import OpenedReport
from sitekeeper_protocol.vocabulary import Grade, Kind, Metric, Party, Severity, from_wire
from support.line_protocol import parse
from support.wire_values import reports, typical_report

Values = dict[SeriesKey, int]

HERE = Whereabouts("v1", "Anxi county", "East, town", "olt=1")
AT = 1_800_000_000_000
NASTY = st.text(alphabet=st.one_of(st.sampled_from('\\,= "\n\r\t\x00#\u2028\x85\ud800'), st.characters()), max_size=40)


def _values(form: schema.Form) -> st.SearchStrategy[Value]:
    match form:
        case schema.Form.FLOAT:
            return st.floats()
        case schema.Form.INTEGER:
            return st.integers(-(2**64), 2**64)
        case schema.Form.BOOLEAN:
            return st.booleans()
        case schema.Form.TEXT:
            return NASTY


@st.composite
def points(draw: st.DrawFn) -> tuple[schema.Measurement, dict[str, str], dict[str, Value], int]:
    measurement = draw(st.sampled_from(schema.MEASUREMENTS))
    tags = draw(st.fixed_dictionaries({}, optional=dict.fromkeys(measurement.tags, NASTY)))
    forms = measurement.forms()
    fields = draw(st.fixed_dictionaries({}, optional={name: st.none() | _values(form) for name, form in forms.items()}))
    return measurement, tags, fields, draw(st.integers(1, 2**62))


def _kept(form: schema.Form, value: Any, amended: bool) -> Any:
    """What a store should hold of ``value``."""
    empty: Any = {"float": 0.0, "integer": 0, "boolean": False, "text": ""}[form.value] if amended else None
    if value is None or (form is schema.Form.FLOAT and not math.isfinite(value)):
        return empty
    if form is schema.Form.INTEGER and not -(2**63) <= value < 2**63:
        return empty
    return plain(value, MAX_TEXT) if form is schema.Form.TEXT else value


@given(points())
def test_a_line_is_read_back_as_what_was_written(
    given: tuple[schema.Measurement, dict[str, str], dict[str, Value], int],
) -> None:
    measurement, tags, fields, time_ns = given
    line = point(measurement, tags, fields, time_ns)
    expected = {
        name: value
        for name, form in measurement.forms().items()
        if (value := _kept(form, fields.get(name), measurement.amended)) is not None
    }
    if line is None:
        assert expected == {}
        return
    assert b"\n" not in line and len(line.decode().splitlines()) == 1
    read = parse(line)
    assert (read.measurement, read.fields, read.time_ns) == (measurement.name, expected, time_ns)
    assert read.tags == {name: text for name, value in tags.items() if (text := tag_text(value))}
    assert point(measurement, dict(reversed(tags.items())), dict(reversed(fields.items())), time_ns) == line


def test_a_quotation_mark_in_a_tag_is_a_character_like_any_other() -> None:
    line = point(schema.SITE, {"site": '"', "county": 'a "b'}, {"cpu_ratio": 0.5}, 7)
    assert line == b'site,county=a\\ "b,site=" cpu_ratio=0.5 7'
    assert parse(line).tags == {"site": '"', "county": 'a "b'}


@given(NASTY)
def test_names_are_bounded_and_hold_nothing_that_ends_a_line(text: str) -> None:
    kept = tag_text(text * 20)
    assert len(kept) <= MAX_TAG and len((kept or "x").splitlines()) == 1 and "\\" not in kept
    kept.encode()


def test_a_field_or_tag_that_the_schema_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="no such tag or field"):
        point(schema.SITE, {"site": "v1"}, {"cpu": 1.0}, 1)
    with pytest.raises(ValueError, match="no such tag or field"):
        point(schema.LEDGER, {"county": "x"}, {"void": True}, 1)


@pytest.mark.parametrize("time_ns", [0, -1, 2**63])
def test_a_time_that_no_store_can_keep_makes_no_line(time_ns: int) -> None:
    assert point(schema.SITE, {"site": "v1"}, {"cpu_ratio": 1.0}, time_ns) is None


# --- samples -----------------------------------------------------------------------------------------------------------


def _report(*values: Values) -> OpenedReport:
    samples = tuple(
        Sample(sequence=101 + at, wall_ms=AT, boottime_ms=1000 * at, values=value) for at, value in enumerate(values)
    )
    return open_report(encode_report(typical_report(len(values), samples=samples)))


def _lines(*values: Values, targets: Targets | None = None) -> list[bytes]:
    placed_ms = [AT + 1000 * at for at in range(len(values))]
    return sample_lines(HERE, _report(*values), placed_ms, targets or Targets())


def test_samples_become_a_point_for_the_site_and_one_for_each_target() -> None:
    values: Values = {
        (Metric.CPU_RATIO, ""): 25,
        (Metric.RUNG_STATE, "ipv4/dns"): 2,
        (Metric.RUNG_RTT_MS, "ipv4/dns"): 132,
        (Metric.DISK_FREE_BYTES, "C:\\"): 3,
    }
    where = b"access_node=olt\\=1,county=Anxi\\ county,site=v1"
    assert _lines(values) == [
        b"rung," + where + b",target=ipv4/dns,township=East\\,\\ town state=2,rtt_ms=13.2 1800000000000000000",
        b"site," + where + b",township=East\\,\\ town cpu_ratio=0.25 1800000000000000000",
        b"target," + where + b",target=C:/,township=East\\,\\ town disk_free_bytes=3145728 1800000000000000000",
    ]


@given(reports())
def test_every_value_of_every_sample_is_in_the_lines_and_nothing_else(report: Report) -> None:
    opened = open_report(encode_report(report))
    placed_ms = [AT + at for at in range(len(report.samples))]
    expected: dict[tuple[str, str, int, str], float] = {}
    for at, sample in enumerate(opened.samples()):
        for (code, instance), integer in sorted(sample.values.items()):
            place, target = schema.PLACES.get(code), tag_text(instance)
            if place is not None and ("target" in place.measurement.tags) == bool(target):
                expected[place.measurement.name, target, AT + at, place.field] = from_wire(code, integer)
    found: dict[tuple[str, str, int, str], float] = {}
    lines = sample_lines(HERE, opened, placed_ms, Targets(most=10_000))
    for line in map(parse, lines):
        for field, value in line.fields.items():
            assert isinstance(value, float)
            found[line.measurement, line.tags.get("target", ""), line.time_ns // 1_000_000, field] = value
    assert found == expected
    assert lines == sample_lines(HERE, opened, placed_ms, Targets(most=10_000))


def test_a_sample_makes_the_same_line_in_whatever_report_it_comes() -> None:
    first: Values = {(Metric.CPU_RATIO, ""): 25, (Metric.PROCESSES, ""): 90}
    second: Values = {(Metric.PROCESSES, ""): 91}
    placed = Targets()
    alone = sample_lines(HERE, _report(second), [AT + 1000], placed)
    assert alone[0] in _lines(first, second)


def test_a_sample_without_a_time_is_left_out_and_a_metric_of_a_newer_agent_too() -> None:
    report = _report({(Metric.CPU_RATIO, ""): 1}, {(Metric.CPU_RATIO, ""): 2, (9999, ""): 5})
    assert [parse(line).fields for line in sample_lines(HERE, report, [None, AT], Targets())] == [{"cpu_ratio": 0.02}]


def test_a_site_can_make_no_more_than_its_share_of_series_and_keeps_those_that_it_has() -> None:
    targets = Targets(most=3)
    for at in range(50):
        _lines({(Metric.PLAYER_STALLS, f"player {at}"): 1}, targets=targets)
    again = _lines({(Metric.PLAYER_STALLS, f"player {at}"): 1 for at in range(50)}, targets=targets)
    assert [parse(line).tags["target"] for line in again] == ["player 0", "player 1", "player 2"]


# --- points that may be amended ----------------------------------------------------------------------------------------


def _seconds(points: list[bytes], was: Was) -> float:
    """What a panel would add up from a store that overwrites, even if it forgot to look at ``void``."""
    held = {(line.measurement, line.tags["site"], line.time_ns): line.fields for line in map(parse, points)}
    return sum(float(fields["duration_s"]) for fields in held.values() if fields["was"] == was)


def test_an_amended_outage_never_counts_twice() -> None:
    up, out = Segment(AT, AT + 60_000, Was.UP, Source.SITE), Segment(AT + 60_000, AT + 180_000, Was.LINE, Source.CENTRE)
    earlier, longer = up._replace(to_ms=AT + 30_000), out._replace(from_ms=AT + 30_000, source=Source.SITE)
    written = ledger_lines(HERE, [], [up, out])
    assert _seconds(written, Was.LINE) == 120
    written += ledger_lines(HERE, [up, out], [earlier, longer])
    assert _seconds(written, Was.LINE) == 150 and _seconds(written, Was.UP) == 30
    written += ledger_lines(HERE, [earlier, longer], [up._replace(to_ms=AT + 180_000)])
    assert _seconds(written, Was.LINE) == 0 and _seconds(written, Was.UP) == 180
    void = [line for line in map(parse, written) if line.fields["void"]]
    assert [line.time_ns for line in void] == [(AT + 60_000) * 10**6, (AT + 30_000) * 10**6]


def test_what_has_not_changed_is_not_written_again() -> None:
    up = Segment(AT, AT + 60_000, Was.UP, Source.SITE)
    assert ledger_lines(HERE, [up], [up]) == []


def test_a_fault_keeps_its_point_when_its_start_is_amended_and_two_that_begin_together_stay_two() -> None:
    line = Episode(kind=Kind.LINE_DOWN, started_ms=AT, opened_ms=AT, bad_ms=AT, ended_ms=AT + 5000, party=Party.TELECOM)
    names = Episode(kind=Kind.DNS_FAILURE, started_ms=AT, opened_ms=AT, bad_ms=AT)
    first, other = fault_line(HERE, line, recorded_ms=AT), fault_line(HERE, names, recorded_ms=AT)
    assert first is not None and other is not None
    assert parse(first).fields["duration_s"] == 5 and parse(other).fields["lasting"] is True
    assert parse(first).time_ns != parse(other).time_ns
    moved = Episode(kind=Kind.LINE_DOWN, started_ms=AT - 9000, opened_ms=AT, bad_ms=AT, ended_ms=AT + 5000)
    amended = fault_line(HERE, moved, recorded_ms=AT)
    assert amended is not None and parse(amended).time_ns == parse(first).time_ns
    assert parse(amended).fields["duration_s"] == 14 and parse(amended).fields["party"] == ""


def test_a_ticket_that_is_open_again_overwrites_what_it_said_when_it_was_resolved() -> None:
    resolved = Ticket(
        number="20260101-0001",
        site="v1",
        kind=Kind.LINE_DOWN,
        party=Party.TELECOM,
        grade=Grade.PROVEN,
        severity=Severity.CRITICAL,
        state=TicketState.RESOLVED,
        opened_ms=AT,
        changed_ms=AT,
        outage_from_ms=AT - 1000,
        outage_to_ms=AT + 4000,
        resolved_ms=AT + 4000,
    )
    again = replace(resolved, state=TicketState.OPEN, outage_to_ms=None, resolved_ms=None)
    before, after = ticket_line(HERE, resolved), ticket_line(HERE, again)
    assert before is not None and after is not None
    assert parse(before).fields["outage_s"] == 5 and parse(before).fields["resolved_ms"] == AT + 4000
    held = parse(before).fields | parse(after).fields
    assert (held["outage_s"], held["resolved_ms"], held["outage_to_ms"], held["state"]) == (0, 0, 0, "open")
    assert parse(before)[:2] == parse(after)[:2] and parse(before).time_ns == parse(after).time_ns


def test_the_collector_tells_its_own_health() -> None:
    assert collector_line("ingest 1", {"reports": 5, "lag_s": 0.25}, AT) == (
        b"collector,target=ingest\\ 1 reports=5,lag_s=0.25 1800000000000000000"
    )
