"""The spool loses nothing but what the operator's limit drops, and counts that."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from sitekeeper_collector.series import spool
from sitekeeper_collector.series.spool import Batch, Limits, Rejected
from sitekeeper_collector.store.engine import Store, open_store
from sitekeeper_collector.store.tables import tallies

NOW = 1_800_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    yield opened
    opened.close()


def _add(store: Store, *lines: bytes, now_ms: int = NOW) -> None:
    with store.write() as connection:
        spool.add(connection, lines, now_ms)


def _due(store: Store, now_ms: int = NOW) -> Batch | None:
    with store.read() as connection:
        return spool.due(connection, now_ms)


def _first(store: Store) -> Batch:
    batch = _due(store)
    assert batch is not None
    return batch


def _counted(store: Store, name: str) -> int:
    with store.read() as connection:
        return connection.execute(select(tallies.c["count"]).where(tallies.c.name == name)).scalar_one_or_none() or 0


def test_what_was_added_in_a_transaction_that_failed_is_not_there(store: Store) -> None:
    with pytest.raises(RuntimeError, match="in the middle"), store.write() as connection:
        spool.add(connection, [b"a x=1 1"], NOW)
        raise RuntimeError("in the middle")
    assert _due(store) is None


def test_batches_come_in_order_and_are_bounded_in_lines_and_bytes(store: Store) -> None:
    short = [b"a x=1 %d" % at for at in range(spool.MAX_LINES + 1)]
    long = [b"b" * (spool.MAX_BATCH_BYTES // 2) for _ in range(3)]
    _add(store, *short, *long)
    taken = []
    while batch := _due(store):
        taken.append(batch.lines.split(b"\n"))
        with store.write() as connection:
            assert spool.settle(connection, batch, [], NOW)
    assert [line for lines in taken for line in lines] == short + long
    assert [len(lines) for lines in taken] == [spool.MAX_LINES, 2, 1, 1]


def test_a_line_with_an_end_in_it_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="an end"):
        _add(store, b"a x=1 1\nb x=1 1")


def test_a_postponed_batch_waits_and_lets_the_others_go_first(store: Store) -> None:
    _add(store, b"a x=1 1", b"a x=2 2")
    with store.write() as connection:
        rejected = [Rejected(b"a x=1 1", "no\ngood")]
        assert spool.postpone(connection, _first(store), b"a x=2 2", rejected, due_ms=NOW + 5000, reason="busy\x1b", now_ms=NOW)
    assert _due(store) is None
    _add(store, b"b x=1 1", now_ms=NOW + 1)
    later = _due(store, NOW + 1)
    assert later is not None and later.lines == b"b x=1 1"
    with store.write() as connection:
        assert spool.next_due_ms(connection) == NOW + 1
        assert spool.settle(connection, later, [], NOW)
        assert spool.rejected_lines(connection) == [Rejected(b"a x=1 1", "no good")]
        assert spool.waiting(connection)._replace(bytes=0) == spool.Waiting(1, 1, 0, NOW, "busy ")
    again = _due(store, NOW + 5000)
    assert again is not None and (again.lines, again.attempts) == (b"a x=2 2", 1)


def test_who_settles_late_changes_nothing(store: Store) -> None:
    _add(store, b"a x=1 1")
    batch = _first(store)
    with store.write() as connection:
        assert spool.settle(connection, batch, [], NOW)
    _add(store, b"b x=1 1")
    with store.write() as connection:
        assert not spool.settle(connection, batch, [Rejected(b"a x=1 1", "late")], NOW)
        assert not spool.postpone(connection, batch, b"a x=1 1", [], due_ms=NOW, reason="", now_ms=NOW)
        assert spool.rejected_lines(connection) == []
    assert _first(store).lines == b"b x=1 1"


@pytest.mark.parametrize("by", ["rows", "bytes"])
def test_only_a_limit_that_the_operator_has_set_drops_the_oldest_and_they_are_counted(store: Store, by: str) -> None:
    for at in range(10):
        _add(store, b"a x=%d 1" % at, b"b x=%d 1" % at, now_ms=NOW + at)
    with store.write() as connection:
        assert spool.trim(connection, Limits(), NOW) == 0
        size = spool.waiting(connection).bytes
        limits = Limits(max_rows=4) if by == "rows" else Limits(max_bytes=size * 4 // 10)
        assert spool.trim(connection, limits, NOW) == 12
        assert spool.trim(connection, limits, NOW) == 0
    oldest = _due(store, NOW + 100)
    assert oldest is not None and oldest.lines == b"a x=6 1\nb x=6 1"
    assert _counted(store, spool.DROPPED) == 12


def test_quarantine_keeps_the_newest_counts_all_and_can_be_sent_again(store: Store) -> None:
    _add(store, b"a x=1 1")
    many = [Rejected(b"a x=%d 1" % at, "bad") for at in range(spool.MAX_REJECTED + 3)]
    with store.write() as connection:
        assert spool.settle(connection, _first(store), many, NOW)
    assert (_counted(store, spool.REJECTED), _counted(store, spool.REJECTED_EVICTED)) == (spool.MAX_REJECTED + 3, 3)
    with store.write() as connection:
        assert spool.take_back(connection, NOW) == spool.MAX_REJECTED
        assert spool.rejected_lines(connection) == []
    assert _first(store).lines.split(b"\n") == [line for line, _ in many[3:]]
