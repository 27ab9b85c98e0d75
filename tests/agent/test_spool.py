"""The spool on real files: durable, bounded, honest about what it gives up, and never a crash loop."""

import random
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sitekeeper_agent.clock import ServerClock
from sitekeeper_agent.journal import Run
from sitekeeper_agent.spool import Holding, Limits, Spool
from sitekeeper_agent.spool import spool as spool_module
from sitekeeper_agent.spool.disk import make_row
from sitekeeper_protocol.codec import pack_sample
from sitekeeper_protocol.intervals import Intervals
from sitekeeper_protocol.messages import Drop, DropReason, Sample

DAY_MS = 86_400_000
BOOT = 77
RUN = 4242
DEFAULTS = Limits()


def sample(sequence: int, *, boottime_ms: int | None = None, wall_ms: int | None = None, values: int = 3) -> Sample:
    boottime = sequence * 60_000 if boottime_ms is None else boottime_ms
    return Sample(
        sequence=sequence,
        wall_ms=1_800_000_000_000 + boottime if wall_ms is None else wall_ms,
        boottime_ms=boottime,
        values={(metric, "ipv4/portal"): sequence * metric for metric in range(1, values + 1)},
    )


def a_run(run: int = RUN, boot: int = BOOT, wall_ms: int = 1_800_000_000_000) -> Run:
    return Run(run, boot, wall_ms, 0, wall_ms, 0)


def open_spool(folder: Path, limits: Limits = DEFAULTS) -> Spool:
    return Spool(folder, limits, stamp=lambda: "20270115T080000Z")


@contextmanager
def spool_in(folder: Path, limits: Limits = DEFAULTS, run: Run | None = None) -> Iterator[Spool]:
    spool = open_spool(folder, limits)
    spool.begin_run(run or a_run())
    try:
        yield spool
    finally:
        spool.close()


def held(spool: Spool, run: int = RUN) -> list[tuple[int, int]]:
    return list(next((h.held for h in spool.inventory() if h.run == run), Intervals()))


def pending(spool: Spool, run: int = RUN) -> list[tuple[int, int]]:
    return list(next((h.pending for h in spool.inventory() if h.run == run), Intervals()))


# --- keeping -----------------------------------------------------------------------------------------------------------


def test_a_sample_comes_back_as_it_was_taken(tmp_path: Path) -> None:
    with spool_in(tmp_path) as spool:
        assert spool.append(sample(1))
    again = open_spool(tmp_path)
    assert again.load(RUN, 1, 1) == [sample(1)]
    again.close()


def test_receipts_outlive_the_agent(tmp_path: Path) -> None:
    with spool_in(tmp_path) as spool:
        for n in range(1, 11):
            spool.append(sample(n))
        spool.mark(RUN, [(1, 4), (6, 6)], 1_800_000_000_000)
        spool.mark(RUN, [(9, 9)], -1_800_000_000_000)
    again = open_spool(tmp_path)
    (holding,) = again.inventory()
    again.close()
    assert holding == Holding(
        RUN, BOOT, Intervals([(1, 10)]), Intervals([(5, 5), (7, 8), (10, 10)]), Intervals([(9, 9)]), 1_800_000_000_000
    )


def test_unmarking_brings_back_all_but_what_was_refused(tmp_path: Path) -> None:
    with spool_in(tmp_path) as spool:
        for n in range(1, 6):
            spool.append(sample(n))
        spool.mark(RUN, [(1, 3)], 1_800_000_000_000)
        spool.mark(RUN, [(4, 4)], -1_800_000_000_000)
        spool.unmark_all()
        assert pending(spool) == [(1, 3), (5, 5)]


def test_runs_clocks_and_numbers_outlive_the_agent(tmp_path: Path) -> None:
    with spool_in(tmp_path) as spool:
        spool.append(sample(1))
        spool.set_clock(BOOT, ServerClock(1_800_000_000_000, 40, 60_000))
        spool.set_number("connection", 7)
        spool.end_run("shutdown", 5, 6)
    again = open_spool(tmp_path)
    run = again.last_run()
    assert run is not None
    assert (run.run, run.boot, run.ended, run.last_wall_ms, run.last_boottime_ms, run.last_sequence) == (
        RUN,
        BOOT,
        "shutdown",
        5,
        6,
        1,
    )
    assert again.clock(BOOT) == ServerClock(1_800_000_000_000, 40, 60_000)
    assert again.number("connection") == 7
    again.close()


