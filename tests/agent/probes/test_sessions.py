"""Whether somebody uses the PC, by logind: real answers of a real bus are read, and nothing that a bus may say does harm."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_agent.platform import Idle, Roots
from sitekeeper_agent.platform.linux_sessions import _Garbled, call, message_bytes, parsed, session_idle
from sitekeeper_agent.probes.host import in_use

# Recorded of dbus-daemon 1.14.10 with a service behind it: the answer to Hello, a signal, and the answers to both questions.
GREETING = (
    b"l\x02\x01\x01\t\x00\x00\x00\x01\x00\x00\x00=\x00\x00\x00\x06\x01s\x00\x04\x00\x00\x00:1.2\x00\x00\x00\x00"
    b"\x05\x01u\x00\x01\x00\x00\x00\x08\x01g\x00\x01s\x00\x00\x07\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00"
    b"\x04\x00\x00\x00:1.2\x00"
    b"l\x04\x01\x01\t\x00\x00\x00\x02\x00\x00\x00\x8d\x00\x00\x00\x01\x01o\x00\x15\x00\x00\x00/org/freedesktop/DBus\x00\x00\x00"
    b"\x02\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00\x03\x01s\x00\x0c\x00\x00\x00NameAcquired\x00\x00\x00\x00"
    b"\x06\x01s\x00\x04\x00\x00\x00:1.2\x00\x00\x00\x00\x08\x01g\x00\x01s\x00\x00\x07\x01s\x00\x14\x00\x00\x00org.freedesktop."
    b"DBus\x00\x00\x00\x00\x04\x00\x00\x00:1.2\x00"
)
HEAD = b"\x00\x00\x00-\x00\x00\x00\x06\x01s\x00\x04\x00\x00\x00:1.2\x00\x00\x00\x00\x05\x01u\x00"
TAIL = b"\x00\x00\x00\x08\x01g\x00\x01v\x00\x00\x07\x01s\x00\x04\x00\x00\x00:1.0\x00\x00\x00\x00"
HINT = b"l\x02\x01\x01\x08\x00\x00\x00\x05" + HEAD + b"\x02" + TAIL + b"\x01b\x00\x00\x01\x00\x00\x00"
SINCE = b"l\x02\x01\x01\x10\x00\x00\x00\x06" + HEAD + b"\x03" + TAIL + b"\x01t\x00\x00\x00\x00\x00\x00\x00@\x1e\x18$\n\x06\x00"
REFUSED = b"l\x03" + SINCE[2:]
NOBODY = HINT[:-4] + bytes(4)


@contextmanager
def bus(folder: Path, answer: bytes, greeting: bytes = b"OK 1234deadbeef\r\n") -> Iterator[Roots]:
    """A bus that takes one visitor, and says what it was told to say."""
    (folder / "dbus").mkdir(exist_ok=True)
    path = folder / "dbus/system_bus_socket"
    path.unlink(missing_ok=True)
    with ExitStack() as stack:
        door = stack.enter_context(socket.socket(socket.AF_UNIX))
        door.bind(str(path))
        door.listen()

        def serve() -> None:
            visitor, _ = door.accept()
            with visitor:
                visitor.settimeout(10)
                assert visitor.recv(512).startswith(b"\0AUTH EXTERNAL ")
                visitor.sendall(greeting)
                try:
                    visitor.recv(4096)
                    visitor.sendall(answer)
                    visitor.shutdown(socket.SHUT_WR)
                    # A close with something unread would be a reset, which overtakes the answer.
                    while visitor.recv(4096):
                        pass
                except OSError:
                    return  # the visitor has had enough

        thread = threading.Thread(target=serve)
        thread.start()
        yield Roots(run=str(folder))
        thread.join(10)


def test_a_pc_that_nobody_uses_says_since_when(tmp_path: Path) -> None:
    with bus(tmp_path, GREETING + HINT + SINCE) as roots:
        assert session_idle(5, roots) == Idle(True, 1_700_000_000_000_000)
    with bus(tmp_path, SINCE + GREETING + NOBODY) as roots:
        assert session_idle(5, roots) == Idle(False, 1_700_000_000_000_000), "whatever the order"


@pytest.mark.parametrize(
    ("greeting", "answer"),
    [
        (b"REJECTED EXTERNAL\r\n", b""),
        (b"x" * 10_000, b""),
        (b"OK 1\r\n", b""),
        (b"OK 1\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        (b"OK 1\r\n", HINT + REFUSED),
        (b"OK 1\r\n", HINT[:-3]),
        (b"OK 1\r\n", b"l\x02\x01\x01" + b"\xff" * 12 + bytes(100)),
        (b"OK 1\r\n", GREETING * 2000),
    ],
)
def test_a_bus_that_says_something_else_says_nothing(tmp_path: Path, greeting: bytes, answer: bytes) -> None:
    with bus(tmp_path, answer, greeting) as roots:
        assert session_idle(5, roots) is None


def test_no_bus_is_no_answer(tmp_path: Path) -> None:
    assert session_idle(5, Roots(run=str(tmp_path))) is None


@given(st.binary(max_size=300), st.sampled_from([b"l", b"B", b""]))
def test_no_message_does_more_than_be_refused(data: bytes, order: bytes) -> None:
    message = order + data
    try:
        size = message_bytes(message)
        if size is not None and size <= len(message):
            parsed(message[:size])
    except _Garbled:
        return


@given(st.integers(0, len(SINCE) - 1), st.integers(0, 255))
def test_one_wrong_byte_is_read_or_refused(at: int, byte: int) -> None:
    damaged = SINCE[:at] + bytes((byte,)) + SINCE[at + 1 :]
    try:
        if (message_bytes(damaged) or 0) <= len(damaged):
            parsed(damaged)
    except _Garbled:
        return


def test_a_question_is_what_the_specification_asks_for() -> None:
    """As busctl sends it: header fields padded between each other to 8, and not behind the last one."""
    asked = call(2, "a.b", "/a", "c.d", "Get", "x", "yz")
    size = message_bytes(asked)
    assert size == len(asked)
    assert asked.endswith(b"\x01\x00\x00\x00x\x00\x00\x00\x02\x00\x00\x00yz\x00")
    assert b"\x08\x01g\x00\x02ss\x00" in asked


@pytest.mark.parametrize(
    ("idle", "known", "expected"),
    [
        (None, True, None),
        (Idle(True, 0), False, None),
        (Idle(False, 0), False, None),
        (Idle(False, 5), False, None),
        (Idle(True, 5), False, False),
        (Idle(True, 0), True, False),
        (Idle(False, 5), True, True),
    ],
)
def test_use_is_believed_only_of_a_desktop_that_also_says_when_there_is_none(
    idle: Idle | None, known: bool, expected: bool | None
) -> None:
    assert in_use(idle, known=known) is expected
