"""Where the running agent's status lies: in memory where there is such a folder, found from the state folder either way."""

from pathlib import Path

import pytest

from sitekeeper_agent import statusfile
from sitekeeper_agent.config import Broker, Settings
from sitekeeper_agent.spool import SpoolStats
from sitekeeper_agent.standing import Standing

SETTINGS = Settings(site="0417", area="522634", broker=Broker(host="mqtt.example"), portal="https://portal.example/")


def written(state: Path, held: int) -> Path:
    """The file after two writings of one agent."""
    file = statusfile.StatusFile(state, SETTINGS, 1, 2)
    for count in (0, held):
        file.write(
            connected=True, trouble="", held=count, unconfirmed=0, spool=SpoolStats(0, 0, True), standing=Standing(), day=None
        )
    told = statusfile.read(state)
    assert told is not None and told["samples_held"] == held
    return state / statusfile.FILE_NAME


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    (tmp_path / "run").mkdir()
    return tmp_path / "state"


def test_with_a_folder_in_memory_the_disk_holds_only_a_link(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not written(state, 3).is_symlink()  # as an older agent has left it
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}/run:{tmp_path}/other")
    file = written(state, 4)
    assert file.is_symlink() and file.resolve() == tmp_path / "run" / statusfile.FILE_NAME
    assert file.stat().st_mode & 0o777 == 0o644
    when_linked = file.lstat().st_mtime_ns
    assert written(state, 5).lstat().st_mtime_ns == when_linked
    assert [path.name for path in state.iterdir()] == [statusfile.FILE_NAME]


def test_after_a_boot_nothing_stands_in_memory_and_nothing_is_told(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    written(state, 4).resolve().unlink()
    assert statusfile.read(state) is None


def test_without_such_a_folder_the_file_takes_the_place_of_the_link(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    written(state, 4)
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    assert not written(state, 6).is_symlink()
