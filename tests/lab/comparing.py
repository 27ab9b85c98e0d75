"""What Sitekeeper mailed about a scenario, and what Alertmanager did: to whom, how soon, how often."""

import re
import time
from collections.abc import Iterable, Sequence

from msgspec import Struct

from lab.play import Played
from lab.scenario import Scenario
from support.post_office import Letter

_ALERT = re.compile(r"\[(?:FIRING|RESOLVED)(?::\d+)?\] (\w+)")


class Mailed(Struct, frozen=True, kw_only=True):
    """All mails of one of both: how many, the first to each party (seconds after the first break), and their subjects."""

    count: int
    first_s: dict[str, float]
    subjects: list[str]

    @property
    def words(self) -> str:
        told = [f"{party} {seconds:.0f} s" for party, seconds in self.first_s.items()]
        return f"{self.count}: {', '.join(told)}" if told else "0"


class Compared(Struct, frozen=True, kw_only=True):
    """A row: whose job it really was, and what both mailed. ``tickets``: Sitekeeper's, in the end."""

    scenario: str
    job: list[str]
    ours: Mailed
    tickets: list[str]
    theirs: Mailed


def compare(scenario: Scenario, played: Played, theirs: Sequence[Letter]) -> Compared:
    began_ms = min((t.from_ms for troubles in played.troubles.values() for t in troubles), default=played.begun_ms)
    steady_s = time.monotonic() - (time.time() - began_ms / 1000)
    return Compared(
        scenario=scenario.name,
        job=sorted({words.split()[2] for words in scenario.truth.after}) or ["nobody"],
        ours=_mailed(played.letters, steady_s),
        tickets=played.after,
        theirs=_mailed(theirs, steady_s),
    )


def _mailed(letters: Iterable[Letter], since_s: float) -> Mailed:
    first: dict[str, float] = {}
    subjects = []
    for letter in letters:
        party = letter.recipient.partition("@")[0]
        first.setdefault(party, round(letter.at_s - since_s, 1))
        subjects.append(f"{party}: {letter.subject}")
    return Mailed(count=len(subjects), first_s=first, subjects=subjects)


def alerts(mailed: Mailed) -> list[str]:
    """The alerts that Alertmanager's subjects name, each once."""
    found = [match[1] for subject in mailed.subjects if (match := _ALERT.search(subject))]
    return list(dict.fromkeys(found))


def table(rows: Sequence[Compared]) -> str:
    """In Markdown, as docs/lab.md shows it."""
    titles = ("scenario", "whose job", "Sitekeeper's mails, first to each", "its tickets in the end", "theirs", "their alerts")
    lines = [f"| {' | '.join(titles)} |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        tickets = ", ".join(sorted({" ".join(words.split()[1:3]) for words in row.tickets})) or "none"
        cells = (row.scenario, ", ".join(row.job), row.ours.words, tickets, row.theirs.words, ", ".join(alerts(row.theirs)))
        lines.append(f"| {' | '.join(cells)} |")
    ours, theirs = (sum(getattr(row, who).count for row in rows) for who in ("ours", "theirs"))
    right = [_right(row.job, row.theirs) for row in rows]
    lines.append("")
    lines.append(
        f"{len(rows)} scenarios: Sitekeeper sent {ours} mails, Alertmanager {theirs}. "
        f"Alertmanager wrote to those whose job it was and to nobody else in {sum(right)} of them, "
        f"Sitekeeper in {sum(_right(row.job, row.ours) for row in rows)}."
    )
    return "\n".join(lines)


def _right(job: Sequence[str], mailed: Mailed) -> bool:
    wanted = set() if job == ["nobody"] else set(job)
    return set(mailed.first_s) == wanted
