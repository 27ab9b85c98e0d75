"""County overview: how many sites are up, in trouble, off or dark, where, and who is on it."""

from sitekeeper_dashboards import influxql as q
from sitekeeper_dashboards.boards import common
from sitekeeper_dashboards.model import Board, Look, Options, Panel, Query, Row
from sitekeeper_dashboards.words import Colour, parties

STATES = {"up": q.ONLINE, "trouble": q.BROKEN, "away": q.AWAY, "unknown": q.UNKNOWN}
COLOURS = {
    "up": Colour.GOOD,
    "trouble": Colour.FAULT,
    "away": Colour.AWAY,
    "unknown": Colour.UNKNOWN,
    "sites": Colour.PLAIN,
}
DARK = q.one_of("kind", ("site_dark", "line_suspected"))
LASTS = f'"lasting" = true AND time > {q.TO_MS}ms - {q.LONG}'
PENDING = f"{q.one_of('state', ('open', 'acknowledged'))} AND time > {q.TO_MS}ms - {q.LONG}"
AGES = (("to_1d", "0d", "1d"), ("to_3d", "1d", "3d"), ("to_7d", "3d", "7d"), ("over_7d", "7d", q.LONG))
"""Column, younger end, older end."""


def _states() -> Panel:
    return Panel(
        key="states",
        look=Look.STAT,
        title=("站点状态", "Sites by state"),
        description=(
            "时间范围末尾各状态的站点数。“关机”含推定关机和断电，不是故障；“未知”是没有人能证实的，也不是故障。"
            "正常含质量不佳。0 是真的没有；“无数据”是台账里一个站点也没有。",
            "Sites in each state at the end of the time range. Off includes presumed off and power lost and is no "
            "fault; unknown is what nobody can prove, no fault either. Up includes degraded. 0 means none; no data "
            "means that the ledger holds no site at all.",
        ),
        queries=(Query(text=q.sites_by_state(STATES), columns=(*STATES, "sites")),),
        unit="none",
        width=18,
        height=4,
        colours=COLOURS,
    )


def _dark() -> Panel:
    return Panel(
        key="dark",
        look=Look.STAT,
        title=("现在失联", "Dark now"),
        description=(
            "上课或播放中途断了联系、或按县里的规则早该有消息的站点：有未结束的“站点失联”或“疑似线路”故障。推定关机不算。",
            "Sites that went silent in a class or a play, or should have been heard of by the county's rules: with a fault "
            "'site dark' or 'line suspected' that lasts. Presumed off does not count.",
        ),
        queries=(Query(text=q.counts("fault", "duration_s", {"dark": f"{DARK} AND {LASTS}"}), columns=("dark",)),),
        unit="none",
        width=6,
        height=4,
        names={"dark": ("失联", "dark")},
        steps=common.NONE_IS_GOOD,
    )


def _grid() -> Panel:
    return Panel(
        key="township",
        look=Look.STAT,
        title=("$township", "$township"),
        description=(
            "这个乡镇在时间范围末尾各状态的站点数。灰蓝和灰色不是故障。",
            "The township's sites in each state at the end of the time range. Blue-grey and grey are no faults.",
        ),
        queries=(Query(text=q.sites_by_state(STATES), columns=(*STATES, "sites")),),
        unit="none",
        width=6,
        height=4,
        colours=COLOURS,
        repeat="township",
    )


def _worst() -> Panel:
    return Panel(
        key="worst",
        look=Look.TABLE,
        title=("故障时间最长的 20 个站点", "The 20 sites with most time in faults"),
        description=(
            "时间范围内线路、网关、本机网线或平台有故障的时间，按台账，截到范围两端。",
            "Time within the range in which line, gateway, cable or platform was at fault, by the ledger, cut at both ends.",
        ),
        queries=(Query(text=q.time_of_sites(q.BROKEN, 20), columns=("seconds", "site", "county", "township", "access_node")),),
        unit="s",
        width=12,
        height=10,
        steps=common.HOURS_OF_OUTAGE,
    )


def _by_party() -> Panel:
    columns = {party: f"\"party\" = '{party}' AND {PENDING}" for party in parties()}
    return Panel(
        key="tickets_by_party",
        look=Look.BARS,
        title=("未恢复的工单：按责任方", "Open tickets by whose job"),
        description=("现在待接单和处理中的工单数。", "Tickets that are open or acknowledged now."),
        queries=(Query(text=q.counts("ticket", "outage_s", columns), columns=tuple(columns)),),
        unit="none",
        width=6,
        height=10,
        steps=common.NONE_IS_GOOD,
    )


def _by_age() -> Panel:
    columns = {
        name: f"{q.one_of('state', ('open', 'acknowledged'))} AND time <= {q.TO_MS}ms - {young} AND time > {q.TO_MS}ms - {old}"
        for name, young, old in AGES
    }
    return Panel(
        key="tickets_by_age",
        look=Look.BARS,
        title=("未恢复的工单：按时间", "Open tickets by age"),
        description=(
            "从开单到时间范围末尾。待接单和处理中的都算。",
            "From opening to the end of the time range. Open and acknowledged ones count.",
        ),
        queries=(Query(text=q.counts("ticket", "outage_s", columns), columns=tuple(columns)),),
        unit="none",
        width=6,
        height=10,
        names={
            "to_1d": ("1 天以内", "up to 1 day"),
            "to_3d": ("1–3 天", "1 to 3 days"),
            "to_7d": ("3–7 天", "3 to 7 days"),
            "over_7d": ("7 天以上", "over 7 days"),
        },
        steps=common.NONE_IS_GOOD,
    )


def _areas() -> Panel:
    what = '"duration_s", "lasting", "party", "county", "township", "access_node", "site"'
    return Panel(
        key="area_outages",
        look=Look.TABLE,
        title=("片区中断（最近 50 次）", "Area outages (the latest 50)"),
        description=(
            "同一接入点、供电线路或乡镇的多个站点同时失去联系。仍在持续的时长显示为 0。",
            "Several sites of one access node, feeder or township lost at once. The time of those that last is shown as 0.",
        ),
        queries=(
            Query(
                text=q.select(
                    what,
                    "fault",
                    f"{q.VALID} AND {q.SITES} AND \"kind\" = 'area_outage' AND {q.IN_RANGE}",
                    end="ORDER BY time DESC LIMIT 50",
                ),
                columns=("duration_s", "lasting", "party", "county", "township", "access_node", "site"),
            ),
        ),
        unit="none",
        width=24,
        timed=True,
        units={"duration_s": "s"},
        mapped={"party": "party", "lasting": "yes"},
    )


def board(options: Options) -> Board:
    """The first one that a technician opens."""
    rows = [
        Row(title=("现在", "Now"), panels=(_states(), _dark())),
        Row(title=("谁在处理什么", "Who is on what"), panels=(_worst(), _by_party(), _by_age(), _areas())),
        Row(title=("各乡镇", "By township"), panels=(_grid(),), folded=True),
    ]
    return Board(
        key="county",
        title=("县域总览", "County overview"),
        description=(
            "哪些站点正常、有故障、关机或失联，谁在处理。",
            "Which sites are up, in trouble, off or dark, and who is on it.",
        ),
        rows=rows,
        from_="now-24h",
    )
