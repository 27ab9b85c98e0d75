"""Commissioning: what is provable at this site, looked at several times while it works, shown to a person, and kept.

What is kept stands in the spool beside the baseline: rungs that have answered, hops, latencies, the addresses of the portal,
settings and equipment. The agent that runs next takes it from there.
"""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from sitekeeper_agent import checkview
from sitekeeper_agent.config import Settings
from sitekeeper_agent.learned import Learned
from sitekeeper_agent.platform import PlatformUnsupported
from sitekeeper_agent.probes import Context, network_identity, paths, resolver
from sitekeeper_agent.probes import settings as network_settings
from sitekeeper_agent.probes.dns import public
from sitekeeper_agent.probes.resolve import lookup
from sitekeeper_agent.probes.runner import ProbeRunner
from sitekeeper_agent.sampler import Look, look
from sitekeeper_agent.spool import Spool
from sitekeeper_protocol import texts
from sitekeeper_protocol.ladder import Baseline
from sitekeeper_protocol.messages import Scalar
from sitekeeper_protocol.texts import Lang
from sitekeeper_protocol.vocabulary import Metric, Rung, State, from_wire

LOOKS = 5
PAUSE_S = 1.0
BASELINE, NETWORK, LEARNED = "baseline", "network", "learned"
COMMISSIONED_NETWORK, COMMISSION = "commissioned_network", "commission"
_ANSWER_S = 5.0
_EQUIPMENT = ("displays", "sound", "disks", "os", "network.interface", "network.speed_mbps")
_encode = msgspec.msgpack.Encoder().encode


class RungSeen(Struct, frozen=True, kw_only=True):
    """One rung over one path: in how many looks it answered, the median time, and how it was asked the last time."""

    path: str
    rung: int
    label: str
    answered: int
    looks: int
    rtt_ms: float | None
    method: int
    reason: int
    target: str


class Commission(Struct, frozen=True, kw_only=True):
    """What commissioning found. ``answers`` are the portal's addresses by path, ``facts`` what the probes told besides."""

    wall_ms: int
    network: str
    rungs: tuple[RungSeen, ...]
    baseline: Baseline
    learned: Learned
    answers: dict[str, tuple[str, ...]]
    facts: dict[str, Scalar]

    @property
    def portal_answers(self) -> bool:
        """Whether the portal was reached: a site that does not work can't say what works here."""
        return any(seen.rung == Rung.PORTAL and seen.answered for seen in self.rungs)


class Survey(NamedTuple):
    """What is looked at: the context of the probes, and how often."""

    context: Context
    looks: int = LOOKS
    pause_s: float = PAUSE_S

    def run(self, runner: ProbeRunner, wall_ms: Callable[[], int], told: Callable[[int], None]) -> Commission:
        """Look at the network several times; ``told`` is called with the number of each look before it."""
        baseline = Baseline(resolver=resolver(self.context))
        known, found = Learned(), list[Look]()
        for number in range(1, self.looks + 1):
            told(number)
            context = self.context._replace(modems=self.context.modems or known.modems)
            found.append(look(runner, context, baseline, found[-1].verdict if found else None))
            baseline = found[-1].baseline
            known = known.after(found[-1].values, found[-1].facts, half_hour=False)
            if number < self.looks:
                time.sleep(self.pause_s)
        return sum_up(found, known, answers(self.context), network=network_identity(self.context), wall_ms=wall_ms())


def answers(context: Context) -> dict[str, tuple[str, ...]]:
    """The portal's addresses by path, as the system finds them; none where it is given by address, or behind a proxy."""
    if context.portal.literal or context.proxy is not None:
        return {}
    until = time.monotonic() + _ANSWER_S
    found = {path: lookup(context.portal.host, path, until, context.roots, context.dns_port) for path in paths(context)}
    return {path: one.addresses for path, one in found.items() if one.addresses}


def sum_up(
    looks: Sequence[Look], known: Learned, named: Mapping[str, tuple[str, ...]], *, network: str, wall_ms: int
) -> Commission:
    """What several looks come to."""
    last = looks[-1]
    usual = {path: ms for path in ("ipv4", "ipv6") if (ms := _median(last, path)) is not None}
    public_names = frozenset(path for path, addresses in named.items() if any(public(address) for address in addresses))
    return Commission(
        wall_ms=wall_ms,
        network=network,
        rungs=tuple(_seen(looks)),
        baseline=last.baseline,
        learned=msgspec.structs.replace(known, usual_rtt_ms=usual, public_names=public_names),
        answers=dict(named),
        facts={name: last.facts[name] for name in sorted(last.facts) if name in _EQUIPMENT or name.startswith("network.")},
    )


