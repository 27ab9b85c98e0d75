"""The picture of a run: a time line for each scenario, the truth above, below it what sites and centre said."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from msgspec import Struct

from lab.agents import Said
from lab.play import Played, Trouble
from sitekeeper_protocol.vocabulary import State

_LEFT, _WIDTH, _ROW, _HEAD = 250, 900, 13, 22
_TRUTH, _SAID, _TICKET, _SLOW = "#44546a", "#c0504d", "#e0a030", "#d9a9a7"
_STYLE = "text{font:10px sans-serif;fill:#222}.t{font-weight:bold;font-size:11px}.w{fill:#fff;font-size:9px}"


class Bar(Struct, frozen=True, kw_only=True):
    """A stretch of time in seconds since the scenario began."""

    from_s: float
    to_s: float
    words: str


class Course(Struct, frozen=True, kw_only=True):
    """A scenario as it went: ``truth`` and ``said`` by site, ``tickets`` from opening to end, and when mails were sent."""

    lasted_s: float
    truth: dict[str, list[Bar]]
    said: dict[str, list[Bar]]
    tickets: list[Bar]
    mails_s: list[float] = []


def course_of(played: Played) -> Course:
    """Times of what was played, from its beginning."""
    last = max((s.wall_ms for said in played.said.values() for s in said[-1:]), default=played.begun_ms)
    end = max(played.ended_ms, last)

    def bar(from_ms: int, to_ms: int | None, words: str) -> Bar:
        from_s, to_s = ((at - played.begun_ms) / 1000 for at in (from_ms, to_ms or end))
        return Bar(from_s=round(from_s, 1), to_s=round(to_s, 1), words=words)

    def of(troubles: Sequence[Trouble]) -> list[Bar]:
        return [bar(trouble.from_ms, trouble.to_ms, "") for trouble in troubles]

    return Course(
        lasted_s=round((end - played.begun_ms) / 1000, 1),
        truth={site: of(troubles) for site, troubles in sorted(played.troubles.items())},
        said={site: [bar(*stretch) for stretch in _stretches(said)] for site, said in sorted(played.said.items())},
        tickets=[bar(t.opened_ms, t.resolved_ms, f"{t.site} {t.kind} {t.party}") for t in played.tickets],
        mails_s=[round((at_ms - played.begun_ms) / 1000, 1) for at_ms in played.mailed_ms],
    )


def _stretches(said: Iterable[Said]) -> list[tuple[int, int, str]]:
    """Of samples that say the same one after the other: from the first to where the next thing is said."""
    found: list[tuple[int, int, str]] = []
    words, since, last = "", 0, 0
    for one in said:
        now = "" if one.state == State.OK else one.words
        if now != words:
            if words:
                found.append((since, one.wall_ms, words))
            words, since = now, one.wall_ms
        last = one.wall_ms
    return [*found, (since, last, words)] if words else found


def draw(rows: Sequence[dict[str, Any]]) -> str:
    """``rows`` of ``result.json`` as an SVG."""
    parts, top = [], 48
    for row in rows:
        if row["course"] is not None:
            drawn, height = _scenario(row, top)
            parts += drawn
            top += height + 10
    size = f'width="{_LEFT + _WIDTH + 20}" height="{top}" viewBox="0 0 {_LEFT + _WIDTH + 20} {top}"'
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', f"<style>{_STYLE}</style>"]
    return "\n".join([*head, *_legend(), *parts, "</svg>\n"])


def _legend() -> list[str]:
    words = ((_TRUTH, "broken, in truth"), (_SAID, "said at the site"), (_TICKET, "ticket"), ("#222", "mail (a tick)"))
    parts = ['<rect width="100%" height="100%" fill="#fff"/>']
    for at, (colour, meaning) in enumerate(words):
        parts.append(f'<rect x="{10 + at * 150}" y="10" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(28 + at * 150, 20, meaning))
    return parts


def _scenario(row: dict[str, Any], top: int) -> tuple[list[str], int]:
    course = row["course"]
    scale = _WIDTH / max(course["lasted_s"], 1)
    parts = [f'<text class="t" x="10" y="{top}">{escape(row["scenario"])}: {row["word"]} ({course["lasted_s"]:.0f} s)</text>']
    y = top + 6
    lines = [(f"{site}: truth", bars, _TRUTH) for site, bars in course["truth"].items()]
    lines += [(f"{site}: says", bars, _SAID) for site, bars in course["said"].items() if bars]
    lines.sort(key=lambda line: (line[0][0], line[2] != _TRUTH))
    lines += [(bar["words"], [bar | {"words": ""}], _TICKET) for bar in course["tickets"]]
    for title, bars, colour in lines:
        parts.append(_text(20, y + 10, title))
        parts += [_bar(bar, y, scale, colour) for bar in bars]
        y += _ROW
    for at_s in course["mails_s"]:
        x = _LEFT + at_s * scale
        parts.append(f'<path d="M{x:.1f} {top + 4}V{y}" stroke="#222" stroke-width="1.5"/>')
    parts.append(f'<path d="M{_LEFT} {y + 1}H{_LEFT + _WIDTH}" stroke="#ccc"/>')
    return parts, y - top + _HEAD - 10


def _bar(bar: dict[str, Any], y: int, scale: float, colour: str) -> str:
    x, width = _LEFT + bar["from_s"] * scale, max((bar["to_s"] - bar["from_s"]) * scale, 2)
    drawn = _SLOW if bar["words"].startswith("slow") else colour
    title = f"<title>{escape(bar['words'])}</title>"
    box = f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW - 2}" fill="{drawn}">{title}</rect>'
    fits = bar["words"] and width > 5 * len(bar["words"])
    return box + (f'<text class="w" x="{x + 3:.1f}" y="{y + 8}">{escape(bar["words"])}</text>' if fits else "")


def _text(x: int, y: int, words: str) -> str:
    return f'<text x="{x}" y="{y}">{escape(words)}</text>'
