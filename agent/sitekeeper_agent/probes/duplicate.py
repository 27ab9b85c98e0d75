"""Does another machine use this PC's own address? An ARP probe (RFC 5227, section 2.1.1) where raw sockets are allowed."""

import select
import socket
import struct
import time

from sitekeeper_agent.probes.probe import left_s

_WAIT_S = 0.5
_ETHER_ARP = 0x0806
_REQUEST, _REPLY = 1, 2
_FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")


class NotAllowed(Exception):
    """No raw socket here: a lack of rights, or an interface that is no Ethernet."""


def other_owner(interface: str, address: str, deadline: float) -> str:
    """The MAC of another machine that answers for ``address`` (IPv4), or "". Raises ``NotAllowed``."""
    until = min(deadline, time.monotonic() + _WAIT_S)
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETHER_ARP)) as sock:
            sock.bind((interface, _ETHER_ARP))
            own = sock.getsockname()[4]
            if len(own) != 6 or not any(own):
                raise NotAllowed("no Ethernet")
            sock.send(request(own, address))
            while (left := left_s(until)) > 0 and select.select([sock], [], [], left)[0]:
                if other := answered_by(sock.recv(2048), own, address):
                    return other
    except (OSError, AttributeError) as err:  # Windows has no AF_PACKET
        raise NotAllowed(str(err)) from err
    return ""


def request(own: bytes, address: str) -> bytes:
    """The probe: who has ``address``? The sender names no address, so that nobody's table is changed by it."""
    wanted = socket.inet_aton(address)
    return _FRAME.pack(b"\xff" * 6, own, _ETHER_ARP, 1, 0x0800, 6, 4, _REQUEST, own, bytes(4), bytes(6), wanted)


def answered_by(frame: bytes, own: bytes, address: str) -> str:
    """The MAC of another machine that claims ``address`` in this frame, or ""."""
    if len(frame) < _FRAME.size:
        return ""
    _, _, kind, _, _, hardware, length, operation, sender, claimed, _, _ = _FRAME.unpack_from(frame)
    if (kind, hardware, length) != (_ETHER_ARP, 6, 4) or operation not in (_REQUEST, _REPLY) or sender == own:
        return ""
    return ":".join(f"{byte:02x}" for byte in sender) if claimed == socket.inet_aton(address) else ""
