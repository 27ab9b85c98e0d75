"""The receipts that a batch earns: who gets one, and what it lists."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from sitekeeper_collector.domain import coverage, receipts
from sitekeeper_collector.domain.receipts import Evidence, Owed, Sent
from sitekeeper_collector.ingest.intake import Heard
from sitekeeper_collector.ingest.messages import Outbound
from sitekeeper_collector.store import tickets
from sitekeeper_collector.store.tables import runs
from sitekeeper_collector.store.working import Working
from sitekeeper_protocol import WIRE_VERSION, codec, topics
from sitekeeper_protocol.messages import Receipt, RunReceipt
from sitekeeper_protocol.topics import Leaf

_MAX_REFUSED = 64
_MAX_TICKETS = 64
_CHUNK = 200


class Answer(NamedTuple):
    """A receipt without its time, which it gets when it goes out: the agent's clock is set by it."""

    site: str
    area: str
    connection: int
    run: int
    number: int
    runs: list[RunReceipt]
    complete: bool
    refused: list[tuple[int, int]]
    tickets: list[str]


class Answers:
    """Remembers which site got which receipts from this process."""

    def __init__(self, interval_s: float) -> None:
        self._interval_ms = round(interval_s * 1000)
        self._sent: dict[str, Sent] = {}

    def owed(
        self,
        connection: Connection,
        working: Working,
        heard: Mapping[str, Heard],
        now_ms: int,
        told: Collection[str] = (),
    ) -> list[Answer]:
        """The receipts to send once the transaction is committed. ``told``: sites whose tickets have changed."""
        due: dict[str, Owed] = {}
        for site, news in heard.items():
            evidence = Evidence(news.connection, news.asked, bool(news.refused), news.live, site in told)
            found = receipts.owed(self._sent.get(site), evidence, interval_ms=self._interval_ms, now_ms=now_ms)
            if found is not None:
                due[site] = found
        others = _recent_runs(connection, [site for site, owed in due.items() if owed.complete], now_ms)
        numbers = tickets.undone_numbers(connection, list(due)) if due else {}
        return [self._answer(working, site, heard[site], others.get(site), numbers.get(site, [])) for site in due]

    def _answer(
        self, working: Working, site: str, news: Heard, others: Mapping[int, bytes] | None, numbers: Sequence[str]
    ) -> Answer:
        """``others``: the coverage of all runs of the last days, if the receipt is to list them; ``numbers``: its tickets."""
        listed = {run: _said(working, site, run, answered) for run, answered in list(news.runs.items())[-receipts.MAX_RUNS :]}
        complete = others is not None and receipts.may_be_complete(len(others.keys() | listed.keys()))
        if complete and others is not None:
            for run, book in others.items():
                if run not in listed:
                    listed[run] = coverage.receipt(run, coverage.unpack(book))
        return Answer(
            site=site,
            area=news.area,
            connection=news.connection,
            run=news.run,
            number=news.number,
            runs=list(listed.values()),
            complete=complete,
            refused=news.refused[-_MAX_REFUSED:],
            tickets=list(numbers[-_MAX_TICKETS:]),
        )

    def write(self, answer: Answer, epoch: int, now_ms: int) -> Outbound:
        """The message of a receipt that goes out now."""
        self._sent[answer.site] = Sent(answer.connection, now_ms)
        receipt = Receipt(
            version=WIRE_VERSION,
            epoch=epoch,
            run=answer.run,
            number=answer.number,
            server_time_ms=now_ms,
            runs=answer.runs,
            complete=answer.complete,
            refused=answer.refused,
            tickets=answer.tickets,
        )
        return Outbound(topics.topic(answer.area, answer.site, Leaf.RECEIPT), codec.encode(receipt))


def _recent_runs(connection: Connection, sites: Sequence[str], now_ms: int) -> dict[str, dict[int, bytes]]:
    """The coverage of each site's runs of the last days, by run: the newest, up to one more than a receipt has room for."""
    found: dict[str, dict[int, bytes]] = {site: {} for site in sites}
    for at in range(0, len(sites), _CHUNK):
        rank = func.row_number().over(partition_by=runs.c.site, order_by=runs.c.last_heard_ms.desc()).label("rank")
        recent = (
            select(runs.c.site, runs.c.run, runs.c.coverage, rank)
            .where(runs.c.site.in_(sites[at : at + _CHUNK]), runs.c.last_heard_ms >= now_ms - receipts.COMPLETE_DAYS_MS)
            .subquery()
        )
        newest = select(recent.c.site, recent.c.run, recent.c.coverage).where(recent.c.rank <= receipts.MAX_RUNS + 1)
        for site, run, book in connection.execute(newest):
            found[site][run] = book
    return found


def _said(working: Working, site: str, run: int, answered: list[coverage.Span]) -> RunReceipt:
    record = working.runs.find((site, run))
    return coverage.receipt(run, record.coverage if record else coverage.Coverage(), answered)
