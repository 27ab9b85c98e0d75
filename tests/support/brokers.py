"""Real MQTT brokers as processes on free loopback ports: mosquitto and amqtt.

Both are context managers that give a ``Broker``. It can be killed, stopped and started again on the same port with the same
configuration and persistence; whatever happens, it is gone when the block ends.
"""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from support.ports import free_port
from support.wait import wait_until

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

_CONNECT = bytes([0x10, 12, 0, 4]) + b"MQTT" + bytes([4, 2, 0, 30, 0, 0])
"""MQTT 3.1.1 CONNECT: clean session, keepalive 30 s, no client id, no user."""
_DISCONNECT = bytes([0xE0, 0])


class TlsFiles(NamedTuple):
    """PEM files of a server: its chain, its key, and the authority that clients trust."""

    certificate: Path
    key: Path
    authority: Path


class Broker:
    """A broker process; ``host`` and ``port`` stay the same over its lives."""

    def __init__(self, command: list[str], *, folder: Path, port: int, authority: Path | None = None) -> None:
        self.host = "127.0.0.1"
        self.port = port
        self.folder = folder
        self.authority = authority
        self.log_file = folder / "broker.log"
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        assert self._process is not None, "the broker is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and wait until it answers a CONNECT."""
        assert not self.running, "the broker is running already"
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder)
        wait_until(self._answers_or_died, f"the broker answers on port {self.port}; its log:\n{self.log()}")

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order (SIGTERM), with time to save; kill it if it does not go."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nothing answers, as on a line that lost its far end."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after ``pause``."""
        os.kill(self.pid, signal.SIGCONT)

    def reload(self) -> None:
        """Make it read passwords and access list again (SIGHUP)."""
        os.kill(self.pid, signal.SIGHUP)

    def log(self) -> str:
        """What it has written so far, over all its lives."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)
            os.kill(process.pid, how)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _answers_or_died(self) -> bool:
        assert self.running, f"the broker ended at once; its log:\n{self.log()}"
        return answers(self.host, self.port, self.authority)


def answers(host: str, port: int, authority: Path | None = None) -> bool:
    """Whether an MQTT broker answers a CONNECT there: any CONNACK counts, also a refusal."""
    try:
        with socket.create_connection((host, port), timeout=2) as plain:
            if authority is None:
                return _greet(plain)
            context = ssl.create_default_context(cafile=str(authority))
            context.check_hostname = False
            with context.wrap_socket(plain) as secure:
                return _greet(secure)
    except OSError:
        return False


def _greet(connection: socket.socket) -> bool:
    connection.sendall(_CONNECT)
    reply = connection.recv(4)
    connection.sendall(_DISCONNECT)
    return reply[:1] == b"\x20"


@contextmanager
def _alive(make: Callable[[], Broker]) -> Iterator[Broker]:
    broker = make()
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


@contextmanager
def mosquitto(
    folder: Path,
    *,
    config_text: str | None = None,
    users: Mapping[str, str] | None = None,
    acl_text: str | None = None,
    tls: TlsFiles | None = None,
    port: int | None = None,
    extra: str = "",
) -> Iterator[Broker]:
    """A mosquitto with its files in ``folder``.

    By default it listens on a free loopback port, keeps its state in ``folder``, queues without limit, and lets in anybody, or
    with ``users`` (name to password) only those. ``acl_text`` is an access list, ``extra`` is put at the end of the
    configuration. ``config_text`` replaces the whole configuration; it must listen on ``port`` (take one from ``free_port``).
    """
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    program = MOSQUITTO
    assert config_text is None or port is not None, "config_text needs the port it listens on"
    folder.mkdir(parents=True, exist_ok=True)
    at = free_port() if port is None else port
    text = _mosquitto_config(folder, at, users, acl_text, tls) if config_text is None else config_text
    text += f"\n{extra}\n"
    if os.getuid() == 0:
        # As root mosquitto would become the user "mosquitto", who may not enter pytest's folders.
        text += "user root\n"
    config = folder / "mosquitto.test.conf"
    config.write_text(text)
    with _alive(
        lambda: Broker([program, "-c", str(config)], folder=folder, port=at, authority=tls and tls.authority)
    ) as broker:
        yield broker


def _mosquitto_config(
    folder: Path, port: int, users: Mapping[str, str] | None, acl_text: str | None, tls: TlsFiles | None
) -> str:
    lines = [
        f"listener {port} 127.0.0.1",
        f"allow_anonymous {'true' if users is None else 'false'}",
        "persistence true",
        f"persistence_location {folder}/",
        "max_inflight_messages 0",
        "max_queued_messages 0",
        "set_tcp_nodelay true",
    ]
    if tls is not None:
        lines[1:1] = [f"certfile {tls.certificate}", f"keyfile {tls.key}"]
    if users is not None:
        passwords = folder / "passwords"
        passwords.write_text("".join(f"{name}:{password}\n" for name, password in users.items()))
        passwords.chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)
        lines.append(f"password_file {passwords}")
    if acl_text is not None:
        acl = folder / "acl"
        acl.write_text(acl_text)
        acl.chmod(0o600)
        lines.append(f"acl_file {acl}")
    return "\n".join(lines)


@contextmanager
def amqtt_broker(folder: Path, *, users: Mapping[str, str] | None = None, port: int | None = None) -> Iterator[Broker]:
    """An amqtt with its files in ``folder``: MQTT 3.1.1 only, and its state is lost whenever it ends.

    It has the front door of the embedded broker, without which it hangs on many an MQTT 5 CONNECT instead of refusing it.

    Without ``users`` (name to password) anybody is let in; but then it queues nothing for a session that is away.
    """
    folder.mkdir(parents=True, exist_ok=True)
    at = free_port() if port is None else port
    lines = [
        f"listeners: {{default: {{type: tcp, bind: '127.0.0.1:{at}'}}}}",
        "plugins:",
    ]
    if users is None:
        lines.append("  amqtt.plugins.authentication.AnonymousAuthPlugin: {allow_anonymous: true}")
    else:
        # A fallible import of a hasher that only this needs.
        from pwdlib import PasswordHash
        from pwdlib.hashers.argon2 import Argon2Hasher

        hasher = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=64),))
        passwords = folder / "amqtt.passwords"
        passwords.write_text("".join(f"{name}:{hasher.hash(password)}\n" for name, password in users.items()))
        lines.append(f"  amqtt.plugins.authentication.FileAuthPlugin: {{password_file: '{passwords}'}}")
    config = folder / "amqtt.yaml"
    config.write_text("\n".join(lines) + "\n")
    command = [sys.executable, str(Path(__file__).with_name("amqtt_process.py")), str(config)]
    with _alive(lambda: Broker(command, folder=folder, port=at)) as broker:
        yield broker
