"""What the Debian package and the Windows bundle share: pinned wheels of other machines, our own, and one folder of modules."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")

START = """\
# What Python runs when it is given this folder; the folder itself is where modules are found.
import sys

from sitekeeper_agent.cli import main

sys.exit(main())
"""


def version() -> str:
    """The agent's version."""
    text = (ROOT / "agent/sitekeeper_agent/__init__.py").read_text(encoding="utf-8")
    return text.partition('__version__ = "')[2].partition('"')[0]


def epoch() -> int:
    """The moment, in Unix seconds, that everything that is built bears."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    return int(subprocess.run(["git", "-C", ROOT, "log", "-1", "--format=%ct"], capture_output=True, check=True).stdout)


def modules(home: Path, platforms: list[str]) -> None:
    """Lay out, in ``home``, all modules that the agent needs on machines of ``platforms`` (tags of wheels)."""
    with tempfile.TemporaryDirectory(prefix="sitekeeper-wheels-") as scratch:
        wheels = Path(scratch)
        _fetch_pinned(wheels, platforms)
        _build_own(wheels)
        for wheel in sorted(wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(home)
    _leave_out(home)
    (home / "__main__.py").write_text(START, encoding="utf-8")


def _pip(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments], check=True)


def _fetch_pinned(into: Path, platforms: list[str]) -> None:
    """The wheels of ``requirements/agent.txt``, by their hashes, for other machines and Pythons than this one."""
    wanted = [word for platform in platforms for word in ("--platform", platform)]
    pins = ["--require-hashes", "-r", str(ROOT / "requirements/agent.txt")]
    for python in PYTHONS:
        which = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, *wanted]
        _pip("download", *pins, *which, "-d", into)


def _build_own(into: Path) -> None:
    """The wheels of agent and protocol, from these sources."""
    with tempfile.TemporaryDirectory(prefix="sitekeeper-src-") as scratch:
        for name in ("protocol", "agent"):
            # A copy: building leaves files behind where it builds.
            shutil.copytree(ROOT / name, Path(scratch) / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
            _pip("wheel", "--no-deps", "--no-build-isolation", "-w", into, Path(scratch) / name)


def _leave_out(home: Path) -> None:
    """Remove what the agent never loads: tests, type stubs, records of the installer."""
    for found in sorted(home.rglob("*"), reverse=True):
        if found.is_dir() and found.name in ("tests", "__pycache__"):
            shutil.rmtree(found)
        elif found.suffix in (".pyi", ".pxd", ".pyx", ".c", ".h") or found.name in ("RECORD", "INSTALLER", "entry_points.txt"):
            found.unlink()
