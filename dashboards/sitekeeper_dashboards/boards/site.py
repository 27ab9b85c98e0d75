"""One site: what it was, rung by rung, how playing went, and what is being done about it."""

from sitekeeper_dashboards import influxql as q
from sitekeeper_dashboards.boards import common
from sitekeeper_dashboards.model import Board, Look, Options, Panel, Query, Row, Step
from sitekeeper_dashboards.words import Colour, Words

IN_TIME = "$timeFilter"
EACH = "time($__interval)"
ALL_DAY = f"time >= {q.FROM_MS}ms - {q.LOOKBACK} AND time < {q.TO_MS}ms"


def _graph(
    key: str, title: Words, description: Words, what: str, measurement: str, unit: str, *, by_target: bool = False,
    columns: tuple[str, ...] = (), steps: tuple[Step, ...] = common.PLAIN, width: int = 12, where: str = "",
    names: dict[str, Words] | None = None, most: float | None = None, bars: bool = False,
) -> Panel:  # fmt: skip
    """Values of the site over time, one line for each target or column; a gap where nothing was measured."""
    condition = f"{q.ONE_SITE} AND {IN_TIME}" + (f" AND {where}" if where else "")
    group = f'{EACH}, "target"' if by_target else EACH
    text = q.select(what, measurement, condition, group, "fill(null)")
    return Panel(
        key=key,
        look=Look.GRAPH,
        title=title,
        description=description,
        queries=(Query(text=text, columns=columns, alias="$tag_target" if by_target else "$col"),),
        unit=unit,
        width=width,
        steps=steps,
        names=names or {},
        most=most,
        bars=bars,
    )


def _state() -> Panel:
    return Panel(
        key="state",
        look=Look.STATES,
        title=("站点状态", "How the site was"),
        description=(
            "台账：每一刻以最可靠的说法为准。站点恢复联系后会更正。灰蓝是关机或断电，灰色是未知，都不是故障。",
            "The ledger: at each instant what is surest. It is put right when a site returns. Blue-grey is off or "
            "without power, grey is unknown; neither is a fault.",
        ),
        queries=(Query(text=q.select('"was"', "ledger", f"{q.VALID} AND {q.ONE_SITE} AND {ALL_DAY}"), columns=("was",)),),
        unit="none",
        width=24,
        height=4,
        mapped={"was": "was"},
    )


def _ladder() -> Panel:
    return Panel(
        key="ladder",
        look=Look.STATES,
        title=("逐级检测", "Ladder"),
        description=(
            "每一级最近一次的结果：网线、地址、网关、光猫、运营商、域名、平台、视频。灰色表示无法判断，不是不通。",
            "The last reading of each rung: cable, address, gateway, modem, provider, names, portal, media. Grey means that it "
            "can't tell, not that it failed.",
        ),
        queries=(
            Query(
                text=q.select('LAST("state")', "rung", f"{q.ONE_SITE} AND {IN_TIME}", f'{EACH}, "target"', "fill(none)"),
                columns=("last",),
                alias="$tag_target",
            ),
        ),
        unit="none",
        width=24,
        mapped={"*": "rung_state"},
    )


def _line_and_play() -> tuple[Panel, ...]:
    return (
        _graph(
            "latency",
            ("各级时延", "Latency by rung"),
            (
                "应答时间的平均值。断开的地方没有测到。",
                "Mean time to the answer. Where the line is broken nothing was measured.",
            ),
            'MEAN("rtt_ms")',
            "rung",
            "ms",
            by_target=True,
            columns=("mean",),
            steps=common.LATENCY_MS,
        ),
        _graph(
            "loss",
            ("各级丢包", "Loss by rung"),
            (
                "没有应答的探测占比。5% 起算线路质量差。",
                "Share of probes without an answer. From 5 % on the line counts as degraded.",
            ),
            'MEAN("loss_ratio")',
            "rung",
            "percentunit",
            by_target=True,
            columns=("mean",),
            steps=common.LOSS,
            most=1,
        ),
        _graph(
            "play",
            ("播放与卡顿", "Playing and stalls"),
            ("每段时间里播放和卡顿的时间。", "Time played, and time in stalls, in each interval."),
            'SUM("player_play_s") AS "play", SUM("player_stall_s") AS "stalls"',
            "target",
            "s",
            columns=("play", "stalls"),
            names={"play": ("播放", "played"), "stalls": ("卡顿", "in stalls")},
            bars=True,
        ),
        _graph(
            "play_failures",
            ("播放失败", "Failures of playing"),
            ("没能开始或中途停止的次数。", "How often playing failed to begin or to go on."),
            'SUM("player_failures") AS "failures"',
            "target",
            "none",
            columns=("failures",),
            steps=common.NONE_IS_GOOD,
            bars=True,
        ),
    )


