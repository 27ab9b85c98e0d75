"""The agent's last lines of log, kept in memory for whoever asks from afar, without anything secret."""

import logging
from collections import deque

MOST_LINES, LONGEST_LINE = 200, 300
MAX_CHARACTERS = 8000


class LogLines(logging.Handler):
    """Holds the newest lines. ``secrets`` are texts that must never be told."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._secrets = tuple(secret for secret in secrets if secret)
        self._lines: deque[str] = deque(maxlen=MOST_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line; a traceback comes to its last line, which says what was raised."""
        try:
            text = self.format(record)
        except (TypeError, ValueError):
            return  # a broken call of the log, which the other handlers tell of
        first, *rest = text.splitlines() or [""]
        for line in [first, *rest[-1:]]:
            self._lines.append(self._clean(line)[:LONGEST_LINE])

    def _clean(self, line: str) -> str:
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line

    def tail(self) -> str:
        """The newest lines that fit into a result. What follows a question mark in an address may be a key: it is left out."""
        import re

        kept: list[str] = []
        room = MAX_CHARACTERS
        for line in reversed(list(self._lines)):
            told = re.sub(r"(://[^\s?'\"]*)\?[^\s'\"]*", r"\1?***", re.sub(r"://[^/\s@]*@", "://***@", line))
            if len(told) + 1 > room:
                break
            room -= len(told) + 1
            kept.append(told)
        return "\n".join(reversed(kept))
