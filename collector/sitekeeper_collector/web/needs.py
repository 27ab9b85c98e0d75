"""What needs somebody first: tickets in the order of their urgency, those that one cause explains behind the one that leads."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sitekeeper_collector.domain.tickets import TicketState
from sitekeeper_collector.web.casework import TicketRow
from sitekeeper_protocol.vocabulary import Party, Severity

_RANK = {severity: rank for rank, severity in enumerate(reversed(Severity))}


class Need(NamedTuple):
    """A ticket that waits for somebody, and the tickets that it explains."""

    ticket: TicketRow
    others: tuple[TicketRow, ...] = ()


def folded(rows: Sequence[TicketRow]) -> list[Need]:
    """Waiting tickets: what nobody has taken up before the rest, then by severity, then the oldest."""
    numbers = {row.number: row for row in rows}
    behind: dict[str, list[TicketRow]] = {}
    for row in rows:
        if row.parent in numbers:
            behind.setdefault(_lead(row, numbers), []).append(row)
    explained = {row.number for others in behind.values() for row in others}
    leads = sorted((row for row in rows if row.number not in explained), key=_urgency)
    return [Need(row, tuple(sorted(behind.get(row.number, ()), key=_urgency))) for row in leads]


def by_party(needs: Sequence[Need]) -> list[tuple[Party, int]]:
    """How many wait for whom, in the order of the parties; nobody for whom nothing waits."""
    counted = Counter(need.ticket.party for need in needs)
    return [(party, counted[party]) for party in Party if counted[party]]


def _lead(row: TicketRow, numbers: dict[str, TicketRow]) -> str:
    """The last waiting ticket up the line of those that explain each other."""
    passed = {row.number}
    while row.parent in numbers and row.parent not in passed:
        row = numbers[row.parent]
        passed.add(row.number)
    return row.number


def _urgency(row: TicketRow) -> tuple[bool, int, int, str]:
    return (row.state is not TicketState.OPEN, _RANK[row.severity], row.outage_from_ms, row.number)
