"""Builds the agent's packages from a copy of the sources, at a fixed moment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOMENT_S = 1_790_000_000
_SOURCES = ("agent", "protocol", "config", "docs", "packaging", "requirements", "LICENSE", "CHANGELOG.md")


def copy_sources(to: Path) -> Path:
    """What the packages are made of; whoever edits the sources meanwhile does not edit these."""
    for name in _SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "pictures"))
        else:
            shutil.copyfile(ROOT / name, to / name)
    return to


def attempt(sources: Path, script: str, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a build script of ``packaging/``."""
    command = [sys.executable, f"packaging/{script}", "--out", str(out), *options]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(MOMENT_S)}
    return subprocess.run(command, cwd=sources, env=environment, capture_output=True, text=True, timeout=300)


def build(sources: Path, script: str, out: Path, *options: str) -> Path:
    """What the script has built."""
    done = attempt(sources, script, out, *options)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.split()[-1])
