"""The daemon begins anew once its file is read: same process, same settings, without what reading the file took."""

import os
from pathlib import Path

import msgspec
import pytest

from sitekeeper_agent import handover
from sitekeeper_agent.config import load
from support.ports import free_port
from support.rig import rig
from support.wait import wait_until

SAMPLE = Path(__file__).parents[2] / "config/agent.yaml"


@pytest.mark.processes
def test_the_daemon_keeps_its_process_id_and_neither_yaml_parser_nor_the_handed_file(tmp_path: Path) -> None:
    with rig(tmp_path, free_port()) as county:
        agent = county.agent("v1", site_page={"enabled": False})
        agent.start()
        wait_until(lambda: (agent.state / "status.json").exists(), lambda: f"it runs: {agent.log()}")
        assert agent.running
        process = Path(f"/proc/{agent.pid}")
        mapped = (process / "maps").read_text()
        assert "msgspec" in mapped
        assert "yaml" not in mapped
        assert b"MALLOC_ARENA_MAX=1" in (process / "environ").read_bytes().split(b"\0")
        files = [str(file.readlink()) for file in (process / "fd").iterdir() if file.exists()]
        assert not [file for file in files if "memfd" in file]
        assert agent.stop() == 0


def test_settings_come_through_as_they_were_read() -> None:
    settings = load(SAMPLE)
    number = os.memfd_create("test")
    os.write(number, msgspec.msgpack.encode(settings))
    os.environ["SITEKEEPER_SETTINGS_FD"] = str(number)
    assert handover.take() == settings
    assert "SITEKEEPER_SETTINGS_FD" not in os.environ
    assert handover.take() is None


@pytest.mark.parametrize("told", ["", "no number", "999999"])
def test_what_is_no_handed_file_is_as_if_there_were_none(told: str) -> None:
    os.environ["SITEKEEPER_SETTINGS_FD"] = told
    assert handover.take() is None
    assert "SITEKEEPER_SETTINGS_FD" not in os.environ
