"""``make lab``: play all scenarios, or those named, print one table and write ``var/lab/result.json``. Needs root."""

import argparse
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from lab.judging import Result, judge, table
from lab.play import play
from lab.scenario import Scenario, load, names
from lab.stage import Stage, stage

_RESULT = Path(__file__).parents[2] / "var" / "lab" / "result.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="lab", description="Play scenarios in a county of network namespaces.")
    parser.add_argument("scenarios", nargs="*", metavar="NAME", help="files of tests/lab/scenarios; all of them by default")
    parser.add_argument("--quick", action="store_true", help="those that make test plays")
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="keep logs and databases there")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the county is taken down
    chosen = [load(name) for name in arguments.scenarios or names()]
    if arguments.quick:
        chosen = [scenario for scenario in chosen if scenario.quick]
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="sitekeeper-lab-"))
    try:
        results = _all(folder, chosen)
    finally:
        if arguments.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    _RESULT.parent.mkdir(parents=True, exist_ok=True)
    rows = [msgspec.to_builtins(result) | {"ok": result.ok} for result in results]
    _RESULT.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
    print(table(results))
    return 1 if any(result.word == "WRONG" for result in results) else 0


def _all(folder: Path, chosen: list[Scenario]) -> list[Result]:
    """Those that share agents come first, one after the other."""
    ordered = sorted(chosen, key=lambda scenario: (scenario.centre, scenario.alone))
    with stage(folder) as made:
        return [_one(made, scenario) for scenario in ordered]


def _one(made: Stage, scenario: Scenario) -> Result:
    begun = time.monotonic()
    try:
        result = judge(scenario, play(made, scenario), time.monotonic() - begun)
    except (AssertionError, OSError, LookupError, sqlite3.Error, subprocess.SubprocessError) as err:
        made.clear()  # the next one begins anew
        made.servers.start()
        result = Result(scenario=scenario.name, expected=[], opening=[], after=[], wrong=[str(err)])
    print(f"{scenario.name}: {result.word} ({time.monotonic() - begun:.0f} s)", file=sys.stderr)
    print(*(f"  {reason}" for reason in result.wrong), sep="\n", end="" if result.ok else "\n", file=sys.stderr, flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
