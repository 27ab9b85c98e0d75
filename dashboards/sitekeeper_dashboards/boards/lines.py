"""Lines and telecom service: how long lines were out, how soon they were repaired, and which come again."""

from sitekeeper_dashboards import influxql as q
from sitekeeper_dashboards.boards import common
from sitekeeper_dashboards.model import Board, Look, Options, Panel, Query, Row, Sums
from sitekeeper_dashboards.words import Words

OUT = ("line",)
OUTAGE = "\"was\" = 'line'"
TELECOM = "\"party\" = 'telecom'"
REPAIRED = f'{TELECOM} AND "outage_s" > 0 AND "resolved_ms" >= {q.FROM_MS} AND "resolved_ms" < {q.TO_MS}'
SINCE = f"time >= {q.FROM_MS}ms - {q.LONG} AND time < {q.TO_MS}ms"


def _outage() -> Panel:
    return Panel(
        key="outage_time",
        look=Look.STAT,
        title=("线路中断总时长", "Time without a line"),
        description=(
            "所选站点线路中断的时间之和，按台账，截到时间范围两端。只算现场证实的。",
            "Time that the lines of the chosen sites were down, added up, by the ledger, cut at both ends of the "
            "range. Only what the site proves counts.",
        ),
        queries=(Query(text=q.times({"seconds": OUT}, 'SUM("seconds") AS "seconds"'), columns=("seconds",)),),
        unit="s",
        width=6,
        height=5,
        names={"seconds": ("中断", "out")},
        steps=common.HOURS_OF_OUTAGE,
    )


def _repaired() -> Panel:
    return Panel(
        key="repaired",
        look=Look.STAT,
        title=("修复与时限", "Repairs and limits"),
        description=(
            "时间范围内恢复的运营商工单：张数，以及中断超过 48 小时（乡镇）和 72 小时（村）的张数。",
            "Telecom's tickets resolved within the range: how many, and how many of outages longer than 48 h (towns) and 72 h "
            "(villages).",
        ),
        queries=(
            Query(
                text=q.counts(
                    "ticket",
                    "outage_s",
                    {
                        "repaired": f"{REPAIRED} AND {SINCE}",
                        "over_48h": f'{REPAIRED} AND "outage_s" > 172800 AND {SINCE}',
                        "over_72h": f'{REPAIRED} AND "outage_s" > 259200 AND {SINCE}',
                    },
                ),
                columns=("repaired", "over_48h", "over_72h"),
            ),
        ),
        unit="none",
        width=10,
        height=5,
        names={
            "repaired": ("已恢复", "resolved"),
            "over_48h": ("超过 48 小时", "over 48 h"),
            "over_72h": ("超过 72 小时", "over 72 h"),
        },
    )


def _percentiles() -> Panel:
    what = 'PERCENTILE("outage_s", 50) AS "p50", PERCENTILE("outage_s", 90) AS "p90"'
    return Panel(
        key="repair_percentiles",
        look=Look.STAT,
        title=("修复时间", "Time to repair"),
        description=(
            "时间范围内恢复的运营商工单，从中断开始到最后恢复：一半在中位数以内，九成在 90% 以内。没有修复就没有数据。",
            "Telecom's tickets resolved within the range, from the first beginning to the last end: half within the "
            "median, nine of ten within the 90th percentile. No repair, no data.",
        ),
        queries=(
            Query(
                text=q.select(what, "ticket", f"{q.VALID} AND {q.SITES} AND {REPAIRED} AND {SINCE}"),
                columns=("p50", "p90"),
            ),
        ),
        unit="s",
        width=8,
        height=5,
        steps=common.CLOCKS,
    )


def _by_day(options: Options) -> Panel:
    where = f"{q.VALID} AND {q.SITES} AND {OUTAGE} AND {q.IN_RANGE}"
    return Panel(
        key="outage_by_day",
        look=Look.GRAPH,
        title=("每天线路中断的时间", "Time without a line, day by day"),
        description=(
            "每天所有所选站点线路中断的时间之和。台账在每天零点分段，所以每段只属于一天。没有中断的日子是 0。",
            "Time that the lines of the chosen sites were down on each day, added up. Midnights cut the ledger, so each part "
            "belongs to one day. Days without an outage are 0.",
        ),
        queries=(
            Query(
                text=q.select('SUM("duration_s") AS "seconds"', "ledger", where, "time(1d)", f"fill(0) tz('{options.zone}')"),
                columns=("seconds",),
                alias="$col",
            ),
        ),
        unit="s",
        width=24,
        names={"seconds": ("线路中断", "line down")},
        bars=True,
    )


