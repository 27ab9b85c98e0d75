"""The demo's screen: a moment into lines of text. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from sitekeeper_collector.cli_text import clipped, padded, safe, width
from sitekeeper_collector.demo.news import CountyNews, TicketLine
from sitekeeper_collector.demo.snapshot import Snapshot
from sitekeeper_collector.demo.words import say
from sitekeeper_collector.domain.tickets import TicketState
from sitekeeper_protocol import texts
from sitekeeper_protocol.messages import Sample
from sitekeeper_protocol.texts import Lang
from sitekeeper_protocol.vocabulary import Metric, Rung, State, from_wire


class Scene(NamedTuple):
    """What the lines are made of."""

    snapshot: Snapshot
    phase: str
    """A key of ``words``."""
    messages: Mapping[str, int]
    elapsed_s: float
    folder: str
    now_ms: int
    county: CountyNews | None = None


_MARKS = {State.OK: "●", State.DEGRADED: "◐", State.FAIL: "✗", State.SILENT: "·", State.NOT_APPLICABLE: " "}
_COLOURS = {State.OK: "32", State.DEGRADED: "33", State.FAIL: "31", State.SILENT: "2", State.NOT_APPLICABLE: "2"}
_LABEL_COLUMNS = 20


def screen(scene: Scene, lang: Lang, *, columns: int, colour: bool) -> list[str]:
    """The whole screen, no line wider than ``columns``."""
    snapshot = scene.snapshot
    head = [say("title", lang) + f"   {scene.elapsed_s:.0f} s   " + say("stop_hint", lang)]
    if scene.county is not None:
        lines = [
            *head,
            "",
            *_county(scene.county, scene.elapsed_s, lang, colour),
            "",
            f"── {say('measures', lang)}",
            *(_in_short(snapshot.newest, lang, colour) if snapshot.newest else [say("waiting", lang)]),
            _row(say("samples", lang), f"{snapshot.stored}   {_coverage(snapshot, lang) if snapshot.stored else ''}"),
            _row(say("phase", lang), say(scene.phase, lang)),
        ]
    else:
        lines = [
            *head,
            say("what", lang),
            _row(say("files", lang), scene.folder),
            "",
            f"── {say('measures', lang)}",
            *(_measured(snapshot.newest, lang, colour) if snapshot.newest else [say("waiting", lang)]),
            "",
            f"── {say('stored', lang)}",
            *_stored(scene, lang),
            "",
            _row(say("phase", lang), say(scene.phase, lang)),
        ]
    return [line if "\x1b" in line else clipped(line, columns - 1) for line in lines]


def _county(news: CountyNews, elapsed_s: float, lang: Lang, colour: bool) -> list[str]:
    """The story so far, what comes next, and the tickets that it has made."""
    told = len(news.done)
    bar = "█" * told + "░" * (news.steps - told)
    lines = [
        f"── {say('county', lang, sites=news.sites, connected=news.connected, samples=news.samples)}",
        f"{bar}  " + _coming(news, lang),
    ]
    for step in news.done[-2:]:
        lines += [f"{step.at_s:4.0f} s  {step.happens}", f"        {say('look_at', lang)}{step.look}"]
    counts = news.counts
    waiting = counts.get(TicketState.OPEN, 0) + counts.get(TicketState.ACKNOWLEDGED, 0)
    ended = counts.get(TicketState.RESOLVED, 0) + counts.get(TicketState.CLOSED, 0)
    lines += ["", f"── {say('tickets', lang, waiting=waiting, ended=ended, mails=news.mails)}"]
    return lines + [_ticket(line, lang, colour) for line in news.tickets]


def _coming(news: CountyNews, lang: Lang) -> str:
    if news.coming is None:
        return say("story_over", lang)
    in_s, happens = news.coming
    return say("coming", lang, s=round(in_s), text=happens)


def _ticket(line: TicketLine, lang: Lang, colour: bool) -> str:
    ticket = line.ticket
    done = ticket.state in (TicketState.RESOLVED, TicketState.CLOSED)
    parts = (
        texts.grade(ticket.grade, lang),
        f"{safe(line.site_name)}{'：' if lang == 'zh' else ': '}{texts.kind(ticket.kind, lang)}",
        texts.party(ticket.party, lang),
        say(f"ticket_{ticket.state.value}", lang),
    )
    text = f"{'✓' if done else '▲'} {padded(line.number, 10)}{' · '.join(parts)}"
    return f"\x1b[{'32' if done else '31'}m{text}\x1b[0m" if colour else text


def _in_short(sample: Sample, lang: Lang, colour: bool) -> list[str]:
    """The ladder on one line."""
    rungs = [f"{texts.rung(rung, lang)} {_MARKS[state]}" for _, rung, state, _ in _ladder(sample)]
    verdict = sample.values.get((Metric.VERDICT_STATE, ""))
    return ["  ".join(rungs), *([] if verdict is None else [_row(say("verdict", lang), texts.state(verdict, lang))])]


def progress(scene: Scene, lang: Lang) -> str:
    """The same on one line, for where a screen can't be painted over."""
    snapshot = scene.snapshot
    parts = [f"[{scene.elapsed_s:5.1f} s]", say(scene.phase, lang)]
    if snapshot.newest is not None:
        rungs = " ".join(
            f"{texts.rung(rung, lang)} {texts.state(state, lang)}" + (f" {ms:.1f} ms" if ms is not None else "")
            for _, rung, state, ms in _ladder(snapshot.newest)
        )
        parts += [f"{say('samples', lang)} {snapshot.stored}", _coverage(snapshot, lang), rungs]
    if scene.county is not None:
        counts = scene.county.counts
        waiting = counts.get(TicketState.OPEN, 0) + counts.get(TicketState.ACKNOWLEDGED, 0)
        ended = counts.get(TicketState.RESOLVED, 0) + counts.get(TicketState.CLOSED, 0)
        parts.append(say("tickets", lang, waiting=waiting, ended=ended, mails=scene.county.mails))
    return " | ".join(parts)


