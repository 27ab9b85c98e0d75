"""The receipts that a batch earns: who gets one, and what it lists."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select

from sitekeeper_collector.domain import coverage, receipts
from sitekeeper_collector.domain.receipts import Evidence, Sent
from sitekeeper_collector.ingest.intake import Heard
from sitekeeper_collector.ingest.messages import Outbound
from sitekeeper_collector.store.tables import runs
from sitekeeper_collector.store.working import Working
from sitekeeper_protocol import WIRE_VERSION, codec, topics
from sitekeeper_protocol.messages import Receipt, RunReceipt
from sitekeeper_protocol.topics import Leaf

_MAX_REFUSED = 64


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


class Answers:
    """Remembers which site got which receipts from this process."""

    def __init__(self, interval_s: float) -> None:
        self._interval_ms = round(interval_s * 1000)
        self._sent: dict[str, Sent] = {}

    def owed(self, connection: Connection, working: Working, heard: Mapping[str, Heard], now_ms: int) -> list[Answer]:
        """The receipts to send once the transaction is committed."""
        answers: list[Answer] = []
        for site, news in heard.items():
            evidence = Evidence(news.connection, news.asked, bool(news.refused), news.live)
            due = receipts.owed(self._sent.get(site), evidence, interval_ms=self._interval_ms, now_ms=now_ms)
            if due is None:
                continue
            listed = {
                run: _said(working, site, run, answered) for run, answered in list(news.runs.items())[-receipts.MAX_RUNS :]
            }
            complete = due.complete and self._complete(connection, site, listed, now_ms)
            answers.append(
                Answer(
                    site=site,
                    area=news.area,
                    connection=news.connection,
                    run=news.run,
                    number=news.number,
                    runs=list(listed.values()),
                    complete=complete,
                    refused=news.refused[-_MAX_REFUSED:],
                )
            )
        return answers

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
        )
        return Outbound(topics.topic(answer.area, answer.site, Leaf.RECEIPT), codec.encode(receipt))

    def _complete(self, connection: Connection, site: str, listed: dict[int, RunReceipt], now_ms: int) -> bool:
        """Add the site's other runs of the last days to ``listed``; whether all have room."""
        recent = (
            select(runs.c.run, runs.c.coverage)
            .where(runs.c.site == site, runs.c.last_heard_ms >= now_ms - receipts.COMPLETE_DAYS_MS)
            .order_by(runs.c.last_heard_ms.desc())
            .limit(receipts.MAX_RUNS + 1)
        )
        rows = connection.execute(recent).all()
        if not receipts.may_be_complete(len({row.run for row in rows} | listed.keys())):
            return False
        for row in rows:
            if row.run not in listed:
                listed[row.run] = coverage.receipt(row.run, coverage.unpack(row.coverage))
        return True


def _said(working: Working, site: str, run: int, answered: list[coverage.Span]) -> RunReceipt:
    record = working.runs.find((site, run))
    return coverage.receipt(run, record.coverage if record else coverage.Coverage(), answered)
