"""Free loopback ports that two tests, or two test processes, never both get."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

# Below the ephemeral range (net.ipv4.ip_local_port_range begins at 32768): no outgoing connection takes one meanwhile.
_FIRST, _LAST = 20_000, 32_000
_held: dict[int, IO[bytes]] = {}


def free_port() -> int:
    """A loopback port that nobody listens on, reserved for this process until it ends.

    The reservation is a lock on a file, so that it also holds while the server that uses the port is down.
    """
    folder = Path(tempfile.gettempdir()) / f"sitekeeper-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for _ in range(1000):
        port = random.randint(_FIRST, _LAST)
        if port not in _held and _reserve(folder, port):
            return port
    raise AssertionError(f"no free port between {_FIRST} and {_LAST}")


def _reserve(folder: Path, port: int) -> bool:
    lock = (folder / str(port)).open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        lock.close()
        return False
    _held[port] = lock
    return True
