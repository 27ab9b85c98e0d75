"""Time-series stores on loopback: real ones that can be stopped and started, and one whose answers a test chooses."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.ports import free_port
from support.wait import wait_until
from support.web_servers import serve

BUCKET = "sitekeeper"
Rows = dict[tuple[str, int], float | str | bool]
"""Values by site (or target) and time in ms."""


def _get(url: str, data: bytes | None = None) -> bytes:
    with urllib.request.urlopen(url, data=data, timeout=20) as answer:  # all addresses here are ours
        content: bytes = answer.read()
    return content


def _answers(url: str) -> bool:
    try:
        _get(url)
    except (OSError, urllib.error.URLError):
        return False
    return True


def _program(name: str, package: str) -> str:
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/usr/local/bin")
    assert found, f"{name} is needed (package {package}); `make test` names it"
    return found


class RealStore(ABC):
    """A real server with its data in ``folder``."""

    ending = signal.SIGKILL

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, cwd=self.folder)
        wait_until(lambda: _answers(self._health()), lambda: (self.folder / "log").read_text("utf-8", "replace")[-3000:])

    def stop(self) -> None:
        """End it: as a power cut would, where the store claims to outlive one."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(self.ending)
            process.wait(timeout=20)

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _health(self) -> str: ...

    @abstractmethod
    def held(self, measurement: str, field: str) -> Rows:
        """All values of a field, by the tag ``site`` and the time in ms. Two at one time would be one: see ``count``."""

    @abstractmethod
    def count(self, measurement: str, field: str) -> int:
        """How many values it holds."""


class VictoriaMetrics(RealStore):
    """Takes what is numeric, and says of no line that it is bad."""

    # It keeps what it took in memory for some seconds; a kill loses it.
    ending = signal.SIGTERM

    def _command(self) -> list[str]:
        program = _program("victoria-metrics", "victoria-metrics")
        options = (f"-httpListenAddr=127.0.0.1:{self.port}", f"-storageDataPath={self.folder / 'data'}", "-retentionPeriod=10y")
        return [program, *options, "-dedup.minScrapeInterval=1ms", "-memory.allowedBytes=64MB"]

    def _health(self) -> str:
        return f"{self.url}/health"

    def held(self, measurement: str, field: str) -> Rows:
        return {(site, at): value for site, at, value in self._exported(measurement, field)}

    def count(self, measurement: str, field: str) -> int:
        return len(self._exported(measurement, field))

    def _exported(self, measurement: str, field: str) -> list[tuple[str, int, float]]:
        _get(f"{self.url}/internal/force_flush")
        query = urllib.parse.urlencode({"match[]": f"{measurement}_{field}", "reduce_mem_usage": "0"})
        rows = [json.loads(line) for line in _get(f"{self.url}/api/v1/export?{query}").splitlines()]
        return [
            (row["metric"].get("site", ""), at, value)
            for row in rows
            for at, value in zip(row["timestamps"], row["values"], strict=True)
        ]


