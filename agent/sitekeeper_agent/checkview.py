"""One pass of the ladder as a table that a person can read, in Chinese or English, and as an exit code."""

import unicodedata
from collections.abc import Mapping, Sequence

from sitekeeper_agent import standing
from sitekeeper_agent.standing import Fault
from sitekeeper_protocol import texts
from sitekeeper_protocol.ladder import Reading, Verdict
from sitekeeper_protocol.texts import Lang
from sitekeeper_protocol.vocabulary import Method, Reason, Rung, State

EXIT_OK, EXIT_FAULT, EXIT_DEGRADED, EXIT_UNKNOWN = 0, 1, 2, 3
_EXIT = {State.OK: EXIT_OK, State.FAIL: EXIT_FAULT, State.DEGRADED: EXIT_DEGRADED}

_HEADS: dict[Lang, tuple[str, ...]] = {
    "en": ("Path", "Step", "State", "ms", "Loss", "By", "Target", "Note"),
    "zh": ("路径", "环节", "状态", "毫秒", "丢包", "方法", "目标", "说明"),
}
_WORDS: dict[Lang, dict[str, str]] = {
    "en": {
        "result": "Result",
        "fault": "Fault",
        "party": "Whose job",
        "grade": "How sure",
        "help": "What to try",
        "at": "at",
        "report": "Reporting",
        "site": "Site number",
        "code": "8 digits",
    },
    "zh": {
        "result": "结果",
        "fault": "故障",
        "party": "责任方",
        "grade": "把握",
        "help": "可以先试",
        "at": "位于",
        "report": "上报",
        "site": "站点号",
        "code": "8位数字",
    },
}
_WELL: dict[Lang, dict[State, str]] = {
    "en": {
        State.OK: "all is well: the portal answers",
        State.DEGRADED: "it works, but not well",
        State.FAIL: "something is broken",
        State.SILENT: "these readings can't tell whether something is broken",
    },
    "zh": {
        State.OK: "正常：平台可以访问",
        State.DEGRADED: "能用，但不正常",
        State.FAIL: "有故障",
        State.SILENT: "根据目前的检测无法判断是否有故障",
    },
}
_RIGHT_ALIGNED = (3, 4)


def exit_code(verdict: Verdict) -> int:
    """0 all is well, 1 a fault, 2 degraded, 3 the readings can't tell."""
    return _EXIT.get(verdict.state, EXIT_UNKNOWN)


def render(readings: Sequence[Reading], verdict: Verdict, lang: Lang, raw: Sequence[Reading] = ()) -> str:
    """The judged readings as an aligned table, and below it what they mean.

    ``raw`` are those before the honest rules: a probe that has never worked here says what it really met besides.
    """
    met = {(r.path, r.rung, r.label): r.reason for r in raw}
    ordered = sorted(readings, key=lambda r: (r.path, r.rung, r.label))
    return "\n".join([*table([_HEADS[lang], *(_row(r, lang, met) for r in ordered)]), "", *_summary(verdict, lang)]) + "\n"


def _row(reading: Reading, lang: Lang, met: Mapping[tuple[str, Rung, str], Reason]) -> tuple[str, ...]:
    return (
        plain(reading.path),
        _step(reading, lang),
        texts.state(reading.state, lang),
        "" if reading.rtt_ms is None else f"{reading.rtt_ms:.1f}",
        "" if reading.loss_ratio is None else f"{reading.loss_ratio:.0%}",
        "" if reading.method == Method.NONE else texts.method(reading.method, lang),
        plain(reading.target),
        _note(reading, lang, met),
    )


def _note(reading: Reading, lang: Lang, met: Mapping[tuple[str, Rung, str], Reason]) -> str:
    if reading.reason == Reason.NONE:
        return ""
    said = texts.reason(reading.reason, lang)
    really = met.get((reading.path, reading.rung, reading.label), reading.reason)
    if really in (Reason.NONE, reading.reason):
        return said
    return f"{texts.reason(really, lang)}{'；' if lang == 'zh' else '; '}{said}"


def _step(reading: Reading, lang: Lang) -> str:
    """The rung's name, with the number of the stream where there are several."""
    name = texts.rung(reading.rung, lang)
    return f"{name} {reading.label}" if reading.label.isdigit() else name


def _summary(verdict: Verdict, lang: Lang) -> list[str]:
    words = _WORDS[lang]
    lines = [(words["result"], _WELL[lang].get(verdict.state, _WELL[lang][State.SILENT]))]
    name = texts.kind(verdict.kind, lang) if verdict.kind else texts.rung(verdict.rung, lang) if verdict.rung else ""
    if name:
        why = f" ({texts.reason(verdict.reason, lang)})" if verdict.reason != Reason.NONE else ""
        lines.append((words["fault"], f"{name}{why}"))
    if verdict.party:
        lines.append((words["party"], texts.party(verdict.party, lang)))
    if verdict.grade:
        lines.append((words["grade"], texts.grade(verdict.grade, lang)))
    shown = table([(f"{label}:", text) for label, text in lines])
    steps = texts.help_steps(verdict.kind, lang) if verdict.kind and verdict.state == State.FAIL else ()
    if steps:
        shown += ["", f"{words['help']}:", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]
    return shown


def reporting(fault: Fault, site: str, phone: str, lang: Lang) -> list[str]:
    """Whether the fault is reported, and what to read out by phone if it is not."""
    words = _WORDS[lang]
    lines = [
        (words["report"], standing.sentence(fault, phone, lang)),
        (words["site"], site),
        (words["code"], standing.code(fault, site)),
    ]
    return ["", *table([(f"{label}:", plain(text)) for label, text in lines])]


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with aligned columns; numbers stand to the right, and columns that are empty below the head are left out."""
    kept = [at for at in range(len(rows[0])) if len(rows) == 1 or any(row[at] for row in rows[1:])]
    widths = {at: max(width(row[at]) for row in rows) for at in kept}
    return ["  ".join(_pad(row[at], widths[at], at in _RIGHT_ALIGNED) for at in kept).rstrip() for row in rows]


def _pad(text: str, to: int, right: bool) -> str:
    space = " " * (to - width(text))
    return space + text if right else text + space


def width(text: str) -> int:
    """Columns that a terminal gives to ``text`` (UAX 11: wide and full-width characters take two)."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def plain(text: str) -> str:
    """``text`` without what could steer a terminal: names and targets may come from outside."""
    return "".join(c if c.isprintable() else "?" for c in text)
