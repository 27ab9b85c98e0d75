"""The register in the database, what the commands read from it, and copies of it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from sitekeeper_collector.registry import stored
from sitekeeper_collector.registry.entry import Contact, Profile, SiteEntry
from sitekeeper_collector.store import backup, queries, tables
from sitekeeper_collector.store.engine import Store, current_epoch, open_store
from sitekeeper_collector.store.errors import StoreError

ONE = SiteEntry(
    id="s1",
    name="东村",
    contacts=(Contact(name="王芳", phone="13800001111", mail="w@example.cn"), Contact(name="", phone="110110")),
    profile=Profile.PC_IPTV,
    hours="Mon-Fri 09:00-17:00",
)
TWO = SiteEntry(id="s2", name="West")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a database that is not there yet."""
    return f"sqlite:///{tmp_path}/k.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An open one."""
    store = open_store(url)
    yield store
    store.close()


def _import(store: Store, *entries: SiteEntry, now_ms: int = 1) -> stored.Difference:
    with store.write() as connection:
        difference = stored.compare(stored.all_sites(connection), entries)
        stored.apply(connection, difference, now_ms)
    return difference


def _sites(store: Store) -> list[SiteEntry]:
    with store.read() as connection:
        return stored.all_sites(connection)


def test_imported_sites_are_read_back_as_they_were(store: Store) -> None:
    assert [e.id for e in _import(store, TWO, ONE).added] == ["s2", "s1"]
    assert _sites(store) == [ONE, TWO]


def test_a_second_import_tells_added_changed_unchanged_and_absent_and_changes_only_what_differs(store: Store) -> None:
    _import(store, ONE, TWO, now_ms=1)
    renamed = SiteEntry(id="s1", name="New", contacts=ONE.contacts, profile=ONE.profile, hours="")
    difference = _import(store, renamed, SiteEntry(id="s3", name="Third"), now_ms=2)
    assert [e.id for e in difference.added] == ["s3"]
    assert [(c.entry.id, c.fields) for c in difference.changed] == [("s1", ("name", "hours"))]
    assert (difference.unchanged, difference.absent) == (0, ("s2",))
    assert _sites(store) == [renamed, TWO, SiteEntry(id="s3", name="Third")]
    with store.read() as connection:
        found = connection.execute(select(tables.sites.c.id, tables.sites.c.added_ms, tables.sites.c.changed_ms))
        stamps = sorted(tuple(row) for row in found)
    assert stamps == [("s1", 1, 2), ("s2", 1, 1), ("s3", 2, 2)]
    assert _import(store, renamed).unchanged == 1


def _add_sample(store: Store, sequence: int, placed_ms: int | None, *, site: str = "s1", received_ms: int = 100) -> None:
    with store.write() as connection:
        connection.execute(
            insert(tables.samples).values(
                site=site,
                run=5,
                sequence=sequence,
                boot=1,
                wall_ms=0,
                boottime_ms=0,
                placed_ms=placed_ms,
                placement="exact" if placed_ms else "held",
                not_after_ms=50,
                received_ms=received_ms,
                report=sequence,
            )
        )
        connection.execute(insert(tables.reports).values(site=site, run=5, first=sequence, payload=b""))


def test_the_newest_samples_come_first_and_one_without_a_time_stands_at_its_bound(store: Store) -> None:
    for sequence, placed_ms in ((1, 40), (2, None), (3, 60)):
        _add_sample(store, sequence, placed_ms)
    _add_sample(store, 9, 70, site="other")
    _add_sample(store, 4, 10, received_ms=1)
    with store.read() as connection:
        found = queries.samples(connection, site="s1", since_ms=2, limit=10)
        assert [row.sequence for row in found] == [3, 2, 1]
        assert [row.sequence for row in queries.samples(connection, site=None, since_ms=0, limit=2)] == [9, 3]


def test_unknown_sites_are_listed_with_the_reports_held_for_them(store: Store) -> None:
    with store.write() as connection:
        for site, last_ms in (("a", 5), ("b", 6)):
            row = {"site": site, "area": "x", "first_ms": 1, "last_ms": last_ms, "messages": 3}
            connection.execute(insert(tables.unknown_sites).values(row))
        connection.execute(insert(tables.held_reports).values(site="a", topic="t", received_ms=1, payload=b""))
    with store.read() as connection:
        unknown = queries.unknown_sites(connection)
    assert unknown == [queries.UnknownSite("b", "x", 1, 6, 3, 0), queries.UnknownSite("a", "x", 1, 5, 3, 1)]


def test_open_findings_are_told_apart_from_closed_ones(store: Store) -> None:
    with store.write() as connection:
        for kind, closed in (("k1", None), ("k2", 9)):
            row = {"site": "s", "kind": kind, "first_ms": 1, "last_ms": 2, "count": 7, "detail": "d", "closed_ms": closed}
            connection.execute(insert(tables.findings).values(row))
    with store.read() as connection:
        assert [(f.kind, f.times) for f in queries.findings(connection)] == [("k1", 7)]
        assert {f.kind for f in queries.findings(connection, closed_too=True)} == {"k1", "k2"}


def test_a_copy_put_back_under_a_running_collector_brings_its_content_and_a_new_epoch(
    store: Store, url: str, tmp_path: Path
) -> None:
    _import(store, ONE)
    copy = tmp_path / "copy.db"
    backup.back_up(url, copy)
    assert copy.stat().st_mode & 0o777 == 0o600
    _import(store, TWO)
    with store.read() as connection:
        before = current_epoch(connection)
    epoch = backup.restore(url, copy)
    assert _sites(store) == [ONE]
    with store.read() as connection:
        assert current_epoch(connection) == epoch != before
    _import(store, TWO)
    assert _sites(store) == [ONE, TWO]
    assert sorted(p.name for p in tmp_path.iterdir() if "restoring" in p.name or "part" in p.name) == []


def test_a_copy_is_never_written_over_a_file(store: Store, url: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(StoreError, match="already"):
        backup.back_up(url, tmp_path / "precious")
    assert (tmp_path / "precious").read_text() == "x"


def test_what_is_no_copy_of_ours_is_refused_and_changes_nothing(store: Store, url: str, tmp_path: Path) -> None:
    _import(store, ONE)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (x)")
    other.close()
    (tmp_path / "text").write_text("hello, this is not a database at all" * 100)
    for name, why in (("other.db", "not a copy"), ("text", "no database|can't be put back"), ("none", "no such file")):
        with pytest.raises((StoreError, RuntimeError), match=why):
            backup.restore(url, tmp_path / name)
    assert _sites(store) == [ONE]
