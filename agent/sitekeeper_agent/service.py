"""`sitekeeper-agent service`: the start-up task on Windows; elsewhere the package's unit does this work."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from sitekeeper_agent.config import Settings
from sitekeeper_agent.platform import windows_task

Run = Callable[[Sequence[str]], int]
"""Carries a command out; its exit code."""


class ServiceTrouble(Exception):
    """A step did not work; the text names it."""


def launch(config: Path, *, program: str, home: Path) -> windows_task.Launch:
    """How this very agent is started. ``home`` is the folder that holds its modules.

    A bundle's folder can be run as it stands; an installed package is found by Python itself.
    """
    itself = ("-I", "-S", str(home)) if (home / "__main__.py").exists() else ("-I", "-m", "sitekeeper_agent")
    return windows_task.Launch(program, (*itself, "run", "--config", str(config)))


def install(settings: Settings, config: Path, run: Run) -> None:
    """Make the task and start it. Raises ``ServiceTrouble``."""
    state = Path(settings.state_dir)
    state.mkdir(parents=True, exist_ok=True)
    started = launch(config, program=sys.executable, home=Path(__file__).parents[1])
    with tempfile.TemporaryDirectory(prefix="sitekeeper-") as scratch:
        file = Path(scratch) / "task.xml"
        file.write_text(windows_task.task_xml(started), encoding="utf-16")
        password_file = settings.broker.password_file
        for command in windows_task.install_commands(xml_file=str(file), data=str(state), password_file=password_file):
            _carry_out(command, run)


def remove(run: Run) -> None:
    """End the agent and take the task away; settings and samples stay. Raises ``ServiceTrouble``."""
    end, delete = windows_task.remove_commands()
    run(end)  # it fails where nothing runs
    _carry_out(delete, run)


def installed(run: Run) -> bool:
    """Whether the task is there."""
    return run(windows_task.query_command()) == 0


def _carry_out(command: Sequence[str], run: Run) -> None:
    code = run(command)
    if code != 0:
        hint = "; run this as administrator 请以管理员身份运行" if command[0] in ("schtasks", "icacls") else ""
        raise ServiceTrouble(f"{command[0]} {command[1]} failed with exit code {code}{hint}")


def run_here(command: Sequence[str]) -> int:
    """Carry a command out on this machine."""
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, timeout=60, check=False).returncode
    except (OSError, subprocess.SubprocessError) as err:
        raise ServiceTrouble(f"{command[0]}: {err}") from err


def on_windows() -> bool:
    """Whether there is a task scheduler to talk to."""
    return os.name == "nt"
