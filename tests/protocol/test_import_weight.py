"""The protocol is light: a site PC with little memory imports it, and so does every command line."""

import subprocess
import sys

import pytest

HEAVY = {
    "asyncio", "dataclasses", "difflib", "email", "http", "json", "logging", "multiprocessing", "paho", "psutil",
    "sqlalchemy", "sqlite3", "socket", "ssl", "subprocess", "tempfile", "unittest", "urllib", "yaml",
}  # fmt: skip


@pytest.mark.parametrize("module", ["codec", "ladder", "settings", "texts", "topics", "vocabulary", "intervals", "sitecode"])
def test_importing_it_brings_nothing_heavy(module: str) -> None:
    program = f"import sys, sitekeeper_protocol.{module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    # -I -S: without site-packages' .pth files, which import what they like; the path is given instead.
    path = [entry for entry in sys.path if entry]
    start = f"import sys; sys.path[:0] = {path!r}; {program}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", start], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == set()
