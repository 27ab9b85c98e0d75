"""``influx setup`` makes what is missing and nothing twice: on a real InfluxDB 1, and on a server that does as 2's API says."""

import json
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sitekeeper_collector.config import Series
from sitekeeper_collector.series.setup import SetupError, set_up, task
from support.series_stores import InfluxDB, influxdb

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxDB]:
    with influxdb(tmp_path_factory.mktemp("influx") / "data") as store:
        yield store


def _shown(influx: InfluxDB, statement: str) -> list[list[Any]]:
    query = urllib.parse.urlencode({"q": statement})
    with urllib.request.urlopen(f"{influx.query_url}/query?{query}", timeout=20) as answer:
        [result] = json.loads(answer.read())["results"]
    return [row for series in result.get("series", ()) for row in series.get("values", ())]


def test_influxdb_1_gets_database_policies_and_continuous_queries_once(influx: InfluxDB) -> None:
    series = Series(flavour="influx1", url=influx.query_url, bucket="county-1")
    assert set_up(series) == [
        "made database county-1",
        "policy autogen keeps 1100 days now",
        "policy hourly keeps 3660 days now",
        "made continuous query sitekeeper_site_hourly",
        "made continuous query sitekeeper_rung_hourly",
        "made continuous query sitekeeper_target_hourly",
    ]
    assert set_up(series) == []
    assert [row[:2] + row[-1:] for row in _shown(influx, 'SHOW RETENTION POLICIES ON "county-1"')] == [
        ["autogen", "26400h0m0s", True],
        ["hourly", "87840h0m0s", False],
    ]
    queries = [row[0] for row in _shown(influx, "SHOW CONTINUOUS QUERIES")]
    assert queries == ["sitekeeper_site_hourly", "sitekeeper_rung_hourly", "sitekeeper_target_hourly"]


def test_influxdb_1_is_told_of_another_retention_only(influx: InfluxDB) -> None:
    before = Series(flavour="influx1", url=influx.query_url, bucket="county2")
    set_up(before)
    after = Series(flavour="influx1", url=influx.query_url, bucket="county2", keep_days=400)
    assert set_up(after) == ["policy autogen keeps 400 days now"]
    assert set_up(after) == []


# --- InfluxDB 2 --------------------------------------------------------------------------------------------------------


class _Two(ThreadingHTTPServer):
    """Keeps organizations, buckets, mappings and tasks as https://docs.influxdata.com/influxdb/v2/api/ has them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kept: dict[str, list[dict[str, Any]]] = {
            "orgs": [{"id": "0a", "name": "县"}],
            "buckets": [],
            "dbrps": [],
            "tasks": [],
        }
        self.broken = False

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any], token: str) -> tuple[int, Any]:
        if token != "Token secret":
            return 401, {"code": "unauthorized", "message": "unauthorized access"}
        if self.broken:
            return 503, {"message": "starting"}
        _, _, _, kind, *rest = path.split("/")
        if method == "GET":
            wanted = {"org": ("name",), "name": ("name",), "db": ("database",), "orgID": ("orgID",)}
            found = [one for one in self.kept[kind] if all(one.get(wanted[key][0]) == value for key, value in query.items())]
            return 200, {"content" if kind == "dbrps" else kind: found}
        if method == "POST":
            made = body | {"id": f"{len(self.kept[kind]) + 1:02x}"}
            if kind == "tasks":
                made["name"] = body["flux"].partition('name: "')[2].partition('"')[0]
            if any(one.get("name") == made.get("name") and kind != "dbrps" for one in self.kept[kind]):
                return 422, {"code": "conflict", "message": "exists"}
            self.kept[kind].append(made)
            return 201, made
        [one] = [one for one in self.kept[kind] if one["id"] == rest[0]]
        one.update(body)
        return 200, one


class _Handler(BaseHTTPRequestHandler):
    server: _Two

    def _serve(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size) or b"{}")
        query = dict(urllib.parse.parse_qsl(parts.query))
        status, said = self.server.answer(self.command, parts.path, query, body, self.headers.get("Authorization", ""))
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = _serve

    def log_message(self, *_arguments: object) -> None:
        """Not into the test's output."""


@contextmanager
def _two() -> Iterator[_Two]:
    server = _Two()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def two() -> Iterator[_Two]:
    with _two() as server:
        yield server


def _series(two: _Two, folder: Path, token: str = "secret", **more: Any) -> Series:
    (folder / "token").write_text(token)
    url = f"http://127.0.0.1:{two.server_address[1]}"
    return Series(flavour="influx2", url=url, org="县", token_file=str(folder / "token"), **more)


def test_influxdb_2_gets_buckets_mappings_and_a_task_once(two: _Two, tmp_path: Path) -> None:
    series = _series(two, tmp_path)
    assert set_up(series) == [
        "made bucket sitekeeper, which keeps 1100 days",
        "made bucket sitekeeper_hourly, which keeps 3660 days",
        "mapped database sitekeeper for InfluxQL",
        "mapped database sitekeeper_hourly for InfluxQL",
        "made task sitekeeper: hourly means",
    ]
    assert set_up(series) == []
    [bucket, hourly] = two.kept["buckets"]
    assert bucket["retentionRules"] == [{"type": "expire", "everySeconds": 1100 * 86_400}]
    assert [(one["database"], one["bucketID"], one["default"]) for one in two.kept["dbrps"]] == [
        ("sitekeeper", bucket["id"], True),
        ("sitekeeper_hourly", hourly["id"], True),
    ]
    [made] = two.kept["tasks"]
    assert made["flux"] == task("sitekeeper", "县") and made["status"] == "active"


def test_what_was_done_half_or_changed_by_hand_is_put_right(two: _Two, tmp_path: Path) -> None:
    series = _series(two, tmp_path)
    set_up(series)
    two.kept["dbrps"].pop()
    two.kept["buckets"][0]["retentionRules"] = []
    two.kept["tasks"][0]["status"] = "inactive"
    assert set_up(series) == [
        "bucket sitekeeper keeps 1100 days now",
        "mapped database sitekeeper_hourly for InfluxQL",
        "renewed task sitekeeper: hourly means",
    ]
    assert set_up(series) == []


def test_a_refusal_is_told_without_the_token(two: _Two, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"401: .*unauthorized access") as caught:
        set_up(_series(two, tmp_path, token="wrong-token"))
    assert "wrong-token" not in str(caught.value)
    two.broken = True
    with pytest.raises(SetupError, match="503"):
        set_up(_series(two, tmp_path))
    with pytest.raises(SetupError, match="nothing to set up"):
        set_up(Series(flavour="victoria", url="http://127.0.0.1:1"))
    with pytest.raises(SetupError, match="does not answer"):
        set_up(Series(flavour="influx1", url="http://127.0.0.1:1"))
