"""What InfluxDB needs before it is written to: bucket or database, retention, hourly means, and a database name for InfluxQL.

Idempotent: what is there as it should be is left alone, and what is changed is told.
https://docs.influxdata.com/influxdb/v2/api/ , https://docs.influxdata.com/influxdb/v1/query_language/manage-database/
"""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from http.client import HTTPException
from pathlib import Path
from typing import Any

from sitekeeper_collector.config import Series
from sitekeeper_collector.series.endpoint import EndpointError, read_token
from sitekeeper_collector.series.schema import RUNG, SITE, TARGET

DAY_S = 86_400
MOST_BYTES = 8 * 1024 * 1024
MEASUREMENTS = (SITE, RUNG, TARGET)
"""Those that have hourly means: the numbers of samples."""
LATE_DAYS = 3
"""How far back hourly means are made anew each hour: for samples that came late."""


class SetupError(RuntimeError):
    """The store can't be set up; the text says why."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: object) -> None:
        """The token is for the configured address."""


class Server:
    """Asks a store over HTTP, with a limit for each answer."""

    def __init__(self, series: Series) -> None:
        self._url, self._timeout_s = series.url.rstrip("/"), series.timeout_s
        context = ssl.create_default_context(cafile=series.ca_file)
        self._opener = urllib.request.build_opener(_NoRedirects(), urllib.request.HTTPSHandler(context=context))
        self._headers = {"Accept": "application/json"} | _credentials(series)

    def ask(self, method: str, path: str, query: dict[str, str] | None = None, body: object = None) -> Any:
        """The answer's JSON, ``None`` where there is none. Raises ``SetupError``."""
        url = self._url + path + ("?" + urllib.parse.urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers | {"Content-Type": "application/json"}
        return self._open(urllib.request.Request(url, data, headers, method=method))  # noqa: S310 - http(s), as configured

    def influxql(self, statement: str, **parameters: str) -> list[Any]:
        """The results of InfluxQL. Raises ``SetupError``."""
        data = urllib.parse.urlencode({"q": statement, **parameters}).encode()
        request = urllib.request.Request(f"{self._url}/query", data, self._headers, method="POST")  # noqa: S310 - as above
        answer = self._open(request)
        results = answer.get("results", []) if isinstance(answer, dict) else []
        for result in results:
            if isinstance(result, dict) and "error" in result:
                raise SetupError(f"the store refuses {statement[:60]!r}: {str(result['error'])[:300]}")
        return list(results)

    def _open(self, request: urllib.request.Request) -> Any:
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                content = answer.read(MOST_BYTES + 1)
        except urllib.error.HTTPError as err:
            with err:
                said = err.read(2000).decode("utf-8", "replace")
            raise SetupError(f"the store answers {err.code}: {said[:300].strip()}") from err
        except (OSError, HTTPException) as err:
            raise SetupError(f"the store does not answer: {err}") from err
        if len(content) > MOST_BYTES:
            raise SetupError("the store's answer is larger than any that makes sense")
        try:
            return json.loads(content) if content.strip() else None
        except (ValueError, RecursionError) as err:
            raise SetupError("the store's answer is no JSON; is the address right?") from err


def _credentials(series: Series) -> dict[str, str]:
    try:
        if series.token_file is not None:
            return {"Authorization": f"Token {read_token(Path(series.token_file))}"}
        if series.password_file is not None:
            pair = f"{series.username}:{read_token(Path(series.password_file))}"
            return {"Authorization": "Basic " + b64encode(pair.encode()).decode()}
    except EndpointError as err:
        raise SetupError(str(err)) from err
    return {}


def set_up(series: Series) -> list[str]:
    """Make in the configured store what is missing; what was changed, line by line. Raises ``SetupError``."""
    if series.flavour == "influx2":
        return _Two(series).set_up()
    if series.flavour == "influx1":
        return _One(series).set_up()
    raise SetupError(f"flavour {series.flavour}: there is nothing to set up; only InfluxDB has to be")


# --- InfluxDB 2 --------------------------------------------------------------------------------------------------------


class _Two:
    def __init__(self, series: Series) -> None:
        self._series, self._server = series, Server(series)
        self._changed: list[str] = []

    def set_up(self) -> list[str]:
        series = self._series
        org = self._org()
        bucket = self._bucket(org, series.bucket, series.keep_days)
        hours = self._bucket(org, hourly_bucket(series.bucket), series.keep_hours_days)
        self._mapping(org, series.bucket, bucket, "autogen")
        self._mapping(org, hourly_bucket(series.bucket), hours, "autogen")
        self._task(org)
        return self._changed

    def _org(self) -> str:
        found = _items(self._server.ask("GET", "/api/v2/orgs", {"org": self._series.org}), "orgs")
        for org in found:
            if org.get("name") == self._series.org:
                return _id(org)
        raise SetupError(f"the store knows no organization {self._series.org!r}, or the token may not see it")

    def _bucket(self, org: str, name: str, days: int) -> str:
        rules = [{"type": "expire", "everySeconds": days * DAY_S}]
        found = _items(self._server.ask("GET", "/api/v2/buckets", {"orgID": org, "name": name}), "buckets")
        known = next((bucket for bucket in found if bucket.get("name") == name), None)
        if known is None:
            body = {"orgID": org, "name": name, "retentionRules": rules}
            made = self._server.ask("POST", "/api/v2/buckets", body=body)
            self._changed.append(f"made bucket {name}, which keeps {days} days")
            return _id(made)
        kept = [rule.get("everySeconds") for rule in known.get("retentionRules") or () if isinstance(rule, dict)]
        if kept != [days * DAY_S]:
            self._server.ask("PATCH", f"/api/v2/buckets/{_id(known)}", body={"retentionRules": rules})
            self._changed.append(f"bucket {name} keeps {days} days now")
        return _id(known)

    def _mapping(self, org: str, database: str, bucket: str, policy: str) -> None:
        found = _items(self._server.ask("GET", "/api/v2/dbrps", {"orgID": org, "db": database}), "content")
        mine = [one for one in found if one.get("database") == database and not one.get("virtual")]
        for one in mine:
            if one.get("bucketID") == bucket and one.get("default"):
                return
        body = {"orgID": org, "bucketID": bucket, "database": database, "retention_policy": policy, "default": True}
        same = next((one for one in mine if one.get("retention_policy") == policy), None)
        if same is not None and same.get("bucketID") == bucket:
            change = {"default": True, "retention_policy": policy}
            self._server.ask("PATCH", f"/api/v2/dbrps/{_id(same)}", {"orgID": org}, change)
        elif same is not None:
            raise SetupError(
                f"database {database}/{policy} is mapped to another bucket; remove that mapping (`influx v1 dbrp delete`)"
            )
        else:
            self._server.ask("POST", "/api/v2/dbrps", body=body)
        self._changed.append(f"mapped database {database} for InfluxQL")

    def _task(self, org: str) -> None:
        name = task_name(self._series.bucket)
        flux = task(self._series.bucket, self._series.org)
        found = _items(self._server.ask("GET", "/api/v2/tasks", {"orgID": org, "name": name}), "tasks")
        known = next((one for one in found if one.get("name") == name), None)
        if known is None:
            self._server.ask("POST", "/api/v2/tasks", body={"orgID": org, "flux": flux, "status": "active"})
            self._changed.append(f"made task {name}")
        elif known.get("flux") != flux or known.get("status") != "active":
            self._server.ask("PATCH", f"/api/v2/tasks/{_id(known)}", body={"flux": flux, "status": "active"})
            self._changed.append(f"renewed task {name}")


def _items(answer: Any, key: str) -> list[dict[str, Any]]:
    found = answer.get(key) if isinstance(answer, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _id(thing: Any) -> str:
    found = thing.get("id") if isinstance(thing, dict) else None
    if not isinstance(found, str) or not found.isalnum():
        raise SetupError("the store's answer lacks an id; is this InfluxDB 2?")
    return found


def hourly_bucket(bucket: str) -> str:
    """Where the hourly means of a bucket's samples are."""
    return f"{bucket}_hourly"


def task_name(bucket: str) -> str:
    """The task that makes them."""
    return f"{bucket}: hourly means"


def task(bucket: str, org: str) -> str:
    """Flux that makes the hourly means of the last days. Fields are named as InfluxQL's ``mean(*)`` names them."""
    wanted = " or ".join(f'r._measurement == "{one.name}"' for one in MEASUREMENTS)
    return f"""\
option task = {{name: {json.dumps(task_name(bucket))}, every: 1h, offset: 10m}}

from(bucket: {json.dumps(bucket)})
    |> range(start: -{LATE_DAYS}d)
    |> filter(fn: (r) => {wanted})
    |> aggregateWindow(every: 1h, fn: mean, createEmpty: false, timeSrc: "_start")
    |> map(fn: (r) => ({{r with _field: "mean_" + r._field}}))
    |> to(bucket: {json.dumps(hourly_bucket(bucket))}, org: {json.dumps(org, ensure_ascii=False)})
"""


# --- InfluxDB 1 --------------------------------------------------------------------------------------------------------


class _One:
    def __init__(self, series: Series) -> None:
        self._series, self._server = series, Server(series)
        self._database, _, self._policy = series.bucket.partition("/")
        self._policy = self._policy or "autogen"
        self._changed: list[str] = []

    def set_up(self) -> list[str]:
        database = self._database
        if database not in self._column("SHOW DATABASES", "name"):
            self._server.influxql(f"CREATE DATABASE {_quoted(database)}")
            self._changed.append(f"made database {database}")
        self._retain(self._policy, self._series.keep_days, default=True)
        self._retain("hourly", self._series.keep_hours_days, default=False)
        for measurement in MEASUREMENTS:
            self._query(measurement.name)
        return self._changed

    def _retain(self, policy: str, days: int, *, default: bool) -> None:
        columns = ("name", "duration", "default")
        found = {row[0]: row[1:] for row in self._rows(f"SHOW RETENTION POLICIES ON {_quoted(self._database)}", *columns)}
        if found.get(policy) == (f"{days * 24}h0m0s", default):
            return
        verb = "ALTER" if policy in found else "CREATE"
        shard = "" if verb == "ALTER" else " REPLICATION 1"
        last = " DEFAULT" if default else ""
        whose = f"{_quoted(policy)} ON {_quoted(self._database)}"
        self._server.influxql(f"{verb} RETENTION POLICY {whose} DURATION {days}d{shard} SHARD DURATION 7d{last}")
        self._changed.append(f"policy {policy} keeps {days} days now")

    def _query(self, measurement: str) -> None:
        name, where = f"sitekeeper_{measurement}_hourly", _quoted(self._database)
        statement = (
            f"CREATE CONTINUOUS QUERY {name} ON {where} RESAMPLE EVERY 1h FOR {LATE_DAYS}d BEGIN "  # noqa: S608 - configured names, checked
            f"SELECT mean(*) INTO {where}.hourly.{measurement} FROM {where}.{_quoted(self._policy)}.{measurement} "
            "GROUP BY time(1h), * END"
        )
        known = dict(self._rows("SHOW CONTINUOUS QUERIES", "name", "query", of=self._database))
        if name in known:
            if _bare(str(known[name])) == _bare(statement):
                return
            self._server.influxql(f"DROP CONTINUOUS QUERY {name} ON {where}")
        self._server.influxql(statement)
        self._changed.append(f"made continuous query {name}")

    def _column(self, statement: str, name: str) -> list[Any]:
        return [row[0] for row in self._rows(statement, name)]

    def _rows(self, statement: str, *names: str, of: str | None = None) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for result in self._server.influxql(statement):
            for series in _items(result, "series"):
                columns = series.get("columns")
                if isinstance(columns, list) and set(names) <= set(columns) and of in (None, series.get("name")):
                    at = [columns.index(name) for name in names]
                    rows += [tuple(values[place] for place in at) for values in series.get("values") or ()]
        return rows


def _quoted(name: str) -> str:
    """As configured names are letters, digits, dots, - and _, nothing in them needs more."""
    return f'"{name}"'


def _bare(statement: str) -> str:
    """A statement without what the store writes in another way: quotation marks, blanks, 3d for 72h."""
    return (
        statement.replace('"', "").replace(" ", "").replace(f"FOR{LATE_DAYS}d", "").replace(f"FOR{LATE_DAYS * 24}h", "").lower()
    )
