"""A small Debian 12 of its own to install packages in: made once by debootstrap, kept as a tarball, unpacked for each test."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.packages import ROOT
from support.wait import wait_until

SUITE = "bookworm"
TARBALL = ROOT / "var/debootstrap" / f"{SUITE}-2.tar"
"""Raise the number when what is in it changes."""
PACKAGES = "python3,adduser,ca-certificates,init-system-helpers,systemd,systemd-sysv,dbus"


def _needs(program: str, package: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (apt-get install {package})")


def tarball() -> Path:
    """The tarball, made now if there is none: a minute, and 100 MB from the mirror that this machine's apt uses."""
    if os.getuid() != 0:
        pytest.skip("platform: only root may make and enter a system of its own")
    if TARBALL.exists():
        return TARBALL
    _needs("debootstrap", "debootstrap")
    TARBALL.parent.mkdir(parents=True, exist_ok=True)
    made = TARBALL.parent / f"making-{uuid.uuid4().hex}"
    try:
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, made, _mirror()],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=600,
        )
        shutil.rmtree(made / "var/cache/apt")
        packed = made.with_suffix(".tar")
        subprocess.run(["tar", "--numeric-owner", "-cf", packed, "-C", made, "."], check=True)
        packed.rename(TARBALL)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return TARBALL


def _mirror() -> str:
    lines = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    sites = [line.split()[0] for line in lines if line.endswith(f" {SUITE}")]
    if not sites:
        pytest.skip(f"platform: apt of this machine knows no mirror of Debian {SUITE}")
    return sites[0]


@contextmanager
def unpacked(into: Path) -> Iterator[Path]:
    """A fresh system in ``into``, gone when the block ends."""
    packed = tarball()
    into.mkdir()
    try:
        subprocess.run(["tar", "--numeric-owner", "-xf", packed, "-C", into], check=True)
        yield into
    finally:
        shutil.rmtree(into)


def inside(system: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the system without a line and without an init system, as an installer does."""
    enter = ["unshare", "--mount", "--net", "--pid", "--fork", f"--mount-proc={system}/proc", "chroot", str(system)]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run([*enter, *command], capture_output=True, text=True, env=environment, timeout=120)


class Booted:
    """The system with its own systemd running. It shares the network of the test, so that it reaches its broker."""

    def __init__(self, nspawn: int, log: Path) -> None:
        self._nspawn, self._log = nspawn, log

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        leader = self._leader()
        assert leader is not None, self.log()
        enter = ["nsenter", "-t", str(leader), "-m", "-p", "-u", "-i", "-C"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        return subprocess.run([*enter, *command], capture_output=True, text=True, env=environment, timeout=120)

    def property(self, name: str) -> str:
        """A property of the agent's unit."""
        return self.run("systemctl", "show", "--value", "-p", name, "sitekeeper-agent.service").stdout.strip()

    def journal(self) -> str:
        """What the agent has said, and the system about it."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", "sitekeeper-agent.service").stdout

    def log(self) -> str:
        """The console."""
        return self._log.read_text(errors="replace")[-3000:]

    def _leader(self) -> int | None:
        try:
            children = Path(f"/proc/{self._nspawn}/task/{self._nspawn}/children").read_text().split()
        except OSError:
            return None
        return int(children[0]) if children else None

    def is_up(self) -> bool:
        """Whether its systemd has started all that it was going to."""
        if self._leader() is None:
            return False
        return self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")

    def kill(self) -> None:
        """End whatever is left of it; the kernel ends a pid namespace with its first process."""
        leader = self._leader()
        if leader is not None:
            os.kill(leader, 9)


@contextmanager
def booted(system: Path, log: Path) -> Iterator[Booted]:
    """The unpacked system, booted; switched off when the block ends."""
    _needs("systemd-nspawn", "systemd-container")
    basic = ["systemd-nspawn", "-q", "-D", str(system), "--register=no", "--keep-unit", "-M", f"sk{uuid.uuid4().hex[:8]}"]
    if subprocess.run([*basic, "--as-pid2", "/bin/true"], capture_output=True, timeout=60).returncode != 0:
        pytest.skip("platform: no system can be booted in a namespace here")
    with log.open("wb") as console:
        process = subprocess.Popen(
            [*basic, "-b", "--console=read-only"],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )
    machine = Booted(process.pid, log)
    try:
        wait_until(machine.is_up, lambda: f"it boots: {machine.log()}", timeout_s=90, every_s=0.2)
        yield machine
    finally:
        machine.kill()
        process.wait(timeout=30)
