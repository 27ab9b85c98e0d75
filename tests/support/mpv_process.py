"""A real mpv without picture and sound, and somebody who uses it."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from support.wait import wait_until


class Player:
    """A running mpv that stays when its title is over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        options = ("--no-config", "--vo=null", "--ao=null", "--idle=yes", "--really-quiet", f"--input-ipc-server={path}")
        self.process = subprocess.Popen(["mpv", *options], stdin=subprocess.DEVNULL)
        wait_until(self._listens, "mpv listens")

    def _listens(self) -> bool:
        with closing(socket.socket(socket.AF_UNIX)) as sock, suppress(OSError):
            sock.connect(str(self.path))
            return True
        return False

    def order(self, *command: str) -> None:
        """What somebody at the player would do."""
        with closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.settimeout(30)
            sock.connect(str(self.path))
            sock.sendall(json.dumps({"command": command, "request_id": 77}).encode() + b"\n")
            said = b""
            while b'"request_id":77' not in said:
                said += sock.recv(4096)


@contextmanager
def mpv(path: Path) -> Iterator[Player]:
    """Run mpv, and kill it at the end of the block."""
    player = Player(path)
    try:
        yield player
    finally:
        player.process.kill()
        player.process.wait(30)
