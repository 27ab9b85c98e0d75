"""What goes into the codec comes out again, whatever it is."""

import json
import random
import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sitekeeper_protocol import WIRE_VERSION, codec
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.messages import (
    Command,
    Drop,
    Presence,
    Receipt,
    RemoteConfig,
    Report,
    Result,
    Sample,
    Status,
    UnknownEvent,
)
from support import wire_values as wire
from support.wire_values import typical_report


@given(wire.reports())
def test_a_report_comes_back_as_it_went(report: Report) -> None:
    assert codec.decode_report(codec.encode_report(report)) == report


@given(wire.reports())
def test_the_header_can_be_read_without_the_body(report: Report) -> None:
    assert codec.decode_header(codec.encode_report(report)) == report.header


@given(wire.reports())
def test_a_report_has_one_form_in_bytes(report: Report) -> None:
    """Encoding what was decoded gives the same bytes: a report sent again is compared and measured by them."""
    payload = codec.encode_report(report)
    assert codec.encode_report(codec.decode_report(payload)) == payload


@given(wire.samples(first=5).filter(bool))
def test_a_packed_sample_comes_back_as_it_went(samples: tuple[Sample, ...]) -> None:
    for sample in samples:
        again = codec.unpack_sample(
            codec.pack_sample(sample), sequence=sample.sequence, wall_ms=sample.wall_ms, boottime_ms=sample.boottime_ms
        )
        assert again == sample


@given(wire.statuses)
def test_a_status_comes_back_as_it_went(message: Status) -> None:
    assert codec.decode_status(codec.encode(message)) == message


@given(wire.receipts)
def test_a_receipt_comes_back_as_it_went(message: Receipt) -> None:
    assert codec.decode_receipt(codec.encode(message)) == message


@given(wire.configs)
def test_a_configuration_comes_back_as_it_went(message: RemoteConfig) -> None:
    assert codec.decode_config(codec.encode(message)) == message


@given(wire.commands)
def test_a_command_comes_back_as_it_went(message: Command) -> None:
    assert codec.decode_command(codec.encode(message)) == message


@given(wire.results)
def test_a_result_comes_back_as_it_went(message: Result) -> None:
    assert codec.decode_result(codec.encode(message)) == message


@given(wire.reports() | wire.statuses | wire.receipts | wire.configs | wire.commands | wire.results)
def test_every_message_can_be_shown_as_json(message: object) -> None:
    shown = json.loads(json.dumps(codec.to_builtins(message)))
    assert shown["what"] == type(message).__name__


def test_the_largest_reports_that_are_allowed_come_back() -> None:
    """1000 samples of 256 series, and 2000 events."""
    values = {(1 + at, f"series {at}"): at for at in range(codec.MAX_SERIES)}
    event = UnknownEvent(9, msgspec.msgpack.encode([9]))
    first = typical_report().header.first
    samples = tuple(
        Sample(sequence=first + at, wall_ms=at, boottime_ms=at, values=values, events=(event, event))
        for at in range(codec.MAX_SAMPLES)
    )
    report = typical_report(samples=samples, header=replace(typical_report().header, count=codec.MAX_SAMPLES))
    assert codec.decode_report(codec.encode_report(report)) == report


@given(wire.reports(), st.integers(2**54, 2**70) | st.integers(-(2**70), -(2**54)))
def test_the_encoder_refuses_a_value_that_no_decoder_accepts(report: Report, value: int) -> None:
    sample = Sample(sequence=report.header.first, wall_ms=0, boottime_ms=0, values={(1, ""): value})
    with pytest.raises(ProtocolError):
        codec.encode_report(replace(report, samples=(sample,), header=replace(report.header, count=1)))


def one_sample(**changes: object) -> Report:
    report = typical_report(1)
    return replace(report, samples=(replace(report.samples[0], **changes),))


