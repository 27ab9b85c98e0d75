"""What every database under the collector must do. SQLite runs it now; another adapter joins by a line in ``ADAPTERS``."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from sitekeeper_collector.domain.coverage import Coverage
from sitekeeper_collector.domain.placement import Arrival, KnownClock, Placement, place
from sitekeeper_collector.store import findings, held, quarantine, samples, sight, tables, tallies
from sitekeeper_collector.store.engine import Store, current_epoch, open_store, renew_epoch
from sitekeeper_collector.store.errors import StoreError, StoreUnavailable
from sitekeeper_collector.store.findings import Finding
from sitekeeper_collector.store.quarantine import Quarantined
from sitekeeper_collector.store.samples import DropRow, SampleRow
from sitekeeper_collector.store.working import RunRecord, Working
from sitekeeper_protocol import RELEASED_MS
from support.wait import wait_until

Open = Callable[[float], Store]
LARGEST = 2**63 - 1
NOW = RELEASED_MS + 10**9


def _sqlite(folder: Path) -> Open:
    return lambda timeout_s: open_store(f"sqlite:///{folder / 'store.db'}", busy_timeout_s=timeout_s)


ADAPTERS: dict[str, Callable[[Path], Open]] = {"sqlite": _sqlite}


@pytest.fixture(params=ADAPTERS)
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return ADAPTERS[request.param](tmp_path)


@pytest.fixture
def store(opening: Open) -> Iterator[Store]:
    opened = opening(5)
    yield opened
    opened.close()


def _sample(sequence: int, *, run: int = LARGEST, placed_ms: int | None = None, boot: int = 9) -> SampleRow:
    return SampleRow("v1", run, sequence, boot, 0, sequence * 1000, placed_ms, "held", NOW, NOW, 1)


def _count(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(tables.samples)).scalar_one()


# --- schema and epoch --------------------------------------------------------------------------------------------------


def test_migrations_make_exactly_the_tables_that_the_code_uses(store: Store) -> None:
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"target_metadata": tables.metadata})
        assert compare_metadata(context, tables.metadata) == []


def test_opening_again_keeps_content_and_epoch(opening: Open) -> None:
    first = opening(5)
    with first.write() as connection:
        samples.add_samples(connection, [_sample(1)])
        epoch = current_epoch(connection)
    first.close()
    again = opening(5)
    try:
        with again.read() as connection:
            assert current_epoch(connection) == epoch and epoch is not None and 1 <= epoch <= LARGEST
        assert _count(again) == 1
    finally:
        again.close()


def test_a_renewed_epoch_is_another_one(store: Store) -> None:
    with store.write() as connection:
        before = current_epoch(connection)
        assert renew_epoch(connection) == current_epoch(connection) != before


def test_a_database_of_a_newer_version_is_not_touched(opening: Open, store: Store) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer version"):
        opening(5)


# --- transactions ------------------------------------------------------------------------------------------------------


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError, match="in the middle"), store.write() as connection:
        samples.add_samples(connection, [_sample(1)])
        raise RuntimeError("in the middle")
    assert _count(store) == 0


def test_a_reader_sees_one_state_while_a_writer_commits(store: Store) -> None:
    with store.read() as reading:
        count = select(func.count()).select_from(tables.samples)
        assert reading.execute(count).scalar_one() == 0
        with store.write() as writing:
            samples.add_samples(writing, [_sample(1)])
        assert reading.execute(count).scalar_one() == 0
    assert _count(store) == 1


def test_a_second_writer_is_told_that_the_database_is_busy_and_succeeds_later(opening: Open, store: Store) -> None:
    impatient = opening(0)
    try:
        with store.write() as connection:
            samples.add_samples(connection, [_sample(1)])
            with pytest.raises(StoreUnavailable), impatient.write():
                pass
        with impatient.write() as connection:
            samples.add_samples(connection, [_sample(2)])
    finally:
        impatient.close()
    assert _count(store) == 2


def test_writers_take_turns_and_lose_no_update(opening: Open, store: Store) -> None:
    """Read, add, write: with a lock taken only at the first write, two would read the same."""
    failures: list[BaseException] = []

    def add_many() -> None:
        mine = opening(20)
        try:
            for _ in range(25):
                with mine.write() as connection:
                    tallies.count(connection, {"turns": 1}, NOW)
        except (StoreUnavailable, StoreError) as err:
            failures.append(err)
        finally:
            mine.close()

    threads = [threading.Thread(target=add_many) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with store.read() as connection:
        assert connection.execute(select(tables.tallies.c.count)).scalar_one() == 75


def test_an_unusable_place_is_unavailable_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreUnavailable):
        open_store(f"sqlite:///{tmp_path / 'file' / 'x.db'}")
    (tmp_path / "junk.db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreUnavailable):
        open_store(f"sqlite:///{tmp_path / 'junk.db'}")


def test_sqlite_syncs_each_commit_to_the_disk(tmp_path: Path) -> None:
    """A receipt lets an agent forget; so a commit must outlive the power (2: FULL)."""
    opened = _sqlite(tmp_path)(5)
    try:
        with opened.read() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    finally:
        opened.close()


# --- rows --------------------------------------------------------------------------------------------------------------


def test_a_sample_comes_back_as_it_went_in_and_a_second_one_is_an_error(store: Store) -> None:
    with store.write() as connection:
        samples.add_samples(connection, [_sample(2**53), _sample(1)])
    with store.read() as connection:
        rows = connection.execute(select(tables.samples).order_by(tables.samples.c.sequence)).all()
    assert [SampleRow(*row) for row in rows] == [_sample(1), _sample(2**53)]
    with pytest.raises(IntegrityError), store.write() as connection:
        samples.add_samples(connection, [_sample(3), _sample(1)])
    assert _count(store) == 2


def test_placing_again_gives_what_placing_at_once_would_have_given(store: Store) -> None:
    booted = NOW - 50_000
    clock = KnownClock(booted, 40, 0)
    rows = []
    for sequence, late_ms in ((1, 0), (2, 10**6), (3, -10_000), (4, -200_000), (5, 5)):
        taken = sequence * 1000
        arrival = Arrival(booted + taken + late_ms, taken, same_boot=True, live=False)
        placed = place(0, taken, arrival, None)
        row = _sample(sequence)._replace(not_after_ms=placed.not_after_ms, placement=placed.placement.value)
        rows.append((row, place(0, taken, arrival, clock)))
    with store.write() as connection:
        connection.execute(
            insert(tables.runs).values(
                site="v1",
                run=LARGEST,
                boot=9,
                coverage=b"",
                samples=0,
                dropped=0,
                refused=0,
                first_heard_ms=0,
                last_heard_ms=0,
                connection=0,
                config_revision=0,
            )
        )
        samples.add_samples(connection, [row for row, _ in rows])
        changed = samples.place_again(connection, "v1", 9, clock)
    with store.read() as connection:
        table = tables.samples.c
        found = connection.execute(select(table.placed_ms, table.placement).order_by(table.sequence)).all()
    assert [tuple(row) for row in found] == [(expected.placed_ms, expected.placement) for _, expected in rows]
    assert changed == sum(expected.placement is Placement.EXACT for _, expected in rows) == 4


def test_working_records_come_back_as_they_were_saved(store: Store) -> None:
    book = Coverage([(1, 5), (9, 9)], [(6, 6)], [(20, 30)])
    record = RunRecord(site="v1", run=LARGEST, boot=1, coverage=book, first_heard_ms=1, last_heard_ms=2)
    working = Working()
    with store.write() as connection:
        working.runs.add(("v1", LARGEST), record)
        working.save(connection)
    working.settle()
    record.last_live_ms = 77
    working.runs.touch(("v1", LARGEST), record)
    with store.write() as connection:
        working.save(connection)
    fresh = Working()
    with store.read() as connection:
        fresh.runs.load(connection, [("v1", LARGEST), ("v2", LARGEST), ("v1", 5)])
    assert fresh.runs.find(("v1", LARGEST)) == record
    assert fresh.runs.find(("v2", LARGEST)) is None


def test_many_keys_are_loaded_in_one_go(store: Store) -> None:
    working = Working()
    keys = [("v1", run) for run in range(1, 1502)]
    with store.write() as connection:
        for site, run in keys:
            made = RunRecord(site=site, run=run, boot=1, coverage=Coverage(), first_heard_ms=1, last_heard_ms=1)
            working.runs.add((site, run), made)
        working.save(connection)
    fresh = Working()
    with store.read() as connection:
        fresh.runs.load(connection, keys)
    assert all(fresh.runs.find(key) is not None for key in keys)


def test_one_open_finding_for_a_site_and_kind_and_a_new_one_after_it_was_closed(store: Store) -> None:
    found = Finding("v1", "kind", "detail", NOW)
    with store.write() as connection:
        findings.note(connection, [found, found._replace(detail="newer", found_ms=NOW + 5)])
        connection.execute(tables.findings.update().values(closed_ms=NOW + 9))
        findings.note(connection, [found, found._replace(site="v2")])
    with store.read() as connection:
        table = tables.findings.c
        rows = connection.execute(select(table.site, table.count, table.detail, table.closed_ms).order_by(table.id)).all()
    assert [tuple(row) for row in rows] == [
        ("v1", 2, "newer", NOW + 9),
        ("v1", 1, "detail", None),
        ("v2", 1, "detail", None),
    ]
    with pytest.raises(IntegrityError), store.write() as connection:
        connection.execute(insert(tables.findings).values(site="v1", kind="kind", first_ms=0, last_ms=0, count=1, detail=""))


def test_quarantine_drops_drops_heartbeat_and_held_reports_can_be_written(store: Store) -> None:
    message = Quarantined("v1", "t" * 999, NOW, "code", "d" * 999, b"x", LARGEST, 2**53)
    with store.write() as connection:
        quarantine.add(connection, [message], NOW)
        samples.add_drops(connection, [DropRow("v1", LARGEST, 1, 2**53, 1, NOW)])
        sight.beat(connection, NOW)
        sight.beat(connection, NOW + 1)
        sight.was_blind(connection, NOW - 5, NOW, "broker")
        held.hold(connection, [held.Held("new", "topic", NOW, b"\x00")], NOW)
        assert held.released(connection, 10) == []
        connection.execute(insert(tables.sites).values(id="new", name="new", added_ms=0, changed_ms=0))
        [(number, report)] = held.released(connection, 10)
        held.let_go(connection, [number])
        assert held.released(connection, 10) == []
    assert report == held.Held("new", "topic", NOW, b"\x00")
    with store.read() as connection:
        assert sight.last_seen(connection) == NOW + 1


def test_the_store_is_closed_for_good(opening: Open) -> None:
    store = opening(5)
    store.close()
    wait_until(lambda: store.engine.pool.checkedout() == 0, "no connection is left")  # type: ignore[attr-defined]
