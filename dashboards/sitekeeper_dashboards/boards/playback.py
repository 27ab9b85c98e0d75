"""Playback quality: how often playing fails, how soon it begins, how much it stalls, and where."""

from sitekeeper_dashboards import influxql as q
from sitekeeper_dashboards.boards import common
from sitekeeper_dashboards.model import Board, Look, Options, Panel, Query, Row, Step
from sitekeeper_dashboards.words import Words

HERE = f"{q.SITES} AND $timeFilter"
FAILURES = 'SUM("player_failures") / SUM("player_sessions")'
REBUFFERING = 'SUM("player_stall_s") / (SUM("player_play_s") + SUM("player_stall_s"))'


def _stat(
    key: str, title: Words, description: Words, what: str, columns: tuple[str, ...], unit: str, steps: tuple[Step, ...]
) -> Panel:  # fmt: skip
    return Panel(
        key=key,
        look=Look.STAT,
        title=title,
        description=description,
        queries=(Query(text=q.select(what, "target", HERE), columns=columns),),
        unit=unit,
        width=8,
        height=5,
        steps=steps,
    )


def _over_time(key: str, title: Words, description: Words, what: str, unit: str, steps: tuple[Step, ...]) -> Panel:
    return Panel(
        key=key,
        look=Look.GRAPH,
        title=title,
        description=description,
        queries=(
            Query(
                text=q.select(f'{what} AS "ratio"', "target", HERE, "time($__interval)", "fill(null)"),
                columns=("ratio",),
                alias="$col",
            ),
        ),
        unit=unit,
        width=12,
        steps=steps,
    )


def _top(key: str, by: str, title: Words) -> Panel:
    inner = q.select(f'{REBUFFERING} AS "ratio"', "target", HERE, f'"{by}"')
    return Panel(
        key=key,
        look=Look.TABLE,
        title=title,
        description=(
            "卡顿时间占播放与卡顿时间之和的比例，最高的 20 个。2% 起算播放卡顿。没有播放的不列出。",
            "Time in stalls as a share of time playing or stalled, the highest 20. From 2 % on playback counts as "
            "stalling. What was not played is not listed.",
        ),
        queries=(Query(text=q.outer(f'TOP("ratio", "{by}", 20) AS "ratio"', inner), columns=("ratio", by)),),
        unit="percentunit",
        width=8,
        height=10,
        steps=common.REBUFFERING,
    )


def _top_failures() -> Panel:
    inner = q.select('SUM("player_failures") AS "n"', "target", HERE, '"target"')
    return Panel(
        key="failures_by_stream",
        look=Look.TABLE,
        title=("播放失败最多的 20 个播放器或视频", "The 20 players or streams with most failures"),
        description=(
            "没能开始或中途停止的次数。",
            "How often playing failed to begin or to go on.",
        ),
        queries=(Query(text=q.outer('TOP("n", "target", 20) AS "failures"', inner), columns=("failures", "target")),),
        unit="none",
        width=8,
        height=10,
        steps=common.NONE_IS_GOOD,
    )


def board(options: Options) -> Board:
    """What the classes look like."""
    percentiles = ", ".join(f'PERCENTILE("player_startup_ms", {at}) AS "p{at}"' for at in (50, 95))
    return Board(
        key="playback",
        title=("播放质量", "Playback quality"),
        description=("播放失败、起播、卡顿，按视频和接入点。", "Failures, startup and stalls, by stream and access node."),
        rows=(
            Row(
                title=("合计", "Sums"),
                panels=(
                    _stat(
                        "failure_rate",
                        ("播放失败率", "Failure rate"),
                        (
                            "失败次数除以开始的播放次数。没有播放就没有数据。",
                            "Failures per session begun. No session, no data.",
                        ),
                        f'{FAILURES} AS "ratio"',
                        ("ratio",),
                        "percentunit",
                        common.REBUFFERING,
                    ),
                    _stat(
                        "startup",
                        ("起播时间", "Startup"),
                        (
                            "从请求到第一个画面：样本的中位数和 95%。",
                            "From the request to the first picture: median and 95th percentile of the samples.",
                        ),
                        percentiles,
                        ("p50", "p95"),
                        "ms",
                        common.STARTUP_MS,
                    ),
                    _stat(
                        "rebuffering",
                        ("卡顿比例", "Rebuffering ratio"),
                        (
                            "卡顿时间占播放与卡顿时间之和的比例（CTA-2066）。没有播放就没有数据。",
                            "Time in stalls as a share of time playing or stalled (CTA-2066). No playing, no data.",
                        ),
                        f'{REBUFFERING} AS "ratio"',
                        ("ratio",),
                        "percentunit",
                        common.REBUFFERING,
                    ),
                    _over_time(
                        "rebuffering_over_time",
                        ("卡顿比例的变化", "Rebuffering ratio over time"),
                        ("同上，按时间。没有播放的地方断开。", "The same over time. Gaps where nothing was played."),
                        REBUFFERING,
                        "percentunit",
                        common.REBUFFERING,
                    ),
                    _over_time(
                        "failures_over_time",
                        ("播放失败率的变化", "Failure rate over time"),
                        ("失败次数除以开始的播放次数。", "Failures per session begun."),
                        FAILURES,
                        "percentunit",
                        common.REBUFFERING,
                    ),
                ),
            ),
            Row(
                title=("哪里", "Where"),
                panels=(
                    _top(
                        "rebuffering_by_stream",
                        "target",
                        ("卡顿最多的 20 个播放器或视频", "The 20 players or streams that stall most"),
                    ),
                    _top(
                        "rebuffering_by_node", "access_node", ("卡顿最多的 20 个接入点", "The 20 access nodes that stall most")
                    ),
                    _top_failures(),
                ),
            ),
        ),
        from_="now-7d",
        refresh="",
    )