def _row(label: str, text: str) -> str:
    return f"{padded(label, max(_LABEL_COLUMNS, width(label) + 1))}{text}"


def _measured(sample: Sample, lang: Lang, colour: bool) -> list[str]:
    lines = []
    for path, rung, state, ms in _ladder(sample):
        text = f"{_MARKS[state]} {texts.state(state, lang)}"
        shown = padded(text, 16) + (f"{ms:8.1f} ms" if ms is not None else "")
        label = padded(texts.rung(rung, lang), _LABEL_COLUMNS) + padded(path, 8)
        lines.append(label + (f"\x1b[{_COLOURS[state]}m{shown}\x1b[0m" if colour else shown).rstrip())
    verdict = sample.values.get((Metric.VERDICT_STATE, ""))
    if verdict is not None:
        lines.append(_row(say("verdict", lang), texts.state(verdict, lang)))
    figures = [
        (say("cpu", lang), _figure(sample, Metric.CPU_RATIO, "{:.0%}")),
        (say("memory", lang), _figure(sample, Metric.MEMORY_AVAILABLE_RATIO, "{:.0%}")),
        (say("disk", lang), _disk(sample)),
        (say("uptime", lang), _uptime(sample)),
    ]
    return lines + [_row(label, text) for label, text in figures if text]


def _ladder(sample: Sample) -> list[tuple[str, Rung, State, float | None]]:
    """(path, rung, state, ms) of every rung that was measured, lowest first."""
    found = []
    for (code, instance), integer in sample.values.items():
        path, _, name = instance.rpartition("/")
        if code == Metric.RUNG_STATE and name.upper() in Rung.__members__ and integer in set(State):
            ticks = sample.values.get((Metric.RUNG_RTT_MS, instance))
            ms = None if ticks is None else from_wire(Metric.RUNG_RTT_MS, ticks)
            found.append((safe(path), Rung[name.upper()], State(integer), ms))
    return sorted(found, key=lambda row: (row[0], row[1]))


def _figure(sample: Sample, metric: Metric, form: str) -> str:
    integer = sample.values.get((metric, ""))
    return "" if integer is None else form.format(from_wire(metric, integer))


def _disk(sample: Sample) -> str:
    return ", ".join(
        f"{safe(volume)} {from_wire(code, integer) / 2**30:.1f} GiB"
        for (code, volume), integer in sorted(sample.values.items())
        if code == Metric.DISK_FREE_BYTES
    )


def _uptime(sample: Sample) -> str:
    integer = sample.values.get((Metric.HOST_UPTIME_S, ""))
    if integer is None:
        return ""
    minutes = int(from_wire(Metric.HOST_UPTIME_S, integer)) // 60
    return f"{minutes // 1440} d {minutes // 60 % 24:02d}:{minutes % 60:02d}"


def _coverage(snapshot: Snapshot, lang: Lang) -> str:
    if snapshot.missing:
        return say("missing", lang, last=snapshot.last, missing=snapshot.missing)
    return say("complete", lang, last=snapshot.last)


def _stored(scene: Scene, lang: Lang) -> list[str]:
    snapshot = scene.snapshot
    rows = [
        (say("samples", lang), f"{snapshot.stored}   {_coverage(snapshot, lang) if snapshot.stored else ''}"),
        (say("messages", lang), say("counted", lang, **{name: scene.messages.get(name, 0) for name in ("report", "receipt")})),
        (say("placement", lang), ", ".join(say(str(name), lang, n=n) for name, n in sorted(snapshot.placements.items()))),
    ]
    if snapshot.newest_ms is not None:
        rows.append((say("lag", lang), say("ago", lang, s=max(0.0, (scene.now_ms - snapshot.newest_ms) / 1000))))
    if snapshot.held is not None:
        rows.append((say("spool", lang), say("spool_counts", lang, held=snapshot.held, open=snapshot.unconfirmed or 0)))
    return [_row(label, text) for label, text in rows]