_INFLUXD = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
"""

_NGINX = """\
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    client_max_body_size {max_body};
    server {{
        listen 127.0.0.1:{port};
        location = /api/v2/write {{
            proxy_pass http://127.0.0.1:{influx}/write?db=$arg_bucket&precision=n;
        }}
    }}
}}
"""


class InfluxDB(RealStore):
    """InfluxDB 1.6, which lacks the v2 write endpoint, behind an nginx that has it. nginx stays when InfluxDB stops."""

    max_body = "1m"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._front = free_port()
        self.query_url, self.url = self.url, f"http://127.0.0.1:{self._front}"
        self._nginx: subprocess.Popen[bytes] | None = None
        config = _INFLUXD.format(rpc=free_port(), folder=folder, port=self.port)
        (folder / "influxdb.conf").write_text(config)

    def start(self) -> None:
        super().start()
        _get(f"{self.query_url}/query", urllib.parse.urlencode({"q": f"CREATE DATABASE {BUCKET}"}).encode())
        if self._nginx is None:
            # Of root's nginx the workers are somebody else, who may not enter the folder.
            user = "user root;" if os.getuid() == 0 else ""
            config = _NGINX.format(folder=self.folder, port=self._front, influx=self.port, max_body=self.max_body, user=user)
            (self.folder / "nginx.conf").write_text(config)
            command = [
                _program("nginx", "nginx-light"),
                "-c",
                str(self.folder / "nginx.conf"),
                "-e",
                "stderr",
                "-p",
                str(self.folder),
            ]
            with (self.folder / "log").open("ab") as log:
                self._nginx = subprocess.Popen(command, stdout=log, stderr=log)
            wait_until(self._front_listens, "nginx listens")

    def stop_all(self) -> None:
        """End nginx too."""
        self.stop()
        if self._nginx is not None:
            self._nginx.terminate()
            self._nginx.wait(timeout=20)

    def _front_listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._front)) == 0

    def _command(self) -> list[str]:
        return [_program("influxd", "influxdb"), "-config", str(self.folder / "influxdb.conf")]

    def _health(self) -> str:
        return f"{self.query_url}/ping"

    def held(self, measurement: str, field: str) -> Rows:
        return {(site, at): value for site, at, value in self._selected(measurement, field)}

    def count(self, measurement: str, field: str) -> int:
        return len(self._selected(measurement, field))

    def _selected(self, measurement: str, field: str) -> list[tuple[str, int, Any]]:
        statement = f'SELECT "{field}" FROM "{measurement}" GROUP BY "site"'
        query = urllib.parse.urlencode({"db": BUCKET, "q": statement, "epoch": "ms"})
        (result,) = json.loads(_get(f"{self.query_url}/query?{query}"))["results"]
        assert "error" not in result, result
        return [(row["tags"]["site"], at, value) for row in result.get("series", ()) for at, value in row["values"]]


@contextmanager
def influxdb(folder: Path, max_body: str = "1m") -> Iterator[InfluxDB]:
    """A running one."""
    store = InfluxDB(folder)
    store.max_body = max_body
    try:
        store.start()
        yield store
    finally:
        store.stop_all()


@contextmanager
def victoria_metrics(folder: Path) -> Iterator[VictoriaMetrics]:
    """A running one."""
    store = VictoriaMetrics(folder)
    try:
        store.start()
        yield store
    finally:
        store.stop()


def now_ms() -> int:
    """A whole second: stores refuse what is in the far past or future."""
    return int(time.time()) * 1000


# --- one whose answers a test chooses ----------------------------------------------------------------------------------


def answer(status: str, body: bytes = b"", *fields: str) -> bytes:
    """A whole answer."""
    head = (f"HTTP/1.1 {status}", *fields, *(() if status.startswith("204") else (f"Content-Length: {len(body)}",)))
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Request:
    """One that came in."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.head, self.body = head, body
        self.lines = body.split(b"\n")


class CutOff(bytes):
    """The bytes after which a server hangs up."""


class ChosenStore:
    """A server that answers with the bytes that ``script`` gives, and keeps all requests. It hangs up after ``CutOff``."""

    def __init__(self, script: Callable[[Request], bytes]) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.url = ""

    def behave(self, connection: socket.socket) -> None:
        """Serve one connection."""
        with connection.makefile("rb") as stream:
            while request := _request(stream):
                self.requests.append(request)
                said = self.script(request)
                connection.sendall(said)
                if isinstance(said, CutOff):
                    return


def _request(stream: Any) -> Request | None:
    head = b""
    size = 0
    while line := stream.readline():
        head += line
        if line.lower().startswith(b"content-length:"):
            size = int(line.split(b":")[1])
        if line == b"\r\n":
            return Request(head, stream.read(size))
    return None


@contextmanager
def chosen_store(script: Callable[[Request], bytes]) -> Iterator[ChosenStore]:
    """A running one."""
    store = ChosenStore(script)
    with serve(store.behave) as port:
        store.url = f"http://127.0.0.1:{port}"
        yield store
