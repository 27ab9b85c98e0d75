"""New lines of a file that another program writes, through rotation and truncation, a bounded piece at a time."""

import os
from pathlib import Path

MOST_BYTES = 64 * 1024
"""Read at once, at most."""
MAX_LINE = 2048
"""What of a line is kept; the rest of a longer one is passed over."""
FAR_BYTES = 4 * 1024 * 1024
"""So far behind, what lies between is passed over: a log that grows faster than it is read would never be caught up with."""
_MOST_FILES = 1000


class Tail:
    """Used by one thread. No file is kept open, which would hinder rotation on Windows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._offset = 0
        self._held = b""
        self._cutting = False
        """Whether the rest of an overlong line is being passed over."""

    def history(self) -> tuple[list[bytes], float]:
        """The last lines that are there already, and when the file was last written (Unix time in s). Raises ``OSError``."""
        facts = self._path.stat()
        self._identity = facts.st_dev, facts.st_ino
        self._offset = max(0, facts.st_size - MOST_BYTES)
        self._held, self._cutting = b"", self._offset > 0
        return self._read(self._path, facts.st_size), facts.st_mtime

    def lines(self) -> list[bytes]:
        """What has been written since. Raises ``OSError``, also ``FileNotFoundError`` while there is no such file."""
        facts = self._path.stat()
        identity = facts.st_dev, facts.st_ino
        found: list[bytes] = []
        if self._identity is not None and identity != self._identity:
            found = self._rest_of_the_old()
            self._start_anew()
        elif facts.st_size < self._offset:
            self._start_anew()
        self._identity = identity
        if facts.st_size - self._offset > FAR_BYTES:
            self._offset, self._held, self._cutting = facts.st_size - MOST_BYTES, b"", True
        return found + self._read(self._path, facts.st_size)

    @property
    def behind(self) -> bool:
        """Whether there may be more to read at once."""
        return self._more

    _more = False

    def _start_anew(self) -> None:
        self._offset, self._held, self._cutting = 0, b"", False

    def _rest_of_the_old(self) -> list[bytes]:
        """What was written to the file before it was moved away, if it lies beside the new one; at most one piece."""
        try:
            with os.scandir(self._path.parent) as entries:
                for _, entry in zip(range(_MOST_FILES), entries, strict=False):
                    if entry.inode() == (self._identity or (0, 0))[1] and entry.name.startswith(self._path.stem):
                        return self._read(Path(entry.path), entry.stat().st_size)
        except OSError:
            pass
        return []

    def _read(self, path: Path, size: int) -> list[bytes]:
        if size <= self._offset:
            self._more = False
            return []
        with path.open("rb") as file:
            file.seek(self._offset)
            data = file.read(MOST_BYTES)
        self._offset += len(data)
        self._more = size > self._offset
        return self._split(data)

    def _split(self, data: bytes) -> list[bytes]:
        *whole, rest = data.split(b"\n")
        lines: list[bytes] = []
        for part in whole:
            if not self._cutting:
                lines.append((self._held + part)[:MAX_LINE].rstrip(b"\r"))
            self._held, self._cutting = b"", False
        if not self._cutting:
            self._held += rest
            if len(self._held) > MAX_LINE:
                lines.append(self._held[:MAX_LINE])
                self._held, self._cutting = b"", True
        return lines
