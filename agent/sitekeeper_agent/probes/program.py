"""Asks another program on this machine: bounded in time and in what it may answer, whatever it does."""

import os
import select
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from sitekeeper_agent.probes.probe import left_s

if TYPE_CHECKING:
    import subprocess

_ALSO = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")
"""Where tools of the system live that a service's PATH may leave out."""


class Answer(NamedTuple):
    """``code`` is the exit status (negative: the signal that ended it)."""

    code: int
    output: bytes


def find(name: str) -> str | None:
    """The path of a program, or ``None``; the standard library's way would load four compressors."""
    for folder in (*os.get_exec_path(), *_ALSO):
        path = os.path.join(folder, name)  # noqa: PTH118 - no path objects for a look at eight folders
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113
            return path
    return None


def ask(command: Sequence[str], *, deadline: float, most_bytes: int = 256 * 1024) -> Answer | None:
    """The program's answer on standard output; ``None`` if it can't start, is not done by ``deadline``, or says too much.

    The program and what it started are then killed. ``deadline`` is an instant of ``time.monotonic()``. Not on Windows, whose
    pipes can't be waited for in this way; nothing is asked there.
    """
    if sys.platform == "win32":
        return None
    import signal
    import subprocess

    if left_s(deadline) <= 0:
        return None
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
    except (OSError, ValueError):
        return None
    with process:
        output = _read(process.stdout.fileno() if process.stdout else -1, deadline, most_bytes)
        code = _exit_code(process, deadline) if output is not None else None
        if code is None or output is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except OSError:
                process.kill()
            return None
        return Answer(code, output)


def _read(pipe: int, deadline: float, most_bytes: int) -> bytes | None:
    """All that comes until the end, or ``None`` if that is too much or too late."""
    parts: list[bytes] = []
    while (left := left_s(deadline)) > 0:
        if not select.select([pipe], [], [], left)[0]:
            return None
        part = os.read(pipe, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)
        most_bytes -= len(part)
        if most_bytes < 0:
            return None
    return None


def _exit_code(process: "subprocess.Popen[bytes]", deadline: float) -> int | None:
    """The exit status; a program may close its output and go on."""
    import subprocess

    try:
        return process.wait(max(0.05, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None
