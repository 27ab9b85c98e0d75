"""Devices in the site's own network: do they answer, or take a connection on their port?"""

import errno
import select
import socket
import time
from collections.abc import Iterable

from sitekeeper_agent.expectations import LanDevice
from sitekeeper_agent.platform import PlatformUnsupported, Roots, neighbour
from sitekeeper_agent.probes import icmp, tcp
from sitekeeper_agent.probes.probe import address_family, family_of, left_s, sockaddr
from sitekeeper_protocol.vocabulary import Method, Reason

_WAIT_S = 1.5
_ECHOES = 2
_OUR_OWN = {Reason.NO_ROUTE, Reason.NO_ADDRESS, Reason.NO_PERMISSION}
"""Reasons that say something of this PC and nothing of the device."""
_STARTED = {0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)}
_OWN_ERRORS = {
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.EADDRNOTAVAIL,
    errno.ENODEV,
    errno.ENXIO,
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
    errno.ENFILE,
    errno.EINVAL,
}


def present(devices: Iterable[LanDevice], deadline: float, roots: Roots) -> dict[str, bool]:
    """Whether each device, by its name, is there; none of those of which this PC can't tell. Takes 3.5 s at most."""
    usable = [device for device in devices if family_of(device.host)]
    found = _by_answer([d for d in usable if d.port is None], deadline, roots)
    found.update(_by_port([d for d in usable if d.port is not None], min(deadline, time.monotonic() + _WAIT_S)))
    return found


def _by_answer(devices: list[LanDevice], deadline: float, roots: Roots) -> dict[str, bool]:
    if not devices or left_s(deadline) <= 0:
        return {}
    found: dict[str, bool] = {}
    echoes = icmp.echo((d.host for d in devices), _ECHOES, deadline)
    mute = [d.host for d in devices if echoes[d.host].method == Method.NONE]
    answers = tcp.answers(mute, min(deadline, time.monotonic() + _WAIT_S))
    for device in devices:
        echo, answer = echoes[device.host], answers.get(device.host)
        there = bool(echo.received) or (answer is not None and answer.rtt_ms is not None)
        reason = answer.reason if answer is not None else echo.reason
        if there or _neighbour(device.host, roots):
            found[device.name] = True
        elif reason not in _OUR_OWN:
            found[device.name] = False
    return found


def _neighbour(host: str, roots: Roots) -> bool:
    """Whether the neighbour table holds its answer; a device that drops echoes still has to answer ARP."""
    try:
        entry = neighbour(host, roots)
    except PlatformUnsupported:
        return False
    return entry is not None and entry.complete


def _by_port(devices: list[LanDevice], deadline: float) -> dict[str, bool]:
    """A refusal is no presence here: whoever names a port wants what listens there."""
    found: dict[str, bool] = {}
    waiting: dict[socket.socket, str] = {}
    if left_s(deadline) <= 0:
        return {}
    try:
        for device in devices:
            _start(device, waiting, found)
        while waiting and (left := left_s(deadline)) > 0:
            _, writable, failed = select.select([], list(waiting), list(waiting), left)
            for sock in set(writable) | set(failed):
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                _note(waiting.pop(sock), code, found)
                sock.close()
        found.update(dict.fromkeys(waiting.values(), False))
    finally:
        for sock in waiting:
            sock.close()
    return found


def _start(device: LanDevice, waiting: dict[socket.socket, str], found: dict[str, bool]) -> None:
    try:
        sock = socket.socket(address_family(device.host), socket.SOCK_STREAM)
    except OSError:
        return
    try:
        sock.setblocking(False)
        code = sock.connect_ex(sockaddr(device.host, device.port or 0))
    except OSError as err:
        code = err.errno or errno.EINVAL
    if code in _STARTED:
        waiting[sock] = device.name
        return
    sock.close()
    _note(device.name, code, found)


def _note(name: str, code: int, found: dict[str, bool]) -> None:
    if code not in _OWN_ERRORS:
        found[name] = code == 0