def _median(found: Look, path: str) -> float | None:
    """The half hour's median so far; none where packets are lost even now."""
    p50 = found.values.get((Metric.LINE_RTT_P50_MS.value, f"{path}/isp"))
    loss = found.values.get((Metric.LINE_LOSS_RATIO.value, f"{path}/isp"), 0)
    return None if p50 is None or from_wire(Metric.LINE_LOSS_RATIO, loss) >= 0.05 else from_wire(Metric.LINE_RTT_P50_MS, p50)


def _seen(looks: Sequence[Look]) -> list[RungSeen]:
    keys = sorted({(r.path, r.rung, r.label) for found in looks for r in found.raw if r.state != State.NOT_APPLICABLE})
    seen = []
    for key in keys:
        readings = [r for found in looks for r in found.raw if (r.path, r.rung, r.label) == key]
        good = [r for r in readings if r.answered]
        times = [r.rtt_ms for r in good if r.rtt_ms is not None]
        shown = (good or readings)[-1]
        seen.append(
            RungSeen(
                path=key[0],
                rung=int(key[1]),
                label=key[2],
                answered=len(good),
                looks=len(looks),
                rtt_ms=statistics.median(times) if times else None,
                method=int(shown.method),
                reason=int(shown.reason),
                target=shown.target,
            )
        )
    return seen


def store(spool: Spool, commission: Commission) -> None:
    """Keep it for the agent: what it takes up at its next start, and the whole of it for `status` and later comparison."""
    spool.set_meta(BASELINE, _encode(commission.baseline))
    spool.set_meta(LEARNED, _encode(commission.learned))
    spool.set_meta(NETWORK, commission.network.encode())
    spool.set_meta(COMMISSION, _encode(commission))
    spool.set_meta(COMMISSIONED_NETWORK, commission.network.encode())
    try:
        network_settings.keep_commissioned(spool, network_settings.read())
    except PlatformUnsupported:
        return  # they can't be told here, so they are not compared


def hand_over(state: Path) -> None:
    """Give what a superuser made in the state folder to the folder's owner, as whom the agent runs."""
    if os.name == "nt" or os.geteuid() != 0:
        return
    owner = state.stat()
    for file in (state, *state.iterdir()):
        os.chown(file, owner.st_uid, owner.st_gid, follow_symlinks=False)


# --- for people ----------------------------------------------------------------------------------------------------------

_HEADS: dict[Lang, tuple[str, ...]] = {
    "en": ("Path", "Step", "Answered", "ms", "", "By", "Target", "Counts as a fault when it fails"),
    "zh": ("路径", "环节", "应答", "毫秒", "", "方法", "目标", "以后测不通是否算故障"),
}
WORDS: dict[Lang, dict[str, str]] = {
    "en": {
        "intro": "Commissioning takes about a minute. Do it while everything works: open the portal in a browser first.",
        "ready": "Press Enter when it does, or Ctrl-C to leave everything as it is: ",
        "look": "Looking, {at} of {of} ...",
        "yes": "yes",
        "no": "no",
        "modem": "Modem (second hop)",
        "hop": "Second hop, not taken for a modem of the site",
        "usual": "Usual time to the provider",
        "answers": "Portal's addresses",
        "private": "private",
        "anchors": "No anchors are configured: without them a dead line is told only by names and portal.",
        "one_anchor": "Only one anchor is configured: loss and latency are judged with two or more.",
        "broken": "The portal does not answer. Nothing was stored: commission the site when it works.",
        "ask": "Store this as the site's baseline? [y/N] ",
        "kept": "Stored. Start the agent; it goes on from here.",
        "left": "Nothing was stored.",
        "never": "This site was never commissioned; when it works, run: sitekeeper-agent commission --config {file}",
        "again": "The network has changed since commissioning; when it works, commission again: "
        "sitekeeper-agent commission --config {file}",
        "tty": "nobody is here to answer; add --yes to store without asking",
        "running": "the agent is running; stop it first, for example: systemctl stop sitekeeper-agent",
    },
    "zh": {
        "intro": "开通检测大约需要一分钟。请在一切正常时进行：先用浏览器打开平台看一看。",
        "ready": "确认正常后按回车键开始；按 Ctrl-C 退出，不做任何改动：",
        "look": "正在检测，第{at}次，共{of}次……",
        "yes": "是",
        "no": "否",
        "modem": "光猫（第二跳）",
        "hop": "第二跳（不当作本站的光猫）",
        "usual": "到运营商的平常时延",
        "answers": "平台的地址",
        "private": "内网",
        "anchors": "没有配置运营商测试地址（anchors）：线路断了只能从域名和平台看出来。",
        "one_anchor": "只配置了一个运营商测试地址：要判断丢包和时延，需要两个以上。",
        "broken": "平台打不开，没有保存。请在站点正常时再做开通检测。",
        "ask": "把以上结果存为本站的基准吗？[y/N] ",
        "kept": "已保存。请启动本程序，它会以此为准。",
        "left": "没有保存。",
        "never": "本站还没有做过开通检测；一切正常时请运行：sitekeeper-agent commission --config {file}",
        "again": "开通检测之后网络有变化；一切正常时请重新检测：sitekeeper-agent commission --config {file}",
        "tty": "没有人应答；要不经询问直接保存，请加 --yes",
        "running": "程序正在运行，请先停止，例如：systemctl stop sitekeeper-agent",
    },
}


