"""Text for a terminal: nothing that came from outside can steer it, and columns line up also in Chinese."""

import datetime
import json
import unicodedata
from collections.abc import Iterable, Sequence

_NUMBERS = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Controls, directions and invisible characters, halves of characters, private ones, line ends: shown by their number."""


def safe(text: object) -> str:
    """``text`` on one line, with every character that a terminal might act upon shown as an escape."""
    return "".join(_escape(char) if unicodedata.category(char) in _NUMBERS else char for char in str(text))


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_text(value: object, *, indent: int | None = None) -> str:
    """``value`` as JSON that reads back as it was and steers no terminal: what ``safe`` escapes is escaped as JSON does."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    # Outside of strings JSON has no such character but the line ends that we asked for.
    return "".join(_json_escape(c) if c != "\n" and unicodedata.category(c) in _NUMBERS else c for c in text)


def _json_escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else json.dumps(char)[1:-1]


def width(text: str) -> int:
    """Columns that a terminal gives to ``text`` (UAX 11: wide and full-width characters take two)."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def padded(text: str, columns: int) -> str:
    """``text`` with spaces up to ``columns``."""
    return text + " " * (columns - width(text))


def clipped(text: str, columns: int) -> str:
    """``text``, cut to ``columns``."""
    if width(text) <= columns:
        return text
    kept = ""
    for char in text:
        if width(kept) + width(char) > columns - 1:
            break
        kept += char
    return kept + "…"


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows below titles in aligned columns; numbers stand to the right. Every cell is made safe."""
    cells = [list(titles), *([safe("" if value is None else value) for value in row] for row in rows)]
    widths = [max(width(row[at]) for row in cells) for at in range(len(titles))]
    right = [all(_is_number(row[at]) for row in cells[1:]) and len(cells) > 1 for at in range(len(titles))]
    return "\n".join(
        "  ".join(
            " " * (widths[at] - width(cell)) + cell if right[at] else padded(cell, widths[at]) for at, cell in enumerate(row)
        ).rstrip()
        for row in cells
    )


def _is_number(text: str) -> bool:
    return text == "" or text.lstrip("-").replace(".", "", 1).isdecimal()


def instant(unix_ms: int | None, missing: str = "-") -> str:
    """A time in this machine's zone, to the second; ``missing`` if there is none."""
    if unix_ms is None or unix_ms <= 0:
        return missing
    try:
        moment = datetime.datetime.fromtimestamp(unix_ms / 1000, tz=datetime.UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return f"{unix_ms} ms"
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def identity(number: int) -> str:
    """A run, boot or epoch as people see it: 16 hexadecimal digits."""
    return f"{number:016x}"
