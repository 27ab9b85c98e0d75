"""Sitekeeper itself: does the collector keep up, and what waits."""

from sitekeeper_dashboards import influxql as q
from sitekeeper_dashboards.boards import common
from sitekeeper_dashboards.model import Board, Look, Options, Panel, Query, Row, Step
from sitekeeper_dashboards.words import Colour, Words

EACH = 'time($__interval), "target"'
SPOOL = (Step(at=None, colour=Colour.GOOD), Step(at=100_000, colour=Colour.POOR), Step(at=10_000_000, colour=Colour.FAULT))
LAG = (Step(at=None, colour=Colour.GOOD), Step(at=5, colour=Colour.POOR), Step(at=60, colour=Colour.FAULT))
LOST = (Step(at=None, colour=Colour.GOOD), Step(at=1, colour=Colour.FAULT))


def _graph(
    key: str, title: Words, description: Words, what: str, columns: tuple[str, ...], unit: str, *,
    steps: tuple[Step, ...] = common.PLAIN, names: dict[str, Words] | None = None, width: int = 12,
) -> Panel:  # fmt: skip
    return Panel(
        key=key,
        look=Look.GRAPH,
        title=title,
        description=description,
        queries=(
            Query(
                text=q.select(what, "collector", "$timeFilter", EACH, "fill(null)"),
                columns=columns,
                alias="$tag_target $col" if len(columns) > 1 else "$tag_target",
            ),
        ),
        unit=unit,
        width=width,
        steps=steps,
        names=names or {},
    )


def board(options: Options) -> Board:
    """For whoever runs the server."""
    return Board(
        key="itself",
        title=("Sitekeeper 自身", "Sitekeeper itself"),
        description=("收集端跟不跟得上，积压了什么。", "Whether the collector keeps up, and what waits."),
        rows=(
            Row(
                title=("接收", "Taking in"),
                panels=(
                    _graph(
                        "reports",
                        ("收到的报告", "Reports taken in"),
                        (
                            "每段时间里存下的报告。断开表示收集端没有说话。",
                            "Reports stored in each interval. A gap: the collector said nothing.",
                        ),
                        'SUM("reports") AS "reports"',
                        ("reports",),
                        "none",
                    ),
                    _graph(
                        "samples",
                        ("收到的样本", "Samples taken in"),
                        ("每段时间里存下的样本。", "Samples stored in each interval."),
                        'SUM("samples") AS "samples"',
                        ("samples",),
                        "none",
                    ),
                    _graph(
                        "lag",
                        ("存储延迟", "Lag"),
                        ("从收到到存下最长的时间。", "The longest time from arrival to storage."),
                        'MAX("lag_s") AS "lag"',
                        ("lag",),
                        "s",
                        steps=LAG,
                    ),
                    _graph(
                        "rejected",
                        ("隔离的消息", "Messages quarantined"),
                        (
                            "读不懂而被隔离的消息。应该是 0。",
                            "Messages that could not be read and were set aside. Should be 0.",
                        ),
                        'SUM("rejected") AS "rejected"',
                        ("rejected",),
                        "none",
                        steps=LOST,
                    ),
                ),
            ),
            Row(
                title=("送出", "Sending on"),
                panels=(
                    _graph(
                        "mails",
                        ("待发的邮件", "Mails that wait"),
                        (
                            "还欠着的邮件。久不下降说明邮件服务器有问题。",
                            "Mails that are owed. If it does not fall, the mail server has a problem.",
                        ),
                        'LAST("mails_waiting") AS "mails"',
                        ("mails",),
                        "none",
                        steps=common.NONE_IS_GOOD,
                    ),
                    _graph(
                        "series_spool",
                        ("等待写入的数据行", "Lines that wait for the store"),
                        (
                            "时序数据库不在时积压的行；恢复后会补写。",
                            "Lines that pile up while the store is away; they are written once it is back.",
                        ),
                        'LAST("series_spool_lines") AS "lines"',
                        ("lines",),
                        "none",
                        steps=SPOOL,
                    ),
                    _graph(
                        "series_spool_bytes",
                        ("等待写入的数据量", "Bytes that wait for the store"),
                        ("同上，压缩后的大小。", "The same, compressed."),
                        'LAST("series_spool_bytes") AS "bytes"',
                        ("bytes",),
                        "bytes",
                    ),
                    _graph(
                        "series_lost",
                        ("被拒或丢弃的数据行", "Lines refused or dropped"),
                        (
                            "数据库拒绝的行（留在隔离区），和因为设了上限而丢弃的行。应该是 0。",
                            "Lines that the store refused (kept in quarantine), and lines dropped because of a limit "
                            "that was set. Should be 0.",
                        ),
                        'SUM("series_rejected") AS "refused", SUM("series_dropped") AS "dropped"',
                        ("refused", "dropped"),
                        "none",
                        steps=LOST,
                    ),
                ),
            ),
        ),
        from_="now-24h",
        variables=(),
        refresh="1m",
    )
