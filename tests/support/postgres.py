"""A PostgreSQL of our own on loopback, in a folder, run as an unprivileged user: it refuses to run as root."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from support.ports import free_port
from support.wait import wait_until

_PROGRAMS = Path("/usr/lib/postgresql")
_SETTINGS = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 40
"""


class Postgres:
    """A cluster. ``database`` makes an empty database and tells its address, as SQLAlchemy writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._names = count(1)

    def make(self) -> None:
        """Make the cluster's files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            os.chown(self.folder, pwd.getpwnam(_user()).pw_uid, -1)
        command = [
            _program("initdb"),
            "-D",
            str(self.folder / "data"),
            "-U",
            "sitekeeper",
            "-E",
            "UTF8",
            "--locale=C",
            "-A",
            "trust",
        ]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False, cwd="/", **_unprivileged())
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS + f"port = {self.port}\n")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            command = [_program("postgres"), "-D", str(self.folder / "data")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **_unprivileged())
        wait_until(self._answers, lambda: (self.folder / "log").read_text("utf-8", "replace")[-3000:])

    def stop(self) -> None:
        """End it at once, with all connections; what is committed stays."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait(timeout=30)

    def database(self) -> str:
        """A new, empty database."""
        name = f"d{next(self._names)}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # the name is ours
        return f"postgresql+psycopg://sitekeeper@127.0.0.1:{self.port}/{name}"

    def _address(self, name: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=sitekeeper dbname={name} connect_timeout=5"

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(self._address("postgres")).close()
            return True
        return False


def _program(name: str) -> str:
    """Debian keeps them by version, out of the way."""
    found = [shutil.which(name, path=str(folder / "bin")) for folder in sorted(_PROGRAMS.glob("*"), reverse=True)]
    first = next((path for path in found if path), None)
    assert first, f"{name} is needed (package postgresql); `make test` names it"
    return first


def _user() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _unprivileged() -> dict[str, Any]:
    return {"user": _user()} if os.getuid() == 0 else {}


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A running one, gone with all its data in the end. Its folder is its own: pytest's are closed to other users."""
    with tempfile.TemporaryDirectory(prefix="sitekeeper-postgres-") as name:
        cluster = Postgres(Path(name))
        try:
            cluster.make()
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
