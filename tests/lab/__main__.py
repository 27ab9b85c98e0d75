"""``make lab``: play all scenarios, or those named, print one table, write ``var/lab/result.json`` and draw ``lab.svg``.

Needs root.

``--peers`` plays those in which a collector takes part, with Prometheus watching beside it: ``var/lab/peers.json``.
"""

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

from lab import comparing
from lab.comparing import Compared
from lab.judging import Result, judge, table
from lab.network import SITES
from lab.peers import Peers, peers
from lab.picture import draw
from lab.play import play
from lab.scenario import Scenario, load, names
from lab.stage import Stage, stage

_FOLDER = Path(__file__).parents[2] / "var" / "lab"
_TROUBLE = (AssertionError, OSError, LookupError, sqlite3.Error, subprocess.SubprocessError)


def main() -> int:
    parser = argparse.ArgumentParser(prog="lab", description="Play scenarios in a county of network namespaces.")
    parser.add_argument("scenarios", nargs="*", metavar="NAME", help="files of tests/lab/scenarios; all of them by default")
    parser.add_argument("--quick", action="store_true", help="those that make test plays")
    parser.add_argument("--peers", action="store_true", help="let Prometheus and Alertmanager watch those with a centre, too")
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="keep logs and databases there")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the county is taken down
    chosen = [load(name) for name in arguments.scenarios or names()]
    if arguments.quick:
        chosen = [scenario for scenario in chosen if scenario.quick]
    if arguments.peers:
        chosen = [scenario for scenario in chosen if scenario.centre]
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="sitekeeper-lab-"))
    try:
        return _compare(folder, chosen) if arguments.peers else _judge(folder, chosen)
    finally:
        if arguments.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def _judge(folder: Path, chosen: list[Scenario]) -> int:
    results = _all(folder, chosen)
    rows = [msgspec.to_builtins(result) | {"ok": result.ok, "word": result.word} for result in results]
    _write("result.json", rows)
    (_FOLDER / "lab.svg").write_text(draw(rows))
    print(table(results))
    return 1 if any(result.word == "WRONG" for result in results) else 0


def _compare(folder: Path, chosen: list[Scenario]) -> int:
    sites = sorted({site for scenario in chosen for site in scenario.sites} | set(SITES))
    rows = []
    with stage(folder) as made, peers(made.network, made.servers, folder / "peers", sites) as others:
        made.peers = others
        for scenario in chosen:
            row = _both(made, others, scenario)
            rows += [row] if row else []
    _write("peers.json", msgspec.to_builtins(rows))
    print(comparing.table(rows))
    return 0 if len(rows) == len(chosen) else 1


def _both(made: Stage, others: Peers, scenario: Scenario) -> Compared | None:
    """``None``: the scenario did not come to its end."""
    made.clear()
    try:
        others.begin(scenario)
        played = play(made, scenario)
        row = comparing.compare(scenario, played, others.letters())
    except _TROUBLE as err:
        print(f"{scenario.name}: {err}", file=sys.stderr, flush=True)
        made.servers.start()
        return None
    print(f"{scenario.name}: {row.ours.words} | {row.theirs.words}", file=sys.stderr, flush=True)
    return row


def _write(name: str, content: object) -> None:
    _FOLDER.mkdir(parents=True, exist_ok=True)
    (_FOLDER / name).write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def _all(folder: Path, chosen: list[Scenario]) -> list[Result]:
    """Those that share agents come first, one after the other."""
    ordered = sorted(chosen, key=lambda scenario: (scenario.centre, scenario.alone))
    with stage(folder) as made:
        return [_one(made, scenario) for scenario in ordered]


def _one(made: Stage, scenario: Scenario) -> Result:
    begun = time.monotonic()
    try:
        result = judge(scenario, play(made, scenario), time.monotonic() - begun)
    except _TROUBLE as err:
        made.clear()  # the next one begins anew
        made.servers.start()
        result = Result(scenario=scenario.name, expected=[], opening=[], after=[], wrong=[str(err)])
    print(f"{scenario.name}: {result.word} ({time.monotonic() - begun:.0f} s)", file=sys.stderr)
    print(*(f"  {reason}" for reason in result.wrong), sep="\n", end="" if result.ok else "\n", file=sys.stderr, flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
