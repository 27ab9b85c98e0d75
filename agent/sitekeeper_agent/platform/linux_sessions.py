"""Linux: whether somebody uses this PC's keys or mouse, as the desktop tells systemd-logind; asked over the system bus.

Three messages of the D-Bus protocol (dbus.freedesktop.org/doc/dbus-specification.html) are spoken here, since a library for
it would cost the agent more memory than all that it measures. Nothing is learned but that somebody is there: no keys, no names.
"""

import os
import socket
import struct

from sitekeeper_agent.platform.facts import HERE, Idle, Roots

_MOST_BYTES = 64 * 1024
_LINE = 512
_CALL, _RETURN = 1, 2
_PATH, _INTERFACE, _MEMBER, _REPLY_TO, _DESTINATION, _SIGNATURE = 1, 2, 3, 5, 6, 8
_BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
_LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.DBus.Properties")
_MANAGER = "org.freedesktop.login1.Manager"
_HELLO, _HINT, _SINCE = 1, 2, 3


class _Garbled(Exception):
    """No message of D-Bus, or one that is not understood here."""


def session_idle(wait_s: float, roots: Roots = HERE) -> Idle | None:
    """What logind says now; ``None`` where there is none, or no answer within ``wait_s`` at each step."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bus:
            bus.settimeout(max(0.001, wait_s))
            bus.connect(f"{roots.run}/dbus/system_bus_socket")
            _log_in(bus)
            bus.sendall(_question())
            return _answer(bus)
    except (OSError, _Garbled):
        return None


def _log_in(bus: socket.socket) -> None:
    """SASL's EXTERNAL: the kernel vouches for who asks."""
    bus.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
    line = b""
    while not line.endswith(b"\r\n"):
        part = bus.recv(1)
        if not part or len(line) > _LINE:
            raise _Garbled
        line += part
    if not line.startswith(b"OK "):
        raise _Garbled
    bus.sendall(b"BEGIN\r\n")


def _question() -> bytes:
    return b"".join(
        (
            call(_HELLO, *_BUS, "Hello"),
            call(_HINT, *_LOGIND, "Get", _MANAGER, "IdleHint"),
            call(_SINCE, *_LOGIND, "Get", _MANAGER, "IdleSinceHint"),
        )
    )


def call(serial: int, destination: str, path: str, interface: str, member: str, *arguments: str) -> bytes:
    """A method call with texts as arguments."""
    fields = [(_PATH, "o", path), (_INTERFACE, "s", interface), (_MEMBER, "s", member), (_DESTINATION, "s", destination)]
    body = b""
    for text in arguments:
        body = _padded(body, 4) + _text(text)
    head = b""
    for code, kind, text in fields:
        head = _padded(head, 8) + bytes((code, 1, ord(kind), 0)) + _text(text)
    if arguments:
        signature = b"s" * len(arguments)
        head = _padded(head, 8) + bytes((_SIGNATURE, 1, ord("g"), 0, len(signature))) + signature + b"\0"
    return _padded(struct.pack("<4cIII", b"l", bytes((_CALL,)), b"\0", b"\1", len(body), serial, len(head)) + head, 8) + body


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<I", len(raw)) + raw + b"\0"


def _padded(data: bytes, to: int) -> bytes:
    return data + bytes(-len(data) % to)


def _answer(bus: socket.socket) -> Idle:
    hint: int | None = None
    since: int | None = None
    held = b""
    while hint is None or since is None:
        while (size := message_bytes(held)) is None or len(held) < size:
            part = bus.recv(4096)
            if not part or len(held) > _MOST_BYTES:
                raise _Garbled
            held += part
        answers, value = parsed(held[:size])
        held = held[size:]
        hint = value if answers == _HINT else hint
        since = value if answers == _SINCE else since
    return Idle(bool(hint), since)


def message_bytes(held: bytes) -> int | None:
    """How long the message is that begins here; ``None``: too little is there to tell. Raises ``_Garbled``."""
    if len(held) < 16:
        return None
    if held[:1] not in (b"l", b"B"):
        raise _Garbled
    body, _, fields = struct.unpack_from(_order(held) + "III", held, 4)
    size = 16 + int(fields) + -int(fields) % 8 + int(body)
    if size > _MOST_BYTES:
        raise _Garbled
    return size


def _order(message: bytes) -> str:
    return "<" if message[:1] == b"l" else ">"


def parsed(message: bytes) -> tuple[int, int]:
    """(serial of the call that this answers or 0, the number or truth value in it). Raises ``_Garbled`` for an error."""
    order = _order(message)
    try:
        fields = struct.unpack_from(order + "I", message, 12)[0]
        answers = _reply_to(message, 16 + fields, order)
        if answers not in (_HINT, _SINCE):
            return 0, 0
        if message[1] != _RETURN:
            raise _Garbled
        start = 16 + fields + -fields % 8
        kind = message[start : start + 3]
        if kind == b"\1b\0":
            return answers, int(struct.unpack_from(order + "I", message, start + 4)[0])
        if kind == b"\1t\0":
            return answers, int(struct.unpack_from(order + "Q", message, start + 8)[0])
    except (struct.error, IndexError) as err:
        raise _Garbled from err
    raise _Garbled


def _reply_to(message: bytes, end: int, order: str) -> int:
    """The header's field that names the call."""
    at = 16
    while at < end:
        code, kind = message[at], message[at + 2 : at + 3]
        at += 4
        if kind in (b"s", b"o"):
            at += 4 + struct.unpack_from(order + "I", message, at)[0] + 1
        elif kind == b"g":
            at += 1 + message[at] + 1
        elif kind == b"u":
            number = int(struct.unpack_from(order + "I", message, at)[0])
            if code == _REPLY_TO:
                return number
            at += 4
        else:
            raise _Garbled
        at += -at % 8
    return 0
