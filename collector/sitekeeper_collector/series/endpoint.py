"""One store's v2 write endpoint, through influxdb-client's synchronous write API with bytes that are ready.

Its points cost fifteen times as much, its batching ten, its gzip seven. What it lacks is an end to its patience: a server that
sends its answer a byte at a time would hold it for ever, so the connection is cut from outside after ``timeout_s``.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from sitekeeper_collector.series.writer import Answer, Outcome, judge


class EndpointError(ValueError):
    """The store can't be addressed as configured."""


def read_token(path: Path) -> str:
    """The token in a file. Raises ``EndpointError`` if there is none that could be sent."""
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise EndpointError(f"{path}: the token can't be read: {err}") from err
    if not token or not token.isascii() or not token.isprintable():
        raise EndpointError(f"{path}: holds no token (one line of plain characters is expected)")
    return token


class _Head(NamedTuple):
    status: int
    headers: dict[str, str]


def _small(headers: Mapping[str, str]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


class Endpoint:
    """Posts lines to ``url``. ``close`` lets go of the connection. Use it from one thread.

    With ``username``, as 1.x wants it, ``token_file`` holds its password. It is read at the first post and after each refusal,
    so a new token needs no restart. Redirections are not followed: the token is for this address.
    Raises ``EndpointError`` for an address that is none.
    """

    def __init__(
        self,
        *,
        url: str,
        bucket: str,
        org: str = "",
        token_file: Path | None = None,
        username: str = "",
        ca_file: Path | None = None,
        timeout_s: float = 20,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise EndpointError("the series store's address must be http://host:port or https://host:port, without a password")
        self._url, self._bucket, self._org = url.rstrip("/"), bucket, org
        self._token_file, self._ca_file, self._timeout_s = token_file, ca_file, timeout_s
        self._username = username
        self._client: InfluxDBClient | None = None
        self._connection: HTTPConnection | None = None
        self._head = _Head(0, {})

    def post(self, lines: bytes, now_ms: int) -> Answer:
        """Send lines, and judge the answer."""
        try:
            client = self._client or self._open()
            with self._limited(), client.write_api(write_options=SYNCHRONOUS) as api:
                api.write(bucket=self._bucket, org=self._org, record=lines)
        except ApiException as err:
            return self._refused(err, now_ms)
        except EndpointError as err:
            return Answer(Outcome.TROUBLE, 0, str(err))
        except UnicodeDecodeError as err:  # the error page of a proxy that speaks GBK, say
            return self._judged(self._head, err.object, now_ms)
        # ValueError: headers that make no sense; OSError: the connection was cut.
        except (HTTPError, OSError, ValueError) as err:
            self.close()
            return Answer(Outcome.LATER, 0, f"no answer: {type(err).__name__}: {err}")
        return Answer(Outcome.STORED, 204)

    def close(self) -> None:
        """Close the connection; the next post opens a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()  # type: ignore[no-untyped-call]
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _refused(self, err: ApiException, now_ms: int) -> Answer:
        if not err.status:  # urllib3's TLS errors come this way
            self.close()
            return Answer(Outcome.LATER, 0, f"no answer: {err.reason}")
        body = err.body or b""
        head = _Head(int(err.status), _small(err.headers or {}))
        return self._judged(head, body.encode() if isinstance(body, str) else body, now_ms)

    def _judged(self, head: _Head, body: bytes, now_ms: int) -> Answer:
        answer = judge(head.status, head.headers, body, now_ms)
        if answer.outcome is Outcome.TROUBLE:
            self.close()
        return answer

    def _open(self) -> InfluxDBClient:
        token = "" if self._token_file is None else read_token(self._token_file)
        if self._username:  # https://docs.influxdata.com/influxdb/v1/tools/api/#apiv2write-http-endpoint
            token = f"{self._username}:{token}"
        client = InfluxDBClient(
            url=self._url,
            token=token,
            org=self._org,
            timeout=int(self._timeout_s * 1000),
            ssl_ca_cert=None if self._ca_file is None else str(self._ca_file),
            connection_pool_maxsize=1,
        )
        client.api_client.rest_client.pool_manager.pool_classes_by_scheme = self._pools()
        self._client = client
        return client

    def _pools(self) -> dict[str, type[Any]]:
        """Connection pools whose newest connection, and the head of its newest answer, are known here."""
        endpoint = self

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                endpoint._connection = self

            def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3's own
                response = super().getresponse()
                endpoint._head = _Head(response.status, _small(response.headers))
                return response

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                endpoint._connection = self

            def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3's own
                response = super().getresponse()
                endpoint._head = _Head(response.status, _small(response.headers))
                return response

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Secure

        return {"http": PlainPool, "https": SecurePool}

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """The library's time limits begin anew with each byte; this one does not."""
        timer = threading.Timer(self._timeout_s, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        connection = self._connection
        sock = None if connection is None else connection.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(SHUT_RDWR)