def test_how_far_a_run_came_is_known_after_a_cut_at_any_of_its_samples(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.begin_run(a_run())
    for sequence in range(1, 41):
        spool.append(sample(sequence))
        cut = open_spool(tmp_path).last_run()
        assert cut == a_run()._replace(
            last_sequence=sequence, last_wall_ms=sample(sequence).wall_ms, last_boottime_ms=sample(sequence).boottime_ms
        )
    spool.close()


def test_runs_keep_the_order_in_which_they_began_whatever_their_clocks_say(tmp_path: Path) -> None:
    for run, wall_ms in ((5, 1_900_000_000_000), (3, 0), (9, 1_700_000_000_000)):
        with spool_in(tmp_path, run=a_run(run, wall_ms=wall_ms)) as spool:
            spool.append(sample(1, wall_ms=wall_ms))
    again = open_spool(tmp_path)
    assert [h.run for h in again.inventory()] == [5, 3, 9]
    again.close()


_APPENDER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from agent.test_spool import RUN, a_run, open_spool, sample
from sitekeeper_agent.journal import Run
spool = open_spool(Path(sys.argv[1]))
spool.begin_run(a_run(int(sys.argv[3])))
for n in range(1, 100000):
    if spool.append(sample(n)):
        print(n, flush=True)
"""


@pytest.mark.slow
def test_kill_at_a_random_moment_loses_no_appended_sample(tmp_path: Path) -> None:
    chance = random.Random(7)
    appended: dict[int, int] = {}
    for run in range(1, 21):
        child = subprocess.Popen(
            [sys.executable, "-c", _APPENDER, str(tmp_path), str(Path(__file__).parents[1]), str(run)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        enough = chance.randint(1, 60)
        for line in child.stdout:
            appended[run] = int(line)
            if appended[run] >= enough:
                break
        child.send_signal(signal.SIGKILL)
        for line in child.stdout.read().splitlines():
            appended[run] = int(line)
        child.stdout.close()
        child.wait()
        spool = open_spool(tmp_path)
        for known, last in appended.items():
            found = spool.load(known, 1, last)
            assert found == [sample(n) for n in range(1, last + 1)], f"run {known}"
        spool.close()
    assert not list(tmp_path.glob("spool.corrupt-*"))


# --- giving up ---------------------------------------------------------------------------------------------------------


def test_size_is_bounded_receipted_samples_go_first_then_the_oldest_with_a_drop(tmp_path: Path) -> None:
    limits = Limits(max_bytes=4 * 1024 * 1024)
    big = 1200
    with spool_in(tmp_path, limits) as spool:
        for n in range(1, 400):
            spool.append(sample(n, values=big))
            if n == 100:
                spool.mark(RUN, [(51, 100)], 1_800_000_000_000)
            assert spool.stats().disk_bytes <= limits.max_bytes
        ((oldest, newest),) = held(spool)
        assert 100 < oldest < newest == 399
        assert spool.drops() == (Drop(RUN, 1, 50, DropReason.SIZE), Drop(RUN, 101, oldest - 1, DropReason.SIZE))
        assert spool.take_changed()


def test_receipted_samples_go_before_older_ones_without_receipt(tmp_path: Path) -> None:
    limits = Limits(max_bytes=4 * 1024 * 1024)
    with spool_in(tmp_path, limits) as spool:
        n = 0
        while not spool.take_changed():
            n += 1
            spool.append(sample(n, values=1200))
            if n == 50:
                spool.mark(RUN, [(31, 50)], 1_800_000_000_000)
        assert spool.drops() == ()
        assert held(spool) == [(1, 30), (51, n)]


def test_thirty_days_of_real_samples_fit_into_the_default_size(tmp_path: Path) -> None:
    """43,200 samples of 38 series as a site PC takes them, one a minute for 30 days, none confirmed."""
    with spool_in(tmp_path) as spool:
        rows = [realistic(n) for n in range(1, 43_201)]
        spool._in_memory.extend(make_row(RUN, s.sequence, s.wall_ms, s.boottime_ms, pack_sample(s)) for s in rows)
        assert spool.append(realistic(43_201))
        assert spool.drops() == ()
        assert held(spool) == [(1, 43_201)]
        assert spool.stats().disk_bytes < 64 * 1024 * 1024


def realistic(sequence: int) -> Sample:
    values: dict[tuple[int, str], int] = {}
    for rung in ("link", "address", "gateway", "isp/114.114.114.114", "dns", "dns/direct", "portal"):
        name = f"ipv4/{rung}"
        values |= {(1, name): 0, (3, name): 37 + sequence % 400, (5, name): 4}
    values |= {(6, ""): 0, (8, ""): 120 + sequence % 60, (9, ""): 93, (10, ""): 411, (11, ""): 233, (12, ""): 200, (13, ""): 61}
    values |= {(20, ""): 112, (21, ""): 514, (22, "/"): 81_233, (23, "/"): 611, (24, ""): 51, (25, ""): 212, (28, ""): 4}
    values |= {(26, "enp3s0"): 4_411, (27, "enp3s0"): 811, (42, ""): sequence, (44, ""): 30_000, (40, ""): 12, (41, ""): 25}
    return Sample(
        sequence=sequence, wall_ms=1_800_000_000_000 + sequence * 60_000, boottime_ms=sequence * 60_000, values=values
    )


def test_confirmed_samples_go_after_seven_days_of_server_time(tmp_path: Path) -> None:
    with spool_in(tmp_path) as spool:
        for n in range(1, 5):
            spool.append(sample(n))
        spool.mark(RUN, [(1, 2)], 1_000 * DAY_MS)
        spool.mark(RUN, [(3, 3)], 1_002 * DAY_MS)
        spool.evict_old(BOOT, 5 * 60_000)
        assert held(spool) == [(1, 4)], "without true time nothing goes"
        spool.set_clock(BOOT, ServerClock(1_008 * DAY_MS, 40, 0))
        spool.evict_old(BOOT, 5 * 60_000)
        assert held(spool) == [(3, 4)]
        assert spool.drops() == ()


@pytest.mark.parametrize("wall_ms", [0, 1_230_000_000_000, 1_900_000_000_000], ids=["1970", "2009", "plus-3-years"])
def test_age_is_not_fooled_by_a_wrong_wall_clock(tmp_path: Path, wall_ms: int) -> None:
    with spool_in(tmp_path, run=a_run(wall_ms=wall_ms)) as spool:
        spool.append(sample(1, boottime_ms=1 * DAY_MS, wall_ms=wall_ms))
        spool.append(sample(2, boottime_ms=3 * DAY_MS, wall_ms=wall_ms))
        spool.evict_old(BOOT, 20 * DAY_MS)
        assert held(spool) == [(1, 2)]
        spool.evict_old(BOOT, 32 * DAY_MS)
        assert held(spool) == [(2, 2)]
        assert spool.drops() == (Drop(RUN, 1, 1, DropReason.AGE),)


def test_age_of_an_earlier_boot_is_at_least_the_running_time_since(tmp_path: Path) -> None:
    with spool_in(tmp_path, run=a_run(1, boot=10)) as spool:
        spool.append(sample(1, boottime_ms=1 * DAY_MS))
        spool.append(sample(2, boottime_ms=9 * DAY_MS))
    with spool_in(tmp_path, run=a_run(2, boot=11)) as spool:
        spool.append(sample(1, boottime_ms=10 * DAY_MS))
    with spool_in(tmp_path, run=a_run(3, boot=12)) as spool:
        spool.evict_old(12, 13 * DAY_MS)
        assert held(spool, 1) == [(2, 2)], "8 days to the end of its boot, 10 of the next, 13 of this: 31"
        assert held(spool, 2) == [(1, 1)]
        # With true time for both boots, days of being switched off count too.
        spool.set_clock(10, ServerClock(1_000 * DAY_MS, 40, 0))
        spool.set_clock(12, ServerClock(1_050 * DAY_MS, 40, 0))
        spool.evict_old(12, 13 * DAY_MS)
        assert held(spool, 1) == []
        assert held(spool, 2) == [(1, 1)], "this boot never learned true time"


def test_drops_join_and_are_forgotten_once_booked(tmp_path: Path) -> None:
    with spool_in(tmp_path) as spool:
        for n in range(1, 6):
            spool.append(sample(n))
        spool.give_up(RUN, 2, DropReason.CORRUPT)
        spool.give_up(RUN, 4, DropReason.CORRUPT)
        spool.give_up(RUN, 3, DropReason.CORRUPT)
        assert spool.drops() == (Drop(RUN, 2, 4, DropReason.CORRUPT),)
    again = open_spool(tmp_path)
    assert again.drops() == (Drop(RUN, 2, 4, DropReason.CORRUPT),)
    again.settle_drop(Drop(RUN, 2, 4, DropReason.CORRUPT))
    again.close()
    assert open_and_list_drops(tmp_path) == ()


def open_and_list_drops(folder: Path) -> tuple[Drop, ...]:
    spool = open_spool(folder)
    try:
        return spool.drops()
    finally:
        spool.close()


# --- damage ------------------------------------------------------------------------------------------------------------


def filled(folder: Path, count: int = 300) -> Path:
    with spool_in(folder) as spool:
        for n in range(1, count + 1):
            spool.append(sample(n, values=40))
        spool.mark(RUN, [(1, 50)], 1_800_000_000_000)
        spool.set_number("connection", 12)
    return folder / "spool.db"


def test_what_is_no_database_is_set_aside_and_work_goes_on(tmp_path: Path) -> None:
    (tmp_path / "spool.db").write_bytes(b"not a database at all" * 500)
    with spool_in(tmp_path) as spool:
        assert spool.append(sample(1))
        assert held(spool) == [(1, 1)]
    assert [p.name for p in tmp_path.glob("spool.corrupt-*.db")] == ["spool.corrupt-20270115T080000Z.db"]


def test_a_truncated_spool_gives_what_it_still_has_and_declares_the_rest(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)
    spool = open_spool(tmp_path)
    assert_whole(spool, 300)
    spool.close()
    assert len(list(tmp_path.glob("spool.corrupt-*.db"))) == 1


def load_all(spool: Spool) -> list[Sample]:
    return [found for span in held(spool) for found in spool.load(RUN, *span)]


def assert_whole(spool: Spool, count: int) -> None:
    """Every sample is held as it was, or declared as dropped, or lies before the oldest held; none is there twice."""
    load_all(spool)
    loaded = load_all(spool)
    assert loaded == [sample(s.sequence, values=40) for s in loaded]
    mine = Intervals(held(spool))
    assert mine.count == len(loaded)
    for drop in spool.drops():
        assert drop.reason == DropReason.CORRUPT
        assert not [n for n in range(drop.first, drop.last + 1) if n in mine]
        mine.add(drop.first, drop.last)
    spans = list(mine)
    if spans:
        assert spans == [(spans[0][0], count)]


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bits_never_stop_it_and_never_give_a_wrong_sample(tmp_path: Path, seed: int) -> None:
    path = filled(tmp_path, 120)
    data = bytearray(path.read_bytes())
    chance = random.Random(seed)
    for _ in range(1 + seed * 3):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(data))
    spool = open_spool(tmp_path)
    if held(spool):
        assert_whole(spool, 120)
    spool.begin_run(a_run(RUN + 1))
    assert spool.append(sample(1))
    assert held(spool, RUN + 1) == [(1, 1)]
    spool.close()


def test_a_sample_whose_bytes_changed_is_dropped_and_said_so(tmp_path: Path) -> None:
    path = filled(tmp_path, 10)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE samples SET wall_ms=wall_ms+1 WHERE sequence=7")
    db.close()
    spool = open_spool(tmp_path)
    assert [s.sequence for s in spool.load(RUN, 5, 9)] == [5, 6, 8, 9]
    assert len(list(tmp_path.glob("spool.corrupt-*.db"))) == 1
    assert spool.drops() == (Drop(RUN, 7, 7, DropReason.CORRUPT),)
    assert spool.take_changed()
    assert held(spool) == [(1, 6), (8, 10)]
    spool.close()


def test_damage_at_run_time_is_replaced_without_losing_the_new_sample(tmp_path: Path) -> None:
    path = filled(tmp_path, 50)
    spool = open_spool(tmp_path)
    spool.begin_run(a_run(RUN + 1))
    spool.append(sample(1))
    path.write_bytes(b"\xff" * path.stat().st_size)
    Path(f"{path}-wal").write_bytes(b"")
    for n in range(2, 40):
        spool.append(sample(n))
        spool.load(RUN, 1, 50)
    assert held(spool, RUN + 1)[-1][1] == 39
    covered = Intervals(held(spool, RUN + 1))
    covered.update(Intervals([(d.first, d.last) for d in spool.drops() if d.run == RUN + 1]))
    assert covered.covers(2, 39)
    assert spool.last_run() is not None
    spool.close()
    again = open_spool(tmp_path)
    assert again.number("connection") in (0, 12)
    again.close()


def test_at_most_three_damaged_files_are_kept(tmp_path: Path) -> None:
    for _ in range(6):
        (tmp_path / "spool.db").write_bytes(b"x" * 5000)
        open_spool(tmp_path).close()
    assert len(list(tmp_path.glob("spool.corrupt-*.db"))) == 3


def test_a_spool_of_a_newer_agent_is_set_aside_and_its_samples_are_taken_over(tmp_path: Path) -> None:
    path = filled(tmp_path, 20)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=9")
    db.close()
    spool = open_spool(tmp_path)
    assert held(spool) == [(1, 20)]
    assert pending(spool) == [] or pending(spool) == [(1, 20)]
    spool.close()


# --- a disk that takes nothing -----------------------------------------------------------------------------------------


@contextmanager
def file_size_limit(limit_bytes: int) -> Iterator[None]:
    """Writes beyond ``limit_bytes`` fail as on a full disk, here with EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_samples_wait_in_memory_while_the_disk_is_full_and_go_to_disk_later(tmp_path: Path) -> None:
    with spool_in(tmp_path) as spool:
        spool.append(sample(1))
        with file_size_limit(4096):
            written = [spool.append(sample(n)) for n in range(2, 200)]
            assert not all(written)
            spool.mark(RUN, [(1, 150)], 1_800_000_000_000)
            assert not spool.stats().writable
            assert held(spool) == [(1, 199)]
            assert pending(spool) == [(151, 199)]
            assert spool.load(RUN, 1, 199) == [sample(n) for n in range(1, 200)]
        assert spool.append(sample(200))
        assert spool.stats().writable
        assert spool.stats().in_memory == 0
    again = open_spool(tmp_path)
    assert held(again) == [(1, 200)]
    assert pending(again) == [(151, 200)]
    again.close()


def test_beyond_a_day_in_memory_the_oldest_are_dropped_and_said_so(tmp_path: Path) -> None:
    with spool_in(tmp_path) as spool, file_size_limit(0):
        for n in range(1, spool_module.MAX_IN_MEMORY + 11):
            spool.append(sample(n))
        assert held(spool) == [(11, spool_module.MAX_IN_MEMORY + 10)]
        assert spool.drops() == (Drop(RUN, 1, 10, DropReason.NO_DISK),)
    assert open_and_list_drops(tmp_path) == (Drop(RUN, 1, 10, DropReason.NO_DISK),)


def test_a_folder_that_is_not_there_keeps_samples_in_memory_until_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    spool = open_spool(folder)
    spool.begin_run(a_run())
    assert not spool.append(sample(1))
    folder.mkdir()
    assert spool.append(sample(2))
    assert held(spool) == [(1, 2)]
    spool.close()


@pytest.mark.root
def test_a_file_system_that_fills_up_and_turns_read_only_costs_no_sample(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    try:
        with spool_in(disk) as spool:
            spool.append(sample(1))
            filler = disk / "filler"
            with filler.open("wb") as file, pytest.raises(OSError, match="No space"):
                while True:
                    file.write(b"x" * 65536)
                    file.flush()
            results = [spool.append(sample(n, values=60)) for n in range(2, 500)]
            assert not results[-1]
            filler.unlink()
            assert spool.append(sample(500))
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=False)
            spool.append(sample(501))
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
            assert spool.append(sample(502))
            assert held(spool) == [(1, 502)]
            assert spool.drops() == ()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
