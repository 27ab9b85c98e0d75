"""Tickets: what is open, since when, whose job it is, and how fast tickets go."""

from sitekeeper_dashboards import influxql as q
from sitekeeper_dashboards.boards import common
from sitekeeper_dashboards.model import Board, Look, Options, Panel, Query, Row, Sums

PENDING = f"{q.one_of('state', ('open', 'acknowledged'))} AND time > {q.TO_MS}ms - {q.LONG} AND time < {q.TO_MS}ms"
SINCE = f"time >= {q.FROM_MS}ms - {q.LONG} AND time < {q.TO_MS}ms"


def _now() -> Panel:
    since = f"time > {q.TO_MS}ms - {q.LONG} AND time < {q.TO_MS}ms"
    columns = {
        "open": f"\"state\" = 'open' AND {since}",
        "acknowledged": f"\"state\" = 'acknowledged' AND {since}",
        "reopened": f'"reopened" > 0 AND {PENDING}',
    }
    return Panel(
        key="pending",
        look=Look.STAT,
        title=("未恢复的工单", "Tickets that are not resolved"),
        description=(
            "现在待接单、处理中，以及其中重开过的工单数。",
            "Tickets open or acknowledged now, and those of them that were opened again.",
        ),
        queries=(Query(text=q.counts("ticket", "outage_s", columns), columns=tuple(columns)),),
        unit="none",
        width=12,
        height=5,
        names={"open": ("待接单", "open"), "acknowledged": ("处理中", "acknowledged"), "reopened": ("重开过", "opened again")},
        steps=common.NONE_IS_GOOD,
    )


def _flow() -> Panel:
    columns = {
        "opened": q.IN_RANGE,
        "resolved": f'"resolved_ms" >= {q.FROM_MS} AND "resolved_ms" < {q.TO_MS} AND {SINCE}',
        "closed": f'"closed_ms" >= {q.FROM_MS} AND "closed_ms" < {q.TO_MS} AND {SINCE}',
    }
    return Panel(
        key="flow",
        look=Look.STAT,
        title=("进出", "In and out"),
        description=("时间范围内开、恢复、关闭的工单数。", "Tickets opened, resolved and closed within the range."),
        queries=(Query(text=q.counts("ticket", "outage_s", columns), columns=tuple(columns)),),
        unit="none",
        width=12,
        height=5,
        names={"opened": ("新开", "opened"), "resolved": ("已恢复", "resolved"), "closed": ("已关闭", "closed")},
    )


def _by_day(options: Options) -> Panel:
    where = f"{q.VALID} AND {q.SITES} AND {q.IN_RANGE}"
    return Panel(
        key="opened_by_day",
        look=Look.GRAPH,
        title=("每天新开的工单", "Tickets opened on each day"),
        description=("没有新工单的日子是 0。", "Days without a new ticket are 0."),
        queries=(
            Query(
                text=q.select('COUNT("outage_s") AS "opened"', "ticket", where, "time(1d)", f"fill(0) tz('{options.zone}')"),
                columns=("opened",),
                alias="$col",
            ),
        ),
        unit="none",
        width=12,
        names={"opened": ("新开", "opened")},
        bars=True,
    )


def _by_kind() -> Panel:
    text = q.select('"outage_s" * 0 + 1 AS "tickets", "kind"', "ticket", f"{q.VALID} AND {q.SITES} AND {q.IN_RANGE}")
    return Panel(
        key="opened_by_kind",
        look=Look.TABLE,
        title=("新开的工单：按故障", "Tickets opened by fault"),
        description=(
            "时间范围内开的工单，在 Grafana 里按故障种类相加。",
            "Tickets opened within the range, added up by fault in Grafana.",
        ),
        queries=(Query(text=text, columns=("tickets", "kind")),),
        unit="none",
        width=12,
        mapped={"kind": "kind"},
        names={"tickets": ("工单数", "tickets")},
        sums=Sums(by="kind", of=("tickets",)),
    )


def _list() -> Panel:
    names = (
        "number",
        "kind",
        "party",
        "grade",
        "severity",
        "state",
        "county",
        "township",
        "access_node",
        "site",
        "acknowledged_ms",
    )
    what = ", ".join(f'"{name}"' for name in names)
    return Panel(
        key="oldest",
        look=Look.TABLE,
        title=("未恢复的工单（最早的 200 张）", "Tickets that are not resolved (the oldest 200)"),
        description=(
            "待接单和处理中的工单，最早的在前。点工单号打开控制台，点站点打开站点页。",
            "Open and acknowledged tickets, the oldest first. Numbers lead to the console, sites to the site's page.",
        ),
        queries=(
            Query(
                text=q.select(what, "ticket", f"{q.VALID} AND {q.SITES} AND {PENDING}", end="ORDER BY time ASC LIMIT 200"),
                columns=names,
            ),
        ),
        unit="none",
        width=24,
        height=12,
        timed=True,
        units={"acknowledged_ms": "dateTimeAsIso"},
        mapped={"kind": "kind", "party": "party", "grade": "grade", "severity": "severity", "state": "ticket_state"},
    )


def board(options: Options) -> Board:
    """What somebody has to do."""
    return Board(
        key="tickets",
        title=("工单", "Tickets"),
        description=("谁该做什么，等了多久。", "Who has to do what, and since when."),
        rows=(
            Row(title=("现在", "Now"), panels=(_now(), _flow(), _list())),
            Row(title=("种类与走势", "Kinds and course"), panels=(_by_day(options), _by_kind())),
        ),
        from_="now-30d",
    )
