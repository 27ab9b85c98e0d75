"""Losses and jitter of RTP, continuity of MPEG-TS, and that no bytes are taken for either."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_agent.probes.rtp import RtpEar, TsEar, ear_of, parse


def packet(sequence: int, timestamp: int = 0, *, source: int = 7, kind: int = 33, payload: bytes = b"x" * 20) -> bytes:
    head = bytes((0x80, kind)) + (sequence & 0xFFFF).to_bytes(2, "big")
    return head + (timestamp & 0xFFFFFFFF).to_bytes(4, "big") + source.to_bytes(4, "big") + payload


def ts(pid: int, counter: int, *, payload: bool = True, broken: bool = False) -> bytes:
    control = (0x10 if payload else 0) | (0x20 if broken or not payload else 0) | counter & 0x0F
    rest = bytes((183 if not payload else 7, 0x80 if broken else 0)) if broken or not payload else b""
    return (bytes((0x47, pid >> 8, pid & 0xFF, control)) + rest).ljust(188, b"\xff")


def heard_of(sequences: list[int]) -> tuple[int, int]:
    ear = RtpEar()
    for at, sequence in enumerate(sequences):
        ear.take(packet(sequence), at / 100)
    return ear.heard.packets, ear.heard.lost


@pytest.mark.parametrize(
    ("sequences", "expected"),
    [
        ([1, 2, 3], (3, 0)),
        ([65534, 65535, 0, 1], (4, 0)),
        ([1, 2, 5, 6], (4, 2)),
        ([1, 3, 2, 4], (4, 0)),
        ([1, 1, 2, 2], (2, 0)),
        ([1, 2, 40_000, 40_001], (4, 0)),
        ([], (0, 0)),
    ],
    ids=["whole", "around", "two-missing", "swapped", "twice", "begun-anew", "nothing"],
)
def test_what_is_missing_between_sequence_numbers_is_lost(sequences: list[int], expected: tuple[int, int]) -> None:
    assert heard_of(sequences) == expected


@given(st.integers(0, 65535), st.sets(st.integers(1, 198), max_size=60))
def test_so_many_are_lost_as_were_left_out_wherever_the_numbers_begin(first: int, left_out: set[int]) -> None:
    sequences = [first + at for at in range(200) if at not in left_out]
    assert heard_of(sequences) == (200 - len(left_out), len(left_out))


@given(st.lists(st.integers(0, 65535), max_size=100))
def test_no_order_of_numbers_makes_a_share_that_is_none(sequences: list[int]) -> None:
    ear = RtpEar()
    for sequence in sequences:
        ear.take(packet(sequence), 0.0)
    assert 0 <= ear.heard.loss_ratio <= 1 and ear.heard.lost >= 0


def test_jitter_is_that_of_rfc_3550() -> None:
    ear = RtpEar()
    for at in range(400):
        ear.take(packet(at, at * 3600), at * 0.040)
    assert ear.heard.jitter_ms == pytest.approx(0.0, abs=0.001)
    ear = RtpEar()
    for at in range(400):  # every second one comes 8 ms late: each differs by 8 ms from the one before
        ear.take(packet(at, at * 3600), at * 0.040 + (0.008 if at % 2 else 0.0))
    assert ear.heard.jitter_ms == pytest.approx(8.0, abs=0.01)


def test_without_a_known_clock_there_is_no_jitter_and_the_description_may_name_it() -> None:
    for given_hz, known in ((0, False), (48_000, True)):
        ear = RtpEar(given_hz)
        for at in range(3):
            ear.take(packet(at, at, kind=96), float(at))
        assert (ear.heard.jitter_ms is not None) is known


def test_another_source_on_the_same_port_counts_for_nothing() -> None:
    ear = RtpEar()
    for at in range(10):
        ear.take(packet(at), 0.0)
        ear.take(packet(at * 50, source=8), 0.0)
    assert (ear.heard.packets, ear.heard.lost) == (10, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80" * 12,
        packet(1, payload=b""),
        b"\x40" + packet(1)[1:],
        b"\x8f" + packet(1)[1:],
        b"\x90" + packet(1)[1:12] + b"\0\0\xff\xff",
        b"\xa0" + packet(1)[1:-1] + b"\xff",
    ],
)
def test_what_is_no_packet_is_none(data: bytes) -> None:
    assert parse(data) is None


@given(st.lists(st.binary(max_size=400), max_size=20))
def test_any_datagrams_are_counted_in_bytes_and_do_no_harm(datagrams: list[bytes]) -> None:
    for ear in (RtpEar(), TsEar(), ear_of(datagrams[0] if datagrams else b"")):
        for datagram in datagrams:
            ear.take(datagram, 0.0)
        assert ear.heard.taken_bytes == sum(map(len, datagrams))
        assert 0 <= ear.heard.loss_ratio <= 1


def ts_heard(*packets: bytes) -> tuple[int, int]:
    ear = TsEar()
    ear.take(b"".join(packets), 0.0)
    return ear.heard.packets, ear.heard.lost


def test_continuity_counters_tell_what_is_missing_of_each_pid() -> None:
    assert ts_heard(*(ts(256, at) for at in range(40))) == (40, 0)
    assert ts_heard(ts(256, 1), ts(257, 9), ts(256, 4), ts(257, 10)) == (4, 2)
    assert ts_heard(ts(256, 1), ts(256, 1), ts(256, 2)) == (3, 0), "one may be sent twice"
    assert ts_heard(ts(256, 1), ts(256, 1, payload=False), ts(256, 2)) == (3, 0), "without payload it does not count on"
    assert ts_heard(ts(256, 1), ts(256, 9, broken=True), ts(256, 10)) == (3, 0), "the sender says so"
    assert ts_heard(ts(0x1FFF, 1), ts(0x1FFF, 9)) == (0, 0), "filling"


def test_the_first_datagram_says_what_a_stream_is() -> None:
    assert isinstance(ear_of(ts(256, 0) * 7), TsEar)
    assert isinstance(ear_of(packet(1, payload=ts(256, 0) * 7)), RtpEar)
    assert isinstance(ear_of(b"G" * 100), RtpEar)