def _machine() -> tuple[Panel, ...]:
    return (
        _graph(
            "load",
            ("处理器与内存", "Processor and memory"),
            ("处理器占用，和还能用的内存。", "Processor time in use, and memory that can be had."),
            'MEAN("cpu_ratio") AS "cpu", MEAN("memory_available_ratio") AS "memory"',
            "site",
            "percentunit",
            columns=("cpu", "memory"),
            names={"cpu": ("处理器占用", "processor in use"), "memory": ("可用内存", "memory available")},
            width=8,
            most=1,
        ),
        _graph(
            "temperature",
            ("温度", "Temperature"),
            ("最热的传感器。90 °C 起算过热。", "The hottest sensor. From 90 °C on it counts as overheating."),
            'MAX("temperature_c") AS "temperature"',
            "site",
            "celsius",
            columns=("temperature",),
            names={"temperature": ("温度", "temperature")},
            steps=(Step(at=None, colour=Colour.GOOD), Step(at=80, colour=Colour.POOR), Step(at=90, colour=Colour.FAULT)),
            width=8,
        ),
        _graph(
            "disk",
            ("磁盘剩余", "Free on disk"),
            ("各卷的剩余空间。低于 2 GiB 算磁盘满。", "Free space of each volume. Below 2 GiB the disk counts as full."),
            'MIN("disk_free_bytes")',
            "target",
            "bytes",
            by_target=True,
            columns=("min",),
            steps=(Step(at=None, colour=Colour.FAULT), Step(at=2 * 1024**3, colour=Colour.GOOD)),
            width=8,
        ),
        _graph(
            "equipment",
            ("设备", "Equipment"),
            (
                "应有的设备、其中缺少的，以及显示和声音输出的数目。电视待机看起来和拔掉一样。",
                "Items that are expected, those of them that are absent, and outputs for picture and sound. A TV in "
                "standby looks the same as one that is gone.",
            ),
            'LAST("equipment_expected") AS "expected", LAST("equipment_absent") AS "absent", LAST("displays") AS "displays", '
            'LAST("audio_outputs") AS "sound"',
            "site",
            "none",
            columns=("expected", "absent", "displays", "sound"),
            names={
                "expected": ("应有", "expected"),
                "absent": ("缺少", "absent"),
                "displays": ("显示", "displays"),
                "sound": ("声音", "sound outputs"),
            },
        ),
        _power(),
    )


def _power() -> Panel:
    columns = {"on": (*q.ONLINE, *q.BROKEN), "off": ("off",), "presumed_off": ("presumed_off",), "power_lost": ("power_lost",)}
    names: dict[str, Words] = {
        "on": ("开机（已证实）", "on, as proven"),
        "off": ("关机", "switched off"),
        "presumed_off": ("推定关机", "presumed off"),
        "power_lost": ("断电", "power lost"),
    }
    what = ", ".join(f'SUM("{name}") AS "{name}"' for name in columns)
    return Panel(
        key="power",
        look=Look.STAT,
        title=("电源", "Power"),
        description=(
            "时间范围内按台账开机、关机、推定关机和断电的时间。",
            "Time within the range that the PC was on, switched off, presumed off, or without power, by the ledger.",
        ),
        queries=(Query(text=q.times(columns, what, q.ONE_SITE), columns=tuple(columns)),),
        unit="s",
        width=12,
        names=names,
        colours={"on": Colour.GOOD, "off": Colour.AWAY, "presumed_off": Colour.AWAY, "power_lost": Colour.AWAY},
    )


def _use() -> Panel:
    return _graph(
        "use",
        ("使用", "Use"),
        (
            "每天开机和使用的时间，由站点自己计；没有记到的是空白，不是零。",
            "Time on and in use on each day, as counted at the site; what was not counted is blank, not zero.",
        ),
        'MAX("day_on_s") AS "on", MAX("day_in_use_s") AS "used"',
        "site",
        "s",
        columns=("on", "used"),
        names={"on": ("开机", "on"), "used": ("使用", "in use")},
        width=24,
        bars=True,
    )


def _tickets() -> Panel:
    what = '"number", "kind", "party", "grade", "state", "outage_s", "acknowledged_ms", "resolved_ms"'
    return Panel(
        key="tickets",
        look=Look.TABLE,
        title=("工单（最近 50 张）", "Tickets (the latest 50)"),
        description=(
            "本站点在时间范围内开的工单。点工单号打开控制台。",
            "Tickets of the site opened within the range. Their numbers lead to the console.",
        ),
        queries=(
            Query(
                text=q.select(
                    what, "ticket", f"{q.VALID} AND {q.ONE_SITE} AND {q.IN_RANGE}", end="ORDER BY time DESC LIMIT 50"
                ),
                columns=("number", "kind", "party", "grade", "state", "outage_s", "acknowledged_ms", "resolved_ms"),
            ),
        ),
        unit="none",
        width=24,
        timed=True,
        units={"outage_s": "s", "acknowledged_ms": "dateTimeAsIso", "resolved_ms": "dateTimeAsIso"},
        mapped={"kind": "kind", "party": "party", "grade": "grade", "state": "ticket_state"},
    )


def board(options: Options) -> Board:
    """The page of one site."""
    rows = [
        Row(title=("状态", "State"), panels=(_state(), _ladder())),
        Row(title=("线路与播放", "Line and playback"), panels=_line_and_play()),
        Row(title=("工单", "Tickets"), panels=(_tickets(),)),
        Row(title=("设备与电源", "Equipment and power"), panels=_machine()),
    ]
    if options.use:
        rows.append(Row(title=("使用", "Use"), panels=(_use(),)))
    return Board(
        key="site",
        title=("站点", "Site"),
        description=("一个站点发生了什么，现在怎样。", "What happened at one site, and how it is."),
        rows=rows,
        from_="now-24h",
        one_site=True,
        outages=True,
        refresh="1m",
    )
