"""Log lines that repeat only when what they say changes."""

import logging
from collections import OrderedDict

_MOST = 10_000


class OnChange:
    """Remembers what was last said about each subject."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._said: OrderedDict[str, str] = OrderedDict()

    def say(self, level: int, subject: str, text: str) -> bool:
        """Log ``text`` unless it is what was said last about ``subject``; whether it was logged."""
        if self._said.get(subject) == text:
            return False
        self._said[subject] = text
        self._said.move_to_end(subject)
        if len(self._said) > _MOST:
            self._said.popitem(last=False)
        self._logger.log(level, "%s: %s", subject, text)
        return True
