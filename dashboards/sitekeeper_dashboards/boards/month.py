"""Month: the figures that county offices ask for, from the same ledger as the monthly sheet."""

from sitekeeper_dashboards import influxql as q
from sitekeeper_dashboards.boards import common
from sitekeeper_dashboards.model import Board, Look, Options, Panel, Query, Row, Step
from sitekeeper_dashboards.words import Colour, parties

IN_TIME = "$timeFilter"
SINCE = f"time >= {q.FROM_MS}ms - {q.LONG} AND time < {q.TO_MS}ms"
RESOLVED = f'"outage_s" > 0 AND "resolved_ms" >= {q.FROM_MS} AND "resolved_ms" < {q.TO_MS} AND {SINCE}'


def _online() -> Panel:
    return Panel(
        key="online_rate",
        look=Look.STAT,
        title=("在线率", "Online rate"),
        description=(
            "正常（含质量不佳）的时间，除以它与线路、网关、网线、平台故障时间之和。关机、断电、未知都不在分母里：看不到的不算好也不算坏。",
            "Time up (or degraded), divided by that and the time in which line, gateway, cable or platform was at fault. Off, "
            "without power and unknown are left out: what can't be seen counts neither way.",
        ),
        queries=(
            Query(
                text=q.times({"up": q.ONLINE, "known": (*q.ONLINE, *q.BROKEN)}, 'SUM("up") / SUM("known") AS "ratio"'),
                columns=("ratio",),
            ),
        ),
        unit="percentunit",
        width=6,
        height=6,
        names={"ratio": ("在线率", "online")},
        steps=common.RATE,
    )


def _intact() -> Panel:
    return Panel(
        key="intact_rate",
        look=Look.STAT,
        title=("设备完好率", "Equipment intact rate"),
        description=(
            "在的设备除以应有并能查看的设备，按样本平均。没有登记设备的站点不算。",
            "Items that are there, divided by those that are expected and can be looked for, over all samples. Sites without "
            "expected items don't count.",
        ),
        queries=(
            Query(
                text=q.select(
                    '(SUM("equipment_expected") - SUM("equipment_absent")) / SUM("equipment_expected") AS "ratio"',
                    "site",
                    f"{q.SITES} AND {IN_TIME}",
                ),
                columns=("ratio",),
            ),
        ),
        unit="percentunit",
        width=6,
        height=6,
        names={"ratio": ("完好率", "intact")},
        steps=common.RATE,
    )


def _unknown() -> Panel:
    return Panel(
        key="unknown_share",
        look=Look.STAT,
        title=("未知占比", "Share of unknown"),
        description=(
            "台账里没有人能证实的时间（未知、中心未能观察、疑似线路）占全部时间的比例。这不是故障。",
            "Time in the ledger that nobody can prove anything of (unknown, centre blind, line suspected), as a share "
            "of all. It is no fault.",
        ),
        queries=(
            Query(
                text=q.times({"unknown": q.UNKNOWN, "all": ()}, 'SUM("unknown") / SUM("all") AS "ratio"'),
                columns=("ratio",),
            ),
        ),
        unit="percentunit",
        width=6,
        height=6,
        names={"ratio": ("未知", "unknown")},
        steps=common.UNKNOWN_SHARE,
    )


def _corrections() -> Panel:
    what = f'"void" = true AND {q.SITES} AND {q.IN_RANGE}'
    text = q.outer(
        'SUM("n") AS "corrections"',
        q.outer('"d" * 0 + 1 AS "n"', q.select('"duration_s" AS "d"', "ledger", what)),
        q.outer('"d" * 0 AS "n"', q.last_states()),
    )
    return Panel(
        key="corrections",
        look=Look.STAT,
        title=("更正", "Corrections"),
        description=(
            "时间范围内事后被更正、因而作废的台账段数。作废的不计入任何时长。",
            "Parts of the ledger within the range that were put right later and hold no more. No time is counted from them.",
        ),
        queries=(Query(text=text, columns=("corrections",)),),
        unit="none",
        width=6,
        height=6,
        names={"corrections": ("更正", "corrections")},
        steps=(Step(at=None, colour=Colour.AWAY),),
    )