TOO_MUCH = {
    "a metric beyond 16 bits": lambda: one_sample(values={(0x10000, ""): 1}),
    "metric 0": lambda: one_sample(values={(0, ""): 1}),
    "a long instance": lambda: one_sample(values={(1, "x" * 65): 1}),
    "too many series": lambda: one_sample(values={(1, str(at)): 1 for at in range(codec.MAX_SERIES + 1)}),
    "too many events": lambda: one_sample(events=(UnknownEvent(9, b"\x91\x09"),) * (codec.MAX_EVENTS + 1)),
    "too many facts": lambda: one_sample(facts={str(at): at for at in range(101)}),
    "a long fact": lambda: one_sample(facts={"os": "x" * 1001}),
    "a fact with a fraction": lambda: one_sample(facts={"load": 0.5}),
    "a fact that is no text": lambda: one_sample(facts={"host": "\udcff"}),
    "too many samples": lambda: typical_report(codec.MAX_SAMPLES + 1),
    "a reversed drop": lambda: typical_report(drops=(Drop(run=1, first=9, last=5, reason=1),)),
    "too many drops": lambda: typical_report(drops=(Drop(run=1, first=5, last=9, reason=1),) * 257),
    "run 0": lambda: typical_report(header=replace(typical_report().header, run=0)),
    "a run of 64 bits": lambda: typical_report(header=replace(typical_report().header, run=2**63)),
    "samples that are not counted": lambda: typical_report(header=replace(typical_report().header, count=4)),
    "samples from elsewhere": lambda: typical_report(header=replace(typical_report().header, first=7)),
    "boot 0": lambda: typical_report(boot=0, sent_boot=0),
    "a promise for next month": lambda: typical_report(next_within_s=30 * 86400),
    "more than a broker takes": lambda: typical_report(6, samples=tuple(incompressible_samples())),
}


def incompressible_samples() -> list[Sample]:
    letters = random.Random(1)
    return [
        replace(sample, facts={str(at): "".join(letters.choices(string.ascii_letters, k=900)) for at in range(90)})
        for sample in typical_report(6).samples
    ]


@pytest.mark.parametrize("what", TOO_MUCH)
def test_the_encoder_refuses_what_no_decoder_accepts(what: str) -> None:
    report = TOO_MUCH[what]()
    try:
        payload = codec.encode_report(report)
    except ProtocolError:
        return
    assert codec.decode_report(payload) == report, "encoded, but a decoder refuses it"


def test_a_report_of_five_samples_is_small() -> None:
    assert len(codec.encode_report(typical_report())) < 260


def test_the_site_check_is_the_crc_of_the_site_id() -> None:
    """The check value of CRC-32/ISO-HDLC (https://reveng.sourceforge.io/crc-catalogue/17plus.htm#crc.cat.crc-32-iso-hdlc)."""
    assert codec.site_check("123456789") == 0xCBF43926


def test_further_fields_of_a_newer_program_are_ignored() -> None:
    """Fields are only ever added at the end, so that old and new programs understand each other."""
    for message, decode in (
        (Status(WIRE_VERSION, Presence.ONLINE, 5, 1), codec.decode_status),
        (Receipt(WIRE_VERSION, 5, 0, 0, 1), codec.decode_receipt),
    ):
        longer = [*msgspec.msgpack.decode(codec.encode(message)), "something new", {"more": 1}]
        assert decode(msgspec.msgpack.encode(longer)) == message


def test_missing_fields_of_an_older_program_have_defaults() -> None:
    assert codec.decode_status(msgspec.msgpack.encode([1, "online", 5, 1])) == Status(1, Presence.ONLINE, 5, 1)


def test_an_event_of_a_newer_agent_is_kept_as_it_came() -> None:
    raw = msgspec.msgpack.encode([77, "gnawed", {"by": "mice"}])
    report = one_sample(events=(UnknownEvent(77, raw),))
    assert codec.decode_report(codec.encode_report(report)).samples[0].events == (UnknownEvent(77, raw),)


@given(wire.reports())
def test_an_opened_report_tells_the_same_as_a_decoded_one(report: Report) -> None:
    opened = codec.open_report(codec.encode_report(report))
    assert opened.report() == report
    assert opened.boottimes_ms == [sample.boottime_ms for sample in report.samples]
    assert set(opened.keys()) == {key for sample in report.samples for key in sample.values}
    for key in [*opened.keys(), (9999, "nowhere")]:
        expected = [sample.values.get(key) for sample in report.samples]
        assert opened.series(key) == expected
        assert [opened.value(key, at) for at in range(len(expected))] == expected


@pytest.mark.parametrize("value", [2**42, 2**42 + 1, 2**53, -(2**53)])
def test_values_beyond_what_most_reports_hold_are_read_all_the_same(value: int) -> None:
    report = one_sample(values={(1, ""): value, (2, "a"): 1})
    opened = codec.open_report(codec.encode_report(report))
    assert opened.series((1, "")) == [value] and opened.report() == report
