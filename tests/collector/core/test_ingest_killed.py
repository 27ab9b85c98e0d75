"""What a receipt said is in the database, also when the process that sent it was killed."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from sitekeeper_protocol import codec
from support.scripted import bench
from support.wait import wait_until

_PROGRAM = Path(__file__).with_name("ingest_forever.py")


def _rows(file: Path) -> list[int]:
    with closing(sqlite3.connect(file, timeout=20)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [row[0] for row in database.execute("SELECT sequence FROM samples ORDER BY sequence")]


@pytest.mark.processes
def test_after_kill_9_in_mid_batch_all_that_receipts_said_is_there_once(tmp_path: Path) -> None:
    with bench(tmp_path, "v1") as made:
        file = made.file
    said, following = 0, 1
    for _ in range(6):
        output = tmp_path / "receipts"
        with output.open("wb") as receipts:
            process = subprocess.Popen([sys.executable, str(_PROGRAM), str(file), str(following)], stdout=receipts)
        try:
            wait_until(lambda: output.stat().st_size > 0, "the first receipt is out")  # noqa: B023
            # The sleep is the experiment: it decides where in a batch the process is hit.
            time.sleep(random.uniform(0, 0.15))
            os.kill(process.pid, signal.SIGKILL)
        finally:
            process.kill()
            process.wait()
        lines = output.read_text().splitlines()
        whole = [line for line in lines if len(line) == len(lines[0]) or line is not lines[-1]]
        said = max(said, *(codec.decode_receipt(bytes.fromhex(line)).runs[0].through for line in whole))
        stored = _rows(file)
        assert stored == list(range(1, len(stored) + 1)), "a sample is missing, or there twice"
        assert len(stored) >= said > 0
        # Begin before the end: what was stored without a receipt comes again.
        following = max(1, said // 5 - 10)