def _repairs() -> Panel:
    columns = {party: f"\"party\" = '{party}' AND {RESOLVED}" for party in parties()}
    return Panel(
        key="repairs_by_party",
        look=Look.BARS,
        title=("恢复的工单：按责任方", "Tickets resolved by whose job"),
        description=("时间范围内证实恢复的工单数。", "Tickets whose recovery was proven within the range."),
        queries=(Query(text=q.counts("ticket", "outage_s", columns), columns=tuple(columns)),),
        unit="none",
        width=8,
        height=9,
    )


def _repair_times() -> Panel:
    what = 'PERCENTILE("outage_s", 50) AS "p50", PERCENTILE("outage_s", 90) AS "p90"'
    return Panel(
        key="repair_times",
        look=Look.STAT,
        title=("修复时间", "Time to repair"),
        description=(
            "时间范围内恢复的所有工单，从故障开始到最后结束。没有修复就没有数据。",
            "All tickets resolved within the range, from the first beginning of the fault to its last end. No repair, no data.",
        ),
        queries=(Query(text=q.select(what, "ticket", f"{q.VALID} AND {q.SITES} AND {RESOLVED}"), columns=("p50", "p90")),),
        unit="s",
        width=8,
        height=9,
        steps=common.CLOCKS,
    )


def _never() -> Panel:
    zeros = q.outer('"d" * 0 AS "s"', q.last_states(), group='"site"')
    of_site = q.outer('SUM("s") AS "s"', *q.pieces("s", q.one_of("was", q.ONLINE)), zeros, group='"site"')
    named = q.outer('"s" * 1.0 AS "seconds"', of_site, where='"s" <= 0', group='"site"', end="SLIMIT 200")
    return Panel(
        key="never_up",
        look=Look.TABLE,
        title=("一次也没有在线的站点（最多 200 个）", "Sites not once up (at most 200)"),
        description=(
            "在整个时间范围内没有一刻证实在线的站点，不论原因（也许一直关机）。要看连续两个月停用的站点，点上面的“最近两个月”。",
            "Sites that were at no instant of the range proven up, for whatever reason (perhaps switched off). For "
            "sites out two months running, take the link 'Last two months' above.",
        ),
        queries=(Query(text=named, columns=("site", "seconds")),),
        unit="s",
        width=8,
        height=9,
    )


def _use() -> Panel:
    days = q.select('MAX("day_in_use_s") AS "s"', "site", f"{q.SITES} AND {IN_TIME}", 'time(1d), "site"', "fill(none)")
    return Panel(
        key="use",
        look=Look.STAT,
        title=("使用", "Use"),
        description=(
            "所选站点使用的时间之和，由站点自己计。不排名。",
            "Time in use of the chosen sites, as they count it, added up. Never a ranking.",
        ),
        queries=(Query(text=q.outer('SUM("s") AS "used"', days), columns=("used",)),),
        unit="s",
        width=24,
        height=5,
        names={"used": ("使用", "in use")},
    )


def board(options: Options) -> Board:
    """By default last month, whole."""
    use = (Row(title=("使用", "Use"), panels=(_use(),)),) if options.use else ()
    return Board(
        key="month",
        title=("月度", "Month"),
        description=("月报的数字，默认上一个月。", "The figures of the monthly sheet, by default of last month."),
        rows=(
            Row(title=("比率", "Rates"), panels=(_online(), _intact(), _unknown(), _corrections())),
            Row(title=("故障与修复", "Faults and repairs"), panels=(_repairs(), _repair_times(), _never())),
            *use,
        ),
        from_="now-1M/M",
        to="now-1M/M",
        refresh="",
    )