def _by_month(options: Options) -> Panel:
    day = _by_day(options)
    return Panel(
        key="outage_by_month",
        look=Look.TABLE,
        title=("线路中断：按月", "Line down by month"),
        description=(
            "每天的中断时间在 Grafana 里按月相加。时间范围之外的日子不算，所以两端的月份可能不全。",
            "The days' times added up by month in Grafana. Days outside of the range don't count, so the months at its "
            "ends may not be whole.",
        ),
        queries=(Query(text=day.queries[0].text, columns=("seconds",)),),
        unit="s",
        width=8,
        height=10,
        sums=Sums(by="Time", of=("seconds",), months=True),
        timed=True,
    )


def _places(by: str, title: Words) -> Panel:
    places = ", ".join(f'LAST("{name}") AS "{name}"' for name in ("county", "township", "access_node"))
    extra = ', "county", "township", "access_node"'
    text = q.outer(f'SUM("seconds") AS "seconds", {places}', *q.pieces("seconds", OUTAGE, extra=extra), group='"site"')
    return Panel(
        key=f"outage_by_{by}",
        look=Look.TABLE,
        title=title,
        description=(
            "各站点线路中断的时间，在 Grafana 里相加；站点按最近一次中断时所在的位置算。没有中断的不列出。",
            "Time that lines were down, site by site, added up in Grafana; a site counts where it was at its latest "
            "outage. What had no outage is not listed.",
        ),
        queries=(Query(text=text, columns=("site", "seconds", "county", "township", "access_node")),),
        unit="s",
        width=8,
        height=10,
        sums=Sums(by=by, of=("seconds",)),
    )


def _repair_by_node() -> Panel:
    what = '"outage_s", "access_node", "township", "kind", "site", "number"'
    return Panel(
        key="longest_repairs",
        look=Look.TABLE,
        title=("修得最久的 50 张工单", "The 50 longest repairs"),
        description=(
            "时间范围内恢复的运营商工单，中断最长的在前。",
            "Telecom's tickets resolved within the range, the longest outages first.",
        ),
        queries=(
            Query(
                text=q.outer(
                    'TOP("outage_s", 50) AS "outage_s", "access_node", "township", "kind", "site", "number"',
                    q.select(what, "ticket", f"{q.VALID} AND {q.SITES} AND {REPAIRED} AND {SINCE}"),
                ),
                columns=("outage_s", "access_node", "township", "kind", "site", "number"),
            ),
        ),
        unit="none",
        width=16,
        height=10,
        timed=True,
        units={"outage_s": "s"},
        mapped={"kind": "kind"},
    )


def _offenders() -> Panel:
    counted = q.select('COUNT("duration_s") AS "n"', "fault", f"{q.VALID} AND {q.SITES} AND {_FAULTS}", '"site"')
    return Panel(
        key="repeat_offenders",
        look=Look.TABLE,
        title=("反复中断的 20 个站点", "The 20 sites with most outages"),
        description=(
            "时间范围内开始的线路故障（线路中断、疑似、质量差）次数最多的站点。",
            "The sites with most faults of the line (down, suspected, degraded) that began within the range.",
        ),
        queries=(Query(text=q.outer('TOP("n", "site", 20) AS "outages"', counted), columns=("outages", "site")),),
        unit="none",
        width=8,
        height=10,
    )


_FAULTS = f"{q.one_of('kind', ('line_down', 'line_suspected', 'line_degraded'))} AND {q.IN_RANGE}"


def board(options: Options) -> Board:
    """What to take along to the carrier."""
    return Board(
        key="lines",
        title=("线路与运营商服务", "Lines and telecom service"),
        description=(
            "线路断了多久、多久修好、哪里反复断。",
            "How long lines were down, how soon they were repaired, and where it comes again.",
        ),
        rows=(
            Row(title=("合计", "Sums"), panels=(_outage(), _repaired(), _percentiles(), _by_day(options))),
            Row(
                title=("哪里", "Where"),
                panels=(
                    _places("access_node", ("线路中断：按接入点", "Line down by access node")),
                    _places("township", ("线路中断：按乡镇", "Line down by township")),
                    _offenders(),
                ),
            ),
            Row(title=("修复", "Repairs"), panels=(_repair_by_node(), _by_month(options))),
        ),
        from_="now-30d",
        refresh="",
    )
