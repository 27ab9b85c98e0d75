"""Names, colours and value mappings: each in Chinese and English. The protocol's words come from the protocol."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Literal

from sitekeeper_protocol import texts
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, Severity, State

Lang = Literal["zh", "en"]
LANGUAGES: tuple[Lang, Lang] = ("zh", "en")
Words = tuple[str, str]
"""Chinese, English."""


def said(words: Words, lang: Lang) -> str:
    """The one of the language."""
    return words[LANGUAGES.index(lang)]


class Colour(StrEnum):
    """What a colour says. Only the first three speak of faults."""

    FAULT = "red"
    TROUBLE = "orange"
    POOR = "yellow"
    GOOD = "green"
    SUSPECTED = "purple"
    AWAY = "#6e7f91"
    UNKNOWN = "#9a9a9a"
    PLAIN = "blue"


OF_FAULTS = frozenset({Colour.FAULT, Colour.TROUBLE, Colour.POOR})
NO_DATA: Words = ("无数据", "no data")

WAS: Mapping[str, tuple[Words, Colour]] = {
    "up": (("正常", "up"), Colour.GOOD),
    "degraded": (("不佳", "degraded"), Colour.POOR),
    "link": (("本机网线或地址", "cable or address"), Colour.TROUBLE),
    "gateway": (("路由器或光猫", "router or modem"), Colour.TROUBLE),
    "line": (("线路中断", "line down"), Colour.FAULT),
    "platform": (("平台故障", "platform fault"), Colour.TROUBLE),
    "off": (("已关机", "off"), Colour.AWAY),
    "power_lost": (("断电", "power lost"), Colour.AWAY),
    "presumed_off": (("推定关机", "presumed off"), Colour.AWAY),
    "line_suspected": (("疑似线路（未证实）", "line suspected"), Colour.SUSPECTED),
    "blind": (("中心未能观察", "centre was blind"), Colour.UNKNOWN),
    "unknown": (("未知", "unknown"), Colour.UNKNOWN),
}
"""How a site was: the words of the ledger."""

TICKET_STATES: Mapping[str, tuple[Words, Colour]] = {
    "open": (("待接单", "open"), Colour.FAULT),
    "acknowledged": (("处理中", "acknowledged"), Colour.TROUBLE),
    "resolved": (("已恢复", "resolved"), Colour.GOOD),
    "closed": (("已关闭", "closed"), Colour.UNKNOWN),
}

RUNG_STATES: Mapping[State, Colour] = {
    State.OK: Colour.GOOD,
    State.DEGRADED: Colour.POOR,
    State.FAIL: Colour.FAULT,
    State.SILENT: Colour.UNKNOWN,
    State.NOT_APPLICABLE: Colour.UNKNOWN,
}

Mapped = dict[str, tuple[str, str | None]]
"""By value: text, and colour where it has one."""


def _pairs(table: Mapping[str, tuple[Words, Colour]], lang: Lang) -> Mapped:
    return {value: (said(words, lang), colour.value) for value, (words, colour) in table.items()}


def _texts(
    table: Mapping[Kind, Words] | Mapping[Party, Words] | Mapping[Grade, Words] | Mapping[Severity, Words], lang: Lang
) -> Mapped:
    return {str(member): (said(words, lang), None) for member, words in table.items()}


def mapping(name: str, lang: Lang) -> Mapped:
    """The texts of a column's values, by the name of the mapping; empty if it has none."""
    match name:
        case "was":
            return _pairs(WAS, lang)
        case "ticket_state":
            return _pairs(TICKET_STATES, lang)
        case "rung_state":
            return {str(int(state)): (texts.state(state, lang), colour.value) for state, colour in RUNG_STATES.items()}
        case "kind":
            return _texts(texts.KINDS, lang)
        case "party":
            return _texts(texts.PARTIES, lang)
        case "grade":
            return _texts(texts.GRADES, lang)
        case "severity":
            return _texts(texts.SEVERITIES, lang)
        case "yes":
            return {"true": (said(("是", "yes"), lang), None), "false": (said(("否", "no"), lang), None)}
    return {}


COLUMNS: Mapping[str, Words] = {
    "Time": ("开始时间", "began"),
    "site": ("站点", "site"),
    "county": ("县", "county"),
    "township": ("乡镇", "township"),
    "access_node": ("接入点", "access node"),
    "target": ("对象", "target"),
    "kind": ("故障", "fault"),
    "party": ("责任方", "whose job"),
    "grade": ("依据", "how sure"),
    "severity": ("程度", "severity"),
    "state": ("状态", "state"),
    "was": ("状态", "state"),
    "number": ("工单号", "ticket"),
    "seconds": ("时长", "time"),
    "duration_s": ("时长", "time"),
    "outage_s": ("中断时长", "outage"),
    "lasting": ("仍在持续", "lasts"),
    "sites": ("站点总数", "sites"),
    "up": ("正常", "up"),
    "trouble": ("有故障", "in trouble"),
    "away": ("关机/断电/推定关机", "off"),
    "unknown": ("未知", "unknown"),
    "outages": ("中断次数", "outages"),
    "p50": ("中位数", "median"),
    "p90": ("90% 以内", "90th percentile"),
    "p95": ("95% 以内", "95th percentile"),
    "failures": ("失败", "failures"),
    "ratio": ("比例", "ratio"),
    "reopened": ("重开次数", "reopened"),
    "acknowledged_ms": ("接单时间", "acknowledged"),
    "resolved_ms": ("恢复时间", "resolved"),
}
"""Names of columns that several panels have."""


def column(name: str, lang: Lang, own: Mapping[str, Words]) -> str | None:
    """What a column is called, or ``None`` where its own name will do."""
    words = own.get(name) or COLUMNS.get(name)
    if words is None and name in {str(party) for party in Party}:
        words = texts.PARTIES[Party(name)]
    return None if words is None else said(words, lang)


def parties() -> Iterable[str]:
    """All whose job something can be, in the protocol's order."""
    return (str(party) for party in Party)
