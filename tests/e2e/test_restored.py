"""Old copies come back: a database of yesterday, a PC with a disk-restore card, a cloned image."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.brokers import mosquitto
from support.rig import Collector, Rig, assert_stored_exactly_once, rig
from support.wait import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.processes, pytest.mark.slow]


@pytest.fixture
def county(tmp_path: Path) -> Iterator[Rig]:
    with mosquitto(tmp_path / "broker") as broker, rig(tmp_path, broker.port) as made:
        yield made


def _copy_database(collector: Collector, to: Path) -> None:
    with sqlite3.connect(collector.database) as source, sqlite3.connect(to) as target:
        source.backup(target)
    source.close()
    target.close()


def _put_back(collector: Collector, saved: Path) -> None:
    for file in collector.folder.glob("sitekeeper.db*"):
        file.unlink()
    shutil.copy(saved, collector.database)


@pytest.mark.parametrize("how", ["by hand", "by command"])
def test_agents_fill_the_gap_of_a_restored_database_by_themselves(county: Rig, tmp_path: Path, how: str) -> None:
    """Runs that the old copy has never heard of come back too, though they were receipted long ago."""
    collector = county.collector("v001", receipt_interval_s=1)
    agent = county.agent("v001")
    collector.start()
    agent.start()
    wait_until(lambda: collector.count("v001") > 5, "the first samples are stored", 60)
    saved = tmp_path / "yesterday.db"
    if how == "by command":
        collector.command_line("store", "backup", str(saved))
    else:
        _copy_database(collector, saved)
    at_backup = collector.count("v001")
    # A whole run that the copy does not know, receipted, and then a third one.
    for _ in range(2):
        agent.stop()
        agent.start()
        count = collector.count("v001")
        wait_until(lambda count=count: collector.count("v001") > count + 10, "the new run is stored", 60)  # type: ignore[misc]
    collector.stop()
    if how == "by command":
        collector.command_line("store", "restore", str(saved))
    else:
        _put_back(collector, saved)
    assert collector.count("v001") <= at_backup
    collector.start()
    assert_stored_exactly_once(agent, collector, 180)
    assert len(collector.rows("SELECT DISTINCT run FROM samples WHERE site = 'v001'")) == 3


def test_new_samples_of_a_restore_card_pc_are_stored_and_none_is_taken_for_old(county: Rig, tmp_path: Path) -> None:
    collector = county.collector("v001")
    agent = county.agent("v001")
    collector.start()
    agent.start()
    wait_until(lambda: collector.count("v001") > 5, "the first samples are stored", 60)
    agent.stop()
    image = tmp_path / "image"
    agent.copy_state(image)
    seen: set[tuple[int, int]] = set()
    for _ in range(3):
        agent.start()
        count = collector.count("v001")
        wait_until(lambda count=count: collector.count("v001") > count + 10, "the day's samples are stored", 60)  # type: ignore[misc]
        agent.kill()  # switched off at the wall
        wait_until(lambda: collector.count("v001") >= 1, "the store can be read")
        taken = agent.held()
        agent.start()
        assert_stored_exactly_once(agent, collector)
        agent.kill()
        assert taken.keys() <= collector.stored("v001").keys()
        assert seen <= collector.stored("v001").keys()
        seen |= taken.keys()
        agent.put_state_back(image)
    assert len({run for run, _ in seen}) >= 4, "each day is a run of its own, none taken for another"


def test_two_agents_with_one_identity_are_one_clear_finding_and_lose_nothing(county: Rig) -> None:
    """The broker lets one connection a site stand, so that two clones throw each other out again and again."""
    collector = county.collector("v001", "v002")
    first, second = county.agent("v001"), county.agent("v001", name="clone")
    alone = county.agent("v002")
    for process in (collector, first, second, alone):
        process.start()
    wait_until(lambda: "duplicate_identity" in collector.command_line("findings"), "the finding is there", 180, every_s=1)
    second.stop()
    assert_stored_exactly_once(first, collector, 180)
    first.stop()
    second.start()
    assert_stored_exactly_once(second, collector, 180)
    findings = collector.rows("SELECT site, kind FROM findings WHERE kind = 'duplicate_identity'")
    assert findings == [("v001", "duplicate_identity")]
