"""What a few seconds of RTP (RFC 3550) or raw MPEG-TS (ISO/IEC 13818-1) tell: packets, losses, jitter. Pure."""

from typing import NamedTuple

TS_CLOCK_HZ = 90_000
_TS_PACKET, _SYNC, _NULL_PID = 188, 0x47, 0x1FFF
_MOST_PIDS = 64
_MAX_DROPOUT, _MAX_MISORDER = 3000, 100
"""RFC 3550, appendix A.1: a greater step forward or back is another stream, no loss."""
CLOCKS_HZ = {0: 8000, 3: 8000, 8: 8000, 14: 90_000, 26: 90_000, 31: 90_000, 32: 90_000, 33: 90_000, 34: 90_000}
"""Clock rates of the payload types that have a fixed one (RFC 3551, section 6)."""


class Heard(NamedTuple):
    """What came in: bytes on the wire, packets that count, those that are missing, jitter where the clock is known."""

    taken_bytes: int
    packets: int
    lost: int
    jitter_ms: float | None = None

    @property
    def loss_ratio(self) -> float:
        """Share of what was sent that did not come."""
        return self.lost / (self.packets + self.lost) if self.packets else 0.0


class Header(NamedTuple):
    """The fields of an RTP header that count here."""

    kind: int
    sequence: int
    timestamp: int
    source: int


def parse(packet: bytes) -> Header | None:
    """The header of an RTP packet with something in it; ``None`` for any other bytes (RFC 3550, section 5.1)."""
    if len(packet) < 13 or packet[0] >> 6 != 2:
        return None
    start = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        if len(packet) < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    padding = packet[-1] if packet[0] & 0x20 else 0
    if start + padding >= len(packet):
        return None
    numbers = (int.from_bytes(packet[first:last], "big") for first, last in ((2, 4), (4, 8), (8, 12)))
    return Header(packet[1] & 0x7F, *numbers)


class RtpEar:
    """Counts one RTP source: that of the first packet. ``clock_hz`` 0: as the payload type has it, or unknown."""

    def __init__(self, clock_hz: int = 0) -> None:
        self._clock_hz = clock_hz
        self._first: Header | None = None
        self._highest = self._base = 0
        self._taken = self._packets = self._lost = 0
        self._transit: float | None = None
        self._jitter: float | None = None

    def take(self, packet: bytes, at_s: float) -> None:
        """A packet that came in at ``at_s`` of any steady clock."""
        self._taken += len(packet)
        header = parse(packet)
        if header is None or (self._first is not None and header.source != self._first.source):
            return
        if self._first is None:
            self._first = header
            self._base = self._highest = header.sequence
            self._clock_hz = self._clock_hz or CLOCKS_HZ.get(header.kind, 0)
        elif not self._ordered(header.sequence):
            return
        self._packets += 1
        self._jitter_of(header, at_s)

    def _ordered(self, sequence: int) -> bool:
        """Whether the packet belongs to the series; a jump is a series of its own, and what came before it stays counted."""
        step = (sequence - self._highest) & 0xFFFF
        if step == 0:
            return False  # the same one twice
        if step < _MAX_DROPOUT:
            self._lost += step - 1
            self._highest = sequence
        elif step <= 0x10000 - _MAX_MISORDER:
            self._highest = sequence
        elif self._lost:
            self._lost -= 1  # late, but here
        else:
            return False
        return True

    def _jitter_of(self, header: Header, at_s: float) -> None:
        """RFC 3550, section 6.4.1 and appendix A.8."""
        if not self._clock_hz:
            return
        transit = at_s * self._clock_hz - header.timestamp
        if self._transit is not None:
            change = abs(transit - self._transit)
            if change < 2**31:  # else the timestamp began anew
                self._jitter = (self._jitter or 0.0) + (change - (self._jitter or 0.0)) / 16
        self._transit = transit

    @property
    def heard(self) -> Heard:
        """So far."""
        jitter_ms = None if self._jitter is None else self._jitter * 1000 / self._clock_hz
        return Heard(self._taken, self._packets, self._lost, jitter_ms)


class TsEar:
    """Counts MPEG-TS packets, and by the continuity counter of each PID those that are missing, up to 15 in a row."""

    def __init__(self) -> None:
        self._counters: dict[int, int] = {}
        self._taken = self._packets = self._lost = 0

    def take(self, datagram: bytes, _at_s: float) -> None:
        """A datagram of whole packets."""
        self._taken += len(datagram)
        for start in range(0, len(datagram) - _TS_PACKET + 1, _TS_PACKET):
            if datagram[start] == _SYNC:
                self._packet(datagram[start : start + _TS_PACKET])

    def _packet(self, packet: bytes) -> None:
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        if pid == _NULL_PID:
            return
        self._packets += 1
        adaptation, payload, counter = packet[3] & 0x20, packet[3] & 0x10, packet[3] & 0x0F
        broken = bool(adaptation) and packet[4] > 0 and bool(packet[5] & 0x80)  # the sender says so: discontinuity_indicator
        before = self._counters.get(pid)
        if payload and before is not None and not broken:
            # A packet may be sent twice, with the same counter.
            self._lost += (counter - before - 1) & 0x0F if counter != before else 0
        if before is not None or len(self._counters) < _MOST_PIDS:
            self._counters[pid] = counter

    @property
    def heard(self) -> Heard:
        """So far."""
        return Heard(self._taken, self._packets, self._lost)


Ear = RtpEar | TsEar


def ear_of(datagram: bytes) -> Ear:
    """What fits the first datagram of a stream that may be either."""
    plain = len(datagram) >= _TS_PACKET and len(datagram) % _TS_PACKET == 0 and datagram[0] == _SYNC
    return TsEar() if plain else RtpEar()