_NAMES: dict[Lang, dict[str, str]] = {
    "en": dict(zip(_EQUIPMENT, ("Displays", "Sound", "Disks", "System", "Network interface", "Mbit/s"), strict=True)),
    "zh": dict(zip(_EQUIPMENT, ("显示设备", "声音", "磁盘", "系统", "网卡", "网卡速率（Mbit/s）"), strict=True)),
}


def _told(name: str, fact: Scalar) -> bool:
    return name in _EQUIPMENT and bool(fact)


def render(commission: Commission, settings: Settings, lang: Lang) -> str:
    """What was found, as a table and a few lines."""
    words = WORDS[lang]
    rows = [_HEADS[lang], *(_row(seen, lang) for seen in commission.rungs)]
    known, lines = commission.learned, list[tuple[str, str]]()
    for path, hop in known.hops.items():
        modem = known.modems.get(path) == hop.address
        lines.append((words["modem" if modem else "hop"], f"{path} {checkview.plain(hop.address)}"))
    lines += [(words["usual"], f"{path} {ms:.1f} ms") for path, ms in known.usual_rtt_ms.items()]
    for path, addresses in commission.answers.items():
        mark = "" if path in known.public_names else f" ({words['private']})"
        lines.append((words["answers"], f"{path} {checkview.plain(' '.join(addresses))}{mark}"))
    lines += [(_NAMES[lang][name], checkview.plain(str(fact))) for name, fact in commission.facts.items() if _told(name, fact)]
    anchors = len(settings.anchors)
    advice = [words["anchors"]] if not anchors else [words["one_anchor"]] if anchors == 1 else []
    shown = ["", *checkview.table([(f"{name}:", text) for name, text in lines])] if lines else []
    return "\n".join([*checkview.table(rows), *shown, *(["", *advice] if advice else [])]) + "\n"


def _row(seen: RungSeen, lang: Lang) -> tuple[str, ...]:
    words = WORDS[lang]
    step = texts.rung(seen.rung, lang) + (f" {checkview.plain(seen.label)}" if seen.label else "")
    why = "" if seen.answered else f" ({texts.reason(seen.reason, lang)})"
    return (
        seen.path,
        step,
        f"{seen.answered}/{seen.looks}",
        "" if seen.rtt_ms is None else f"{seen.rtt_ms:.1f}",
        "",
        texts.method(seen.method, lang) if seen.method else "",
        checkview.plain(seen.target),
        words["yes" if seen.answered else "no"] + why,
    )


def advice(network: bytes | None, commissioned: bytes | None, lang: Lang, file: str) -> str:
    """What `check` and `status` say of commissioning; "" where there is nothing to say, as without any network."""
    if commissioned is None:
        return WORDS[lang]["never"].format(file=file)
    if network and network != commissioned:
        return WORDS[lang]["again"].format(file=file)
    return ""
