"""A console over a county with cases, for tests of its pages over a real socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select

from sitekeeper_collector.domain.tickets import Ticket
from sitekeeper_collector.store import sight, tables
from sitekeeper_collector.store import tickets as stored
from sitekeeper_collector.web.server import ConsoleServer
from support.cases import CHINA_MIN, Cases
from support.pages import Page, Visitor
from support.scripted import bench

HOSTILE = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"


class Stage(NamedTuple):
    """A console over a county with cases."""

    cases: Cases
    console: ConsoleServer
    visitor: Visitor

    def get(self, path: str) -> Page:
        return self.visitor.get(path)

    def step(self, ticket: Ticket, step: str, text: str = "", **more: Any) -> Page:
        return self.visitor.post(f"/tickets/{ticket.number}/{step}", text=text, **more)

    def ticket(self, number: str) -> Ticket:
        with self.cases.store.read() as connection:
            found = stored.find(connection, number)
        assert found is not None
        return found

    def everything(self) -> list[tuple[Any, ...]]:
        """All that a page could change by mistake."""
        changing = (tables.tickets, tables.timeline, tables.mails, tables.faults, tables.absences, tables.meta, tables.users)
        with self.cases.store.read() as connection:
            return [tuple(row) for table in changing for row in connection.execute(select(table))]


@contextmanager
def console_stage(folder: Path, **more: Any) -> Iterator[Stage]:
    """A console over four sites, and a visitor who is signed in and reads English."""
    with bench(folder, "v1", "v2", "v3", "v4") as at:
        cases = Cases(at.store, at.now_ms)
        with at.store.write() as connection:
            sight.beat(connection, at.now_ms)
            connection.execute(
                tables.sites.update()
                .where(tables.sites.c.id == "v1")
                .values(name="Upper River", township="Clearwater", account="0371880113", loid="LOID77", line_phone="0371-5552")
            )
        console = ConsoleServer(
            at.store,
            host="127.0.0.1",
            port=0,
            wall_ms=lambda: cases.now_ms,
            blind_after_s=10**6,
            desk=cases.desk,
            utc_offset_min=CHINA_MIN,
            **more,
        )
        console.start()
        visitor = Visitor(console.port, **{"accept-language": "en"})
        assert visitor.sign_in(str(console.first_password)).status == 303
        yield Stage(cases, console, visitor)
        console.stop()
