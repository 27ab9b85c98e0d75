"""mpv's script for the agent: another user may ask a real mpv only with it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.packages import ROOT
from support.wait import wait_until

SCRIPT = ROOT / "packaging/debian/mpv.lua"
PLAYER, AGENT = "nobody", "daemon"
"""Users of every Debian, for the desktop's user and the agent's."""
ASK = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.send(b'{"command": ["get_version"]}\\n')
print(s.recv(200))
"""
pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def folder() -> Iterator[Path]:
    """What the package makes in /run; not below pytest's folder, which only root may enter."""
    for program, package in (("mpv", "mpv"), ("setfacl", "acl")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (apt-get install {package})")
    if os.getuid() != 0:
        pytest.skip("platform: only root may become other users")
    made = Path("/run") / f"players-test-{os.getpid()}"
    made.mkdir()
    made.chmod(0o1777)
    script = made / "sitekeeper.lua"
    shutil.copyfile(SCRIPT, script)
    script.chmod(0o644)
    yield made
    shutil.rmtree(made)


@contextmanager
def player(folder: Path, *options: str) -> Iterator[Path]:
    """An mpv that waits, and its socket."""
    socket = folder / "mpv.sock"
    command = ["setpriv", "--reuid", PLAYER, "--regid", "nogroup", "--clear-groups", "mpv", "--no-config", "--idle"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--vo=null", "--ao=null", f"--input-ipc-server={socket}", *options], stdout=log, stderr=log
        )
    try:
        wait_until(socket.exists, lambda: (folder / "log").read_text(), 60)
        yield socket
    finally:
        process.kill()
        process.wait()


def may_ask(socket: Path) -> bool:
    become = ["setpriv", "--reuid", AGENT, "--regid", "daemon", "--clear-groups"]
    done = subprocess.run([*become, "/usr/bin/python3", "-I", "-c", ASK, socket], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 or "PermissionError" in done.stderr or "ConnectionRefusedError" in done.stderr, done.stderr
    return done.returncode == 0 and "success" in done.stdout


def test_the_script_opens_the_socket_to_the_agent(folder: Path) -> None:
    with player(folder, f"--script={folder}/sitekeeper.lua", f"--script-opts=sitekeeper-user={AGENT}") as socket:
        wait_until(lambda: may_ask(socket), lambda: (folder / "log").read_text(), 30, every_s=0.2)


def test_without_it_mpv_lets_nobody_else_ask_whatever_its_folder_grants(folder: Path) -> None:
    subprocess.run(["setfacl", "-d", "-m", f"u:{AGENT}:rw", folder], check=True)
    with player(folder) as socket:
        wait_until(lambda: socket.stat().st_mode & 0o077 == 0, "mpv closes its socket")
        assert not may_ask(socket)
