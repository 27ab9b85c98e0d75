"""What happens in the simulated county, when, to whom, and what there is to see then. Data."""

from collections.abc import Sequence

from msgspec import Struct

from sitekeeper_collector.demo.county import plan
from sitekeeper_collector.registry.entry import SiteEntry
from sitekeeper_collector.simulate.conditions import Condition
from sitekeeper_protocol.texts import Lang, Pair


class Step(Struct, frozen=True, kw_only=True):
    """From ``at_s`` after the start on, ``condition`` holds at ``sites``. The texts are (zh, en)."""

    at_s: float
    condition: Condition
    sites: tuple[str, ...]
    happens: Pair
    look: Pair
    """What to look at in the console."""

    def words(self, lang: Lang) -> tuple[str, str]:
        """What happens, and what to look at."""
        at = 0 if lang == "zh" else 1
        return self.happens[at], self.look[at]


def plan_script(sites: Sequence[SiteEntry], factor: float = 1.0) -> tuple[Step, ...]:
    """The demo's two minutes, or ``factor`` times that. Raises ``ValueError`` for sites that are not of ``plan_sites``."""
    parts = plan.cast(sites)
    by_id = {site.id: site for site in sites}

    def step(at_s: float, condition: Condition, who: tuple[str, ...], happens: Pair, look: Pair) -> Step:
        first = by_id[who[0]]
        said = {"site": first.name, "township": first.township, "node": first.access_node, "n": len(who)}
        happens_zh, happens_en = (text.format(**said) for text in happens)
        look_zh, look_en = (text.format(**said) for text in look)
        return Step(
            at_s=at_s * factor, condition=condition, sites=who, happens=(happens_zh, happens_en), look=(look_zh, look_en)
        )

    return (
        step(15, Condition.RESOLVER_FAILING, (parts.resolver,), *_RESOLVER_FAILS),
        step(25, Condition.STREAM_BROKEN, (parts.stream,), *_STREAM_BREAKS),
        step(35, Condition.LINE_CUT, parts.node, *_NODE_FAILS),
        step(45, Condition.SWITCHED_OFF, (parts.wall,), *_SWITCHED_OFF),
        step(55, Condition.POWER_CUT, parts.power, *_POWER_FAILS),
        step(70, Condition.WORKING, (parts.resolver,), *_RESOLVER_RETURNS),
        step(80, Condition.WORKING, (parts.stream,), *_STREAM_RETURNS),
        step(90, Condition.WORKING, parts.node, *_NODE_RETURNS),
        step(100, Condition.WORKING, parts.power, *_POWER_RETURNS),
    )


_RESOLVER_FAILS: tuple[Pair, Pair] = (
    (
        "{site}（{township}）：域名解析失效，线路本身正常。",
        "{site} ({township}): names can't be looked up; the line holds.",
    ),
    (
        "看该站的检测阶梯：运营商线路正常，域名解析不通；责任方：运营商，现场已证实。",
        "Look at the site's ladder: the provider answers, name resolution fails. The job is the telecom's, proven at the site.",
    ),
)
_STREAM_BREAKS: tuple[Pair, Pair] = (
    ("{site}（{township}）：直播源返回404，学习平台能打开。", "{site} ({township}): the stream says 404; the portal opens."),
    (
        "看该站：只有视频播放一级不通；责任方：省平台，不是线路。",
        "Look at the site: only the media rung fails. The job is the platform's; it is not the line.",
    ),
)
_NODE_FAILS: tuple[Pair, Pair] = (
    (
        "{node}故障：{n}个站点正在上课，同时断网。站点上报不了，样本都留在本机。",
        "{node} fails: {n} sites lose their line in the middle of a class. They can't tell; their samples wait on their disks.",
    ),
    (
        "看总览和邮件：{n}个站点失联，同属一个接入点；只开一张为首的工单、只发一封邮件：疑似线路中断，中心推断。",
        "Look at overview and mails: {n} sites of one access node are gone; one ticket leads the others, and one mail is sent: "
        "line fault suspected, inferred at the centre.",
    ),
)
_SWITCHED_OFF: tuple[Pair, Pair] = (
    (
        "{site}（{township}）：没有课，有人在墙上关了电源。",
        "{site} ({township}): no class is on, and somebody switches the power off at the wall.",
    ),
    (
        "看该站：记为“视为已关机”，不开工单，不发邮件。安静就对了。",
        "Look at the site: presumed off. No ticket, no mail: silence is the right answer.",
    ),
)
_POWER_FAILS: tuple[Pair, Pair] = (
    (
        "{township}停电：{n}个站点同时断电，没有一个来得及告别。",
        "{township} loses power: {n} sites vanish without a goodbye.",
    ),
    (
        "看站点总览：{township}{n}个站点失联；是停电还是断网，现在还不能证实。",
        "Look at the overview: {n} sites of {township} out of contact. Power or line: nobody can prove it yet.",
    ),
)
_RESOLVER_RETURNS: tuple[Pair, Pair] = (
    ("{site}：域名解析恢复。", "{site}: names are looked up again."),
    ("看工单：凭站点自己的新样本证实恢复后才关闭。", "Look at the ticket: it is over once fresh samples of the site prove it."),
)
_STREAM_RETURNS: tuple[Pair, Pair] = (
    ("{site}：直播源恢复。", "{site}: the stream plays again."),
    ("看工单：时间线上有故障起止时刻。", "Look at the ticket: its timeline says from when to when."),
)
_NODE_RETURNS: tuple[Pair, Pair] = (
    (
        "{node}修复：{n}个站点重新连上，先报当前，再补传断网期间的样本。",
        "{node} is repaired: {n} sites connect again, tell how they are now, then catch up on what they measured meanwhile.",
    ),
    (
        "看工单：断网期间的样本已补齐；同一单号由“疑似”更正为“线路中断，现场已证实”，起止时刻以站点记录为准。",
        "Look at the ticket: the samples of the cut are there. The same number now says line down, proven at the site, with "
        "the times of the site's own record.",
    ),
)
_POWER_RETURNS: tuple[Pair, Pair] = (
    (
        "{township}来电：{n}个站点开机，各自报告上次是断电结束的。",
        "Power is back in {township}: {n} sites start, and each tells that its last run ended with the power.",
    ),
    (
        "看这些站点的7天条：停电时段已由站点自己的记录说明；没有工单，没有邮件。墙上关掉的那个站点仍是“视为已关机”。",
        "Look at the week of one of these sites: its own record says that the power was gone. No ticket, no mail. The site "
        "switched off at the wall is still presumed off.",
    ),
)
