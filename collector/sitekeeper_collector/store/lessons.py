"""Classes in the database: when which sites are meant to be in use."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from sitekeeper_collector.domain.calendars import Lesson
from sitekeeper_collector.store.tables import lessons


class Planned(NamedTuple):
    """A class of one site, or of all sites of a township or a county; what is empty is any."""

    county: str
    township: str
    site: str
    from_ms: int
    to_ms: int
    title: str

    def is_for(self, county: str, township: str, site: str) -> bool:
        """Whether it is held at this site."""
        wanted = ((self.county, county), (self.township, township), (self.site, site))
        return all(not asked or asked == there for asked, there in wanted)

    @property
    def lesson(self) -> Lesson:
        """The class itself."""
        return Lesson(self.from_ms, self.to_ms, self.title)


class Kept(NamedTuple):
    """A planned class with its number in the database."""

    id: int
    planned: Planned


_COLUMNS = tuple(lessons.c[name] for name in Planned._fields)


def add(connection: Connection, planned: Iterable[Planned]) -> int:
    """Insert classes, without those that are there already; how many were new."""
    there = {Planned(*row) for row in connection.execute(select(*_COLUMNS))}
    new = [one for one in dict.fromkeys(planned) if one not in there]
    if new:
        connection.execute(insert(lessons), [one._asdict() for one in new])
    return len(new)


def remove(connection: Connection, number: int) -> bool:
    """Take a class out of the plan; whether it was there."""
    return connection.execute(delete(lessons).where(lessons.c.id == number)).rowcount == 1


def between(connection: Connection, from_ms: int, to_ms: int) -> list[Kept]:
    """The classes that share time with ``from_ms`` to ``to_ms``, by time."""
    query = select(lessons.c.id, *_COLUMNS).where(lessons.c.from_ms < to_ms, lessons.c.to_ms > from_ms)
    rows = connection.execute(query.order_by(lessons.c.from_ms, lessons.c.id))
    return [Kept(row[0], Planned(*row[1:])) for row in rows]


def of_site(connection: Connection, county: str, township: str, site: str, from_ms: int, to_ms: int) -> list[Lesson]:
    """The classes of a site that share time with ``from_ms`` to ``to_ms``, by time."""
    asked = ((lessons.c.county, county), (lessons.c.township, township), (lessons.c.site, site))
    mine = [column.in_(("", there)) for column, there in asked]
    query = select(lessons.c.from_ms, lessons.c.to_ms, lessons.c.title)
    rows = connection.execute(
        query.where(lessons.c.from_ms < to_ms, lessons.c.to_ms > from_ms, *mine).order_by(lessons.c.from_ms, lessons.c.id)
    )
    return [Lesson(*row) for row in rows]
